"""What each study's source asks is well formed, and named as its write-up and settings name it."""

import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from itertools import repeat
from pathlib import Path
from types import EllipsisType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from research import studies
from research.config import flatten
from research.launch import study_of
from research.paths import PAPER
from research.studies import Entry, entries

NAMES = ("figures", "tables", "numbers", "claims")
ANSWERS = {*NAMES, "settings"}
ALLOWED = {"id", "text", "source", "bonus", *ANSWERS}
FILES = Path(studies.__file__).parent

each_study = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.slug)


def file_of(entry: Entry) -> dict[str, Any]:
    path = FILES / f"{entry.slug.replace('-', '_')}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def requirements_of(entry: Entry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = file_of(entry)["requirement"]
    return found


@cache
def printed(slug: str) -> dict[str, set[str]]:
    """What a write-up prints, by kind."""
    text = (PAPER / f"{slug}.md").read_text(encoding="utf-8")
    written = {
        "figures": r"\]\(([\w-]+)\)\{",
        "tables": r"::: \{\.table name=([\w-]+)",
        "numbers": r"(?<!\])\{((?:[a-z-]+:)?[\w.-]+)[^}]*\}",
        "claims": r"\]\{(\w+)(?:=\w+)?\}",
    }
    found = {kind: set(re.findall(form, text)) for kind, form in written.items()}
    found["numbers"] |= {name.partition(":")[0] for name in found["numbers"]}  # else a format
    return found


def hint_of(config: type, name: str) -> Any:
    """The type of a setting, by its dotted name; None where there is no such setting."""
    first, _, rest = name.partition(".")
    hint = get_type_hints(config).get(first)
    return hint_of(hint, rest) if rest and hint else hint


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML file is of the type of a setting; an integer is no float."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if kind is Literal:
        return value in inner
    if kind is not tuple:
        return type(value) is hint
    if not isinstance(value, list):
        return False
    same = isinstance(inner[-1], EllipsisType)
    return (same or len(value) == len(inner)) and all(
        map(fits, value, repeat(inner[0]) if same else inner)
    )


def test_every_file_is_a_study_s() -> None:
    slugs = {entry.slug.replace("-", "_") for entry in entries()}
    assert {path.stem for path in FILES.glob("*.toml")} == slugs


@each_study
def test_the_file_has_what_a_reader_of_it_expects(entry: Entry) -> None:
    whole = file_of(entry)
    assert whole.keys() - {"pages"} == {"assignment", "requirement"}
    assert isinstance(whole["assignment"], str)
    fewest, most = whole.get("pages", [1, 1])
    assert 1 <= fewest <= most
    ids = [one["id"] for one in whole["requirement"]]
    assert len(set(ids)) == len(ids)
    for one in whole["requirement"]:
        assert {"id", "text", "source"} <= one.keys() <= ALLOWED, one["id"]
        assert any(one.get(kind) for kind in ANSWERS), f"nothing answers {one['id']}"
        assert re.fullmatch("[a-z0-9-]+", one["id"])
        assert one["text"].endswith(".")
        assert one["source"]
        assert one.get("bonus", True) is True
        for kind in NAMES:
            names = one.get(kind, [])
            assert isinstance(names, list)
            assert len(set(names)) == len(names), one["id"]


@each_study
def test_every_name_is_one_of_the_write_up(entry: Entry) -> None:
    known = printed(entry.slug)
    missing = {
        name
        for one in requirements_of(entry)
        for kind in NAMES
        for name in one.get(kind, [])
        if not any(fnmatchcase(one, name) for one in known[kind])
    }
    assert not missing


@each_study
def test_every_setting_is_one_of_the_study_with_a_value_of_its_type(entry: Entry) -> None:
    config = type(study_of(entry).PRESETS["full"])
    for one in requirements_of(entry):
        for name, value in one.get("settings", {}).items():
            hint = hint_of(config, name)
            assert hint, f"there is no setting {name}"
            assert fits(value, hint), f"{name} is to be {hint}, it is {value!r}"


@each_study
def test_the_full_preset_departs_from_nothing_that_the_source_demands(entry: Entry) -> None:
    flat = flatten(study_of(entry).PRESETS["full"])
    settings = {key: list(value) if isinstance(value, tuple) else value
                for key, value in flat.items()}  # fmt: skip
    demanded = [one.get("settings", {}) for one in requirements_of(entry)]
    assert [one for one in demanded if not one.items() <= settings.items()] == []


def test_what_fits_a_setting() -> None:
    assert fits(0.1, float)
    assert not fits(1, float)
    assert not fits(True, int)
    assert fits(64, int | None)
    assert fits("mnist", Literal["mnist"])
    assert not fits("mnits", Literal["mnist"])
    assert fits([1, 2, 3], tuple[int, ...])
    assert not fits([1, 2.0], tuple[int, ...])
    assert not fits(1, tuple[int, ...])
    assert fits(["6", "7"], tuple[str, str])
    assert not fits(["6"], tuple[str, str])
