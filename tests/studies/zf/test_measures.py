"""The study `zf`, run small: errors and first layers are those of the weights it stored."""

from statistics import mean

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import ten_crop

from research.data import Dataset, Split
from research.records import Results
from research.studies import zf
from research.studies.zf import features, measures

from .by_hand import Floats, Weights, by_hand, is_mean, weights_of
from .tiny import SIDE


def test_the_run_tells_which_models_it_trained(zf_record: Results) -> None:
    names = [f"{arm}-seed{seed}" for arm in ("zf", "alexnet") for seed in (0, 1)]
    assert list(zf_record.run.models) == names
    assert zf.children(zf.PRESETS["sample"])[::3] == ["zf-seed0", "alexnet-seed0"]
    assert set(zf_record.run.seconds) == {"data", "training", "analysis", "figures"}
    kept = {path.stem for path in (zf_record.folder / "weights").iterdir()}
    assert kept == {*names, *(f"zf-seed{seed}-epoch{n}" for seed in (0, 1) for n in (1, 2))}
    assert zf_record.table("aligned").column("name") == ("faces",)
    assert zf_record.numbers["labelled"].value == 1


@pytest.mark.parametrize("arm", ["zf", "alexnet"])
def test_errors_are_those_of_torchvision_s_ten_crops(
    arm: str, zf_record: Results, zf_data: Dataset, zf_images: Tensor
) -> None:
    crops = torch.stack(ten_crop(zf_data.test.images.double() / 255, SIDE))
    top1, centre = [], []
    for seed in (0, 1):
        w = weights_of(zf_record, f"{arm}-seed{seed}")
        chances = torch.stack([by_hand(w, crop, arm)["logits"].softmax(1) for crop in crops])
        wrong = chances.mean(0).argmax(1) != zf_data.test.labels
        top1.append(wrong.double().mean().item())
        wrong = by_hand(w, zf_images, arm)["logits"].argmax(1) != zf_data.test.labels
        centre.append(wrong.double().mean().item())
        sizes = [weight.numel() for name, weight in w.items() if name != "pixels.mean"]
        assert zf_record.numbers[f"parameters_{arm}"].value == sum(sizes)
    is_mean(zf_record.numbers[f"top1_{arm}"], top1)
    is_mean(zf_record.numbers[f"centre_{arm}"], centre)
    assert mean(top1) < 0.6, "the stripes are not learned: the tests below would show nothing"
    table = zf_record.table("errors")
    at = table.column("arm").index(arm)
    assert table.column("top1")[at] == zf_record.numbers[f"top1_{arm}"]
    assert "top5" not in table.columns, "there are only three classes"


def test_the_gain_is_paired_and_filters_are_held(
    zf_record: Results, zf_weights: list[Weights]
) -> None:
    gain, numbers = zf_record.numbers["top1_gain"], zf_record.numbers
    assert gain.value == pytest.approx(numbers["top1_alexnet"].value - numbers["top1_zf"].value)
    largest = [max((w[f"conv{i}.weight"] ** 2).mean((1, 2, 3)).max().item() ** 0.5
                   for i in range(1, 6)) for w in zf_weights]  # fmt: skip
    is_mean(numbers["largest_rms"], largest)
    assert max(largest) <= 0.1 + 1e-6


def test_top_five_by_a_sort() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 7)).eval()
    images = torch.randint(256, (40, 3, 2, 2), dtype=torch.uint8)
    split = Split(images, torch.randint(7, (40,)))
    logits = model(images.float() / 255)
    ranked = logits.argsort(1, descending=True).tolist()
    labels = split.labels.tolist()
    found = measures.errors_of(model, split, split)
    assert found["centre"] == mean(row[0] != y for row, y in zip(ranked, labels, strict=True))
    mirrored = torch.stack([model(x.float() / 255) for x in (images, images.flip(3))])
    best = mirrored.softmax(2).mean(0).argsort(1, descending=True).tolist()
    assert found["top1"] == mean(row[0] != y for row, y in zip(best, labels, strict=True))
    assert found["top5"] == mean(y not in row[:5] for row, y in zip(best, labels, strict=True))


def test_images_are_spread_over_the_whole_set() -> None:
    assert features.spread(60, 6).tolist() == [0, 10, 20, 30, 40, 50]
    assert features.spread(3, 9).tolist() == [0, 1, 2]


def test_the_grey_is_the_mean_of_all_pixels_alike() -> None:
    images = torch.zeros(513, 3, 2, 2, dtype=torch.uint8)
    images[-1] = 255
    assert measures.grey(Split(images, torch.zeros(513))) == pytest.approx(1 / 513)


def spectra(filters: Floats, points: int) -> tuple[tuple[Floats, Floats], Floats]:
    """Frequencies of rows and columns, and the power of each filter, by sums of waves."""
    cycles = np.array([min(k, points - k) / points for k in range(points)])
    waves = np.exp(-2j * np.pi * np.outer(np.arange(points), np.arange(filters.shape[2])) / points)
    power = (abs(waves @ filters @ waves.T) ** 2).sum(1)
    return (cycles[:, None], cycles[None]), power


@pytest.mark.parametrize(
    ("arm", "kernel", "stride", "padding"), [("zf", 7, 2, 1), ("alexnet", 11, 4, 2)]
)
def test_first_layers_in_a_simple_way(
    arm: str, kernel: int, stride: int, padding: int, zf_record: Results, zf_images: Tensor
) -> None:
    found: dict[str, list[float]] = {name: [] for name in ("dead", "silent", "frequency", "beyond")}
    for seed in (0, 1):
        w = weights_of(zf_record, f"{arm}-seed{seed}")
        filters = w["conv1.weight"].numpy()
        norms = np.sqrt((filters**2).mean((1, 2, 3)))
        found["dead"].append(float((norms < np.median(norms) / 10).mean()))
        (rows, columns), powers = spectra(filters, 64)
        away = (powers * np.hypot(rows, columns)).sum((1, 2)) / powers.sum((1, 2))
        found["frequency"].append(float(away.mean()))
        (rows, columns), powers = spectra(filters, 400)
        beyond = np.maximum(rows, columns) > 1 / (2 * stride)
        found["beyond"].append(float((powers[:, beyond].sum(1) / powers.sum((1, 2))).mean()))
        x = 255 * (zf_images - w["pixels.mean"])
        maps = F.conv2d(x, w["conv1.weight"], w["conv1.bias"], stride, padding)
        found["silent"].append((maps.amax((0, 2, 3)) <= 0).double().mean().item())
        if seed == 0:
            shown = zf_record.arrays(f"filters_{arm}")["weights"]
            assert np.array_equal(shown, filters[np.argsort(-norms)].astype(np.float32))
    for name, values in found.items():
        is_mean(zf_record.numbers[f"first_{name}_{arm}"], values, near=5e-3 * (name == "beyond"))
    table = zf_record.table("first_layers")
    row = dict(zip(table.columns, table.rows[arm == "alexnet"], strict=True))
    assert (row["arm"], row["kernel"], row["stride"], row["filters"]) == (arm, kernel, stride, 6)
    assert 0 <= zf_record.numbers[f"first_aliased_{arm}"].value <= 1


def test_filters_of_zeros_have_no_frequency() -> None:
    assert measures.mean_known(np.array([0.2, np.nan, 0.4])) == pytest.approx(0.3)
    assert measures.mean_known(np.nan) == measures.mean_known(np.array([np.nan])) == 0
    assert measures.mean_known(0.5) == 0.5
