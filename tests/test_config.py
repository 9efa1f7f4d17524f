"""Settings are spelt like flags, and their digest tells experiments apart, not machines."""

from dataclasses import dataclass, replace
from pathlib import Path

from research.config import Data, Train, changes, digest, flatten


@dataclass(frozen=True)
class Config:
    data: Data
    train: Train
    seeds: tuple[int, ...] = (0, 1)


CONFIG = Config(Data("photos"), Train(epochs=3))


def test_flattened_names_are_the_flags() -> None:
    flat = flatten(CONFIG)
    assert flat["train.epochs"] == 3
    assert flat["seeds"] == (0, 1)
    assert list(flat)[:3] == ["data.name", "data.root", "data.size"]


def test_digest_ignores_where_a_run_happens() -> None:
    elsewhere = Config(Data("photos", root=Path("/elsewhere")), Train(epochs=3, device="cuda"))
    assert digest(elsewhere) == digest(CONFIG)


def test_digest_and_changes_see_every_other_setting() -> None:
    others = {
        "train.epochs": replace(CONFIG, train=replace(CONFIG.train, epochs=4)),
        "train.lr": replace(CONFIG, train=replace(CONFIG.train, lr=0.5)),
        "train.precision": replace(CONFIG, train=replace(CONFIG.train, precision="bfloat16")),
        "data.name": replace(CONFIG, data=Data("mnist")),
        "data.size": replace(CONFIG, data=Data("photos", size=64)),
        "seeds": replace(CONFIG, seeds=(0,)),
    }
    assert len({digest(CONFIG), *map(digest, others.values())}) == len(others) + 1
    for name, other in others.items():
        assert changes(CONFIG, other) == {name: flatten(other)[name]}
    assert changes(CONFIG, CONFIG) == {}
