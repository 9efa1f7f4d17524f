"""Word: a .docx for co-authors who write their remarks beside it."""

import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.export.manuscript import Manuscript, caption_of, inside
from research.report import pandoc, pictures
from research.report.pandoc import Node


def write(paper: Manuscript, out: Path) -> None:
    """Writes the document. Raises UserError where pandoc cannot."""
    run = paper.ledger.results.run
    note = f"Values are those of run {run.id[:8]} of the study “{run.study}”, preset {run.preset}."
    with tempfile.TemporaryDirectory() as folder:
        drawn = _Writer(paper, Path(folder))
        body = drawn.blocks(paper.body)
        if paper.authors.acknowledgements:
            body += [_heading("Acknowledgements"), _said(paper.authors.acknowledgements)]
        if paper.references:
            body += [_heading("References"), *drawn.blocks(paper.references)]
        people = [person.name for person in paper.authors.people]
        meta = {
            "title": {"t": "MetaInlines", "c": drawn.inlines(paper.title)},
            "author": {"t": "MetaList", "c": [_meta(name) for name in people]},
            "abstract": {"t": "MetaBlocks", "c": drawn.blocks(paper.abstract)},
            "keywords": {"t": "MetaList", "c": [_meta(word) for word in paper.keywords]},
        }
        tree = {"pandoc-api-version": [1, 23, 1], "meta": meta, "blocks": [*body, _said(note)]}
        done = pandoc.run(["--from=json", "--to=docx", f"--output={out}"], json.dumps(tree))
    if done.returncode:
        raise UserError(f"pandoc cannot write {out.name}: {done.stderr.decode()[-200:]}")


def _meta(text: str) -> Node:
    return {"t": "MetaString", "c": text}


def _said(text: str) -> Node:
    return {"t": "Para", "c": [{"t": "Str", "c": text}]}


def _heading(text: str) -> Node:
    return {"t": "Header", "c": [1, ["", [], []], [{"t": "Str", "c": text}]]}


class _Writer:
    """The tree as Word shows it: plain values, pictures from files, tables with captions."""

    def __init__(self, paper: Manuscript, folder: Path) -> None:
        self._paper = paper
        self._folder = folder

    def blocks(self, blocks: Sequence[Node]) -> list[Node]:
        return [new for block in blocks for new in self._block(block)]

    def inlines(self, inlines: Sequence[Node]) -> list[Node]:
        nodes: list[Node] = self._plain(list(inlines))
        return nodes

    def _block(self, node: Node) -> Iterator[Node]:
        kind, content = node["t"], node.get("c")
        if kind == "Header":
            level, _, inlines = content  # type: ignore[misc]
            yield {"t": kind, "c": [level - 1, ["", [], []], self.inlines(inlines)]}
        elif kind == "Figure" and "table" in content[0][1]:  # type: ignore[index]
            table = self._plain(inside(content, "Table"))
            caption = {"t": "Plain", "c": self.inlines(caption_of(content))}
            yield {"t": "Table", "c": [table[0], [None, [caption]], *table[2:]]}
        elif kind == "Figure":
            _, caption, _ = content  # type: ignore[misc]
            image = {"t": "Image", "c": self._image(inside(content, "Image"))}
            held = [{"t": "Plain", "c": [image]}]
            yield {"t": kind, "c": [["", [], []], self._plain(caption), held]}
        else:
            yield self._plain(node)

    def _image(self, image: Any) -> Any:
        attributes, alternative, _ = image
        return [["", [], [["width", "100%"]]], alternative, [str(self._path(attributes[0])), ""]]

    def _path(self, id: str) -> Path:
        """The file of a picture that Word shows: PNG of a drawing, else what the author gave."""
        name, results = id.removeprefix("i-"), self._paper.ledger.results
        for own in self._paper.ledger.pictures:
            if own.id == id:
                path = self._paper.source.path.parent / own.name
                if path.suffix.lower() != ".pdf":
                    return path
                shown = pictures.read(path.parent, path.name, self._paper.pages.get(name, 1))
                drawn = self._folder / f"{name}.png"
                drawn.write_bytes(base64.b64decode(shown.source.partition(",")[2]))
                return drawn
        return results.folder / results.figure(name).png

    def _plain(self, node: Any) -> Any:
        """A part of the tree without marks of values and links within the text."""
        if isinstance(node, list):
            nodes: list[Any] = []
            for item in node:
                new = self._plain(item)
                nodes += new if isinstance(item, dict) and _is_mark(item) else [new]
            return nodes
        if not isinstance(node, dict):
            return node
        if _is_mark(node):
            return self._plain(node["c"][1])
        return {key: self._plain(value) for key, value in node.items()}


def _is_mark(node: Node) -> bool:
    inner = node.get("t") == "Link" and node["c"][2][0].startswith("#")
    return inner or node.get("t") == "Span"
