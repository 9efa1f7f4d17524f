"""Signatures: whose a paper is, checked by ssh-keygen, with keys that are made for the purpose."""

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from research import __main__ as command
from research.errors import UserError
from research.grading import audit
from research.paths import TEMPLATES
from research.provenance import container
from research.provenance import trail as provenance
from research.records import Results
from research.report import build
from research.verification import signatures, signing
from research.verification.verdicts import as_json, as_text, checked
from research.verification.verify import verify
from tests.samples import SAMPLE

pytestmark = pytest.mark.long
needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen, of OpenSSH"
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys `ana` and `ben`, and a file `signers` that lists Ana's alone."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ana", "ben"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    public = (folder / "ana.pub").read_text()
    (folder / "signers").write_text(f'ana@example.org namespaces="research-report" {public}')
    return folder


@pytest.fixture
def paper(light: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(light, tmp_path / "ae.pdf"))


def fingerprint(key: Path) -> str:
    done = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True)
    return done.stdout.split()[1]


@needs_ssh
def test_a_paper_tells_who_signed_it(paper: Path, keys: Path) -> None:
    assert "  not signed" in as_text({"a": checked(paper, None)})
    mark = signing.sign(paper, keys / "ana")
    assert mark == fingerprint(keys / "ana")
    verdict = checked(paper, None, keys / "signers")
    assert verdict.ok and verdict.notes == (f"signed by ana@example.org, key {mark}",)
    alone = checked(paper, None)
    assert alone.ok and alone.notes == (
        f"signed with key {mark}; --signers FILE tells whose it is",
    )
    assert json.loads(as_json({"a": verdict}))["a"]["notes"] == list(verdict.notes)


@needs_ssh
def test_whoever_has_to_have_signed_and_has_not(paper: Path, keys: Path) -> None:
    told = as_text({"a": checked(paper, None, keys / "signers")})
    assert "signature: it is not signed" in told
    mark = signing.sign(paper, keys / "ben")
    told = as_text({"a": checked(paper, None, keys / "signers")})
    assert "signature: it is not signed by anyone in signers" in told
    assert f"signed with unknown key {mark}" in told


@needs_ssh
def test_several_authors_sign_and_one_may_sign_again(paper: Path, keys: Path) -> None:
    marks = [signing.sign(paper, keys / name) for name in ("ben", "ana", "ben", "ana")]
    verdict = checked(paper, None, keys / "signers")
    assert verdict.ok and len(verdict.notes) == 2
    assert set(verdict.notes) == {
        f"signed by ana@example.org, key {marks[1]}", f"signed with unknown key {marks[0]}",
    }  # fmt: skip


@needs_ssh
def test_signing_changes_nothing_but_the_list_of_files(paper: Path, keys: Path) -> None:
    before = verify(paper)
    signing.sign(paper, keys / "ana")
    after = verify(paper)
    assert (after.problems, after.counts) == ((), before.counts)
    with pikepdf.open(paper) as document:
        names = {str(one.UF) for one in document.Root.AF if "/UF" in one}
        assert signatures.NAME in names
        assert all("/AFRelationship" in one for one in document.Root.AF)
        with document.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "3"


def edited(paper: Path, edit: Callable[[pikepdf.Pdf], None]) -> Path:
    with pikepdf.open(io.BytesIO(paper.read_bytes())) as document:
        edit(document)
        document.save(paper)
    return paper


def attached(document: pikepdf.Pdf, name: str, content: bytes) -> None:
    spec = container.under(document.Root, "/Names", "/EmbeddedFiles").Names
    names = [str(one) for one in list(spec)[::2]]
    spec[names.index(name) * 2 + 1].EF = pikepdf.Dictionary(F=document.make_stream(content))


def of(document: pikepdf.Pdf, name: str = signatures.NAME) -> bytes:
    return bytes(document.attachments[name].get_file().read_bytes())


def record_and_seal(document: pikepdf.Pdf) -> None:
    """Whoever rewrites the record, and its seal with it, has no key to sign it."""
    trail = json.loads(of(document, "provenance.json"))
    trail["run"]["findings"] = ["All is well."]
    trail["seal"] = provenance.seal(trail)
    attached(document, "provenance.json", json.dumps(trail).encode())


def byte_turned(document: pikepdf.Pdf) -> None:
    lines = of(document).decode().splitlines()
    content = bytearray(base64.b64decode("".join(lines[1:-1])))
    content[-1] ^= 1
    text = base64.b64encode(content).decode()
    attached(document, signatures.NAME, f"{lines[0]}\n{text}\n{lines[-1]}\n".encode())


def with_words(document: pikepdf.Pdf) -> None:
    attached(document, signatures.NAME, of(document) + b"approved by the dean\n")


FORGED: dict[str, tuple[Callable[[pikepdf.Pdf], None], str]] = {
    "record and seal": (record_and_seal, "is not one of this record"),
    "a byte of it": (byte_turned, "is not one of this record"),
    "words beside it": (with_words, "is not what `research sign` writes"),
    "nothing": (lambda d: attached(d, signatures.NAME, b""), "is not what `research sign` writes"),
    "no base64": (
        lambda d: attached(d, signatures.NAME, of(d).replace(b"U1NIU0lH", b"AAAAAAAA")),
        "is no SSH signature"),
    "no text": (lambda d: attached(d, signatures.NAME, b"\xff"), "is not what `research sign`"),
    "twenty": (lambda d: attached(d, signatures.NAME, of(d) * 20), "1 to 16 SSH signatures"),
}  # fmt: skip


@needs_ssh
@pytest.mark.parametrize("name", FORGED)
def test_a_signature_that_is_none_is_told(name: str, paper: Path, keys: Path) -> None:
    signing.sign(paper, keys / "ana")
    edit, told = FORGED[name]
    verdict = verify(edited(paper, edit))
    assert [one for one in verdict.problems if one.kind == "signature" and told in one.message]


@needs_ssh
def test_a_signature_for_another_purpose_does_not_count(
    paper: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "NAMESPACE", "git")
    signing.sign(paper, keys / "ana")
    monkeypatch.undo()
    assert "is not one of this record" in as_text({"a": verify(paper)})


@needs_ssh
def test_what_is_not_verified_or_names_nobody_is_not_signed(
    record: Results, paper: Path, keys: Path, tmp_path: Path
) -> None:
    before = edited(paper, lambda d: d.docinfo.__setitem__("/Title", "Another")).read_bytes()
    with pytest.raises(UserError, match="not verified, so there is nothing to sign: record: meta"):
        signing.sign(paper, keys / "ana")
    assert paper.read_bytes() == before
    hidden = build(record, SAMPLE / "ae.md", tmp_path / "a.pdf", author=SAMPLE / "author.toml",
                   templates=TEMPLATES, anonymous=True)  # fmt: skip
    with pytest.raises(UserError, match="anonymous, and a signature would tell whose it is"):
        signing.sign(hidden.pdf, keys / "ana")


@needs_ssh
def test_the_commands(
    paper: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert command.main(["sign", str(paper)]) == 2
    assert "no SSH key in" in capsys.readouterr().err
    (tmp_path / ".ssh").mkdir()
    shutil.copy(keys / "ana", tmp_path / ".ssh/id_ed25519")
    assert command.main(["sign", str(paper)]) == 0
    assert "signed with key SHA256:" in capsys.readouterr().out
    assert command.main(["verify", str(paper), "--signers", str(keys / "signers")]) == 0
    assert "signed by ana@example.org" in capsys.readouterr().out
    given = ["--signers", str(keys / "signers"), "--out", str(tmp_path / "out")]
    assert command.main(["audit", str(paper), *given]) == 0
    assert "Signed by ana@example.org" in (tmp_path / "out/ae.html").read_text()


@needs_ssh
def test_a_key_that_is_none_costs_a_line(
    paper: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("no key")
    assert command.main(["sign", str(paper), "--key", str(tmp_path / "key")]) == 2
    assert command.main(["sign", str(paper), "--key", str(tmp_path / "nowhere")]) == 2
    assert command.main(["verify", str(paper), "--signers", str(tmp_path / "nowhere")]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "ssh-keygen cannot sign with" in lines[0]
    assert "--key needs the file of an SSH key, got" in lines[1]
    assert "--signers needs a file of lines 'who@where ssh-ed25519 KEY', got" in lines[2]


def test_without_ssh_keygen_it_says_so(
    paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="signatures need ssh-keygen, which comes with OpenSSH"):
        signing.sign(paper)
    (tmp_path / "signers").write_text("")
    with pytest.raises(UserError, match="signatures need ssh-keygen"):
        checked(paper, None, tmp_path / "signers")


@needs_ssh
def test_a_signature_that_cannot_be_checked_here_is_said_to_be_none_yet(
    paper: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing.sign(paper, keys / "ana")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    verdict = verify(paper)
    assert verdict.ok and "nothing here can check" in verdict.notes[0]


@needs_ssh
def test_ssh_keygen_itself_checks_what_the_paper_carries(paper: Path, keys: Path) -> None:
    """Nothing of this package is needed to check a signature, as the documentation says."""
    signing.sign(paper, keys / "ana")
    with pikepdf.open(paper) as document:
        (paper.parent / "sig").write_bytes(of(document))
        seal = json.loads(of(document, "provenance.json"))["seal"]
    verify_it = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "signers"), "-I", "ana@example.org",
                 "-n", "research-report", "-s", str(paper.parent / "sig")]  # fmt: skip
    done: Any = subprocess.run(verify_it, input=f"research-report {seal}\n".encode(),
                               capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_audit_without_signers_shows_that_nobody_signed(paper: Path, tmp_path: Path) -> None:
    one = audit.audit(paper, {})
    [page] = audit.write([one], tmp_path / "out")
    assert "Not signed." in page.read_text()
