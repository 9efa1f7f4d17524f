"""What one run answers to the words of a write-up."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from research.provenance.facts import claim_facts, facts
from research.records import Claim, Number, Results

BARE = ("models", "selection", "stale", "findings", "seconds")
"""facts that write-ups call without `run.` before them"""


def spelt_fact(key: str) -> str:
    """A fact as write-ups call it: `run.seeds`, `data.train`, `models`."""
    return key if "." in key or key in BARE else f"run.{key}"


@dataclass(frozen=True)
class Answers:
    """What one run has to say in words."""

    id: str
    numbers: Mapping[str, Number]
    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    claims: Mapping[str, Claim]

    @classmethod
    def of(cls, results: Results, more: Mapping[str, str] = {}) -> "Answers":
        run = results.run
        known = {**facts(run), **claim_facts(results.claims), **more}
        return cls(run.id, results.printable, known, run.config, results.claims)

    def spelt(self) -> list[str]:
        """All names that the run answers to, as write-ups call them."""
        own = [spelt_fact(key) for key in self.facts if not key.startswith("config.")]
        return [*self.numbers, *own, *(f"config.{key}" for key in self.config)]


def certainty(number: Number) -> dict[str, Any]:
    """What the provenance says of a number beside its value."""
    certainty = dataclasses.asdict(number)
    del certainty["value"]
    return certainty
