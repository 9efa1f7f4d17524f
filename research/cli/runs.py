"""Verbs that make, draw, move or show runs."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research import paths, studies
from research.cli import needs
from research.cli.flags import Stored, parse, positional, settings, stored, value_of
from research.errors import UserError
from research.tracking import Store, Summary, open_store
from research.tracking.log import ADOPTED

if TYPE_CHECKING:
    from research.launch import Options


def run(args: list[str]) -> None:
    """Trains and measures: research run ae --preset full --train.epochs 50"""
    entry = studies.entry(positional(args, "research run STUDY"))
    config, options, store = _asked(entry, args[1:])
    from research import launch
    from research.training import ranks

    if ranks.RANK:
        launch.assist(entry, config, options, store)
    elif options.detach:
        _submit(entry, config, options, store)
    else:
        _run(entry, config, options, store)


def _submit(entry: studies.Entry, config: Any, options: "Options", store: Store) -> None:
    from research import submission

    run_id, job = submission.submit(entry, config, options, store)
    print(
        f"{entry.slug} is in the queue: job {job} analyses what the jobs before it train; squeue "
        f"shows them, what they print is in {run_id.jobs}"
    )


def run_study(entry: studies.Entry, args: list[str]) -> Summary:
    return _run(entry, *_asked(entry, args))


def _asked(entry: studies.Entry, args: list[str]) -> tuple[Any, "Options", Store]:
    from research import launch

    study = launch.study_of(entry)
    preset = value_of("--preset", args) or launch.default_preset()
    if preset not in study.PRESETS:
        raise UserError(f"there is no preset '{preset}': {studies.nearest(preset, study.PRESETS)}")
    config, options = settings(study.PRESETS[preset], launch.Options(preset), entry, args)
    store = open_store(options.log, options.experiment)
    needs.tracking(store)
    _check_author()
    changed = " with changed settings" if config != study.PRESETS[preset] else ""
    line = f"{entry.slug}: preset {preset}{changed}, device {config.train.device}"
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
    return config, options, store


def _run(entry: studies.Entry, config: Any, options: "Options", store: Store) -> Summary:
    from research import launch, submission

    start = time.perf_counter()
    try:
        before = submission.unfinished(entry, config, options, store) if options.resume else None
        done = store.find(launch.launch(entry, config, options, store, before))
    except KeyboardInterrupt:
        print(
            f"the same command of `research run {entry.slug}` with --resume continues it",
            file=sys.stderr,
        )
        raise
    print(f"run {done.id} finished in {time.perf_counter() - start:.1f} s: {done.folder}")
    return done


def _check_author() -> None:
    """Tells before hours of training what the paper's author block will lack."""
    path = paths.PAPER / "author.toml"
    try:
        from research import fonts
        from research.report import authors

        if path.is_file():
            fonts.require(authors.read(path).single().values(), path.name)
    except ImportError:  # without the libraries of papers nobody is going to write one here
        return
    except UserError as error:
        print(f"a paper cannot be built yet: {error}", file=sys.stderr)


def redraw(args: list[str]) -> None:
    """Draws a run's figures again from what it measured, without training"""
    entry, _, _, summary = stored(args, "redraw", Stored)
    if summary is None:
        raise UserError(f"there is no finished run of '{entry.slug}': make run-{entry.slug}")
    if summary.preset == ADOPTED:
        raise UserError(f"'{entry.slug}' has figures of adopted runs: research adopt draws them")
    from research import launch

    print(f"run {summary.id}: drew {', '.join(launch.redraw(entry, summary))}")


def bring(args: list[str]) -> None:
    """Brings a folder of runs into MLflow: research sync DIR"""

    @dataclass(frozen=True)
    class Sync:
        log: str | None = None
        """Which MLflow, as for `research run`."""
        experiment: str | None = None
        """Its experiment, as for `research run`."""

    from research.tracking.sync import sync

    folder = Path(positional(args, "research sync DIR"))
    given = parse(Sync, args[1:], "research sync DIR")
    store = open_store(given.log, given.experiment)
    needs.tracking(store)
    for run, state in sync(folder, store):
        print(f"{run.name} ({run.id[:8]}): {state}")


def ui(args: list[str]) -> None:
    """Shows the runs in MLflow's own page, on this machine"""

    @dataclass(frozen=True)
    class Ui:
        port: int = 5000
        """Where to listen, on 127.0.0.1."""

    from research.tracking.server import serve

    port = parse(Ui, args, "research ui").port
    needs.interface()
    serve(port=port)
