"""What a paper shows, held against what its record says that it showed when it was built."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from research.provenance import container, drawing, former, raster, structure
from research.provenance import trail as provenance
from research.provenance.entries import Trail
from research.provenance.page_text import Page
from research.verification.problems import Problem

WORDS_LIMIT = 5000
"""words of a page whose changes are named; a page of ours has about a thousand"""
NAMED = 12
"""changes of a page's text that are named one by one"""


def shown(trail: Trail, document: Any, pages: Sequence[Page]) -> Iterator[Problem]:
    """Text and drawing of each page, and what is read aloud instead of it."""
    built = trail.pages
    if len(pages) != len(built):
        yield Problem("pages", "", f"there are {len(pages)}, {len(built)} were built")
    with structure.readable():
        looks = (former if _is_former(trail) else drawing).drawings(document)
        alternatives = tuple(container.alternatives(document))
    for number, (page, look, was) in enumerate(zip(pages, looks, built, strict=False), start=1):
        changes = list(_changes(was.text, page.text))
        for change in changes[:NAMED]:
            yield Problem("text", f"page {number}", change)
        if len(changes) > NAMED:
            yield Problem("text", f"page {number}", f"and {len(changes) - NAMED} changes more")
        if look != was.drawing:
            on = [
                f"{kind} {exhibit.name}"
                for kind, exhibit in trail.exhibits
                if exhibit.page == number
            ]
            there = f" (on it: {', '.join(on)})" if on else ""
            yield Problem("pages", f"page {number}", f"is not drawn as it was built{there}")
    for kind, exhibit in trail.exhibits:
        if exhibit.page > len(pages):
            message = f"is recorded on page {exhibit.page}, which does not exist"
            yield Problem("pages", f"{kind} {exhibit.name}", message)
    if alternatives != trail.alternatives:
        yield Problem("pages", "alternative texts", "are not those that were built")


def strange(document: Any) -> Iterator[Problem]:
    """What no build writes, see `structure.KEYS`."""
    with structure.readable():
        oddities = [*structure.strange(document)]
    yield from (Problem("structure", where, what) for where, what in oddities)


def said(trail: Trail, document: Any, content: bytes, pages: Sequence[Page]) -> Iterator[Problem]:
    """What the file says beside its pages, and how these look."""
    if _is_former(trail):
        with structure.readable():
            facts, titles = structure.metadata(document), container.headings(document)
        for where, what in former.contradictions(trail, facts, titles, pages):
            yield Problem("structure" if where == "outline" else "record", where, what)
        return
    with structure.readable():
        now, parts = structure.metadata(document), structure.parts(document)
    title, author = [trail.title], [trail.author["name"]]
    was = trail.metadata | {"Title": title, "XMP dc:title": title}
    was |= {"Author": author, "XMP dc:creator": author}
    for key in structure.differences(was, now):
        says, built = ("; ".join(facts.get(key, []))[:60] for facts in (now, was))
        yield Problem("record", f"metadata {key}", f"is not the built '{built}', but '{says}'")
    for name in structure.differences(trail.parts, parts):
        yield Problem("structure", name, "are not those that were built")
    looked = [page.picture for page in trail.pages]
    for number, what in raster.changes(looked, raster.pictures(content)):
        yield Problem("pages", f"page {number}", what)


def _changes(former: str, now: str) -> Iterator[str]:
    """The places where two texts differ, each with a word before it."""
    if former == now:
        return
    a, b = former.split(), now.split()
    if max(len(a), len(b)) > WORDS_LIMIT:
        yield "is another text, too long to be compared word by word"
        return
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    for kind, a1, a2, b1, b2 in matcher.get_opcodes():
        if kind != "equal":
            before, old, new = a[max(a1 - 3, 0) : a1], " ".join(a[a1:a2]), " ".join(b[b1:b2])
            yield f"after '{' '.join(before)}' was built '{old[:80]}' and stands '{new[:80]}'"


def notes(trail: Trail) -> list[str]:
    """What is to be known of a record of this format."""
    return [former.NOTE] if _is_former(trail) else []


def _is_former(trail: Trail) -> bool:
    return trail.format < provenance.FORMAT
