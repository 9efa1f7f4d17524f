"""Staleness: what has changed since a run, told apart, because the remedy differs.

    code          the study and the modules of project and package that it reaches, as syntax
                  trees: comments, layout and docstrings do not count
    config        the preset, or what its settings mean
    data          the files that were read, where they are few enough to be read again
    environment   versions of Python and the packages that can change a result
    prose         the write-up, author and templates; see `research.report.differences`

Nothing is imported to find out, and nothing is run again.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from research.machine import environment
from research.paths import PACKAGE, ROOT, SOURCE
from research.records import Run, sha256

SETTINGS = "settings"
"""Where the digests of a run keep that of the preset, beside those of the modules."""

LIMIT = 64_000_000
"""Bytes of image files that are read again at most."""

UNREAD = ("research.tracking",)
"""Reached by every study, but it keeps what was measured and has no part in it."""

PACKAGED = ("mnist-sample", "photos", "faces")
"""Data sets that installed packages carry: their versions vouch for them."""


def code(slug: str, preset: str, root: Path = ROOT) -> dict[str, str]:
    """Module -> digest of all that a study reaches, and that of a preset's settings."""
    study, modules = _study(slug), modules_of(slug, root)
    digests = {name: _digest(module, name, study) for name, module in modules.items()}
    return digests | {SETTINGS: _settings(slug, preset, root)}


@dataclass(frozen=True)
class Module:
    """A source file as it was at one time, so that what is read from it is read once."""

    path: Path
    changed: int
    """ns, as the file system says"""


def modules_of(slug: str, root: Path = ROOT) -> dict[str, Module]:
    """The modules of project and package that a study imports, also through others, and itself."""
    modules: dict[str, Module] = {}
    seen, waiting = set(), [_study(slug)]
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith(UNREAD):
            continue
        seen.add(name)
        if path := _file(name, root):
            modules[name] = Module(path, path.stat().st_mtime_ns)
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += _imported(modules[name], package)
    return dict(sorted(modules.items()))


def digest(tree: ast.AST | list[ast.stmt]) -> str:
    """sha256 of a syntax tree without docstrings and places; the same on any Python."""
    return hashlib.sha256(repr(_shape(tree)).encode()).hexdigest()


def stale(run: Run, root: Path = ROOT) -> dict[str, tuple[str, ...]]:
    """Kind -> what has changed since the run; empty where nothing is known to have.

    Adopted runs are frozen: they rest on nothing here.
    """
    if run.adopted:
        return {}
    changed = {
        "code": changed_code(run, root),
        "config": changed_settings(run, root),
        "data": changed_data(run) or (),
        "environment": changed_versions(run),
    }
    return {kind: names for kind, names in changed.items() if names}


def unknown(run: Run) -> tuple[str, ...]:
    """The kinds of which nothing can be said, which is not the same as unchanged."""
    if run.adopted:
        return ()
    return ("code", "config") * (not run.code) + ("data",) * (changed_data(run) is None)


def changed_code(run: Run, root: Path = ROOT) -> tuple[str, ...]:
    """The modules that differ, are new to the study or gone from it, as paths."""
    if not run.code:
        return ()
    now = code(run.study, run.preset, root)
    names = {name for name in {*now, *run.code} if now.get(name) != run.code.get(name)}
    return tuple(_spelt(name, root) for name in sorted(names - {SETTINGS}))


def changed_settings(run: Run, root: Path = ROOT) -> tuple[str, ...]:
    if not run.code or run.code.get(SETTINGS) == _settings(run.study, run.preset, root):
        return ()
    return (f"preset {run.preset}",)


def changed_versions(run: Run) -> tuple[str, ...]:
    now = environment.versions()
    return tuple(name for name in sorted(now) if run.versions.get(name, now[name]) != now[name])


def changed_data(run: Run) -> tuple[str, ...] | None:
    """The data set, where its files are others now; None where that cannot be told."""
    name = run.config.get("data.name")
    if name in PACKAGED and not run.data.get("files"):
        return ()
    now = files(run.config) if run.data.get("files") else ""
    if not now:
        return None
    return () if now == run.data["files"] else (str(run.data.get("name", name)),)


def files(config: Mapping[str, Any]) -> str:
    """sha256 of the names and contents of the files in all folders of the user's own that are read;
    empty if there are none or too many."""
    named = [key.removesuffix("name") for key, value in config.items() if value == "folder"]
    roots = [str(config[f"{group}root"]) for group in named if config.get(f"{group}root")]
    hashed, total = hashlib.sha256(), 0
    for root in (Path(name).expanduser() for name in roots):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            if path.relative_to(root).parts[0].startswith("."):  # what we keep there ourselves
                continue
            total += path.stat().st_size
            if total > LIMIT:
                return ""
            line = f"{path.relative_to(root).as_posix()} {sha256(path)}\n"
            hashed.update(line.encode(errors="surrogateescape"))  # names need be no UTF-8
    return hashed.hexdigest() if total else ""


def phrases(changed: Mapping[str, tuple[str, ...]], most: int = 3) -> list[str]:
    """One phrase for each kind: `code (research/training/loop.py)`."""
    phrases = []
    for kind, names in changed.items():
        more = f" and {len(names) - most} more" if len(names) > most else ""
        phrases.append(f"{kind} ({', '.join(names[:most])}{more})")
    return phrases


# --- modules -------------------------------------------------------------------------------------


def _study(slug: str) -> str:
    return f"research.studies.{slug.replace('-', '_')}"


def _file(name: str, root: Path) -> Path | None:
    """The file of a module of the project or the package; None for one of a library."""
    for base in _bases(name, root):
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


def _bases(name: str, root: Path) -> Iterator[Path]:
    """Where a module may lie, in the order in which Python finds it."""
    parts = name.split(".")
    if parts[:2] == ["research", "studies"]:  # see `research.studies.folders`
        yield from (root.joinpath(*parts), root.joinpath(*parts[1:]))
    ours = (root / "research/__init__.py").is_file()  # as in a checkout of the package
    yield (SOURCE if parts[0] == "research" and not ours else root).joinpath(*parts)


def _spelt(name: str, root: Path) -> str:
    path = _file(name, root)
    if not path:
        return name
    # the package first: its environment may lie in the project
    base = SOURCE if path.is_relative_to(PACKAGE) else root
    return path.relative_to(base).as_posix()


@cache
def _tree(module: Module) -> ast.Module:
    return ast.parse(module.path.read_text(encoding="utf-8"))


@cache
def _digest(module: Module, name: str, study: str) -> str:
    """Of all that is no setting."""
    return digest([line for line in _tree(module).body if not _is_setting(name, study, line)])


@cache
def _imported(module: Module, package: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_imports(_tree(module), package)))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Every module that may be meant; an import of `a.b` runs `a` too."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


# --- settings ------------------------------------------------------------------------------------


def _settings(slug: str, preset: str, root: Path) -> str:
    """Digest of the preset and of the classes whose defaults it takes."""
    study, kept = _study(slug), []
    for name, module in modules_of(slug, root).items():
        for line in _tree(module).body if _may_set(name, study) else []:
            if _is_setting(name, study, line):
                kept.append(_preset(line, preset) if isinstance(line, ast.Assign) else line)
    return digest(kept)


def _is_setting(name: str, study: str, line: ast.stmt) -> bool:
    """Whether a statement of a module says what the settings are."""
    if not _may_set(name, study):
        return False
    if name == "research.config":
        return isinstance(line, ast.ClassDef)
    if isinstance(line, ast.ClassDef):
        return line.name == "Config"
    return isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "PRESETS"


def _may_set(name: str, study: str) -> bool:
    """Whether a module may hold settings: the study's own do, and those of all studies."""
    return name == "research.config" or f"{name}.".startswith(f"{study}.")


def _preset(line: ast.Assign, preset: str) -> ast.stmt:
    """The one preset, where they are written as a dictionary."""
    if isinstance(line.value, ast.Dict):
        for key, value in zip(line.value.keys, line.value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == preset:
                return ast.Expr(value)
    return line


def _shape(node: Any) -> Any:
    """The tree as nested tuples; empty fields are left out, since newer Pythons have more."""
    if isinstance(node, list):
        return [_shape(part) for part in node if not _is_text(part)]
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, _shape(value)) for name, value in ast.iter_fields(node) if name != "kind")
    return type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])]


def _is_text(node: Any) -> bool:
    """A text that is a statement: a docstring, or one below a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
