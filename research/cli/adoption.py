"""The verb that makes a record of runs which another program logged."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from research import paths, studies
from research.cli import needs
from research.cli.flags import parse, positional
from research.errors import UserError
from research.machine import packages
from research.tracking import open_store

LISTS = ("--metric", "--claim", "--group")
"""Flags that take several values, behind one flag or each behind its own."""


@dataclass(frozen=True)
class Adopt:
    """Which runs of which experiment, and what of them."""

    experiment: str
    """Name of the experiment in MLflow."""
    runs: str = ""
    """MLflow's filter, as "tags.paper = 'yes'"; without it all runs that finished."""
    group: tuple[str, ...] = ()
    """Parameters or tags by which runs are grouped, as params.model; without it one group."""
    seeds: str = ""
    """The parameter or tag that holds the seed, as params.seed; without it nothing is paired."""
    metric: tuple[str, ...] = ()
    """Metrics and which value of each: val_acc=last, best, min, max, step:20, best:val_loss.
    Without it all of them, at the last step."""
    claim: tuple[str, ...] = ()
    """Comparisons that are tested: "resnet_beats_mlp: resnet > mlp on val_acc"."""
    slug: Annotated[str, tyro.conf.arg(name="as")] = ""
    """What the paper is called: paper/SLUG.md; without it the experiment's name."""
    question: str = ""
    """The question that the paper asks."""
    shared_seeds: bool = False
    """Leave out the runs of seeds that not every group has."""
    log: str | None = None
    """Where to keep the record, as for `research run`."""


def adopt(args: list[str]) -> None:
    """Makes a paper's record of runs that another program logged: research adopt URI …"""
    from research.adoption import Choice
    from research.adoption import adopt as freeze
    from research.tracking.foreign import Experiment

    usage = "research adopt URI --experiment NAME"
    uri = positional(args, usage)
    given: Adopt = parse(Adopt, gathered(args[1:]), usage)
    slug = slug_of(given.slug or given.experiment)
    store = open_store(given.log)
    packages.need(packages.TRACK, "research adopt")
    needs.writable(paths.PAPER)
    done = freeze(
        Choice(
            Experiment(uri, given.experiment), slug, given.runs, given.group, given.seeds,
            given.metric, given.claim, given.question, given.shared_seeds,
        ),
        store,
    )  # fmt: skip
    for note in done.notes:
        print(f"research: {note}", file=sys.stderr)
    how = "adopted" if done.fresh else "nothing has changed since it was adopted"
    print(f"run {done.run.id}: {how}. {done.selection}")
    source = paths.PAPER / f"{slug}.md"
    if not source.exists():
        source.write_text(done.begun, encoding="utf-8")
        print(f"  {source.parent.name}/{source.name} is the beginning of its paper")
    print(f"  research show {slug} lists what it may print; research report {slug} builds it")


def gathered(args: Sequence[str]) -> list[str]:
    """The same, with the values of a flag that was given again behind its first place."""
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    now = ""
    for arg in args:
        flag, equals, value = arg.partition("=")
        if flag in LISTS:
            now = flag
            values.setdefault(flag, []).extend([value] if equals else [])
        elif arg.startswith("--") or not now:
            now = ""
            rest.append(arg)
        else:
            values[now].append(arg)
    return rest + [word for flag, own in values.items() for word in (flag, *own)]


def slug_of(name: str) -> str:
    """The name as that of a paper. Raises UserError where a study has it, or nothing is left."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise UserError(f"a paper's name is made of letters and digits, got '{name}': give --as")
    if slug in {entry.slug for entry in studies.entries()}:
        raise UserError(f"'{slug}' is a study of its own: give the paper another name with --as")
    return slug
