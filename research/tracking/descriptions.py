"""Descriptions of runs and experiments, which MLflow's page shows: question, findings, links."""

from pathlib import Path
from urllib.parse import urlencode

from research.records import Run

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as a description, of runs and of experiments."""
PAPER = "Paper: "
"""Begins the line of a description that links to papers."""
LONGEST = 8000
"""Letters of a tag at most."""


def of(run: Run, id: str, record: Path) -> str:
    """The description: question, link to the paper, findings, links to figures, as far as they fit.

    Pictures would push tags and values out of view.
    """
    findings = "\n".join(f"- {text}" for text in run.findings)
    figures = [_link(path, id) for path in sorted((record / "figures").glob("*.png"))]
    shown = f"Figures: {', '.join(figures)}" if figures else ""
    note = ""
    for block in filter(None, [f"**{run.question}**", papers(record, id), findings, shown]):
        if len(note) + len(block) + 2 <= LONGEST:
            note += block + "\n\n"
    return note


def of_experiment(run: Run, id: str, record: Path) -> str:
    """What an experiment asks, and its newest paper."""
    return "\n\n".join(filter(None, [f"**{run.question}**", papers(record, id)]))


def papers(record: Path, id: str) -> str:
    """Links to the papers that were built from a run, empty where there is none."""
    links = [_link(path, id) for path in sorted((record / "report").glob("*.pdf"))]
    return f"{PAPER}{', '.join(links)}" if links else ""


def _link(path: Path, id: str) -> str:
    """Markdown; the address is the one from which the UI takes its own previews."""
    name = path.name if path.suffix == ".pdf" else path.stem
    query = urlencode({"path": f"{path.parent.name}/{path.name}", "run_uuid": id})
    return f"[{name}](get-artifact?{query})"


def is_replaceable(former: str, note: str) -> bool:
    """Whether a description may be replaced: it is another, and no word of it but the paper is.

    What somebody wrote in MLflow's page stays.
    """
    bare = [
        [line for line in text.splitlines() if line and not line.startswith(PAPER)]
        for text in (former, note)
    ]
    return former != note and (not former or bare[0] == bare[1])
