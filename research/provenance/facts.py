"""The facts of a run as a paper may print them: by dotted name, without folders of this machine."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from research.provenance.formats import plain
from research.records import Claim, Run

_ABSOLUTE = re.compile(r"^(?:/|~|[A-Za-z]:[\\/]|\\\\)")


def facts(run: Run) -> dict[str, Any]:
    """A run's facts by dotted name: `preset`, `data.train`, `versions.torch`, `seconds.training`.

    Of a list its length is the fact (`seeds`, `data.classes`), but a shape is printed as
    3 × 32 × 32 and findings as sentences; a date is the day; hashes are cut to their first digits.
    """
    flat = _model_facts(run)
    for key, value in portable(dataclasses.asdict(run)).items():
        if key in ("models", "code"):
            continue
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": _fact(inner, item) for inner, item in value.items()}
        else:
            flat[key] = _fact(key, value)
    return flat | {"seconds": sum(run.seconds.values())}


def claim_facts(claims: Mapping[str, Claim]) -> dict[str, Any]:
    """What was decided of each claim, in words: `NAME.outcome` and `NAME.test`."""
    return {
        f"{name}.{key}": value
        for name, claim in claims.items()
        for key, value in (("outcome", claim.outcome), ("test", claim.test))
    }


def _model_facts(run: Run) -> dict[str, Any]:
    """How many models the run used, how it came by them, and the seconds that training them took.

    `models.found_in` names the runs that trained those that were found.
    """
    models = run.models.values()
    counts = {
        f"models.{origin}": sum(model["origin"] == origin for model in models)
        for origin in ("trained", "found", "given")
    }
    runs = sorted({model["run"][:8] for model in models if model["origin"] == "found"})
    seconds = sum(model.get("seconds", 0.0) for model in models)
    saved = sum(model.get("seconds", 0.0) for model in models if model["origin"] == "found")
    return _methods(run.models) | {
        "models": len(models), **counts, "models.found_in": ", ".join(runs),
        "models.seconds": seconds, "models.found_seconds": saved,
    }  # fmt: skip


def _methods(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`models.parameters`, `.optimiser`, `.lr`, `.epochs`, `.batch`, `.threads`; each also by name.

    Where the models differ, the fact of all lists the values.
    """
    flat: dict[str, Any] = {}
    for key in ("parameters", "optimiser", "lr", "epochs", "batch", "threads"):
        own = {name: model[key] for name, model in models.items() if key in model}
        own = {
            name: _listed(value) if isinstance(value, list) else value
            for name, value in own.items()
        }
        flat |= {f"models.{name}.{key}": value for name, value in own.items()}
        values = sorted(set(own.values()), key=lambda value: (isinstance(value, str), value))
        if values:
            flat[f"models.{key}"] = values[0] if len(values) == 1 else _listed(values)
    return flat


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(plain(value) for value in values)


def _fact(key: str, value: Any) -> Any:
    cut = {"id": 8, "commit": 7, "sha256": 12, "config_digest": 12, "started": 10, "ended": 10}
    if key in cut and isinstance(value, str):
        return value[: cut[key]]
    if not isinstance(value, list):
        return value
    if key == "shape":
        return " × ".join(map(str, value))
    return " ".join(map(str, value)) if key == "findings" else len(value)


def portable(value: Any) -> Any:
    """The value without folders of this machine: of an absolute path only the last part is kept."""
    if isinstance(value, Mapping):
        return {key: portable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [portable(inner) for inner in value]
    if isinstance(value, Path) or (isinstance(value, str) and _ABSOLUTE.match(value)):
        return re.split(r"[\\/]", str(value).rstrip("\\/"))[-1]
    return value
