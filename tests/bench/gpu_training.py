"""What a GPU gives in training: one model, several side by side, the course's loop."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from research.config import Train
from research.data import Split
from research.methods import reconstruction
from research.models import ConvAutoencoder, Vgg16
from research.studies.vgg.networks import augmented_loss
from research.training.loop import Training, fit_together, placed
from tests.bench.gpu_rows import (
    CUDA,
    DEVICE,
    PRECISION,
    best,
    check,
    pictures,
    row,
    step_by_step,
    wait,
)


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
