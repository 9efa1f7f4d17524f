"""Projections here against captum's, and the search for top activations against plain inference.

    python -m tests.bench.deconvnet [THREADS]

Both sides project the same activations, the nine strongest of each of 16 maps in a set of images;
that they come to the same pictures is asserted before anything is timed. captum is used as its
documentation has it, one activation at a time, and at its best, with a function that selects one
activation of each image of a batch, in the fastest of several sizes of batch. All sides take turns
in one process, and each ratio is one of neighbours in time. Networks have no contrast norm, of
which captum would take the gradient. The search is compared with the network's own forward pass
over the same batches; its memory is that of a process of its own.
"""

import subprocess
import sys
import warnings
from functools import partial
from typing import NamedTuple

import captum
import torch
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn

from research.data import Split, batches
from research.machine.hardware import peak_memory
from research.methods.chain import Chain
from research.methods.deconvnet import Units, pasted, project
from research.methods.top_activations import strongest
from research.models.inference import evaluation
from research.models.zeiler import ZFNet
from research.paths import ROOT
from tests.bench.turns import ONCE, Work, compare, lenet, seconds

MAPS, TOP, ROUNDS = 16, 9, 7
AT_ONCE = (16, 48, MAPS * TOP)
"""sizes of captum's batches among which its best is looked for"""


class Case(NamedTuple):
    name: str
    model: nn.Sequential
    split: Split
    layers: tuple[int, ...]
    """behind whose ReLUs activations are looked for"""
    batch: int


def zfnet(side: int) -> nn.Sequential:
    layers = ZFNet(0.25, 10, side=side).named_children()
    return nn.Sequential(*(layer for name, layer in layers if not name.startswith("norm")))


def random_split(count: int, channels: int, side: int) -> Split:
    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)
    return Split(images, torch.zeros(count, dtype=torch.int64))


def cases() -> list[Case]:
    torch.manual_seed(0)
    return [
        Case("LeNet, 28 pixels", lenet(), random_split(4096, 1, 28), (2, 5, 8), 512),
        Case("ZFNet × 1/4, 64 pixels", zfnet(64).eval(), random_split(1024, 3, 64),
             (2, 5, 8, 12), 256),
    ]  # fmt: skip


# --- projections ---------------------------------------------------------------------------------


class Task(NamedTuple):
    """Activations of a layer, and the images that they are in."""

    case: Case
    chain: Chain
    layer: int
    images: Tensor
    units: Units
    values: Tensor


def task(case: Case, chain: Chain, layer: int) -> Task:
    found = strongest(chain, case.split, [str(layer)], TOP, case.batch)[str(layer)]
    alive = torch.nonzero((found.values > 0).all(1))[:, 0]
    maps = alive[torch.arange(MAPS) % len(alive)]  # a first layer may have fewer than 16
    chosen, place = torch.unique(found.images[maps], return_inverse=True)
    units = found.units(maps)._replace(image=place.flatten())
    images = case.split.images[chosen].float() / 255
    return Task(case, chain, layer, images, units, found.values[maps].flatten())


def ours(task: Task) -> Tensor:
    return project(task.chain, task.images, str(task.layer), task.units).values


def batched(task: Task, at_once: int) -> Tensor:
    """captum with one activation of each image of a batch."""
    attribution = NeuronDeconvolution(task.case.model, task.case.model[task.layer])
    parts = []
    for rows in torch.split(torch.arange(len(task.values)), at_once):
        image, *place = (column[rows] for column in columns(task))
        select = partial(selected, place=place)
        parts.append(attribution.attribute(task.images[image].requires_grad_(), select).detach())
    return torch.cat(parts) * task.values[:, None, None, None]


def selected(output: Tensor, place: list[Tensor]) -> Tensor:
    return output[torch.arange(len(output)), *place]


def one_by_one(task: Task) -> Tensor:
    """captum with an image and a place at a time."""
    attribution = NeuronDeconvolution(task.case.model, task.case.model[task.layer])
    parts = []
    for image, *place in torch.stack(columns(task), 1).tolist():
        inputs = task.images[image : image + 1].clone().requires_grad_()
        select = tuple(place) if len(place) > 1 else place[0]
        parts.append(attribution.attribute(inputs, select).detach())
    return torch.cat(parts) * task.values[:, None, None, None]


def columns(task: Task) -> list[Tensor]:
    """Image and map of each activation, and row and column behind a convolution."""
    flat = isinstance(task.case.model[task.layer - 1], nn.Linear)
    return [task.units.image, task.units.feature_map, *(() if flat else task.units.position.T)]


def assert_equal_work(task: Task) -> None:
    found = project(task.chain, task.images, str(task.layer), task.units)
    whole = pasted(found, task.images.shape)
    for theirs in (batched(task, AT_ONCE[0]), one_by_one(task)):
        difference = (whole - theirs).abs().max() / theirs.abs().max()
        assert difference < 1e-5, (task.case.name, task.layer, difference)
    size = " × ".join(map(str, found.values.shape[2:]))
    print(f"{task.case.name}, layer {task.layer}: {len(task.values)} projections of "
          f"{len(task.images)} images to {size} pixels, equal to {difference:.0e}")  # fmt: skip


def projections(case: Case) -> None:
    chain = Chain(case.model, case.split.images[:2].float() / 255)
    for layer in case.layers:
        given = task(case, chain, layer)
        assert_equal_work(given)
        trials = {size: seconds(partial(batched, given, size))[1] for size in AT_ONCE}
        best = min(trials, key=trials.__getitem__)
        print(f"  captum's best is {best} at a time")
        works: dict[str, Work] = {
            "captum, one by one": partial(one_by_one, given),
            "captum, batches": partial(batched, given, best),
            "here": partial(ours, given),
        }
        what = f"projections, {case.name}, layer {given.layer}"
        compare(works, ROUNDS, what=what, goals={"captum, batches": "≥ 1.5"})


# --- search --------------------------------------------------------------------------------------


def plain(case: Case) -> None:
    with evaluation(case.model):
        for images, _ in batches(case.split, case.batch):
            case.model(images)


def search(case: Case) -> None:
    """All layers at once, and the last alone, so that the forward pass is a whole one."""
    chain = Chain(case.model, case.split.images[:2].float() / 255)
    names = [str(layer) for layer in case.layers]
    print(f"{case.name}: {TOP} strongest of {len(case.split)} images, layers {', '.join(names)}")
    works: dict[str, Work] = {
        "plain inference": lambda: plain(case),
        "here": lambda: strongest(chain, case.split, [*names, chain.names[-1]], TOP, case.batch),
    }
    what = f"search for top activations, {case.name}"
    compare(works, 2 * ROUNDS, what=what, goals={"plain inference": "≥ 0.8"})


def memory(count: int) -> None:
    """Prints how much more memory this process needs for a set than for its first batch."""
    torch.manual_seed(0)
    split = random_split(count, 1, 28)
    chain = Chain(lenet(), split.images[:2].float() / 255)
    first = Split(split.images[:512], split.labels[:512])
    strongest(chain, first, ["2", "5"], TOP, 512)
    before = peak_memory()
    found = strongest(chain, split, ["2", "5"], TOP, 512)
    kept = sum(column.untyped_storage().nbytes() for one in found.values() for column in one)
    print(f"  {count:,} images: {(peak_memory() - before) / 2**20:.1f} MiB more than for 512, "
          f"{kept / 1024:.1f} KiB kept")  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"captum {captum.__version__}")  # fmt: skip
    for case in cases():
        projections(case)
    for case in cases():
        search(case)
    if ONCE:
        return
    print("peak memory of a search, in a process of its own:", flush=True)
    for count in (10_000, 40_000):
        code = f"from tests.bench.deconvnet import memory; memory({count})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
