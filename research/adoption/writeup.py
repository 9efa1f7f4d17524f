"""The beginning of a write-up of adopted runs, for its author to go on with."""

import json
from collections.abc import Iterator, Mapping

from research.adoption.rules import side
from research.provenance import literals
from research.records import Results

MOST = 6
"""Groups whose numbers are named in the abstract, and settings that are shown; of more the tables
tell."""

_INTRODUCTION = """\
Say here what is asked and why, and who asked before. Each number in braces is read from the record
when the paper is built; `research show {slug}` lists what there is."""


def question_of(experiment: str) -> str:
    """What is asked where nobody said what."""
    return f"What do the runs of {experiment} show?"


def start(results: Results, metrics: Mapping[str, str], groups: Mapping[str, str]) -> str:
    """Markdown with a sentence on each claim, the tables, the curves and the first picture.

    Arguments:
        metrics: as it was logged -> its name in the record; so are the groups.
    """
    return "\n\n".join(_blocks(results, metrics, groups)) + "\n"


def _blocks(
    results: Results, metrics: Mapping[str, str], groups: Mapping[str, str]
) -> Iterator[str]:
    figures, tables = results.names("figures"), results.names("tables")
    curves = {label: name for label, name in metrics.items() if f"curve_{name}" in figures}
    yield _front(results, metrics)
    yield "## Abstract"
    yield _abstract(results, metrics, groups)
    yield "## Introduction"
    yield f"<!-- {_INTRODUCTION.format(slug=results.run.study)} -->"
    yield "## Runs"
    yield _runs(results)
    if "settings" in tables:
        columns = results.table("settings").columns
        yield _table("settings", "What differs between the groups.", dict.fromkeys(columns[:MOST]))
    yield "## Results"
    yield from _claims(results)
    yield _table(
        "metrics",
        "Each group, mean over its runs. Bold: best, where it can be told apart from the next.",
        {"group": None} | {name: side(label) for label, name in metrics.items()},
        metrics,
    )
    for label, name in curves.items():
        caption = f"{_plain(label)} by step: mean and range of the runs of each group"
        yield f'![{caption}.](curve_{name}){{alt="Curves of {name} by step"}}'
    for name in [name for name in figures if name.removeprefix("curve_") not in curves.values()][
        :1
    ]:
        yield f'![{_plain(name)}, as a run logged it.]({name}){{alt="A picture that a run logged"}}'


def _front(results: Results, metrics: Mapping[str, str]) -> str:
    """JSON is YAML too, and quotes what needs it."""
    run = results.run
    title = _plain(run.question)
    if run.question == question_of(run.adopted.get("experiment", "")):
        title = question_of("{adopted.experiment}")
    formats = {pattern: ".3f" for name in metrics.values() for pattern in (f"{name}_*", name)}
    return "\n".join([
        "---",
        f"title: {json.dumps(title, ensure_ascii=False)}",
        f"keywords: [{run.study}]",
        f"formats: {json.dumps(formats)}",
        "---",
    ])  # fmt: skip


def _abstract(results: Results, metrics: Mapping[str, str], groups: Mapping[str, str]) -> str:
    metric, name = next(iter(metrics.items()))
    numbers = results.numbers
    lines = [
        f"{{{name}_{key}}} with {_plain(label)}"
        for label, key in groups.items()
        if f"{name}_{key}" in numbers
    ][:MOST]
    listed = " and ".join(filter(None, [", ".join(lines[:-1]), lines[-1]]))
    each = "{run.seeds:# seed}" if results.run.adopted.get("seeds") else "{run.seeds:# repetition}"
    return (
        f"{{adopted.runs:# run}} of {{adopted.groups:# group}} with {each} each are compared. "
        f"The {_plain(metric)} is {listed}."
    )


def _runs(results: Results) -> str:
    filtered = " where {adopted.filter}" if results.run.adopted.get("filter") else ""
    return (
        f"The runs were logged to the MLflow experiment *{{adopted.experiment}}* by "
        f"{{adopted.by}}{filtered}. {{selection}} The values are {{adopted.rules}}. Means have "
        '[95 %]{by="confidence level, by convention"} intervals.'
    )


def _claims(results: Results) -> Iterator[str]:
    """One sentence each, which the build proves."""
    words = {"holds": "holds", "fails": "does not hold", "undecided": "is not decided"}
    for name, claim in results.claims.items():
        said = name.replace("_", " ")
        yield f"That {said} [{words[claim.outcome]}]{{{name}={claim.outcome}}}."


def _table(
    name: str,
    caption: str,
    columns: Mapping[str, str | None],
    labels: Mapping[str, str] = {},
) -> str:
    """A table's plan: `columns` are its columns and on which side each is best."""
    heads = {"group": "Group"} | {own: label for label, own in labels.items()}
    wide = " .wide" if len(columns) > 3 else ""
    rows = [
        f"| {key} | {_cell(heads.get(key, key))} | {best or ''} |" for key, best in columns.items()
    ]
    head = ["| column | heading | best |", "|---|---|---|"]
    return "\n".join([f"::: {{.table name={name}{wide}}}", caption, "", *head, *rows, ":::"])


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Words of the runs as Markdown prints them unchanged; with a number, as code."""
    if literals.numbers(text):
        return f"`{text.replace('`', '')}`"
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>$@^~" else sign for sign in text)
