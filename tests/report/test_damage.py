"""Damaged, unreadable and unwritable files of a record: one line that names the file, no crash."""

import errno
import json
import os
import random
import shutil
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import __main__ as command
from research import launch, paths
from research.cli import papers
from research.errors import UserError, in_a_line
from research.records import Run, damage, load, read_manifest, read_numbers, write_manifest
from research.report import Built, pdf
from research.tracking.folder import FolderStore
from research.tracking.record import Lineage, write_lineage
from research.verification.verdicts import checked
from tests.samples import SAMPLE, write_record

pytestmark = pytest.mark.usefixtures("subsetting")

ID = "1a2b3c4d5e6f70819203a4b5c6d7e8f9"
REACHED = "the paper reached its layout"


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damaged runs")
    record = write_record(root / ID)
    write_lineage(record.folder, Lineage(started=1_772_618_400_000, ended=1_772_618_531_000))
    write_manifest(record.folder)
    return root


@pytest.fixture
def store(_kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """One finished run that a test may spoil; its paper ends before the layout."""

    def stop(*args: object, **more: object) -> None:
        raise UserError(REACHED)

    monkeypatch.setattr(paths, "PAPER", Path(shutil.copytree(SAMPLE, tmp_path / "paper")))
    monkeypatch.setattr(pdf, "typeset", stop)
    return FolderStore(Path(shutil.copytree(_kept, tmp_path / "runs")))


def told(capsys: pytest.CaptureFixture[str], store: FolderStore, *verb: str) -> str:
    """What a verb says in its one line; it must leave with 2."""
    assert command.main([*verb, "--log", f"folder:{store.root}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("research: ")
    return line


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut": half,
    "random": lambda content: random.Random(0).randbytes(999),
    "a list": lambda content: b"[1]",
    "a word": lambda content: b'"word"',
    "another object": lambda content: b'{"columns": 3, "a": 1}',
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["run.json", "tracking/lineage.json", "manifest.json"])
def test_what_is_read_first_is_named(
    name: str, kind: str, store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.root / ID / name
    path.write_bytes(KINDS[kind](path.read_bytes()))
    line = told(capsys, store, "report", "ae")
    assert str(path) in line and "damaged" in line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["numbers.json", "claims.json", "tables/errors.json", "figures/maps.json"]
)
def test_what_the_text_reads_is_named(
    name: str, kind: str, store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.root / ID / name
    path.write_bytes(KINDS[kind](path.read_bytes() if path.exists() else b"{}x"))
    line = told(capsys, store, "report", "ae")
    assert str(path) in line and "damaged" in line


@pytest.mark.parametrize("kind", ["emptied", "cut", "random"])
def test_arrays_are_named(
    kind: str, store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.root / ID / "arrays/maps.npz"
    path.write_bytes(KINDS[kind](path.read_bytes()))
    with pytest.raises(damage.DamagedError, match=r"maps\.npz must be as the run wrote it"):
        load(path.parents[1]).arrays("maps")


def test_a_run_whose_files_are_damaged_hides_no_other(
    store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(store.root / ID, store.root / "other"))
    (other / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="a run is passed over: .*other/run.json"):
        assert [run.id for run in store.runs()] == [ID]
    shutil.rmtree(store.root / ID)
    with pytest.raises(UserError, match=r"other/run\.json"):  # and not: there is none, so train one
        store.runs()


def test_studies_goes_on_behind_a_run_that_is_damaged(
    store: FolderStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object) -> str:
        raise UserError("its files are gone")

    monkeypatch.setattr(papers, "pdf_state", gone)
    assert command.main(["studies", "--log", f"folder:{store.root}"]) == 0
    assert capsys.readouterr().out.count("seq2seq")  # the last of them


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seeds": "0 1"}, "'seeds' must be a list"),
        ({"seeds": [0, "1"]}, r"'seeds\[1\]' must be int"),
        ({"config": []}, "'config' must be an object"),
        ({"dirty": "no"}, "'dirty' must be"),
        ({"preset": None}, "'preset' must be str"),
        ({"extra": 1}, "unknown entry 'extra'"),
        ({"models": {"a": 1}}, "'models.a' must be an object"),
    ],
)
def test_facts_of_another_shape_are_told_by_their_name(
    change: dict[str, Any], told: str, store: FolderStore
) -> None:
    path = store.root / ID / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(damage.DamagedError, match=told):
        load(path.parent)


def test_a_missing_fact_is_told(store: FolderStore) -> None:
    path = store.root / ID / "run.json"
    facts = json.loads(path.read_text())
    del facts["commit"]
    path.write_text(json.dumps(facts))
    with pytest.raises(damage.DamagedError, match="has no 'commit'"):
        load(path.parent)


def test_a_bug_of_ours_is_no_damage(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **more: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(pdf, "typeset", broken)
    with pytest.raises(KeyError, match="a bug"):
        command.main(["report", "ae", "--log", f"folder:{store.root}"])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device; make room"),
        (errno.EROFS, "Read-only file system; it cannot be written there"),
        (errno.EACCES, "Permission denied; ask for access"),
        (errno.ENAMETOOLONG, "File name too long; choose a shorter name"),
        (errno.EISDIR, "Is a directory; a file is required"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_a_line_with_the_files_name(
    number: int, words: str, store: FolderStore, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*args: object, **more: object) -> None:
        with damage.named(Path("/somewhere/a file")):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pdf, "typeset", refuse)
    assert told(capsys, store, "report", "ae").startswith(f"research: /somewhere/a file: {words}")


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.json"
    damage.write(path, b"{}")
    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        real(self, content[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError) as error:
        damage.write(path, b'{"a": 1}')
    assert in_a_line(error.value).startswith(f"{path}: No space left on device")
    assert read_numbers(tmp_path) == {}
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_utf_8_in_any_locale(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.root / ID
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    damage.write(folder / "run.json", damage.as_bytes(facts | {"name": "Größe 日本 \udce9"}))
    assert (folder / "run.json").read_bytes().decode("utf-8").count("Größe 日本") == 1
    assert load(folder).run.name.startswith("Größe 日本")
    assert read_manifest(folder)
    assert damage.read_json(folder / "run.json", Run).id == ID


# --- what the manifest does not vouch for --------------------------------------------------------


@pytest.mark.parametrize("name", ["run.json", "numbers.json", "claims.json"])
def test_what_was_changed_after_the_run_is_a_box_in_a_draft_and_no_final_paper(
    name: str, store: FolderStore, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = store.root / ID / name
    path.write_text(path.read_text().replace("2", "3") + " " if path.exists() else "{}")
    boxes: list[str] = []

    def keep(arrange: Any, *args: object, **more: object) -> None:
        boxes.append(arrange(None))
        raise UserError(REACHED)

    monkeypatch.setattr(pdf, "typeset", keep)
    assert REACHED in told(capsys, store, "report", "ae")
    assert f'class="auto missing">MISSING: {name} of run ' in boxes[0]
    assert command.main(["report", "ae", "--final", "--log", f"folder:{store.root}"]) == 2
    assert f"{name} was" in capsys.readouterr().err


def test_a_missing_manifest_is_a_gap(
    store: FolderStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.root / ID / "manifest.json").unlink()
    boxes: list[str] = []

    def keep(arrange: Any, *args: object, **more: object) -> None:
        boxes.append(arrange(None))
        raise UserError(REACHED)

    monkeypatch.setattr(pdf, "typeset", keep)
    assert REACHED in told(capsys, store, "report", "ae")
    assert "has no manifest.json: nothing vouches for its files</strong>" in boxes[0]
    assert command.main(["report", "ae", "--final", "--log", f"folder:{store.root}"]) == 2
    assert "it has no manifest.json" in capsys.readouterr().err


def test_what_a_librarys_own_code_cannot_write_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stops C code as a full disk does."""
    resource = pytest.importorskip("resource")
    torch = pytest.importorskip("torch")
    from research.models import save_weights

    model = torch.nn.Linear(300, 300)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, former[1]))
    try:
        for name in ("a.safetensors", "a.pt"):
            with pytest.raises(OSError) as error, damage.written(tmp_path / name):
                if name == "a.pt":
                    torch.save(model.state_dict(), tmp_path / name)
                else:
                    save_weights(tmp_path / name, model, "a")
            assert error.value.filename == str(tmp_path / name)
            assert in_a_line(error.value).startswith(f"{tmp_path / name}: ")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_a_bug_while_writing_stays_a_bug(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="sizes of tensors"), damage.written(tmp_path / "a"):
        raise RuntimeError("sizes of tensors must match")


@pytest.mark.parametrize("name", ["run.json", "numbers.json", "manifest.json"])
def test_a_damaged_store_is_a_verdict_on_one_pdf(
    name: str, store: FolderStore, built: Built
) -> None:
    assert [one.kind for one in checked(built.pdf, store).problems] == []
    (store.root / ID / name).write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = checked(built.pdf, store).problems
    assert {one.kind for one in found} == {"store"}
    assert any(f"{name} must be as the run wrote it" in one.message for one in found)


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_figure_cannot_be_drawn_again_from_what_was_taken_away(
    spoilt: bool, store: FolderStore, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """And a drawing that fails on a whole record is a bug of the study."""

    study = types.SimpleNamespace(
        FIGURES={"a": lambda record: record.numbers["drift" if spoilt else "a bug"].nothing}
    )
    monkeypatch.setattr(launch, "study_of", lambda entry: study)
    if not spoilt:
        with pytest.raises(KeyError, match="a bug"):
            command.main(["redraw", "ae", "--log", f"folder:{store.root}"])
        return
    (store.root / ID / "numbers.json").unlink()
    line = told(capsys, store, "redraw", "ae")
    assert f"{store.root / ID / 'numbers.json'} must be as the run wrote it" in line
