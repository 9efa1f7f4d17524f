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
        brace = sayings.value(text, self._source.reads)
        answers, own = self._words.of(brace.name)
        kind, key = self._kind(answers, own)
        if kind is None:
            raise miss(f"run {answers.id[:8]} has nothing called", own, answers.spelt())
        study = brace.name.removesuffix(own)
        spec = brace.spec or sayings.matching(self._source.formats, brace.name, own)
        if kind == "number":
            number = self._words.number(
                study + key, sayings.floating(spec or ".3g"), spread=brace.spread, unit=brace.unit
            )
            return number + self._noun(brace, answers.numbers.get(key))
        values = answers.facts if kind == "fact" else answers.config
        value = values.get(key)
        name = self._source.names.get(value) if isinstance(value, str) else None
        if isinstance(name, str):
            return self.label(name)
        if isinstance(value, int) and not brace.spec and "." in spec:
            spec = ""  # a pattern for measured values makes no decimals of a count
        spec = sayings.floating(spec) if isinstance(value, float) else spec
        say = self._words.fact if kind == "fact" else self._words.setting
        return say(study + key, spec or None) + self._noun(brace, value)

    def _noun(self, brace: sayings.Value, value: Any) -> str:
        single, several = brace.noun
        number = getattr(value, "value", value)
        return f"\u00a0{single if number == 1 else several}" if single else ""

    def label(self, name: str) -> str:
        """What a raw word is called, with its formulas drawn."""
        return str(formulas.set_aside(name, self._words.formula))

    def _kind(self, answers: Answers, own: str) -> tuple[str | None, str]:
        """Whether a name is of a number, a fact or a setting, and what it is called there."""
        if own.startswith("config."):
            key = own.removeprefix("config.")
            return ("setting" if key in answers.config or self._words.anything else None), key
        if own in answers.numbers:
            return "number", own
        key = own.removeprefix("run.")
        if key in answers.facts and (key == own) == ("." in key or key in BARE):
            return "fact", key
        if not self._words.anything:
            return None, own
        return ("fact" if own.startswith(_FACTS) or own in BARE else "number"), key

    def asked(self, name: str) -> tuple[Any, str]:
        """The value of what a condition names, and as it would be printed."""
        answers, own = self._words.of(name)
        kind, key = self._kind(answers, own)
        if own in answers.claims:
            return answers.claims[own].outcome, ""
        if kind == "number":
            return answers.numbers[key].value, ""
        if kind == "fact":
            return answers.facts[key], plain(answers.facts[key])
        if kind == "setting":
            return answers.config[key], plain(portable(answers.config[key]))
        return None, ""
