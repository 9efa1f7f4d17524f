"""The study `zf-features`, run small, re-derived from the weights that it stored."""

import dataclasses
import html
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import rankdata, ttest_1samp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn import functional as F

from research import __main__ as command
from research import paths
from research.config import Data, Train
from research.data import Dataset, Split, load
from research.errors import UserError
from research.models import ZFNet
from research.paths import PAPER
from research.records import Array, Number, Results
from research.studies import zf_features as study
from research.studies.zf_features import ablation, comparisons, generalisation, networks, settings
from tests.trails import trail

from .zf_features_tiny import CLASSES, PENALTIES, SIDE, SPLITS, K, parent, run, targets
from .zf_tiny import Weights, is_mean, normalised, weights_of

ARMS = ["ours", "without34", "without7", "without67", "without3467", "hidden2048", "hidden8192",
        "maps", "both"]  # fmt: skip
LAYERS = ["layer1", "layer2", "layer3", "layer4", "layer5", "layer6", "layer7"]

SAMPLE = dataclasses.replace(
    settings.PRESETS["sample"], train=Train(epochs=2, batch=15, device="cpu")
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, stripes: Path) -> Path:
    return targets(tmp_path_factory.mktemp("shapes"), stripes)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, stripes: Path, shapes: Path) -> Path:
    folder = tmp_path_factory.mktemp("features")
    assert run(folder, stripes, shapes) == 0
    return folder


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="module")
def target(shapes: Path) -> Dataset:
    return load(Data("folder", shapes, 52))


@pytest.fixture(scope="module")
def drawn(target: Dataset) -> list[tuple[Tensor, Tensor]]:
    """For each draw the places of training images, class by class, and of test images."""
    return [places(target, seed) for seed in range(SPLITS)]


@pytest.fixture(scope="module")
def everything(target: Dataset) -> Tensor:
    """The middles of all images of the target, float64 in [0, 1]."""
    images = torch.cat([target.train.images, target.test.images])
    return images[:, :, 2:-2, 2:-2].double() / 255


def places(target: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """By classes, each in an order of its own: four of the first 18 images, five of the others."""
    labels = torch.cat([target.train.labels, target.test.labels])
    order = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in range(3):
        mixed = (labels == label).nonzero().flatten()
        mixed = mixed[torch.randperm(12, generator=order)]
        train.append([int(place) for place in mixed if place < 18][:4])
        test.append([int(place) for place in mixed if place >= 18][:5])
    return torch.tensor(train), torch.tensor(test).flatten()


def by_hand(w: Weights, images: Tensor) -> dict[str, Tensor]:
    """What each layer that there is passes on, and the logits, float64."""
    x, found = 255 * (images.double() - w["pixels.mean"]), {}
    for number, (stride, padding) in enumerate([(2, 1), (2, 0), *[(1, 1)] * 3], start=1):
        if f"conv{number}.weight" not in w:
            continue
        kernel, bias = w[f"conv{number}.weight"], w[f"conv{number}.bias"]
        x = F.conv2d(x, kernel, bias, stride, padding).clamp(min=0)
        if number in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if number in (1, 2):
            x = normalised(x)
        found[f"layer{number}"] = x
    x = x.flatten(1)
    for number in (6, 7):
        if f"fc{number}.weight" in w:
            x = F.linear(x, w[f"fc{number}.weight"], w[f"fc{number}.bias"]).clamp(min=0)
            found[f"layer{number}"] = x
    return found | {"logits": F.linear(x, w["fc8.weight"], w["fc8.bias"])}


def middles(split: Split) -> Tensor:
    return split.images[:, :, 2:-2, 2:-2].double() / 255


def cells(record: Results, name: str, row: str) -> dict[str, object]:
    table = record.table(name)
    [found] = [cells for cells in table.rows if cells[0] == row]
    return dict(zip(table.columns, found, strict=True))


# --- near-duplicates ------------------------------------------------------------------------------


def thumbnail(image: Tensor) -> Array:
    """Each pixel the mean of the pixels of which it covers any part."""
    grey = np.tensordot([0.299, 0.587, 0.114], image.numpy().astype(float), 1)
    edges = [(i * 52 // 16, -(-(i + 1) * 52 // 16)) for i in range(16)]
    return np.array([[grey[a:b, c:d].mean() for c, d in edges] for a, b in edges])


@pytest.fixture(scope="module")
def likest(zf_data: Dataset, target: Dataset) -> Array:
    """The correlation of each source image with its likest target image."""
    small = [thumbnail(image) for split in (target.train, target.test) for image in split.images]
    others = np.array([one.ravel() for view in small for one in (view, view[:, ::-1])])
    mine = np.array([thumbnail(image).ravel() for image in zf_data.train.images])
    found: Array = np.corrcoef(mine, others)[: len(mine), len(mine) :].max(1)
    return found


@pytest.mark.long
def test_copies_leave_the_training_set_and_are_told(
    record: Results, likest: Array, zf_data: Dataset
) -> None:
    table = record.table("pairs")
    gone = {int(place) for place in np.flatnonzero(likest >= 0.95)}
    assert {7, 60 + 11} <= gone and len(gone) < 20
    removed = [row for row in table.rows if row[-1] == "yes"]
    assert {row[1] for row in removed} == gone
    assert ("across", 7, "blob", 0) in [row[:4] for row in removed]
    assert ("sloping", 71, "ring", 18 + 12 + 3) in [row[:4] for row in removed]
    assert [row[4] for row in table.rows] == pytest.approx(
        -np.sort(-likest)[: len(table.rows)], abs=1e-4
    )
    assert record.numbers["duplicates"].value == len(gone)
    assert record.numbers["kept"].value == 90 - len(gone)
    assert record.numbers["duplicates_target"].value == 2
    assert record.numbers["likest"].value == pytest.approx(1) and likest.max() <= 1 + 1e-9
    shown = record.arrays("pairs")
    assert np.array_equal(shown["source"][0], zf_data.train.images[7])
    assert np.array_equal(shown["source"][0], shown["target"][0])
    assert np.array_equal(shown["source"][1], shown["target"][1][..., ::-1])
    assert len(shown["correlations"]) == 6


# --- ablations ------------------------------------------------------------------------------------


def test_errors_are_those_of_the_stored_weights(
    record: Results, zf_data: Dataset, likest: Array
) -> None:
    kept = torch.from_numpy(likest < 0.95)
    train, test = middles(zf_data.train), middles(zf_data.test)
    sides = {
        "train": (train[kept], zf_data.train.labels[kept]),
        "test": (test, zf_data.test.labels),
    }
    found: dict[str, dict[str, list[float]]] = {}
    for arm in ARMS:
        found[arm] = {side: [] for side in sides}
        for seed in (0, 1):
            w = weights_of(record, f"{arm}-seed{seed}")
            mean = train[kept].mean(0)
            assert torch.allclose(w["pixels.mean"], mean, atol=1e-6), "of images without copies"
            for side, (images, labels) in sides.items():
                wrong = by_hand(w, images)["logits"].argmax(1) != labels
                found[arm][side].append(wrong.double().mean().item())
        size = sum(weight.numel() for name, weight in w.items() if name != "pixels.mean")
        assert record.numbers[f"parameters_{arm}"].value == size
        row = cells(record, "ablations", arm)
        assert row["parameters"] == size
        for side, errors in found[arm].items():
            is_mean(record.numbers[f"{side}_{arm}"], errors)
            is_mean(row[side], errors)
            change = [100 * (a - b) for a, b in zip(errors, found["ours"][side], strict=True)]
            if arm != "ours":
                is_mean(row[f"change_{side}"], change)
            assert np.allclose(record.arrays("errors")[f"{arm}_{side}"], errors)
    assert record.table("ablations").column("arm") == tuple(ARMS)
    assert len({*(str(one) for one in found.values())}) > 4


def test_every_architecture_is_trained_as_long_on_the_same_images(record: Results) -> None:
    for arm in ARMS:
        for seed in (0, 1):
            assert len(record.arrays(f"curve_{arm}-seed{seed}")["loss_train"]) == 1
    for seed in (0, 1):
        assert len(record.arrays(f"curve_source-seed{seed}")["loss_train"]) == 2


def test_architectures_differ_as_table_2_says(record: Results) -> None:
    shapes = {arm: {n: tuple(x.shape) for n, x in weights_of(record, f"{arm}-seed0").items()}
              for arm in ARMS}  # fmt: skip
    layers = {arm: "".join(n[-8] for n in found if n.endswith(".weight"))
              for arm, found in shapes.items()}  # fmt: skip
    assert layers == {"ours": "12345678", "without34": "125678", "without7": "1234568",
                      "without67": "123458", "without3467": "1258", "hidden2048": "12345678",
                      "hidden8192": "12345678", "maps": "12345678", "both": "12345678"}  # fmt: skip
    for arm, units in {
        "ours": 256,
        "hidden2048": 128,
        "hidden8192": 512,
        "maps": 256,
        "both": 512,
    }.items():
        assert shapes[arm]["fc7.weight"] == (units, units)
    for arm, maps in {"ours": (24, 24, 16), "maps": (32, 64, 32), "both": (32, 64, 32)}.items():
        assert tuple(shapes[arm][f"conv{i}.weight"][0] for i in (3, 4, 5)) == maps


PRINTED = """
ours        own 33.1 38.4 16.5  alexnet 35.1 40.5 18.1
without34                       alexnet 41.8 45.4 22.1
without7                        alexnet 27.4 40.0 18.4
without67                       alexnet 27.4 44.8 22.4
without3467                     alexnet 71.1 71.3 50.1
hidden2048  own 38.2 40.2 17.6  alexnet 40.3 41.7 18.8
hidden8192  own 22.0 38.8 17.0  alexnet 26.8 40.0 18.1
maps        own 18.8 37.5 16.0
both        own 10.0 38.3 16.9
"""
"""Table 2 of the paper."""


def printed() -> dict[tuple[str, str], list[float]]:
    found = re.findall(r"(\w+)?\s+(own|alexnet) ([\d.]+) ([\d.]+) ([\d.]+)", PRINTED)
    arm, errors = "", {}
    for name, network, *values in found:
        arm = name or arm
        errors[arm, network] = [float(value) for value in values]
    return errors


def test_the_paper_s_errors_stand_beside_ours(record: Results) -> None:
    errors = printed()
    assert len(errors) == 12
    for arm in ARMS:
        row = cells(record, "ablations", arm)
        assert cells(record, "top5", arm)["test"] is None, "of three classes"
        for network in ("own", "alexnet"):
            theirs = errors.get((arm, network))
            for place, name in enumerate(("train", "test", "top5")):
                beside = cells(record, "top5", arm) if name == "top5" else row
                cell = beside[f"{network}_{name.replace('top5', 'test')}"]
                assert cell == (theirs and pytest.approx(theirs[place] / 100))
                if name != "top5":
                    change = theirs and theirs[place] - errors["ours", network][place]
                    expected = None if arm == "ours" or change is None else pytest.approx(change)
                    assert row[f"{network}_change_{name}"] == expected


def test_directions_are_told_as_they_are(record: Results) -> None:
    words = {"train": [], "test": []}  # type: dict[str, list[str]]
    for arm in ARMS[1:]:
        row = cells(record, "ablations", arm)
        for side, place in (("train", 0), ("test", 1)):
            signs = {values[place] > printed()["ours", network][place]
                     for (name, network), values in printed().items() if name == arm}  # fmt: skip
            change = row[f"change_{side}"]
            assert isinstance(change, Number) and change.span is not None
            word = "same" if signs == {change.value > 0} else "opposite"
            word = f"({word})"  # two seeds tell nothing
            word = "mixed" if len(signs) == 2 else word if change.value else "none"
            assert row[f"direction_{side}"] == word
            words[side].append(word)
    for side, told in words.items():
        for word in ("same", "opposite"):
            clear, unclear = told.count(word), told.count(f"({word})")
            assert record.numbers[f"{word}_{side}"].value == clear + unclear
            assert record.numbers[f"{word}_clear_{side}"].value == clear
        assert record.numbers[f"mixed_{side}"].value == told.count("mixed")
    assert words["test"][5] == "mixed" and "mixed" not in words["train"]
    assert cells(record, "ablations", "ours")["direction_test"] == "base"


@pytest.mark.parametrize(
    ("change", "theirs", "word"),
    [
        (Number(2.0, "", 1.0, 3), [0.1], "same"),
        (Number(2.0, "", 3.0, 3), [0.1, 5], "(same)"),
        (Number(-2.0, "", 1.0, 3), [0.1], "opposite"),
        (Number(-2.0, "", 2.0, 3), [0.1], "(opposite)"),
        (Number(-2.0), [-1], "same"),
        (Number(0.0, "", 0.0, 3), [-1], "none"),
        (Number(2.0, "", 1.0, 3), [0.4, -0.5], "mixed"),
    ],
)
def test_a_direction(change: Number, theirs: list[float], word: str) -> None:
    assert ablation.direction(change, theirs) == word


def test_top_5_where_there_are_more_classes() -> None:
    split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 4, 5, 6]))
    logits = torch.arange(7, 0, -1.0).repeat(4, 1)  # class 0 the likest, 6 the least
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "predict", lambda model, split: logits)
        assert ablation.wrong_of(torch.nn.Identity(), split) == {"top1": 3 / 4, "top5": 2 / 4}


# --- features -------------------------------------------------------------------------------------


def judged(
    kind: str, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, seed: int
) -> float:
    """Mean accuracy over classes of a classifier on features of length one."""
    x, y = (F.normalize(one.flatten(1), dim=1).numpy() for one in (train, test))
    model = (LinearSVC(dual=False, tol=1e-6, max_iter=100_000) if kind == "svm"
             else LogisticRegression(tol=1e-8, max_iter=10_000))  # fmt: skip
    folds = StratifiedKFold(min(3, len(x) // 3), shuffle=True, random_state=seed)
    search = GridSearchCV(model, {"C": PENALTIES}, cv=folds).fit(x, labels.numpy())
    right = search.predict(y) == truth.numpy()
    return float(np.mean([right[truth == label].mean() for label in range(3)]))


def untrained(record: Results, seed: int) -> Weights:
    torch.manual_seed(seed)
    mean = weights_of(record, f"ours-seed{seed}")["pixels.mean"].float()
    fresh = ZFNet(0.0625, 3, side=SIDE, mean=mean)
    return {name: weight.double() for name, weight in fresh.state_dict().items()}


def test_accuracies_are_those_on_features_of_the_stored_weights(
    record: Results, drawn: Sequence[tuple[Tensor, Tensor]], everything: Tensor, target: Dataset
) -> None:
    labels = torch.cat([target.train.labels, target.test.labels])
    logged = record.arrays("accuracies")
    assert {*logged} == {f"scratch_k{k}" for k in K} | {
        f"{space}_{kind}_k{k}" for space in ("pixels", "trained", "untrained")
        for kind in ("svm", "softmax") for k in K
    }  # fmt: skip
    off = []
    for draw, (known, asked) in enumerate(drawn):
        w = {"trained": weights_of(record, f"source-seed{draw}"),
             "untrained": untrained(record, draw)}  # fmt: skip
        spaces = {space: by_hand(one, everything) for space, one in w.items()}
        spaces["pixels"] = {"pixels": everything}
        for space, features in spaces.items():
            names = ["pixels"] if space == "pixels" else LAYERS
            for place, layer in enumerate(names):
                for kind in ("svm", "softmax"):
                    for k in K if space != "untrained" or layer in LAYERS[::3] else ():
                        chosen, x = known[:, :k].flatten(), features[layer]
                        expected = judged(
                            kind, x[chosen], labels[chosen], x[asked], labels[asked], draw
                        )
                        found = logged[f"{space}_{kind}_k{k}"][draw, place]
                        off.append(abs(found - expected) > 1e-9)
    assert np.mean(off) < 0.04  # features in float32 may move a decision at the border
    for few, k in (("few", K[0]), ("many", K[1])):
        for kind in ("svm", "softmax"):
            for place, layer in enumerate(LAYERS):
                cell = cells(record, "layers", layer)[f"{kind}_{few}"]
                is_mean(cell, logged[f"trained_{kind}_k{k}"][:, place].tolist())
                cell = cells(record, "layers", layer)[f"untrained_{kind}_{few}"]
                is_mean(cell, logged[f"untrained_{kind}_k{k}"][:, place].tolist())
            cell = cells(record, "layers", "pixels")[f"{kind}_{few}"]
            is_mean(cell, logged[f"pixels_{kind}_k{k}"][:, 0].tolist())
    assert cells(record, "layers", "pixels")["untrained_svm_few"] is None


def test_the_control_has_seen_the_images_of_its_draw_alone(
    record: Results, drawn: Sequence[tuple[Tensor, Tensor]], everything: Tensor, target: Dataset
) -> None:
    labels = torch.cat([target.train.labels, target.test.labels])
    for k in K:
        fitted, shown = [], []
        for draw, (known, asked) in enumerate(drawn):
            w = weights_of(record, f"scratch-k{k}-split{draw}")
            chosen = known[:, :k].flatten()
            assert torch.allclose(w["pixels.mean"], everything[chosen].mean(0), atol=1e-6)
            right = by_hand(w, everything)["logits"].argmax(1) == labels
            fitted.append(right[chosen].double().mean().item())
            shown.append(right[asked].double().mean().item())
            assert (
                len(record.arrays(f"curve_scratch-k{k}-split{draw}")["loss_train"])
                == {2: 3, 4: 2}[k]
            )
        assert np.allclose(record.arrays("accuracies")[f"scratch_k{k}"], shown)
        is_mean(record.numbers["fitted_few" if k == K[0] else "fitted_many"], fitted)
        is_mean(cells(record, "transfer", k)["scratch"], shown)  # type: ignore[arg-type]


def test_differences_are_in_pairs_of_one_draw(record: Results) -> None:
    logged, numbers = record.arrays("accuracies"), record.numbers
    for few, k in (("few", K[0]), ("many", K[1])):
        last = 100 * logged[f"trained_softmax_k{k}"][:, -1]
        controls = {"scratch": logged[f"scratch_k{k}"],
                    "pixels": logged[f"pixels_softmax_k{k}"][:, 0],
                    "untrained": logged[f"untrained_softmax_k{k}"][:, -1]}  # fmt: skip
        row = cells(record, "transfer", k)  # type: ignore[arg-type]
        is_mean(row["pretrained"], (last / 100).tolist())
        is_mean(numbers[f"pretrained_{few}"], (last / 100).tolist())
        for name, values in controls.items():
            is_mean(numbers[f"gain_{name}_{few}"], (last - 100 * values).tolist())
            is_mean(row[name], values.tolist())
        gained = lost = 0
        svm = {space: 100 * logged[f"{space}_svm_k{k}"] for space in ("trained", "untrained")}
        for place in range(7):
            gains = svm["trained"][:, place] - svm["untrained"][:, place]
            reach = 12.706204736 * gains.std(ddof=1) / 2**0.5
            gained, lost = gained + (gains.mean() > reach), lost + (gains.mean() < -reach)
        assert (numbers[f"layers_gained_{few}"].value, numbers[f"layers_lost_{few}"].value) == (
            gained, lost,
        )  # fmt: skip
        for space, values in svm.items():
            is_mean(numbers[f"rise_{space}_{few}"], (values[:, -1] - values[:, 0]).tolist())
            ranks = [np.corrcoef(range(7), rankdata(one.round(6)))[0, 1] if np.ptp(one) else 0
                     for one in values]  # fmt: skip
            is_mean(numbers[f"depth_{space}_{few}"], [float(one) for one in ranks])
        best = svm["trained"].mean(0).round(6)
        assert numbers[f"best_layer_{few}"].value == 1 + int(best.argmax())
        assert numbers[f"best_{few}"].value == pytest.approx(best.max() / 100)
    assert numbers["chance"].value == pytest.approx(1 / 3)
    assert numbers["edge"].value == 1, "of two there is nothing between"


def test_claims_are_tests_over_draws_and_over_seeds(record: Results) -> None:
    numbers, claims, logged = record.numbers, record.claims, record.arrays("accuracies")
    effects = {
        **{f"pretrained_beats_{control}": f"gain_{control}_many"
           for control in ("scratch", "untrained", "pixels")},
        "deeper_better": "depth_trained_many", "last_beats_first": "rise_trained_many",
        "training_helps": "gain_training_many", "removal_costs": "change_test_without3467",
        "wider_maps_help": "change_test_maps",
    }  # fmt: skip
    for name, number in effects.items():
        logged_with_its_range = dataclasses.replace(numbers[number], range=None)
        assert dataclasses.replace(claims[name].effect, range=None) == logged_with_its_range
    assert set(claims) == set(effects)
    svm = {space: 100 * logged[f"{space}_svm_k{K[1]}"] for space in ("trained", "untrained")}
    added = (svm["trained"] - svm["untrained"]).mean(1)
    is_mean(numbers["gain_training_many"], added.tolist())
    assert claims["training_helps"].p == pytest.approx(ttest_1samp(added, 0).pvalue)
    errors = record.arrays("errors")
    for name, arm in (("removal_costs", "without3467"), ("wider_maps_help", "maps")):
        change = 100 * (errors[f"{arm}_test"] - errors["ours_test"])
        is_mean(claims[name].effect, change.tolist())
        assert len(claims[name].effect.values) == 2
    assert [name for name, claim in claims.items() if claim.direction == "less"] == [
        "wider_maps_help"
    ]
    assert {claim.n for claim in claims.values()} == {2}
    assert not any(claim.threshold for claim in claims.values())


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    printed = {"last_beats_first", "pretrained_beats_pixels"}  # by their numbers alone
    assert spoken(record, "zf-features") == set(record.claims) - printed


def test_equal_accuracies_differ_by_nothing() -> None:
    thirds = [(a / 5 + b / 5 + c / 5) / 3 for a, b, c in ((1, 2, 3), (2, 2, 2))]
    found = comparisons.gain([round(one, 12) for one in thirds], [0.4, 0.4])
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert comparisons.rank([0.4] * 3) == 0 and comparisons.rank([1, 2, 3]) == pytest.approx(1)


def test_draws_are_not_called_seeds(record: Results) -> None:
    """What carries the values of its repetitions is counted in seeds, and marked if it has one."""
    for name in ("layers", "transfer"):
        rows = record.table(name).rows
        numbers = [cell for row in rows for cell in row if isinstance(cell, Number)]
        assert len(numbers) > 5 and not any(one.values for one in numbers)
    ablations = [cells(record, "ablations", arm)["train"] for arm in ARMS]
    assert all(isinstance(one, Number) and len(one.values) == 2 for one in ablations)


def test_the_paper_s_accuracies_stand_beside_ours(record: Results) -> None:
    table = {"layer1": (44.8, 24.6), "layer2": (66.2, 39.6), "layer3": (72.3, 46.0),
             "layer4": (76.6, 51.3), "layer5": (86.2, 65.6), "layer7": (85.5, 71.7)}  # fmt: skip
    assert record.table("layers").column("layer") == ("pixels", *LAYERS)
    for layer in ("pixels", *LAYERS):
        row = cells(record, "layers", layer)
        svm, softmax = table.get(layer), {"layer5": (82.9, 65.7), "layer7": (85.4, 72.6)}.get(layer)
        for kind, pair in (("svm", svm), ("softmax", softmax)):
            assert row[f"printed_{kind}"] == (pair and pytest.approx(pair[0] / 100))
            assert row[f"printed_{kind}_256"] == (pair and pytest.approx(pair[1] / 100))
    assert record.numbers["rise_printed"].value == pytest.approx(85.5 - 44.8)
    theirs = {15: (22.8, 83.8, 9.0, 65.7), 30: (46.5, 86.5, 22.5, 70.6),
              45: (None, None, 31.2, 72.7), 60: (None, None, 38.8, 74.2)}  # fmt: skip
    assert record.table("transfer").column("k") == (*K, 15, 30, 45, 60)
    for k in (*K, 15, 30, 45, 60):
        row = cells(record, "transfer", k)  # type: ignore[arg-type]
        assert (row["scratch"] is None) == (k not in K)
        names = [
            f"{a}_{b}" for b in ("caltech101", "caltech256") for a in ("scratch", "pretrained")
        ]
        for name, value in zip(names, theirs.get(k, (None,) * 4), strict=True):
            assert row[name] == (value and pytest.approx(value / 100))


def test_the_target_is_told(record: Results, target: Dataset) -> None:
    row = cells(record, "target", record.table("target").rows[0][0])  # type: ignore[arg-type]
    assert (row["images"], row["classes"], row["sha256"]) == (36, 3, target.sha256)
    assert str(row["sha256"]).startswith(str(row["digest"]))


# --- the parts ------------------------------------------------------------------------------------


def test_a_random_crop_is_cut_where_the_generator_draws() -> None:
    images = torch.arange(3 * 2 * 6 * 7).view(3, 2, 6, 7)
    found = networks.random_crops(images, 4, torch.Generator().manual_seed(3))
    order = torch.Generator().manual_seed(3)
    tops, lefts = (torch.randint(room, (3,), generator=order).tolist() for room in (3, 4))
    for image, crop, top, left in zip(images, found, tops, lefts, strict=True):
        assert torch.equal(crop, image[:, top : top + 4, left : left + 4])
    many = networks.random_crops(images[:1].expand(500, -1, -1, -1), 4)
    assert len({*many[:, 0, 0, 0].tolist()}) == 3 * 4


def test_the_control_has_its_updates() -> None:
    config = dataclasses.replace(SAMPLE, scratch_steps=100, scratch_batch=32)
    assert [networks.scratch_epochs(n, config) for n in (1, 32, 33, 65, 320)] == [
        100, 100, 50, 34, 10,
    ]  # fmt: skip


def test_pooled_draws_may_train_on_either_side(target: Dataset) -> None:
    config = dataclasses.replace(SAMPLE, k=(2, 4), splits=3, judged=5, pooled=True)
    pool = generalisation.pool_of(target, config)
    for number, one in enumerate(pool.draws):
        assert not {*one.train.flatten().tolist()} & {*one.test.tolist()}
        assert torch.equal(pool.train(number, 2).labels, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert (torch.stack([one.train for one in pool.draws]) >= 18).any()
    own = generalisation.pool_of(target, dataclasses.replace(config, pooled=False))
    assert (torch.stack([one.train for one in own.draws]) < 18).all()


def test_looking_leaves_networks_as_they_were(target: Dataset, zf_data: Dataset) -> None:
    config = dataclasses.replace(
        SAMPLE, side=SIDE, width=0.0625, k=(2, 3), splits=1, judged=3,
        penalties=(1,),
    )  # fmt: skip
    source = networks.source_of(zf_data, SIDE)
    model = networks.beginning(0, source, config).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(4)
    state = torch.get_rng_state()
    pool = generalisation.pool_of(target, config)
    generalisation.try_features([model], [model], pool, config)
    ablation.errors_of(model, source)
    generalisation.accuracy_of(model, source.test)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())


def test_grey_targets_get_the_source_s_channels(shapes: Path) -> None:
    config = dataclasses.replace(SAMPLE, side=SIDE, target=Data("mnist-sample", size=None))
    source = load(Data("folder", shapes, 52))
    found = study.target_of(config, source, MagicMock())
    assert found.train.images.shape[1:] == (3, 52, 52)
    assert torch.equal(found.train.images[:, 0], found.train.images[:, 2])


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--side", "0"], "--side must be at least 1, got 0"),
        (["--side", "53"], "--side must be at most the 52 pixels"),
        (["--side", "40"], "needs images of at least"),
        (["--splits", "0"], "--splits must be at least 1"),
        (["--judged", "0"], "--judged must be at least 1"),
        (["--scratch-steps", "0"], "--scratch-steps must be at least 1"),
        (["--scratch-batch", "0"], "--scratch-batch must be at least 1"),
        (["--ablation-epochs", "0"], "--ablation-epochs must be at least 1"),
        (["--width", "0"], "--width must be greater than 0"),
        (["--k", "5"], "--k must be two or more different numbers from 2 on, got 5"),
        (["--k", "5", "5"], "--k must be two or more different numbers from 2 on, got 5 5"),
        (["--k", "1", "5"], "--k must be two or more different numbers from 2 on, got 1 5"),
        (["--k", "2", "7"], "'blob' has 6 and 5; give a smaller k, or mix"),
        (["--penalties", "0", "1"], "--penalties must be numbers greater than 0, got 0.0 1"),
        (["--penalties", "inf"], "--penalties must be a finite number, got inf"),
        (["--threshold", "1"], "--threshold must be greater than 0 and less than 1, got 1"),
        (["--threshold", "0"], "--threshold must be greater than 0 and less than 1"),
        (["--threshold", "0.05"], "of the class 'across' of the source all have near-duplicates"),
        (["--target.size", "47"], "--target.size must be at least --side (48), got 47"),
        (["--data.name", "mnist-sample"], "must have the 1 channels of the source, or one"),
        (["--target.name", "faces"], "'face' has 0 and 5; give a smaller k, or mix"),
    ],
)
def test_a_mistake_costs_one_line_before_anything_is_trained(
    flags: list[str], message: str, stripes: Path, shapes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(tmp_path, stripes, shapes, *flags) == 2
    said = capsys.readouterr().err.splitlines()
    assert not any("epoch 1/" in line or " found: " in line for line in said), "it was trained"
    [line] = [line for line in said if line.startswith("research:")]
    assert said[-1] == line and message in line


def test_the_same_images_are_no_other_images(
    stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, stripes, stripes) == 2
    assert "source and target must be different images" in capsys.readouterr().err.splitlines()[-1]


def test_weights_must_be_of_a_known_model(
    stripes: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other-seed0.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    assert run(tmp_path / "s", stripes, shapes, "--weights", str(file)) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("research:")


def test_settings_are_refused_by_themselves(zf_data: Dataset) -> None:
    for config in settings.PRESETS.values():
        study.check(config)
    with pytest.raises(UserError, match="two classes or more, one has one"):
        one = dataclasses.replace(zf_data, name="one", classes=("only",))
        study.check_target(SAMPLE, one, zf_data)
    with pytest.raises(UserError, match="got none"):
        study.check(dataclasses.replace(SAMPLE, k=()))


# --- figures and the paper ------------------------------------------------------------------------


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the write-up that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("zf-features.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def report(paper: Path, store: Path) -> str:
    assert command.main(["report", "zf-features", "--log", f"folder:{store}"]) == 0
    body = (paper / "zf-features.html").read_text().split("<body")[1].split("<script")[0]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).replace("’", "'").split())


def test_every_figure_is_drawn(record: Results) -> None:
    assert record.names("figures") == sorted(study.FIGURES) == ["ablations", "layers", "pairs"]
    for name in study.FIGURES:
        drawing = record.figure(name)
        assert all((record.folder / path).exists() for path in (drawing.svg, *drawing.data))
        assert drawing.width_mm <= 86.01 and drawing.height_mm < 120


def test_the_paper_of_several_seeds(record: Results, store: Path, paper: Path) -> None:
    text = report(paper, store)
    found = trail(paper / "zf-features.pdf")
    assert {figure["name"] for figure in found["figures"]} == set(study.FIGURES)
    assert "without 3, 4, 6, 7" in text and "mixed" in text and "layer 7" in text
    errors = record.numbers["test_ours"].value
    assert f"{100 * errors:.0f}" in text


@pytest.mark.long
def test_the_paper_of_one_seed_and_one_draw(
    record: Results, stripes: Path, shapes: Path, tmp_path: Path, paper: Path
) -> None:
    given = record.folder / "weights/ours-seed0.safetensors"
    more = ["--seeds", "0", "--splits", "1", "--train.epochs", "1", "--weights", str(given)]
    assert run(tmp_path / "one", stripes, shapes, *more) == 0
    one = parent(tmp_path / "one")
    origins = {name: model["origin"] for name, model in one.run.models.items()}
    assert origins.pop("ours-seed0") == "given" and {*origins.values()} == {"found"}
    assert "source-seed0" not in origins, "the baseline is trained as long"
    for arm in ARMS:
        both = record.arrays("errors")[f"{arm}_test"]
        assert one.numbers[f"test_{arm}"].value == pytest.approx(both[0])
    text = report(paper, tmp_path / "one")
    assert "†" in text, "single values are marked"


def test_children_are_what_is_trained(record: Results) -> None:
    assert len(CLASSES) == 3
    expected = {f"{arm}-seed{seed}" for arm in (*ARMS, "source") for seed in (0, 1)}
    expected |= {f"scratch-k{k}-split{draw}" for k in K for draw in range(SPLITS)}
    assert {*record.run.models} == expected
