"""Decoded image files, kept between runs: decoding takes longer than reading its result.

An array is kept in `runs/cache`, at most `LIMIT` bytes in all, the least recently used of which
give way; deleting the folder costs only time. It is found by the state of the files: path, size,
inode, and the times at which the content and the inode were changed, the latter of which no program
can set back. Files of another state but equal names and sizes, such as a copy, are compared by
their content. Whoever reads an array checks it against the digest of the data set.
"""

import contextlib
import hashlib
import itertools
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from research import paths
from research.records import write_json

LIMIT = 8 * 2**30
"""bytes of all arrays"""
SPARE = 2**30
"""bytes of the disk that are left free"""
WORTH = 1.0
"""seconds of decoding below which nothing is kept"""
GRAIN = 2.0
"""seconds within which some file systems do not tell two changes apart"""

Made = tuple[list[Tensor], dict[str, Any]]
"""images, uint8 (N, C, H, W) a side, and what is to be known of them, as JSON can hold it"""


_File = tuple[str, str, int, int, int, int]
"""path; name, that is the number of its folder and the path below; size; times of change, inode"""


def kept(folders: Sequence[Path], settings: Sequence[Any], make: Callable[[], Made]) -> Made:
    """What `make` makes of all the files in some folders, or made of the same files before.

    Arguments:
        settings: all else that it follows from, as JSON can hold it.
        make: decodes; what it raises is raised.
    """
    try:
        files = _scan(folders)
        found = _find(folders, files, settings)
    except OSError:  # of the user's files `make` will tell
        return make()
    return found or _made(folders, files, settings, make)


def forget(facts: dict[str, Any]) -> None:
    """Removes what is kept with these facts, because it is not what they say any more."""
    for note, known in _notes():
        if known.get("facts") == facts:
            _remove(note)


def _made(
    folders: Sequence[Path],
    files: Sequence[_File],
    settings: Sequence[Any],
    make: Callable[[], Made],
) -> Made:
    start = time.monotonic()
    images, facts = make()
    if time.monotonic() - start < WORTH or _bytes(images) > LIMIT:
        return images, facts
    try:
        content = _content(files, settings)
        if _settled(folders, files):
            _keep(images, facts, files, settings, content)
    except OSError as error:
        print(f"decoded images are not kept: {error}", file=sys.stderr, flush=True)
    return images, facts


# --- the state of the files ----------------------------------------------------------------------


def _scan(folders: Sequence[Path]) -> list[_File]:
    files: list[_File] = []
    for number, folder in enumerate(folders):
        above = set(map(str, Path(os.path.realpath(folder)).parents))
        _add(str(folder), f"{number}/", files, above)
    files.sort()
    return files


def _add(folder: str, name: str, files: list[_File], entered: set[str]) -> None:
    """Notes the files of a folder and of those within it, each real one once: links may circle,
    or lead to a folder that holds the whole set."""
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name)):
            if entry.is_dir():
                _add(entry.path, f"{name}{entry.name}/", files, entered)
            if not entry.is_file():  # a pipe would be read for ever
                continue
            stat = entry.stat()
            times = stat.st_mtime_ns, stat.st_ctime_ns
            files.append((entry.path, name + entry.name, stat.st_size, *times, stat.st_ino))


def _newest(files: Sequence[_File]) -> float:
    """The time of the last change, in seconds."""
    return max((max(file[3:5]) for file in files), default=0) / 1e9


def _digest(settings: Sequence[Any], facts: Iterable[object]) -> str:
    hashed = hashlib.sha256(json.dumps(settings).encode())
    hashed.update("\0".join(map(str, facts)).encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _names(files: Sequence[_File], settings: Sequence[Any]) -> str:
    return _digest(settings, (file[1:3] for file in files))


def _state(files: Sequence[_File], settings: Sequence[Any]) -> str:
    return _digest(settings, (file[1:] for file in files))


def _content(files: Sequence[_File], settings: Sequence[Any]) -> str:
    """Digest of the names and bytes of all files."""

    def sums(part: Sequence[_File]) -> list[str]:
        return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path, *_ in part]

    parts = [files[i : i + 250] for i in range(0, len(files), 250)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [*itertools.chain.from_iterable(pool.map(sums, parts))]
    return _digest([_names(files, settings)], found)


# --- what is kept --------------------------------------------------------------------------------


def _notes() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The file beside each array, written after it, and what it says."""
    for note in sorted(paths.CACHE.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(note.read_text(encoding="utf-8"))
            if isinstance(facts, dict):
                yield note, facts


def _find(folders: Sequence[Path], files: Sequence[_File], settings: Sequence[Any]) -> Made | None:
    state, known = _state(files, settings), [*_notes()]
    for note, facts in known:
        if facts.get("state") == state:
            return _open(note, facts)
    names = _names(files, settings) if known else ""
    alike = [(note, facts) for note, facts in known if facts.get("names") == names]
    content = _content(files, settings) if alike else ""
    for note, facts in alike:
        if facts.get("content") == content:
            if _settled(folders, files):
                _write_note(note, facts | {"state": state})
            return _open(note, facts)
    return None


def _settled(folders: Sequence[Path], files: Sequence[_File]) -> bool:
    """Whether the files are as they were, for so long that a change of now could be told."""
    return _scan(folders) == files and time.time() - _newest(files) > GRAIN


def _open(note: Path, facts: dict[str, Any]) -> Made | None:
    """The images, mapped: what is written to them stays in the memory of this process."""
    try:
        shapes, path = facts["shapes"], note.with_suffix(".uint8")
        ends = [*itertools.accumulate(map(math.prod, shapes))]
        if path.stat().st_size != ends[-1]:
            return None
        os.utime(note)  # used now
        array = torch.from_numpy(np.memmap(path, np.uint8, "c"))
        parts = array.tensor_split(ends[:-1])
        return [x.view(shape) for x, shape in zip(parts, shapes, strict=True)], facts["facts"]
    except (OSError, KeyError, TypeError, ValueError, IndexError):
        return None


def _bytes(images: Sequence[Tensor]) -> int:
    return sum(part.numel() for part in images)


def _keep(
    images: Sequence[Tensor],
    facts: dict[str, Any],
    files: Sequence[_File],
    settings: Sequence[Any],
    content: str,
) -> None:
    size = _bytes(images)
    if not _room(size):
        return
    path = paths.CACHE / f"{content[:16]}.uint8"
    # written aside and moved: another process may read it, or write the same one
    with tempfile.NamedTemporaryFile("w+b", dir=paths.CACHE, prefix=".", delete=False) as part:
        try:
            for side in images:
                side.contiguous().numpy().tofile(part)
            part.close()
            Path(part.name).replace(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    known = {"names": _names(files, settings), "state": _state(files, settings)}
    shapes = [[*side.shape] for side in images]
    known |= {"content": content}
    _write_note(path.with_suffix(".json"), {**known, "shapes": shapes, "facts": facts})
    print(
        f"{len(files):,} decoded images are kept in {paths.CACHE}, {size / 1e6:,.0f} MB",
        file=sys.stderr,
        flush=True,
    )


def _write_note(path: Path, facts: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=paths.CACHE, prefix=".") as aside:
        write_json(Path(aside, path.name), facts)
        Path(aside, path.name).replace(path)


def _room(size: int) -> bool:
    """Whether there is room for an array, made by removing those that were not used for longest."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    if size > LIMIT:
        return False
    notes = sorted((path for path, _ in _notes()), key=lambda path: path.stat().st_mtime)
    sizes = {note: _size(note) for note in notes}
    while notes and sum(sizes[note] for note in notes) + size > LIMIT:
        _remove(notes.pop(0))
    return shutil.disk_usage(paths.CACHE).free > size + SPARE


def _size(note: Path) -> int:
    with contextlib.suppress(OSError):
        return note.with_suffix(".uint8").stat().st_size
    return 0


def _remove(note: Path) -> None:
    for path in (note, note.with_suffix(".uint8")):
        path.unlink(missing_ok=True)
