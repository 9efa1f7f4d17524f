"""Which one of its values a metric stands for: the last, the best, or that of a step."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from research.errors import UserError
from research.tracking.foreign import Point

Side = Literal["min", "max"]

_LOWER = (
    "loss losses error errors err mse rmse mae mape nll bce ce crossentropy entropy perplexity ppl "
    "wer cer fid kl divergence distance regret time seconds latency"
)
_HIGHER = (
    "acc accuracy f1 auc auroc auprc precision recall score r2 bleu rouge psnr ssim map dice iou "
    "kappa mcc reward return top1 top5 throughput"
)
LOWER, HIGHER = frozenset(_LOWER.split()), frozenset(_HIGHER.split())
SHARES = frozenset({"acc", "accuracy", "precision", "recall", "f1", "dice", "iou", "top1", "top5"})
"""Metrics that are shares where their values are between 0 and 1."""
GRAMMAR = "last, best, min, max, step:N, or best:OTHER for the step at which OTHER is best"


@dataclass(frozen=True)
class Rule:
    """A metric and how its value is chosen.

    Attributes:
        how: last, min, max or step.
        step: of `step`.
        by: the metric whose best step counts, where that is another.
    """

    metric: str
    how: Literal["last", "min", "max", "step"] = "last"
    step: int = 0
    by: str = ""

    def __str__(self) -> str:
        if self.how == "step":
            return f"at step {self.step}"
        if self.how == "last":
            return "at the last step"
        best = "lowest" if self.how == "min" else "highest"
        return f"where {self.by} is {best}" if self.by else f"{best} over steps"


def rule(text: str, known: Sequence[str]) -> Rule:
    """`val_acc`, `val_acc=best`, `val_loss=step:20`, `test_acc=best:val_acc`.

    Raises:
        UserError: another rule, a metric that no run logged, or one of which the better side is
            not clear by its name.
    """
    metric, how, argument = _parted(text, known)
    if how == "last" and not argument:
        return Rule(metric)
    if how == "step" and re.fullmatch(r"-?\d+", argument):
        return Rule(metric, "step", int(argument))
    if how not in ("best", "min", "max"):
        raise UserError(f"--metric {metric}= is followed by {GRAMMAR}, got '{text}'")
    by = _known(argument, known) if argument else ""
    better = side(by or metric) if how == "best" else how
    if better is None:
        forms = f"{metric}=min or {metric}=max" if not by else f"{metric}=min:{by} or =max:{by}"
        raise UserError(f"whether {by or metric} is better low or high its name does not tell: "
                        f"say --metric {forms}")  # fmt: skip
    return Rule(metric, "min" if better == "min" else "max", by=by)


def _parted(text: str, known: Sequence[str]) -> tuple[str, str, str]:
    """(metric, rule, its argument); a metric's name may itself hold an equals sign."""
    if text in known:
        return text, "last", ""
    name, equals, how = text.rpartition("=")
    if not equals:
        return _known(text, known), "last", ""
    word, _, argument = how.partition(":")
    return _known(name, known), word, argument


def _known(name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    listed = ", ".join(sorted(known)[:12]) or "none"
    raise UserError(f"no run that is used logged a metric '{name}'; they logged {listed}")


def side(metric: str) -> Side | None:
    """On which side a metric is better, as far as its name tells."""
    words = words_of(metric)
    low, high = bool(words & LOWER), bool(words & HIGHER)
    return None if low == high else "min" if low else "max"


def words_of(metric: str) -> set[str]:
    """`valAcc/top1` -> val, acc, top1."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", metric)
    return set(re.findall(r"[a-z]+[0-9]*", apart.lower()))


def chosen(rule: Rule, histories: Mapping[str, Sequence[Point]]) -> float | None:
    """The value of one run's metric by its rule, None where it has none.

    Arguments:
        histories: metric -> all its points by step and time.
    """
    last = _last_of_steps(histories.get(rule.metric, ()))
    if not last:
        return None
    if rule.how == "last":
        return last[max(last)]
    if rule.how == "step":
        return last.get(rule.step)
    judged = _last_of_steps(histories.get(rule.by or rule.metric, ()))
    finite = {step: value for step, value in judged.items() if math.isfinite(value)}
    if not finite:
        return math.nan
    best = (min if rule.how == "min" else max)(finite.values())
    return last.get(next(step for step in sorted(finite) if finite[step] == best))


def _last_of_steps(points: Sequence[Point]) -> dict[int, float]:
    """Step -> the value that was logged last in it."""
    return {point.step: point.value for point in points}
