"""Runs a study: the one place where settings, seeds, device, store, study and drawing meet."""

import copy
import dataclasses
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from matplotlib.figure import Figure

from research import figures, models, records
from research.config import GIVEN, Jobs, Slurm, changes, digest, flatten, places
from research.data import origins, remembered
from research.errors import UserError
from research.machine import threads
from research.records import sha256, sources
from research.studies import Entry, module_of
from research.tracking import Log, Opening, OpenRun, Store, Summary, staleness
from research.tracking.ending import Terminated
from research.training import cluster, gpus, loop, ranks, slurm, together, workers
from research.training.cache import Recipe
from research.training.ensemble import train_beforehand
from research.training.plan import planned

SEEDS = 2**31
"""Seeds are below it: scikit-learn takes none of 2**32, and studies add small numbers to theirs."""


class Study(Protocol):
    """What a file in `research/studies` offers; see that package."""

    PRESETS: dict[str, Any]
    FIGURES: Mapping[str, Callable[[records.Results], Figure | None]]

    def study(self, config: Any, log: Log) -> None: ...

    def children(self, config: Any) -> list[str]: ...


@dataclass(frozen=True)
class Options:
    """How to run, beside the study's own settings."""

    preset: str
    """Settings to start from: sample (minutes, offline) or full (the source's own).
    Without it: full where there is CUDA, sample elsewhere."""
    log: str | None = None
    """Where to keep the run: folder:DIR, sqlite:///FILE or http://HOST:PORT; without it
    MLFLOW_TRACKING_URI, else runs/mlflow.db."""
    experiment: str | None = None
    """Experiment of an MLflow server in which the run is kept; without it the study's name, with
    the user's where the server asks for a password."""
    weights: tuple[str, ...] = ()
    """Weights to use instead of training: safetensors files, or ids of runs that wrote some."""
    resume: bool = False
    """Continue the newest interrupted run that has the same settings."""
    jobs: Jobs = "auto"
    """How many small networks train at once on a CPU, each on one core: auto is one per core. The
    results are the same. Of several GPUs each trains one; one GPU trains them side by side."""
    cluster: Literal["slurm"] | None = None
    """Train each model in a job of a cluster, with the same results."""
    slurm: Slurm = field(default_factory=Slurm)
    """With --cluster slurm: what a job asks for."""
    detach: bool = False
    """With --cluster: put the analysis into the queue too, and come back at once."""


def study_of(entry: Entry) -> Study:
    return cast(Study, module_of(entry.slug))


def default_preset() -> str:
    return "full" if torch.cuda.is_available() else "sample"


class Trained(Protocol):
    """Models that were trained for a run before it was opened."""

    @property
    def id(self) -> str:
        """Under which they are kept until the run takes them over."""

    def take_over(self, recipes: Sequence[Recipe[Any]], log: OpenRun) -> None:
        """Makes them those of the run."""


def launch(
    entry: Entry, config: Any, options: Options, store: Store, before: Trained | None = None
) -> str:
    """Runs a study to the end and draws its figures; the id of the run.

    Arguments:
        before: what was trained for it already.

    Raises:
        UserError: a mistake in the settings, found before anything is trained where possible.
    """
    study = study_of(entry)
    config, options = named(copy.deepcopy(config), options)  # as a job has it, see there
    check(config)
    workers.check(options.jobs)
    check_cluster(config, options)
    changed = changes(study.PRESETS[options.preset], config)
    config = dataclasses.replace(config, train=loop.resolve(config.train))
    pretrained = find_weights(options.weights, study.children(config), store)
    weights = ", ".join(f"{name} {sha256(pretrained[name])[:12]}" for name in sorted(pretrained))
    given = {"weights": weights} if weights else {}
    opening = Opening(
        study=entry.slug,
        question=entry.question,
        preset=options.preset,
        name=f"{entry.slug} {options.preset} on {config.data.title}",
        config=flatten(config) | given,
        config_digest=digest(config, weights),
        changed=changed | given,
        seeds=config.seeds,
        device=device_name(config.train.device),
        code=staleness.code(entry.slug, options.preset),
        local=places(config),
    )
    resumed = options.resume and before is None
    former = interrupted(opening, store.runs(entry.slug)).id if resumed else None
    # measured in float32 proper: PyTorch lets cuDNN's convolutions round to TF32 unless told not to
    starting = store.start(opening, resume=former, pretrained=pretrained)
    with threads.sparing(config.train.device), starting as log, loop.tf32(False):
        measured(study, config, pretrained, log, options, before)
        with log.part("figures"):
            draw(study, log)
        sources.write(log.folder, origins.sources(config))
        # a finished run is never resumed, and its weights are stored
        shutil.rmtree(log.folder / "checkpoints", ignore_errors=True)
        return log.id


def assist(entry: Entry, config: Any, options: Options, store: Store) -> None:
    """What a rank of torchrun does that is not the first: it trains with it, and writes nothing.

    Raises:
        UserError: a mistake in the settings, of which the first rank tells.
    """
    study = study_of(entry)
    config, options = named(config, options)
    config = dataclasses.replace(config, train=loop.resolve(config.train))
    given = find_weights(options.weights, study.children(config), store)
    own = [name for name in study.children(config) if name not in given]
    with remembered(), threads.sparing(config.train.device), loop.tf32(False):
        together.train_beforehand(study.study, config, own, None, given)


def measured(
    study: Study,
    config: Any,
    pretrained: Mapping[str, Path],
    log: OpenRun,
    options: Options,
    before: Trained | None = None,
) -> None:
    """Trains what the study needs and runs it.

    Raises:
        UserError: something in it ends the process.
    """
    try:
        with remembered():
            own = [name for name in study.children(config) if name not in pretrained]
            if before:
                before.take_over(planned(study.study, config, before.id, own, pretrained), log)
            if ranks.COUNT > 1:
                together.train_beforehand(study.study, config, own, log, pretrained)
            elif options.cluster:
                given = (options.slurm, pretrained)
                cluster.train_beforehand(study.study, config, own, log, *given)
            else:
                gpus.train_beforehand(study.study, config, own, log, options.jobs, pretrained)
                train_beforehand(study.study, config, own, log)
                workers.train_beforehand(study.study, config, own, log, options.jobs)
            study.study(config, log)
    except Terminated:
        raise
    except SystemExit as error:
        raise UserError(
            f"a study must come to its end, something in it ended the process with exit code "
            f"{error.code!r}; take sys.exit() out of it"
        ) from None


def check(config: Any) -> None:
    """Raises UserError for a setting that no study can run with."""
    least = {"epochs": config.train.epochs, "batch": config.train.batch}
    for name, value in least.items():
        if value < 1:
            raise UserError(f"--train.{name} must be at least 1, got {value}")
    if not 0 < config.train.lr < math.inf:
        raise UserError(
            f"--train.lr must be greater than 0 and finite, got {config.train.lr:g}; give 0.001"
        )
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        given = " ".join(map(str, config.seeds)) or "none"
        raise UserError(f"--seeds must be one or more different numbers, got {given}")
    beyond = [seed for seed in config.seeds if not 0 <= seed < SEEDS]
    if beyond:
        raise UserError(f"--seeds must be at least 0 and less than {SEEDS:,}, got {beyond[0]}")
    for name, value in flatten(config).items():
        check_numbers(name, value)


def check_cluster(config: Any, options: Options) -> None:
    """Raises UserError for flags of a cluster that do not go together, or without one."""
    if options.cluster and ranks.COUNT > 1:
        raise UserError(
            "--cluster trains each model in a job of its own: start it without torchrun"
        )
    if not options.cluster:
        if options.detach or options.slurm != Slurm():
            flag = "--detach" if options.detach else "--slurm.…"
            raise UserError(f"{flag} is for a run on a cluster: add --cluster slurm")
        return
    slurm.check(options.slurm)
    here = loop.resolve(config.train).device.startswith("cuda")
    if not options.detach and here != bool(options.slurm.gpus):
        raise UserError(
            "models are analysed on the kind of device that they were trained on, "
            + ("this machine computes on a GPU: add --slurm.gpus 1" if here else
               "this machine has no GPU: add --detach, which runs the analysis in a job too")
        )  # fmt: skip


def check_numbers(name: str, value: Any) -> None:
    """Raises UserError for nan and the infinities: in no setting of any study they mean anything.

    What else a study asks of its own, its `check` says.
    """
    if isinstance(value, tuple):
        for item in value:
            check_numbers(name, item)
    elif isinstance(value, float) and not math.isfinite(value):
        flag = name.replace("_", "-")
        raise UserError(f"--{flag} must be a finite number, got {value:g}; give another")


def named(config: Any, options: Options) -> tuple[Any, Options]:
    """Takes `--weights torchvision:NAME` as the model that a study is to look at.

    Raises:
        UserError: the study trains its own.
    """
    ours = tuple(item for item in options.weights if item.startswith("torchvision:"))
    if not ours:
        return config, options
    if not hasattr(config, "model") or len(ours) > 1:
        raise UserError(
            f"--weights torchvision:NAME names one network for a study that looks at one, given "
            f"was {' '.join(ours)}; give files of this study's models"
        )
    others = tuple(item for item in options.weights if item not in ours)
    return dataclasses.replace(config, model=ours[0]), dataclasses.replace(options, weights=others)


def redraw(entry: Entry, run: Summary) -> list[str]:
    """Draws the figures of a finished run again from what it measured; their names.

    Raises:
        UserError: what it measured is not there any more.
    """
    study, former = study_of(entry), records.read_manifest(run.folder)
    measured = {path: digest for path, digest in former.items() if not path.startswith("figures/")}
    changed = [path for path in measured if _is_changed(run.folder / path, measured[path])]
    try:
        _draw_into(study, run.folder)
    except (LookupError, ValueError, TypeError) as error:
        if changed:
            raise UserError(
                f"{run.folder / changed[0]} must be as the run wrote it, but was changed or taken "
                f"away; bring it back from a copy, or run the study again ({error!r})"
            ) from error
        raise
    records.write_manifest(run.folder)
    drawn = records.read_manifest(run.folder)
    drawn = {path: digest for path, digest in drawn.items() if path.startswith("figures/")}
    # what was measured keeps its digest: drawing must not vouch for a file that was changed since
    records.write_json(run.folder / "manifest.json", former | drawn)
    return records.load(run.folder).names("figures")


def _is_changed(path: Path, digest: str) -> bool:
    return not path.is_file() or sha256(path) != digest


def draw(study: Study, log: OpenRun) -> None:
    log.flush()
    _draw_into(study, log.folder)


def _draw_into(study: Study, folder: Path) -> None:
    for name, drawn in study.FIGURES.items():
        record = records.load(folder)
        with figures.style():
            figure = drawn(record)
            if figure is None:  # not measured in this run
                continue
            figures.save(figure, folder / f"figures/{name}")
        width, height = (25.4 * float(side) for side in figure.get_size_inches())
        files = (f"figures/{name}.svg", f"figures/{name}.png")
        drawing = records.Drawing(*files, width, height, tuple(sorted(record.reads)))
        records.write_drawing(folder, name, drawing)


def device_name(device: str) -> str:
    """`cpu`, or the accelerator by its product name."""
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def interrupted(opening: Opening, runs: Iterable[Summary]) -> Summary:
    """The newest run that was stopped before its end and has the same settings."""
    stopped = [run for run in runs if run.status in ("FAILED", "KILLED")]
    same = [run for run in stopped if run.config_digest == opening.config_digest]
    for run in same:
        if run.is_whole:  # a run that was killed at its very start left nothing to go on with
            return run
    others = f"{len(stopped)} interrupted with other settings" if stopped else "none interrupted"
    raise UserError(
        f"--resume needs an interrupted run of '{opening.study}' with these settings, there is "
        f"none ({others}); give the flags of that run, or leave --resume out"
    )


def find_weights(given: Sequence[str], children: list[str], store: Store) -> dict[str, Path]:
    """Child name -> file, from files and run ids.

    Raises:
        UserError: a file is missing or not of this study's models.
    """
    if children == [GIVEN]:  # the user's own network, whose file knows nothing of ours
        return {name: _own_file(given) for name in children if given}
    found: dict[str, Path] = {}
    for item in given:
        for path in _weight_files(item, store):
            found[models.weights_metadata(path)["name"]] = path
    strangers = sorted(found.keys() - set(children))
    if strangers and not found.keys() & set(children):
        raise UserError(
            f"--weights must hold a model of this run ({', '.join(children)}), got "
            f"{', '.join(strangers)}; choose other weights, or seeds that match"
        )
    return {name: path for name, path in found.items() if name in children}


def _own_file(given: Sequence[str]) -> Path:
    """The one file of weights of the user's own network. Raises UserError for another number."""
    if len(given) > 1 or not Path(given[0]).is_file():
        raise UserError(
            "--weights must be the one safetensors file of the network that --model names, got "
            f"{' '.join(given)}"
        )
    return Path(given[0])


def _weight_files(item: str, store: Store) -> list[Path]:
    if Path(item).suffix == ".safetensors" or Path(item).exists():
        return [Path(item)]
    run = store.find(item)
    files = sorted((run.folder / "weights").glob("*.safetensors"))
    if not files:
        raise UserError(
            f"--weights needs a run that stored weights, {run.id} has none; give another"
        )
    return files
