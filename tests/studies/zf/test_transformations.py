"""The study `zf`, run small: invariance and correspondence by hand."""

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import mean

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests
from torch import Tensor

from research.config import Data
from research.data import Dataset, load
from research.models import ZFNet
from research.records import Results
from research.studies.zf import transformations
from research.studies.zf.settings import PARTS

from .by_hand import Weights, by_hand, is_mean
from .tiny import SIDE, evenly

NAMES = [name for name, *_ in PARTS]


def test_whole_pixels_and_quarter_turns_by_slicing(
    zf_record: Results, zf_weights: list[Weights], zf_images: Tensor, zf_data: Dataset, grey: float
) -> None:
    images, labels = zf_images[evenly(8)], zf_data.test.labels[evenly(8)]
    down = torch.full_like(images, grey)
    down[:, :, 6:] = images[:, :, :-6]
    up = torch.full_like(images, grey)
    up[:, :, :-12] = images[:, :, 12:]
    changes = {("translation", 0.125): down, ("translation", -0.25): up, ("scale", 1.0): images,
               ("rotation", 90.0): torch.rot90(images, 1, (2, 3))}  # fmt: skip
    for (name, amount), changed in changes.items():
        data = zf_record.arrays(f"invariance_{name}")
        at = data["amounts"].tolist().index(amount)
        for seed, w in enumerate(zf_weights):
            before, after = by_hand(w, images), by_hand(w, changed)
            for end, layer in (("first", "relu1"), ("last", "relu7")):
                x, y = before[layer].flatten(1), after[layer].flatten(1)
                unit = mean((a - b).norm().item() for a, b in combinations(x, 2))
                moved = mean((a - b).norm().item() for a, b in zip(x, y, strict=True)) / unit
                assert data[end][seed, at] == pytest.approx(moved, rel=1e-4, abs=1e-5)
            chances = after["logits"].softmax(1)[range(8), labels]
            assert data["probability"][seed, at] == pytest.approx(chances.mean().item(), abs=1e-5)
        if (name, amount) == ("translation", 0.125):
            for key in ("first", "last", "probability"):
                is_mean(zf_record.numbers[f"translation_{key}"], data[key][:, at].tolist())
        if name == "scale":
            is_mean(zf_record.numbers["unmoved_probability"], data["probability"][:, at].tolist())
    assert zf_record.numbers["moved"].value == 8


def test_the_amounts_told_in_words_are_on_the_curves(zf_record: Results) -> None:
    for name, amount in {"translation": 1 / 8, "scale": 1.4, "rotation": 30}.items():
        data = zf_record.arrays(f"invariance_{name}")
        at = data["amounts"].tolist().index(amount)
        for key in ("first", "last", "probability"):
            is_mean(zf_record.numbers[f"{name}_{key}"], data[key][:, at].tolist())


def signs(before: Tensor, after: Tensor) -> Tensor:
    """Of what changes by more than a millionth of the image's largest feature."""
    whole, change = before.flatten(1), (before - after).flatten(1)
    return change.sign() * (change.abs() > 1e-6 * whole.abs().amax(1, keepdim=True))


def deltas(w: Weights, layer: str, faces: Tensor, hide: Callable[[Tensor], None]) -> list[float]:
    """Of each five faces the share of units with other signs, over pairs."""
    hidden = faces.clone()
    hide(hidden)
    found = signs(by_hand(w, faces)[layer], by_hand(w, hidden)[layer])
    return [
        mean((a != b).double().mean().item() for a, b in combinations(found[i : i + 5], 2))
        for i in range(0, 100, 5)
    ]


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return load(Data("faces", size=SIDE)).test.images[:100].double() / 255


@pytest.mark.parametrize(("layer", "key"), [("relu5", "shown"), ("relu7", "last")])
def test_delta_of_the_nose_by_a_loop_over_pairs(
    layer: str, key: str, zf_record: Results, zf_weights: list[Weights], faces: Tensor, grey: float
) -> None:
    rows, cells, part = round(0.4 * SIDE), round(0.34 * SIDE), NAMES.index("nose")

    def hide(hidden: Tensor) -> None:
        hidden[:, :, rows : rows + 10, cells : cells + 13] = grey  # 0.20 and 0.28 of 48 pixels

    found = np.mean([deltas(w, layer, faces, hide) for w in zf_weights], 0)
    logged = zf_record.arrays(f"deltas_{key}")
    assert np.allclose(logged["parts"][part], found, atol=1e-3) and found.any()
    table = zf_record.table("correspondence")
    assert table.column("part") == (*NAMES, "random", "same place")
    is_mean(table.column(key)[part], logged["parts"][part].tolist())


def test_controls_are_hidden_where_the_generator_draws(
    zf_record: Results, zf_weights: list[Weights], faces: Tensor, grey: float
) -> None:
    order, room = torch.Generator().manual_seed(0), torch.tensor([0.8, 0.72]).double()
    draws = [torch.rand(100, 2, generator=order, dtype=torch.float64) * room for _ in range(10)]
    together = torch.rand(10, 2, generator=order, dtype=torch.float64) * room

    def box(corner: Tensor) -> tuple[slice, slice]:
        top, left = (round(float(edge) * SIDE) for edge in corner)
        return slice(min(top, 38), min(top, 38) + 10), slice(min(left, 35), min(left, 35) + 13)

    def everywhere(hidden: Tensor) -> None:
        for face, corner in zip(hidden, draws[3], strict=True):
            face[(slice(None), *box(corner))] = grey

    def here(hidden: Tensor) -> None:
        hidden[(slice(None), slice(None), *box(together[7]))] = grey

    for kind, at, hide in (("random", 3, everywhere), ("places", 7, here)):
        found = np.mean([deltas(w, "relu5", faces, hide) for w in zf_weights], 0)
        assert np.allclose(zf_record.arrays("deltas_shown")[kind][at], found, atol=1e-3), kind


def test_the_untrained_network_is_that_of_the_seed(
    zf_record: Results, faces: Tensor, grey: float, zf_data: Dataset, zf_weights: list[Weights]
) -> None:
    def hide(hidden: Tensor) -> None:
        hidden[:, :, 11:21, 7:20] = grey  # the right eye, from 0.23 and 0.14

    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        fresh = ZFNet(0.0625, 3, side=SIDE, mean=zf_weights[0]["pixels.mean"].float())
        assert not torch.equal(fresh.state_dict()["conv1.weight"], zf_weights[seed]["conv1.weight"])
        w = {name: weight.double() for name, weight in fresh.state_dict().items()}
        found.append(deltas(w, "relu5", faces, hide))
    part = NAMES.index("right eye")
    logged = zf_record.arrays("deltas_untrained")
    assert np.allclose(logged["parts"][part], np.mean(found, 0), atol=1e-3)
    gaps = logged["parts"].mean(0) - logged["random"].mean(0)
    is_mean(zf_record.numbers["gap_untrained_random"], gaps.tolist())


@pytest.mark.parametrize("key", ["shown", "last"])
def test_gaps_and_tests_are_those_of_other_libraries(key: str, zf_record: Results) -> None:
    found, table = zf_record.arrays(f"deltas_{key}"), zf_record.table("correspondence")
    for control, boxes in (("random", found["random"]), ("same_place", found["places"])):
        gaps = found["parts"] - boxes.mean(0)
        column = table.column(f"{key}_{control}")
        assert column[4:] == (None, None)
        for cell, one in zip(column[:4], gaps, strict=True):
            is_mean(cell, one.tolist())
        p = [wilcoxon(one, alternative="two-sided").pvalue for one in gaps]
        sure = multipletests(p, 0.05, "holm")[0]
        lower = sum(sure & (gaps.mean(1) < 0))
        assert zf_record.numbers[f"agreeing_{key}_{control}"].value == lower
        is_mean(zf_record.numbers[f"gap_{key}_{control}"], gaps.mean(0).tolist())
        row = ["random", "same_place"].index(control) + 4
        is_mean(table.column(key)[row], boxes.mean(0).tolist())
    exact = by_all_splits(found["parts"].mean(1).tolist(), found["places"].mean(1).tolist())
    assert zf_record.numbers[f"places_{key}_p"].value == pytest.approx(exact)
    assert [zf_record.numbers[n].value for n in ("faces", "face_groups", "parts")] == [100, 20, 4]


def by_all_splits(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of the rank sum of `a` among all ways to choose as many of both."""
    ranks = rankdata([*a, *b])
    middle = len(a) * (len(ranks) + 1) / 2
    far = abs(ranks[: len(a)].sum() - middle)
    sums = [abs(sum(chosen) - middle) for chosen in combinations(ranks, len(a))]
    return float(np.mean([one >= far for one in sums]))


def test_where_nothing_differs_nothing_is_shown() -> None:
    assert transformations.signed_ranks_p(np.zeros(20)) == 1
    same = transformations.Deltas({"a": np.zeros(4)}, np.zeros((10, 4)), np.zeros((10, 4)))
    assert transformations.against_places(same) == 1
