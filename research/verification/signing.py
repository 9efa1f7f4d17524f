"""`research sign`: an author's SSH key signs the record of a paper, and the PDF carries that."""

import subprocess
import tempfile
from pathlib import Path

from research.errors import UserError
from research.provenance import attachment, container
from research.provenance.attachment import Attached
from research.report import anonymous
from research.verification import signatures, verdicts

KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
"""The files of ~/.ssh that are looked for, in this order."""


def sign(path: Path, key: Path | None = None) -> str:
    """Signs a paper in place; the fingerprint of the key.

    A signature that the same key made before is replaced, those of other keys stay.

    Arguments:
        key: a private key, or a public one whose private one an agent holds; without it the first
            of `KEYS`.

    Raises:
        UserError: the paper is not verified or names nobody, there is no key, or ssh-keygen fails.
    """
    program = signatures.program()
    chosen = _key(key)
    verdict, trail = verdicts.examined(path)
    if trail is None or not verdict.ok:
        raise UserError(
            f"{path} is not verified, so there is nothing to sign: {verdict.problems[0]}"
        )
    if trail.author["name"] == anonymous.NAME:
        raise UserError(f"{path} is anonymous, and a signature would tell whose it is")
    block = _signed(program, chosen, signatures.message(trail))
    content = path.read_bytes()
    former = container.attachments(container.open_safely(content)).get(signatures.NAME, b"")
    kept = signatures.blocks(former) if former else []
    own = signatures.key_of(block)
    blocks = [*(other for other in kept if signatures.key_of(other) != own), block]
    if len(blocks) > signatures.MOST:
        raise UserError(f"{path} has {signatures.MOST} signatures, which is the most it may have")
    file = Attached(signatures.NAME, signatures.DESCRIPTION, "".join(blocks).encode(), "text/plain")
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(attachment.attach(content, file, trail.run.ended))
    aside.replace(path)
    return own


def _key(given: Path | None) -> Path:
    if given is not None:
        if not given.is_file():
            raise UserError(f"--key needs the file of an SSH key, got {given}, which is no file")
        return given
    folder = Path.home() / ".ssh"
    for name in KEYS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"no SSH key in {folder}: make one with ssh-keygen -t ed25519, or name one with --key FILE"
    )


def _signed(program: str, key: Path, message: bytes) -> str:
    """The signature. ssh-keygen asks for a passphrase itself, on the terminal."""
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside, "record")
        file.write_bytes(message)
        command = [program, "-Y", "sign", "-f", str(key), "-n", signatures.NAMESPACE, str(file)]
        done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        signature = file.with_name("record.sig")
        if done.returncode or not signature.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise UserError(f"ssh-keygen cannot sign with {key}: {said[-1][:200]}")
        return signature.read_text(encoding="ascii")
