"""LaTeX: a folder that compiles anywhere, with a value's macro for each number of the run.

main.tex        the text; figures and tables are plain `figure` and `table`
values.tex      a macro for each value, with the run, the name and the raw value beside it
references.bib  the works that are cited
figures/        each figure as PDF
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.export import tex
from research.export.manuscript import (
    CITE,
    INTEXT,
    Manuscript,
    caption_of,
    inside,
    raw,
    string,
    unlabelled,
)
from research.paths import template
from research.report import pandoc, pdf, pictures
from research.report.authors import Authors
from research.report.pandoc import Node

CLASSES = {"course": "article", "single": "article", "ieee": "ieee", "neurips": "article"}
"""look -> the file of `templates/latex/`"""
_GEOMETRY = {
    "course": "a4paper,margin=16mm,top=18mm,bottom=21mm,columnsep=6mm",
    "single": "a4paper,hmargin=27mm,vmargin=24mm",
    "neurips": "letterpaper,textwidth=5.5in,textheight=9in,top=1in",
}
_MEASURED = ("number", "cell", "fact", "setting", "count", "cut")
_HOLE = re.compile(r"<<(\w+)>>")


def write(paper: Manuscript, folder: Path, templates: Path) -> None:
    """Writes the folder, which is there and empty.

    Raises:
        UserError: pandoc cannot write a part.
    """
    writer = _Writer(paper)
    text = {
        "title": writer.line(paper.title),
        "abstract": writer.blocks(paper.abstract).strip(),
        "body": writer.blocks(paper.body).strip(),
    }
    text["letters"] = tex.declared("".join(text.values()))
    look = paper.source.look
    text |= {
        "keywords": ", ".join(map(tex.escaped, paper.keywords)),
        "columns": "twocolumn" if paper.sheet.columns == 2 else "onecolumn",
        "geometry": _GEOMETRY.get(look, ""),
        "authors": _ieee(paper.authors) if look == "ieee" else _article(paper.authors),
        "thanks": _thanks(paper),
        "acknowledgements": _acknowledged(paper.authors),
    }
    form = template(templates, f"latex/{CLASSES[look]}.tex").read_text(encoding="utf-8")
    whole = _HOLE.sub(lambda match: text[match[1]], form)
    _save(folder / "main.tex", whole)
    _save(folder / "values.tex", writer.values())
    _save(folder / "references.bib", references(paper))
    _draw(paper, folder / "figures")


class _Writer:
    """Writes parts of the tree, and collects the macros of what is printed there."""

    def __init__(self, paper: Manuscript) -> None:
        self._paper = paper
        self._entries = {entry["id"]: entry for entry in paper.ledger.numbers}
        self._macros: dict[str, dict[str, Any]] = {}
        self._named: dict[tuple[str, str], str] = {}

    def line(self, inlines: Sequence[Node]) -> str:
        return self._pandoc([{"t": "Plain", "c": self._inlines(inlines)}]).strip()

    def blocks(self, blocks: Sequence[Node]) -> str:
        return self._pandoc([new for block in blocks for new in self._block(block)])

    def values(self) -> str:
        """The file of the macros: `\\newcommand{\\mse}{0.0052}`, and where each comes from."""
        run = self._paper.ledger.results.run
        head = [
            f"% The values of this paper, from run {run.id} of the study '{run.study}':",
            f"% preset {run.preset}, ended {run.ended}, commit {run.commit}.",
            "% They are made anew by `research export`: change nothing here by hand.",
        ]
        lines = [
            f"\\newcommand{{\\{name}}}{{{tex.escaped(entry['printed'])}}}"
            f"  % {entry['name']} = {_raw(entry['value'])}, run {entry['run'][:8]}"
            for name, entry in self._macros.items()
        ]
        return "\n".join([*head, *lines]) + "\n"

    def _pandoc(self, blocks: Sequence[Node]) -> str:
        tree = {"pandoc-api-version": [1, 23, 1], "meta": {}, "blocks": list(blocks)}
        done = pandoc.run(["--from=json", "--to=latex", "--wrap=none"], json.dumps(tree))
        if done.returncode:
            raise UserError(f"pandoc cannot write LaTeX: {done.stderr.decode()[-200:]}")
        return done.stdout.decode("utf-8").replace("\u00a0", "~")

    # --- blocks ----------------------------------------------------------------------------------

    def _block(self, node: Node) -> Iterator[Node]:
        kind, content = node["t"], node.get("c")
        if kind == "Header":
            yield self._heading(content)
        elif kind == "Figure":
            yield self._float(content)
        elif kind == "Table":
            yield _paragraph(self._tabular(content))
        elif kind == "Div":
            yield from (new for part in content[1] for new in self._block(part))  # type: ignore[index]
        elif kind in ("Para", "Plain"):
            yield {"t": "Para", "c": self._inlines(content or [])}
        else:
            yield {"t": kind, "c": self._within(content)} if content is not None else node

    def _within(self, content: Any) -> Any:
        """What lies in lists and quotations: blocks in lists, at some depth."""
        if isinstance(content, list):
            if content and all(isinstance(item, dict) and "t" in item for item in content):
                return [new for item in content for new in self._block(item)]
            return [self._within(item) for item in content]
        return content

    def _heading(self, content: Any) -> Node:
        level, (name, _, _), inlines = content
        bare = not (inlines and _is(inlines[0], "auto"))  # the layout numbers no such heading
        written = self._inlines(inlines if bare else inlines[1:])
        while written and written[0]["t"] == "Space":
            written.pop(0)
        command = ("section", "subsection")[level - 2] + ("*" if bare else "")
        label = f"\\label{{{name.replace('-', ':', 1)}}}" if name else ""
        return _paragraph([raw(f"\\{command}{{"), *written, raw(f"}}{label}")])

    def _float(self, content: Any) -> Node:
        """A figure, or a table, whose caption stands above it."""
        (name, classes, _), *_ = content
        wide = "*" if "wide" in classes and self._paper.sheet.columns == 2 else ""
        caption = self._inlines(unlabelled(caption_of(content)))
        heading = [raw("\\caption{"), *caption, raw(f"}}\\label{{{name.replace('-', ':', 1)}}}\n")]
        kind = "table" if "table" in classes else "figure"
        if kind == "table":
            held = [*heading, *self._tabular(inside(content, "Table"))]
        else:
            held = [raw(self._picture(inside(content, "Image"), wide=bool(wide))), *heading]
        begin = f"\\begin{{{kind}{wide}}}[t]\n\\centering\n"
        return _paragraph([raw(begin), *held, raw(f"\\end{{{kind}{wide}}}")])

    def _picture(self, image: Any, *, wide: bool) -> str:
        (name, _, pairs), *_ = image
        style = dict(pairs).get("style", "")
        width = re.search(r"width:\s*([\d.]+)mm", style)
        room = self._paper.sheet.text if wide else self._paper.sheet.column
        share = min(1.0, float(width[1]) / room) if width else 1.0
        measure = "\\textwidth" if wide else "\\linewidth"
        own = name.removeprefix("i-")
        page = f",page={self._paper.pages[own]}" if self._paper.pages.get(own, 1) > 1 else ""
        return f"\\includegraphics[width={share:.3g}{measure}{page}]{{figures/{own}}}\n"

    def _tabular(self, table: Any) -> list[Node]:
        head, bodies = table[3][1], [row for body in table[4] for row in body[3]]
        rows = [[cell[4] for cell in row[1]] for row in (*head, *bodies)]
        right = [_is({"c": [cell[0]]}, "number") for cell in (head or bodies)[0][1]]
        columns = "".join("r" if is_number else "l" for is_number in right)
        lines = [raw(f"\\begin{{fitted}}\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n")]
        for number, row in enumerate(rows, 1):
            for place, cell in enumerate(row):
                lines += [raw(" & ")] if place else []
                lines += self._inlines([inline for block in cell for inline in block.get("c", [])])
            lines.append(raw(" \\\\\n" + "\\midrule\n" * (number == len(head))))
        return [*lines, raw("\\bottomrule\n\\end{tabular}\n\\end{fitted}\n")]

    # --- inlines ---------------------------------------------------------------------------------

    def _inlines(self, inlines: Sequence[Node]) -> list[Node]:
        return [new for inline in inlines for new in self._inline(inline)]

    def _inline(self, node: Node) -> list[Node]:
        kind, content = node["t"], node.get("c")
        if kind == "Span":
            return self._span(content)
        if kind == "Link":
            return self._link(content)
        if kind == "Quoted":
            return [{"t": kind, "c": [content[0], self._inlines(content[1])]}]  # type: ignore[index]
        if isinstance(content, list) and kind in _NESTED:
            return [{"t": kind, "c": self._inlines(content)}]
        return [node]

    def _span(self, content: Any) -> list[Node]:
        (name, classes, _), inner = content
        entry = self._entries.get(name) if "v" in classes else None
        if entry and _is_value(entry):
            return [raw(f"\\{self._macro(entry)}{{}}")]
        return self._inlines(inner)

    def _macro(self, entry: Mapping[str, Any]) -> str:
        """The macro of a printed value, one for all places where it is printed alike."""
        row = (f"row {entry['row']}",) if "row" in entry else ()
        needle = tex.command(entry["kind"] if row else "value", entry["name"], *row)
        known = (needle, entry["printed"])
        if known not in self._named:
            self._named[known] = tex.unique(self._macros, needle)
            self._macros[self._named[known]] = dict(entry)
        return self._named[known]

    def _link(self, content: Any) -> list[Node]:
        _, inner, (address, _) = content
        for begin, command in ((CITE, "cite"), (INTEXT, "citet")):
            if address.startswith(begin):
                return self._cited(command, address.removeprefix(begin), inner)
        if address.startswith("#"):
            name = address[1:].replace("-", ":", 1)
            word = pandoc.plain(inner).split("\u00a0")[0]
            return [string(word), raw(f"~\\ref{{{name}}}")]
        return [{"t": "Link", "c": [content[0], self._inlines(inner), content[2]]}]

    def _cited(self, command: str, keys: str, around: Sequence[Node]) -> list[Node]:
        before, _, behind = pandoc.plain(around).partition("|")
        notes = [before.strip(), behind.lstrip(", ").strip()]
        options = "".join(f"[{tex.escaped(note)}]" for note in notes) if any(notes) else ""
        name = "citep" if options and command == "cite" else command
        return [raw(f"\\{name}{options}{{{keys}}}")]


_NESTED = ("Emph", "Strong", "Superscript", "Subscript", "Strikeout", "Underline", "SmallCaps")


def _is_value(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the ledger becomes a macro: what was measured or set, but no words."""
    words = isinstance(entry["value"], str) or entry.get("mark")
    return entry["kind"] in _MEASURED and not words


def _is(node: Any, name: str) -> bool:
    """Whether an element has a class; of a heading's first word, its number."""
    content = node.get("c")
    return isinstance(content, list) and isinstance(content[0], list) and name in content[0][1]


def _paragraph(inlines: Sequence[Node]) -> Node:
    return {"t": "Para", "c": list(inlines)}


def _raw(value: Any) -> str:
    """A raw value on one line of a comment."""
    return " ".join(str(value).split())


# --- what stands around the text -----------------------------------------------------------------


def _ieee(authors: Authors) -> str:
    blocks = []
    for person in authors.people:
        places = [*map(tex.escaped, person.affiliations), tex.escaped(person.email)]
        lines = "\\\\\n".join(place for place in places if place)
        blocks.append(f"\\IEEEauthorblockN{{{_name(person)}}}\n\\IEEEauthorblockA{{{lines}}}")
    return "\n\\and\n".join(blocks)


def _article(authors: Authors) -> str:
    marks = {
        place: tex.command(f"{chr(97 + n % 26)}") for n, place in enumerate(authors.affiliations)
    }
    several = len(marks) > 1
    names = []
    for person in authors.people:
        raised = ",".join(marks[place] for place in person.affiliations) if several else ""
        names.append(_name(person) + (f"\\textsuperscript{{{raised}}}" if raised else ""))
    places = [
        (f"\\textsuperscript{{{mark}}}" if several else "") + tex.escaped(place)
        for place, mark in marks.items()
    ]
    emails = ", ".join(
        f"\\texttt{{{tex.escaped(person.email)}}}" for person in authors.people if person.email
    )
    lines = [", ".join(names), *places, emails, tex.escaped(authors.course)]
    return "\\\\\n".join(line for line in lines if line)


def _name(person: Any) -> str:
    """A name, which leads to the author's page at ORCID where there is one."""
    name = tex.escaped(person.name)
    return f"\\href{{https://orcid.org/{person.orcid}}}{{{name}}}" if person.orcid else name


def _thanks(paper: Manuscript) -> str:
    run = paper.ledger.results.run
    sentence = (
        f"Values are those of run {run.id[:8]} of the study “{run.study}”, preset {run.preset}."
    )
    return tex.escaped(sentence)


def _acknowledged(authors: Authors) -> str:
    text = tex.escaped(authors.acknowledgements)
    return f"\\section*{{Acknowledgements}}\n{text}\n" if text else ""


def references(paper: Manuscript) -> str:
    """The cited works as BibTeX, whatever form they were in."""
    if not paper.keys:
        return ""
    text = paper.bibliography.read_text(encoding="utf-8")
    read = pandoc.run(["--from=biblatex", "--to=csljson"], text)
    works = {work["id"]: work for work in json.loads(read.stdout)} if not read.returncode else {}
    kept = json.dumps([works[key] for key in paper.keys if key in works])
    written = pandoc.run(["--from=csljson", "--to=bibtex"], kept)
    if read.returncode or written.returncode:
        said = (read.stderr + written.stderr).decode()[-200:]
        raise UserError(f"pandoc cannot write the bibliography: {said}")
    return written.stdout.decode("utf-8")


def _draw(paper: Manuscript, folder: Path) -> None:
    """Figures of the run as PDF; pictures of the author's as they are."""
    folder.mkdir()
    results = paper.ledger.results
    for figure in paper.ledger.figures:
        drawing = results.figure(figure.name)
        svg = (results.folder / drawing.svg).read_bytes()
        (folder / f"{figure.name}.pdf").write_bytes(
            pdf.drawn(svg, drawing.width_mm, drawing.height_mm)
        )
    for own in paper.ledger.pictures:
        path, name = paper.source.path.parent / own.name, own.id.removeprefix("i-")
        if path.suffix.lower() == ".svg":
            size = pictures.read(path.parent, path.name)
            content = pdf.drawn(path.read_bytes(), size.width_mm, size.height_mm)
            (folder / f"{name}.pdf").write_bytes(content)
        else:
            shutil.copyfile(path, folder / f"{name}{path.suffix.lower()}")


def _save(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
