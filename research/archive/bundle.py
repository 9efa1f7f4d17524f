"""A zip for an archive, or for reviewers: the crate, and the code at the run's commit.

The same paper, record and commit give the same bytes: files in order, all of the date on which the
run ended.
"""

import io
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from research.archive import crate
from research.archive.graph import CODE
from research.archive.material import UNKNOWN, Material, files
from research.errors import UserError
from research.report import anonymous
from research.report.authors import Authors

AUTHOR = "author.toml"
_NAMELESS = f'name = "{anonymous.NAME}"\n'
_READ_ME = """# {title}

| folder | what it holds |
|---|---|
| paper | the paper; its record says where each number and figure comes from |
| record, record-children | what the run left: numbers, tables, arrays, figures, environment |
| data | each data set, with the sha256 of each of its files |
| code | the code of study and paper at the run's commit{modified} |
| ro-crate-metadata.json | all of it for programs, as an RO-Crate |

In `code`: `make setup`, then `.venv/bin/research verify ../paper/{paper}` checks the paper by
itself, and `.venv/bin/research reproduce ../paper/{paper}` runs the experiment again and compares
its numbers.
"""
_MODIFIED = ", which was changed by record/environment/git.diff"


def bundle(material: Material, out: Path, root: Path, author: Authors) -> None:
    """Writes the zip, whole or not at all.

    Arguments:
        root: the checkout with the run's commit.
        author: who must not be found in an anonymous one.

    Raises:
        UserError: the commit is not known or not here, or something names somebody.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _lay_code(material, root, folder / CODE)
        (folder / "README.md").write_text(_read_me(material), encoding="utf-8")
        crate.lay(material, folder)
        packed = dict(files(folder))
        if material.anonymous:
            _search(packed, material.record.run.commit, author, root)
        content = _zipped(packed, datetime.fromisoformat(material.trail.run.ended))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    part.write_bytes(content)
    part.replace(out)


def _lay_code(material: Material, root: Path, folder: Path) -> None:
    """The files of the run's commit; the author's file names nobody in an anonymous bundle."""
    commit = material.record.run.commit
    if commit == UNKNOWN:
        raise UserError(
            "a bundle holds the code at the run's commit, which this run does not know: run the "
            "study again in a git repository"
        )
    done = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=root, capture_output=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"a bundle holds the code at the run's commit {commit[:7]}, which is not in the "
            f"repository of {root}: fetch it, or give the PDF in its own checkout"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob(AUTHOR) if material.anonymous else ():
        path.write_text(_NAMELESS, encoding="utf-8")


def _read_me(material: Material) -> str:
    modified = _MODIFIED if material.record.run.dirty else ""
    title, paper = material.trail.title, material.pdf.name
    return _READ_ME.format(title=title, paper=paper, modified=modified)


def _search(packed: Mapping[str, Path], commit: str, author: Authors, root: Path) -> None:
    """Raises UserError for whatever names an author, a user, a machine, a folder or a commit."""
    secrets = anonymous.secrets(author.single(), root)
    secrets |= {commit: "the commit", commit[:7]: "the commit"}
    hits = anonymous.occurrences_in(
        {name: path.read_bytes() for name, path in packed.items()}, secrets
    )
    if hits:
        more = f" and {len(hits) - 5} more" if len(hits) > 5 else ""
        raise UserError(f"the bundle is not anonymous: {'; '.join(hits[:5])}{more}")


def _zipped(packed: Mapping[str, Path], date: datetime) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in sorted(packed.items()):
            entry = zipfile.ZipInfo(name, date.timetuple()[:6])
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, path.read_bytes())
    return content.getvalue()
