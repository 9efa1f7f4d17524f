"""The study `zf-features`, run small: near-duplicates leave the training set."""

import numpy as np
import pytest

from research.data import Dataset
from research.records import Array, Results


@pytest.mark.long
def test_copies_leave_the_training_set_and_are_told(
    record: Results, likest: Array, zf_data: Dataset
) -> None:
    table = record.table("pairs")
    gone = {int(place) for place in np.flatnonzero(likest >= 0.95)}
    assert {7, 60 + 11} <= gone and len(gone) < 20
    removed = [row for row in table.rows if row[-1] == "yes"]
    assert {row[1] for row in removed} == gone
    assert ("across", 7, "blob", 0) in [row[:4] for row in removed]
    assert ("sloping", 71, "ring", 18 + 12 + 3) in [row[:4] for row in removed]
    assert [row[4] for row in table.rows] == pytest.approx(
        -np.sort(-likest)[: len(table.rows)], abs=1e-4
    )
    assert record.numbers["duplicates"].value == len(gone)
    assert record.numbers["kept"].value == 90 - len(gone)
    assert record.numbers["duplicates_target"].value == 2
    assert record.numbers["likest"].value == pytest.approx(1) and likest.max() <= 1 + 1e-9
    shown = record.arrays("pairs")
    assert np.array_equal(shown["source"][0], zf_data.train.images[7])
    assert np.array_equal(shown["source"][0], shown["target"][0])
    assert np.array_equal(shown["source"][1], shown["target"][1][..., ::-1])
    assert len(shown["correlations"]) == 6
