"""Image measures against scikit-image, NumPy and planted patterns."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from research.errors import ArgumentError
from research.methods import reconstruction

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 3, 24, 20)).astype(np.float32)
NOISY = np.clip(IMAGES + 0.2 * RNG.standard_normal(IMAGES.shape), 0.01, 0.99).astype(np.float32)
PAIR = torch.from_numpy(IMAGES), torch.from_numpy(NOISY)


def test_ssim_equals_scikit_image() -> None:
    expected = [
        structural_similarity(  # type: ignore[no-untyped-call]
            x.astype(np.float64),
            y.astype(np.float64),
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in zip(IMAGES, NOISY, strict=True)
    ]
    assert np.allclose(reconstruction.ssim(*PAIR).numpy(), expected, atol=1e-10)
    assert np.allclose(reconstruction.ssim(PAIR[0], PAIR[0]), 1)


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(ValueError, match="at least 11×11 pixels, got 10×32"):
        reconstruction.ssim(torch.rand(1, 3, 10, 32), torch.rand(1, 3, 10, 32))


@pytest.mark.parametrize("name", ["bce", "mse", "psnr", "ssim"])
def test_a_reconstruction_of_another_shape_is_not_broadcast(name: str) -> None:
    """A grey reconstruction would be compared with each channel, and give a number."""
    grey = PAIR[1].mean(1, keepdim=True)
    assert grey.shape[1] != PAIR[0].shape[1]
    with pytest.raises(ArgumentError, match="must have the images' shape"):
        getattr(reconstruction, name)(PAIR[0], grey)


def test_psnr_equals_scikit_image() -> None:
    expected = [
        peak_signal_noise_ratio(x, y, data_range=1)  # type: ignore[no-untyped-call]
        for x, y in zip(IMAGES, NOISY, strict=True)
    ]
    assert np.allclose(reconstruction.psnr(*PAIR), expected, atol=1e-4)


def test_bce_equals_its_definition_and_never_falls_below_the_entropy() -> None:
    x, y = IMAGES.astype(np.float64), NOISY.astype(np.float64)
    expected = -(x * np.log(y) + (1 - x) * np.log(1 - y)).mean((1, 2, 3))
    assert np.allclose(reconstruction.bce(*PAIR), expected, atol=1e-5)
    entropy = -(x * np.log(x) + (1 - x) * np.log(1 - x)).mean((1, 2, 3))
    assert np.allclose(reconstruction.entropy_floor(PAIR[0]), entropy, atol=1e-5)
    assert (reconstruction.bce(*PAIR) > reconstruction.entropy_floor(PAIR[0])).all()


def test_entropy_of_black_and_white_is_zero() -> None:
    assert reconstruction.entropy_floor(torch.eye(4).view(1, 1, 4, 4)).item() == 0


def test_checkerboard_energy_of_planted_patterns() -> None:
    i, j = torch.meshgrid(torch.arange(16), torch.arange(32), indexing="ij")
    board = (-1.0) ** (i + j)
    waves = torch.cos(2 * torch.pi * j / 32) + torch.sin(2 * torch.pi * 3 * i / 16)

    def energy(pattern: torch.Tensor) -> float:
        return reconstruction.checkerboard_energy(pattern.view(1, 1, 16, 32) + 0.3)

    assert energy(board) == pytest.approx(1)
    assert energy((-1.0) ** j) == pytest.approx(1)
    assert energy(waves) == pytest.approx(0, abs=1e-9)
    # power ½ of each wave against power 1 of the board
    assert energy(waves + board) == pytest.approx(0.5)


def test_checkerboard_energy_of_white_noise() -> None:
    noise = torch.randn(400, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    share = reconstruction.white_noise_share(32, 32)
    assert share == pytest.approx(63 / 1023)
    # a share of 1.2 million exponential powers: its standard deviation is 0.0002
    assert reconstruction.checkerboard_energy(noise) == pytest.approx(share, abs=0.001)


def test_measure_is_independent_of_its_parts_and_drops_bce_of_a_linear_code() -> None:
    whole, parts = reconstruction.measure(*PAIR), reconstruction.measure(*PAIR, part=2)
    assert whole.keys() == {"bce", "mse", "psnr", "ssim"}
    for name, values in whole.items():
        assert torch.allclose(values, parts[name], atol=1e-7)
    beyond = PAIR[1] * 3 - 1
    clipped = reconstruction.measure(PAIR[0], beyond)
    assert clipped.keys() == {"mse", "psnr", "ssim"}
    expected = ((IMAGES - np.clip(beyond.numpy(), 0, 1)) ** 2).mean((1, 2, 3))
    assert np.allclose(clipped["mse"], expected, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_perfect_copy_has_no_error_and_no_checkerboard() -> None:
    images = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    found = reconstruction.measure(images, images)
    assert found["mse"].tolist() == [0, 0] and torch.isinf(found["psnr"]).all()
    assert torch.allclose(found["ssim"], torch.ones(2).double())
    assert math.isnan(reconstruction.checkerboard_energy(images - images))
    black = torch.zeros(1, 1, 12, 12)
    assert reconstruction.ssim(black, black).item() == pytest.approx(1)
    # PyTorch ends the logarithm there
    assert reconstruction.bce(black, black + 1).item() == pytest.approx(100)


def test_a_lost_reconstruction_costs_nan_and_no_error() -> None:
    """PyTorch's own refuses it; of the others the value and the gradient are PyTorch's."""
    images, shares = torch.rand(2, 2, 1, 3, 3)
    shares.requires_grad_()
    ours, theirs = (
        torch.autograd.grad(loss.sum(), shares)[0]
        for loss in (
            reconstruction.bce(images, shares),
            torch.nn.functional.binary_cross_entropy(shares, images, reduction="none") / 9,
        )
    )
    assert torch.equal(ours, theirs)
    lost = shares.detach().clone()
    lost[1, 0, 0, 0] = torch.nan
    found = reconstruction.bce(images, lost)
    assert found[0] == reconstruction.bce(images, shares)[0] and found[1].isnan()
