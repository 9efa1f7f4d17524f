"""The study `fgsm`, run small: the rows of the paper are those of the stored weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset
from research.records import Number, Results

from .by_hand import Hand, linear, mean, weights
from .tiny import COUNT

Line = tuple[float, float | None]


def line_of(logits: Tensor, labels: Tensor) -> Line:
    sure, preds = logits.softmax(1).max(1)
    wrong = preds != labels
    return mean(wrong), sure[wrong].mean().item() if wrong.any() else None


@pytest.fixture(scope="module")
def paper_rows(
    hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> Iterator[dict[str, Line]]:
    """What the attack, not clipped, does to each model of the paper, and to another."""
    test, rows = data.test, {}
    x, y = test.floats().double(), test.labels
    adv = {arm: x + 0.25 * noises[f"{arm}-seed0"] for arm in
           ("softmax", "maxout", "adversarial", "signs", "uniform")}  # fmt: skip
    at = {arm: hands[f"{arm}-seed0"].logits for arm in adv}
    for arm in adv:
        rows[arm] = line_of(at[arm](adv[arm]), y)
    for arm in ("softmax", "maxout", "adversarial"):
        rows[f"{arm} clean"] = line_of(at[arm](x), y)
    rows["maxout on adversarial"] = line_of(at["adversarial"](adv["maxout"]), y)
    rows["adversarial on maxout"] = line_of(at["maxout"](adv["adversarial"]), y)
    own, other = (at[arm](adv["maxout"]).argmax(1) for arm in ("maxout", "softmax"))
    mistaken = own != y
    rows["same wrong class"] = mean((other == own)[mistaken]), None
    rows["same class, both wrong"] = mean((other == own)[mistaken & (other != y)]), None
    yield rows


def test_rows_of_the_paper_are_those_of_the_stored_weights(
    record: Results, paper_rows: dict[str, Line]
) -> None:
    table = record.table("paper")
    found = {row[0]: row for row in table.rows}
    rest = {"logistic clean", "logistic", "rubbish maxout", "rubbish softmax"}
    assert set(found) == set(paper_rows) | rest
    for name, (error, confidence) in paper_rows.items():
        _, ours, _, sure, *_ = found[name]
        assert isinstance(ours, Number) and ours.low is not None
        assert ours.value == pytest.approx(error, abs=1.1 / COUNT), name
        assert record.numbers["error_" + "_".join(name.replace(",", "").split())] == ours
        if confidence is None:
            assert sure is None
        else:
            assert isinstance(sure, Number)
            assert sure.value == pytest.approx(confidence, abs=2e-3)
    assert (found["softmax"][2], found["softmax"][4]) == (0.999, 0.793)
    assert (found["adversarial on maxout"][2], found["same class, both wrong"][2]) == (0.409, 0.846)


def test_changes_by_adversarial_training_are_paired_by_image(
    record: Results, hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> None:
    x, y, wrong = data.test.floats().double(), data.test.labels, {}
    for arm in ("maxout", "adversarial", "signs"):
        hand, noise = hands[f"{arm}-seed0"], noises[f"{arm}-seed0"]
        wrong[arm, "clean"], wrong[arm, "attacked"] = (
            (~hand.right(inputs, y)).double().numpy() for inputs in (x, x + 0.25 * noise)
        )
    for name, other, kind in (("clean_change", "maxout", "clean"),
                              ("change_over_signs", "signs", "attacked")):  # fmt: skip
        change = 100 * (wrong["adversarial", kind] - wrong[other, kind])
        number = record.numbers[f"adversarial_{name}"]
        assert number.value == pytest.approx(change.mean(), abs=0.6)
        assert number.bounds is not None and number.range == (-100, 100)
        # the interval of a mean of many independent differences
        error = 1.96 * change.std() / len(change) ** 0.5
        assert (number.bounds[1] - number.bounds[0]) / 2 == pytest.approx(error, rel=0.1)


def test_the_attack_on_linear_models_is_the_closed_form(record: Results, data: Dataset) -> None:
    rows = {row[0]: row for row in record.table("paper").rows}
    pair = (data.test.labels == 3) | (data.test.labels == 7)
    x3, y3 = data.test.floats()[pair], (data.test.labels[pair] == 7).long()
    for arm, x, y in (("softmax", data.test.floats(), data.test.labels), ("logistic", x3, y3)):
        w = weights(record, f"{arm}-seed0", torch.float64)
        x = x.double()
        gradient = (linear(w, x).softmax(1) - F.one_hot(y)) @ w["fc.weight"]
        for name, inputs in ((f"{arm} clean", x),
                             (arm, x + 0.25 * gradient.sign().view_as(x))):  # fmt: skip
            error, confidence = line_of(linear(w, inputs), y)
            number, sure = rows[name][1], rows[name][3]
            assert isinstance(number, Number) and isinstance(sure, Number)
            assert number.value == pytest.approx(error, abs=1.1 / len(y))
            assert sure.value == pytest.approx(confidence, abs=1e-3)
            assert number.n == len(y)


@pytest.mark.parametrize("arm", ["maxout", "softmax"])
def test_rubbish_is_counted_by_class(arm: str, record: Results, hands: dict[str, Hand]) -> None:
    inputs = torch.randn(100, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    sure, preds = hands[f"{arm}-seed0"].logits(inputs).softmax(1).max(1)
    taken = [int(p) for p, s in zip(preds, sure, strict=True) if s > 0.5]
    row = next(r for r in record.table("paper").rows if r[0] == f"rubbish {arm}")
    assert isinstance(row[1], Number) and isinstance(row[3], Number)
    assert row[1].value == pytest.approx(len(taken) / 100)
    assert row[3].value == pytest.approx(sure[sure > 0.5].mean().item(), rel=1e-4)
    top = max(set(taken), key=taken.count)
    numbers = record.numbers
    assert numbers[f"rubbish_top_{arm}"].value == taken.count(top) / len(taken)
    assert taken.count(int(numbers[f"rubbish_top_class_{arm}"].value)) == taken.count(top)
    assert numbers[f"rubbish_never_{arm}"].value == 10 - len(set(taken))


def test_a_step_towards_a_class_is_the_gradient_of_its_probability(
    record: Results, hands: dict[str, Hand]
) -> None:
    hand, shares = hands["maxout-seed0"], []
    inputs = torch.randn(100, 1, 28, 28, generator=torch.Generator().manual_seed(0)).double()
    for label in range(10):
        pixels = inputs.clone().requires_grad_()
        probability = hand.logits(pixels).softmax(1)[:, label]
        [gradient] = torch.autograd.grad(probability.sum(), pixels)
        moved = hand.logits(inputs + 10 * gradient).softmax(1)[:, label]
        shares.append(mean(moved > 0.5))
    found = [record.numbers[f"step_{name}"].value for name in ("mean", "low", "high")]
    assert found == pytest.approx([np.mean(shares), min(shares), max(shares)], abs=0.011)
