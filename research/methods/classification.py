"""How well predicted classes match true ones, and whether an input belongs to any of them.

A confusion matrix is (C, C) counts: its rows are true classes, its columns predicted ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.embedding import class_mahalanobis, mahalanobis
from research.methods.statistics import over_seeds, paired, wilson
from research.records import Number

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Report:
    """The classification report of one model; shares in [0, 1], NaN where they are 0 / 0.

    Attributes:
        preds: predicted classes, (N,).
        counts: confusion matrix, (C, C).
        precision: of the samples predicted to be of a class, the share that is. (C,)
        recall: of a class's samples, the share that is recognised. (C,)
        f1: harmonic mean of the two, 2 · hits / (predicted + true samples). (C,)
        accuracy: share of all samples that is recognised.
        loss: mean cross-entropy in nat.
    """

    preds: Labels
    counts: Labels
    precision: Floats
    recall: Floats
    f1: Floats
    accuracy: float
    loss: float

    def recall_of(self, index: int) -> Number:
        """Recall of a class with the interval over its samples."""
        return wilson(int(self.counts[index, index]), int(self.counts[index].sum()))


def report(labels: Labels, logits: Floats) -> Report:
    """What logits (N, C) say of samples of the classes `labels` (N,)."""
    preds, size = logits.argmax(1), logits.shape[1]
    counts = np.bincount(labels * size + preds, minlength=size**2).reshape(size, size)
    hits, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore"):
        return Report(
            preds,
            counts,
            precision=hits / predicted,
            recall=hits / true,
            f1=2 * hits / (predicted + true),
            accuracy=float(hits.sum() / counts.sum()),
            loss=float((logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean()),
        )


# --- over seeds ----------------------------------------------------------------------------------


def per_cent(group: Sequence[Report], measure: str, index: int | None = None) -> list[float]:
    """A measure of each model times 100: of one class, or the mean over the classes."""
    values = [np.asarray(getattr(one, measure)) for one in group]
    return [100 * float(value.mean() if index is None else value[index]) for value in values]


def share(group: Sequence[Report], measure: str, index: int | None = None) -> Number | None:
    """A measure of one class, or its mean over the classes, as mean and interval over seeds.

    None where some model has no such value.
    """
    values = [one / 100 for one in per_cent(group, measure, index)]
    return None if np.isnan(values).any() else over_seeds(values)


def change(
    before: Sequence[Report], after: Sequence[Report], measure: str, index: int | None = None
) -> Number:
    """Percentage points from one group to another, in pairs, as many as the smaller one has."""
    first, second = (per_cent(group, measure, index) for group in (before, after))
    few = min(len(first), len(second))
    return paired(first[:few], second[:few], "points")


# --- rare classes and strange inputs -------------------------------------------------------------


def class_weights(labels: Labels, classes: int) -> Floats:
    """Weights N / (C · N_c) with which every class counts alike in a loss, (classes,).

    Each class that is there has the total weight N / C, whatever its size; a class without samples
    has no such weight and gets 0. scikit-learn calls these weights balanced.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.zeros(classes)
    return np.divide(len(labels), classes * counts, out=weights, where=counts > 0)


def novelty(
    reference: Floats, labels: Labels, vectors: Floats, logits: Floats
) -> dict[str, Floats]:
    """Three scores of how little samples are like the training set, (N,) each, 0 or more.

    `softmax` is minus the logarithm of the largest class probability, in nat; `mahalanobis` the
    distance of the embedding to the mean of the training embeddings, `class_mahalanobis` that to
    the nearest class mean, in units of their spread.

    Arguments:
        reference, labels: embeddings (M, D) and classes (M,) of the training set.
        vectors, logits: embeddings (N, D) and logits (N, C) of the samples.

    References:
        A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks
        (Hendrycks and Gimpel, 2017), for the first; `embedding` for the others.
    """
    return {
        "softmax": np.asarray(logsumexp(logits, axis=1) - logits.max(1)),
        "mahalanobis": mahalanobis(reference, vectors),
        "class_mahalanobis": class_mahalanobis(reference, labels, vectors),
    }


def auroc(known: Floats, novel: Floats) -> float:
    """The chance that a score is larger for a sample of `novel` than of `known`; ties count half.

    0.5 is a guess; below, the score calls the wrong ones novel. Scores may be infinite; nan where
    one is not a number.
    """
    truth, scores = np.repeat([0, 1], [len(known), len(novel)]), np.concatenate([known, novel])
    if np.isnan(scores).any():
        return math.nan
    return float(roc_auc_score(truth, rankdata(scores)))  # it takes no infinite scores


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The objective of a classifier: mean cross-entropy in nats, in float32."""
    return F.cross_entropy(model(images).float(), labels)


def scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cross-entropy in nats and share of right classes, as an epoch's metrics of the test."""
    right = (logits.argmax(1) == labels).double().mean()
    return {"loss/test": F.cross_entropy(logits, labels).item(), "accuracy/test": right.item()}
