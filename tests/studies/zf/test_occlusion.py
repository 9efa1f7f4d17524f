"""The study `zf`, run small: occlusion by a loop over squares."""

from statistics import mean

import numpy as np
import pytest
from scipy.stats import rankdata
from torch import Tensor

from research.data import Dataset
from research.records import Results
from research.studies.zf import occlusion

from .by_hand import Floats, Weights, by_hand, is_mean
from .tiny import STRIDE, WINDOW, evenly

EDGES = [0, 9, 18, 27, 36]
"""First pixels of the squares."""


def occluded(w: Weights, image: Tensor, label: int, grey: float) -> dict[str, Floats]:
    """Activity, probability and class by place, each square painted by itself; and of the whole."""
    whole = by_hand(w, image[None])
    strongest = int(whole["relu5"].amax((2, 3)).argmax())
    found = np.zeros((3, len(EDGES), len(EDGES)))
    for i, top in enumerate(EDGES):
        for j, left in enumerate(EDGES):
            painted = image.clone()
            painted[:, top : top + WINDOW, left : left + WINDOW] = grey
            after = by_hand(w, painted[None])
            chances = after["logits"][0].softmax(0)
            found[:, i, j] = after["relu5"][0, strongest].sum(), chances[label], chances.argmax()
    activity, (chances,) = whole["relu5"][0, strongest].sum().item(), whole["logits"].softmax(1)
    return {"activity": found[0] / (activity or 1), "probability": found[1], "label": found[2],
            "map": np.array(strongest), "whole_probability": chances[label].numpy(),
            "whole_label": chances.argmax().numpy()}  # fmt: skip


@pytest.fixture(scope="module")
def squares(
    zf_weights: list[Weights], zf_images: Tensor, zf_data: Dataset, grey: float
) -> list[list[dict[str, Floats]]]:
    """By seed and image."""
    labels = zf_data.test.labels.tolist()
    return [[occluded(w, zf_images[i], labels[i], grey) for i in evenly(6)] for w in zf_weights]


def test_maps_of_occlusion_are_those_of_a_loop_over_squares(
    zf_record: Results, zf_images: Tensor, squares: list[list[dict[str, Floats]]], grey: float
) -> None:
    shown = zf_record.arrays("occlusion")
    assert zf_record.numbers["occlusion_fill"].value == pytest.approx(grey)
    assert shown["fill"] == pytest.approx(grey)
    assert shown["window"] == WINDOW and shown["stride"] == STRIDE
    assert shown["edges"].tolist() == EDGES
    assert list(shown["classes"]) == ["across", "down", "sloping"]
    assert len(set(shown["true"])) == len(shown["true"]) == 2, "of different classes"
    spread = zf_images[evenly(6)].float().numpy()
    for number, image in enumerate(shown["image"]):
        [at] = [i for i, one in enumerate(spread) if np.array_equal(one, image)]
        assert at // 2 == shown["true"][number]
        for name, expected in squares[0][at].items():
            assert np.allclose(shown[name][number], expected, atol=2e-5), name


def test_agreement_over_images_is_counted_by_hand(
    zf_record: Results, squares: list[list[dict[str, Floats]]]
) -> None:
    ranks, drops, changed = [], [], []
    for found in squares:
        varying = [(rankdata(one["activity"]), rankdata(one["probability"])) for one in found
                   if np.ptp(one["activity"]) > 0]  # fmt: skip
        ranks.append(mean(float(np.corrcoef(*pair)[0, 1]) for pair in varying))
        drops.append(mean(float(o["whole_probability"] - o["probability"].min()) for o in found))
        changed.append(mean(float((o["label"] != o["whole_label"]).any()) for o in found))
    # ranks of values that are equal in float32 may differ
    is_mean(zf_record.numbers["occlusion_ranks"], ranks, near=5e-3)
    is_mean(zf_record.numbers["occlusion_drop"], drops, near=1e-5)
    is_mean(zf_record.numbers["occlusion_changed"], changed)
    assert zf_record.numbers["occluded"].value == 6 and max(drops) > 0


def test_images_that_lose_most_come_first_and_those_that_are_right_before_all() -> None:
    def image(true: int, whole: int, loss: float) -> dict[str, Floats]:
        values = {"true": true, "whole_label": whole, "whole_probability": 1.0}
        return {k: np.array(v) for k, v in values.items()} | {
            "probability": np.array([1, 1 - loss])
        }

    found = [image(0, 0, 0.1), image(0, 0, 0.3), image(1, 0, 0.9), image(2, 2, 0.4)]
    chosen = occlusion.of_different_classes(found)
    assert [(int(o["true"]), round(occlusion.loss_of(o), 3)) for o in chosen] == [
        (2, 0.4), (0, 0.3), (1, 0.9),
    ]  # fmt: skip


def test_where_nothing_varies_there_is_no_rank() -> None:
    flat = {"activity": np.zeros((2, 2)), "probability": np.ones((2, 2)), "label": np.ones((2, 2)),
            "whole_label": np.array(1), "whole_probability": np.array(1.0)}  # fmt: skip
    assert occlusion.agreement([flat]) == {"ranks": 0, "drop": 0, "changed": 0}
