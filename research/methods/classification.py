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
from research.records.measured import SHARE

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Report:
    """The classification report of one model; shares in [0, 1], NaN where they are 0 / 0.

    Attributes:
        preds: predicted classes, (N,).
        counts: confusion matrix, (C, C).
        precision: of the samples predicted as a class, the share that belongs to it. (C,)
        recall: of a class's samples, the share that is recognised. (C,)
        f1: harmonic mean of the two, 2 · hits / (predicted + true samples). (C,)
        accuracy: share of all samples that is recognised.
        loss: mean cross-entropy in nats.
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
    """The report of logits (N, C) for samples whose classes are `labels` (N,).

    Example:
        >>> logits = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 2.0]])
        >>> model = report(np.array([0, 0, 1, 1]), logits)
        >>> model.accuracy, model.counts.tolist(), model.recall.tolist()
        (0.75, [[1, 1], [0, 2]], [0.5, 1.0])
    """
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
    """A measure of each model times 100: of one class, or the mean over the classes.

    Example:
        >>> labels, logits = np.array([0, 0, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> group = [report(labels, logits), report(labels, -logits)]
        >>> per_cent(group, "recall", index=0), per_cent(group, "recall", index=1)
        ([50.0, 50.0], [100.0, 0.0])
    """
    values = [np.asarray(getattr(one, measure)) for one in group]
    return [100 * float(value.mean() if index is None else value[index]) for value in values]


def share(group: Sequence[Report], measure: str, index: int | None = None) -> Number | None:
    """A measure of one class, or its mean over the classes, as mean and interval over seeds.

    None where some model has no such value.

    Example:
        >>> labels, logits = np.array([0, 0, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> share([report(labels, logits), report(labels, -logits)], "recall", index=0).value
        0.5
    """
    values = [one / 100 for one in per_cent(group, measure, index)]
    return None if np.isnan(values).any() else over_seeds(values, range=SHARE)


def change(
    before: Sequence[Report], after: Sequence[Report], measure: str, index: int | None = None
) -> Number:
    """Change in percentage points between two groups, paired by seed.

    The larger group is cut to the size of the smaller one.

    Example:
        >>> labels, logits = np.array([0, 0, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> change([report(labels, -logits)], [report(labels, logits)], "recall", index=1).value
        100.0
    """
    first, second = (per_cent(group, measure, index) for group in (before, after))
    few = min(len(first), len(second))
    return paired(first[:few], second[:few], "points")


# --- rare classes and strange inputs -------------------------------------------------------------


def class_weights(labels: Labels, classes: int) -> Floats:
    """Weights N / (C · N_c) with which every class counts alike in a loss, (classes,).

    Each class that occurs has the total weight N / C, whatever its size; a class without samples
    gets 0. scikit-learn calls these weights balanced.

    Example:
        >>> class_weights(np.array([0, 0, 0, 1]), classes=3).round(3).tolist()
        [0.444, 1.333, 0.0]
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.zeros(classes)
    return np.divide(len(labels), classes * counts, out=weights, where=counts > 0)


def novelty(
    reference: Floats, labels: Labels, vectors: Floats, logits: Floats
) -> dict[str, Floats]:
    """Three scores of how unlike the training set samples are, (N,) each, at least 0.

    `softmax` is minus the logarithm of the largest class probability, in nats; `mahalanobis` the
    distance of the embedding to the mean of the training embeddings, `class_mahalanobis` that to
    the nearest class mean, in units of their spread.

    Arguments:
        reference, labels: embeddings (M, D) and classes (M,) of the training set.
        vectors, logits: embeddings (N, D) and logits (N, C) of the samples.

    References:
        A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks
        (Hendrycks and Gimpel, 2017), for the first; `embedding` for the others.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels, reference = np.arange(20) % 2, rng.normal(size=(20, 3))
        >>> scores = novelty(reference, labels, reference[:4] + 9, rng.normal(size=(4, 2)))
        >>> {name: values.shape for name, values in scores.items()}
        {'softmax': (4,), 'mahalanobis': (4,), 'class_mahalanobis': (4,)}
    """
    return {
        "softmax": np.asarray(logsumexp(logits, axis=1) - logits.max(1)),
        "mahalanobis": mahalanobis(reference, vectors),
        "class_mahalanobis": class_mahalanobis(reference, labels, vectors),
    }


def auroc(known: Floats, novel: Floats) -> float:
    """The chance that a score is larger for a sample of `novel` than of `known`; ties count half.

    0.5 is chance; below it, the score calls the wrong ones novel. Scores may be infinite; nan where
    one is not a number.

    Example:
        >>> auroc(np.array([0.1, 0.2, 0.4]), np.array([0.3, 0.9]))  # 5 of 6 pairs
        0.8333333333333334
    """
    truth, scores = np.repeat([0, 1], [len(known), len(novel)]), np.concatenate([known, novel])
    if np.isnan(scores).any():
        return math.nan
    return float(roc_auc_score(truth, rankdata(scores)))  # it takes no infinite scores


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The objective of a classifier: mean cross-entropy in nats, in float32.

    Example:
        >>> import torch
        >>> cross_entropy(nn.Flatten(), torch.zeros(2, 1, 1, 2), torch.tensor([0, 1]))  # log 2
        tensor(0.6931)
    """
    return F.cross_entropy(model(images).float(), labels)


def scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cross-entropy in nats and share of right classes, as an epoch's test metrics.

    Example:
        >>> import torch
        >>> scores(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1]))["accuracy/test"]
        0.5
    """
    right = (logits.argmax(1) == labels).double().mean()
    return {"loss/test": F.cross_entropy(logits, labels).item(), "accuracy/test": right.item()}
