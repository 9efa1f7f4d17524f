"""The smallest study that uses every word of `Log`, and a process that runs it.

    python tiny.py STORE run | hang | resume ID

`hang` says `training` in the second child's second step, waits to be killed, and never returns.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from research.records import Claim, Number, Table
from research.tracking import Log, Opening, open_store

OPENING = Opening(
    study="tiny",
    question="Does the record keep every bit?",
    preset="sample",
    name="tiny sample",
    config={"train.epochs": 3, "train.lr": 0.1, "data.root": Path("data"), "seeds": (0, 1)},
    config_digest="d1",
    seeds=(0, 1),
    device="cpu",
)
CHILDREN = ("arm/seed0", "arm/seed1")
DATA = {
    "name": "digits",
    "source": "https://example.org/digits",
    "licence": "CC0",
    "sha256": "0123456789abcdef" * 4,
    "train": 4,
    "test": 2,
    "classes": ("zero", "one"),
    "shape": (1, 8, 8),
}


def loss(seed: int, step: int) -> float:
    """A value whose decimal expansion never ends."""
    return (1 + seed) / (3 * step)


def nothing(child: str, step: int) -> None: ...


def study(log: Log, at_step: Callable[[str, int], None] = nothing) -> None:
    """Trains two children for three steps, each from its checkpoint where it has one."""
    log.dataset(DATA)
    for seed, name in enumerate(CHILDREN):
        with log.child(name, {"arm": "arm", "seed": seed}) as child:
            checkpoint = child.path("checkpoints/step.txt")
            first = int(checkpoint.read_text()) if checkpoint.exists() else 1
            for step in range(first, 4):
                checkpoint.write_text(str(step))
                child.metrics(step, {"train/loss": loss(seed, step)})
                at_step(name, step)
    with log.part("measuring"):
        log.number("loss", Number(2 / 3, "nats", 0.1, 2))
        log.number("share", np.float64(1 / 7))
        log.table(
            "errors", Table.of([{"arm": "arm", "loss": Number(1 / 3)}, {"arm": "b", "loss": 2}])
        )
        log.arrays("curves", loss=np.array([1 / 3, np.nan]))
        log.path("kernels/conv1.txt").write_text("kernel")
        log.claim("falls", Claim(Number(-1 / 3, half_width=0.1, n=2), 0.02, 2, "by hand", "less"))
    log.finding("It does.")


def hang(child: str, step: int) -> None:
    if (child, step) == (CHILDREN[1], 2):
        print("training", flush=True)
        time.sleep(600)


def main(where: str, verb: str, run: str | None = None) -> None:
    with open_store(where).start(OPENING, resume=run) as log:
        study(log, hang if verb == "hang" else nothing)
        print(log.id)


if __name__ == "__main__":
    main(*sys.argv[1:])
