"""How the study `mlp` is compared with the course's runs."""

from dataclasses import replace
from typing import Any

import pytest

from research.config import Data
from research.data import load
from research.records import Number
from research.studies import mlp
from research.studies.mlp import course

from .planted import notebook


@pytest.mark.parametrize(
    ("given", "unlike"),
    [
        ({}, ""),
        ({"name": "mnist-sample"}, "data"),
        ({"epochs": 9}, "epochs"),
        ({"lr": 0.01}, "lr"),
        ({"batch": 32}, "batch"),
    ],
)
def test_only_training_like_the_courses_is_compared_with_it(
    given: dict[str, Any], unlike: str
) -> None:
    logged, log = notebook()
    config, data = mlp.PRESETS["full"], load(Data("mnist-sample"))
    train = replace(config.train, **{k: v for k, v in given.items() if k != "name"})
    data = replace(data, name=given.get("name", "mnist"))
    course.log_course([97.61, 97.76, 97.91], replace(config, train=train), data, log)
    told = {key.rsplit("_", 1)[1] for key, value in logged.items() if "unlike" in key and value}
    assert told == {unlike} - {""}
    assert ("course_gap" in logged) == (not told)
    assert logged["accuracy_least"] == 0.9761
    if not told:
        gap = logged["course_gap"]
        assert isinstance(gap, Number)
        assert gap.value == pytest.approx(0.05)
        assert gap.unit == "points"
        # one more run: t(0.975; 2) = 4.303 times sd 0.15 times the root of 1 + 1/3, a little less
        # on the side away from 100 %
        assert logged["course_resolvable"].value == pytest.approx(0.745, abs=0.15)
        assert logged["course_ratio"].value == pytest.approx(97.76 / 97.71)
