"""Training as here against training as in the course's notebooks, and what tracking costs.

    python -m tests.bench.train

Both sides train the same network from the same weights on the same images in the same order, in
batches of 20; equal losses are asserted before anything is timed. They take turns in one process,
and each ratio is one of neighbours in time, so a machine whose speed drifts does not decide it.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms

from research.config import Data, Train
from research.data import Split, load
from research.methods import reconstruction
from research.models import ConvAutoencoder
from research.tracking import Opening, open_store
from research.training.loop import Training, fit, placed
from tests.bench.turns import ONCE, compare, note, seconds

ROUNDS = 5
SETTINGS = Train(epochs=1, batch=20, lr=1e-3, device="cpu", precision="float32")


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hold them: an array, made a PIL image and a tensor each."""

    def __init__(self, split: Split) -> None:
        self.arrays = split.images.permute(0, 2, 3, 1).numpy()
        self.labels = split.labels.tolist()
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


class SameOrder(Sampler[int]):
    """The order in which `fit` shows the images of its first epoch."""

    def __init__(self, order: Tensor) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())


def course(model: nn.Module, split: Split, order: Tensor) -> float:
    """One epoch of the notebook; the mean loss over images."""
    loader = DataLoader(Pictures(split), batch_size=20, sampler=SameOrder(order), num_workers=0)
    criterion, optimizer = nn.BCELoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    total = 0.0
    for images, _ in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), images)
        loss.backward()
        optimizer.step()
        total += loss.item() * images.size(0)
    return total / len(split)


def ours(model: nn.Module, split: Split, epochs: int = 1) -> Iterator[float]:
    settings = Train(epochs, SETTINGS.batch, SETTINGS.lr, "cpu", "float32")
    optimiser = torch.optim.Adam(model.parameters(), lr=SETTINGS.lr, fused=True)

    def loss(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
        return reconstruction.bce(images, model(images)).mean()

    for epoch in fit(Training(model, split, loss, optimiser, settings, seed=0)):
        yield epoch.loss


def order_of(split: Split) -> Tensor:
    """Found by training on images that carry their own number."""
    seen: list[Tensor] = []
    count = len(split)
    numbered = Split(torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.arange(count))

    def record(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        loss: Tensor = model(images.flatten(1)).sum()
        return loss

    model = nn.Linear(1, 1)
    list(
        fit(
            Training(model, numbered, record, torch.optim.SGD(model.parameters()), SETTINGS, seed=0)
        )
    )
    return torch.cat(seen)


def fresh() -> ConvAutoencoder:
    torch.manual_seed(0)
    return ConvAutoencoder()


def against_the_course(split: Split) -> None:
    order = order_of(split)
    losses = course(fresh(), split, order), next(ours(placed(fresh(), SETTINGS), split))
    assert abs(losses[0] - losses[1]) < 1e-4 * losses[0], losses
    print(f"equal work: {len(split)} images, batch 20, losses {losses[0]:.6f}, {losses[1]:.6f}")
    works = {
        "course": lambda: course(fresh(), split, order),
        "here": lambda: list(ours(placed(fresh(), SETTINGS), split)),
    }
    goals = {"course": "≥ 1.5"}
    compare(works, ROUNDS, what="an epoch of the autoencoder against the course's", goals=goals)


def tracking(split: Split, epochs: int = 2 if ONCE else 12) -> None:
    """The share of a run's time that goes into logging it, MLflow on SQLite, after its import."""
    shares, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESEARCH_RUNS"] = folder
        store = open_store(f"sqlite:///{Path(folder) / 'mlflow.db'}")
        opening = Opening("bench", "?", "bench", "bench", {}, "", (0,), "cpu")
        with store.start(opening):
            pass  # imports MLflow and creates its tables, once in a process and once in a store
        for _ in range(1 if ONCE else 3):
            spent, begin = 0.0, time.perf_counter()
            context = store.start(opening)
            log = context.__enter__()
            spent += time.perf_counter() - begin
            for number, loss in enumerate(ours(placed(fresh(), SETTINGS), split, epochs), 1):
                mark = time.perf_counter()
                log.metrics(number, {"loss/train": loss, "loss/test": loss})
                spent += time.perf_counter() - mark
            mark = time.perf_counter()
            context.__exit__(None, None, None)
            spent += time.perf_counter() - mark
            shares.append((spent, time.perf_counter() - begin))
            bare, _ = seconds(lambda: list(ours(placed(fresh(), SETTINGS), split, epochs)))
            ratios.append(shares[-1][1] / bare)
    for spent, whole in shares:
        print(f"tracking: {spent:.2f} s of {whole:.1f} s, {spent / whole:.1%}")
    median = statistics.median(spent / whole for spent, whole in shares)
    print(f"  median share {median:.1%} of {epochs} epochs of {len(split)} images (goal: < 2 %)")
    note("share of a run's time that logging takes", median, "< 0.02", f"{epochs} epochs", "")
    print(f"  tracked against bare, in turn: ratio {statistics.median(ratios):.3f}")


def main() -> None:
    threads, load_average = torch.get_num_threads(), os.getloadavg()[0]
    print(f"torch {torch.__version__}, {threads} threads, load {load_average:.1f}")
    split = load(Data("photos")).train
    against_the_course(split)
    tracking(split)


if __name__ == "__main__":
    main()
