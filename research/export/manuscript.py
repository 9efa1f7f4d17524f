"""The text of a paper as pandoc's tree, with each value known by its place in the ledger."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.provenance.trail import Ledger
from research.report import composition, pandoc
from research.report.authors import Authors
from research.report.citations import Citations, bibliography
from research.report.layout import LOOKS, Sheet
from research.report.pandoc import Node
from research.report.render import Parts
from research.report.source import Source, slug
from research.report.words import Words

_DRAWN = re.compile(r'src="data:[^"]*"')
CITE = "cite:"
"""what the address of a citation begins with, where an exported text keeps its keys"""
INTEXT = "citet:"
"""the same of one that is part of the sentence"""


class Keyed(Citations):
    """Citations that stay keys, for programs that have a bibliography of their own."""

    def cited(self, document: Node, blocks: Sequence[Node]) -> list[Node]:
        """The blocks with each citation as a link to its keys."""
        for key in self._keys:
            self._check(key)
        return [_keyed(block) for block in blocks]

    @property
    def keys(self) -> list[str]:
        """Those that are cited, in the order of their first mention."""
        return list(self._keys)

    @property
    def path(self) -> Path:
        return self._path


class Exported(Words):
    """The words of a write-up for other programs: formulas stay TeX, figures fit any width.

    Attributes:
        pages: picture of the author's -> the page of its PDF that is shown.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.pages: dict[str, int] = {}

    def picture(
        self, path: str, *, caption: str, alt: str = "", wide: bool = False, share: float = 0.0,
        page: int = 1,
    ) -> str:  # fmt: skip
        self.pages[slug(Path(path).stem) or "picture"] = page
        return super().picture(path, caption=caption, alt=alt, wide=wide, share=share, page=page)

    def formula(self, tex: str, display: bool) -> str:
        sign = "$$" if display else "$"
        formula = f'<span class="auto math">{sign}{html.escape(tex, quote=False)}{sign}</span>'
        return self.slots.put(lambda: formula, "" if display else tex)

    def _formula(self, tex: str) -> str:
        return f"${html.escape(tex, quote=False)}$"


@dataclass(frozen=True)
class Manuscript:
    """A paper's parts as blocks of pandoc's tree.

    Attributes:
        keys: works that are cited, where the text keeps them as keys.
        bibliography: the file that has them.
        pages: picture of the author's -> the page of its PDF that is shown.
    """

    title: list[Node]
    keywords: tuple[str, ...]
    abstract: list[Node]
    body: list[Node]
    references: list[Node]
    authors: Authors
    source: Source
    sheet: Sheet
    ledger: Ledger
    keys: tuple[str, ...]
    bibliography: Path
    pages: Mapping[str, int]


def read(
    ledger: Ledger, source: Source, authors: Authors, templates: Path, *, keyed: bool
) -> Manuscript:
    """Speaks a write-up over a run.

    Arguments:
        keyed: whether citations stay keys of the bibliography, or are printed by citeproc.

    Raises:
        UserError: whatever the paper would be refused for.
    """
    sheet = replace(LOOKS[source.look], reduces=0.01)
    kind: type[Citations] = Keyed if keyed else Citations
    works = bibliography(source, templates, kind)
    words = Exported(ledger, Parts(templates), works, sheet, folder=source.path.parent)
    text = composition.text_over(source, words)
    abstract, body = composition.parted(text.blocks)
    parts = {
        "title": f"<p>{text.title.html}</p>",
        "abstract": "\n".join(block.html for block in abstract),
        "body": "\n".join(block.html for block in body),
        "references": "\n".join(f"<p>{label} {entry}</p>" for label, _, entry in text.references),
    }
    trees = _trees({name: words.slots.fill(part) for name, part in parts.items()})
    title = trees["title"][0]["c"]
    return Manuscript(
        title, tuple(keyword.plain for keyword in text.keywords), trees["abstract"], trees["body"],
        trees["references"], authors, source, sheet, ledger,
        tuple(works.keys) if isinstance(works, Keyed) else (),
        works.path if isinstance(works, Keyed) else Path(), words.pages,
    )  # fmt: skip


def _trees(parts: Mapping[str, str]) -> dict[str, list[Node]]:
    """HTML -> blocks, of several parts at once; pictures are known by their ids."""
    whole = "\n".join(
        f'<div id="part-{name}">{_DRAWN.sub("src=drawn", part)}</div>'
        for name, part in parts.items()
    )
    ways = ["--from=html+tex_math_dollars-auto_identifiers", "--to=json"]
    done = pandoc.run(ways, whole)
    if done.returncode:
        raise UserError(f"pandoc cannot read the text: {done.stderr.decode()[-200:]}")
    blocks = json.loads(done.stdout)["blocks"]
    return {block["c"][0][0].removeprefix("part-"): block["c"][1] for block in blocks}


def _keyed(node: Any) -> Any:
    """A part of the tree whose citations are links to their keys, a prefix and suffix as text."""
    if isinstance(node, list):
        return [_keyed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("t") != "Cite":
        return {key: _keyed(value) for key, value in node.items()}
    cited = node["c"][0]
    within = cited[0]["citationMode"]["t"] == "AuthorInText"
    keys = ",".join(work["citationId"] for work in cited)
    around = [*cited[0]["citationPrefix"], {"t": "Str", "c": "|"}, *cited[-1]["citationSuffix"]]
    return {"t": "Link", "c": [["", [], []], around, [f"{INTEXT if within else CITE}{keys}", ""]]}


# --- parts of the tree ---------------------------------------------------------------------------


def raw(text: str) -> Node:
    """LaTeX as it stands, within a line."""
    return {"t": "RawInline", "c": ["latex", text]}


def string(text: str) -> Node:
    return {"t": "Str", "c": text}


def caption_of(figure: Any) -> list[Node]:
    """The inlines of a figure's caption, its label first."""
    return [inline for block in figure[1][1] for inline in block.get("c", [])]


def unlabelled(inlines: Sequence[Node]) -> list[Node]:
    """A caption without the label that the layout gave it."""
    labelled = inlines and inlines[0]["t"] == "Span" and "label" in inlines[0]["c"][0][1]
    if not labelled:
        return list(inlines)
    rest = list(inlines[1:])
    if rest and rest[0]["t"] == "Str":  # its full stop
        rest[0] = string(rest[0]["c"].removeprefix("."))
    while rest and rest[0] in (string(""), {"t": "Space"}):
        rest.pop(0)
    return rest


def inside(figure: Any, kind: str) -> Any:
    """The content of the first element of a kind within a figure; None where it has none."""

    def look(node: Any) -> Any:
        if isinstance(node, dict):
            if node.get("t") == kind:
                return node["c"]
            node = list(node.values())
        if isinstance(node, list):
            return next((content for item in node if (content := look(item)) is not None), None)
        return None

    return look(figure[2])
