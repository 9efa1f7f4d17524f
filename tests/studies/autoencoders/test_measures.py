"""The study `autoencoders`, run small: what it logs is re-derived from the weights it stored."""

import numpy as np
import pytest
import torch

from research.data import Dataset
from research.records import Array, Number, Results
from research.studies.autoencoders.settings import FIXED

from .by_hand import (
    denoiser_by_hand,
    dense_by_hand,
    errors,
    floats,
    noise_of,
    pooled_by_hand,
    similarity,
    upsample_by_hand,
    weights,
)


def row(record: Results, network: str) -> dict[str, object]:
    table = record.table("networks")
    return dict(zip(table.columns, table.rows[table.column("network").index(network)], strict=True))


def test_every_network_of_the_list_is_trained_on_every_seed(record: Results) -> None:
    sized = ["simple", "simple-1maps", "upsample", "upsample-1maps"]
    sized += ["picture_simple", "picture_simple-2maps", "picture_conv", "picture_conv-2maps"]
    groups = [*FIXED, *sized, "noisy_simple", "noisy_conv"]
    assert set(record.run.models) == {f"{g}-seed{seed}" for g in groups for seed in (0, 1)}


@pytest.mark.parametrize("group", ["linear", "shallow", "agarap", "published", "mended"])
def test_errors_of_dense_networks_are_those_of_the_stored_weights(
    group: str, record: Results, digits: Dataset
) -> None:
    for side, name in ((digits.test, "mse"), (digits.train, "train")):
        images = floats(side)
        found = errors([dense_by_hand(w, images, group) for w in weights(record, group)], images)
        assert record.numbers[f"{name}_{group}"].value == pytest.approx(np.mean(found), rel=1e-4)


def test_errors_of_convolutional_networks_are_those_of_the_stored_weights(
    record: Results, digits: Dataset, pictures: Dataset
) -> None:
    images, photos = floats(digits.test), floats(pictures.test)
    cases = {
        "upsample": (upsample_by_hand, images, images),
        "denoiser": (denoiser_by_hand, noise_of(images), images),
        "picture_conv": (pooled_by_hand, photos, photos),
        "noisy_conv": (pooled_by_hand, noise_of(photos), photos),
    }
    for group, (by_hand, inputs, targets) in cases.items():
        outputs = [by_hand(w, inputs) for w in weights(record, group)]
        found = errors(outputs, targets)
        mse = record.numbers[f"mse_{group}"]
        assert mse.value == pytest.approx(np.mean(found), rel=1e-4)
        assert mse.bounds is None and mse.span == pytest.approx(sorted(found), rel=1e-4)
        each = [((out - targets) ** 2).flatten(1).mean(1) for out in outputs]
        psnr = np.mean([-10 * e.log10().mean().item() for e in each])
        assert record.numbers[f"psnr_{group}"].value == pytest.approx(psnr, rel=1e-4)
    ssim = np.mean([
        similarity(a[0].numpy(), b[0].numpy())
        for out in outputs for a, b in zip(photos, out, strict=True)
    ])  # fmt: skip
    assert record.numbers["ssim_noisy_conv"].value == pytest.approx(ssim, abs=2e-3)


def test_no_network_as_published_gets_below_the_floor_of_its_output(
    record: Results, digits: Dataset
) -> None:
    pixels = digits.test.images.numpy() / 127.5 - 1  # the source's targets
    floor = np.mean(np.minimum(pixels, 0) ** 2)
    numbers = record.numbers
    assert numbers["floor_source"].value == pytest.approx(floor, rel=1e-5)
    assert numbers["floor"].value == pytest.approx(floor / 4, rel=1e-5)
    assert numbers["unreachable"].value == pytest.approx((pixels < 0).mean())
    outputs = [
        dense_by_hand(w, floats(digits.test), "published") for w in weights(record, "published")
    ]
    found = errors(outputs, floats(digits.test))
    assert min(found) > floor / 4
    excess = np.mean(found) - floor / 4
    assert numbers["floor_excess"].value == pytest.approx(excess, rel=1e-3)
    dead = np.mean([(out == 0.5).all(0).double().mean().item() for out in outputs])
    assert numbers["dead_outputs"].value == pytest.approx(dead)
    reached = torch.from_numpy(pixels >= 0)
    bright = np.mean([((out - floats(digits.test))[reached] ** 2).mean() for out in outputs])
    assert numbers["bright_published"].value == pytest.approx(bright, rel=1e-4)


def test_the_floor_of_linear_codes_is_that_of_the_singular_vectors(
    record: Results, digits: Dataset
) -> None:
    train, test = (floats(side).flatten(1).numpy() for side in (digits.train, digits.test))
    noise = noise_of(floats(digits.test)).flatten(1).numpy()
    mean = train.mean(0)
    basis = np.linalg.svd(train - mean, full_matrices=False)[2]

    def error(inputs: np.ndarray, size: int, targets: np.ndarray = test) -> float:
        rebuilt = (inputs - mean) @ basis[:size].T @ basis[:size] + mean
        return float(((rebuilt - targets) ** 2).mean())

    for group, inputs in (("linear", test), ("mended", test), ("denoiser", noise)):
        code = int(record.numbers[f"code_{group}"].value)
        assert record.numbers[f"pca_{group}"].value == pytest.approx(error(inputs, code), rel=1e-3)
    floor = error(train, 32, train)
    assert record.numbers["linear_floor"].value == pytest.approx(floor, rel=1e-3)
    assert record.numbers["linear_excess"].value > 0


def test_sizes_stand_in_pairs_of_equal_seed(record: Results, digits: Dataset) -> None:
    table = record.table("sizes")
    assert table.column("set") == ("digits", "digits", "pictures", "pictures")
    assert table.column("code") == (49, 196, 8, 128)  # 7 × 7 and 2 × 2 places
    images = floats(digits.test)
    conv = errors([upsample_by_hand(w, images) for w in weights(record, "upsample-1maps")], images)
    full = errors(
        [dense_by_hand(w, images, "shallow") for w in weights(record, "simple-1maps")], images
    )
    gain = table.column("gain")[0]
    assert isinstance(gain, Number)
    differences = np.subtract(conv, full)
    assert gain.value == pytest.approx(differences.mean(), rel=1e-3)
    assert gain.span == pytest.approx(sorted(differences), rel=1e-2)
    assert record.numbers["gain_digits_1"] == gain
    assert record.numbers["gain_pictures_last"] == table.column("gain")[3]
    assert record.numbers["size_pictures_last"].value == 128
    # two seeds tell nothing
    ends = [record.numbers[f"gain_digits_{rank}"].bounds or (0, 0) for rank in (1, 2)]
    assert record.numbers["sizes_won_digits"].value == sum(high < 0 for _, high in ends)
    assert record.numbers["sizes_lost_digits"].value == sum(low > 0 for low, _ in ends)
    assert record.numbers["sizes_below_conv_digits"].value == 0


def test_the_table_has_printed_losses_as_true_means_and_the_untouched_images(
    record: Results, digits: Dataset
) -> None:
    assert row(record, "transpose")["printed"] == pytest.approx(0.00826, abs=5e-6)
    assert row(record, "upsample")["printed"] == pytest.approx(0.00520, abs=5e-6)
    assert row(record, "agarap")["printed"] is None
    images = floats(digits.test)
    untouched = ((noise_of(images) - images) ** 2).mean().item()
    assert row(record, "untouched_digits")["mse"] == pytest.approx(untouched, rel=1e-5)


def stated(record: Results) -> dict[str, tuple[Array, Array | float]]:
    """What every claim compares, by seed: the errors, and those that they are to be less than."""
    numbers = {name: np.array(number.values) for name, number in record.numbers.items()}
    pairs = {
        "upsample_beats_transpose": ("mse_upsample", "mse_transpose"),
        "noisy_conv_better": ("mse_noisy_conv", "mse_noisy_simple"),
        "mended_better_on_bright": ("bright_mended", "bright_published"),
        "conv_better_digits": ("mse_upsample", "mse_simple"),
        "conv_better_pictures": ("mse_picture_conv", "mse_picture_simple"),
    }
    found: dict[str, tuple[Array, Array | float]] = {}
    for name in ("digits", "pictures"):
        sizes = record.arrays(f"sizes_{name}")
        for rank, code in enumerate(sizes["codes"], start=1):
            simple, conv = sizes["simple"][rank - 1], sizes["conv"][rank - 1]
            floor = record.numbers[f"pca_{name}_{rank}"].value
            found[f"conv_better_{name}_{rank}"] = conv, simple
            found[f"simple_beats_pca_{name}_{rank}"] = simple, floor
            found[f"conv_beats_pca_{name}_{rank}"] = conv, floor
            assert floor == sizes["floor"][: code + 1][-1]  # few images have fewer components
    numbers["mse_simple"] = record.arrays("sizes_digits")["simple"][1]
    for name, (less, greater) in pairs.items():
        found[name] = numbers[less], numbers[greater]
    for group in ("shallow", "agarap", "mended", "transpose", "upsample", "denoiser"):
        floor = record.numbers[f"pca_{group}"].value
        found[f"{group}_beats_pca"] = numbers[f"mse_{group}"], floor
    return found


def test_claims_are_tests_over_seeds_of_the_stored_numbers(record: Results) -> None:
    expected = stated(record)
    assert set(record.claims) == set(expected)
    for name, (less, greater) in expected.items():
        claim, paired = record.claims[name], isinstance(greater, np.ndarray)
        assert (claim.direction, claim.n) == ("less", 2)
        assert claim.threshold == (0 if paired else greater)
        values = less - greater
        assert claim.effect.value - (0 if paired else greater) == pytest.approx(values.mean())
        assert claim.outcome == "undecided"  # two seeds tell nothing
    for family in ("simple", "conv"):
        held = [record.claims[f"{family}_beats_pca_digits_{rank}"].outcome for rank in (1, 2)]
        below = record.numbers[f"sizes_below_{family}_digits"].value
        assert below == held.count("holds")
