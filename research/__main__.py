"""The command line of studies, runs and papers.

What a verb does not need is not imported: a write-up is built without torch or MLflow.
"""

import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from research import studies
from research.cli import adoption, archives, checks, exports, needs, papers, projects, runs
from research.errors import UserError, hidden, in_a_line
from research.paths import PACKAGE

Verb = Callable[[list[str]], int | None]

VERBS: dict[str, Verb] = {
    "new": projects.new,
    "run": runs.run,
    "adopt": adoption.adopt,
    "report": papers.report,
    "verify": checks.verify,
    "sign": checks.sign,
    "audit": checks.audit,
    "redraw": runs.redraw,
    "show": papers.show,
    "studies": papers.list_studies,
    "sync": runs.bring,
    "ui": runs.ui,
    "reproduce": checks.reproduce,
    "diff": checks.diff,
    "export": exports.export,
    "crate": archives.crate,
    "bundle": archives.bundle,
}
PAPERS = (
    "report",
    "export",
    "verify",
    "sign",
    "audit",
    "studies",
    "reproduce",
    "diff",
    "crate",
    "bundle",
)
"""the verbs that read or write papers"""
ANYWHERE = ("new", "verify", "sign", "audit", "diff", "crate", "bundle")
"""the verbs that need no project"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit code, or 2 for a user's mistake, told in a line on standard error."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _speak_plainly()
    try:
        verb = _choose(args)
        if args and args[0] in VERBS and args[0] not in ANYWHERE and not _asks(args):
            needs.project()
        if args and args[0] in PAPERS:
            needs.reading()
        return verb(args[1:]) or 0
    except UserError as error:
        line = f"research: {error}".encode(errors="backslashreplace").decode()  # names of any bytes
        print(line, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("research: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"research: {in_a_line(error)}", file=sys.stderr)
        return 2
    return 0


def _asks(args: list[str]) -> bool:
    return "-h" in args or "--help" in args


def _speak_plainly() -> None:
    """A terminal that knows few letters gets `?` for others; a crash tells no password."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def crashed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        print(hidden("".join(traceback.format_exception(kind, error, at))), file=sys.stderr)

    def warned(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if Path(filename).is_relative_to(PACKAGE):
            print(f"research: {hidden(str(message))}", file=sys.stderr)
        else:
            former(message, category, filename, lineno, file, line)

    former = warnings.showwarning
    warnings.showwarning = warned
    sys.excepthook = crashed


def _choose(args: list[str]) -> Verb:
    if not args or _asks(args[:1]):
        print(__doc__.splitlines()[0], "\n")
        for name, verb in VERBS.items():
            print(f"  research {name:9} {(verb.__doc__ or '').splitlines()[0]}")
        print("\nEach explains its flags with --help.")
        return lambda rest: None
    if args[0] in VERBS:
        return VERBS[args[0]]
    nearest = studies.nearest(args[0], VERBS)
    raise UserError(f"there is no verb '{args[0]}': {nearest}")


if __name__ == "__main__":
    sys.exit(main())
