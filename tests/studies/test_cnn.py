"""The study `cnn`, run small: what it logs is re-derived from the weights it stored."""

import dataclasses
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from scipy.spatial.distance import cdist, jensenshannon
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD

from research import __main__ as command
from research import paths
from research.config import Data
from research.data import Dataset, Split, load
from research.errors import UserError
from research.models import CnnA, save_weights
from research.paths import DATA, PAPER
from research.records import Number, Results
from research.records import load as read
from research.studies import cnn
from research.studies.cnn import layers as looks
from research.studies.cnn import measures, networks
from research.training.loop import Training, resolve
from tests.trails import trail

FLAGS = ["--preset", "sample", "--seeds", "0", "1", "--relu-seeds", "1"]
FLAGS += ["--train.epochs", "1", "--train.lr", "0.03", "--resamples", "40", "--permutations", "19"]
FLAGS += ["--map-points", "150", "--perplexities", "10", "--sample-index", "3"]

Vectors = npt.NDArray[np.float64]
Weights = dict[str, Tensor]


def run(store: Path, *more: str) -> None:
    assert command.main(["run", "cnn", "--log", f"folder:{store}", *FLAGS, *more]) == 0


def parent(store: Path) -> Results:
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return next(r for r in found if (r.folder / "tables/spaces.json").exists())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load(Data("mnist-sample"))


@pytest.fixture(scope="module")
def weights(record: Results) -> list[Weights]:
    return [
        load_file(record.folder / f"weights/baseline-seed{seed}.safetensors") for seed in (0, 1)
    ]


def by_hand(w: Weights, images: Tensor, relus: bool = True) -> dict[str, Tensor]:
    """Every layer of the network in evaluation mode, in the order of the course's notebook."""
    out = {"normalise": (images - 0.1307) / 0.3081}
    x = out["normalise"]
    for i in (1, 2):
        name = f"features.conv{i}"
        out[f"conv{i}"] = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])
        out[f"pool{i}"] = x = F.max_pool2d(out[f"conv{i}"], 2)
        x = out[f"relu{i}"] = x.clamp(min=0) if relus else x
    out["fc1"] = F.linear(x.flatten(1), w["neck.fc1.weight"], w["neck.fc1.bias"])
    out["relu3"] = out["fc1"].clamp(min=0)
    out["fc2"] = F.linear(out["relu3"], w["neck.fc2.weight"], w["neck.fc2.bias"])
    out["fc3"] = F.linear(out["fc2"], w["head.fc3.weight"], w["head.fc3.bias"])
    return out


@pytest.fixture(scope="module")
def layers(weights: list[Weights], data: Dataset) -> list[dict[str, Tensor]]:
    return [by_hand(w, data.test.floats()) for w in weights]


@pytest.fixture(scope="module")
def embedding(layers: list[dict[str, Tensor]]) -> Vectors:
    return layers[0]["fc2"].double().numpy()


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("cnn.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    assert set(record.run.models) == {"baseline-seed0", "baseline-seed1", "relu-seed0"}
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert record.numbers["parameters"].value == 232_650


def test_every_layer_is_stored_in_forward_order_with_its_shape(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    seven = data.test.images[data.test.labels == 7][3:4].float() / 255
    expected = by_hand(weights[0], seven)
    table = record.table("layers")
    assert list(table.column("layer")) == list(expected)
    for name, shape, low, high, zeros in table.rows:
        values = np.load(record.folder / f"activations/{name}.npy")
        assert np.allclose(values, expected[str(name)][0].numpy(), atol=1e-5)
        assert (low, high, zeros) == (values.min(), values.max(), (values == 0).mean())
        assert shape == " × ".join(map(str, values.shape))
    assert [row[1] for row in table.rows[1:7]] == [
        "32 × 26 × 26", "32 × 13 × 13", "32 × 13 × 13",
        "64 × 11 × 11", "64 × 5 × 5", "64 × 5 × 5",
    ]  # fmt: skip
    for name in ("conv1", "conv2"):
        kernel = np.load(record.folder / f"kernels/{name}.npy")
        assert np.array_equal(kernel, weights[0][f"features.{name}.weight"].numpy())
        assert (record.folder / f"kernels/{name}.png").stat().st_size > 50


def test_scores_are_those_of_the_stored_weights(
    record: Results, layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    logits = [layer["fc3"] for layer in layers]
    rates = [(x.argmax(1) == data.test.labels).double().mean().item() for x in logits]
    number = record.numbers["accuracy_baseline"]
    assert number.value == pytest.approx(np.mean(rates))
    assert number.bounds is None and number.span == pytest.approx(sorted(rates))
    loss = record.table("arms").rows[0][3]
    losses = [F.cross_entropy(x, data.test.labels).item() for x in logits]
    assert isinstance(loss, Number) and loss.value == pytest.approx(np.mean(losses), rel=1e-4)
    assert record.numbers["dropout_on_baseline"].value < number.value
    assert record.arrays("curve_baseline-seed1")["accuracy_test"][-1] == pytest.approx(rates[1])


def test_the_relu_on_the_logits_is_judged_by_its_own_network(
    record: Results, layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    w = load_file(record.folder / "weights/relu-seed0.safetensors")
    logits = by_hand(w, data.test.floats())["fc3"].clamp(min=0)
    rate = (logits.argmax(1) == data.test.labels).double().mean().item()
    other = (layers[0]["fc3"].argmax(1) == data.test.labels).double().mean().item()
    assert record.numbers["relu_gain"].value == pytest.approx(rate - other)
    assert record.numbers["dead_logits"].value == (logits.amax(0) == 0).sum()
    silent = (logits.amax(1) == 0).double().mean()
    assert record.numbers["silent_images"].value == pytest.approx(silent)


@pytest.mark.long
def test_a_network_that_died_is_a_finding(tmp_path: Path, paper: Path) -> None:
    dead, files = CnnA(), [tmp_path / "dead.safetensors", tmp_path / "relu.safetensors"]
    torch.nn.init.zeros_(dict(dead.named_parameters())["neck.fc2.weight"])
    save_weights(files[0], dead, "baseline-seed0")
    save_weights(files[1], CnnA(relu_on_logits=True), "relu-seed0")
    run(tmp_path / "store", "--seeds", "0", "--weights", *map(str, files))
    record = parent(tmp_path / "store")
    assert record.numbers["dead"].value == 1
    assert any("send every test image to one point" in one for one in record.run.findings)
    (row,) = (row for row in record.table("spaces").rows if row[0] == "trained")
    cells = dict(zip(record.table("spaces").columns, row, strict=True))
    values = {name: cell.value for name, cell in cells.items() if isinstance(cell, Number)}
    assert all(np.isnan(values[name]) for name in ("ratio", "ratio_seeds", "fisher", "silhouette"))
    # every pair is as far as every other, and one class in ten is right
    assert values["auroc"] == pytest.approx(0.5)
    assert values["knn"] == values["centroid"] == pytest.approx(0.1)
    assert "maps" not in record.names("figures")
    assert command.main(["report", "cnn", "--log", f"folder:{tmp_path}/store"]) == 0
    text = (paper / "cnn.html").read_text()
    assert "Dead networks." in text and "undefined" in text


def test_networks_are_trained_as_in_the_course(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(training: Training[CnnA], **_: object) -> CnnA:
        model, optimiser = training.model, training.optimiser
        group = optimiser.param_groups[0]
        assert (type(optimiser), group["lr"], group["momentum"]) == (SGD, 0.003, 0.9)
        assert not (group["nesterov"] or group["weight_decay"] or group["dampening"])
        images, labels = data.test.floats()[:5], data.test.labels[:5]
        loss = F.cross_entropy(model.eval()(images), labels)
        assert torch.equal(training.objective(model, images, labels), loss)
        return model

    monkeypatch.setattr(networks, "obtain", obtain)
    config = cnn.PRESETS["full"]
    config = dataclasses.replace(config, train=resolve(config.train))
    assert (config.train.epochs, config.train.batch) == (2, 64)
    for arm, relu in (("baseline", False), ("relu", True)):
        model = networks.train(arm, 3, data, config, Mock())
        assert model.config == {"relu_on_logits": relu}
        same = zip(model.parameters(), networks.fresh(3).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in same)


def test_dead_logits_and_silent_images_are_counted() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    assert measures.silence(logits) == (2, 0.5)


def test_the_helper_without_relus_is_as_far_off_as_by_hand(
    record: Results, weights: list[Weights], layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    numbers = record.numbers
    found: dict[str, list[float]] = {"distance": [], "cosine": [], "changed": [], "accuracy": []}
    for w, own in zip(weights, layers, strict=True):
        helper = by_hand(w, data.test.floats(), relus=False)
        e, other = own["fc2"].double(), helper["fc2"].double()
        found["distance"].append(((other - e).norm(dim=1) / e.norm(dim=1)).median().item())
        unit = (x / x.norm(dim=1, keepdim=True) for x in (e, other))
        found["cosine"].append(torch.stack(list(unit)).prod(0).sum(1).mean().item())
        classes = helper["fc3"].argmax(1)
        found["changed"].append((classes != own["fc3"].argmax(1)).double().mean().item())
        found["accuracy"].append((classes == data.test.labels).double().mean().item())
    for name, values in found.items():
        assert numbers[f"helper_{name}"].value == pytest.approx(np.mean(values), rel=1e-4)


def test_pairs_are_reordered_where_ranks_differ() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])  # 1 2 4 | 3 6 7: all distances differ
    assert measures.reordered(line, 5 * line, "mse") == 0
    swapped = np.array([[0.0], [1.0], [5.1], [7.0]])  # 1 1.9 4.1 5.1 6 7 from 1 2 3 4 6 7
    order = [np.argsort([abs(a - b) for a, b in combinations(x[:, 0], 2)]) for x in (line, swapped)]
    ranks = [x.argsort() for x in order]
    assert measures.reordered(line, swapped, "mse") == (ranks[0] != ranks[1]).sum() > 0


def cross_entropy(x: Vectors, y: Vectors) -> Vectors:
    return np.asarray(-softmax(x, 1) @ log_softmax(y, 1).T)


SLOW: dict[str, Callable[[Vectors, Vectors], Vectors]] = {
    "mse": lambda x, y: cdist(x, y, "sqeuclidean") / x.shape[1],
    "cosine": lambda x, y: cdist(x, y, "cosine"),
    "ce": cross_entropy,
    "js": lambda x, y: np.array(
        [jensenshannon(p[None], softmax(y, 1), axis=1) ** 2 for p in softmax(x, 1)]
    ),
}


@pytest.fixture(scope="module")
def matrices(embedding: Vectors) -> dict[str, Vectors]:
    """All pairs of the first seed's embeddings, by every metric."""
    return {metric: slow(embedding, embedding) for metric, slow in SLOW.items()}


@pytest.mark.parametrize("metric", SLOW)
def test_the_four_samples_stand_where_all_pairs_put_them(
    metric: str, record: Results, matrices: dict[str, Vectors], data: Dataset
) -> None:
    labels = data.test.labels.numpy()
    indices = [int(i) for label in (6, 7) for i in np.flatnonzero(labels == label)[:2]]
    table = record.table("pairs")
    assert list(table.column("images")) == [f"{i}, {j}" for i, j in combinations(indices, 2)]
    assert table.column("classes") == ("6, 6", "6, 7", "6, 7", "6, 7", "6, 7", "7, 7")
    everything = matrices[metric]
    same = labels[:, None] == labels
    off = ~np.eye(len(labels), dtype=bool)
    for way in ("", "_back") if metric == "ce" else ("",):
        values = table.column(f"trained_{metric}{way}")
        places = table.column(f"trained_{metric}{way}_place")
        for (i, j), value, place in zip(combinations(indices, 2), values, places, strict=True):
            ends = (j, i) if way else (i, j)
            assert value == pytest.approx(everything[ends], rel=1e-3)
            kind = everything[off & (same == (labels[i] == labels[j]))]
            assert place == pytest.approx(100 * (kind < everything[ends]).mean(), abs=0.02)


@pytest.mark.parametrize("metric", SLOW)
def test_all_pairs_are_those_of_scipy(
    metric: str, record: Results, matrices: dict[str, Vectors], data: Dataset
) -> None:
    labels = data.test.labels.numpy()
    everything = matrices[metric]
    off = ~np.eye(len(labels), dtype=bool)
    same = (labels[:, None] == labels)[off]
    distances = everything[off]
    line = next(r for r in record.table("metrics").rows if r[:2] == ("trained", metric))
    intra, inter, ratio, auroc = line[2:]
    for number, value in ((intra, distances[same]), (inter, distances[~same])):
        assert isinstance(number, Number) and number.value == pytest.approx(value.mean(), rel=1e-4)
    assert isinstance(ratio, Number) and ratio.bounds
    assert ratio.value == pytest.approx(distances[~same].mean() / distances[same].mean(), rel=1e-4)
    assert ratio.bounds[0] < ratio.value < ratio.bounds[1]
    assert auroc == pytest.approx(roc_auc_score(same, -distances), abs=1e-4)
    stored = record.arrays(f"distances_trained_{metric}")
    block = everything[labels == 2][:, labels == 5].mean()
    assert stored["means"][2, 5] == pytest.approx(block, rel=1e-4)


def test_neighbours_are_counted_by_hand(
    record: Results, embedding: Vectors, weights: list[Weights], data: Dataset
) -> None:
    known, truth = data.train.labels.numpy(), data.test.labels.numpy()

    def right(reference: Vectors, vectors: Vectors) -> npt.NDArray[np.bool_]:
        nearest = known[cdist(vectors, reference).argsort(1)[:, :10]]
        votes = np.array([np.bincount(line, minlength=10).argmax() for line in nearest])
        return np.asarray(votes == truth)

    flat = [s.floats().flatten(1).double().numpy() for s in (data.train, data.test)]
    pixels = right(flat[0], flat[1])
    reference = by_hand(weights[0], data.train.floats())["fc2"].double().numpy()
    trained = right(reference, embedding)
    numbers = record.numbers
    assert numbers["knn_pixels"].value == pytest.approx(pixels.mean(), abs=0.0011)
    gain = numbers["knn_gain"]
    assert gain.value == pytest.approx(trained.mean() - pixels.mean(), abs=0.0021)
    assert gain.bounds and gain.bounds[0] < gain.value < gain.bounds[1]
    # a mean of independent differences, so that the bootstrap is close to the normal interval
    error = 1.96 * (trained.astype(float) - pixels).std() / len(truth) ** 0.5
    assert gain.bounds[1] - gain.bounds[0] == pytest.approx(2 * error, rel=0.4)
    features = numbers["knn_gain_features"].value
    assert features == pytest.approx(trained.mean() - numbers["knn_features"].value, abs=0.0021)
    only = [int(numbers[f"only_{name}_right"].value) for name in ("pixels", "trained")]
    assert only[1] - only[0] == round(gain.value * len(truth))
    assert numbers["knn_p"].value == pytest.approx(binomtest(only[0], sum(only)).pvalue)


def test_class_means_are_those_of_the_training_images(
    record: Results, layers: list[dict[str, Tensor]], weights: list[Weights], data: Dataset
) -> None:
    rates = []
    for w, layer in zip(weights, layers, strict=True):
        reference = by_hand(w, data.train.floats())["fc2"]
        means = torch.stack([reference[data.train.labels == label].mean(0) for label in range(10)])
        nearest = torch.cdist(layer["fc2"], means).argmin(1)
        rates.append((nearest == data.test.labels).double().mean().item())
    assert record.numbers["centroid_trained"].value == pytest.approx(np.mean(rates), abs=0.0006)


def test_the_untrained_space_is_that_of_the_seeds_first_weights(
    record: Results, data: Dataset
) -> None:
    ratios = []
    labels = data.test.labels.numpy()
    same = (labels[:, None] == labels)[~np.eye(len(labels), dtype=bool)]
    for seed in (0, 1):
        first = by_hand(dict(networks.fresh(seed).state_dict()), data.test.floats())["fc2"]
        distances = SLOW["mse"](*[first.double().numpy()] * 2)[~np.eye(len(labels), dtype=bool)]
        ratios.append(distances[~same].mean() / distances[same].mean())
    assert record.numbers["ratio_seeds_untrained"].value == pytest.approx(np.mean(ratios), rel=1e-3)
    assert record.numbers["ratio_untrained_mse"].value == pytest.approx(ratios[0], rel=1e-3)


@pytest.mark.skipif(not (DATA / "MNIST").exists(), reason="MNIST is not downloaded")
def test_on_mnist_the_four_samples_are_those_of_the_assignment() -> None:
    assert cnn.four_samples(load(Data("mnist")), cnn.PRESETS["full"]) == [11, 21, 0, 17]


def test_four_images_are_parted_when_no_pair_of_two_classes_is_closer() -> None:
    same = [True, False, False, False, False, True]
    # squared differences: 1 and 1 within, at least 16 between; then 4 within and 1 between
    assert measures.margin(np.array([[0.0], [1.0], [5.0], [6.0]]), same) == pytest.approx(16)
    assert measures.margin(np.array([[0.0], [2.0], [3.0], [3.1]]), same) == pytest.approx(1 / 4)


def test_the_rank_of_a_pair_of_classes_counts_from_the_farthest() -> None:
    means = np.array([[1.0, 5, 9], [5, 1, 7], [9, 7, 1]])
    assert [measures.rank_of(means, 2, 0), measures.rank_of(means, 0, 1)] == [1, 3]


def test_kernels_are_split_into_an_even_part_and_a_slope() -> None:
    even, across = np.ones((1, 1, 3, 3)), np.tile([-1.0, 0, 1], (1, 1, 3, 1))
    assert looks.parts_of(even) == pytest.approx((1, 0))
    assert looks.parts_of(across) == pytest.approx((0, 1))
    assert looks.parts_of(across.swapaxes(2, 3)) == pytest.approx((0, 1))
    mixed = np.concatenate([even, 2 * across])  # 9 squared weights beside 4 × 6
    assert looks.parts_of(mixed) == pytest.approx((9 / 33, 24 / 33))
    drawn = np.random.default_rng(0).normal(size=(20000, 1, 3, 3))
    assert looks.parts_of(drawn) == pytest.approx((1 / 9, 2 / 9), abs=0.01)


def test_kernels_are_held_against_those_they_began_as() -> None:
    first = np.array([[[[3.0, 0], [0, 0]]], [[[0, 2.0], [0, 0]]]])
    turned = np.array([[[[1.0, 1.0], [0, 0]]], [[[0, -5.0], [0, 0]]]])
    assert looks.cosines(turned, first) == pytest.approx([2**-0.5, -1])


def test_a_map_is_a_copy_a_negative_or_neither() -> None:
    image = np.random.default_rng(0).random((8, 8))
    inner = image[1:7, 1:7]
    assert looks.likeness(image, 3 * inner + 1) == pytest.approx(1)
    assert looks.likeness(image, -inner) == pytest.approx(-1)
    assert looks.likeness(image, np.zeros((6, 6))) == 0


def test_the_counts_of_maps_and_kernels_are_those_of_the_stored_layers(record: Results) -> None:
    maps, image = record.arrays("activations"), record.arrays("sample")["image"][0]
    seen = [np.corrcoef(image[1:-1, 1:-1].ravel(), one.ravel())[0, 1] for one in maps["conv1"]]
    counts = [record.numbers[f"maps_{name}"].value for name in ("copying", "negative", "other")]
    assert sum(counts) == 32
    assert counts[:2] == [sum(r >= 0.7 for r in seen), sum(r <= -0.7 for r in seen)]
    assert record.numbers["zeros_relu1"].value == np.mean(maps["relu1"] == 0)
    torch.manual_seed(0)
    first = CnnA().get_parameter("features.conv1.weight").detach().flatten(1)
    trained = torch.from_numpy(record.arrays("kernels")["conv1"]).flatten(1)
    kept = F.cosine_similarity(first, trained).median()
    assert record.numbers["kernels_kept_conv1"].value == pytest.approx(float(kept), abs=0.05)


def test_the_four_digits_are_pictured(record: Results, data: Dataset) -> None:
    shown = record.arrays("digits")
    assert list(shown["classes"]) == ["6", "6", "7", "7"]
    for place, image in zip(shown["places"], shown["images"], strict=True):
        assert np.allclose(image, data.test.images[place].numpy() / 255)


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(cnn.FIGURES)
    for name in cnn.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        for path in (drawing.svg, drawing.png, *drawing.data):
            assert (record.folder / path).exists()
        assert drawing.width_mm in (pytest.approx(86), pytest.approx(178))


@pytest.mark.long
def test_the_paper_of_found_and_given_weights_and_a_single_seed(
    record: Results, tmp_path: Path, paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = str(record.folder / "weights/baseline-seed0.safetensors")
    run(tmp_path, "--seeds", "0", "--weights", given)
    again = parent(tmp_path)
    origins = {name: model["origin"] for name, model in again.run.models.items()}
    assert origins == {"baseline-seed0": "given", "relu-seed0": "found"}
    said = f"relu-seed0  found: trained by run {record.run.id[:8]}"
    assert said in capsys.readouterr().err
    for name in ("ratio_trained_mse", "knn_gain", "knn_p", "relu_gain", "dead_logits"):
        assert again.numbers[name] == record.numbers[name]
    assert command.main(["report", "cnn", "--log", f"folder:{tmp_path}"]) == 0
    text = (paper / "cnn.html").read_text().split("<script")[0]
    assert "of the models were given and not trained here" in text
    over_seeds = [number for number in again.numbers.values() if number.values]
    assert over_seeds and all(number.half_width is None for number in over_seeds)


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, outcome: str, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "cnn")


def test_the_paper_is_built(store: Path, paper: Path) -> None:
    assert command.main(["report", "cnn", "--log", f"folder:{store}"]) == 0
    assert (paper / "cnn.pdf").exists()
    record = trail(paper / "cnn.pdf")
    assert {figure["name"] for figure in record["figures"]} == set(cnn.FIGURES) - {"matrices"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.name", "photos"], "images of 1 × 28 × 28 in at most 10 classes"),
        (["--data.size", "32"], "mnist-sample has 1 × 32 × 32"),
        (["--sample", "seven"], "no class 'seven'"),
        (["--sample-index", "100"], "--sample-index must be 0 to 99"),
        (["--pair", "6", "six"], "no class 'six'"),
        (["--pair", "6", "6"], "--pair must be two classes"),
        (["--neighbours", "0"], "--neighbours must be at least 1"),
        (["--map-points", "20"], "less than half of the 20 points"),
        (["--perplexities", "60"], "--perplexities must be"),
        (["--perplexities", "10", "10"], "--perplexities must be one or more different"),
        (["--perplexities"], "--perplexities must be one or more different"),
        (["--relu-seeds", "0"], "--relu-seeds must be at least 1"),
        (["--resamples", "0"], "--resamples must be at least 1"),
        (["--permutations", "0"], "--permutations must be at least 1"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "cnn", "--log", f"folder:{tmp_path}", *FLAGS, *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_data_with_too_many_classes_or_too_few_images_are_refused(data: Dataset) -> None:
    config = cnn.PRESETS["sample"]
    many = dataclasses.replace(data, classes=tuple("0123456789A"))
    with pytest.raises(UserError, match="at most 10 classes, mnist-sample has 1 × 28 × 28 in 11"):
        cnn.check(config, many)
    kept = torch.cat([torch.nonzero(data.test.labels != 4)[:, 0], torch.tensor([400])])
    few = Split(data.test.images[kept], data.test.labels[kept])
    with pytest.raises(UserError, match="each class needs two test images, '4' has 1"):
        cnn.check(config, dataclasses.replace(data, test=few))
