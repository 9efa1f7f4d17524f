"""Verbs that read papers as a stranger would: is it what was built, who signed, what differs?"""

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from research.cli.flags import HandedIn, handed_in, parse, positional


def verify(args: list[str]) -> int:
    """Verifies PDFs, offline and by themselves: research verify paper/ae.pdf"""
    from research.verification import verdicts as checking

    @dataclass(frozen=True)
    class Verify(HandedIn):
        json: bool = False
        """One JSON document instead of lines, for scripts."""

    given, store = handed_in(args, "verify", Verify)
    checked = checking.batch(given.pdfs, store, given.signers)
    verdicts = dict(zip(map(checking.shown, given.pdfs), checked, strict=True))
    print(checking.as_json(verdicts) if given.json else checking.as_text(verdicts))
    return int(not all(verdict.ok for verdict in verdicts.values()))


def sign(args: list[str]) -> None:
    """Signs a PDF's record with an SSH key: research sign paper/ae.pdf --key ~/.ssh/id_ed25519"""
    from research.verification import signing

    @dataclass(frozen=True)
    class Sign:
        key: Path | None = None
        """File of the key, or of its public half where an agent holds it; else one of ~/.ssh."""

    pdf = Path(positional(args, "research sign FILE.pdf"))
    given: Sign = parse(Sign, args[1:], "research sign FILE.pdf")
    print(f"{pdf}: signed with key {signing.sign(pdf, given.key)}")


def audit(args: list[str]) -> int:
    """A grader's page for each PDF, requirement by requirement: research audit *.pdf"""
    from research.grading import audit as view

    @dataclass(frozen=True)
    class Audit(HandedIn):
        out: Path = Path("audit")
        """Folder for the pages; created if missing."""

    given, store = handed_in(args, "audit", Audit)
    asked = view.assignments()
    audits = view.compared(view.audits(given.pdfs, asked, store, given.signers))
    for checked, page in zip(audits, view.write(audits, given.out), strict=True):
        print(view.line(checked, page))
    return int(not all(checked.verdict.ok for checked in audits))


def reproduce(args: list[str]) -> int:
    """Runs a PDF's experiment again and compares its numbers: research reproduce ae.pdf"""
    from research.verification import reproduction as replay
    from research.verification.difference import printable
    from research.verification.recipe import Reproduce
    from research.verification.verdicts import record

    pdf = Path(positional(args, "research reproduce PDF"))
    given = parse(Reproduce, args[1:], "research reproduce PDF")
    trail = record(pdf)
    outcome = replay.reproduce(trail, given)
    shown = replay.drawn(outcome.compared, trail.digest, given)
    for line in replay.lines(outcome, shown):
        print(printable(line))
    return int(not outcome.ok)


def diff(args: list[str]) -> int:
    """What differs between two PDFs and why: research diff old.pdf new.pdf"""
    from research.verification.difference import difference, lines, printable
    from research.verification.verdicts import record

    @dataclass(frozen=True)
    class Diff:
        pdfs: tyro.conf.Positional[tuple[Path, Path]]
        """The older and the newer paper."""
        json: bool = False
        """One JSON document instead of lines, for scripts."""

    given: Diff = parse(Diff, args, "research diff OLD.pdf NEW.pdf")
    changes = difference(*map(record, given.pdfs))
    printed = (
        [json.dumps(changes.plain(), indent=1)] if given.json else map(printable, lines(changes))
    )
    print("\n".join(printed))
    return int(not changes.equal)
