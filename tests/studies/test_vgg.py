"""The study `vgg`, run small: what it logs is re-derived from the weights it stored."""

import dataclasses
import json
import math
import shutil
from collections import OrderedDict
from functools import partial
from itertools import pairwise, permutations
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from research import __main__ as command
from research import paths
from research.config import Data
from research.data import Dataset, load
from research.errors import UserError
from research.methods.perturbations import random_signs
from research.methods.samples import Samples, halves
from research.models import Vgg16
from research.models.pretrained import FrozenVgg16, MissingWeightsError
from research.paths import PAPER
from research.records import Number, Results, read_numbers, write_manifest, write_numbers, write_run
from research.records import load as read
from research.report.values import untagged
from research.studies import vgg
from research.studies.vgg import frozen, measures, networks
from research.training.loop import Objective, resolve
from tests.trails import trail

EPS = 0.06
FLAGS = ["--preset", "sample", "--seeds", "0", "1", "--width", "0.0625", "--noise-eps", str(EPS)]
FLAGS += ["--train.epochs", "8", "--train.batch", "16", "--eps", "0", "0.03", "0.1"]
FLAGS += ["--checked", "4", "--crafted", "24", "--judged", "30", "--cells", "12"]
FLAGS += ["--random", "6", "--deepfool", "3"]

Weights = dict[str, Tensor]
Floats = npt.NDArray[np.float64]


class Standin(nn.Module):
    """In the layout of torchvision's VGG16, and with its thousand outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5, stride=3), nn.ReLU(True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(
            OrderedDict({"0": nn.Linear(54, 20), "1": nn.ReLU(True), "2": nn.Dropout(),
                         "3": nn.Linear(20, 1000)})
        )  # fmt: skip


def pictures(root: Path) -> Path:
    """Faint stripes of three directions in noise on a tint, 40 + 40 images of each."""
    rng, tint = np.random.default_rng(0), np.array([0.4, 0.5, 0.6])
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    for name, axis in {"across": y, "down": x, "sloping": (x + y) / 2**0.5}.items():
        for split in ("train", "test"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(40):
                stripes = 0.14 * np.sin(axis * 1.2 + rng.uniform(0, 6.3))[..., None]
                image = tint + stripes + 0.1 * rng.normal(size=(32, 32, 3))
                Image.fromarray(np.uint8(255 * image.clip(0, 1))).save(folder / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return load(Data("folder", root))


def run(store: Path, root: Path, *more: str) -> int:
    where = ["--log", f"folder:{store}", "--data.name", "folder", "--data.root", str(root)]
    return command.main(["run", "vgg", *where, *FLAGS, *more])


def parent(store: Path) -> Results:
    return next(r for p in store.glob("*/tables/candidates.json") for r in [read(p.parent.parent)])


@pytest.fixture(scope="module")
def imagenet() -> Weights:
    torch.manual_seed(5)
    return Standin().state_dict()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, root: Path, imagenet: Weights) -> Path:
    """With ImageNet's weights, for a stand-in of its network."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frozen, "imagenet_file", lambda given: Path("weights"))
        patch.setattr(frozen, "imagenet_weights", lambda path: imagenet)
        patch.setattr(frozen, "FrozenVgg16", partial(FrozenVgg16, build=Standin, side=40))
        assert run(folder, root, "--frozen-epochs", "2") == 0
    return folder


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="module")
def weights(record: Results) -> list[Weights]:
    files = [record.folder / f"weights/scratch-seed{seed}.safetensors" for seed in (0, 1)]
    return [{name: w.double() for name, w in load_file(file).items()} for file in files]


def by_hand(w: Weights, images: Tensor) -> Tensor:
    """The network in evaluation mode, in float64: logits (N, 3)."""
    mean, std = torch.tensor([[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]]).double()
    x = (images.double() - mean[:, None, None]) / std[:, None, None]
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, depth + 1):
            layer = f"{block}_{number}"
            x = F.conv2d(x, w[f"features.conv{layer}.weight"], padding=1)
            norm = {
                key: w[f"features.norm{layer}.{key}"][:, None, None]
                for key in ("running_mean", "running_var", "weight", "bias")
            }
            x = (x - norm["running_mean"]) / (norm["running_var"] + 1e-5).sqrt()
            x = (x * norm["weight"] + norm["bias"]).clamp(min=0)
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    return F.linear(x.flatten(1), w["fc.weight"], w["fc.bias"])


def noise_of(w: Weights, images: Tensor, labels: Tensor) -> Tensor:
    """Signs of the gradient of the cross-entropy, in float64."""
    inputs = images.double().requires_grad_()
    F.cross_entropy(by_hand(w, inputs), labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    return inputs.grad.sign()


def labels_of(w: Weights, images: Tensor) -> Tensor:
    return by_hand(w, images).argmax(1)


@pytest.fixture(scope="module")
def models(record: Results) -> list[Vgg16]:
    found = [Vgg16(0.0625, 3) for _ in (0, 1)]
    for seed, model in enumerate(found):
        model.load_state_dict(load_file(record.folder / f"weights/scratch-seed{seed}.safetensors"))
    return found


@pytest.fixture(scope="module")
def sets(models: list[Vgg16], data: Dataset) -> tuple[Samples, Samples]:
    return halves(models[0], data.test, 24, 30)


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    names = {"scratch-seed0", "scratch-seed1", "frozen-replaced", "frozen-notebook"}
    assert set(record.run.models) == names
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    seeds = ["scratch-seed0", "scratch-seed1", "scratch-seed2"]
    assert vgg.children(vgg.PRESETS["sample"]) == seeds
    assert set(vgg.children(vgg.PRESETS["full"])) == names | {"scratch-seed2"}


def test_the_whole_network_has_the_parameters_of_vgg16() -> None:
    # without the two wide layers and with one of 512 × 10, batch norm in the place of biases
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    assert sum(p.numel() for p in Vgg16().parameters()) == convolutions + 512 * 10 + 10


def test_scores_are_those_of_the_stored_weights(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    images, labels = data.test.floats(), data.test.labels
    rates = [(labels_of(w, images) == labels).double().mean().item() for w in weights]
    number = record.numbers["accuracy"]
    assert number.value == pytest.approx(np.mean(rates))
    assert number.bounds is None and number.span == pytest.approx(sorted(rates))
    losses = [F.cross_entropy(by_hand(w, images), labels).item() for w in weights]
    assert record.numbers["loss"].value == pytest.approx(np.mean(losses), rel=1e-4)
    assert min(rates) > 0.8, "the stripes are not learned: the tests below would show nothing"


def test_eps_is_set_against_the_spread_of_all_training_pixels(
    record: Results, data: Dataset
) -> None:
    std = np.std(data.train.images.numpy() / 255.0)
    assert record.numbers["pixel_std"].value == pytest.approx(std)
    assert record.numbers["relative_eps"].value == pytest.approx(EPS / std)
    assert record.numbers["noise_steps"].value == pytest.approx(15.3)


def test_curves_are_those_of_plain_autograd(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    curves = record.arrays("curves")
    assert curves["eps"].tolist() == [0, 0.03, EPS, 0.1]
    images, labels = data.test.floats(), data.test.labels
    chance = random_signs(len(images), images.shape[1:], 1.0, seed=0)
    for seed, w in enumerate(weights):
        right = labels_of(w, images) == labels
        for name, noise in {"fgsm": noise_of(w, images, labels), "random": chance}.items():
            for i, eps in enumerate(curves["eps"]):
                attacked = (images + eps * noise).clamp(0, 1)
                held = right & (labels_of(w, attacked) == labels)
                # an image at a boundary may fall on either side in float32
                share = held.double().mean().item()
                assert curves[name][seed, i] == pytest.approx(share, abs=1.5 / 120)
    assert (curves["fgsm"][:, 2] < curves["random"][:, 2]).all()
    table = record.table("curves")
    assert table.columns == ("eps", "steps", "fgsm", "random")
    cell = table.rows[2][2]
    assert isinstance(cell, Number) and cell == record.numbers["accuracy_fgsm"]
    assert cell.value == pytest.approx(curves["fgsm"][:, 2].mean())


def test_signs_are_compared_with_float64(record: Results) -> None:
    numbers = record.numbers
    for name in ("wrong_stable", "wrong_cross_entropy"):
        assert 0 <= numbers[name].value < 0.01
    assert 0 <= numbers["tied"].value < 0.5


def test_cosines_and_spectrum_are_those_of_numpy(
    record: Results, weights: list[Weights], sets: tuple[Samples, Samples]
) -> None:
    crafted, _ = sets
    signs = noise_of(weights[0], *crafted).flatten(1).numpy()
    cosines = signs @ signs.T / signs.shape[1]
    same = np.equal.outer(*[crafted.labels.numpy()] * 2)
    off = ~np.eye(len(signs), dtype=bool)
    numbers = record.numbers
    assert numbers["vgg_null_sd"].value == pytest.approx(3072**-0.5)
    within, between = cosines[same & off].mean(), cosines[~same].mean()
    assert numbers["vgg_cosine_within"].value == pytest.approx(within, abs=1e-3)
    assert numbers["vgg_cosine_between"].value == pytest.approx(between, abs=1e-3)
    singular = np.linalg.svd(signs, compute_uv=False)
    shares = singular / singular.sum()
    rank = math.exp(-(shares * np.log(shares)).sum())
    assert numbers["vgg_effective_rank"].value == pytest.approx(rank, rel=1e-3)
    energy = (singular**2).cumsum() / (singular**2).sum()
    assert np.allclose(record.arrays("noises")["energy"], energy, atol=1e-3)


def test_fooling_rates_p_and_verdict_are_counted_by_hand(
    record: Results, weights: list[Weights], sets: tuple[Samples, Samples]
) -> None:
    crafted, judged = sets
    w, numbers = weights[0], record.numbers

    def fooled(samples: Samples, noise: Tensor) -> npt.NDArray[np.bool_]:
        attacked = (samples.images + noise).clamp(0, 1)
        return (labels_of(w, attacked) != labels_of(w, samples.images)).numpy()

    near = partial(pytest.approx, abs=1.5 / 30)
    own = fooled(judged, EPS * noise_of(w, *judged)).mean()
    assert numbers["vgg_fooling_own"].value == near(own)
    noises = {k: torch.from_numpy(v) for k, v in record.arrays("candidates").items()}
    table = record.table("candidates")
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    held = {name: fooled(judged, noise) for name, noise in noises.items()}
    seen = {name: fooled(crafted, noise).mean() for name, noise in noises.items()}
    floor = [fooled(judged, n) for n in random_signs(6, judged.images.shape[1:], EPS, 1)]
    most = max(floor, key=np.mean)
    p = {}
    for name, flags in held.items():
        assert noises[name].abs().max() <= EPS + 1e-6
        for cell, rate in ((rows[name]["held_out"], flags.mean()), (rows[name]["crafted"],
                                                                    seen[name])):  # fmt: skip
            assert isinstance(cell, Number) and cell.value == near(rate) and cell.bounds
        a, b = int((flags & ~most).sum()), int((most & ~flags).sum())
        p[name] = binomtest(a, a + b).pvalue if a + b else 1.0
    largest = 0.0  # Holm's adjustment
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        assert rows[name]["p"] == pytest.approx(largest, rel=0.3)
    best = numbers["vgg_fooling_best"].value
    assert any(best == near(held[n].mean()) for n in seen if seen[n] >= max(seen.values()) - 0.05)
    p95 = float(np.percentile([flags.mean() for flags in floor], 95))
    assert numbers["vgg_fooling_random_p95"].value == near(p95)
    shares = [numbers[f"vgg_{name}"].value for name in ("universal", "class_universal")]
    assert shares[0] <= shares[1] and set(shares) <= {0, 0.5, 1}
    own_rate = numbers["vgg_fooling_own"].value
    passes = best >= 0.5 * own_rate and best > numbers["vgg_fooling_random_p95"].value
    assert shares[0] in ((0.5, 1) if passes else (0, 0.5))


def test_transfer_is_counted_on_samples_that_both_get_right(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    images, labels = measures.some(data.test, 30)
    noises = [EPS * noise_of(w, images, labels) for w in weights]
    right = [labels_of(w, images) == labels for w in weights]
    rates = []
    for i, j in permutations((0, 1)):
        broken = labels_of(weights[j], (images + noises[i]).clamp(0, 1)) != labels
        both = right[0] & right[1]
        rates.append(((broken & both).sum() / both.sum()).item())
    numbers = record.numbers
    assert numbers["transfer_own"].value == pytest.approx(np.mean(rates), abs=0.05)
    assert numbers["transfer_own_least"].value == pytest.approx(min(rates), abs=0.05)
    assert numbers["transfer_own_most"].value == pytest.approx(max(rates), abs=0.05)
    itself, shared = (numbers[f"transfer_{name}"].value for name in ("own_itself", "shared"))
    assert 0 <= shared <= 1 and itself > 0


def test_examples_are_of_different_classes_and_carry_their_own_noise(
    record: Results, weights: list[Weights]
) -> None:
    data = record.arrays("examples")
    clean, attacked = (torch.from_numpy(data[name]) for name in ("clean", "attacked"))
    assert sorted(data["clean_class"]) == [0, 1, 2]
    noise = EPS * noise_of(weights[0], clean, torch.from_numpy(data["clean_class"]))
    assert (np.isclose(data["noise"], noise, atol=1e-6)).mean() > 0.999
    assert np.allclose(attacked, (clean + torch.from_numpy(data["noise"])).clamp(0, 1))
    for name, images in (("clean", clean), ("attacked", attacked)):
        sure, label = by_hand(weights[0], images).softmax(1).max(1)
        assert label.tolist() == data[f"{name}_class"].tolist()
        assert np.allclose(sure, data[f"{name}_confidence"], atol=1e-4)


def test_the_one_noise_that_is_shown_is_the_best_on_the_samples_it_was_made_of(
    record: Results, weights: list[Weights]
) -> None:
    data, table = record.arrays("one"), record.table("candidates")
    rates = dict(zip(table.column("noise"), table.column("crafted"), strict=True))
    known = {name: rate.value for name, rate in rates.items() if isinstance(rate, Number)}
    best = str(max(known, key=lambda name: known[name]))
    assert np.array_equal(data["noise"], record.arrays("candidates")[best])
    assert len(set(data["clean_class"])) == len(data["clean_class"]) == 3
    label = by_hand(weights[0], torch.from_numpy(data["noisy"])).argmax(1)
    assert label.tolist() == data["noisy_class"].tolist()


# --- training ------------------------------------------------------------------------------------


def test_networks_are_trained_by_the_rule_that_the_paper_states(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Mock(side_effect=lambda training, **_: training.model)
    monkeypatch.setattr(networks, "obtain", seen)
    config = vgg.PRESETS["full"]
    config = dataclasses.replace(config, width=0.0625, train=resolve(config.train))
    networks.train(3, data, config, Mock())
    training, given = seen.call_args.args[0], seen.call_args.kwargs
    optimiser = training.optimiser
    assert isinstance(optimiser, SGD) and isinstance(training.scheduler, LambdaLR)
    group = optimiser.param_groups[0]
    assert (group["initial_lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 5e-4)
    assert group["nesterov"] and given["name"] == "scratch-seed3"


def test_the_rate_rises_for_a_tenth_of_the_epochs_and_falls_to_nearly_nothing() -> None:
    rates = [networks.rate(epoch, 60) for epoch in range(60)]
    assert rates[0] == pytest.approx(1 / 7) and max(rates) == rates[6]
    assert sorted(rates[6:], reverse=True) == rates[6:]
    assert 0 < rates[-1] < 0.001
    assert networks.rate(30, 60) == pytest.approx(0.5)
    assert networks.rate(0, 1) == 0.5


def test_a_batch_is_mirrored_and_shifted_as_by_hand(data: Dataset) -> None:
    images, labels = data.train.floats()[:6], data.train.labels[:6]
    model = Vgg16(0.0625, 3).eval()

    torch.manual_seed(1)
    objective: Objective = networks.augmented_loss
    loss = objective(model, images, labels)

    torch.manual_seed(1)
    flips, (down, right) = torch.rand(6) < 0.5, torch.randint(9, (2, 6))
    changed = []
    for image, flip, top, left in zip(images.numpy(), flips, down, right, strict=True):
        padded = np.pad(image[..., ::-1] if flip else image, ((0, 0), (4, 4), (4, 4)))
        changed.append(padded[:, top : top + 32, left : left + 32])
    expected = F.cross_entropy(model(torch.from_numpy(np.stack(changed))), labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


# --- frozen features -----------------------------------------------------------------------------


def logits_of_standin(imagenet: Weights, head: Weights, images: Tensor) -> Tensor:
    """The stand-in behind the enlargement, by functions; the head's own weights."""
    x = F.interpolate(images, size=(40, 40), mode="bilinear", align_corners=False)
    x = F.conv2d((x - 0.5) / 0.5, imagenet["features.0.weight"], imagenet["features.0.bias"], 3)
    x = F.adaptive_avg_pool2d(F.max_pool2d(x.clamp(min=0), 2), 3).flatten(1)
    x = F.linear(x, head["0.weight"], head["0.bias"]).clamp(min=0)
    return F.linear(x, head["3.weight"], head["3.bias"])


@pytest.mark.parametrize(("arm", "outputs"), [("replaced", 3), ("notebook", 1000)])
def test_labels_outside_the_classes_are_counted(
    arm: str, outputs: int, record: Results, imagenet: Weights, data: Dataset
) -> None:
    head = load_file(record.folder / f"weights/frozen-{arm}.safetensors")
    images, labels = measures.some(data.test, 30)
    inputs = images.clone().requires_grad_()
    logits = logits_of_standin(imagenet, head, inputs)
    assert logits.shape == (30, outputs)
    assert set(head) == {"0.weight", "0.bias", "3.weight", "3.bias"}, "frozen layers are not stored"
    F.cross_entropy(logits, labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    attacked = (images + EPS * inputs.grad.sign()).clamp(0, 1)
    for state, x in (("clean", images), ("attacked", attacked)):
        found = logits_of_standin(imagenet, head, x).argmax(1)
        near = partial(pytest.approx, abs=1.5 / 30)
        numbers = {n: record.numbers[f"frozen_{arm}_{n}_{state}"] for n in ("right", "outside")}
        assert numbers["outside"].value == near((found >= 3).double().mean().item())
        assert numbers["right"].value == near((found == labels).double().mean().item())
    rows = [row for row in record.table("frozen").rows if row[0] == arm]
    assert [row[1] for row in rows] == [0, EPS, 0.1]
    if arm == "replaced":
        assert record.numbers["frozen_replaced_outside_attacked"].value == 0


def test_the_head_learns_from_features_as_they_are(
    record: Results, imagenet: Weights, data: Dataset
) -> None:
    head = load_file(record.folder / "weights/frozen-notebook.safetensors")
    logits = logits_of_standin(imagenet, head, data.test.floats())
    curve = record.arrays("curve_frozen-notebook")
    assert curve["loss_test"][-1] == pytest.approx(
        F.cross_entropy(logits, data.test.labels).item(), rel=2e-3
    )
    assert curve["loss_test"][-1] < curve["loss_test"][0]
    assert not torch.equal(head["0.weight"], imagenet["classifier.0.weight"])
    moved = (head["3.weight"] - imagenet["classifier.3.weight"]).abs().sum(1)
    assert moved[:3].min() > moved[3:].max() > 0


def test_features_reach_the_head_undivided(imagenet: Weights, data: Dataset) -> None:
    model = FrozenVgg16(imagenet, 3, build=Standin, side=40)
    features = frozen.encode(model.encoder, data.test)
    plain = model.encoder(data.test.floats())
    assert torch.allclose(features.images.flatten(1).float(), plain, rtol=1e-3, atol=1e-6)
    batch, labels = features.images.float() / 255, features.labels  # as `batches` would
    expected = F.cross_entropy(model.head(plain), labels).item()
    assert frozen.feature_loss(model.head, batch, labels).item() == pytest.approx(expected, 1e-3)
    assert torch.allclose(frozen.Features()(batch), plain, rtol=1e-3, atol=1e-6)


def test_without_weights_the_study_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(given: Path | None) -> Path:
        raise MissingWeightsError("no network")

    monkeypatch.setattr(frozen, "imagenet_file", missing)
    log, config = Mock(), dataclasses.replace(vgg.PRESETS["sample"], frozen_epochs=1)
    assert frozen.weights_file(config, log) is None
    log.finding.assert_called_once()
    said = capsys.readouterr().err
    assert said == "vgg  The arm on ImageNet's features is left out: no network.\n"
    assert frozen.weights_file(vgg.PRESETS["sample"], Mock()) is None


# --- figures and paper ---------------------------------------------------------------------------


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(vgg.FIGURES)
    for name in vgg.FIGURES:
        drawing = record.figure(name)
        for path in (drawing.svg, drawing.png, *drawing.data):
            assert (record.folder / path).exists()
        assert drawing.data and drawing.width_mm in (pytest.approx(86), pytest.approx(178))


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("vgg.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def with_earlier_run(source: Results, store: Path, universal: float = 0.0) -> None:
    """A run of `fgsm` in the store, its numbers made of those of a run of `vgg`."""
    folder = Path(shutil.copytree(source.folder, store / ("f" * 32)))
    write_run(folder, dataclasses.replace(source.run, id="f" * 32, study="fgsm"))
    own = read_numbers(source.folder)
    numbers = {name: own[name] for name in ("pixel_std", "relative_eps")}
    for arm in ("lenet", "cnn"):
        numbers |= {k.replace("vgg_", f"{arm}_"): v for k, v in own.items() if "vgg_" in k}
        numbers |= {f"{arm}_universal": Number(universal), f"{arm}_class_universal": Number(0.5)}
    write_numbers(folder, numbers)
    write_manifest(folder)


def text_of(paper: Path) -> str:
    return " ".join((paper / "vgg.html").read_text().split("<script")[0].split())


@pytest.mark.long
def test_the_paper_with_imagenets_weights_is_built(
    store: Path, record: Results, paper: Path, tmp_path: Path
) -> None:
    both = Path(shutil.copytree(store, tmp_path / "both"))
    with_earlier_run(record, both)
    assert command.main(["report", "vgg", "--log", f"folder:{both}"]) == 0
    found = trail(paper / "vgg.pdf")
    assert {figure["name"] for figure in found["figures"]} == set(vgg.FIGURES)
    assert found["reads"]["fgsm"]["id"] == "f" * 32
    text = text_of(paper)
    assert "a thousand outputs" in text
    assert "beside that on the two networks" in text
    assert [one["name"] for one in found["claims"]] == ["alike_within", "alike_between"]


@pytest.mark.long
def test_the_paper_of_given_weights_and_a_single_seed(
    record: Results, root: Path, paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(given: Path | None) -> Path:
        raise MissingWeightsError("no network")

    monkeypatch.setattr(frozen, "imagenet_file", missing)
    given = str(record.folder / "weights/scratch-seed0.safetensors")
    store = tmp_path / "store"
    assert run(store, root, "--seeds", "0", "--weights", given, "--frozen-epochs", "1") == 0
    again = parent(store)
    assert {name: model["origin"] for name, model in again.run.models.items()} == {
        "scratch-seed0": "given"
    }
    for name in ("vgg_cosine_within", "vgg_fooling_best", "tied"):
        assert again.numbers[name] == record.numbers[name]
    assert "transfer_own" not in again.numbers
    with_earlier_run(again, store, universal=0.5)
    assert command.main(["report", "vgg", "--log", f"folder:{store}"]) == 0
    text = text_of(paper)
    assert "From network to network" not in text and "†" in text
    assert "a thousand outputs" not in text
    assert json.loads((again.folder / "run.json").read_text())["seeds"] == [0]


@pytest.mark.long
def test_with_few_right_samples_the_paper_says_how_many_there_are(
    record: Results, root: Path, paper: Path, tmp_path: Path
) -> None:
    given = [str(record.folder / f"weights/scratch-seed{seed}.safetensors") for seed in (0, 1)]
    for path in given[1:]:  # the second seed takes everything for the first class
        weights = load_file(path)
        weights["fc.bias"] = torch.tensor([0.0, 0.0, -1e3])
        with safe_open(path, framework="pt") as file:
            save_file(weights, tmp_path / "other.safetensors", file.metadata())
    store = tmp_path / "store"
    asked = ["--crafted", "60", "--judged", "60", "--weights", given[0]]
    assert run(store, root, *asked, str(tmp_path / "other.safetensors")) == 0
    again = parent(store)
    numbers = {name: again.numbers[f"vgg_{name}"].value for name in ("crafted", "classes", "short")}
    assert numbers["short"] == 1 and numbers["crafted"] <= 60 and numbers["classes"] == 3
    assert again.numbers["vgg_classes_least"].value == 2
    assert again.numbers["vgg_crafted_least"].value <= 40
    assert any("too few test images right" in text for text in again.run.findings)
    with_earlier_run(again, store)
    assert command.main(["report", "vgg", "--log", f"folder:{store}"]) == 0
    assert f"made on {numbers['crafted']:.0f}" in " ".join(untagged(text_of(paper)).split())


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.size", "48"], "side is a multiple of 32"),
        (["--width", "0"], "--width must be greater than 0"),
        (["--eps", "0", "-0.1"], "--eps must lie in [0, 1]"),
        (["--eps"], "--eps must lie in [0, 1]"),
        (["--noise-eps", "8"], "--noise-eps must lie in [0, 1]"),
        (["--noise-eps", "0"], "--noise-eps must be greater than 0"),
        (["--judged", "100"], "at most the 120 test images"),
        (["--crafted", "5"], "at least two for each of the 3 classes"),
        (["--checked", "0"], "--checked must be at least 1"),
        (["--frozen-epochs", "-1"], "--frozen-epochs must be at least 0"),
        (["--frozen-epochs", "1", "--imagenet", "nowhere.pth"], "--imagenet must name the file"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, root: Path, store: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(tmp_path, root, *flags) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_grey_pictures_and_a_single_class_are_refused(data: Dataset) -> None:
    config = vgg.PRESETS["sample"]
    with pytest.raises(UserError, match="mnist-sample has 1 × 28 × 28"):
        vgg.check(config, load(Data("mnist-sample")))
    with pytest.raises(UserError, match="needs 2 classes at least"):
        vgg.check(config, dataclasses.replace(data, classes=("only",)))
