"""Classification reports against scikit-learn, statsmodels and slow re-derivations."""

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.metrics import classification_report, confusion_matrix, log_loss
from sklearn.utils.class_weight import compute_class_weight
from statsmodels.stats.proportion import proportion_confint

from research.methods import classification
from research.methods.classification import (
    Report,
    auroc,
    change,
    class_weights,
    novelty,
    per_cent,
    share,
)


def sample(seed: int = 0, bonus: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels of four classes of unequal size, and logits that favour the right one."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    return labels, rng.normal(size=(300, 4)) + bonus * np.eye(4)[labels]


def report(seed: int = 0, bonus: float = 1.5) -> Report:
    return classification.report(*sample(seed, bonus))


def test_a_report_is_scikit_learns() -> None:
    labels, logits = sample()
    ours = report()
    theirs = classification_report(labels, logits.argmax(1), output_dict=True)
    for index in range(4):
        wanted = theirs[str(index)]
        assert ours.precision[index] == pytest.approx(wanted["precision"])
        assert ours.recall[index] == pytest.approx(wanted["recall"])
        assert ours.f1[index] == pytest.approx(wanted["f1-score"])
        assert ours.counts[index].sum() == wanted["support"]
    assert ours.accuracy == pytest.approx(theirs["accuracy"])
    assert ours.loss == pytest.approx(log_loss(labels, special.softmax(logits, 1)))
    assert (ours.counts == confusion_matrix(labels, logits.argmax(1))).all()
    assert (ours.preds == logits.argmax(1)).all()
    assert share([ours], "f1").value == pytest.approx(theirs["macro avg"]["f1-score"])  # type: ignore[union-attr]


def test_what_is_nothing_by_nothing_has_no_value() -> None:
    never = classification.report(np.array([0, 1, 1]), np.array([[1.0, 0, 0]] * 3))
    assert np.isnan(never.precision[1]) and never.recall[1] == 0 and never.f1[1] == 0
    assert np.isnan([never.precision[2], never.recall[2], never.f1[2]]).all()
    assert share([report(), never], "precision", 1) is None
    assert share([report(), never], "precision") is None
    assert never.counts.shape == (3, 3)


def test_the_recall_of_one_model_has_wilsons_interval() -> None:
    one = report().recall_of(2)
    labels, logits = sample()
    hits, trials = ((logits.argmax(1) == 2) & (labels == 2)).sum(), (labels == 2).sum()
    assert one.value == hits / trials
    assert one.bounds == pytest.approx(proportion_confint(hits, trials, method="wilson"))


def test_shares_have_intervals_on_the_logit_scale_and_changes_on_fishers() -> None:
    before, after = ([report(seed, bonus) for seed in range(4)] for bonus in (1.0, 2.0))
    values = [one.recall[1] for one in before]
    number = share(before, "recall", 1)
    mean = np.mean(values)
    error = stats.sem(values) / (mean * (1 - mean))  # delta method
    wanted = special.expit(stats.t.interval(0.95, 3, special.logit(mean), error))
    assert number is not None and number.bounds == pytest.approx(wanted)
    assert per_cent(before, "recall", 1) == pytest.approx(100 * np.array(values))
    moved = change(before, after[:3], "accuracy")
    gains = [100 * (b.accuracy - a.accuracy) for a, b in zip(before, after[:3], strict=False)]
    mean = np.mean(gains) / 100
    error = stats.sem(gains) / 100 / (1 - mean**2)
    wanted = 100 * np.tanh(stats.t.interval(0.95, 2, np.arctanh(mean), error))
    assert moved.value == pytest.approx(np.mean(gains)) and moved.value > 0
    assert moved.bounds == pytest.approx(wanted)
    assert (moved.unit, moved.n) == ("points", 3)


def test_weights_are_scikit_learns_balanced_ones() -> None:
    labels = np.repeat([0, 1, 3], [50, 30, 2])
    wanted = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    weights = class_weights(labels, 4)
    # of 4 classes, the absent one among them; scikit-learn counts those that are there
    assert weights[[0, 1, 3]] == pytest.approx(wanted * 3 / 4)
    assert weights[2] == 0
    totals = np.bincount(labels, weights[labels], minlength=4)
    assert totals == pytest.approx([len(labels) / 4, len(labels) / 4, 0, len(labels) / 4])


def test_novelty_scores_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=120)
    reference = rng.normal(size=(120, 5)) * [1, 2, 3, 1, 0.5] + 4 * np.eye(5)[labels]
    vectors, logits = rng.normal(size=(7, 5)) * 3, rng.normal(size=(7, 3)) * 4
    scores = novelty(reference, labels, vectors, logits)
    assert scores["softmax"] == pytest.approx(-np.log(special.softmax(logits, 1).max(1)))
    means = np.stack([reference[labels == c].mean(0) for c in range(3)])
    for name, centres, offsets in (
        ("mahalanobis", reference.mean(0)[None], reference - reference.mean(0)),
        ("class_mahalanobis", means, reference - means[labels]),
    ):
        inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(offsets).covariance_)
        slow = [min(mahalanobis(v, centre, inverse) for centre in centres) for v in vectors]
        assert scores[name] == pytest.approx(slow)


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(2)
    known, novel = rng.integers(10, size=40) * 1.0, rng.integers(4, 14, size=25) * 1.0
    pairs = novel[:, None] - known
    assert auroc(known, novel) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert auroc(known, known) == 0.5
    assert auroc(np.zeros(3), np.ones(2)) == 1


@pytest.mark.filterwarnings("error")
def test_a_class_that_is_not_there_has_no_recall() -> None:
    found = classification.report(np.array([0, 0, 1]), np.eye(3)[[0, 0, 1]])
    assert found.recall[:2].tolist() == [1, 1] and np.isnan(found.recall[2])
    assert share([found], "recall", 2) is None and share([found], "recall") is None
    assert np.isnan(change([found], [found], "recall", 2).value)


@pytest.mark.filterwarnings("error")
def test_infinite_scores_are_ranked_and_undefined_ones_make_no_area() -> None:
    assert auroc(np.array([0.0, np.inf]), np.array([np.inf, np.inf])) == pytest.approx(0.75)
    assert auroc(np.zeros(3), np.zeros(4)) == 0.5
    assert np.isnan(auroc(np.array([0.0, np.nan]), np.array([1.0])))


@pytest.mark.filterwarnings("error")
def test_a_dead_embedding_calls_nothing_or_everything_novel() -> None:
    point, labels = np.ones((6, 3)), np.arange(6) % 2
    scores = novelty(point, labels, np.vstack([point[:1], point[:1] + 1]), np.zeros((2, 2)))
    assert scores["mahalanobis"].tolist() == scores["class_mahalanobis"].tolist() == [0, np.inf]
