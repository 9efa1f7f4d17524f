"""The study `mlp`, run small: what it logs is re-derived from the weights it stored."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import linalg, special, stats
from sklearn.metrics import f1_score, log_loss, recall_score

from research import __main__ as command
from research import paths
from research.config import Data
from research.data import load
from research.errors import UserError
from research.methods.classification import Report, cross_entropy, report
from research.models import Mlp
from research.paths import PAPER
from research.records import Array, Number, Results
from research.records import load as read
from research.studies import mlp
from research.studies.mlp import course, measures, networks, settings
from research.tracking import Log
from research.training.loop import Training, resolve

FLAGS = ["--preset", "sample", "--train.epochs", "2", "--train.batch", "100"]
FLAGS += ["--seeds", "0", "1", "--doses", "0", "60", "--dose-seeds", "1", "--noise-images", "40"]
ARMS = ("baseline", "lr", "deep", "biased", "reordered")


def run(store: Path, *more: str) -> Results:
    assert command.main(["run", "mlp", "--log", f"folder:{store}", *FLAGS, *more]) == 0
    found = [read(path.parent) for path in store.glob("*/run.json")]
    (record,) = (one for one in found if "/" not in one.run.name and not lineage(one)["parent"])
    return record


def lineage(record: Results) -> dict[str, Any]:
    return dict(json.loads((record.folder / "tracking/lineage.json").read_text()))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("store"))


def space(record: Results, name: str, images: torch.Tensor) -> tuple[Array, Array]:
    """Embedding before the last ReLU and logits, by hand from stored weights."""
    weights = load_file(record.folder / f"weights/{name}.safetensors")
    out = (images.flatten(1) - 0.1307) / 0.3081
    layers = sorted({key.rsplit(".", 1)[0] for key in weights if key.startswith("body")})
    for number, layer in enumerate(layers):
        out = out if number == 0 else out.clamp(min=0)
        out = out @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
    logits = out.clamp(min=0) @ weights["head.weight"].T + weights["head.bias"]
    return out.double().numpy(), logits.double().numpy()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load(Data("mnist-sample")).test.images.float() / 255


@pytest.fixture(scope="module")
def labels() -> Array:
    return np.asarray(load(Data("mnist-sample")).test.labels.numpy())


def preds(record: Results, name: str, images: torch.Tensor) -> Array:
    return np.asarray(space(record, name, images)[1].argmax(1))


def test_every_model_is_stored_under_its_name(record: Results) -> None:
    names = {path.stem for path in (record.folder / "weights").glob("*.safetensors")}
    assert names == {f"{arm}-seed{seed}" for arm in ARMS for seed in (0, 1)} | {
        f"{arm}-seed0"
        for arm in (
            "ones0", "ones60", "baseline-weighted", "biased-weighted", "ones60-weighted",
        )
    }  # fmt: skip
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}


def test_arms_share_their_first_weights_and_differ_where_they_should() -> None:
    config = mlp.PRESETS["full"]
    found = {one.name: one for one in settings.recipes(config)}
    assert len(found) == len(settings.recipes(config)) == len(mlp.children(config))
    torch.manual_seed(3)
    first = Mlp().state_dict()
    torch.manual_seed(3)
    again = Mlp(found["biased-seed3"].hidden).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert found["lr-seed3"].lr == 0.05 and found["baseline-seed3"].lr is None
    assert found["deep-seed3"].hidden == (128, 64, 32)
    assert found["biased-seed3"].ones == 242 and not found["biased-seed3"].weighted
    assert found["reordered-seed3"].order and not found["baseline-seed3"].order
    assert "ones0-weighted-seed0" not in found and found["ones8-weighted-seed2"].weighted


def test_the_first_ones_are_deleted_and_nothing_else() -> None:
    train = load(Data("mnist-sample")).train
    left = networks.thinned(train, 1, 14)
    images, labels = train.images.numpy(), train.labels.numpy()
    assert np.array_equal(left.images[left.labels == 1].numpy(), images[labels == 1][-14:])
    assert np.array_equal(left.images[left.labels != 1].numpy(), images[labels != 1])
    assert len(networks.thinned(train, 1, 0)) == 3600
    assert len(networks.thinned(train, 1, 400)) == 4000


def test_every_class_has_the_same_share_of_the_weighted_loss() -> None:
    train = load(Data("mnist-sample")).train
    model, batch = Mlp(), train.images[:50].float() / 255
    left = networks.thinned(train, 1, 14)
    weights = np.array([len(left) / (10 * (14 if c == 1 else 400)) for c in range(10)])
    labels = torch.randint(10, (50,))
    objective = networks.weighted(left, 10)
    loss = objective(model, batch, labels).item()
    log_p = model(batch).log_softmax(1).detach().numpy()[np.arange(50), labels]
    assert loss == pytest.approx(-(weights[labels] * log_p).sum() / 50, rel=1e-5)
    # equal logits cost ln 10 nat each: over the split, whatever its batches, a tenth per class
    level = torch.nn.Module()
    level.forward = lambda images: torch.zeros(len(images), 10)
    shares = np.zeros(10)
    for start in range(0, len(left), 64):
        part = left.labels[start : start + 64]
        for c in range(10):
            same = part[part == c]
            shares[c] += objective(level, same, same).item() * len(same) if len(same) else 0
    assert shares / len(left) == pytest.approx(np.full(10, np.log(10) / 10), rel=1e-4)
    plain = cross_entropy(model, batch, labels).item()
    assert plain == pytest.approx(-log_p.mean(), rel=1e-5)


def test_scores_are_those_of_the_stored_weights(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    table = record.table("arms")
    base = [preds(record, f"baseline-seed{seed}", images) == labels for seed in (0, 1)]
    p = []
    for arm in ARMS:
        made = [preds(record, f"{arm}-seed{seed}", images) for seed in (0, 1)]
        number = record.numbers[f"accuracy_{arm}"]
        accuracies = [(one == labels).mean() for one in made]
        assert number.value == pytest.approx(np.mean(accuracies))
        assert number.bounds is None and number.span == pytest.approx(sorted(accuracies))
        f1 = np.mean([f1_score(labels, one, average="macro") for one in made])
        defined = all(set(one) == set(range(10)) for one in made)
        assert record.numbers[f"f1_{arm}"].value == pytest.approx(f1) or not defined
        gains = [100 * (x - y.mean()) for x, y in zip(accuracies, base, strict=True)]
        if arm != "baseline":
            assert record.numbers[f"change_{arm}"].value == pytest.approx(np.mean(gains))
            costs = [
                log_loss(labels, special.softmax(space(record, f"{a}-seed{s}", images)[1], 1))
                for a in ("baseline", arm)
                for s in (0, 1)
            ]
            dearer = [costs[2] - costs[0], costs[3] - costs[1]]
            number = record.numbers[f"loss_change_{arm}"]
            assert number.value == pytest.approx(np.mean(dearer), abs=1e-5)
            assert number.span == pytest.approx(sorted(dearer), abs=1e-5)
            only = [(base[0] & (made[0] != labels)).sum(), (~base[0] & (made[0] == labels)).sum()]
            p.append(stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0)
        recall = recall_score(labels, made[1], average=None)
        counts = record.arrays(f"confusion_{arm}")["counts"][1]
        assert np.diag(counts) / counts.sum(1) == pytest.approx(recall)
    order, least = np.argsort(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, p[index] * (4 - rank)))
        assert record.numbers[f"p_{ARMS[1 + index]}"].value == pytest.approx(least)
    assert table.column("p")[0] is None and table.column("change")[0] is None
    assert "accuracy_next" not in record.numbers  # which takes three seeds


def notebook() -> tuple[dict[str, Any], Log]:
    """A log that keeps numbers and forgets the rest."""
    logged: dict[str, Any] = {}
    others = dict.fromkeys(("table", "finding"), lambda *_: None)
    arrays = {"arrays": lambda *_, **__: None}
    return logged, cast(
        Log,
        SimpleNamespace(
            claim=lambda name, claim: None, number=logged.__setitem__, **others, **arrays
        ),
    )


def planted(right: list[int]) -> Report:
    """Of ten images of each of two classes, these counts are right; the first ones are."""
    labels = np.repeat([0, 1], 10)
    hit = np.concatenate([np.arange(10) < count for count in right])
    return report(labels, np.eye(2)[np.where(hit, labels, 1 - labels)])


def test_doses_are_tested_on_the_ones_and_adjusted_over_doses() -> None:
    # seed 0: 1, 6 and 8 ones more are right with weights, seed 1: 10, 7 and 8
    counts = {9: (1, 10), 5: (6, 7), 1: (8, 8)}
    plain = {dose: [planted([10, 0])] * 2 for dose in counts}
    balanced = {dose: [planted([0, n]) for n in seeds] for dose, seeds in counts.items()}
    ones = np.repeat([False, True], 10)
    p = measures.dose_tests(plain, balanced, ones, 1)
    # exact p of n discordant pairs on one side is 2 / 2^n; times 3, 2, 1 from the smallest on
    assert p[9] == pytest.approx(1.0)
    assert p[5] == pytest.approx(max(2 * 2 / 2**6, 1 * 2 / 2**7))
    assert p[1] == pytest.approx(max(3 * 2 / 2**8, 2 * 2 / 2**8))


def test_what_weighting_recovers_is_a_share_of_what_was_lost() -> None:
    logged, log = notebook()
    groups = {"baseline": ([9, 10], [8, 10]), "biased": ([8, 2], [9, 6])}
    reports = {arm: [planted(one) for one in pair] for arm, pair in groups.items()}
    measures.log_costs(reports | {"biased-weighted": [planted([5, 6])]}, 1, log)
    assert logged["recovered"].value == pytest.approx(4 / 8)
    assert logged["recall_change"].value == pytest.approx(-60)
    assert logged["recall_gain"].value == pytest.approx(40)
    assert logged["others_change"].value == pytest.approx((-10 + 10) / 2)
    assert logged["accuracy_gain"].value == pytest.approx(100 * (11 - 10) / 20)
    logged, log = notebook()
    swapped = {"biased": reports["baseline"], "biased-weighted": reports["biased"]}
    measures.log_costs(reports | swapped, 1, log)
    assert "recovered" not in logged


def test_pairs_of_seeds_span_from_the_least_to_the_greatest_distance() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(50, 3)) - rng.normal(size=3))[0]
    axes = np.linalg.qr(axes - axes.mean(0))[0]  # uncorrelated, of one variance
    spread = np.sqrt([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0]])
    # the scale must not count, the directions must
    spaces = {arm: [k * axes * s for k, s in zip((1, 7, 3), spread, strict=True)] for arm in ARMS}
    logged, log = notebook()
    measures.measure_spaces(spaces, log)
    assert logged["seed_pairs"] == 3
    apart = [np.linalg.norm(spread[a] - spread[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
    for measure in ("spectral", "bures"):
        assert logged[f"{measure}_seeds_least"].value == pytest.approx(min(apart))
        assert logged[f"{measure}_seeds_greatest"].value == pytest.approx(max(apart))
    assert logged["spread_baseline"].value == pytest.approx(11 / 3 / 7, rel=1e-6)


def test_an_arm_is_judged_against_another_order_in_pairs_of_seeds() -> None:
    space = np.random.default_rng(1).normal(size=(40, 2))
    wide, wider = space * [1, 3], space * [1, 9]
    same = [space, space]
    spaces = {"baseline": same, "reordered": [wide, space], "lr": [5 * space, wide]}
    spaces |= {"deep": [wider, wider], "biased": [wide, wide]}
    logged, log = notebook()
    measures.measure_spaces(spaces, log)
    far = logged["spectral_reordered"].value * 2
    assert far > 0
    found = logged["spectral_excess_lr"]
    assert found.value == pytest.approx(0)
    assert found.span == pytest.approx((-far, far), rel=1e-3)
    assert logged["spectral_excess_biased"].value == pytest.approx(far / 2)
    assert logged["frobenius_excess_biased"].value == pytest.approx(
        logged["frobenius_reordered"].value
    )
    assert logged["spectral_excess_deep"].value > far / 2


@pytest.mark.parametrize(
    ("given", "unlike"),
    [
        ({}, ""),
        ({"name": "mnist-sample"}, "data"),
        ({"epochs": 9}, "epochs"),
        ({"lr": 0.01}, "lr"),
        ({"batch": 32}, "batch"),
    ],
)
def test_only_training_like_the_courses_is_compared_with_it(
    given: dict[str, Any], unlike: str
) -> None:
    logged, log = notebook()
    config, data = mlp.PRESETS["full"], load(Data("mnist-sample"))
    train = replace(config.train, **{k: v for k, v in given.items() if k != "name"})
    data = replace(data, name=given.get("name", "mnist"))
    course.log_course([97.61, 97.76, 97.91], replace(config, train=train), data, log)
    told = {key.rsplit("_", 1)[1] for key, value in logged.items() if "unlike" in key and value}
    assert told == {unlike} - {""}
    assert ("course_gap" in logged) == (not told)
    assert logged["accuracy_least"] == 0.9761
    if not told:
        gap = logged["course_gap"]
        assert isinstance(gap, Number)
        assert gap.value == pytest.approx(0.05)
        assert gap.unit == "points"
        # one more run: t(0.975; 2) = 4.303 times sd 0.15 times the root of 1 + 1/3, a little less
        # on the side away from 100 %
        assert logged["course_resolvable"].value == pytest.approx(0.745, abs=0.15)
        assert logged["course_ratio"].value == pytest.approx(97.76 / 97.71)


def test_a_digit_is_named_by_its_class_not_its_index() -> None:
    classes = [*"9876543210"]  # the ones have the label 8
    logits = np.eye(10)[[8, 8, 8, 8, 2, 2, 2, 5, 5, 0]]
    one = report(np.full(10, 8), logits)
    logged, log = notebook()
    arms = {arm: [one] for arm in ("baseline", "biased", "biased-weighted")}
    measures.log_lost(arms, 8, classes, log)
    assert (logged["lost_class_1"], logged["lost_class_2"]) == (7, 4)
    assert logged["lost_share_1"].value == pytest.approx(0.3)


def test_another_arms_rate_is_told_where_it_diverges(tmp_path: Path) -> None:
    config = replace(mlp.PRESETS["sample"], high_lr=7.0)
    given: list[Any] = []

    def obtain(training: Training[Mlp], **_: Any) -> Mlp:
        given.append(training.settings)
        return training.model

    data = load(Data("mnist-sample"))
    config = replace(config, train=resolve(replace(config.train, device="cpu")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "obtain", obtain)
        for recipe in settings.recipes(config)[:4:3]:
            networks.train(recipe, data, config, notebook()[1])
    assert [one.lr for one in given] == [0.003, 7.0]
    assert given[1] == replace(config.train, lr=7.0)


def test_the_report_has_the_scores_of_each_class(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    table = record.table("report")
    assert table.column("class") == (*"0123456789", "mean")
    assert table.column("support")[:10] == (100,) * 10
    made = [preds(record, f"lr-seed{seed}", images) for seed in (0, 1)]
    recalls = np.mean([recall_score(labels, one, average=None) for one in made], 0)
    found = [cell.value for cell in table.column("recall_lr") if isinstance(cell, Number)]
    assert found == pytest.approx([*recalls, recalls.mean()])


def test_spaces_are_those_of_the_stored_weights(record: Results, images: torch.Tensor) -> None:
    spaces = {
        (arm, seed): space(record, f"{arm}-seed{seed}", images)[0]
        for arm in ARMS
        for seed in (0, 1)
    }
    stored = record.arrays("embedding_biased")
    one = spaces["biased", 1]
    assert stored["mean"][1] == pytest.approx(one.mean(0), abs=1e-4)
    assert stored["sd"][1] == pytest.approx(one.std(0, ddof=1), rel=1e-4)
    assert stored["covariance"][1] == pytest.approx(np.cov(one.T), rel=1e-3, abs=1e-4)
    numbers = record.numbers

    def over_pairs(arm: str, distance: Any) -> float:
        return float(np.mean([distance(spaces["baseline", s], spaces[arm, s]) for s in (0, 1)]))

    def bures(x: Array, y: Array) -> float:
        a, b = (np.cov(z.T) / z.var(0, ddof=1).sum() for z in (x, y))
        root = linalg.sqrtm(a)
        return float(np.sqrt(2 - 2 * np.trace(linalg.sqrtm(root @ b @ root)).real))

    def cka(x: Array, y: Array) -> float:
        grams = [z - z.mean(0) for z in (x, y)]
        a, b = (z @ z.T for z in grams)
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))

    def frobenius(x: Array, y: Array) -> float:
        a, b = (np.cov(z.T) / z.var(0, ddof=1).sum() for z in (x, y))
        return float(np.sqrt(((a - b) ** 2).sum() / np.sqrt((a**2).sum() * (b**2).sum())))

    assert numbers["bures_lr"].value == pytest.approx(over_pairs("lr", bures), rel=1e-3)
    assert numbers["frobenius_lr"].value == pytest.approx(over_pairs("lr", frobenius), rel=1e-3)

    def sd(x: Array, y: Array) -> float:
        a, b = x.std(0, ddof=1), y.std(0, ddof=1)
        norm = np.linalg.norm
        return float(norm(a - b) / np.sqrt(norm(a) * norm(b)))

    assert numbers["sd_lr"].value == pytest.approx(over_pairs("lr", sd), rel=1e-3)
    assert numbers["cka_deep"].value == pytest.approx(over_pairs("deep", cka), rel=1e-4)
    assert "bures_deep" not in numbers and "frobenius_deep" not in numbers
    seeds = bures(spaces["baseline", 0], spaces["baseline", 1])
    assert numbers["bures_seeds_least"].value == pytest.approx(seeds, rel=1e-3)
    assert numbers["bures_seeds_greatest"].value == pytest.approx(seeds, rel=1e-3)
    for arm in ARMS[1:]:
        assert numbers[f"spectral_{arm}"].value > 0
    assert numbers["spectral_lr"].value <= numbers["bures_lr"].value
    totals = [np.sqrt(spaces["lr", s].var(0, ddof=1).sum()) for s in (0, 1)]
    assert numbers["spread_lr"].value == pytest.approx(np.mean(totals), rel=1e-4)


def test_recall_by_dose_is_that_of_the_stored_weights(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    ones = labels == 1

    def recall(name: str) -> float:
        return float((preds(record, name, images)[ones] == 1).mean())

    plain, weighted = (record.arrays(f"doses_{loss}") for loss in ("plain", "weighted"))
    assert plain["ones"].tolist() == [0, 14, 60, 400]
    assert weighted["ones"].tolist() == [14, 60, 400]
    names = ["ones0", "biased", "ones60", "baseline"]
    wanted = [100 * recall(f"{name}-seed0") for name in names]
    assert plain["recall"][:, 0] == pytest.approx(wanted)
    gains = [100 * recall(f"{name}-weighted-seed0") for name in names[1:]]
    assert weighted["recall"][:, 0] == pytest.approx(gains)
    for hits, (low, high) in zip(weighted["recall"][:, 0], weighted["wilson"], strict=True):
        ends = stats.binomtest(round(hits), 100).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((100 * ends.low, 100 * ends.high))
    numbers = record.numbers
    assert numbers["recall_none"].value == wanted[0] / 100
    # of 3600 others and 14 ones, in ten classes; the least dose with ones
    assert (numbers["ones_fewest"].value, numbers["weight_fewest"].value) == (14, 3614 / 140)
    accuracies = [
        100 * (preds(record, f"biased{kind}-seed0", images) == labels).mean()
        for kind in ("", "-weighted")
    ]
    moved = accuracies[1] - accuracies[0]
    assert numbers["accuracy_fewest"].value == pytest.approx(moved)
    assert numbers["recall_gain"].value == pytest.approx(gains[0] - wanted[1])
    lost = [100 * (recall(f"biased-seed{s}") - recall(f"baseline-seed{s}")) for s in (0, 1)]
    assert numbers["recall_change"].value == pytest.approx(np.mean(lost))
    p = []
    for name in names[1:]:
        a, b = (preds(record, f"{n}-seed0", images)[ones] == 1 for n in (name, f"{name}-weighted"))
        only = (a & ~b).sum(), (b & ~a).sum()
        p.append(stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0)
    smallest = min(1, 3 * min(p))
    table = [cell for cell in record.table("doses").column("p") if isinstance(cell, float)]
    assert min(table) == pytest.approx(smallest)
    taken = np.mean(
        [np.bincount(preds(record, f"biased-seed{s}", images)[ones], minlength=10) for s in (0, 1)],
        axis=0,
    )
    taken[1] = -1
    assert int(numbers["lost_class_1"].value) == taken.argmax()
    assert numbers["lost_share_1"].value == pytest.approx(taken.max() / 100)
    if "recovered" in numbers:
        share = (gains[0] - wanted[1]) / (wanted[3] - wanted[1])
        assert numbers["recovered"].value == pytest.approx(share)


def test_noise_is_what_it_is_said_to_be(record: Results, images: torch.Tensor) -> None:
    drawn = np.random.default_rng(0).normal(0, 0.2, (40, 1, 28, 28)).astype(np.float32)
    noise = {
        "normalised": torch.from_numpy(drawn * 0.3081 + 0.1307),
        "pixels": torch.from_numpy(drawn.clip(0, 1)),
    }
    for name, inputs in noise.items():
        made = [preds(record, f"baseline-seed{s}", inputs) for s in (0, 1)]
        shares = [(one == 3).mean() for one in made]
        modes = {int(stats.mode(one).mode) for one in made}
        assert record.numbers[f"answers_{name}"].value == len(modes)
        assert record.numbers[f"three_{name}"].value == pytest.approx(np.mean(shares))
        pairs = []
        for seed in (0, 1):
            odd, clean = (
                1 - torch.from_numpy(space(record, f"baseline-seed{seed}", x)[1]).softmax(1).amax(1)
                for x in (inputs, images)
            )
            pairs.append((odd[:, None] > clean).double().mean().item())
        assert record.numbers[f"softmax_{name}"].value == pytest.approx(np.mean(pairs), abs=1e-4)
        lead = record.numbers[f"softmax_lead_{name}"]
        areas = [
            record.numbers[f"{score}_{name}"].value for score in ("softmax", "class_mahalanobis")
        ]
        assert lead.value == pytest.approx(areas[0] - areas[1]) and lead.n == 2
        for score in ("mahalanobis", "class_mahalanobis"):
            assert 0 <= record.numbers[f"{score}_{name}"].value <= 1


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(mlp.FIGURES)
    for name in mlp.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        assert all((record.folder / path).exists() for path in (drawing.svg, *drawing.data))
        assert drawing.width_mm in (pytest.approx(86), pytest.approx(178))


def built(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The paper over the newest run of a store, without what is embedded."""
    paper = folder / "paper"
    paper.mkdir()
    for name in ("mlp.md", "author.toml"):
        shutil.copy(PAPER / name, paper)
    monkeypatch.setattr(paths, "PAPER", paper)
    assert command.main(["report", "mlp", "--log", f"folder:{store}"]) == 0
    return (paper / "mlp.html").read_text().split("<script")[0]


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "mlp")


@pytest.mark.long
def test_some_given_weights_do_not_hide_the_curves_of_the_others(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = record.folder / "weights/biased-seed1.safetensors"
    run(tmp_path / "store", "--weights", str(given))
    text = built(tmp_path / "store", tmp_path, monkeypatch)
    assert "were given and not trained here" in text
    assert 'id="i-curves"' in text


@pytest.mark.long
def test_the_paper_of_a_single_seed_from_given_weights_claims_nothing(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    weights = [str(path) for path in (record.folder / "weights").glob("*seed0.safetensors")]
    again = run(store, "--seeds", "0", "--weights", *weights)
    assert not [name for name in again.names("arrays") if name.startswith("curve")]
    text = built(store, tmp_path, monkeypatch)
    assert "were given and not trained here" in text
    assert 'id="i-curves"' not in text
    assert "±\u00a0" not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda data: replace(data, classes=(*data.classes[:9], "ten")),
        lambda data: replace(
            data, train=replace(data.train, images=data.train.images[..., 1:].contiguous())
        ),
    ],
)
def test_other_images_or_classes_are_refused(change: Any) -> None:
    data, config = load(Data("mnist-sample")), mlp.PRESETS["sample"]
    mlp.check(config, replace(data, classes=data.classes[::-1]))
    with pytest.raises(UserError, match="needs images of 1 × 28 × 28 of the ten classes 0 to 9"):
        mlp.check(config, change(data))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ones-left", "0"], "--ones-left must be at least 1 and less than the 400"),
        (["--ones-left", "400"], "got 400"),
        (["--doses", "14"], "without --ones-left (14), got 14"),
        (["--doses", "3", "3"], "--doses must be different numbers from 0 to 399"),
        (["--doses", "400"], "--doses must be different numbers from 0 to 399"),
        (["--dose-seeds", "0"], "--dose-seeds must be at least 1, got 0"),
        (["--noise-images", "0"], "--noise-images must be at least 1"),
        (["--high-lr", "0"], "--high-lr must be greater than 0"),
        (["--noise-sd", "-1"], "--noise-sd must be greater than 0, got -1"),
        (
            ["--data.name", "photos"],
            "needs images of 1 × 28 × 28 of the ten classes 0 to 9, photos",
        ),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["run", "mlp", "--preset", "sample", "--log", f"folder:{tmp_path}"]
    assert command.main([*start, *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.filterwarnings("error")
def test_a_space_that_is_one_point_has_no_shape() -> None:
    point, space = np.ones((20, 3)), np.random.default_rng(0).normal(size=(20, 3))
    for pair in ((point, space), (space, point), (point, point)):
        found = measures.apart(*pair)
        assert found.keys() == set(measures.DISTANCES)
        assert all(np.isnan(value) for value in found.values())
    assert measures.apart(point, space[:, :2]).keys() == {"spectral", "cka"}
    shape = measures.shape_of([point, point])
    assert isinstance(shape["spread"], Number) and shape["spread"].value == 0
    assert isinstance(shape["dimension"], Number) and np.isnan(shape["dimension"].value)
