"""The crate: whole, linked and true, by the validator of RO-Crate and by loaders of Croissant."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mlcroissant
import pytest
import rocrate
import yaml

from research import __main__ as command
from research.archive import crate
from research.archive.citation import cff
from research.archive.croissant import croissant, format_of
from research.archive.graph import PROFILE
from research.archive.material import repository
from research.records.sources import DataFile, Source
from research.report.authors import Authors, Person
from tests.archive.conftest import Handed, git
from tests.samples import a_run

Graph = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def laid(handed: Handed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crate")
    crate.lay(handed.material(), folder)
    return folder


def graph(folder: Path) -> Graph:
    content = json.loads((folder / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in content["@graph"]}


def ids(value: Any) -> set[str]:
    return {one["@id"] for one in (value if isinstance(value, list) else [value])}


def test_every_file_is_there_with_its_digest(laid: Path) -> None:
    entities = graph(laid)
    files = {path.relative_to(laid).as_posix(): path for path in laid.rglob("*") if path.is_file()}
    metadata = files.pop("ro-crate-metadata.json")
    assert metadata.read_text().endswith("}\n")
    assert files.keys() == ids(entities["./"]["hasPart"])
    assert len(files) > 20 and "paper/ae.md" in files
    for name, path in files.items():
        assert entities[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_record_is_the_stored_one(laid: Path, handed: Handed) -> None:
    stored = handed.store / a_run().id
    for path in stored.rglob("*"):
        if path.is_file() and "report" not in path.parts:
            assert (laid / "record" / path.relative_to(stored)).read_bytes() == path.read_bytes()


def test_who_did_what_with_what(laid: Path) -> None:
    entities = graph(laid)
    run = entities[f"#run-{a_run().id}"]
    assert run["agent"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert run["endTime"] == a_run().ended and run["instrument"] == {"@id": "#program"}
    assert "record/numbers.json" in ids(run["result"])
    assert {"data/data/croissant.json", "#setting-train.lr"} <= ids(run["object"])
    assert entities["#setting-train.lr"]["value"] == 0.001
    assert "#setting-data.root" not in entities  # a place of this machine
    writing = entities["#writing"]
    assert ids(writing["result"]) == {"paper/ae.pdf", "paper/provenance.json"}
    assert {"record/numbers.json", "paper/ae.md"} <= ids(writing["object"])
    assert entities["./"]["conformsTo"] == {"@id": PROFILE}
    assert entities["./"]["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}


def test_the_printed_numbers_are_told(laid: Path) -> None:
    entities = graph(laid)
    numbers = json.loads((laid / "record/numbers.json").read_text())
    told = [entities[id] for id in ids(entities["paper/ae.pdf"]["variableMeasured"])]
    assert len(told) > 5
    for one in told:
        logged = numbers[one["name"]]
        assert one["value"] == logged["value"]
        if logged["half_width"] is not None:
            assert one["maxValue"] == logged["value"] + logged["half_width"]


def test_a_citation_file_names_authors_date_and_commit(handed: Handed) -> None:
    told = yaml.safe_load(cff(handed.material()))
    assert told["authors"] == [
        {
            "family-names": "Muster", "given-names": "Maria", "email": "maria.muster@example.org",
            "affiliation": "Institute of Computer Science, University of Examples",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
        }
    ]  # fmt: skip
    assert told["commit"] == git(handed.root, "rev-parse", "HEAD")
    assert told["date-released"] == a_run().ended[:10] and told["license"] == "CC-BY-4.0"
    assert told["repository-code"] == "https://code.example/quaxley/study"
    assert told["cff-version"] == "1.2.0" and "autoencoder" in told["keywords"]


def test_names_are_taken_apart() -> None:
    people = Authors((Person("Rivers, Ada B."), Person("Bo van Stone"), Person("Cher")))
    assert [(one.family, one.given) for one in people.people] == [
        ("Rivers", "Ada B."), ("Stone", "Bo van"), ("Cher", "")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://me:secret@code.example/a/b.git", "https://code.example/a/b"),
        ("/srv/git/b.git", ""),
        ("ssh://git@code.example/a/b.git", ""),
    ],
)
def test_the_repository_is_told_without_a_password(address: str, told: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", address)
    assert repository(tmp_path) == told


# --- Croissant -----------------------------------------------------------------------------------


def test_a_loader_reads_the_files_and_refuses_one_that_was_changed(tmp_path: Path) -> None:
    rows, other = tmp_path / "rows.csv", tmp_path / "sub/values.npy"
    other.parent.mkdir()
    rows.write_text("a,b\n1,2\n")
    other.write_bytes(b"\x93NUMPY")
    files = [
        DataFile(path.relative_to(tmp_path).as_posix(), digest(path), path.stat().st_size)
        for path in (rows, other)
    ]
    facts = {"source": "two files", "licence": "CC0", "sha256": "ab" * 32}
    told = croissant(Source("data", "own data", tuple(files)), facts, a_run().ended)
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(told))
    read = mlcroissant.Dataset(path)
    assert [one.sha256 for one in read.metadata.distribution] == [digest(rows), digest(other)]
    assert [one["records/rows.csv/path"] for one in read.records("records/rows.csv")] != []
    rows.write_text("a,b\n1,3\n")
    with pytest.raises(mlcroissant.GenerationError) as refused:
        list(mlcroissant.Dataset(path).records("records/rows.csv"))
    why = str(refused.value.__cause__)
    assert "Hash of downloaded file" in why and digest(rows) in why


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_generated_set_has_no_files() -> None:
    told = croissant(Source("data", "numerals"), {"source": "numbers in words"}, a_run().ended)
    assert told["description"] == "numbers in words; it was generated and has no files"
    assert "distribution" not in told


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mnist_5k.csv.gz", "text/csv"),
        ("train-images-idx3-ubyte.gz", "application/gzip"),
        ("train-images-idx3-ubyte", "application/octet-stream"),
        ("imagenette2-160.tgz", "application/x-tar"),
        ("train/cat/1.JPEG", "image/jpeg"),
        ("lfw_subset.npy", "application/octet-stream"),
    ],
)
def test_formats_by_name(name: str, kind: str) -> None:
    assert format_of(name) == kind


# --- the validator -------------------------------------------------------------------------------

_SEED = """
import io, sys
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

class Served(HTTPAdapter):
    def send(self, request, **how):
        content = io.BytesIO(open(sys.argv[2], "rb").read())
        headers = {"Content-Type": "application/ld+json"}
        raw = HTTPResponse(content, headers, 200, preload_content=False)
        return self.build_response(request, raw)

session = CachedSession(cache_name=sys.argv[1], backend="sqlite", expire_after=-1)
session.mount("https://", Served())
accepted = "application/ld+json, application/json, */*;q=0.1"
session.get("https://w3id.org/ro/crate/1.1/context", headers={"Accept": accepted})
"""
"""Puts the context that rocrate ships into the validator's cache, since tests have no network."""


def validated(folder: Path, cache: Path) -> dict[str, Any]:
    program = shutil.which("rocrate-validator")
    if program is None:
        pytest.skip("needs rocrate-validator: uv tool install roc-validator")
    python = Path(program).read_text().splitlines()[0].removeprefix("#!")
    context = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
    subprocess.run([python, "-c", _SEED, cache, context], check=True)
    told = subprocess.run(
        [program, "-y", "validate", "--offline", "--cache-path", cache, "-l", "required", "-f",
         "json", "--no-paging", "-p", "process-run-crate-0.5", folder],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found: dict[str, Any]
    found, _ = json.JSONDecoder().raw_decode(told[told.index("{") :])
    return found


@pytest.mark.service
def test_the_validator_passes_it_and_refuses_one_without_its_instrument(
    laid: Path, tmp_path: Path
) -> None:
    found = validated(laid, tmp_path / "cache")
    assert found["issues"] == [] and found["statistics"]["total_passed_checks"] >= 42
    spoilt = Path(shutil.copytree(laid, tmp_path / "spoilt"))
    path = spoilt / "ro-crate-metadata.json"
    content = json.loads(path.read_text())
    for entity in content["@graph"]:
        entity.pop("instrument", None)
    path.write_text(json.dumps(content))
    told = [one["message"] for one in validated(spoilt, tmp_path / "cache")["issues"]]
    assert any("instrument" in one for one in told)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_it_beside_the_paper_and_again(
    handed: Handed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, store = tmp_path / "crate", f"folder:{handed.store}"
    out.mkdir()
    assert command.main(["crate", str(handed.pdf), "-o", str(out), "--log", store]) == 0
    assert f"of run {a_run().id}" in capsys.readouterr().out
    assert (out / "paper/ae.pdf").read_bytes() == handed.pdf.read_bytes()
    (out / "left.txt").write_text("of an older crate")
    assert command.main(["crate", str(handed.pdf), "-o", str(out), "--log", store]) == 0
    assert not (out / "left.txt").exists()


def refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert command.main(args) == 2
    told = capsys.readouterr().err
    assert told.startswith("research: ") and told.count("\n") == 1
    return told


def test_mistakes_cost_a_line(
    handed: Handed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pdf, store = str(handed.pdf), f"folder:{handed.store}"
    assert "something is missing" in refused(["crate"], capsys)
    assert "a PDF is required" in refused(["crate", str(tmp_path / "none.pdf")], capsys)
    (tmp_path / "mine.txt").write_text("mine")
    args = ["crate", pdf, "-o", str(tmp_path), "--log", store]
    assert "a folder that is new, empty or a crate is required" in refused(args, capsys)
    assert (tmp_path / "mine.txt").exists()
    args = ["crate", pdf, "-o", str(tmp_path / "out"), "--log", f"folder:{tmp_path / 'empty'}"]
    assert "only a paper that verifies is handed on" in refused(args, capsys)
    assert not (tmp_path / "out").exists()


def test_other_authors_than_the_papers_are_refused(
    handed: Handed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pdf = shutil.copy(handed.pdf, tmp_path)
    (tmp_path / "author.toml").write_text('name = "Somebody Else"\n')
    told = refused(["crate", str(pdf), "--log", f"folder:{handed.store}"], capsys)
    assert "ae.pdf is by Maria Muster, author.toml names Somebody Else" in told
