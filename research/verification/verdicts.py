"""`research verify`: the verdict on each file, within bounded time and memory, as lines or JSON."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pypdfium2  # noqa: F401 - loaded once, before processes are forked

from research.errors import UserError, in_a_line
from research.provenance.entries import Trail
from research.provenance.reading import read_trail
from research.records import load
from research.records.damage import DamagedError
from research.tracking import Store
from research.tracking.mutations import mutations
from research.verification import apart, signatures
from research.verification.apart import Outcome
from research.verification.verify import Problem, Verdict, against
from research.verification.verify import examined as _examined

Examined = tuple[Verdict, Trail | None]


def checked(path: Path, store: Store | None, signers: Path | None = None) -> Verdict:
    """The verdict on a PDF by itself and, where a store is given, on the run that it names."""
    return batch([path], store, signers)[0]


def batch(
    paths: Sequence[Path], store: Store | None = None, signers: Path | None = None
) -> list[Verdict]:
    """The verdicts on many PDFs, each read in a process of its own.

    Raises:
        UserError: there is no such file, or `signers` cannot be used.
    """
    signatures.require(signers)
    outcomes = apart.each(functools.partial(_examined, signers=signers), paths)
    return [with_store(_known(outcome), store) for outcome in outcomes]


def examined(path: Path) -> Examined:
    """The verdict on a PDF by itself, and its record."""
    return _known(apart.run(_examined, path))


def record(path: Path) -> Trail:
    """The record of a PDF that may be anyone's. Raises UserError where there is none."""
    outcome = apart.run(read_trail, path)
    if outcome.result is None:
        begin = "" if outcome.mistaken else f"{path.name} must be a PDF that was built here, but "
        raise UserError(f"{begin}{outcome.reason}")
    return outcome.result


def _known(outcome: Outcome[Examined]) -> Examined:
    if outcome.result is not None:
        return outcome.result
    if outcome.mistaken:
        raise UserError(outcome.reason)
    return Verdict((Problem("refused", "", outcome.reason),)), None


def with_store(pdf: Examined, store: Store | None) -> Verdict:
    """A verdict with what the store says of the run: whether it is still what it was, and what the
    PDF names."""
    verdict, trail = pdf
    if store is None or not verdict.run or trail is None:
        return verdict
    problems = (*verdict.problems, *_stored(trail, verdict.run, store))
    return dataclasses.replace(verdict, problems=problems)


def _stored(trail: Trail, run: str, store: Store) -> Iterator[Problem]:
    try:
        summary = store.find(run)
        kept = load(summary.folder)
    except DamagedError as trouble:
        yield Problem("store", run[:8], str(trouble))
        return
    except (UserError, FileNotFoundError):
        yield from against(trail, None)
        return
    try:
        yield from (Problem("store", run[:8], line) for line in mutations(summary))
        yield from against(trail, kept)
    except UserError as trouble:  # its files are damaged, which is no reason to judge no other PDF
        yield Problem("store", run[:8], str(trouble))
    except OSError as trouble:
        yield Problem("store", run[:8], in_a_line(trouble))


def shown(path: Path) -> str:
    """A path as any terminal takes it: a name need not be in UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()


def as_text(verdicts: Mapping[str, Verdict]) -> str:
    return "\n".join(line for path, verdict in verdicts.items() for line in _lines(path, verdict))


def _lines(path: str, verdict: Verdict) -> Iterator[str]:
    if verdict.ok:
        counts = ", ".join(f"{count} {name}" for name, count in verdict.counts.items())
        yield f"{path}: verified: {counts}; run {verdict.run}"
    else:
        yield f"{path}: NOT verified, {len(verdict.problems)} found"
        yield from (f"  {problem}" for problem in verdict.problems)
    yield from (f"  {note}" for note in verdict.notes)


def as_json(verdicts: Mapping[str, Verdict]) -> str:
    """path -> {ok, run, counts, problems: [{kind, where, message}], notes}"""
    content = {
        path: {
            "ok": verdict.ok, "run": verdict.run, "counts": dict(verdict.counts),
            "problems": [dataclasses.asdict(problem) for problem in verdict.problems],
        } | ({"notes": list(verdict.notes)} if verdict.notes else {})
        for path, verdict in verdicts.items()
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False)
