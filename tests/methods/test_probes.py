"""Linear probes against scikit-learn on the features themselves, and draws against their rules."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from torch import Tensor

from research.data import Split
from research.errors import UserError
from research.methods import probes
from research.methods.probes import Kind, Task, coordinates, draw, products
from research.records import Array

CLASSES = ("a", "b", "c")
PENALTIES = (0.1, 10.0, 1000.0)


def fitted(kind: Kind, penalty: float) -> LinearSVC | LogisticRegression:
    if kind == "svm":
        return LinearSVC(C=penalty, dual=False, tol=1e-8, max_iter=100_000)
    return LogisticRegression(C=penalty, tol=1e-8, max_iter=100_000)


def blobs(images: int, length: int, seed: int, labels: Array) -> Array:
    """Features (images, length) of length 1 whose classes overlap."""
    centres = np.random.default_rng(7).normal(size=(len(CLASSES), length))
    noise = np.random.default_rng(seed).normal(size=(images, length))
    x = 0.35 * centres[labels] + noise
    found: Array = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(float)
    return found


@pytest.fixture(scope="module", params=[40, 400], ids=["short", "long"])
def known(request: pytest.FixtureRequest) -> tuple[Array, Array, Array, Array]:
    """Training and test features, fewer or more than the 60 training images, and their labels."""
    labels, asked = np.arange(60) % 3, np.arange(150) % 3
    return (blobs(60, request.param, 1, labels), labels, blobs(150, request.param, 2, asked), asked)


# --- features by their inner products ------------------------------------------------------------


def test_coordinates_keep_inner_products(known: tuple[Array, Array, Array, Array]) -> None:
    train, _, test, _ = known
    a, b = coordinates(probes.Products(train @ train.T, test @ train.T))
    assert a.shape == (60, 60) and b.shape == (150, 60)
    assert np.allclose(a @ a.T, train @ train.T, atol=1e-8)
    assert np.allclose(b @ a.T, test @ train.T, atol=1e-8)


@pytest.mark.parametrize("kind", ["svm", "softmax"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_decisions_are_those_on_the_plain_features(
    kind: Kind, penalty: float, known: tuple[Array, Array, Array, Array]
) -> None:
    train, labels, test, _ = known
    a, b = coordinates(probes.Products(train @ train.T, test @ train.T))
    plain = fitted(kind, penalty).fit(train, labels)
    ours = fitted(kind, penalty).fit(a, labels)
    expected = plain.decision_function(test)
    assert np.abs(expected).max() > 0.1
    assert np.allclose(ours.decision_function(b), expected, atol=2e-3 * np.abs(expected).max())
    [answer] = probes.probe([Task(kind, a, labels, b)], [penalty], 0)
    sure = np.diff(np.sort(expected)[:, -2:], axis=1)[:, 0] > 0.02 * np.abs(expected).max()
    assert sure.mean() > 0.75
    assert np.array_equal(answer.preds[sure], expected.argmax(1)[sure])


def encode(images: Tensor) -> Mapping[str, Tensor]:
    """Two layers: pixels, and maps with values of both signs."""
    return {"pixels": images, "maps": images.flip(2) * 3 - 1}


def split(count: int, seed: int) -> Split:
    images = torch.randint(0, 256, (count, 1, 7, 5), generator=torch.Generator().manual_seed(seed))
    return Split(images.to(torch.uint8), torch.arange(count) % 3)


def test_products_are_a_plain_matrix_product_whatever_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, test = split(9, 1), split(14, 2)
    whole = products(encode, train, test)
    for layer in ("pixels", "maps"):
        rows = []
        for part in (train, test):
            x = encode(part.images.double() / 255)[layer].flatten(1).numpy()
            rows.append(x / np.sqrt((x**2).sum(1, keepdims=True)))
        assert np.allclose(whole[layer].train, rows[0] @ rows[0].T, atol=1e-6)
        assert np.allclose(whole[layer].test, rows[1] @ rows[0].T, atol=1e-6)
        assert whole[layer].train.dtype == np.float64
    monkeypatch.setattr(probes, "_COLUMNS", 4)  # the last block of 35 has 3
    for batch in (1, 4, 100):
        found = products(encode, train, test, batch)
        assert list(found) == ["pixels", "maps"]
        for layer, one in found.items():
            assert np.allclose(one.train, whole[layer].train, atol=1e-7)
            assert np.allclose(one.test, whole[layer].test, atol=1e-7)


def test_a_part_of_products_is_that_of_fewer_images() -> None:
    train, test = split(9, 1), split(4, 2)
    chosen = np.array([7, 2, 3])
    fewer = Split(train.images[chosen], train.labels[chosen])
    part, direct = products(encode, train, test)["maps"].part(chosen), products(encode, fewer, test)
    assert np.allclose(part.train, direct["maps"].train, atol=1e-7)
    assert np.allclose(part.test, direct["maps"].test, atol=1e-7)


def test_images_without_features_and_equal_images_do_no_harm() -> None:
    gram = np.ones((6, 6))
    gram[:3], gram[:, :3] = 0, 0
    a, b = coordinates(probes.Products(gram, np.zeros((2, 6))))
    assert np.isfinite(a).all() and not b.any()


# --- classifiers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["svm", "softmax"])
def test_the_penalty_is_the_smallest_of_the_best_in_cross_validation(kind: Kind) -> None:
    labels, asked = np.arange(60) % 3, np.arange(90) % 3
    train, test = blobs(60, 40, 3, labels), blobs(90, 40, 4, asked)
    scores = []
    for penalty in PENALTIES:
        parts = StratifiedKFold(3, shuffle=True, random_state=5).split(train, labels)
        scores.append(np.mean([
            np.mean(fitted(kind, penalty).fit(train[a], labels[a]).predict(train[b]) == labels[b])
            for a, b in parts
        ]))  # fmt: skip
    expected = PENALTIES[int(np.argmax(scores))]
    assert len({*scores}) > 1, "the choice must matter"
    backwards = PENALTIES[::-1]
    [answer, twice] = probes.probe([Task(kind, train, labels, test)] * 2, backwards, 5)
    assert answer.penalty == expected
    agree = answer.preds == fitted(kind, expected).fit(train, labels).predict(test)
    assert agree.mean() >= 0.97  # a coarser tolerance may move a decision at the border
    assert np.array_equal(answer.preds, twice.preds)
    apart = np.repeat(np.eye(3), 4, 0) + 0.01 * blobs(12, 3, 8, np.arange(12) % 3)
    [all_right] = probes.probe(
        [Task(kind, apart, np.repeat([0, 1, 2], 4), apart)], (1e4, 10, 1e3), 0
    )
    assert all_right.penalty == 10


@pytest.mark.parametrize("kind", ["svm", "softmax"])
def test_shuffled_labels_give_chance_and_true_ones_more(kind: Kind) -> None:
    labels, asked = np.arange(90) % 3, np.arange(600) % 3
    train, test = blobs(90, 40, 5, labels), blobs(600, 40, 6, asked)
    mixed = np.random.default_rng(0).permutation(labels)
    tasks = [Task(kind, train, truth, test) for truth in (labels, mixed)]
    right, wrong = (
        probes.class_accuracy(answer.preds, asked) for answer in probes.probe(tasks, (1, 10), 0)
    )
    assert right > 0.7
    assert abs(wrong - 1 / 3) < 0.1


def test_two_images_a_class_suffice() -> None:
    x = np.array([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    [answer] = probes.probe([Task("svm", x, np.array([4, 4, 7, 7]), x)], (1, 10), 0)
    assert answer.preds.tolist() == [4, 4, 7, 7]


def test_accuracy_is_the_mean_over_classes() -> None:
    labels, preds = np.array([0, 0, 0, 0, 1, 2, 2]), np.array([0, 0, 0, 1, 1, 0, 2])
    assert probes.class_accuracy(preds, labels) == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    equal = [np.array([0] * a + [9] * (5 - a) + [1] * b + [9] * (5 - b) + [2] * c + [9] * (5 - c))
             for a, b, c in ((1, 2, 3), (3, 2, 1), (0, 2, 4), (2, 2, 2))]  # fmt: skip
    assert len({probes.class_accuracy(one, np.repeat([0, 1, 2], 5)) for one in equal}) == 1


# --- draws ---------------------------------------------------------------------------------------


@pytest.fixture
def labels() -> Tensor:
    """40 images of each of three classes, mixed."""
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    return (torch.arange(120) % 3)[order]


EVERY = torch.ones(120, dtype=torch.bool)


def test_draws_are_disjoint_and_of_the_right_classes(labels: Tensor) -> None:
    found = draw(labels, CLASSES, EVERY, EVERY, 6, 10, 0)
    assert found.train.shape == (3, 6) and found.test.shape == (30,)
    train, test = found.train.flatten().tolist(), found.test.tolist()
    assert len({*train}) == 18 and len({*test}) == 30
    assert not {*train} & {*test}
    assert labels[found.train].tolist() == [[label] * 6 for label in range(3)]
    assert torch.bincount(labels[found.test]).tolist() == [10, 10, 10]
    again, other = (draw(labels, CLASSES, EVERY, EVERY, 6, 10, seed) for seed in (0, 1))
    assert torch.equal(again.train, found.train) and torch.equal(again.test, found.test)
    assert not torch.equal(other.train, found.train)


def test_fewer_images_are_part_of_more(labels: Tensor) -> None:
    few, many = (draw(labels, CLASSES, EVERY, EVERY, k, 10, 3) for k in (4, 9))
    assert torch.equal(few.train, many.train[:, :4])


def test_sides_are_kept_and_few_others_all_taken(labels: Tensor) -> None:
    learn = torch.arange(120) < 60
    found = draw(labels, CLASSES, learn, ~learn, 5, 1000, 0)
    assert learn[found.train].all()
    assert sorted(found.test.tolist()) == [*range(60, 120)]


def test_every_image_may_be_drawn(labels: Tensor) -> None:
    drawn = [draw(labels, CLASSES, EVERY, EVERY, 10, 5, seed).train for seed in range(40)]
    assert len({*torch.stack(drawn).flatten().tolist()}) == 120


def test_classes_that_are_too_small_are_told(labels: Tensor) -> None:
    with pytest.raises(UserError, match="'a' has 40 and 0; give a smaller k, or mix"):
        draw(labels, CLASSES, EVERY, EVERY, 40, 10, 0)
    only = labels != 1
    with pytest.raises(
        UserError, match="2 images to train on and others to test on, 'b' has 0 and"
    ):
        draw(labels, CLASSES, only, EVERY, 2, 10, 0)
