"""A body in the language of write-ups, spoken over the sample record without making pages."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research.paths import TEMPLATES
from research.provenance.trail import Ledger
from research.records import Claim, Number, Results, write_claims, write_manifest
from research.report import authors, composition, render
from research.report import source as texts
from research.report.layout import Sheet
from research.report.words import Words
from tests.samples import SAMPLE

FRONT = "title: T\n"
LINE = 11
"""of the file, where a body begins below `FRONT`"""

_EFFECT = Number(0.4, "dB", half_width=0.1, n=3, values=(0.35, 0.4, 0.45))
_BLOCK = re.compile(r"</?(?:p|li|t[dhr]|d[td]|h\d|figcaption)\b[^>]*>")
_TEST = "paired t test over seeds"
CLAIMS = {
    "gain": Claim(_EFFECT, 0.003, 3, _TEST),
    "loss": Claim(_EFFECT, 0.003, 3, _TEST, "less"),
    "half": Claim(_EFFECT, 0.4, 3, _TEST, "greater", 0.45),
}


@dataclass(frozen=True)
class Spoken:
    """What became of a body.

    Attributes:
        html: of its blocks, pictures left out.
        kinds: of its blocks.
    """

    html: str
    kinds: Sequence[str]
    ledger: Ledger
    gaps: tuple[str, ...]
    title: str
    head: dict[str, Any]

    @property
    def text(self) -> str:
        """As a reader finds it."""
        from research.report.values import untagged

        return " ".join(untagged(_BLOCK.sub(" ", self.html)).split())


Speak = Callable[..., Spoken]


def written(folder: Path, body: str, front: str = FRONT) -> Path:
    path = folder / "ae.md"
    path.write_text(f"---\n{front}---\n\n## Abstract\n\nWords.\n\n## Body\n\n{body}\n")
    return path


def claimed(record: Results) -> None:
    write_claims(record.folder, CLAIMS)
    write_manifest(record.folder)


def spoken(path: Path, ledger: Ledger, *, draft: bool = False) -> Spoken:
    source, env = texts.read(path), render.environment(TEMPLATES)
    words = Words.over(ledger, source, TEMPLATES, Sheet(), draft=draft)
    paper = composition.paper(env, source, words, authors.read(SAMPLE / "author.toml"))
    html = "\n".join(block.html for block in paper.blocks.values())
    html = re.sub(r'src="data:[^"]*"', 'src=""', html)
    kinds = [block.kind for block in paper.blocks.values()]
    return Spoken(html, kinds, words.ledger, paper.gaps, paper.title, paper.head)
