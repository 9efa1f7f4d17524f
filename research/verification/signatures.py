"""Signatures of a paper's record, made with an SSH key and checked by OpenSSH's own `ssh-keygen`.

What is signed is the seal of the record, which covers every number, page and attached file. The
signatures lie in the PDF beside the record, one below the other, and change nothing else of it.
What a signature proves stands in docs/verification.md.
"""

import base64
import binascii
import hashlib
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from research.errors import UserError
from research.provenance.entries import Trail

NAME = "signatures.txt"
DESCRIPTION = "Signatures of the record, see ssh-keygen -Y verify"
NAMESPACE = "research-report"
"""A signature that was made for anything else does not count here."""
MOST = 16
"""Signatures of one paper."""

_BLOCK = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]{1,20000})-----END SSH SIGNATURE-----\n"
)
_SECONDS = 20


@dataclass(frozen=True)
class Signed:
    """What the signatures of a paper say."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def message(trail: Trail) -> bytes:
    """What is signed of a paper."""
    return f"{NAMESPACE} {trail.digest}\n".encode()


def require(signers: Path | None) -> None:
    """Raises UserError where signatures are to be checked and cannot be."""
    if signers is not None and not signers.is_file():
        raise UserError(
            f"--signers needs a file of lines 'who@where ssh-ed25519 KEY', got {signers}, "
            "which is no file"
        )
    if signers is not None:
        program()


def program() -> str:
    """The path of ssh-keygen. Raises UserError where there is none."""
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        raise UserError("signatures need ssh-keygen, which comes with OpenSSH: install it")
    return keygen


def blocks(content: bytes) -> list[str]:
    """The signatures in an attached file. Raises ValueError where there is anything else in it."""
    text = content.decode("ascii")
    signed = [match[0] for match in _BLOCK.finditer(text)]
    if "".join(signed) != text or not 1 <= len(signed) <= MOST:
        raise ValueError(f"it must hold 1 to {MOST} SSH signatures and nothing else")
    return signed


def key_of(block: str) -> str:
    """The fingerprint of the key that made a signature, as ssh-keygen prints it.

    Raises:
        ValueError: it is no SSH signature.
    """
    match = _BLOCK.fullmatch(block)
    try:
        content = base64.b64decode(match[1] if match else "", validate=False)
    except binascii.Error as error:
        raise ValueError(f"a signature is not in base64 ({error})") from None
    head, length = content[:10], int.from_bytes(content[10:14], "big")
    key = content[14 : 14 + length]
    if head != b"SSHSIG\0\0\0\1" or len(key) != length:
        raise ValueError("it is no SSH signature")
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def checked(content: bytes | None, trail: Trail, signers: Path | None) -> Signed:
    """What the signatures say; with `signers`, one of them at least has to be by one of those."""
    if content is None:
        return Signed(("it is not signed",)) if signers else Signed(notes=("not signed",))
    try:
        by_key = {key_of(block): block for block in blocks(content)}
    except ValueError as error:
        return Signed((f"{NAME} is not what `research sign` writes: {error}",))
    if shutil.which("ssh-keygen") is None:
        return Signed(notes=("signed, which nothing here can check: there is no ssh-keygen",))
    signed, problems, notes, names = message(trail), [], [], []
    for key, block in by_key.items():
        if not _ask(block, signed, "check-novalidate"):
            problems.append(f"the signature with key {key} is not one of this record")
        elif signers is None:
            notes.append(f"signed with key {key}; --signers FILE tells whose it is")
        else:
            who = _principal(block, signed, signers)
            names.append(who)
            notes.append(f"signed by {who}, key {key}" if who else f"signed with unknown key {key}")
    if signers is not None and not any(names):
        problems.append(f"it is not signed by anyone in {signers.name}")
    return Signed(tuple(problems), tuple(notes))


def _principal(block: str, signed: bytes, signers: Path) -> str:
    """Who signed, by a file of allowed signers; empty where it does not say."""
    known = _ask(block, signed, "find-principals", "-f", str(signers))
    for who in (known or "").replace(",", "\n").split():
        if _ask(block, signed, "verify", "-f", str(signers), "-I", who):
            return "".join(letter for letter in who if letter.isprintable())[:100]
    return ""


def _ask(block: str, signed: bytes, verb: str, *more: str) -> str | None:
    """What ssh-keygen says of a signature, None where it says no."""
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside, "signature")
        file.write_text(block, encoding="ascii")
        own = () if verb == "find-principals" else ("-n", NAMESPACE)
        try:
            done = subprocess.run(
                [program(), "-Y", verb, *own, "-s", str(file), *more],
                input=signed, capture_output=True, timeout=_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
