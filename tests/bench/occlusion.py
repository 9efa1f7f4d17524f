"""Occlusion maps here against captum's, at its default and at its best, on two sizes of network.

    python -m tests.bench.occlusion [THREADS]

Both sides occlude the same image at the same positions; that our map, averaged over the windows
that cover a pixel, is captum's attribution is asserted before anything is timed. captum's best is
the fastest of several numbers of perturbations at a time. All sides take turns in one process, and
each ratio is one of neighbours in time.
"""

import sys
from functools import partial
from typing import NamedTuple

import captum
import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from research.methods.occlusion import occlusion_map, positions
from research.models.zeiler import ZFNet
from tests.bench.turns import Work, compare, lenet, seconds

AT_ONCE = (8, 16, 64, 256)
"""perturbations of captum among which its best is looked for"""
FILL, TARGET = 0.5, 3


class Case(NamedTuple):
    name: str
    model: nn.Sequential
    image: Tensor
    window: int
    stride: int
    rounds: int


def cases() -> list[Case]:
    torch.manual_seed(0)
    return [
        Case("LeNet, 28 pixels", lenet(), torch.rand(1, 28, 28), 4, 2, 15),
        Case("ZFNet, 224 pixels", ZFNet().eval(), torch.rand(3, 224, 224), 48, 22, 5),
    ]


def whole(case: Case) -> Tensor:
    """Whole images go through the network: all that is possible if its layers are not known."""
    model = case.model
    return occlusion_map(lambda x: model(x)[:, TARGET], *case[2:5], FILL)


def by_layers(case: Case) -> Tensor:
    return occlusion_map(lambda x: x[:, TARGET], *case[2:5], FILL, layers=case.model)


def theirs(case: Case, at_once: int) -> Tensor:
    channels, window, stride = len(case.image), case.window, case.stride
    attribution = Occlusion(case.model).attribute(
        case.image[None],
        (channels, window, window),
        strides=(channels, stride, stride),
        baselines=FILL,
        target=TARGET,
        perturbations_per_eval=at_once,
    )
    drops: Tensor = attribution[0, 0]
    return drops


def averaged(case: Case, found: Tensor) -> Tensor:
    """The mean drop over the windows that cover each pixel."""
    with torch.inference_mode():
        drops = case.model(case.image[None])[0, TARGET] - found
    total, times = torch.zeros(2, *case.image.shape[1:])
    rows, columns = (positions(side, case.window, case.stride) for side in case.image.shape[1:])
    for row, top in zip(drops, rows, strict=True):
        for drop, left in zip(row, columns, strict=True):
            place = slice(top, top + case.window), slice(left, left + case.window)
            total[place] += drop
            times[place] += 1
    mean: Tensor = total / times
    return mean


def assert_equal_work(case: Case) -> None:
    reference = theirs(case, AT_ONCE[0])
    for ours in (whole, by_layers):
        difference = (averaged(case, ours(case)) - reference).abs().max() / reference.abs().max()
        assert difference < 1e-3, (ours, difference)
        print(f"{case.name}: {ours.__name__} differs by {difference:.1e} of captum's largest drop")


def against_captum(case: Case) -> None:
    assert_equal_work(case)
    for at_once in AT_ONCE:
        theirs(case, at_once)
    trials = {at_once: seconds(partial(theirs, case, at_once))[1] for at_once in AT_ONCE}
    best = min(trials, key=trials.__getitem__)
    windows = whole(case).numel()
    print(f"  {windows} windows of {case.window} pixels, captum's best is {best} at a time")
    works: dict[str, Work] = {
        "captum default": partial(theirs, case, 1),
        "captum best": partial(theirs, case, best),
        "whole": partial(whole, case),
        "by layers": partial(by_layers, case),
    }
    compare(works, case.rounds, ours=("whole", "by layers"), what=f"occlusion, {case.name}")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"captum {captum.__version__}")  # fmt: skip
    for case in cases():
        against_captum(case)


if __name__ == "__main__":
    main()
