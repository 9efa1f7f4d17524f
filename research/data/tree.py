"""The image files below a folder: each real file once, and what is left out, counted.

Names that begin with a dot (`.ipynb_checkpoints`, macOS's `._photo.jpg`) and what systems leave
behind (`Thumbs.db`, `__MACOSX`) are no part of a data set. A link is followed, unless it leads to a
folder or file that is read anyway.
"""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path

from research.data.pixels import endings, is_image
from research.errors import UserError

_LITTER = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir", "icon\r"}
    | {"system volume information", "lost+found"}
)
_NAMED = 3
"""files that a message names"""
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""marks that make the text around a name run the other way"""


def shown(name: str) -> str:
    """A file's name as text that prints, in NFC: one for all ways to write the same letters.

    Bytes that are no UTF-8 are read as Windows-1252, the most common other encoding; a control
    character appears as its escape, `\\n`.
    """
    try:
        text = os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        text = os.fsencode(name).decode("cp1252", errors="backslashreplace")
    hidden: dict[str, str | int | None] = {
        letter: letter.encode("unicode_escape").decode()
        for letter in text
        if unicodedata.category(letter) in _CONTROLS or letter in _REORDERING
    }
    return unicodedata.normalize("NFC", text.translate(str.maketrans(hidden)))


@dataclass
class Left:
    """What is no part of the set.

    Attributes:
        hidden: hidden files and folders, and what systems leave behind.
        strange: files that are no images.
        again: links to what is read at another place.
        dead: links that lead nowhere.
        loose: files beside the folders of the classes.
    """

    hidden: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def __add__(self, other: "Left") -> "Left":
        return Left(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def below(self, folder: Path) -> "Left":
        """The same with paths that begin below the folder, which may have moved."""
        lists = astuple(self)
        return Left(*([os.path.relpath(one, folder) for one in names] for names in lists))

    def told(self, *, named: bool = False) -> list[str]:
        """One phrase for each kind, with the first names where `named`."""
        kinds = {
            "hidden file or folder": self.hidden,
            "file that holds no image that Pillow reads": self.strange,
            "link to what is read elsewhere": self.again,
            "link that leads nowhere": self.dead,
            "file beside the folders of the classes": self.loose,
        }
        return [
            _count(what, len(names)) + (f" ({_listed(names)})" if named else "")
            for what, names in kinds.items()
            if names
        ]


def _count(what: str, count: int) -> str:
    """3 files that hold no image that Pillow reads."""
    if count == 1:
        return f"1 {what}"
    first, _, rest = what.partition(" ")
    rest = rest.replace("or folder", "or folders").replace("file or", "files or")
    rest = rest.replace("that holds", "that hold").replace("that leads", "that lead")
    plural = first if first == "hidden" else f"{first}s"
    return f"{count:,} {plural} {rest}".strip()


def _listed(names: list[str]) -> str:
    return ", ".join(map(shown, names[:_NAMED])) + ", …" * (len(names) > _NAMED)


@dataclass
class Side:
    """One side of a data set: ROOT/CLASS/…/IMAGE.

    Attributes:
        root: its folder.
        classes: name, as `shown`, -> image files, in the order of the names.
        left: what was left out.
        files: inode -> a file with it, to tell files by, whatever they are called.
    """

    root: Path
    classes: dict[str, list[Path]] = field(default_factory=dict)
    left: Left = field(default_factory=Left)
    files: dict[int, Path] = field(default_factory=dict)

    def shared(self, other: "Side") -> int:
        """How many of its files are files of the other side too."""
        common = self.files.keys() & other.files.keys()
        return sum(self.files[one].samefile(other.files[one]) for one in common)


def read(root: Path) -> Side:
    """Finds the classes of a side and their images.

    Raises:
        UserError: a folder that cannot be opened, no class, a class without an image, or two
            classes that are one folder.
    """
    walk = _Walk(Side(root))
    folders = walk.classes()
    if not folders:
        raise UserError(f"{root} holds no folder: it must hold one folder of images per class")
    for name, paths in folders.items():
        for path in paths:
            walk.enter(name, path)
    while walk.links:  # folders that are no links come first: a link to one of them adds nothing
        walk.follow(*walk.links.pop(0))
    for name, paths in folders.items():
        walk.side.classes[name] = walk.images(name)
        if not walk.side.classes[name]:
            strange = [one for one in walk.side.left.strange if Path(one).is_relative_to(paths[0])]
            there = f" ({_count('file', len(strange))}: {_listed(strange)})" if strange else ""
            raise UserError(
                f"{paths[0]} holds no image that Pillow reads{there}: add some or remove it"
            )
    walk.side.left = walk.side.left.below(root.parent)
    return walk.side


class _Walk:
    """Goes through the folders of a side, each real one once."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.links: list[tuple[str, Path]] = []
        self._found: dict[str, list[tuple[str, list[str]]]] = {}
        real = Path(os.path.realpath(side.root))
        self._above = frozenset(real.parents)
        self._entered: dict[str, Path] = {str(real): side.root}

    def classes(self) -> dict[str, list[Path]]:
        """Class -> its folders, of which several may differ in the encoding of their names."""
        folders: dict[str, list[Path]] = {}
        for entry in self._entries(self.side.root):
            if not _is_folder(entry):
                self.side.left.loose.append(entry.path)
                continue
            path, real = Path(entry.path), os.path.realpath(entry.path)
            if real in self._entered:
                raise UserError(
                    f"{path} and {self._entered[real]} are one folder, whose images would count "
                    "twice: remove one of them"
                )
            self._entered[real] = path
            folders.setdefault(shown(entry.name), []).append(path)
        return dict(sorted(folders.items()))

    def enter(self, name: str, folder: Path) -> None:
        """Reads a folder and those within it; links to folders are kept for later."""
        names = []
        for entry in self._entries(folder):
            if _is_folder(entry):
                if entry.is_symlink():
                    self.links.append((name, Path(entry.path)))
                else:
                    self.follow(name, Path(entry.path))
            elif self._takes(entry):
                names.append(entry.name)
        self._found.setdefault(name, []).append((str(folder), names))

    def follow(self, name: str, folder: Path) -> None:
        """Enters a folder, unless it was entered before or holds the whole side."""
        real = os.path.realpath(folder)
        if real in self._entered or Path(real) in self._above:
            self.side.left.again.append(str(folder))
        else:
            self._entered[real] = folder
            self.enter(name, folder)

    def images(self, name: str) -> list[Path]:
        return [Path(parent, one) for parent, names in sorted(self._found[name]) for one in names]

    def _entries(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        """What is not hidden, by name."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"the folder {folder} cannot be read ({error.strerror}): change its "
                "permissions, or remove it"
            ) from None
        for entry in listed:
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                self.side.left.hidden.append(entry.path)
            else:
                yield entry

    def _takes(self, entry: "os.DirEntry[str]") -> bool:
        """Whether it is an image file that was not met before."""
        path = Path(entry.path)
        if _leads_nowhere(entry):
            if path.suffix.lower() in endings():
                return True  # whoever reads it tells that it is missing
            self.side.left.dead.append(entry.path)
            return False
        if not _is_file(entry) or not is_image(path):
            self.side.left.strange.append(entry.path)
            return False
        number = path.stat().st_ino if entry.is_symlink() else entry.inode()
        known = self.side.files.setdefault(number, path)
        if known is not path and known.samefile(path):
            self.side.left.again.append(entry.path)
            return False
        return True


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a file proper: a pipe would be read for ever."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _leads_nowhere(entry: "os.DirEntry[str]") -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()
