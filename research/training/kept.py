"""Trained models on disk, each in a folder named by the digest of what it follows from."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from research import paths
from research.models import save_weights
from research.records import sha256, write_json
from research.training.loop import Epoch


@dataclass(frozen=True)
class Kept:
    """A trained model on disk.

    Attributes:
        folder: its place, named by the digest of what it follows from.
        run: id of the run that trained it.
        epochs: its curve.
    """

    folder: Path
    run: str
    epochs: tuple[Epoch, ...]

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def seconds(self) -> float:
        """Wall time of its training, without evaluation."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def steps(self) -> str:
        """On a GPU, how the last epoch's steps were carried out; see `training.graphs`."""
        return self.epochs[-1].steps if self.epochs else ""


def find(digest: str, snapshots: Iterable[int] = ()) -> Kept | None:
    """The model of a digest, if it has all the snapshots that are wanted.

    None where there is none, or where a file is not what was kept.
    """
    folder = paths.MODELS / digest
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        epochs = tuple(Epoch(**epoch | {"restored": True}) for epoch in facts["epochs"])
        kept = Kept(folder, facts["run"], epochs)
        files = {"weights": kept.weights}
        files |= {f"epoch{number}": snapshot_file(folder, number) for number in snapshots}
        whole = all(sha256(path) == facts["sha256"][file] for file, path in files.items())
        return kept if whole else None
    except (OSError, ValueError, KeyError, TypeError):  # half a file is no model
        return None


def keep(
    model: nn.Module,
    digest: str,
    run: str,
    epochs: Iterable[Epoch],
    snapshots: Mapping[int, Path] = {},
    pace: Mapping[str, Any] = {},
) -> Kept:
    """Stores a trained model, and the files of its snapshots, for later runs.

    Arguments:
        pace: what its time depends on, see `training.pace`.
    """
    folder = paths.MODELS / digest
    kept = Kept(folder, run, tuple(epochs))
    paths.MODELS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(paths.MODELS.with_suffix(".lock"))
    # written aside and moved: another process may look for it, or write the same one
    with lock, tempfile.TemporaryDirectory(dir=paths.MODELS, prefix=".") as aside:
        part = dataclasses.replace(kept, folder=Path(aside, digest))
        part.folder.mkdir()
        save_weights(part.weights, model, digest[:12])
        if find(digest):  # kept before, with other snapshots
            for file in folder.glob("epoch*.safetensors"):
                shutil.copy(file, part.folder)
        for number, file in snapshots.items():
            shutil.copy(file, snapshot_file(part.folder, number))
        sums = {file.stem: sha256(file) for file in part.folder.glob("*.safetensors")}
        curve = [dataclasses.asdict(epoch) for epoch in kept.epochs]
        known = {"run": run, "sha256": sums, "epochs": curve, **pace}
        write_json(part.folder / "model.json", known)
        shutil.rmtree(folder, ignore_errors=True)
        part.folder.replace(folder)
    return kept


def adopt(digest: str, former: str, run: str) -> None:
    """Notes a run as the one that trained a model, where another was noted for want of its id."""
    file = paths.MODELS / digest / "model.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    if facts["run"] == former:
        write_json(file, facts | {"run": run})


def snapshot_file(folder: Path, number: int) -> Path:
    return folder / f"epoch{number}.safetensors"
