"""What a name in braces stands for: a number, a fact or a setting, printed or asked of."""

from typing import Any

from research.provenance.facts import portable
from research.provenance.formats import plain
from research.report import formulas, sayings
from research.report.answers import BARE, Answers
from research.report.misses import miss
from research.report.source import Source
from research.report.words import Words

_FACTS = ("run.", "data.", "versions.", "seconds.", "models.", "compute.", "adopted.")


class Braces:
    """The values of one write-up, by what its front matter says of formats and names."""

    def __init__(self, source: Source, words: Words) -> None:
        self._source = source
        self._words = words

    def value(self, text: str) -> str:
        """What `name:format|options` prints, with slots.

        Raises:
            GapError: the run has nothing of that name.
            UserError: what stands behind the name is not understood.
        """
        wanted = sayings.value(text, self._source.reads)
        told, own = self._words.of(wanted.name)
        kind, key = self._kind(told, own)
        if kind is None:
            raise miss(f"run {told.id[:8]} has nothing called", own, told.spelt())
        study = wanted.name.removesuffix(own)
        spec = wanted.spec or sayings.matching(self._source.formats, wanted.name, own)
        if kind == "number":
            made = self._words.number(
                study + key, sayings.floating(spec or ".3g"), spread=wanted.spread, unit=wanted.unit
            )
            return made + self._noun(wanted, told.numbers.get(key))
        values = told.facts if kind == "fact" else told.config
        value = values.get(key)
        name = self._source.names.get(value) if isinstance(value, str) else None
        if isinstance(name, str):
            return self.label(name)
        if isinstance(value, int) and not wanted.spec and "." in spec:
            spec = ""  # a pattern for measured values makes no decimals of a count
        spec = sayings.floating(spec) if isinstance(value, float) else spec
        say = self._words.fact if kind == "fact" else self._words.setting
        return say(study + key, spec or None) + self._noun(wanted, value)

    def _noun(self, wanted: sayings.Value, value: Any) -> str:
        one, several = wanted.noun
        number = getattr(value, "value", value)
        return f"\u00a0{one if number == 1 else several}" if one else ""

    def label(self, name: str) -> str:
        """What a raw word is called, with its formulas drawn."""
        return str(formulas.set_aside(name, self._words.formula))

    def _kind(self, told: Answers, own: str) -> tuple[str | None, str]:
        """Whether a name is of a number, a fact or a setting, and what it is called there."""
        if own.startswith("config."):
            key = own.removeprefix("config.")
            return ("setting" if key in told.config or self._words.anything else None), key
        if own in told.numbers:
            return "number", own
        key = own.removeprefix("run.")
        if key in told.facts and (key == own) == ("." in key or key in BARE):
            return "fact", key
        if not self._words.anything:
            return None, own
        return ("fact" if own.startswith(_FACTS) or own in BARE else "number"), key

    def asked(self, name: str) -> tuple[Any, str]:
        """The value of what a condition names, and as it would be printed."""
        told, own = self._words.of(name)
        kind, key = self._kind(told, own)
        if own in told.claims:
            return told.claims[own].outcome, ""
        if kind == "number":
            return told.numbers[key].value, ""
        if kind == "fact":
            return told.facts[key], plain(told.facts[key])
        if kind == "setting":
            return told.config[key], plain(portable(told.config[key]))
        return None, ""
