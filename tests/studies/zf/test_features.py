"""The study `zf`, run small: the strongest activations, and how they come about."""

from collections import Counter
from math import comb
from statistics import mean
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from research.data import Dataset, Split
from research.errors import UserError
from research.methods.chain import Chain
from research.records import Results
from research.studies import zf
from research.studies.zf import features, measures

from .by_hand import Floats, Outputs, Weights, by_hand, is_mean, weights_of
from .tiny import SIDE

LAYERS = [f"relu{number}" for number in (1, 2, 3, 4, 5)]
"""Those that are shown."""


def peaks(maps: Tensor) -> Tensor:
    """(maps, images)"""
    return maps.flatten(2).amax(2).T if maps.ndim == 4 else maps.T


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_the_nine_strongest_are_those_of_a_plain_sort(
    number: int, zf_record: Results, zf_outputs: list[Outputs]
) -> None:
    sheet, layer = zf_record.arrays(f"tops_layer{number}"), f"relu{number}"
    values = peaks(zf_outputs[0][layer])
    alive = [i for i in range(len(values)) if (values[i] > 0).sum() >= 9]
    assert set(sheet["maps"]) <= set(alive)
    assert len(sheet["maps"]) == min(2, len(alive)) and (np.diff(sheet["maps"]) > 0).all()
    for number, found in zip(sheet["maps"], sheet["images"], strict=True):
        assert len(set(found)) == 9
        best = sorted(values[number].tolist(), reverse=True)[:9]
        # of values that are equal in float32 either may come first
        assert np.allclose(values[number, torch.from_numpy(found)], best, rtol=1e-4)


@pytest.mark.parametrize(("number", "step", "size"), [(1, 2, 7), (2, 8, 27)])
def test_patches_are_the_image_where_the_unit_looks(
    number: int, step: int, size: int, zf_record: Results, zf_images: Tensor,
    zf_outputs: list[Outputs], zf_weights: list[Weights],
) -> None:  # fmt: skip
    sheet, maps = zf_record.arrays(f"tops_layer{number}"), zf_outputs[0][f"relu{number}"]
    assert sheet["patches"].shape[2:] == sheet["projections"].shape[2:] == (3, size, size)
    padded = np.pad(zf_images, ((0, 0), (0, 0), (32, 32), (32, 32)), constant_values=0.5)
    columns = [sheet[name] for name in ("maps", "images", "patches", "projections")]
    for m, found, patches, shown in zip(*columns, strict=True):
        for image, patch, projection in zip(found, patches, shown, strict=True):
            row, column = divmod(int(maps[image, m].argmax()), maps.shape[3])
            top, left = 32 + step * row - 1, 32 + step * column - 1
            seen = padded[image, :, top : top + size, left : left + size]
            assert np.allclose(patch, seen, atol=1e-6)
            outside = np.pad(np.zeros((SIDE, SIDE)), 32, constant_values=1)
            beyond = outside[top : top + size, left : left + size] == 1
            assert (projection[:, beyond] == 0).all() and projection.any()
            if number == 1:
                by_filter = (255 * maps[image, m].max() * zf_weights[0]["conv1.weight"][m]).numpy()
                assert np.allclose(projection, by_filter * ~beyond, rtol=1e-3, atol=1e-3)


def test_upper_layers_see_the_whole_image(zf_record: Results, zf_images: Tensor) -> None:
    assert zf_record.table("layers").column("field") == (7, 27, SIDE, SIDE, SIDE)
    sheet = zf_record.arrays("tops_layer5")
    assert np.allclose(sheet["patches"][0], zf_images[sheet["images"][0]], atol=1e-6)


def test_purity_and_its_chance_are_counted_by_hand(
    zf_record: Results, zf_outputs: list[Outputs], zf_data: Dataset
) -> None:
    labels, rows = zf_data.test.labels.tolist(), zf_record.table("layers")
    assert list(rows.column("layer")) == LAYERS
    for layer, maps, active, pure in zip(*map(rows.column, ("layer", "maps", "active", "purity")),
                                         strict=True):  # fmt: skip
        shares: list[list[float]] = []
        for found in zf_outputs:
            values = peaks(found[str(layer)])
            alive = values[(values > 0).sum(1) >= 9]
            tops = [[labels[i] for i in row.argsort(descending=True)[:9]] for row in alive]
            shares.append([Counter(top).most_common(1)[0][1] / 9 for top in tops])
        assert maps == len(values)
        is_mean(active, [len(one) / len(values) for one in shares])
        is_mean(pure, [mean(one) for one in shares], near=0.02)
    for end, row in (("first", 0), ("last", -1)):
        assert zf_record.numbers[f"purity_{end}"] == rows.column("purity")[row]
    # nine of 20 + 20 + 20 images, in each way in which they can fall
    ways = {(a, b, 9 - a - b): comb(20, a) * comb(20, b) * comb(20, 9 - a - b)
            for a in range(10) for b in range(10 - a)}  # fmt: skip
    chance = sum(max(way) / 9 * count for way, count in ways.items()) / comb(60, 9)
    assert zf_record.numbers["purity_chance"].value == pytest.approx(chance, abs=0.005)


def test_of_many_layers_five_are_shown_with_the_first_and_the_last() -> None:
    parts = [p for i in range(13) for p in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
    model = nn.Sequential(nn.ReLU(), *parts, nn.Flatten(), nn.Linear(48, 4), nn.ReLU())
    layers, last = features.shown_layers(Chain(model, torch.rand(2, 3, 4, 4)))
    assert layers == ("2", "8", "14", "20", "26") and last == "29"
    for useless in (nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.ReLU()),
                    nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3), nn.Flatten())):  # fmt: skip
        with pytest.raises(UserError, match="must have a ReLU behind a convolution"):
            features.shown_layers(Chain(useless, torch.rand(2, 3, 4, 4)))


@pytest.fixture(scope="module")
def past(zf_record: Results, zf_images: Tensor, zf_outputs: list[Outputs]) -> list[list[Outputs]]:
    """Outputs by seed and epoch."""
    return [
        [by_hand(weights_of(zf_record, f"zf-seed{seed}-epoch{n}"), zf_images) for n in (1, 2)]
        + [zf_outputs[seed]]
        for seed in (0, 1)
    ]  # fmt: skip


def test_evolution_follows_one_map_through_the_snapshots(
    zf_record: Results, past: list[list[Outputs]]
) -> None:
    changes = steps = 0
    for number, layer in enumerate(LAYERS, start=1):
        shown = zf_record.arrays(f"evolution_layer{number}")
        best = torch.stack([peaks(one[layer]).amax(1) for one in past[0]])  # (epochs, maps)
        [followed] = shown["map"]
        counts = [int(sum(one > 0)) * bool(one[-1] > 0) for one in best.T]
        assert followed == counts.index(max(counts))
        assert shown["epochs"].tolist() == [1, 2, 3]
        values = [peaks(one[layer])[followed] for one in past[0]]
        for image, value, drawn in zip(shown["images"], values, shown["projections"], strict=True):
            if value.max() > 0:
                assert value[image] == pytest.approx(value.max().item(), rel=1e-5)
                assert drawn.any() and not np.isnan(drawn).any()
            else:
                assert image == -1 and np.isnan(drawn).all()
        for before, after in zip(shown["images"], shown["images"][1:], strict=False):
            steps += before >= 0 and after >= 0
            changes += before >= 0 and after >= 0 and before != after
    assert zf_record.numbers["evolution_changes"].value == changes
    assert zf_record.numbers["evolution_steps"].value == steps > 0
    assert zf_record.numbers["stages"].value == 3


def hsic(x: Floats, y: Floats) -> float:
    """Of linear kernels, by the centring matrix."""
    n = len(x)
    centring = np.eye(n) - 1 / n
    return float(np.trace(x @ x.T @ centring @ y @ y.T @ centring))


def test_layers_converge_by_hsic(zf_record: Results, past: list[list[Outputs]]) -> None:
    curves = zf_record.arrays("converging")
    assert curves.pop("epochs").tolist() == [1, 2, 3] and list(curves) == [*LAYERS, "relu7"]
    probes = [i * 60 // 8 for i in range(8)]
    for layer, found in curves.items():
        for seed, line in enumerate(found):
            final = past[seed][-1][layer][probes].flatten(1).numpy()
            for one, value in zip(past[seed], line, strict=True):
                x = one[layer][probes].flatten(1).numpy()
                cka = hsic(x, final) / (hsic(x, x) * hsic(final, final)) ** 0.5 if x.any() else 0
                assert value == pytest.approx(cka, abs=1e-4)
        assert np.allclose(found[:, -1], 1)
    is_mean(zf_record.numbers["converged_first"], curves["relu1"][:, 0].tolist())
    is_mean(zf_record.numbers["converged_last"], curves["relu7"][:, 0].tolist())


def grown(*biases: float, images: int = 4) -> features.Viewed:
    """A network that sees single pixels, red ones the more, with a map for each bias."""
    model = nn.Sequential(nn.Conv2d(3, len(biases), 1), nn.ReLU(), nn.Flatten(),
                          nn.Linear(9 * len(biases), 2))  # fmt: skip
    weights = dict(model.named_parameters())
    with torch.no_grad():
        weights["0.weight"].zero_()[:, 0] = 1
        weights["0.bias"].copy_(torch.tensor(biases))
    pixels = torch.arange(27 * images, dtype=torch.uint8).view(images, 3, 3, 3)
    test = Split(pixels, torch.zeros(images).long())
    return features.viewed(model, test, ("a", "b"), zf.PRESETS["sample"])


def test_a_map_that_is_silent_for_a_while_is_not_drawn_then() -> None:
    log = MagicMock()
    past = {1: grown(0.0, -9.0), 2: grown(0.0, 0.0), 5: grown(-9.0, 0.1)}
    features.draw_evolution(past, log)
    found = log.arrays.call_args.kwargs
    assert found["map"] == 1 and found["epochs"].tolist() == [1, 2, 5]
    assert found["images"].tolist() == [-1, 3, 3]
    assert np.isnan(found["projections"]).all((1, 2, 3)).tolist() == [True, False, False]
    assert found["projections"][1:, 0, 0, 0] == pytest.approx([89 / 255, 89 / 255 + 0.1])
    numbers = {name: value for (name, value), _ in log.number.call_args_list}
    assert numbers == {"evolution_changes": 0, "evolution_steps": 1}


def logged(calls: MagicMock) -> dict[str, Any]:
    return {call.args[0]: call.args[1] for call in calls.call_args_list}


def test_a_silent_layer_is_a_finding_and_is_left_out() -> None:
    log = MagicMock()
    features.measure_tops([grown(-9.0, images=9), grown(0.1, images=9)], zf.PRESETS["sample"], log)
    [text] = [call.args[0] for call in log.finding.call_args_list]
    assert text.startswith("Layer '1' is silent in 1 of 2 networks")
    assert logged(log.number)["silent_layers"] == 1 and not log.arrays.called
    table = logged(log.table)["layers"]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["active"].values == (0, 1) and row["purity"].values == (1,), "of the other seed"
    assert logged(log.claim)["last_more_specific"].n == 1

    log = MagicMock()
    features.measure_tops([grown(-9.0, images=9)], zf.PRESETS["sample"], log)
    assert not {"purity_first", "purity_last"} & logged(log.number).keys()
    assert not log.claim.called and log.finding.called

    features.draw_evolution({1: grown(0.0), 2: grown(-9.0)}, log := MagicMock())
    assert not log.arrays.called and logged(log.number)["evolution_steps"] == 0


def test_maps_that_nothing_excites_are_silent() -> None:
    found = measures.first_layer(grown(-9.0, 0.0, -9.0, -0.3), zf.PRESETS["sample"])
    assert found["silent"] == 0.5 and found["dead"] == 0
    assert found["frequency"] == pytest.approx(0.3826, abs=1e-3), "that of a single pixel"
