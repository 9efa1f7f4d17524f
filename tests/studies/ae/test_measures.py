"""The study `ae`, run small: what it logs is re-derived from the weights it stored."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from torch.nn import functional as F

from research.config import Data
from research.data import load
from research.records import Results


def test_every_layer_has_its_kernels_and_maps_as_files(record: Results) -> None:
    weights = load_file(record.folder / "weights/transpose-seed0.safetensors")
    for name in ("encoder.conv1", "encoder.conv2", "decoder.conv1", "decoder.conv2"):
        kernel = np.load(record.folder / f"kernels/transpose/{name}.npy")
        assert np.array_equal(kernel, weights[f"{name}.weight"].numpy())
        assert (record.folder / f"kernels/transpose/{name}.png").stat().st_size > 50
    layers = record.table("layers")
    for arm, layer, *described in layers.rows:
        maps = np.load(record.folder / f"activations/{arm}/{layer}.npy")
        shape = " × ".join(map(str, maps.shape))
        assert described == [shape, maps.min(), maps.max(), (maps == 0).mean()]
    assert [row[1] for row in layers.rows if row[0] == "transpose"] == [
        "encoder.conv1", "encoder.relu1", "encoder.pool1", "encoder.conv2", "encoder.relu2",
        "encoder.pool2", "decoder.conv1", "decoder.relu1", "decoder.conv2", "decoder.sigmoid",
    ]  # fmt: skip


def test_the_sample_is_the_image_that_was_asked_for(record: Results) -> None:
    test = load(Data("mnist-sample")).test
    third = test.images[test.labels == 3][2].float() / 255
    assert np.allclose(record.arrays("sample")["image"], third)


def by_hand(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Reconstructions of the transposed network."""
    for i in (1, 2):
        x = F.conv2d(x, weights[f"encoder.conv{i}.weight"], weights[f"encoder.conv{i}.bias"], 1, 1)
        x = F.max_pool2d(x.clamp(min=0), 2)
    for i in (1, 2):
        w, b = weights[f"decoder.conv{i}.weight"], weights[f"decoder.conv{i}.bias"]
        x = F.conv_transpose2d(x, w, b, 2)
        x = x.clamp(min=0) if i == 1 else torch.sigmoid(x)
    return x


def test_errors_are_those_of_the_stored_weights(record: Results) -> None:
    images = load(Data("mnist-sample")).test.images.float() / 255
    errors, losses = [], []
    for seed in (0, 1):
        weights = load_file(record.folder / f"weights/transpose-seed{seed}.safetensors")
        out = by_hand(weights, images).double()
        errors.append(((out - images) ** 2).mean().item())
        losses.append(-(images * out.log() + (1 - images) * (1 - out).log()).mean().item())
    numbers = record.numbers
    assert numbers["mse_transpose"].value == pytest.approx(np.mean(errors), rel=1e-4)
    assert numbers["bce_transpose"].value == pytest.approx(np.mean(losses), rel=1e-4)
    assert numbers["mse_transpose"].span == pytest.approx(sorted(errors), rel=1e-4)
    curve = record.arrays("curve_transpose-seed1")
    assert curve["loss_train"].shape == curve["loss_test"].shape == (2,)
    assert curve["loss_test"][-1] == pytest.approx(losses[1], rel=1e-4)


def test_linear_baselines_are_those_of_the_singular_vectors(record: Results) -> None:
    data = load(Data("mnist-sample"))
    train, test = (
        split.images.flatten(1).double().numpy() / 255 for split in (data.train, data.test)
    )
    mean = train.mean(0)
    size = int(record.numbers["code_size"].value)
    assert size == 4 * 7 * 7
    basis = np.linalg.svd(train - mean, full_matrices=False)[2][:size]
    rebuilt = ((test - mean) @ basis.T @ basis + mean).clip(0, 1)
    assert record.numbers["mse_pca"].value == pytest.approx(
        ((rebuilt - test) ** 2).mean(), rel=1e-3
    )
    assert record.numbers["mse_mean"].value == pytest.approx(((mean - test) ** 2).mean(), rel=1e-4)


def test_class_means_weigh_up_to_the_whole(record: Results) -> None:
    labels = load(Data("mnist-sample")).test.labels.numpy()
    shares = np.bincount(labels) / len(labels)
    column = [cell.value for cell in record.table("classes").column("psnr_upsample")]  # type: ignore[union-attr]
    assert np.dot(shares, column) == pytest.approx(record.numbers["psnr_upsample"].value, rel=1e-6)


def test_claims_are_scipys_paired_tests_of_the_stored_numbers(record: Results) -> None:
    numbers, claims = record.numbers, record.claims
    pairs = {
        "transpose_beats_pca": ("mse_pca", "mse_transpose"),
        "upsample_beats_pca": ("mse_pca", "mse_upsample"),
        "upsample_sharper": ("psnr_transpose", "psnr_upsample"),
        "upsample_more_similar": ("ssim_transpose", "ssim_upsample"),
        "upsample_less_checkered": ("checkerboard_transpose", "checkerboard_upsample"),
        "transpose_code_beats_pixels": ("knn_pixels", "knn_transpose"),
        "upsample_code_beats_pixels": ("knn_pixels", "knn_upsample"),
    }
    assert set(claims) == set(pairs)
    for name, (before, after) in pairs.items():
        after_values = numbers[after].values
        before_values = numbers[before].values or [numbers[before].value] * len(after_values)
        test = stats.ttest_rel(after_values, before_values)
        p = claims[name].p
        assert (p is None and np.isnan(test.pvalue)) or p == pytest.approx(test.pvalue)
        assert claims[name].outcome == "undecided"  # two seeds tell nothing
    assert {claims[name].direction for name in pairs if "pca" in name or "less" in name} == {"less"}
    assert not numbers["mse_pca"].values
