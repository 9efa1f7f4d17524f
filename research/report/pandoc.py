"""Pandoc: Markdown to its document tree, and the citations of a tree by its citeproc."""

import json
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from research.errors import UserError

PATIENCE = 60
"""Seconds after which pandoc is given up."""

Node = dict[str, Any]
"""An element of the tree: `t` is its kind, `c` its content."""

MARKDOWN = "-".join((
    "markdown", "native_divs", "native_spans", "raw_tex", "latex_macros", "example_lists",
    "fancy_lists",
    "markdown_in_html_blocks", "pandoc_title_block", "yaml_metadata_block", "auto_identifiers",
    "implicit_header_references",
))  # fmt: skip
"""The Markdown of write-ups, less what would give a second meaning to ordinary text."""

_WARNING = re.compile(r"\[WARNING\] (.*?)(?=\n\[|\Z)", re.DOTALL)


def run(ways: Sequence[str], document: str) -> "subprocess.CompletedProcess[bytes]":
    """Raises UserError where pandoc cannot be run or does not end."""
    import pypandoc

    try:
        return subprocess.run(
            [pypandoc.get_pandoc_path(), *ways],
            input=document.encode(), capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(
            f"pandoc had not ended after {PATIENCE} s; shorten the text, or leave only what is "
            "cited in the bibliography"
        ) from None
    except OSError as error:
        raise UserError(f"pandoc cannot be run ({error}); run: make setup") from None


def tree(markdown: str) -> tuple[Node, list[str]]:
    """A text as pandoc reads it, and what it warns of."""
    done = run([f"--from={MARKDOWN}", "--to=json"], markdown)
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise UserError(f"pandoc cannot read the text: {' '.join(said.split())[-200:]}")
    warnings = [" ".join(warning.split()) for warning in _WARNING.findall(said)]
    return dict(json.loads(done.stdout)), warnings


def with_blocks(document: Node, blocks: Sequence[Node], **meta: bool) -> str:
    """A tree with other blocks and such metadata, as JSON."""
    fields = {key: {"t": "MetaBool", "c": value} for key, value in meta.items()}
    return json.dumps(document | {"blocks": list(blocks), "meta": fields})


def plain(inlines: Sequence[Node]) -> str:
    """Inlines as plain text."""
    return "".join(map(_plain, inlines))


_SIGNS = {"Space": " ", "SoftBreak": " ", "LineBreak": " "}
_QUOTES = {"DoubleQuote": ("“", "”"), "SingleQuote": ("‘", "’")}


def quotes(kind: Node) -> tuple[str, str]:
    """The signs around what is quoted."""
    return _QUOTES[kind["t"]]


def _plain(node: Node) -> str:
    kind, content = node["t"], node.get("c", "")
    if kind in _SIGNS:
        return _SIGNS[kind]
    if kind == "Str":
        return str(content)
    if kind in ("Code", "Math"):
        return str(content[1])
    if kind == "Quoted":
        left, right = quotes(content[0])
        return f"{left}{plain(content[1])}{right}"
    if kind in ("Span", "Link", "Cite"):
        return plain(content[1])
    return plain(content) if isinstance(content, list) and kind != "RawInline" else ""
