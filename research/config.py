"""Settings shared by the studies: frozen dataclasses whose field docstrings are the flags' help."""

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from research.paths import DATA

DatasetName = Literal[
    "mnist", "cifar10", "imagenette", "caltech101", "folder", "mnist-sample", "photos", "faces"
]

Jobs = int | Literal["auto"]
"""How many train at once, and what takes as many as the machine has room for."""


@dataclass(frozen=True)
class Slurm:
    """What a job of SLURM asks for; what is left out, the cluster decides."""

    partition: str | None = None
    """Partition of the jobs."""
    time: str = "4:00:00"
    """Time limit of a job as sbatch takes it: minutes, H:M:S or D-H:M:S. A training that needs
    longer is put into the queue again and goes on from its last epoch."""
    gpus: int | None = None
    """GPUs of a job."""
    cpus: int | None = None
    """Cores of a job; without it as many as its network computes on."""
    memory: str | None = None
    """Main memory of a job, as 8G."""
    account: str | None = None
    """Account that is charged."""
    at_once: int = 256
    """The most jobs that run at once."""


Tokeniser = Literal["words", "13a", "intl", "zh", "ja-mecab", "char"]


@dataclass(frozen=True)
class Local:
    """Marks a setting that names a place on this machine, which another machine has elsewhere.

    Attributes:
        counts: whether the name of the file there, without its folder, is part of the experiment;
            data that have a sha256 need none.
        words: whether it may also hold a word that means the same on every machine.
    """

    counts: bool = False
    words: bool = False

    def names_a_place(self, value: Any) -> bool:
        """Whether a value, as it is or as text, is a place and not such a word, or nothing."""
        if self.words and re.fullmatch(r"[\w-]+(:[\w-]+)?", str(value)):
            return False
        return value is not None


LOCAL = Local()
"""`Annotated[Path, LOCAL]`: every setting that names a place is marked so, by its type."""
LOCAL_NAME = Local(counts=True)
LOCAL_MODEL = Local(counts=True, words=True)
"""FILE.py:NAME, or the name of a network that is known everywhere."""


@dataclass(frozen=True)
class How:
    """Marks a setting that says how a run happened, not what it was."""


HOW = How()

GIVEN = "given"
"""Name of the one model of a study that looks at a network of the user's."""


@dataclass(frozen=True)
class Data:
    name: DatasetName = "photos"
    """Data set: mnist, cifar10, imagenette, caltech101 (downloaded), folder (your own), or
    mnist-sample, photos, faces (offline)."""
    root: Annotated[Path, LOCAL] = DATA
    """Folder of downloaded data, or of train/<class>/ and test/<class>/ (or val/<class>/, as in
    ImageNet) for the set `folder`."""
    size: int | None = None
    """Side length in pixels to which images are resized or cropped; the set's own when absent."""

    @property
    def title(self) -> str:
        """How a run's name calls its data: a folder by its own name."""
        return self.root.absolute().name if self.name == "folder" else self.name


@dataclass(frozen=True)
class Text:
    """Sentences and their translations: of two files, or generated where none is given."""

    source: Annotated[Path | None, LOCAL_NAME] = None
    """Text file of sentences to translate, one a line; without files numerals are generated."""
    target: Annotated[Path | None, LOCAL_NAME] = None
    """Text file of their translations, line by line."""
    size: int = 2000
    """Generated pairs to train on; of files, all pairs that are not held out."""
    valid: int = 500
    """Pairs held out for the perplexity after each epoch."""
    test: int = 1000
    """Pairs held out for decoding."""
    max_length: int = 25
    """Pairs of files with more words on either side are left out."""
    min_count: int = 5
    """How often a word must occur in the training set to be in the vocabulary."""
    tokenise: Tokeniser = "words"
    """What is a word of the files: words (runs of letters and digits, and single other signs), or
    sacrebleu's 13a, intl, zh, ja-mecab or char; zh and char are for scripts without spaces."""

    @property
    def title(self) -> str:
        """How a run's name calls its data: files by their own names."""
        if self.source is None or self.target is None:
            return "numerals"
        return f"{self.source.name} and {self.target.name}"


@dataclass(frozen=True)
class Train:
    epochs: int = 10
    """Passes over the training set."""
    batch: int = 64
    """Images per step."""
    lr: float = 1e-3
    """Learning rate."""
    device: Annotated[str, HOW] = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes CUDA where it is present."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass: auto is bfloat16 autocast on CUDA and float32 elsewhere;
    tf32 allows it in matrix products and convolutions, float32 does not."""
    again: Annotated[bool, HOW] = False
    """Train anew the models that an earlier run trained from the same data, settings and code."""


def flatten(config: Any) -> dict[str, Any]:
    """The settings as `{"train.lr": 0.001, …}`, spelt like the flags, in the fields' order."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= {f"{field.name}.{key}": inner for key, inner in flatten(value).items()}
        else:
            flat[field.name] = value
    return flat


def local(kind: type) -> dict[str, Local]:
    """Settings of a configuration that are marked as places, by their flattened names."""
    return {key: mark for key, mark in _marked(kind).items() if isinstance(mark, Local)}


def machine(kind: type) -> frozenset[str]:
    """Settings that say where and how a run happened, not what it was; the data have a sha256."""
    return frozenset(
        key for key, mark in _marked(kind).items() if not (isinstance(mark, Local) and mark.counts)
    )


def places(config: Any) -> tuple[str, ...]:
    """The settings of a configuration that name a place on this machine, flattened."""
    marks, flat = local(type(config)), flatten(config)
    return tuple(key for key, mark in marks.items() if mark.names_a_place(flat[key]))


def digest(config: Any, weights: str = "") -> str:
    """sha256 over the settings but for `machine`: equal for equal experiments on any machine.

    Arguments:
        weights: names and digests of the models that are given and not trained.
    """
    items = {key: str(value) for key, value in _experiment(config).items()}
    if weights:
        items["weights"] = weights
    return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()


def changes(preset: Any, config: Any) -> dict[str, Any]:
    """The settings, but for `machine`, in which `config` departs from its preset."""
    former, now = flatten(preset), flatten(config)
    apart = machine(type(config))
    return {key: now[key] for key in now if key not in apart and now[key] != former[key]}


def _experiment(config: Any) -> dict[str, Any]:
    """What counts of the settings: of a place that does, the last name."""
    places, apart = local(type(config)), machine(type(config))
    return {
        key: re.split(r"[\\/]", str(value))[-1] if key in places else value
        for key, value in flatten(config).items()
        if key not in apart
    }


@cache
def _marked(kind: type) -> dict[str, Any]:
    return dict(_marks(kind))


def _marks(kind: type) -> Iterator[tuple[str, Any]]:
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Local | How):
                yield name, mark
        for inner in _classes(hint):
            yield from ((f"{name}.{key}", mark) for key, mark in _marks(inner))


def _classes(hint: Any) -> Iterator[type]:
    """The dataclasses that a field may hold."""
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield kind
