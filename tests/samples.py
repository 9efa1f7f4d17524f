"""A synthetic record, made by the writers that a run uses, and a paper of real length from it."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from research.machine import libraries
from research.paths import TEMPLATES
from research.records import (
    Drawing,
    Number,
    Results,
    Run,
    Table,
    load,
    write_arrays,
    write_drawing,
    write_manifest,
    write_numbers,
    write_run,
    write_table,
)

SAMPLE = Path(__file__).with_name("sample")
if TYPE_CHECKING:
    from research.report import Built

MM = 1 / 25.4

FIGURES = {  # name -> width and height in mm
    "maps": (178, 55),
    "curves": (86, 52),
    "reconstructions": (86, 48),
    "kernels": (80, 38),
    "spectrum": (170, 48),
    "map": (84, 58),
}


def a_run(**changes: object) -> Run:
    facts: dict[str, object] = {
        "id": "1a2b3c4d5e6f70819203a4b5c6d7e8f9",
        "study": "ae",
        "question": "What does a small convolutional autoencoder keep?",
        "preset": "sample",
        "name": "ae-sample",
        "status": "FINISHED",
        "started": "2026-03-04T10:00:00+00:00",
        "ended": "2026-03-04T10:02:11+00:00",
        "config": {
            "train.lr": 0.001, "train.epochs": 12, "train.batch": 64, "shuffle": True,
            "data.name": "photos", "data.root": "/home/secret-user/data",
        },
        "config_digest": "c0ffee" * 10,
        "seeds": (0, 1, 2),
        "device": "cpu",
        "data": {
            "name": "photos", "source": "/home/secret-user/pictures", "licence": "CC0",
            "sha256": "ab" * 32, "train": 4000, "test": 1000,
            "classes": ["cat", "rocket", "temple"], "shape": [3, 32, 32],
        },
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "versions": {"python": "3.11.2", "torch": "2.15.0"},
        "seconds": {"data": 1.2, "training": 93.4},
        "findings": ("Both decoders reach the same error.",),
    }  # fmt: skip
    return Run(**(facts | changes))  # type: ignore[arg-type]


NUMBERS = {
    "parameters": Number(1495.0),
    "mse_transpose": Number(0.012341, half_width=0.000412, n=3),
    "mse_upsample": Number(0.012722, half_width=0.000371, n=3),
    "mse_pca": Number(0.004513),
    "checker_transpose": Number(0.0312, half_width=0.0021, n=3),
    "checker_upsample": Number(0.0107, half_width=0.0013, n=3),
    "trustworthiness": Number(0.9712),
    "knn_code": Number(0.6123, half_width=0.0141, n=3),
    "knn_pixels": Number(0.5512),
    "knn_pca": Number(0.5834),
    "drift": Number(-0.25, "dB"),
}


def tables() -> dict[str, Table]:
    rng = np.random.default_rng(0)
    names = ["astronaut", "cat", "coffee", "flower", "galaxy"]
    names += ["motorcycle", "retina", "rocket", "temple", "tissue"]
    classes: list[dict[str, object]] = []
    for name in names:
        mse = float(rng.uniform(0.005, 0.02))
        classes.append({
            "class": name, "images": int(rng.integers(80, 120)),
            "mse_transpose": Number(mse, half_width=mse / 20, n=3),
            "mse_upsample": None if name == "retina" else Number(1.02 * mse, "", mse / 25, 3),
            "psnr": Number(-10 * float(np.log10(mse)), "dB", 0.21, 3),
            "share": Number(float(rng.uniform(0, 0.05))),
        })  # fmt: skip
    return {
        "errors": Table(
            ("arm", "mse", "psnr", "ssim"),
            (
                (
                    "transpose", NUMBERS["mse_transpose"],
                    Number(19.11, "dB", 0.14, 3), Number(0.812, "", 0.006, 3),
                ),
                (
                    "upsample", NUMBERS["mse_upsample"],
                    Number(18.97, "dB", 0.12, 3), Number(0.809, "", 0.005, 3),
                ),
                ("pca", NUMBERS["mse_pca"], Number(23.46, "dB"), Number(0.941)),
                ("mean", Number(0.0612), Number(12.13, "dB"), None),
            ),
        ),
        "classes": Table.of(classes),  # type: ignore[arg-type]
        "neighbours": Table(
            ("space", "k", "accuracy"),
            (
                ("pixels", 5, NUMBERS["knn_pixels"]), ("code", 5, NUMBERS["knn_code"]),
                ("PCA", 5, NUMBERS["knn_pca"]), ("chance", 5, Number(0.1)),
            ),
        ),
    }  # fmt: skip


def draw(folder: Path, name: str, width: float, height: float) -> None:
    figure = Figure(figsize=(width * MM, height * MM))
    axes = figure.subplots(1, max(1, round(width / 60)), squeeze=False)[0]
    rng = np.random.default_rng(len(name))
    for index, axis in enumerate(axes):
        if index % 2:
            axis.imshow(rng.random((8, 8)), cmap="viridis")
        else:
            axis.plot(np.cumsum(rng.normal(size=30)), label=f"arm {index}")
            axis.legend(fontsize=7)
        axis.tick_params(labelsize=7)
    path = folder / f"figures/{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "fixed"}):
        figure.savefig(path, metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=40)
    data = (f"arrays/{name}.npz",)
    write_arrays(folder, name, {"values": rng.random((4, 5))})
    write_drawing(
        folder, name, Drawing(f"figures/{name}.svg", f"figures/{name}.png", width, height, data)
    )


def write_record(folder: Path, **changes: object) -> Results:
    write_run(folder, a_run(**changes))
    write_numbers(folder, NUMBERS)
    for name, table in tables().items():
        write_table(folder, name, table)
    for name, (width, height) in FIGURES.items():
        draw(folder, name, width, height)
    write_manifest(folder)
    return load(folder)


def without_data(record: Results, name: str) -> None:
    """Forgets what a figure was drawn from, so that only the author can tell what it shows."""
    drawing = record.figure(name)
    write_drawing(record.folder, name, dataclasses.replace(drawing, data=()))
    write_manifest(record.folder)


@pytest.fixture(scope="session")
def _record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_record(tmp_path_factory.mktemp("record")).folder


@pytest.fixture
def record(_record: Path, tmp_path: Path) -> Results:
    """A record of one's own, to be read or spoilt."""
    return load(Path(shutil.copytree(_record, tmp_path / "record")))


@pytest.fixture(scope="session")
def built(_record: Path, tmp_path_factory: pytest.TempPathFactory) -> "Built":
    """The sample paper; many tests read it, none writes to it."""
    from research.report import build

    out = tmp_path_factory.mktemp("paper") / "ae.pdf"
    return build(
        load(_record), SAMPLE / "ae.md", out, author=SAMPLE / "author.toml", templates=TEMPLATES
    )


@pytest.fixture(scope="session")
def light(_record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample paper with a single figure, which is verified faster; none writes to it."""
    from research.report import build

    text = (SAMPLE / "ae.md").read_text()
    text = re.sub(r"^!\[.*\]\((?!maps).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"@fig:(?!maps)\w+", "The text", text)
    folder = tmp_path_factory.mktemp("light")
    (folder / "ae.md").write_text(text)
    out = folder / "ae.pdf"
    return build(
        load(_record), folder / "ae.md", out, author=SAMPLE / "author.toml", templates=TEMPLATES
    ).pdf


Speak = Callable[..., "Built"]


@pytest.fixture
def write(record: Results, tmp_path: Path) -> Speak:
    """Builds the sample paper with some of its text replaced, or all of it given."""
    from research.report import build

    def run(text: str | None = None, *, replace: tuple[str, str] = ("", "")) -> "Built":
        source = tmp_path / "ae.md"
        given = (SAMPLE / "ae.md").read_text() if text is None else text
        assert replace[0] in given
        source.write_text(given.replace(replace[0], replace[1], 1) if replace[0] else given)
        out = tmp_path / "out/ae.pdf"
        return build(record, source, out, author=SAMPLE / "author.toml", templates=TEMPLATES)

    return run


@pytest.fixture
def subsetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where HarfBuzz-subset is installed: without it a build says who cuts its fonts."""
    monkeypatch.setattr(libraries, "subsets", lambda: True)
