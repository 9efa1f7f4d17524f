"""The settings of the study `seq2seq`, and what the post prints."""

from dataclasses import dataclass

from research.config import Text, Train

COPY_PERPLEXITY = (7.172, 3.709, 2.303, 1.776, 1.572, 1.434, 1.284, 1.173, 1.123, 1.089)
"""After each epoch of the copy task, as the post prints it."""
IWSLT_PERPLEXITY = (31.84, 19.91, 15.56, 13.56, 12.66, 12.25, 12.05, 11.84, 11.87, 11.89)
"""On validation sentences of IWSLT after each epoch, as the post prints it."""
COPY_EMBEDDING, COPY_HIDDEN, COPY_DROPOUT, COPY_BATCH, COPY_LR = 32, 64, 0.1, 32, 3e-4
"""The post's network and training on the copy task, the same in every preset."""
COPY_HELD_OUT = 1000
"""Sequences on which the copy task is judged; the post has a tenth of them."""
SHOWN = 3
"""Test sentences whose attention is drawn."""
REACH = 3
"""Places before and behind the right source word at which attention is looked at."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `seq2seq`; the copy task always has the post's."""

    data: Text
    train: Train
    """Of the translation."""
    seeds: tuple[int, ...]
    """One model of each task is trained per seed."""
    embedding: int
    """Length of a word's vector in translation."""
    hidden: int
    """Length of a state in translation."""
    dropout: float
    """Dropout before the output layer in translation."""
    beam: int = 5
    """Width of the beam."""
    copy_epochs: int = 10
    """Epochs of the copy task."""


PRESETS = {
    # a quarter of the post's vectors, and a learning rate for few steps
    "sample": Config(
        data=Text(size=1000, valid=200, test=300),
        train=Train(epochs=12, batch=32, lr=2e-3, precision="float32"),
        seeds=(0, 1, 2),
        embedding=64,
        hidden=64,
        dropout=0.1,
    ),
    # the post's settings for IWSLT; numerals are learnt from two thousand pairs
    "full": Config(
        data=Text(size=2000),
        train=Train(epochs=10, batch=64, lr=3e-4, precision="float32"),
        seeds=(0, 1, 2, 3, 4),
        embedding=256,
        hidden=256,
        dropout=0.2,
    ),
}


def copy_name(seed: int) -> str:
    return f"copy-seed{seed}"


def translation_name(seed: int) -> str:
    return f"translation-seed{seed}"


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [name(seed) for name in (copy_name, translation_name) for seed in config.seeds]
