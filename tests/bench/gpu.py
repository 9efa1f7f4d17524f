"""What a GPU gives: training, the attack's sweep, reading and analyses, both sides in one run.

    python -m tests.bench.gpu [--out FILE.json] [--only WORD] [--seconds 280]

Equal results are checked before anything is timed and told as PASS or FAIL with both numbers; a row
that fails does not end the rest. Without a GPU all goes through at small sizes, to try the script.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from research import paths
from research.config import Data, Train
from research.data import load
from research.methods.chain import Chain
from research.methods.fgsm import (
    accuracy_curve,
    added,
    cross_entropy_loss,
    input_gradient,
    predictions,
)
from research.methods.occlusion import occlude, occlusion_map
from research.methods.perturbations import fooling_matrix, random_signs
from research.methods.top_activations import strongest
from research.models import LeNet, TutorialCnn, Vgg16, ZFNet
from research.models.inference import predict
from research.training.loop import placed, tf32
from tests.bench.gpu_rows import (
    CHECKS,
    CUDA,
    DEVICE,
    ROWS,
    START,
    best,
    check,
    pictures,
    row,
    seconds,
    section,
)
from tests.bench.gpu_training import training_ae, training_stacked, training_vgg
from tests.bench.turns import EPS, tutorial

# --- the attack's sweep --------------------------------------------------------------------------


def sweep_here(model: nn.Module, images: Tensor, labels: Tensor, batch: int | None) -> list[int]:
    gradient = input_gradient(model, images, labels, cross_entropy_loss, batch=batch)
    return accuracy_curve(model, images, labels, gradient, EPS, batch=batch)


def sweep() -> None:
    for name, network in (("LeNet", LeNet), ("the tutorial's network", TutorialCnn)):
        torch.manual_seed(0)
        model = network().to(DEVICE).eval()
        count, part = (10_000, 250) if CUDA else (400, 20)
        images = torch.rand(count, 1, 28, 28, device=DEVICE)
        labels = predictions(model, images)
        some = images[:part], labels[:part]
        theirs, ours = tutorial(model, *some), sweep_here(model, *some, None)
        near = max(abs(a - b) for a, b in zip(theirs, ours, strict=True))
        check(f"sweep, {name}", near <= max(1, part // 100), f"right at each eps {theirs} {ours}")
        slow = seconds(partial(tutorial, model, *some)) * count / part
        row(f"sweep, {name}, tutorial's loop", slow, "s", "", f"{part} images, scaled to {count:,}")
        for layout in (torch.contiguous_format, torch.channels_last):
            laid = model.to(memory_format=layout)
            for batch in (512, 2048, 10_000) if CUDA else (200,):
                time_ = best(partial(sweep_here, laid, images, labels, batch))
                goal = "≥ 2,000" if batch == 2048 else ""
                row(f"sweep, {name}, batch {batch}, {str(layout)[6:]}", slow / time_,
                    "times as fast", goal, f"{time_ * 1e3:.1f} ms")  # fmt: skip


# --- reading -------------------------------------------------------------------------------------


def _paint(task: tuple[str, int, int]) -> None:
    folder, seed, count = task
    Path(folder).mkdir(parents=True)
    order = np.random.default_rng(seed)
    for i in range(count):
        small = order.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((32, 32)).save(f"{folder}/{i:05}.jpg", quality=90)


def reading() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths.CACHE = Path(folder, "cache")
        root = paths.DATA / "cifar10-jpeg"
        if not CUDA or not root.is_dir():
            root = Path(folder, "set")
            counts = {"train": 5000, "test": 1000} if CUDA else {"train": 300, "test": 60}
            tasks = [(f"{root}/{side}/class{label}", 10 * label + len(side), count)
                     for side, count in counts.items() for label in range(10)]  # fmt: skip
            with ProcessPoolExecutor() as pool:
                list(pool.map(_paint, tasks))
            time.sleep(2.5)  # so late a change could not be told from another
        config = Data("folder", root)
        start = time.perf_counter()
        first = load(config)
        row("folder of JPEG files, first run", time.perf_counter() - start, "s", "",
            f"{len(first.train) + len(first.test):,} files, of {root.name}")  # fmt: skip
        start = time.perf_counter()
        second = load(config)
        row("folder of JPEG files, second run", time.perf_counter() - start, "s", "≤ 1")
        same = torch.equal(first.train.images, second.train.images)
        facts_same = first.facts() == second.facts()
        check("folder of JPEG files", same and facts_same, first.sha256[:12])


# --- analyses ------------------------------------------------------------------------------------


def analyses() -> None:
    """How much of plain inference's speed each reaches."""
    torch.manual_seed(0)
    network = placed(ZFNet(0.5, 10, side=64), Train(device=DEVICE)).eval()
    split = pictures(10_000 if CUDA else 200, (3, 64, 64))
    chain = Chain(network, split.images[:2].float() / 255)
    layers = [name for name in chain.names if name.startswith("relu")][:5]
    plain = best(lambda: predict(network, split))
    found = best(lambda: strongest(chain, split, layers))
    row("search for top activations", plain / found, "of plain inference", "≥ 0.8",
        f"{len(layers)} layers, {plain:.3f} s and {found:.3f} s")  # fmt: skip
    for name, model, shape in (
        ("LeNet", LeNet(), (1, 28, 28)),
        ("VGG16", Vgg16(1.0 if CUDA else 0.125), (3, 32, 32)),
    ):
        model = model.to(DEVICE).eval()
        count, rows_ = (500, 100) if CUDA else (50, 10)
        images = torch.rand(count, *shape, device=DEVICE)
        noises = random_signs(rows_, images.shape[1:], 0.1, seed=0).to(DEVICE)
        ready = torch.cat([added(images, noise, True) for noise in noises])
        plain = best(partial(predictions, model, ready))
        found = best(partial(fooling_matrix, model, images, noises))
        row(f"fooling matrix, {name}", plain / found, "of plain inference", "≥ 0.8",
            f"{rows_} × {count}, {plain * 1e3:.1f} ms and {found * 1e3:.1f} ms")  # fmt: skip
    image = torch.rand(3, 64, 64, device=DEVICE)
    ready = torch.cat([*occlude(image, 16, 2, 0.5)])

    def forward() -> Tensor:
        with torch.inference_mode():
            return torch.cat([network(x) for x in torch.split(ready, 256)])

    body = [*network.children()]
    plain, found = (
        best(forward),
        best(lambda: occlusion_map(nn.Identity(), image, 16, 2, 0.5, layers=body)),
    )
    row("occlusion", plain / found, "of plain inference", "≥ 0.8",
        f"{len(ready)} places, {plain * 1e3:.1f} ms and {found * 1e3:.1f} ms")  # fmt: skip


SECTIONS: Sequence[Callable[[], None]] = (
    training_ae, training_stacked, training_vgg, sweep, reading, analyses,
)  # fmt: skip


def facts() -> dict[str, Any]:
    known: dict[str, Any] = {
        "torch": torch.__version__, "python": platform.python_version(), "cpus": os.cpu_count(),
        "load": os.getloadavg()[0], "device": DEVICE, "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    if CUDA:
        properties = torch.cuda.get_device_properties(0)
        known |= {
            "device": properties.name, "memory_gb": round(properties.total_memory / 2**30),
            "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }  # fmt: skip
    return known


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=280)
    asked = parser.parse_args()
    print(facts(), flush=True)
    for work in SECTIONS:
        if asked.only not in work.__name__ or (work is training_stacked and not CUDA):
            continue
        if time.perf_counter() - START > asked.seconds:
            check(work.__name__, False, "not measured: out of time")
            continue
        with section(work.__name__), tf32(False):
            work()
    width = max((len(one["row"]) for one in ROWS), default=0)
    print()
    for one in ROWS:
        print(f"{one['row']:{width}}  {one['value']:>12,.4g} {one['unit']:18} {one['goal']:10} "
              f"{one['note']}")  # fmt: skip
    for one in CHECKS:
        print(f"{'PASS' if one['passed'] else 'FAIL'}  {one['check']}: {one['note']}")
    print(f"{time.perf_counter() - START:.0f} s in all")
    if asked.out:
        asked.out.write_text(json.dumps(
            {"machine": facts(), "rows": ROWS, "checks": CHECKS}, indent=1, ensure_ascii=False
        ))  # fmt: skip


if __name__ == "__main__":
    main()
