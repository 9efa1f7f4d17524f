"""The verb that makes a project."""

from pathlib import Path

from research import paths
from research.cli.flags import parse, positional
from research.errors import UserError, in_a_line

DOTTED = {"gitignore": ".gitignore"}
"""Files whose names begin with a dot only in a project."""


def new(args: list[str]) -> None:
    """Makes a project, with a study and its paper to begin with: research new mypaper"""
    folder = Path(positional(args, "research new NAME"))
    parse(lambda: None, args[1:], "research new NAME")
    written = make(folder)
    print(f"{folder}: {', '.join(written)}")
    print(f"now: cd {folder} && make report-width")


def make(folder: Path) -> list[str]:
    """Writes a new project's files, whose names it returns; no file that is there is changed.

    Raises:
        UserError: one of them is there already, or the folder cannot be written.
    """
    files = _files()
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UserError(
            f"{folder} must be new or lack {', '.join(there)}, which would be overwritten; give "
            "another name"
        )
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.replace(b"# NAME", f"# {folder.resolve().name}".encode()))
    except OSError as error:
        message = f"a project is made where files can be written, got {in_a_line(error)}"
        raise UserError(message) from None
    return list(files)


def _files() -> dict[str, bytes]:
    """Name in the project -> content."""
    files = sorted(path for path in paths.SKELETON.rglob("*") if path.is_file())
    kept = (path for path in files if "__pycache__" not in path.parts)
    names = {path.relative_to(paths.SKELETON).as_posix(): path for path in kept}
    return {DOTTED.get(name, name): path.read_bytes() for name, path in names.items()}
