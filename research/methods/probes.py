"""Linear probes: how well a linear classifier tells classes apart by the features of a layer.

The classifiers are scikit-learn's: a linear SVM (squared hinge, one class against the rest) and
softmax regression, both with a squared penalty. Features have length 1. With few images and long
features both are solved in the span of the training images, where the solution lies (representer
theorem): from the inner products alone, without loss, and the cost does not grow with the length.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), sections 5.2 and
    5.3. Understanding Intermediate Layers Using Linear Classifier Probes (Alain and Bengio, 2017).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional as F

from research.data import Split, batches
from research.errors import ArgumentError

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]
Kind = Literal["svm", "softmax"]
Encode = Callable[[Tensor], Mapping[str, Tensor]]
"""images (N, C, H, W) in [0, 1] -> the features (N, …) of each layer"""

FOLDS = 3
"""folds of the cross-validation; fewer where a class has fewer training images"""
_JITTER = 1e-9
"""Added to the squared length 1 of each training image, so that equal images do no harm."""
_COLUMNS = 8192
"""features multiplied at once, in float64"""


# --- images to learn from and to be judged by ----------------------------------------------------


class Draw(NamedTuple):
    """Places of images in a set.

    Attributes:
        train: int64 (C, k), a row for each class; its first j columns are themselves a draw of j.
        test: int64 (M,), none of them in `train`.
    """

    train: Tensor
    test: Tensor


def draw(
    labels: Tensor, classes: Sequence[str], learn: Tensor, judge: Tensor,
    k: int, most: int, seed: int,
) -> Draw:  # fmt: skip
    """Draws k training images of each class, and up to `most` others of each to test on.

    Arguments:
        labels: int64 (N,), indices into `classes`.
        learn, judge: which images may train and which may test, bool (N,); an image that may do
            both does one.
        k: training images of each class.
        most: test images of a class at most.

    Raises:
        ArgumentError: a class has too few images.

    Example:
        >>> labels, every = torch.tensor([0, 0, 0, 1, 1, 1]), torch.ones(6, dtype=torch.bool)
        >>> chosen = draw(labels, ("cat", "dog"), every, every, k=2, most=1, seed=0)
        >>> chosen.train.shape, labels[chosen.test].tolist()
        (torch.Size([2, 2]), [0, 1])
    """
    order = torch.Generator().manual_seed(seed)
    labels, learn, judge = labels.cpu(), learn.cpu(), judge.cpu()
    train, test = [], []
    for label, name in enumerate(classes):
        mixed = torch.nonzero(labels == label)[:, 0]
        mixed = mixed[torch.randperm(len(mixed), generator=order)]
        chosen = mixed[learn[mixed]][:k]
        others = mixed[judge[mixed] & ~torch.isin(mixed, chosen)][:most]
        if len(chosen) < k or not len(others):
            raise ArgumentError(
                f"each class needs {k} images to train on and others to test on, '{name}' has "
                f"{len(chosen)} and {len(others)}; give a smaller k, or mix "
                "training and test images before drawing"
            )
        train.append(chosen)
        test.append(others)
    return Draw(torch.stack(train), torch.cat(test))


# --- features by their inner products ------------------------------------------------------------


class Products(NamedTuple):
    """Inner products of features of length 1 with those of the training images.

    Attributes:
        train: of the training images, (n, n).
        test: of the test images, (m, n).
    """

    train: Floats
    test: Floats

    def part(self, chosen: Labels) -> "Products":
        """With some of the training images only."""
        return Products(self.train[np.ix_(chosen, chosen)], self.test[:, chosen])


def products(
    encode: Encode, train: Split, test: Split, batch: int = 256
) -> dict[str, Products]:  # fmt: skip
    """Layer -> inner products of the features that `encode` makes of images, scaled to length 1.

    The features of all training images are held at once, those of test images by the `batch`.

    Example:
        >>> images = torch.randint(256, (4, 1, 2, 2), dtype=torch.uint8)
        >>> split = Split(images, torch.tensor([0, 0, 1, 1]))
        >>> inner = products(lambda images: {"pixels": images}, split, split)["pixels"]
        >>> inner.train.diagonal().round(6).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    parts = [_units(encode(images)) for images, _ in batches(train, batch)]
    known = {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
    del parts
    across: dict[str, list[Tensor]] = {layer: [] for layer in known}
    for images, _ in batches(test, batch):
        for layer, features in _units(encode(images)).items():
            across[layer].append(_inner(features, known[layer]))
    return {
        layer: Products(_inner(features, features).numpy(), torch.cat(across[layer]).numpy())
        for layer, features in known.items()
    }


def _units(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {layer: F.normalize(x.flatten(1).float(), dim=1) for layer, x in features.items()}


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(n, d) and (m, d) -> float64 (n, m) on the CPU, some columns at a time."""
    total = torch.zeros(len(a), len(b), dtype=torch.float64, device=a.device)
    for start in range(0, a.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        total += a[:, part].double() @ b[:, part].double().T
    return total.cpu()


def coordinates(products: Products) -> tuple[Floats, Floats]:
    """Features of the training images (n, n) and of the test images (m, n) in their span.

    Inner products among the training images, and between them and test images, are those of the
    original features, so every linear classifier with a squared penalty is the same.

    Example:
        >>> train, test = coordinates(Products(np.eye(2), np.array([[0.6, 0.8]])))
        >>> test.round(6).tolist()
        [[0.6, 0.8]]
    """
    gram = torch.from_numpy(products.train)
    root = torch.linalg.cholesky(gram + _JITTER * torch.eye(len(gram), dtype=gram.dtype))
    across = torch.linalg.solve_triangular(root, torch.from_numpy(products.test).T, upper=False)
    return root.numpy(), np.ascontiguousarray(across.T.numpy())


# --- classifiers ---------------------------------------------------------------------------------


class Task(NamedTuple):
    """A classifier to train.

    Attributes:
        train, test: features, (n, d) and (m, d).
        labels: of the training images, (n,), at least two of each class.
    """

    kind: Kind
    train: Floats
    labels: Labels
    test: Floats


class Answer(NamedTuple):
    """What a classifier says about test images.

    Attributes:
        preds: classes, (m,).
        penalty: the chosen C.
    """

    preds: Labels
    penalty: float


def probe(tasks: Sequence[Task], penalties: Sequence[float], seed: int) -> list[Answer]:
    """Trains the classifier of each task and predicts the classes of its test images.

    C, the weight of the errors against the penalty, is the smallest of the best candidates in
    cross-validation on the training images alone, with the same share of each class in each fold.

    Arguments:
        penalties: candidates for C.
        seed: of the folds.

    Example:
        >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> task = Task("svm", train, np.array([0, 0, 1, 1]), train[::-1])
        >>> [answer.preds.tolist() for answer in probe([task], penalties=[1.0], seed=0)]
        [[1, 1, 0, 0]]
    """
    # side by side on one thread each: with several, the threads of two libraries wait for each
    # other in softmax regression, which takes twenty times as long
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(lambda task: _answer(task, penalties, seed), tasks))


def _answer(task: Task, penalties: Sequence[float], seed: int) -> Answer:
    folds = min(FOLDS, int(np.unique(task.labels, return_counts=True)[1].min()))
    search = GridSearchCV(
        _classifier(task.kind),
        {"C": sorted(penalties)},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    ).fit(task.train, task.labels)
    return Answer(search.predict(task.test), float(search.best_params_["C"]))


def _classifier(kind: Kind) -> LinearSVC | LogisticRegression:
    # at the usual tolerances both stop far from the solution where C is large, a second penalty
    # that nobody chose: up to 8 % of the decisions differ
    if kind == "softmax":
        return LogisticRegression(tol=1e-6, max_iter=5000)
    # in the primal the solution is unique and does not depend on an order
    return LinearSVC(dual=False, tol=1e-5, max_iter=5000)


def class_accuracy(preds: Labels, labels: Labels) -> float:
    """The share of a class's images that is recognised, averaged over the classes.

    Example:
        >>> class_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
        0.5
    """
    shares = [np.mean(preds[labels == label] == label) for label in np.unique(labels)]
    return round(float(np.mean(shares)), 12)  # equal accuracies must not differ in their last bits
