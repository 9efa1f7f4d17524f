"""What one run answers to the words of a write-up."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from research.provenance.facts import claim_facts, facts
from research.records import Claim, Number, Results


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
        told = {**facts(run), **claim_facts(results.claims), **more}
        return cls(run.id, results.printable, told, run.config, results.claims)


def certainty(number: Number) -> dict[str, Any]:
    """What the provenance says of a number beside its value."""
    certainty = dataclasses.asdict(number)
    del certainty["value"]
    return certainty
