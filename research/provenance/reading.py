"""Reads a trail, and the data behind it, as any file may hold them: checked once, here.

Whatever is not as a build writes it costs one line that names the place in the JSON:
`numbers[3].page: got 'x', a whole number is required`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pikepdf
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from research.errors import UserError
from research.provenance import container
from research.provenance.attachment import NAME
from research.provenance.container import Refused
from research.provenance.entries import Content, Trail
from research.provenance.trail import FORMAT, READABLE, digests, seal
from research.records import Cell, Claim, Number, sha256

NUMBERS_LIMIT = 20_000
"""printed values at most"""

_LATER: dict[str, Any] = {"reads": {}, "claims": [], "parts": {}, "metadata": {}}
"""What format 2 lacks."""

_NEEDED = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "text",
    "bool_type": "true or false", "tuple_type": "a list", "list_type": "a list",
    "dict_type": "an object", "dataclass_type": "an object", "finite_number": "a finite number",
    "missing_keyword_only_argument": "a value", "int_from_float": "a whole number",
}  # fmt: skip
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")

T = TypeVar("T")
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class TableData:
    """A table as it is attached."""

    columns: tuple[str, ...]
    rows: tuple[tuple[bool | Cell, ...], ...]


def read_trail(path: Path) -> Trail:
    """The trail of a PDF that may be anyone's.

    Raises:
        UserError: there is no such file, or no trail that is whole.
    """
    if not path.is_file():
        raise UserError(f"a PDF is required, got {path}; give the path of one")
    try:
        return trail_of(container.attachments(container.open_safely(container.read(path))))
    except (Refused, pikepdf.PdfError) as error:
        raise UserError(
            f"{path.name} must be a PDF that was built here, but {error}; build it again"
        ) from None


def trail_of(files: Files) -> Trail:
    """The trail among the attachments. Raises Refused where there is none that is whole."""
    if NAME not in files:
        raise Refused(f"it carries no {NAME}: it was not built here, or its record was removed")
    return checked(_json(NAME, files[NAME]))


def checked(raw: Any) -> Trail:
    """A trail that was read as JSON, as types. Raises Refused for one that no build writes."""
    if not isinstance(raw, dict) or raw.get("format") not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise Refused(f"its {NAME} is not of format {known}: build the paper again")
    numbers = raw.get("numbers")
    if isinstance(numbers, list) and len(numbers) > NUMBERS_LIMIT:
        raise Refused(f"its record lists more than {NUMBERS_LIMIT:,} numbers")
    whole = raw if raw["format"] == FORMAT else _completed(raw)
    return Trail(**vars(_of_type(Content, NAME, whole)), digest=seal(raw))


def differences(
    pdf: Path, run: str, record: Path, sources: Sequence[Path], others: Mapping[str, str] = {}
) -> list[str]:
    """Why a PDF is not what a build from this run and these sources would give now; empty if it is.

    Arguments:
        run: id of the run that a build would take.
        record: that run's folder.
        sources: the write-up, the author's file and the templates.
        others: study -> id of the run that a build would read beside it.
    """
    built, now = read_trail(pdf), digests(sources)
    reasons = []
    if built.run.id != run:
        reasons.append(f"built from run {built.run.id[:8]}")
    else:
        drawn = [f.name for f in built.figures if f.sha256 != sha256(record / f.artifact)]
        reasons += [f"figures drawn anew: {', '.join(drawn)}"] if drawn else []
    for study, other in built.reads.items():
        if other.id != others.get(study):
            reasons.append(f"reads run {other.id[:8]} of '{study}'")
    former = built.sources
    changed = sorted(name for name in {*former, *now} if former.get(name) != now.get(name))
    if changed:
        reasons.append(f"prose changed since: {', '.join(changed)}")
    return reasons


def numbers_of(name: str, files: Files) -> dict[str, Number]:
    """The numbers of a run that are attached. Raises Refused where they are not of that form."""
    return _of_type(dict[str, Number], name, _json(name, files[name]))


def claims_of(name: str, files: Files) -> dict[str, Claim]:
    """The claims of a run that are attached. Raises Refused where they are not of that form."""
    return _of_type(dict[str, Claim], name, _json(name, files[name]))


def table_of(name: str, files: Files) -> TableData:
    """A table that is attached. Raises Refused where it is not of that form."""
    return _of_type(TableData, name, _json(name, files[name]))


def _json(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(f"its {name} is not JSON ({str(error)[:80]})") from None


def _completed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A trail of format 2 with what it lacks, empty."""
    pages = raw.get("pages")
    if isinstance(pages, list):
        pages = [{"picture": "", **page} if isinstance(page, dict) else page for page in pages]
    return {**_LATER, **raw, "pages": pages}


# --- types ---------------------------------------------------------------------------------------


def _of_type(kind: type[T], name: str, raw: Any) -> T:
    try:
        # as JSON again, where a list may become a tuple and nothing else may become anything else
        value: T = _adapter(kind).validate_json(json.dumps(raw), strict=True)
        return value
    except ValidationError as error:
        reason = _told(error.errors()[0], raw)
        raise Refused(f"its {name} is not as it is built: {reason}") from None
    except RecursionError:
        raise Refused(f"its {name} is nested without end") from None


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _told(error: ErrorDetails, raw: Any) -> str:
    """`numbers[3].page: got 'x', a whole number is required`."""
    where, kind, context = _place(error["loc"], raw), error["type"], error.get("ctx", {})
    got = f"got {repr(error['input'])[:60]}"
    if kind in _UNKNOWN:
        return f"{where}: unknown, no build writes it"
    if kind.startswith("missing"):
        return f"{where}: required, got nothing"
    if kind == "value_error":
        return f"{where}: {context['error']}"
    if kind in _NEEDED:
        return f"{where}: {got}, {_NEEDED[kind]} is required"
    expected = {
        "literal_error": f"{context.get('expected')} is required",
        "union_tag_invalid": f"a kind of {context.get('expected_tags')} is required",
        "string_pattern_mismatch": f"text of the form {context.get('pattern')} is required",
        "greater_than_equal": f"{context.get('ge')} or more is required",
        "less_than_equal": f"{context.get('le')} or less is required",
    }
    return f"{where}: {got}, {expected.get(kind, error['msg'])}"


def _place(names: Sequence[int | str], raw: Any) -> str:
    """A place in JSON, without the names that tell members of a union apart."""
    text, here = "", raw
    for number, name in enumerate(names):
        if isinstance(name, int):
            text += f"[{name}]"
            here = here[name] if isinstance(here, list | tuple) and name < len(here) else None
        elif isinstance(here, dict) and (name in here or number == len(names) - 1):
            text += f".{name}" if text else name
            here = here.get(name)
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120] or "all of it"
