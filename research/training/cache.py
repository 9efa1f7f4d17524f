"""One model of a study: given by the user, found as trained before, or trained now.

A trained model is kept under the digest of everything that it follows from: its first weights, the
images, the settings, the optimiser, the versions, and the code of the model, of its objective and
of the training. A run that needs the same again finds it there, with its curves.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from research.config import Train
from research.machine import hardware, threads
from research.models import load_weights, save_weights
from research.records import Array, read_arrays, sha256
from research.tracking import Log
from research.training import cost, fingerprint, pace, ranks
from research.training.kept import Kept, find, keep, snapshot_file
from research.training.loop import DivergenceError, Epoch, M, Training, fit, fit_together
from research.training.plan import Planning
from research.training.progress import shown


def obtain(
    training: Training[M],
    *,
    name: str,
    params: Mapping[str, Any],
    log: Log,
    snapshots: Iterable[int] = (),
) -> M:
    """Brings a freshly made model to its trained state, and logs how.

    Opens the child run `name`, logs its curves there, and in the run itself the arrays
    `curve_<name>` (one array of values per epoch for `loss_train` and each metric, slashes as
    underscores), the weights and the model's origin. Given weights have no curve.

    Arguments:
        training: what the training's functions close over is part of the model's digest: let it
            be little.
        name: one of the study's `children`.
        params: shown for the child run: arm, seed, optimiser.
        snapshots: epochs after which the weights are stored too, as `weights/<name>-epoch<K>`; see
            `snapshot`. A given model has none.

    Returns:
        `training.model`.
    """
    model, recipe = training.model, Recipe(training, name, params, frozenset(snapshots))
    if isinstance(log, Planning):
        if log.given is not None:
            _bring(recipe, log.given, log.id)
        log.note(recipe)
        return model
    wanted = recipe.wanted
    methods = {**methods_of(training), "threads": recipe.threads}
    digest = recipe.digest
    with log.child(name, {**params, "model_digest": digest[:12]}) as child:
        if child.pretrained:
            load_weights(child.pretrained, model)
            kept = None
        elif kept := recipe.found(log.id):
            load_weights(kept.weights, model)
            if kept.run != log.id:
                _tell(name, kept)
            _log_curve(name, kept.epochs, child, log)
        else:
            kept = _train(recipe, child, log)
    _log_model(name, model, {**methods, "digest": digest}, kept, wanted, log)
    threads.widen(recipe.threads)
    return model


def _bring(recipe: "Recipe[Any]", given: Mapping[str, Path], run: str) -> None:
    """Gives a model that is only planned the weights that it is known to get."""
    kept = None if recipe.name in given else recipe.found(run)
    if file := given.get(recipe.name, kept and kept.weights):
        load_weights(file, recipe.training.model)


@dataclass(frozen=True, eq=False)
class Recipe(Generic[M]):
    """What `obtain` is asked for; see there."""

    training: Training[M]
    name: str
    params: Mapping[str, Any]
    snapshots: frozenset[int]

    @property
    def settings(self) -> Train:
        return self.training.settings

    @cached_property
    def digest(self) -> str:
        """Of the model as it is before it is trained; with the ranks, whose sums it orders."""
        if ranks.COUNT == 1:
            return self._begun
        return hashlib.sha256(f"{self._begun} on {ranks.COUNT} ranks".encode()).hexdigest()

    @cached_property
    def _begun(self) -> str:
        return digest_of(self.training, self.threads)

    @cached_property
    def threads(self) -> int:
        """On how many the model trains. Raises UserError where a batch has no room."""
        return prepare(self.training)

    @property
    def wanted(self) -> list[int]:
        """The epochs of which there are snapshots to store."""
        return sorted(self.snapshots & set(range(1, self.settings.epochs + 1)))

    def kind(self, beside: int = 0) -> pace.Kind:
        """What the time of its training depends on."""
        on = f" on {ranks.COUNT} ranks" if ranks.COUNT > 1 else ""
        return pace.Kind(
            self.name,
            sum(weight.numel() for weight in self.training.model.parameters()),
            len(self.training.samples),
            self.settings.batch,
            self.training.samples.device.type + on,
            self.threads,
            beside,
        )

    def found(self, run: str) -> Kept | None:
        """The model, if it is kept; with `--train.again` only if it is the run's own."""
        kept = find(self.digest, self.wanted)
        return kept if kept and (not self.settings.again or kept.run == run) else None

    def checkpoint(self, log: Log) -> Path:
        # by digest too: what other code has begun must not be gone on with, other ranks may
        return log.path(f"checkpoints/{self.name}-{self._begun[:12]}.pt")

    def files(self, log: Log) -> dict[int, Path]:
        """Where the snapshots lie while the model is trained."""
        name = f"checkpoints/{self.name}-{self._begun[:12]}"
        return {k: log.path(f"{name}-epoch{k}.safetensors") for k in self.wanted}


def _train(recipe: Recipe[Any], child: Log, log: Log) -> Kept:
    name, files = recipe.name, recipe.files(log)
    clock = pace.Clock()
    epochs = clock.watch(fit(recipe.training, recipe.checkpoint(log)))
    shots = _photographed(epochs, recipe.training.model, files)
    try:
        with threads.limited(recipe.threads):
            curve = _log_curve(name, shown(shots, name, recipe.settings.epochs), child, log)
    except DivergenceError as error:
        raise DivergenceError(f"{name}: {error}") from None
    facts = pace.facts(recipe.kind(), clock)
    return keep(recipe.training.model, recipe.digest, log.id, curve, files, facts)


def train_together(recipes: Sequence[Recipe[Any]], log: Log) -> None:
    """Trains models of as many epochs and samples side by side, and keeps them for `obtain`.

    Where one comes apart, or the memory does not suffice for all, they are left as they are then:
    `obtain` goes on from their checkpoints, with one after the other.
    """
    label = f"{recipes[0].name} and {len(recipes) - 1} beside it"
    firsts = (epochs[0] for epochs in trained(recipes, log))
    try:
        for _ in shown(firsts, label, recipes[0].settings.epochs):
            pass
    except (DivergenceError, torch.OutOfMemoryError):
        return


def trained(recipes: Sequence[Recipe[Any]], log: Log) -> Iterator[list[Epoch]]:
    """Passes on each epoch of models that train side by side; after the last, keeps the models.

    Of the log only the run's id and its folder are used.
    """
    files = [recipe.files(log) for recipe in recipes]
    curves: list[list[Epoch]] = [[] for _ in recipes]
    trainings, clock = [recipe.training for recipe in recipes], pace.Clock()
    together = fit_together(trainings, [recipe.checkpoint(log) for recipe in recipes])
    for epochs in clock.watch(together):
        for recipe, shots, curve, epoch in zip(recipes, files, curves, epochs, strict=True):
            _photograph(epoch, recipe.training.model, shots)
            curve.append(epoch)
        yield epochs
    for recipe, shots, curve in zip(recipes, files, curves, strict=True):
        facts = pace.facts(recipe.kind(len(recipes) - 1), clock)
        keep(recipe.training.model, recipe.digest, log.id, curve, shots, facts)


def expected(wanted: Iterable[Recipe[Any]]) -> dict[str, float]:
    """By name, the seconds that each training will take by those of earlier runs, where known."""
    return pace.expected({one.name: (one.kind(), one.settings.epochs) for one in wanted})


def prepare(training: Training[Any]) -> int:
    """The number of threads on which the model trains. An accelerator leaves the host its own.

    Raises:
        UserError: what a batch of training computes has no room in the memory.
    """
    samples = training.samples
    if samples.device.type != "cpu":
        return threads.AVAILABLE
    sample = cost.of_sample(training.model, samples, training.objective)
    batch = min(training.settings.batch, len(samples))
    hardware.require_memory(
        sample.memory * batch, f"a batch of {batch:,} images", "lower --train.batch or --data.size"
    )
    return threads.suited(sample.operations * batch)


def digest_of(training: Training[Any], count: int = 1) -> str:
    """sha256 of everything that a trained model and its curve follow from.

    Of the machine that is the number of threads on a CPU, whose sums it orders: 1 wherever the
    batches are small.
    """
    model, samples, settings = training.model, training.samples, training.settings
    optimiser, scheduler = training.optimiser, training.scheduler
    kinds = sorted({type(module) for module in model.modules()}, key=lambda kind: kind.__qualname__)
    return fingerprint.digest(
        {"python": sys.version_info[:2], "torch": torch.__version__},
        [str(model), getattr(model, "config", None), kinds, dict(model.named_buffers())],
        [(name, weight.requires_grad, weight) for name, weight in model.named_parameters()],
        samples,
        [training.seed, settings.epochs, settings.batch, settings.precision],
        [torch.device(settings.device).type, count if samples.device.type == "cpu" else None],
        [type(optimiser), _settings_of(optimiser, model)],
        [type(scheduler), vars(scheduler).get("lr_lambdas"), scheduler.state_dict()]
        if scheduler
        else None,
        [fit, training.objective, training.evaluate],
    )


def methods_of(training: Training[Any]) -> dict[str, Any]:
    """What a methods section says of a training, read off the objects before it begins."""
    rates = sorted({float(group["lr"]) for group in training.optimiser.param_groups})
    return {
        "parameters": sum(weight.numel() for weight in training.model.parameters()),
        "optimiser": type(training.optimiser).__name__,
        "lr": rates[0] if len(rates) == 1 else rates,
        "epochs": training.settings.epochs,
        "batch": training.settings.batch,
    }


def _settings_of(optimiser: Optimizer, model: nn.Module) -> list[dict[str, Any]]:
    """The settings of each group of parameters, and the names of these in the model."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    return [
        {**group, "params": [names.get(id(weight)) for weight in group["params"]]}
        for group in optimiser.param_groups
    ]


def snapshot(model: M, name: str, epoch: int, log: Log) -> M:
    """Brings a freshly made model to the state in which `name` was after an epoch.

    Raises:
        UserError: there is no such snapshot; `obtain` was not asked for it, or took given weights.
    """
    load_weights(_snapshot_of(name, epoch, log), model)
    return model


def has_snapshot(name: str, epoch: int, log: Log) -> bool:
    """Whether `snapshot` would find one: given weights have none."""
    return _snapshot_of(name, epoch, log).exists()


def curve_of(name: str, log: Log) -> dict[str, Array] | None:
    """What `obtain` logged of a model's epochs, by metric; None for given weights."""
    path = log.path(f"arrays/curve_{name}.npz")
    if not path.exists():
        return None
    return read_arrays(path)


def _photographed(
    epochs: Iterator[Epoch], model: nn.Module, files: Mapping[int, Path]
) -> Iterator[Epoch]:
    """Passes epochs through and stores the weights after those that have a file to go to.

    Of the epochs that a resumed training brings back, only the last one's file can be missing, if
    the kill came between checkpoint and file; and that is the state in which the model is then.
    """
    for epoch in epochs:
        _photograph(epoch, model, files)
        yield epoch


def _photograph(epoch: Epoch, model: nn.Module, files: Mapping[int, Path]) -> None:
    file = files.get(epoch.number)
    if file and not file.exists():
        part = file.with_suffix(".part")
        save_weights(part, model, file.stem)
        part.replace(file)


def _snapshot_of(name: str, epoch: int, log: Log) -> Path:
    return log.path(f"weights/{name}-epoch{epoch}.safetensors")


def _tell(name: str, kept: Kept) -> None:
    print(
        f"{name}  found: trained by run {kept.run[:8]} in {kept.seconds:.0f} s from the same data, "
        "settings and code (--train.again trains it anew)",
        file=sys.stderr,
        flush=True,
    )


def _log_curve(name: str, epochs: Iterable[Epoch], child: Log, log: Log) -> list[Epoch]:
    curve = []
    for epoch in epochs:
        child.metrics(epoch.number, epoch.values())
        curve.append(epoch)
    points = [{"loss/train": epoch.loss, **epoch.metrics} for epoch in curve]
    log.arrays(
        f"curve_{name}",
        **{
            metric.replace("/", "_"): np.array([point[metric] for point in points])
            for metric in points[0]
        },
    )
    return curve


def _log_model(
    name: str,
    model: nn.Module,
    methods: dict[str, Any],
    kept: Kept | None,
    snapshots: list[int],
    log: Log,
) -> None:
    """Stores the weights in the record, and where they came from: without `kept`, the user."""
    weights = log.path(f"weights/{name}.safetensors")
    save_weights(weights, model, name)
    # by what rule given weights came about is not known
    known = methods if kept else {key: methods[key] for key in ("parameters", "digest")}
    facts: dict[str, Any] = {"origin": "given"}
    if kept:
        # of a resumed run, also what it had trained itself before it was stopped
        origin = "trained" if kept.run == log.id else "found"
        facts = {"origin": origin, "run": kept.run, "seconds": kept.seconds}
        if how := kept.steps:
            facts["steps"] = how
        for number in snapshots:
            shutil.copy(snapshot_file(kept.folder, number), _snapshot_of(name, number, log))
    log.model(name, {**known, **facts, "sha256": sha256(weights)})
