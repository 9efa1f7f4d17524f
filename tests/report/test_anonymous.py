"""Anonymous papers: the search finds a name in every place that a PDF has, and papers pass it."""

import dataclasses
import getpass
import io
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdf
import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Results, write_manifest, write_run
from research.report import Built, anonymous, build
from tests.samples import SAMPLE

NAMES = ("Maria Muster", "maria.muster@example.org", "University of Examples", "secret-user")


def hidden(record: Results, tmp_path: Path) -> Built:
    return build(
        record, SAMPLE / "ae.md", tmp_path / "a.pdf", author=SAMPLE / "author.toml",
        templates=TEMPLATES, anonymous=True,
    )  # fmt: skip


@pytest.mark.long
def test_an_anonymous_paper_names_nobody(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "marias-laptop")
    monkeypatch.setattr(getpass, "getuser", lambda: "secret-user")
    config = record.run.config | {"data.name": "folder", "data.root": "/home/x/marias-pictures"}
    data = record.run.data | {"name": "marias-pictures", "source": "files of marias-pictures"}
    record = Results(dataclasses.replace(record.run, config=config, data=data), record.folder)
    built = hidden(record, tmp_path)
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(built.pdf).pages)
    assert "Anonymous" in text
    with pikepdf.open(built.pdf) as document:
        trail = document.attachments["provenance.json"].get_file().read_bytes().decode()
        with document.open_metadata() as metadata:
            assert metadata["dc:creator"] == ["Anonymous"]
        assert str(document.docinfo["/Author"]) == "Anonymous"
    for told in (text, trail, built.html.read_text(), built.pdf.read_bytes().decode("latin-1")):
        for secret in (*NAMES, record.run.commit[:7], "marias-", "author.toml"):
            assert secret not in told, secret


def test_a_name_in_the_text_is_refused_with_its_place(record: Results, tmp_path: Path) -> None:
    write_run(record.folder, dataclasses.replace(record.run, device="gpu of Maria Muster"))
    write_manifest(record.folder)
    told = Results(dataclasses.replace(record.run, device="gpu of Maria Muster"), record.folder)
    with pytest.raises(UserError, match=r"author.toml's name \('Maria Muster'\) is in the text of"):
        hidden(told, tmp_path)
    assert not (tmp_path / "a.pdf").exists()


def blank() -> pikepdf.Pdf:
    document = pikepdf.new()
    document.add_blank_page()
    return document


def saved(document: pikepdf.Pdf) -> bytes:
    file = io.BytesIO()
    document.save(file, compress_streams=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return file.getvalue()


def in_info(document: pikepdf.Pdf) -> None:
    document.docinfo["/Title"] = "by Maria Muster ½"  # no Latin-1 alone: UTF-16


def in_xmp(document: pikepdf.Pdf) -> None:
    with document.open_metadata() as metadata:
        metadata["dc:description"] = "Maria Muster"


def in_attachment(document: pikepdf.Pdf) -> None:
    document.attachments["x.json"] = b"of Maria Muster"


def in_archive(document: pikepdf.Pdf) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.frombuffer(b"Maria Muster" + b"\0" * 500, dtype=np.uint8))
    document.attachments["x.npz"] = file.getvalue()


def in_file_name(document: pikepdf.Pdf) -> None:
    document.attachments["Maria Muster.csv"] = b"1"


def in_stream(document: pikepdf.Pdf) -> None:
    document.pages[0].Contents = document.make_stream(b"BT (Maria Muster) Tj ET" + b" " * 500)


def in_hex(document: pikepdf.Pdf) -> None:
    hexed = b"BT <" + b"Maria Muster".hex().encode() + b"> Tj ET"
    document.pages[0].Contents = document.make_stream(hexed)


def in_wide_letters(document: pikepdf.Pdf) -> None:
    document.attachments["x.bin"] = "Maria Muster".encode("utf-16-le")


def in_nested_string(document: pikepdf.Pdf) -> None:
    document.Root.Extra = pikepdf.Dictionary(A=pikepdf.Array([pikepdf.String("Maria Muster –")]))


@pytest.mark.parametrize(
    "hide",
    [
        in_info,
        in_xmp,
        in_attachment,
        in_archive,
        in_file_name,
        in_stream,
        in_hex,
        in_nested_string,
        in_wide_letters,
    ],
)
def test_a_name_is_found_wherever_it_hides(hide: Any) -> None:
    wanted = {"Maria Muster": "the author"}
    assert anonymous.occurrences(saved(blank()), b"<p>Mariae Musters</p>", wanted) == []
    document = blank()
    hide(document)
    assert anonymous.occurrences(saved(document), b"", wanted)


def test_a_name_in_the_html_or_its_pictures_is_found() -> None:
    picture = b"PHN2Zz4gTWFyaWEgTXVzdGVyIDwvc3ZnPg=="  # <svg> Maria Muster </svg>
    page = b'<img src="data:image/svg+xml;base64,' + picture + b'">'
    (line,) = anonymous.occurrences(saved(blank()), page, {"Maria Muster": "the author"})
    assert line == "the author ('Maria Muster') is in picture 1 of the HTML"


def test_what_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    for command in (
        ["init", "-q"], ["config", "user.email", "m@example.org"],
        ["remote", "add", "origin", "git@example.org:maria/thesis.git"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    wanted = anonymous.secrets({"name": "Maria Muster", "course": "X"}, tmp_path)
    assert {"m@example.org", "Maria Muster", "git@example.org:maria/thesis.git"} <= wanted.keys()
    assert wanted[str(tmp_path)] == "the checkout"
    assert not wanted.keys() & {"root", "localhost", "X", ""}


WRITTEN = [  # the name, and how a text may give it away
    ("Jürgen Müller", "by JÜRGEN MÜLLER and others"),
    ("Jürgen Müller", "as Mueller has shown"),
    ("Jürgen Müller", "as Muller has shown"),
    ("Jürgen Müller", "as Mu\u0308ller has shown"),
    ("Jürgen Müller", "jurgen_mueller.pdf"),
    ("Jürgen Müller", "as ＭÜＬＬＥＲ has shown"),
    ("Łukasz Bądź", "thanks to badz"),
    ("Muster, Maria", "MUSTER (2024)"),
    ("Maria Muster", "Maria\u00a0Muster"),
    ("Maria Muster", "Maria &#77;uster"),
    ("Jürgen Müller", '{"by": "M\\u00fcller"}'),
    ("Jürgen Müller", "https://example.org/M%C3%BCller"),
    ("Groß Straße", "STRASSE"),
    ("王小明", "作者王小明的论文"),
]


@pytest.mark.parametrize(("name", "text"), WRITTEN)
def test_a_name_is_found_however_it_is_written(name: str, text: str, tmp_path: Path) -> None:
    wanted = anonymous.secrets({"name": name}, tmp_path)
    page = f"<p>{text}</p>".encode()
    assert [
        line for line in anonymous.occurrences(saved(blank()), page, wanted) if "the HTML" in line
    ]


def test_surname_and_address_are_looked_for_alone(tmp_path: Path) -> None:
    author = {"name": "Maria Muster", "email": "Maria <m.m@example.org>"}
    wanted = anonymous.secrets(author, tmp_path)
    assert wanted["Muster"] == "the author's surname"
    assert wanted["m.m@example.org"] == "the author's address"
    (line,) = anonymous.occurrences(saved(blank()), b"write to M.M@Example.org", wanted)
    assert line == "the author's address ('m.m@example.org') is in the HTML"


@pytest.mark.parametrize("text", ["Musters Maria", "muster-like mustering", "Page 3, page 4"])
def test_what_only_resembles_a_name_is_none(text: str, tmp_path: Path) -> None:
    wanted = anonymous.secrets({"name": "Ana Page"}, tmp_path) | {"Mariam Usters": "a name"}
    assert anonymous.occurrences(saved(blank()), text.encode(), wanted) == []


def test_each_of_several_authors_is_looked_for(tmp_path: Path) -> None:
    author = {"name 1": "Ada Rivers", "name 2": "Bo Steinfeld", "email 2": "Bo <bo@example.org>"}
    wanted = anonymous.secrets(author, tmp_path)
    assert {"Rivers", "Steinfeld", "bo@example.org"} <= wanted.keys()
