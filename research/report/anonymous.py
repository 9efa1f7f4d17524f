"""Anonymous papers: what names a person or a machine is taken out, and then looked for.

The search opens everything that a reader could open: the strings and decompressed streams of the
PDF, its text, metadata and attachments, archives among them, and the pictures inside the HTML. It
takes letters for the same that differ in case, accent or width: `MÜLLER` is `Müller`, `Muller` and
`Mueller`.
"""

import base64
import dataclasses
import getpass
import html
import io
import re
import socket
import subprocess
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from research.paths import ROOT
from research.provenance.facts import portable
from research.records import Results, Run

NAME = "Anonymous"
"""who wrote an anonymous paper"""

COMMON = frozenset(
    {"root", "user", "admin", "runner", "ubuntu", "debian", "docker", "app", "nobody"}
    | {"localhost", "localhost.localdomain"}
)
"""Names of users and machines that name nobody; most are words of the paper too."""

_WORDS = (
    "author best book cell chance check claim class code count course data device drawing factor "
    "field figure file format half hand head image key kind label light line link list long low "
    "machine main mark mean media median mode model name noise number order page parts path pool "
    "power price print rank rate read rest result root rose row run score seed short size small "
    "sold source stand state step stone store style table task test text title tool train true "
    "unit value weight white wide width word work young"
)
OWN = frozenset(_WORDS.split())
"""Surnames that are words of every paper or record, and say nothing when they stand alone."""

SHORTEST = 3
"""Letters of a name that is looked for."""

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe",
                        "ı": "i", "ħ": "h", "’": "'", "‐": "-", "‑": "-"})  # fmt: skip
"""Letters that are no others with a mark."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_WORD = r"[^\W_]"

_DATA = re.compile(rb"data:[\w/+.-]+;base64,([A-Za-z0-9+/=]+)")


def cleaned(results: Results) -> Results:
    """The record as an anonymous paper tells of it: without the commit, by which code is found."""
    return dataclasses.replace(results, run=cleaned_run(results.run))


def cleaned_run(run: Run) -> Run:
    """The facts of a run without the commit, settings that name places and folders' names."""
    data = run.data
    if run.config.get("data.name") == "folder":  # a folder's name is the author's own
        read = f"; {data['reading']}" if data.get("reading") else ""
        data = data | {"name": "own images", "source": f"own images{read}"}
    config = {
        key: value
        for key, value in run.config.items()
        if key not in run.local and portable(value) == value
    }
    if run.adopted:  # an address names its owner, commits and ids lead to him
        data = data | {"source": "", "inputs": []}
    adopted = run.adopted and run.adopted | {"source": "", "commits": []}
    return dataclasses.replace(run, commit="", config=config, data=data, adopted=adopted)


def secrets(author: Mapping[str, str], root: Path = ROOT) -> dict[str, str]:
    """What must not be found -> what it is."""
    host = socket.gethostname()
    texts = {
        "the user": _quietly(getpass.getuser),
        "the host": host,
        "the home folder": str(Path.home()),
        "the checkout": str(root),
        "git's user.name": _git(root, "config", "user.name"),
        "git's user.email": _git(root, "config", "user.email"),
        **{f"author.toml's {key}": value for key, value in author.items()},
    }
    texts |= {f"the author's {what}": value for what, value in _alone(author)}
    remotes = {line.split()[1] for line in _git(root, "remote", "-v").splitlines() if line.split()}
    texts |= {f"git's remote {number}": url for number, url in enumerate(sorted(remotes), 1)}
    known = {value: what for what, value in reversed(texts.items())}
    return {value: what for value, what in known.items() if _is_telling(value)}


def occurrences(pdf: bytes, page: bytes, names: Mapping[str, str]) -> list[str]:
    """One line for each thing that a file tells and must not, with its place."""
    return _search((*_of_pdf(pdf), *_of_html(page)), names)


def occurrences_in(files: Mapping[str, bytes], names: Mapping[str, str]) -> list[str]:
    """The same for files of any kind by their names, which are searched too."""
    return _search((piece for name in files for piece in _opened(name, files[name])), names)


def _opened(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield f"the name {name}", name.encode()
    if content.startswith(b"%PDF"):
        yield from ((f"{name}, {place}", inner) for place, inner in _of_pdf(content))
    else:
        yield from _of_file(name, content)
        yield from ((f"{name}, {place}", inner) for place, inner in _pictures_of(content))


def _search(pieces: Iterable[tuple[str, bytes]], names: Mapping[str, str]) -> list[str]:
    lines: dict[str, None] = {}
    patterns = {value: _pattern(value) for value in names}
    for place, content in pieces:
        text = _text_of(content)
        here = [
            value for value in names
            if _holds(content, value) or (text and patterns[value].search(text))
        ]  # fmt: skip
        for value in here:  # a surname within a name that is told says nothing more
            if not any(value != other and value in other for other in here):
                lines[f"{names[value]} ('{value}') is in {place}"] = None
    return list(lines)


# --- what to look for ----------------------------------------------------------------------------


def _alone(author: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(what, value) of those parts of the authors' facts that name a person by themselves.

    Arguments:
        author: `name` and `email`, or of several authors `name 1`, `name 2`, …
    """
    for key, value in author.items():
        what, _, number = key.partition(" ")
        if what == "name" and (surname := _surname(value)):
            yield f"surname {number}".strip(), surname
        elif what == "email":
            for word in re.split(r"[\s<>(),;]+", value):
                if "@" in word:
                    yield f"address {number}".strip(), word.removeprefix("mailto:")


def _surname(name: str) -> str:
    """The last word, or what stands before a comma; empty where it is a word of every paper."""
    family, comma, _ = name.partition(",")
    words = family.split() if comma else name.split()[-1:]
    alone = len(name.split()) > 1 and words and folded(" ".join(words)) not in OWN
    return " ".join(words) if alone else ""


def folded(text: str) -> str:
    """Text without case, accents, width and ligatures, spaces as one."""
    wide = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFKD", wide)
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(bare.translate(_PLAIN).replace("\u00ad", "").split())


def _pattern(value: str) -> re.Pattern[str]:
    """A value as a word of its own in folded text, umlauts as one letter or as two."""
    composed = unicodedata.normalize("NFC", value).casefold()
    ways = dict.fromkeys([folded(value), folded(composed.translate(_UMLAUTS))])
    either = "|".join(re.escape(way).replace(r"\ ", r"[\s._+-]*") for way in ways if way)
    if any(unicodedata.category(letter) == "Lo" for letter in value):  # no spaces between words
        return re.compile(either)
    return re.compile(rf"(?<!{_WORD})(?:{either})(?!{_WORD})")


def _text_of(content: bytes) -> str:
    """What is text in some bytes, folded; none where they are no text, in which a short word may
    stand by chance."""
    try:
        encoding = "utf-16" if content[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8"
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return ""
    if "\\u" in text:
        text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return folded(unquote(html.unescape(text)))


def _is_telling(value: str) -> bool:
    return len(value) >= SHORTEST and value.lower() not in COMMON and value != "/root"


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True)
    except OSError:
        return ""
    return done.stdout.decode("utf-8", errors="replace").strip()


def _quietly(ask: Any) -> str:
    try:
        return str(ask())
    except (OSError, KeyError):  # a container's user may have no name
        return ""


def _holds(content: bytes, value: str) -> bool:
    """Whether a value stands in some bytes as a word of its own, in any of the usual encodings."""
    for encoding in ("utf-8", "latin-1"):
        needle = re.escape(value.encode(encoding, errors="ignore"))
        if re.search(rb"(?<![A-Za-z0-9])%b(?![A-Za-z0-9])" % needle, content):
            return True
    wide = [value.encode(f"utf-16-{order}") for order in ("be", "le")]
    if any(needle in content for needle in wide):
        return True
    # a short word may stand in a digest by chance
    hexed = (
        [encoded.hex().encode() for encoded in (value.encode(), wide[0])] if len(value) > 5 else []
    )
    return any(needle in content or needle.upper() in content for needle in hexed)


# --- where to look -------------------------------------------------------------------------------


def _of_pdf(content: bytes) -> Iterator[tuple[str, bytes]]:
    import pikepdf

    yield "the PDF's bytes", content
    with pikepdf.open(io.BytesIO(content)) as document:
        for name, spec in document.attachments.items():
            yield from _of_file(f"the attachment {name}", spec.get_file().read_bytes())
        for number, item in enumerate(document.objects, 1):
            for value in _strings(item, pikepdf):
                yield f"a string of the PDF's object {number}", value.encode()
            if isinstance(item, pikepdf.Stream):
                yield from _of_file(f"the PDF's object {number}", _read(item, pikepdf))
    for number, text in enumerate(_pages(content), 1):
        yield f"the text of page {number}", " ".join(text.split()).encode()


def _pages(content: bytes) -> Iterable[str]:
    from pypdf import PdfReader

    return (page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def _strings(item: Any, pikepdf: Any) -> Iterator[str]:
    """The strings of an object that stands on its own, decoded; what it refers to comes later."""
    if isinstance(item, pikepdf.String):
        yield str(item)
    elif isinstance(item, pikepdf.Array):
        for inner in item:
            if not getattr(inner, "is_indirect", False):
                yield from _strings(inner, pikepdf)
    elif isinstance(item, pikepdf.Dictionary | pikepdf.Stream):
        for key in item.keys():  # noqa: SIM118 - not a mapping of Python's
            yield str(key)
            if not getattr(item[key], "is_indirect", False):
                yield from _strings(item[key], pikepdf)


def _read(stream: Any, pikepdf: Any) -> bytes:
    try:
        return bytes(stream.read_bytes())
    except pikepdf.PdfError:  # a picture's own compression
        return bytes(stream.read_raw_bytes())


def _of_file(place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file, and what is packed in it."""
    yield place, content
    if content.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield f"{place}, {name}", name.encode() + b"\n" + archive.read(name)
        except (zipfile.BadZipFile, zlib.error):
            return


def _of_html(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "the HTML", _DATA.sub(b"", content)
    yield from ((f"{place} of the HTML", picture) for place, picture in _pictures_of(content))


def _pictures_of(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The pictures that stand within a page, an SVG or a notebook."""
    for number, match in enumerate(_DATA.finditer(content), 1):
        yield from _of_file(f"picture {number}", base64.b64decode(match[1]))
