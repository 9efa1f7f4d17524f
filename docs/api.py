"""Writes docs/api.md, the public API on one page, from docstrings: python docs/api.py

Nothing is imported: signatures and texts are read as they stand in the code.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
PAGE = SOURCE / "docs/api.md"

HEAD = """# The API
What a script, a notebook or a study may import, from the docstrings of the code; `help(…)` tells \
the rest of each, with examples. Written by `make api`.

"""

Definition = ast.FunctionDef | ast.ClassDef
Part = tuple[str, dict[str, tuple[str, ...]]]

PARTS: tuple[Part, ...] = (
    ("From a script", {"tracking/store.py": ("open_run",), "data/__init__.py": ("load_data",)}),
    (
        "A study",
        {
            "config.py": ("Data", "Train"),
            "data/__init__.py": ("load",),
            "data/dataset.py": ("Dataset", "Split"),
            "training/loop.py": ("Training", "placed"),
            "training/cache.py": ("obtain", "snapshot"),
            "models/inference.py": ("predict",),
            "tracking/log.py": ("Log",),
        },
    ),
    (
        "What a run left behind",
        {"records/__init__.py": ("Results", "Run", "Number", "Claim", "Table")},
    ),
    ("Figures", {"figures/__init__.py": ()}),
)
"""heading -> file -> the names in it that are told; all public ones where none is named"""


def page() -> str:
    """The page as Markdown."""
    parts = [f"## {title}\n{_told(files)}" for title, files in PARTS]
    methods = sorted((SOURCE / "research/methods").glob("[!_]*.py"))
    listed = "\n".join(map(_method, methods))
    return f"{HEAD}{''.join(parts)}## Methods\n{_first(_tree('methods/__init__.py'))}\n\n{listed}"


def _told(files: dict[str, tuple[str, ...]]) -> str:
    """Every definition with the first paragraph of its docstring, classes with their members."""
    lines, front = [], ("load_data", "open_run")  # which `research` itself offers
    for file, names in files.items():
        for one in _public(_tree(file)):
            if not names or one.name in names:
                module = "research" if one.name in front else _module(file)
                lines.append(f"**`{module}.{_signature(one)}`** {_first(one)}".strip() + "\n")
                members = [f"- {line}" for line in _members(one)]
                lines += [*members, ""] if members else []
    return "\n".join(lines).rstrip() + "\n\n"


def _method(path: Path) -> str:
    file = path.relative_to(SOURCE / "research").as_posix()
    functions = "\n".join(f"- `{_signature(one)}` {_first(one)}" for one in _public(_tree(file)))
    return f"### {_module(file)}\n{_first(_tree(file))}\n\n{functions}\n"


def _members(one: Definition) -> Iterator[str]:
    """Fields of a data class, and what may be called, with their texts."""
    if isinstance(one, ast.FunctionDef):
        return
    texts = _attributes(ast.get_docstring(one) or "")
    for line, after in zip(one.body, [*one.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign) and not ast.unparse(line.target).startswith("_"):
            text = _text_of(after) or texts.get(ast.unparse(line.target), "")
            given = ast.AnnAssign(line.target, _plain(line.annotation), line.value, 1)
            yield f"`{ast.unparse(given)}` {_paragraph(text)}".strip()
        elif isinstance(line, ast.FunctionDef) and not line.name.startswith("_"):
            shown = line.name if _is_property(line) else _signature(line)
            yield f"`{shown}` {_first(line)}".strip()


def _signature(one: Definition) -> str:
    """`fgsm(model, images, labels, eps)`: names and defaults, whose types the docstring tells."""
    if isinstance(one, ast.ClassDef):
        return one.name
    given = ast.parse(ast.unparse(one)).body[0]
    assert isinstance(given, ast.FunctionDef)
    for argument in ast.walk(given.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    given.args.args = [
        argument for argument in given.args.args if argument.arg not in ("self", "cls")
    ]
    return f"{one.name}({ast.unparse(given.args)})"


def _public(tree: ast.Module) -> Iterator[Definition]:
    for one in tree.body:
        if isinstance(one, Definition) and not one.name.startswith("_"):
            yield one


def _first(node: Definition | ast.Module) -> str:
    return _paragraph(ast.get_docstring(node) or "")


def _paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())


def _attributes(docstring: str) -> dict[str, str]:
    """Name -> text of each line below `Attributes:`."""
    _, _, section = docstring.partition("Attributes:\n")
    section = section.split("\n\n")[0]
    return dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", section, re.MULTILINE))


def _text_of(node: ast.stmt | None) -> str:
    """What stands as a text below a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def _plain(annotation: ast.expr) -> ast.expr:
    """A type without the marks of `Annotated`."""
    marked = isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated"
    if marked and isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        return annotation.slice.elts[0]
    return annotation


def _is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(one).endswith("property") for one in node.decorator_list)


def _tree(file: str) -> ast.Module:
    return ast.parse((SOURCE / "research" / file).read_text(encoding="utf-8"))


def _module(file: str) -> str:
    return "research." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page(), encoding="utf-8") * 0)
