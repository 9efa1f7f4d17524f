"""The beginning of a write-up of adopted runs, for its author to go on with."""

from collections.abc import Mapping, Sequence

from research.adoption.rules import side
from research.records import Results

MOST_GROUPS = 6
"""Groups whose numbers are named in the abstract; of more the table tells."""


def start(results: Results, metrics: Mapping[str, str], groups: Mapping[str, str]) -> str:
    """Markdown with a sentence on each claim, the tables, the curves and the first picture.

    Arguments:
        metrics: as it was logged -> its name in the record; so are the groups.
    """
    run = results.run
    title = run.question.rstrip("?").strip() or run.study
    parts = [f'---\ntitle: "{title}"\nkeywords: {run.study}\n---', "## Abstract"]
    parts += [_abstract(results, metrics, groups), "## Runs", _runs(results)]
    parts += ["## Results", _table(metrics), *_claims(results)]
    parts += [_curve(name, label) for label, name in metrics.items() if _has(results, name)]
    return "\n\n".join(filter(None, [*parts, *_settings(results), *_pictures(results)])) + "\n"


def _abstract(results: Results, metrics: Mapping[str, str], groups: Mapping[str, str]) -> str:
    metric, name = next(iter(metrics.items()))
    told = [
        f'{label} {{{{ number("{name}_{key}", ".3f") }}}}'
        for label, key in groups.items()
        if f"{name}_{key}" in results.numbers
    ][:MOST_GROUPS]
    return (
        f'We compare {{{{ fact("adopted.runs") }}}} runs of the experiment '
        f'“{{{{ fact("adopted.experiment") }}}}” over {{{{ fact("seeds") }}}} seeds. '
        f"The {metric} is {', '.join(told)}."
    )


def _runs(results: Results) -> str:
    return (
        'The runs were logged to MLflow by another program. {{ fact("selection") }} Numbers are '
        'means over seeds with {{ stated("95 %", "confidence level, by convention") }} intervals.'
    )


def _table(metrics: Mapping[str, str]) -> str:
    columns = ['"group": "Group"']
    for label, name in metrics.items():
        best = f', best="{found}"' if (found := side(label)) else ""
        columns.append(f'"{name}": col("{label}", ".3f"{best})')
    wide = ", wide=True" if len(metrics) > 2 else ""
    caption = "Each group of runs, mean over seeds. Bold: best, where it can be told apart."
    inside = ", ".join(columns)
    return f'{{{{ table("metrics", caption="{caption}", columns={{{inside}}}{wide}) }}}}'


def _claims(results: Results) -> list[str]:
    return [
        f'{name.replace("_", " ").capitalize()}: {{{{ claim("{name}", holds="this holds", '
        'fails="the opposite holds", undecided="this is not decided") }}.'
        for name in results.claims
    ]


def _has(results: Results, name: str) -> bool:
    return f"curve_{name}" in results.names("figures")


def _curve(name: str, label: str) -> str:
    caption = f"{label} by step, mean over seeds; bands reach from the lowest to the highest seed."
    return f'{{{{ figure("curve_{name}", caption="{caption}", alt="{label} by step") }}}}'


def _settings(results: Results) -> list[str]:
    if "settings" not in results.names("tables"):
        return []
    columns = results.table("settings").columns
    inside = ", ".join(f'"{name}": "{name}"' for name in columns)
    return [
        f'{{{{ table("settings", caption="What differs between the groups.", '
        f"columns={{{inside}}}) }}}}"
    ]


def _pictures(results: Results) -> Sequence[str]:
    shown = [name for name in results.names("figures") if not name.startswith("curve_")][:1]
    return [
        f'{{{{ figure("{name}", caption="{name}, as a run logged it.", alt="a picture that a run '
        f'logged") }}}}'
        for name in shown
    ]
