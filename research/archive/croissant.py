"""Croissant: the data sets of a run, as programs that load data sets read them.

One file a set. Each of its files has its sha256, so that a loader refuses one that differs.

References:
    Croissant Format Specification 1.0 (MLCommons, 2024).
"""

import mimetypes
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from research.records.sources import DataFile, Source

if TYPE_CHECKING:
    import mlcroissant

NAME = "croissant.json"
MOST_READ = 100
"""files of a set up to which each can be read through a record set of its own"""

_READ = ("text/csv", "text/plain", "image/jpeg", "image/png")
"""formats that loaders of Croissant read"""
_UNKNOWN = "application/octet-stream"
_PACKED = {".gz": "application/gzip", ".tgz": "application/x-tar", ".zip": "application/zip"}


def croissant(source: Source, facts: Mapping[str, Any], ended: str) -> dict[str, Any]:
    """The description of one data set as JSON-LD.

    Arguments:
        facts: what the run noted of it: source, licence, sha256 of the pixels; of a set beside the
            run's own nothing.
        ended: when the run that read it ended, ISO 8601.

    A file without an address of its own is to lie beside the description, under its name.
    """
    import mlcroissant

    described = mlcroissant.Metadata(
        name=re.sub(r"[^\w.-]+", "-", source.name),
        description=_description(source, facts),
        license=[facts["licence"]] if facts.get("licence") else None,
        version="1.0.0",
        date_modified=ended[:10],
        distribution=[_file(file, mlcroissant) for file in source.files],
        record_sets=[
            _records(file, mlcroissant)
            for file in source.files
            if format_of(file.name) in _READ and len(source.files) <= MOST_READ
        ],
    )
    graph: dict[str, Any] = described.to_json()
    return graph


def format_of(name: str) -> str:
    """The MIME type of a file by its name; loaders unpack what is compressed alone."""
    kind, packed = mimetypes.guess_type(name)
    if kind == "text/csv":  # which they unpack by themselves
        return kind
    ending = name[name.rfind(".") :] if "." in name else ""
    return _PACKED.get(ending) or (None if packed else kind) or _UNKNOWN


def _description(source: Source, facts: Mapping[str, Any]) -> str:
    sentences = [str(facts.get("source") or f"The data set {source.name}.")]
    if facts.get("sha256"):
        sentences.append(f"sha256 of its values as the run read them: {facts['sha256']}")
    if source.why:
        sentences.append(f"its files are not listed: {source.why}")
    elif not source.files:
        sentences.append("it was generated and has no files")
    return "; ".join(sentences)


def _file(file: DataFile, mlc: Any) -> "mlcroissant.FileObject":
    return mlc.FileObject(
        id=file.name,
        name=file.name,
        description=file.told or None,
        content_url=file.url or file.name,
        content_size=f"{file.bytes} B",
        encoding_formats=[format_of(file.name)],
        sha256=file.sha256,
    )


def _records(file: DataFile, mlc: Any) -> "mlcroissant.RecordSet":
    """A record set that reads a file, so that whoever goes through it knows that it is the same."""
    id = f"records/{file.name}"
    extract = mlc.Extract(file_property=mlc.FileProperty.fullpath)
    read = mlc.Source(file_object=file.name, extract=extract)
    field = mlc.Field(
        id=f"{id}/path", name=f"{id}/path", data_types=[mlc.DataType.TEXT], source=read
    )
    return mlc.RecordSet(id=id, name=id, fields=[field])
