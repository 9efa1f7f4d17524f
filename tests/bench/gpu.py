"""What a GPU gives: training, the attack's sweep, reading and analyses, both sides in one run.

    python -m tests.bench.gpu [--out FILE.json] [--only WORD] [--seconds 280]

Equal results are checked before anything is timed and told as PASS or FAIL with both numbers; a row
that fails does not end the rest. Without a GPU all goes through at small sizes, to try the script.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from research import paths
from research.config import Data, Train
from research.data import Split, load
from research.methods import reconstruction
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
from research.models import ConvAutoencoder, LeNet, TutorialCnn, Vgg16, ZFNet
from research.models.inference import predict
from research.studies.vgg.networks import augmented_loss
from research.training import graphs
from research.training.loop import Training, fit_together, placed, tf32
from tests.bench.turns import EPS, tutorial

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
PRECISION: Any = "bfloat16" if CUDA else "float32"
START = time.perf_counter()
ROWS: list[dict[str, Any]] = []
CHECKS: list[dict[str, Any]] = []


def wait() -> None:
    if CUDA:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """The median of some rounds after one that warms up."""
    work()
    return statistics.median(seconds(work) for _ in range(rounds))


def row(name: str, value: float, unit: str, goal: str = "", note: str = "") -> None:
    ROWS.append({"row": name, "value": value, "unit": unit, "goal": goal, "note": note})
    print(
        f"  [{time.perf_counter() - START:5.0f} s] {name}: {value:,.4g} {unit}  {note}", flush=True
    )


def check(name: str, passed: bool, note: str) -> None:
    CHECKS.append({"check": name, "passed": bool(passed), "note": note})
    print(f"  {'PASS' if passed else 'FAIL'} {name}: {note}", flush=True)


@contextmanager
def section(name: str) -> Iterator[None]:
    print(f"{name}", flush=True)
    try:
        yield
    except Exception as error:  # the other rows shall be measured all the same
        check(name, False, f"{type(error).__name__}: {str(error)[:300]}")
        traceback.print_exc()
    if CUDA:
        torch.cuda.empty_cache()


@contextmanager
def step_by_step(asked: bool = True) -> Iterator[None]:
    former = graphs.usable
    if asked:
        graphs.usable = lambda device: False
    try:
        yield
    finally:
        graphs.usable = former


def pictures(count: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Split:
    order = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=order)
    return Split(images, torch.randint(0, 10, (count,), generator=order)).to(DEVICE)


# --- training ------------------------------------------------------------------------------------


def ae_loss(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
    return reconstruction.bce(images, model(images)).mean()


def ae(
    seed: int, split: Split, epochs: int, batch: int = 32, precision: Any = PRECISION
) -> Training[Any]:
    torch.manual_seed(seed)
    settings = Train(epochs, batch, 1e-3, DEVICE, precision)
    model = placed(ConvAutoencoder(3, "transpose" if seed % 2 else "upsample"), settings)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    return Training(model, split, ae_loss, optimiser, settings, seed=seed)


def vgg(seed: int, split: Split, epochs: int, batch: int = 128) -> Training[Any]:
    torch.manual_seed(seed)
    settings = Train(epochs, batch, 0.05, DEVICE, PRECISION)
    model = placed(Vgg16(1.0 if CUDA else 0.125), settings)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    return Training(model, split, augmented_loss, optimiser, settings, seed=seed)


def run(*trainings: Training[Any]) -> tuple[float, str, list[float]]:
    """Samples a second of all together, the first epoch aside; how; the last losses."""
    epochs = [*fit_together(trainings)]
    rates = [sum(len(trainings[0].samples) for _ in row) / sum(e.seconds for e in row)
             for row in epochs]  # fmt: skip
    later = rates[1:] or rates
    return statistics.median(later), epochs[-1][0].steps, [e.loss for e in epochs[-1]]


def equal(name: str, make: Callable[[int, Split, int], Training[Any]], split: Split) -> None:
    """Recorded and side by side against step by step, all on kernels that repeat themselves."""
    former = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    with step_by_step():
        true = [make(seed, split, 2) for seed in (1, 2, 3)]
        losses = [run(one)[2][0] for one in true]
        again = make(1, split, 2)
        run(again)
    alone = make(1, split, 2)
    _, how, [loss] = run(alone)
    together = [make(seed, split, 2) for seed in (1, 2, 3)]
    _, beside, found = run(*together)
    torch.backends.cudnn.deterministic = former
    noise, gap = apart(again, true[0]), apart(alone, true[0])
    check(f"{name}: graph = step by step", gap <= 20 * noise,
          f"largest difference of weights {gap:.2e} (step by step twice {noise:.2e}), losses "
          f"{loss:.8f} {losses[0]:.8f}; {how}")  # fmt: skip
    gaps = [apart(a, b) for a, b in zip(together, true, strict=True)]
    told = ", ".join(f"{value:.2e}" for value in gaps)
    check(f"{name}: side by side = alone", max(gaps) <= 20 * noise,
          f"largest differences {told}; losses {found}; {beside}")  # fmt: skip


def apart(a: Training[Any], b: Training[Any]) -> float:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    gaps = ((x.double() - y.double()).abs().max() / y.double().abs().max().clamp(min=1e-12)
            for x, y in pairs)  # fmt: skip
    return max(float(gap) for gap in gaps)


class Files(Dataset[tuple[Tensor, int]]):
    """Images as the course's data set holds them: an array, made a PIL image and a tensor each."""

    def __init__(self, split: Split) -> None:
        self.arrays = split.images.cpu().permute(0, 2, 3, 1).numpy()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = np.asarray(Image.fromarray(self.arrays[index]), np.float32)
        return torch.from_numpy(picture / 255).permute(2, 0, 1).contiguous(), 0


def course(split: Split, workers: int) -> float:
    """Images a second of the notebook's loop, its workers started."""
    model = ConvAutoencoder().to(DEVICE)
    criterion, optimizer = nn.BCELoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    loader = DataLoader(Files(split), 32, shuffle=True, num_workers=workers)
    steps, start, total = 0, 0.0, 0.0
    for images, _ in loader:
        if steps == 20:
            wait()
            start = time.perf_counter()
        images = images.to(DEVICE)
        optimizer.zero_grad()
        loss = criterion(model(images), images)
        loss.backward()
        optimizer.step()
        total += loss.item() * images.size(0)
        steps += 1
    wait()
    return 32 * (steps - 20) / (time.perf_counter() - start)


def training_ae() -> None:
    equal("ae", ae, pictures(32 * 40 + 7 if CUDA else 32 * 6 + 7))
    small, large = pictures(9600 if CUDA else 960), pictures(50_000 if CUDA else 960)
    for workers in (0, 8) if CUDA else (0,):
        rate = course(small, workers)
        row(f"ae batch 32, course's DataLoader, {workers} workers", rate, "images/s")
    with step_by_step():
        row("ae batch 32, step by step", run(ae(1, small, 3))[0], "images/s")
    rate, how, _ = run(ae(1, large, 4))
    row("ae batch 32, one model", rate, "images/s", "≥ 100,000", how)
    rate, how, _ = run(ae(1, large, 3, precision="float32"))
    row("ae batch 32, one model, float32", rate, "images/s", "", how)
    for count in (3, 6, 8) if CUDA else (3,):
        rate, how, _ = run(*(ae(seed, large, 3) for seed in range(count)))
        goal = "≥ 250,000" if count == 6 else ""
        row(f"ae batch 32, {count} models side by side", rate, "images/s", goal, how)
        if count == 6:
            minutes = 6 * 100 * 50_000 / rate / 60
            row("ae, full preset, from that rate", minutes, "min", "≤ 3", "without evaluation")


def training_stacked() -> None:
    """Six networks of one architecture as one of stacked weights, for comparison."""
    split, count, batch = pictures(50_000), 6, 32
    models = [placed(ConvAutoencoder(), Train(device=DEVICE)) for _ in range(count)]
    params, buffers = torch.func.stack_module_state(models)
    params = {key: value.detach().requires_grad_() for key, value in params.items()}
    optimiser = torch.optim.Adam(params.values(), lr=1e-3, fused=True, capturable=True)

    def one(weights: Any, constants: Any, images: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            out = torch.func.functional_call(models[0], (weights, constants), (images,))
        return reconstruction.bce(images, out.float()).mean()

    step_of_all = torch.func.vmap(one)
    order = torch.stack([torch.randperm(len(split)) for _ in range(count)]).to(DEVICE)
    place = torch.zeros((), dtype=torch.int64, device=DEVICE)
    places = torch.arange(batch, device=DEVICE)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        index = order.index_select(1, places + place)
        images = split.images[index].float().div_(255)
        step_of_all(params, buffers, images).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        place.add_(batch)

    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    steps = len(split) // batch - 10

    def epoch() -> None:
        place.zero_()
        for _ in range(steps):
            graph.replay()

    row("ae batch 32, 6 models stacked (vmap), for comparison",
        count * steps * batch / best(epoch, 2), "images/s")  # fmt: skip


def training_vgg() -> None:
    equal("vgg", vgg, pictures(128 * 8 + 7 if CUDA else 128 * 5 + 7))
    split = pictures(128 * 200 if CUDA else 128 * 5)
    for batch in (128, 512) if CUDA else (64,):
        with step_by_step():
            row(f"vgg batch {batch}, step by step", run(vgg(1, split, 2, batch))[0], "images/s")
        rate, how, _ = run(vgg(1, split, 3, batch))
        goal = "≥ 50,000" if batch == 128 else ""
        row(f"vgg batch {batch}, one model", rate, "images/s", goal, how)
    rate, how, _ = run(*(vgg(seed, split, 3) for seed in range(3)))
    row("vgg batch 128, 3 models side by side", rate, "images/s", "", how)
    row("vgg, three seeds of the full preset, from that rate", 3 * 60 * 50_000 / rate / 60, "min",
        "≤ 4", "without evaluation")  # fmt: skip


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
