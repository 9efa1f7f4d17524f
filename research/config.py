"""Settings shared by the studies: frozen dataclasses whose field docstrings are the flags' help."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from research.paths import DATA

DatasetName = Literal[
    "mnist", "cifar10", "imagenette", "caltech101", "folder", "mnist-sample", "photos", "faces"
]


Tokeniser = Literal["words", "13a", "intl", "zh", "ja-mecab", "char"]

GIVEN = "given"
"""Name of the one model of a study that looks at a network of the user's."""


@dataclass(frozen=True)
class Data:
    name: DatasetName = "photos"
    """Data set: mnist, cifar10, imagenette, caltech101 (downloaded), folder (your own), or
    mnist-sample, photos, faces (offline)."""
    root: Path = DATA
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

    source: Path | None = None
    """Text file of sentences to translate, one a line; without files numerals are generated."""
    target: Path | None = None
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
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes CUDA where it is present."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass: auto is bfloat16 autocast on CUDA and float32 elsewhere;
    tf32 allows it in matrix products and convolutions, float32 does not."""
    again: bool = False
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


MACHINE = frozenset(
    {
        "data.root", "parts.root", "pictures.root", "target.root",
        "train.device", "train.again", "imagenet",
    }
)  # fmt: skip
"""Settings that say where and how a run happened, not what it was; the data have a sha256."""


def digest(config: Any, weights: str = "") -> str:
    """sha256 over the settings but for `MACHINE`: equal for equal experiments on any machine.

    Arguments:
        weights: names and digests of the models that are given and not trained.
    """
    items = {key: str(value) for key, value in flatten(config).items() if key not in MACHINE}
    if weights:
        items["weights"] = weights
    return hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()


def changes(preset: Any, config: Any) -> dict[str, Any]:
    """The settings, but for `MACHINE`, in which `config` departs from its preset."""
    former, now = flatten(preset), flatten(config)
    return {key: now[key] for key in now if key not in MACHINE and now[key] != former[key]}
