"""Measured values and claims: what is known of each beside its value."""

from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]
"""The least and the greatest value that a quantity can have."""

SHARE: Range = (0.0, 1.0)
PERCENT: Range = (0.0, 100.0)
POINTS: Range = (-100.0, 100.0)
"""Of a difference between two shares in per cent."""
CORRELATION: Range = (-1.0, 1.0)

INTERVALS = {
    "means": "Student's t over repetitions",
    "shares": "Student's t on the logit scale over repetitions, Wilson's score over trials",
    "correlations": "Student's t on Fisher's z scale over repetitions",
    "resampled": "percentiles of bootstrap replicates",
    "claims": "Holm's adjustment over all claims of the run",
}
"""How 95 % intervals are computed, and how claims are tested together."""

LOGIT, FISHER = "logit", "Fisher's z"

SPAN = "range"
"""The `interval` of a number over two repetitions: its ends are the two values."""
FEWEST = 3
"""Repetitions from which an interval is computed at least."""


@dataclass(frozen=True)
class Number:
    """A measured value.

    Attributes:
        value: the mean over `n` independent repetitions (seeds), or the single measurement.
        unit: its unit as printed, empty for a pure number.
        half_width: half the width of its 95 % confidence interval, where that is symmetric.
        n: independent repetitions: seeds, or trials of a share.
        low, high: the ends of its 95 % interval, where that is not symmetric; of two repetitions,
            which have no interval, the values themselves.
        values: the repetitions, in the order of the run's seeds; empty for what has no seed.
        range: the values that it can have, (0, 1) for a share; None where nothing bounds it.
        interval: how its interval was computed: t, logit, Fisher's z, Wilson, bootstrap; `range`
            where it is none; empty where it is not known.
    """

    value: float
    unit: str = ""
    half_width: float | None = None
    n: int = 1
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()
    range: Range | None = None
    interval: str = ""

    @property
    def lone(self) -> bool:
        """Whether this is the value of a single seed, which says nothing of others."""
        return len(self.values) == 1

    @property
    def equal(self) -> bool:
        """Whether all of its repetitions had the same value."""
        if self.values:
            return len(self.values) > 1 and len(set(self.values)) == 1
        return self.half_width == 0 or (self.interval == SPAN and self.low == self.high)

    @property
    def few(self) -> bool:
        """Whether it is the mean of so few repetitions that it has no interval."""
        return self.span is not None or (self.half_width is not None and self.n == 2)

    @property
    def span(self) -> Range | None:
        """Both values of two repetitions, the smaller one first; None of any other number."""
        if len(self.values) == 2:
            return min(self.values), max(self.values)
        if self.interval == SPAN and self.low is not None and self.high is not None:
            return self.low, self.high
        return None

    @property
    def bounds(self) -> Range | None:
        """The ends of the 95 % interval, None where there is none."""
        if self.interval == SPAN:
            return None
        if self.half_width is not None:
            return self.value - self.half_width, self.value + self.half_width
        return None if self.low is None or self.high is None else (self.low, self.high)


Outcome = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Claim:
    """A statement about the result, and the test that decides it.

    Attributes:
        effect: what was measured, with its 95 % interval.
        p: of the test, two-sided; None where there is none.
        n: how many repetitions, images or pairs the test rests on.
        test: its name, with what it was taken over.
        direction: the side of the threshold on which the effect is claimed to lie.
        adjusted: p among all claims of the run, by Holm; None where the claim stands alone.
    """

    effect: Number
    p: float | None
    n: int
    test: str
    direction: Literal["greater", "less"] = "greater"
    threshold: float = 0.0
    adjusted: float | None = None

    @property
    def outcome(self) -> Outcome:
        """Holds or fails where the interval lies wholly on one side of the threshold.

        Undecided otherwise, without an interval, for a single seed, and where the adjusted p is
        0.05 or more.
        """
        if self.effect.bounds is None or self.effect.lone:
            return "undecided"
        if self.adjusted is not None and self.adjusted >= 0.05:
            return "undecided"
        low, high = self.effect.bounds
        sides = {"greater": low > self.threshold, "less": high < self.threshold}
        if any(sides.values()):
            return "holds" if sides[self.direction] else "fails"
        return "undecided"

    def __str__(self) -> str:
        """'holds: 0.31 [0.25, 0.37] dB greater than 0, p = 0.002, n = 3, paired t test'"""
        ends = " [{:.4g}, {:.4g}]".format(*self.effect.bounds) if self.effect.bounds else ""
        unit = f" {self.effect.unit}" if self.effect.unit else ""
        p = "" if self.p is None else f", p = {self.p:.2g}"
        p += "" if self.adjusted is None else f" ({self.adjusted:.2g} adjusted)"
        return (
            f"{self.outcome}: {self.effect.value:.4g}{ends}{unit} {self.direction} than "
            f"{self.threshold:g}{p}, n = {self.n}, {self.test}"
        )
