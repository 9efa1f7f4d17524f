"""Settings are spelt like flags, and their digest tells experiments apart, not machines."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from research import launch, studies
from research.config import LOCAL_MODEL, Data, Text, Train, changes, digest, flatten, local, places
from research.verification.recipe import Reproduce


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


def test_every_setting_that_names_a_place_is_marked_by_its_type() -> None:
    """And `reproduce` has a flag for each: a PDF cannot carry what lies there."""
    for entry in studies.entries():
        for preset in launch.study_of(entry).PRESETS.values():
            marks = local(type(preset))
            paths = {key for key, value in flatten(preset).items() if isinstance(value, Path)}
            typed = {key for key, hint in _types(type(preset)) if Path in _parts(hint)}
            assert paths | typed <= marks.keys(), entry.slug
            for key in marks:
                assert key.replace(".", "_") in Reproduce.__dataclass_fields__, key


def _types(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in typing.get_type_hints(kind).items():
        yield f"{prefix}{name}", hint
        for part in _parts(hint):
            if is_dataclass(part) and isinstance(part, type):
                yield from _types(part, f"{prefix}{name}.")


def _parts(hint: Any) -> tuple[Any, ...]:
    return (hint, *typing.get_args(hint))


@dataclass(frozen=True)
class Translation:
    data: Text
    train: Train
    model: Annotated[str, LOCAL_MODEL] = "zfnet"


def test_of_a_file_that_counts_the_name_does_and_its_folder_does_not() -> None:
    one, other, third = (
        Translation(Text(Path(folder, name), Path(folder, "b.en")), Train(), f"{folder}/net.py:Net")
        for folder, name in (("/here", "a.de"), ("there/data", "a.de"), ("/here", "c.de"))
    )
    assert digest(one) == digest(other) != digest(third)
    assert digest(one) != digest(replace(one, model="/here/net.py:Other"))
    assert places(one) == ("data.source", "data.target", "model")
    assert places(Translation(Text(), Train())) == ()
    assert places(Translation(Text(), Train(), "torchvision:vgg16")) == ()
