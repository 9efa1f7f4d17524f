"""The zip for an archive or for reviewers: the same bytes each time, and nobody in an anonymous."""

import dataclasses
import io
import json
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest

from research import __main__ as command
from research import paths
from research.archive.bundle import bundle
from research.archive.material import Material, Record
from research.errors import UserError
from research.records import load, write_manifest, write_run
from research.report import authors
from tests.archive.conftest import Handed, git
from tests.samples import a_run


def packed(material: Material, handed: Handed, out: Path) -> zipfile.ZipFile:
    told = authors.read(handed.pdf.parent / "author.toml")
    bundle(material, out, handed.root, told)
    return zipfile.ZipFile(io.BytesIO(out.read_bytes()))


@pytest.fixture(scope="session")
def whole(handed: Handed, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return packed(handed.material(), handed, tmp_path_factory.mktemp("bundle") / "ae.zip")


def test_it_holds_paper_record_data_and_the_code_at_the_commit(
    whole: zipfile.ZipFile, handed: Handed
) -> None:
    assert whole.read("paper/ae.pdf") == handed.pdf.read_bytes()
    assert whole.read("code/study.py") == b"print('measured')\n"  # not as it was changed since
    assert {"CITATION.cff", "README.md", "record/numbers.json"} <= set(whole.namelist())
    entities = json.loads(whole.read("ro-crate-metadata.json"))["@graph"]
    program = next(one for one in entities if one["@id"] == "#program")
    assert program["hasPart"] == {"@id": "code/"}
    assert program["version"] == git(handed.root, "rev-parse", "HEAD")


def test_files_are_in_order_and_of_the_runs_date(whole: zipfile.ZipFile) -> None:
    assert whole.namelist() == sorted(whole.namelist())
    assert {one.date_time for one in whole.infolist()} == {
        (2026, 3, 4, 10, 2, 10)
    }  # to two seconds


def test_it_is_the_same_again(whole: zipfile.ZipFile, handed: Handed, tmp_path: Path) -> None:
    packed(handed.material(), handed, tmp_path / "again.zip")
    assert whole.fp is not None
    whole.fp.seek(0)
    assert (tmp_path / "again.zip").read_bytes() == whole.fp.read()


def test_an_anonymous_one_names_nobody(
    handed: Handed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "marias-laptop")
    git(handed.root, "config", "user.name", "Zoe Quaxley")
    inside = packed(handed.material(handed.hidden), handed, tmp_path / "hidden.zip")
    assert "CITATION.cff" not in inside.namelist()
    assert "record/tracking/lineage.json" not in inside.namelist()
    commit = git(handed.root, "rev-parse", "HEAD")
    names = ("Muster", "maria", "Examples", "Quaxley", "quaxley", "laptop", commit[:7])
    for name in inside.namelist():
        content = inside.read(name)
        for secret in (*names, str(handed.root), "secret-user"):
            assert secret.encode() not in content and secret not in name, (secret, name)
    run = json.loads(inside.read("record/run.json"))
    manifest = json.loads(inside.read("record/manifest.json"))
    assert run["commit"] == "" and manifest.keys() <= {
        name.removeprefix("record/") for name in inside.namelist()
    }


@pytest.mark.long
def test_a_name_in_the_code_is_refused_with_its_place(handed: Handed, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    record = Path(load(handed.store / a_run().id).folder)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", handed.root, clone], check=True)
    (clone / "notes.md").write_text("Ask MARIA MÜSTER, says Muster.\n")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "Notes")
    folder = copied(record, tmp_path / "store", commit=git(clone, "rev-parse", "HEAD"))
    material = handed.material(handed.hidden)
    material = dataclasses.replace(material, records={"": Record(folder, {})})
    with pytest.raises(UserError, match=r"not anonymous: .*'Maria Muster'\) is in code/notes.md"):
        bundle(material, tmp_path / "a.zip", clone, authors.read(handed.pdf.parent / "author.toml"))
    assert not (tmp_path / "a.zip").exists()


def copied(record: Path, store: Path, **changes: object) -> Path:
    folder = Path(shutil.copytree(record, store / record.name))
    write_run(folder, dataclasses.replace(load(folder).run, **changes))  # type: ignore[arg-type]
    write_manifest(folder)
    return folder


@pytest.mark.parametrize(
    ("commit", "told"),
    [("unknown", "which this run does not know"), ("0" * 40, "0000000, which is not in the")],
)
def test_code_that_cannot_be_had_is_told(
    commit: str, told: str, handed: Handed, tmp_path: Path
) -> None:
    folder = copied(handed.store / a_run().id, tmp_path, commit=commit)
    material = dataclasses.replace(handed.material(), records={"": Record(folder, {})})
    with pytest.raises(UserError, match=told):
        packed(material, handed, tmp_path / "a.zip")


def test_the_command(
    handed: Handed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(paths, "ROOT", handed.root)
    out, store = tmp_path / "hidden.zip", f"folder:{handed.store}"
    args = ["bundle", str(handed.pdf), "--anonymous", "-o", str(out), "--log", store]
    assert command.main(args) == 0
    assert "anonymous, " in capsys.readouterr().out
    with zipfile.ZipFile(out) as inside:
        assert inside.read("paper/ae-anonymous.pdf") == handed.hidden.read_bytes()
    assert command.main(["bundle", str(handed.pdf), "-o", "a.tar", "--log", store]) == 2
    assert "a bundle is a .zip, got -o a.tar" in capsys.readouterr().err
    assert command.main(["bundle", str(tmp_path / "x.pdf"), "--anonymous"]) == 2
    assert "needs " in capsys.readouterr().err
