"""What a trail and attached data may hold, and how it is told where they hold something else."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from research.provenance import reading
from research.provenance.container import Refused
from research.provenance.trail import as_json, seal
from research.report import Built

Trail = dict[str, Any]


def test_a_built_trail_is_read_whole(built: Built) -> None:
    trail = reading.read_trail(built.pdf)
    raw = built.provenance
    assert trail.digest == trail.seal == raw["seal"] == seal(raw)
    assert [one.printed for one in trail.numbers] == [one["printed"] for one in raw["numbers"]]
    assert {one.kind for one in trail.numbers} >= {"number", "cell", "setting", "fact", "quoted"}
    assert trail.run.seeds == tuple(raw["run"]["seeds"])


def nested(trail: Trail) -> None:
    inner: list[Any] = []
    for _ in range(400):
        inner = [inner]
    trail["run"]["config"]["eps"] = inner


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t["numbers"][3].update(page="x"),
         "numbers[3].page: got 'x', a whole number is required"),
        (lambda t: t["numbers"][3].update(page=0), "numbers[3].page: got 0, 1 or more is required"),
        (lambda t: t["numbers"][0].update(page=True), "numbers[0].page: got True, a whole number"),
        (lambda t: t["numbers"][0].pop("run"), "numbers[0].run: required, got nothing"),
        (lambda t: t["numbers"][0].update(kind="guess"), "numbers[0]: got "),
        (lambda t: t["numbers"][0].update(note=1), "numbers[0].note: unknown, no build writes it"),
        (lambda t: t["numbers"][0].update(value="1"), "numbers[0].value: got '1', a number is"),
        (lambda t: t["numbers"][0].update(format=".999999f"), "numbers[0].format: got '.999999f'"),
        (lambda t: t["numbers"][0].update(rectangle=[0, 0, 1]), "[0].rectangle[3]: required"),
        (lambda t: t["numbers"][0].update(rectangle=[0, 0, 1, float("inf")]),
         "numbers[0].rectangle[3]: got inf, a finite number is required"),
        (lambda t: t["figures"][0].update(sha256="AB" * 32), "figures[0].sha256: got 'ABAB"),
        (lambda t: t["figures"][0]["data"][0].pop("path"), "figures[0].data[0].path: required"),
        (lambda t: t["run"].update(seeds=7), "run.seeds: got 7, a list is required"),
        (lambda t: t["run"]["seconds"].update(data=1e300), "run.seconds.data: got 1e+300"),
        (lambda t: t["run"].update(mood="good"), "run.mood: unknown, no build writes it"),
        (lambda t: t["run"].update(compute={"hardware": {}}), "run.compute: 'hardware' is"),
        (lambda t: t["run"].update(models={"a": {}}), "run.models.a: 'origin' must be trained"),
        (lambda t: t["run"]["data"].update(train="all"), "run.data: 'train' is 'all', a number"),
        (lambda t: t["comparisons"][0].update(outcome="more"), "[0].outcome: got 'more'"),
        (lambda t: t.update(author={}), "author: 'name' is required"),
        (lambda t: t.pop("parts"), "parts: required, got nothing"),
        (lambda t: t.update(digest="0" * 64), "digest: unknown, no build writes it"),
        (lambda t: t.update({"a\x1b[31m": 1}), "a?[31m: unknown, no build writes it"),
        (nested, "is not as it is built"),
    ],
)  # fmt: skip
def test_what_no_build_writes_is_named_in_a_line(
    built: Built, change: Callable[[Trail], object], told: str
) -> None:
    trail = copy.deepcopy(built.provenance)
    change(trail)
    with pytest.raises(Refused) as refused:
        reading.checked(trail)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def test_what_format_2_lacks_is_empty(built: Built) -> None:
    raw = {
        key: value for key, value in built.provenance.items() if key not in ("parts", "metadata")
    }
    raw["pages"] = [{k: v for k, v in one.items() if k != "picture"} for one in raw["pages"]]
    with pytest.raises(Refused, match="required, got nothing"):
        reading.checked(raw)
    trail = reading.checked(raw | {"format": 2})
    assert trail.parts == {} and {page.picture for page in trail.pages} == {""}
    assert trail.digest == seal(raw | {"format": 2})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "numbers.json is not as it is built: all of it: got \\[\\], an object is required"),
        ('{"mse": {"value": "low"}}', "numbers.json is not as it is built: mse.value: got 'low'"),
        ('{"mse": 1', "numbers.json is not JSON"),
    ],
)
def test_attached_data_are_held_to_their_form(content: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        reading.numbers_of("numbers.json", {"numbers.json": content.encode()})


def test_values_that_are_no_numbers_may_be_measured(built: Built) -> None:
    trail = copy.deepcopy(built.provenance)
    trail["numbers"][0]["value"] = float("nan")
    [first, *_] = reading.checked(json.loads(as_json(trail))).numbers
    assert first.value != first.value
