"""Which run is meant: by a few letters of its id, or the newest of a study."""

import difflib
from collections.abc import Sequence

from research.errors import UserError
from research.tracking.log import Summary


def pick(runs: Sequence[Summary], prefix: str, where: str) -> Summary:
    """The one run whose id, or whose record's id, begins with the letters.

    Raises:
        UserError: where there is none, naming the nearest, or where there are several.
    """
    matching = [run for run in runs if prefix and _matches(run, prefix)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        listed = ", ".join(f"{run.id[: len(prefix) + 4]} ({run.name})" for run in matching[:5])
        raise UserError(f"one run is required, but {len(matching)} begin with {prefix!r}: {listed}")
    near = difflib.get_close_matches(prefix, [run.id[: len(prefix)] for run in runs], 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else _offer(runs)
    raise UserError(f"no run in {where} begins with {prefix!r}; {hint}")


def newest(runs: Sequence[Summary]) -> Summary | None:
    """The newest finished `full` run, or else of any other preset."""
    finished = [run for run in runs if run.status == "FINISHED"]
    full = [run for run in finished if run.preset == "full"]
    return next(iter(full or finished), None)


def _matches(run: Summary, prefix: str) -> bool:
    return run.id.startswith(prefix) or run.record_id.startswith(prefix)


def _offer(runs: Sequence[Summary]) -> str:
    if not runs:
        return "it holds no runs yet"
    return "the newest are " + ", ".join(f"{run.id[:8]} ({run.name})" for run in runs[:3])
