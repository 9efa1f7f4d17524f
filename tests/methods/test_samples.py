"""The samples on which a model is examined: disjoint, even and right."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.data import Split
from research.errors import UserError
from research.methods.samples import (
    Samples,
    check,
    halves,
    judged_alike,
    of_different_classes,
    pools,
)


class Reader(nn.Module):
    """Reads the class out of the first pixel; its dropout makes nonsense of it in training."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> Tensor:
        read = (255 * self.dropout(images)[:, 0, 0, 0]).round().long()
        return F.one_hot(read.clamp(0, 9), 10).float()


def numbered(classes: int, of_each: int, wrong: int) -> Split:
    """Images that carry their class and their number; the first `wrong` of a class are mislabelled.

    Their labels are the next class's, so that the model gets them wrong.
    """
    truth = torch.arange(classes).repeat(of_each)
    images = torch.zeros(len(truth), 1, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 1] = truth, torch.arange(len(truth))
    mislabelled = torch.arange(len(truth)) < wrong * classes
    return Split(images, torch.where(mislabelled, (truth + 1) % classes, truth))


def numbers_of(samples: Samples) -> list[int]:
    return [int(i) for i in (255 * samples.images[:, 0, 1, 1]).round()]


def test_halves_are_disjoint_even_and_right() -> None:
    split = numbered(classes=4, of_each=60, wrong=18)
    model = Reader().train()
    state = torch.get_rng_state()
    first, second = halves(model, split, 22, 30, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and model.dropout.training
    assert (len(first.labels), len(second.labels)) == (22, 30)
    drawn = numbers_of(first) + numbers_of(second)
    assert len(set(drawn)) == 52
    assert min(drawn) >= 72  # those before are mislabelled
    for half in (first, second):
        assert torch.equal(half.labels, split.labels[numbers_of(half)])
        assert torch.equal(half.images, split.images[numbers_of(half)] / 255)
        for count in range(1, len(half.labels) + 1):
            sizes = torch.bincount(half.first(count).labels, minlength=4)
            assert sizes.max() - sizes.min() <= 1
            assert torch.equal(half.first(count).images, half.images[:count])


def test_samples_of_different_classes_marked_ones_first() -> None:
    labels, marked = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([False, True, False, False, True])
    assert of_different_classes(labels, marked, 3) == [1, 4, 2]
    assert of_different_classes(labels, marked, 2) == [1, 4]


def test_halves_follow_from_the_seed_alone() -> None:
    split = numbered(classes=3, of_each=30, wrong=0)

    def drawn(seed: int) -> list[int]:
        return [i for half in halves(Reader(), split, 12, 12, seed) for i in numbers_of(half)]

    before = drawn(0)
    torch.manual_seed(99)
    assert drawn(0) == before
    assert drawn(1) != before
    assert sorted(drawn(0)) != sorted(drawn(1))


def test_no_model_makes_noises_on_what_another_is_judged_on() -> None:
    split = numbered(classes=3, of_each=40, wrong=0)
    alike = numbers_of(judged_alike(split, 18, 30))
    assert len(set(alike)) == 30
    crafted: set[int] = set()
    judged: set[int] = set()
    for wrong in (0, 5, 12):
        truth = numbered(classes=3, of_each=40, wrong=wrong).labels
        first, second = halves(Reader(), Split(split.images, truth), 18, 30)
        crafted |= set(numbers_of(first))
        judged |= set(numbers_of(second))
    assert len(crafted) > 18 and len(judged) > 30
    assert not crafted & judged
    assert not crafted & set(alike)


def pixels(samples: Samples) -> list[int]:
    """The classes of samples, by what they show."""
    return [int(i) for i in (255 * samples.images[:, 0, 0, 0]).round()]


def test_with_too_few_right_images_the_largest_even_number_is_taken() -> None:
    split = numbered(classes=4, of_each=20, wrong=6)
    first, second = halves(Reader(), split, 41, 40)
    right = torch.arange(80) >= 24  # those before are mislabelled
    for half, pool in zip((first, second), pools(split, 41, 40), strict=True):
        least = int(right[pool].sum(0).min())
        assert 2 <= least < 10
        assert pixels(half) == [*range(4)] * least
        assert set(numbers_of(half)) <= set(range(24, 80))
    assert not {*numbers_of(first)} & {*numbers_of(second)}


def test_classes_that_the_model_does_not_know_are_left_out() -> None:
    split = numbered(classes=4, of_each=20, wrong=0)
    unknown = split.labels == 2
    split.images[unknown, 0, 0, 0] = 0
    first, second = halves(Reader(), split, 18, 15)
    assert pixels(first) == [0, 1, 3] * 6 and pixels(second) == [0, 1, 3] * 5


def test_without_two_classes_that_the_model_knows_nothing_can_be_said() -> None:
    split = numbered(classes=4, of_each=20, wrong=0)
    split.images[split.labels > 0, 0, 0, 0] = 9
    with pytest.raises(UserError, match="does so for 1 of 4 classes: train longer") as error:
        halves(Reader(), split, 16, 16)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("counts", "flag"),
    [((19, 20, 20, 1), "crafted"), ((20, 19, 20, 1), "judged"), ((30, 30, 19, 1), "cells"),
     ((30, 40, 31, 1), "cells"), ((30, 40, 30, 0), "deepfool"),
     ((30, 40, 30, 31), "deepfool")],
)  # fmt: skip
def test_numbers_that_compare_nothing_are_refused(
    counts: tuple[int, int, int, int], flag: str
) -> None:
    check(30, 40, 30, 30, 10)
    with pytest.raises(UserError, match=f"^{flag} must be"):
        check(*counts, classes=10)
