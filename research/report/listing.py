"""What a run has that a write-up may print: names, values, and where each was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from research.provenance.facts import facts
from research.provenance.formats import plain
from research.records import Number, Results, read_origins
from research.report.answers import spelt_fact


@dataclass(frozen=True)
class Item:
    """One thing that may be printed.

    Attributes:
        kind: number, claim, table, figure, setting or fact.
        name: as write-ups call it.
        value: with its interval and unit, or what it holds.
        origin: the line of code that measured it, empty where that is not known.
    """

    kind: str
    name: str
    value: str
    origin: str = ""


def items(results: Results) -> Iterator[Item]:
    """Numbers, claims, tables and figures of a run, then its settings and facts."""
    origins = read_origins(results.folder)

    def origin(kind: str, name: str) -> str:
        return origins.get(f"{kind} {name}", "")

    for name, number in results.numbers.items():
        yield Item("number", name, shown(number), origin("number", name))
    for name, claim in results.claims.items():
        yield Item("claim", name, str(claim), origin("claim", name))
    for name in results.names("tables"):
        table = results.table(name)
        size = f"{len(table.rows)} rows of {', '.join(table.columns)}"
        yield Item("table", name, size, origin("table", name))
    for name in results.names("figures"):
        drawing = results.figure(name)
        size = f"{drawing.width_mm:.0f} × {drawing.height_mm:.0f} mm"
        yield Item("figure", name, f"{size} from {', '.join(drawing.data)}")
    for name, value in results.run.config.items():
        yield Item("setting", f"config.{name}", plain(value))
    for name, value in facts(results.run).items():
        if not name.startswith("config."):
            yield Item("fact", spelt_fact(name), plain(value))


def shown(number: Number) -> str:
    """A number to six digits, its interval and its unit."""
    if number.half_width is not None and not number.few:
        value = f"{number.value:.6g} ± {number.half_width:.2g}"
    elif number.span:
        value = "{:.6g} and {:.6g}".format(*number.values or number.span)
    elif number.bounds:
        value = "{:.6g} [{:.4g}, {:.4g}]".format(number.value, *number.bounds)
    else:
        value = f"{number.value:.6g}"
    repeated = f" (n = {number.n})" if number.n > 1 else ""
    return f"{value} {number.unit}".rstrip() + repeated
