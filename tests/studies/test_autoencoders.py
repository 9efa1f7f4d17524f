"""The study `autoencoders`, run small: what it logs is re-derived from the weights it stored."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

from research import __main__ as command
from research import paths
from research.config import Data
from research.data import Dataset, Split, load
from research.methods.embedding import fit_pca
from research.models import DenseAutoencoder
from research.paths import PAPER
from research.records import Array, Number, Results
from research.records import load as read
from research.studies import autoencoders
from research.studies.autoencoders import measures, networks, settings
from research.studies.autoencoders.settings import FIXED, PRESETS, recipes

Weights = dict[str, Tensor]


def draw(folder: Path, images: Tensor, labels: Tensor) -> None:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / f"{int(label)}/{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).squeeze().numpy()).save(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few digits, and few coloured pictures of 16 × 16 pixels."""
    folder = tmp_path_factory.mktemp("images")
    digits, pictures = load(Data("mnist-sample")), load(Data("photos", size=16))
    for name, data, steps in (("digits", digits, (20, 20)), ("pictures", pictures, (40, 40))):
        for side, split, step in zip(
            ("train", "test"), (data.train, data.test), steps, strict=True
        ):
            draw(folder / name / side, split.images[::step], split.labels[::step])
    return folder


@pytest.fixture(scope="module")
def flags(folders: Path) -> list[str]:
    return [
        "--preset", "sample", "--data.name", "folder", "--data.root", str(folders / "digits"),
        "--pictures.name", "folder", "--pictures.root", str(folders / "pictures"),
        "--pictures.size", "16", "--digit-maps", "1", "--picture-maps", "2", "--picture-epochs",
        "2", "--train.epochs", "3", "--train.batch", "50", "--seeds", "0", "1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, flags: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("store")
    assert command.main(["run", "autoencoders", "--log", f"folder:{folder}", *flags]) == 0
    return folder


def parent(store: Path) -> Results:
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return next(r for r in found if (r.folder / "tables/networks.json").exists())


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="module")
def digits(folders: Path) -> Dataset:
    return networks.in_grey(load(Data("folder", folders / "digits")))


@pytest.fixture(scope="module")
def pictures(folders: Path) -> Dataset:
    return networks.in_grey(load(Data("folder", folders / "pictures", 16)))


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("autoencoders.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def weights(record: Results, group: str) -> list[Weights]:
    files = [record.folder / f"weights/{group}-seed{seed}.safetensors" for seed in (0, 1)]
    return [{name: w.double() for name, w in load_file(file).items()} for file in files]


def layer(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def conv(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)


def back(x: Tensor, w: Weights, name: str, stride: int = 2, padding: int = 0) -> Tensor:
    return F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)


def dense_by_hand(w: Weights, x: Tensor, group: str) -> Tensor:
    """linear, shallow, agarap, published and mended, in float64."""
    deep = group in ("published", "mended")
    names = sorted(
        {name.rsplit(".", 1)[0] for name in w},
        key=lambda name: (name.startswith("decoder"), int(name.split(".")[1])),
    )
    out = x.flatten(1) * 2 - 1 if deep else x.flatten(1)
    for name in names[:-1]:
        out = layer(out, w, name)
        out = out if group == "linear" else out.clamp(min=0)
    out = layer(out, w, names[-1])
    if group in ("shallow", "mended"):
        out = out.sigmoid() if group == "shallow" else out.tanh()
    elif group != "linear":
        out = out.clamp(min=0)
    return ((out + 1) / 2 if deep else out).view(x.shape)


def upsample_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (1, 2):
        x = F.max_pool2d(conv(x, w, f"encoder.conv{i}").clamp(min=0), 2)
    for i in (1, 2):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = conv(x, w, f"decoder.conv{i}")
        x = x.clamp(min=0) if i == 1 else torch.sigmoid(x)
    return x


def denoiser_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (0, 3, 6):
        x = F.max_pool2d(conv(x, w, f"encoder.{i}").clamp(min=0), 2)
    for i in (0, 2, 4):
        x = back(x, w, f"decoder.{i}").clamp(min=0)
    return torch.sigmoid(conv(x, w, "decoder.6"))


def pooled_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (0, 2, 4):
        x = F.max_pool2d(conv(x, w, f"encoder.{i}"), 2)
    for i in (0, 1, 2, 3):
        x = back(x, w, f"decoder.{i}", 1 if i == 3 else 2, 1)
    return torch.sigmoid(x)


def similarity(a: Array, b: Array) -> float:
    found = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(found)


def errors(outputs: list[Tensor], images: Tensor) -> list[float]:
    return [((out - images) ** 2).mean().item() for out in outputs]


def floats(split: Split) -> Tensor:
    return split.images.double() / 255


def noise_of(images: Tensor, noise: float = 0.5) -> Tensor:
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + noise * drawn).clamp(0, 1)


def row(record: Results, network: str) -> dict[str, object]:
    table = record.table("networks")
    return dict(zip(table.columns, table.rows[table.column("network").index(network)], strict=True))


# --- the run -------------------------------------------------------------------------------------


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


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    counted = {name for name in record.claims if re.search(r"_beats_pca_(digits|pictures)", name)}
    tabulated = {name for name in record.claims if name.startswith("conv_better_")}
    said = spoken(record, "autoencoders")
    assert said - tabulated == {*record.claims} - counted - tabulated


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(autoencoders.FIGURES)
    examples = record.arrays("examples_digits")
    # mid-grey and brighter is all that the network as published can draw
    assert examples["published"].min() >= 0.5 and examples["input"].min() == 0


# --- what it is made of --------------------------------------------------------------------------


def test_a_linear_autoencoder_comes_down_to_principal_components_and_not_below() -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 1, 4, 4)
    model = DenseAutoencoder((1, 4, 4), [3], hidden="linear", output="linear")
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    objective = networks.objective_of(0)

    def closure() -> float:
        optimiser.zero_grad()
        loss = objective(model, images, torch.zeros(40))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    flat = images.flatten(1).numpy()
    floor = measures.linear_errors(fit_pca(flat, 3), flat, flat)[3]
    reached = ((networks.reconstruct(model, images) - images) ** 2).mean().item()
    assert floor * (1 - 1e-5) <= reached <= floor * 1.005


def test_linear_errors_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    train, test, noise = rng.random((3, 30, 6))
    for size in (1, 2, 4):
        pca = fit_pca(train, size)
        for inputs in (test, test + noise):
            rebuilt = pca.inverse_transform(pca.transform(inputs))
            found = measures.linear_errors(fit_pca(train, 5), inputs, test)
            assert found[size] == pytest.approx(((rebuilt - test) ** 2).mean())
    assert found[0] == pytest.approx(((train.mean(0) - test) ** 2).mean())
    assert measures.linear_error(found, 99) == found[5]


def test_what_ends_above_the_mean_image_has_come_apart() -> None:
    train, test = np.random.default_rng(0).random((2, 30, 6))
    constant = ((train.mean(0) - test) ** 2).mean()
    floor = measures.linear_errors(fit_pca(train, 3), test, test)
    exams: Any = {"digits": SimpleNamespace(floor=floor), "pictures": SimpleNamespace(floor=floor)}
    ends = [0.99 * constant, 1.01 * constant, 2 * constant]
    marks = measures.Marks(4, 9, ends, ends, ends, ends)
    for group, count in (("transpose", 2), ("picture_conv", 2), ("published", 0)):
        assert measures.collapsed(group, marks, exams) == count


def test_noise_is_the_same_for_all_and_clipped() -> None:
    images = torch.rand(200, 1, 8, 8)
    noise = networks.noisy(images, 0.5)
    torch.manual_seed(5)
    assert torch.equal(noise, networks.noisy(images, 0.5))
    assert torch.equal(noise, noise_of(images))
    assert noise.min() == 0 and noise.max() == 1
    assert networks.noisy(images, 0) is images


def test_in_training_networks_of_a_seed_see_one_noise_and_clean_targets() -> None:
    images = torch.rand(20, 1, 4, 4)
    torch.manual_seed(3)
    seen = (images + 0.5 * torch.randn(images.shape)).clamp(0, 1)
    torch.manual_seed(3)
    loss = networks.objective_of(0.5)(torch.nn.Identity(), images, torch.zeros(20))
    assert loss.item() == pytest.approx(((seen - images) ** 2).mean().item(), rel=1e-5)


def test_coloured_pictures_become_their_luminance() -> None:
    images = torch.tensor([[255, 0, 0, 200], [0, 255, 0, 100], [0, 0, 255, 50]]).view(1, 3, 1, 4)
    split = Split(images.byte(), torch.zeros(1, dtype=torch.int64))
    data = Dataset.of("a", split, split, ("x",), source="", licence="")
    grey = networks.in_grey(data)
    assert grey.train.images.flatten().tolist() == [76, 150, 29, 124]
    assert grey.test.images.dtype == torch.uint8
    assert networks.in_grey(grey).train is grey.train


def test_the_published_sizes_are_trained_whatever_is_asked_for() -> None:
    names = {recipe.name for recipe in recipes(PRESETS["full"])}
    assert (
        len(names) == len(recipes(PRESETS["full"])) == len(autoencoders.children(PRESETS["full"]))
    )
    assert {"upsample-seed0", "picture_conv-seed2", "simple-8maps-seed1"} <= names
    assert settings.sizes_of("digits", PRESETS["full"]) == [1, 2, 4, 8]


# --- write-up and mistakes -----------------------------------------------------------------------


def test_the_paper_is_built(store: Path, paper: Path) -> None:
    assert command.main(["report", "autoencoders", "--log", f"folder:{store}"]) == 0
    text = (paper / "autoencoders.html").read_text().split("<script")[0]
    assert "†" not in text and "single seed" not in text


@pytest.mark.long
def test_the_paper_of_given_weights_and_a_single_seed(
    record: Results, tmp_path: Path, paper: Path, flags: list[str]
) -> None:
    given = [str(path) for path in (record.folder / "weights").glob("*seed0.safetensors")]
    run = ["run", "autoencoders", "--log", f"folder:{tmp_path / 'store'}", *flags[:-2], "0"]
    assert command.main([*run, "--weights", *given]) == 0
    again = parent(tmp_path / "store")
    first = errors_of_seed(record, "published")
    assert again.numbers["mse_published"].value == pytest.approx(first, rel=1e-4)
    assert "floor" not in again.names("figures")
    assert command.main(["report", "autoencoders", "--log", f"folder:{tmp_path / 'store'}"]) == 0
    text = (paper / "autoencoders.html").read_text().split("<script")[0]
    assert "were given and not trained here" in text
    assert "±\u00a0" not in text


def errors_of_seed(record: Results, group: str) -> float:
    """The test error of the first seed, from its curve."""
    return float(record.arrays(f"curve_{group}-seed0")["loss_test"][-1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--noise", "0"], "--noise must be greater than 0, got 0"),
        (["--picture-epochs", "0"], "--picture-epochs must be at least 1, got 0"),
        (["--picture-batch", "0"], "--picture-batch must be at least 1"),
        (["--digit-maps", "0", "4"], "--digit-maps must be different numbers from 1 on"),
        (["--picture-maps", "2", "2"], "got 2 2"),
        (["--data.size", "32"], "need images of 1 × 28 × 28, digits has 1 × 32 × 32"),
        (["--pictures.size", "20"], "multiples of 8 and at least 16 pixels, they are 20 × 20"),
        (["--pictures.size", "8"], "at least 16 pixels, they are 8 × 8"),
        (["--pictures.name", "faces"], "faces has no pictures to train on"),
        (["--pictures.root", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    more: list[str], message: str, flags: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = ["run", "autoencoders", "--log", f"folder:{tmp_path}", *flags, *more]
    assert command.main(run) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]
