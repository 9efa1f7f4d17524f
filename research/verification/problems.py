"""What verification says of a paper: a verdict, and the problems that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was built.

    Attributes:
        kind: refused, record, signature, attachments, structure, pages, numbers, text or store.
        where: a page, a number's id, a file's name; empty for the whole.
        message: what was found and what was expected.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where + ': ' if self.where else ''}{self.message}"


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    Attributes:
        run: id of the run, empty where it is not known.
        counts: how many pages, numbers, figures, tables and attachments were looked at.
        notes: what is to be known of it beside that, such as who signed it.
    """

    problems: tuple[Problem, ...]
    run: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems
