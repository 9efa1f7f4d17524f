"""Which of a metric's values counts."""

import math

import pytest

from research.adoption.rules import chosen, rule, side
from research.errors import UserError
from research.tracking.foreign import Point

KNOWN = ["val_acc", "val_loss", "test", "a=b"]
LOGGED = {
    "val_acc": [Point(1, 0, 0.5), Point(2, 1, 0.9), Point(2, 2, 0.8), Point(3, 3, math.nan)],
    "val_loss": [Point(1, 0, 0.4), Point(2, 1, 0.2), Point(3, 2, 0.3)],
    "test": [Point(1, 0, 11.0), Point(2, 1, 12.0), Point(3, 2, 13.0)],
}


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("test", 13.0, "at the last step"),
        ("test=last", 13.0, "at the last step"),
        ("val_loss=best", 0.2, "lowest over steps"),
        ("val_loss=max", 0.4, "highest over steps"),
        ("val_acc=best", 0.8, "highest over steps"),  # of a step the value that was logged last
        ("test=step:1", 11.0, "at step 1"),
        ("test=best:val_loss", 12.0, "where val_loss is lowest"),
        ("test=min:val_acc", 11.0, "where val_acc is lowest"),
        ("test=step:9", None, "at step 9"),
    ],
)
def test_a_rule_chooses(text: str, expected: float | None, words: str) -> None:
    found = rule(text, KNOWN)
    assert (chosen(found, LOGGED), str(found)) == (expected, words)


def test_the_last_value_may_be_nan() -> None:
    assert math.isnan(chosen(rule("val_acc", KNOWN), LOGGED) or 0.0)


def test_a_name_may_hold_an_equals_sign() -> None:
    assert rule("a=b", KNOWN).metric == rule("a=b=last", KNOWN).metric == "a=b"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tset", "no run that is used logged a metric 'tset'; they logged a=b, test, val_acc"),
        ("test=best", "say --metric test=min or test=max"),
        ("test=first", "is followed by last, best, min, max, step:N"),
        ("test=step:two", "is followed by last"),
        ("test=best:vall", "logged a metric 'vall'"),
    ],
)
def test_another_rule_is_told(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rule(text, KNOWN)


def test_names_tell_the_better_side() -> None:
    sides = [side(name) for name in ("valLoss", "val/f1", "top5", "steps", "loss_accuracy")]
    assert sides == ["min", "max", "max", None, None]
