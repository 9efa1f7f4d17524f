"""What a crate or a bundle is made of: the paper with its trail, the records, the authors."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from research.errors import UserError
from research.provenance.entries import Trail
from research.records import Run, load
from research.records.sources import Source
from research.records.sources import read as read_sources
from research.report import anonymous, authors
from research.report.authors import Authors, Person

UNKNOWN = "unknown"
"""the commit of a run whose code is in no repository"""


@dataclass(frozen=True)
class Record:
    """The stored record of a run that the paper reads, and those of its children."""

    folder: Path
    children: Mapping[str, Path]

    @property
    def run(self) -> Run:
        return load(self.folder).run

    @property
    def sources(self) -> tuple[Source, ...]:
        return read_sources(self.folder)


@dataclass(frozen=True)
class Material:
    """Everything that is handed on.

    Attributes:
        pdf: the paper, which was verified.
        trail: that of the paper.
        authors: who wrote it, as in author.toml.
        records: "" and the studies that are read beside it -> the record of their run.
        repository: where the code can be had, empty where that is not known or not to be told.
        anonymous: whether nobody may be named.
    """

    pdf: Path
    trail: Trail
    authors: Authors
    records: Mapping[str, Record]
    repository: str = ""
    anonymous: bool = False

    @property
    def record(self) -> Record:
        return self.records[""]

    @property
    def commit(self) -> str:
        """Of the code; empty where it is not known, or not to be told."""
        commit = self.record.run.commit
        return "" if self.anonymous or commit == UNKNOWN else commit

    @property
    def keywords(self) -> list[str]:
        """As the PDF's metadata has them."""
        lines = self.trail.metadata.get("Keywords", [])
        return [word.strip() for line in lines for word in line.split(",") if word.strip()]

    @property
    def source(self) -> Path | None:
        """The write-up, where it lies beside the paper as it was when that was built."""
        from research.provenance.trail import digests

        for name, digest in self.trail.sources.items():
            path = self.pdf.parent / name
            if path.suffix == ".md" and path.is_file() and digests([path])[name] == digest:
                return path
        return None


def gather(
    pdf: Path, trail: Trail, records: Mapping[str, Record], author: Path, root: Path
) -> Material:
    """What is handed on with a paper.

    Arguments:
        records: "" and the studies that are read beside it -> the record of their run.
        author: author.toml, from which ORCIDs, affiliations and licence come.
        root: the checkout, whose remote repository is named.

    Raises:
        UserError: the paper names other authors than the file.
    """
    printed = trail.author["name"]
    if printed == anonymous.NAME:
        signed = Authors((Person(anonymous.NAME),))
        return Material(pdf, trail, signed, records, anonymous=True)
    of_file = authors.read(author)
    if of_file.block()["name"] != printed:
        raise UserError(
            f"{pdf.name} is by {printed}, {author.name} names {of_file.block()['name']}: build the "
            "paper again, or bring the file back"
        )
    return Material(pdf, trail, of_file, records, repository(root))


def repository(root: Path) -> str:
    """The address of the checkout's remote repository for a browser, without user or password."""
    done = subprocess.run(
        ["git", "remote", "get-url", "origin"],
        cwd=root,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    address = done.stdout.strip()
    if address.startswith("git@") and ":" in address:  # git@host:who/what.git
        host, _, path = address.removeprefix("git@").partition(":")
        address = f"https://{host}/{path}"
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return ""
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}"


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name with `/`, path) of every file below a folder, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
