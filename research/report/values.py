"""Values of a write-up: numbers, facts, settings, and words that rest on them.

Each is entered in the ledger only where it is printed, so that the trail holds what stands there.
"""

import html
import re
from typing import Any, Literal

from research.errors import GapError, UserError
from research.provenance import literals
from research.provenance.entries import Comparison
from research.provenance.facts import portable
from research.provenance.formats import DAGGER, EDITION, measured, outcome, plain
from research.provenance.trail import Ledger
from research.records import Claim, Number, Outcome
from research.report.answers import Answers, certainty
from research.report.gaps import Draft
from research.report.misses import miss
from research.report.render import Parts
from research.report.slots import Slots

Order = Literal["less", "greater", "tie"]


_OUTCOMES = {"holds": "holds", "fails": "fails", "undecided": "is undecided"}
_ORDERS = {"less": "below", "greater": "above", "tie": "not apart from"}


def untagged(text: str) -> str:
    """HTML as plain text."""
    return html.unescape(re.sub("<[^>]*>", "", text))


class Values:
    """What a write-up may say of one run, and of those that it reads beside it.

    A number, fact or setting of another run is called by its study: `fgsm:accuracy`.
    Each method returns text with slots; what is printed is entered in the ledger only where the
    slot is filled, so the trail holds exactly what stands on the page, however often it does.
    """

    anything = False
    """whether whatever is named exists, as in a rehearsal"""
    twice = False
    """whether a name may stand twice, as where blocks for some runs are all read"""

    def __init__(self, ledger: Ledger, parts: Parts, *, draft: bool = False) -> None:
        self.ledger = ledger
        self.parts = parts
        self.slots = Slots()
        self.draft = Draft(self.slots, parts) if draft else None
        around = ledger.surroundings
        runs = {"": ledger.results, **ledger.others}
        self._told = {
            study: Answers.of(results, around[results.run.id]) for study, results in runs.items()
        }

    # --- numbers ---------------------------------------------------------------------------------

    def number(
        self, name: str, format: str = ".3g", *, spread: bool = True, unit: bool = True
    ) -> str:
        """A logged number with its 95 % interval, `± half-width` or `[low, high]`, and its unit."""
        number = self._number(name)
        text = measured(number, format, spread=spread, unit=unit) + DAGGER * number.lone
        return self._tracked(
            "number", name, text, number.value, format=format, **certainty(number),
            shows={"spread": spread, "unit": unit, "edition": EDITION}, lone=number.lone,
        )  # fmt: skip

    def value(self, name: str, default: Any = None) -> Any:
        """The raw value of a logged number or of a fact, for conditions; not to be printed.

        `default` is for what only some runs have, as `config.weights`; without it a miss is an
        error.
        """
        answers, own = self.of(name)
        if own in answers.facts and own not in answers.numbers:
            return answers.facts[own]
        if default is not None and own not in answers.numbers:
            return default
        return self._number(name).value

    def setting(self, name: str, format: str | None = None) -> str:
        """A setting of the run, spelt like its flag."""
        answers, own = self.of(name)
        if own not in answers.config:
            raise miss(f"run {answers.id[:8]} has no setting", own, answers.config)
        value = portable(answers.config[own])
        return self._tracked("setting", name, plain(value, format), value, format=format)

    def fact(self, name: str, format: str | None = None) -> str:
        """A fact of the run by its name in `provenance.facts`: preset, device, data.train."""
        answers, own = self.of(name)
        if own not in answers.facts:
            raise miss(f"run {answers.id[:8]} has no fact", own, answers.facts)
        value = answers.facts[own]
        return self._tracked("fact", name, plain(value, format), value, format=format)

    def quotation(self, text: str, key: str) -> str:
        """A number taken from a source, without the citation that belongs behind it."""
        return self._tracked("quoted", key, text, text)

    def stated(self, text: str, reason: str) -> str:
        """A number that is the author's own choice; the reason is kept in the provenance.

        Raises:
            UserError: it looks like a result, which nobody chooses.
        """
        if literals.result_like(text):
            raise UserError(
                f"'{text}' looks like a result, which is no choice: log it and print {{name}}, or "
                "name its source: [0.1]{@source}"
            )
        return self._tracked("stated", reason, text, text)

    def ordered(self, a: str, order: Order, b: str | float, text: str) -> str:
        """The words, where two values stand in this order. Raises GapError where they do not."""
        ordered = self._compared(a, b)
        if ordered != order:
            raise GapError(
                f"the text says '{self.plain(text)}', which holds if {a} is {_ORDERS[order]} {b}, "
                f"but it is {_ORDERS[ordered]} it: mend the sentence"
            )
        return text

    def order(self, a: str, b: str | float) -> Order:
        """How two values stand to each other, without a word said of it."""
        return outcome(self._number(a), self._number(b) if isinstance(b, str) else Number(b))

    def _compared(self, a: str, b: str | float) -> Order:
        order = self.order(a, b)
        self.ledger.comparisons.append(Comparison(a=a, b=b, outcome=order))
        return order

    def asserted(self, name: str, expected: Outcome, text: str) -> str:
        """The words, where a claim has come out as expected.

        Raises:
            GapError: it has not, or there is no such claim.
        """
        result = self._claim(name).outcome
        if result != expected:
            raise GapError(
                f"the text says '{self.plain(text)}' because claim '{name}' {_OUTCOMES[expected]}, "
                f"but in this run it {_OUTCOMES[result]}: mend the sentence"
            )
        return self._resting(name, text)

    def outcome(self, name: str) -> Outcome:
        """How a claim has come out. Raises GapError where there is none of that name."""
        return self._claim(name).outcome

    def _claim(self, name: str) -> Claim:
        answers, own = self.of(name)
        if own not in answers.claims:
            raise miss(f"run {answers.id[:8]} logged no claim", own, answers.claims)
        return answers.claims[own]

    def _resting(self, name: str, text: str) -> str:
        """Words that rest on a claim."""
        claim, (answers, own) = self._claim(name), self.of(name)

        def render() -> str:
            return self.ledger.claim(
                own, claim, self.plain(text), self.slots.fill(text), run=answers.id
            )

        return self.slots.put(render, text)

    def vouch(self) -> str:
        """Boxes for what the manifests do not vouch for, as HTML; empty where they vouch for all.

        Raises:
            GapError: they do not, and this is no draft.
        """
        gaps = list(self.ledger.unvouched())
        if self.draft is None and gaps:
            raise gaps[0]
        boxes = [self.draft.boxed(gap) for gap in gaps] if self.draft else []
        return "".join(self.parts("paragraph", text=box) for box in boxes)

    # --- parts -----------------------------------------------------------------------------------

    def of(self, name: str) -> tuple[Answers, str]:
        """The run that a name speaks of, and what it is called there: `fgsm:accuracy`."""
        study, colon, own = name.rpartition(":")
        if colon and study not in self._told:
            known = [study for study in self._told if study]
            hint = f"it reads {', '.join(known)}" if known else f"add a line 'reads: {study}'"
            raise UserError(f"'{name}' is of another study, and the front matter says: {hint}")
        return self._told[study], own

    def _number(self, name: str) -> Number:
        answers, own = self.of(name)
        if own not in answers.numbers:
            raise miss(f"run {answers.id[:8]} logged no number", own, answers.numbers)
        return answers.numbers[own]

    def _tracked(self, kind: str, name: str, text: str, value: Any, **more: Any) -> str:
        # what was quoted or stated is of no run, and its text may hold a colon
        of_run = kind in ("number", "setting", "fact")
        answers, own = self.of(name) if of_run else (self._told[""], name)

        def render() -> str:
            self.ledger.lone |= kind == "number" and text.endswith(DAGGER)
            return self.ledger.print(kind, own, text, value, run=answers.id, **more)

        return self.slots.put(render, text)

    def check_branch(self, name: str, text: str) -> None:
        """Raises UserError for a number that is typed into words which may be printed."""
        numbers = literals.untracked(self.slots.bare(text))
        if numbers:
            raise UserError(
                f"the number {numbers[0][0]} is typed into the words that rest on '{name}': "
                f"'{numbers[0][1]}'; it is printed as a value or not at all"
            )

    def plain(self, text: str) -> str:
        """What a reader finds where a caption or branch stands, as plain text."""
        return untagged(self.slots.plain(text))
