"""What torchrun runs in a test: a small network, and a small study, on several ranks.

torchrun --nproc-per-node 2 -m tests.training.ranked FOLDER
"""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research import paths
from research.config import Train
from research.data import Split
from research.machine import threads
from research.models.inference import predict
from research.tracking import open_store
from research.training import ranks, together
from research.training.loop import Epoch, Training, fit
from tests.training import clustered

SETTINGS = Train(epochs=4, batch=8, lr=0.1, device="cpu", precision="float32")
COUNT, TESTED = 37, 11
"""training samples, whose last batch has five, and samples of the evaluation"""


def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def trained(checkpoint: Path | None, epochs: int = SETTINGS.epochs) -> tuple[list[Epoch], Tensor]:
    """The epochs of a small network, whose evaluation counts what it looks at; its weights."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 1, 4, 4), generator=generator).to(torch.uint8)
    data = Split(images, torch.arange(COUNT) % 3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    seen = [0]

    def evaluate(model: nn.Module) -> dict[str, float]:
        before = seen[0]
        handle = next(model.children()).register_forward_hook(
            lambda _, inputs, out: _count(seen, inputs[0])
        )
        logits = predict(model, Split(data.images[:TESTED], data.labels[:TESTED]), batch=2)
        handle.remove()
        own = torch.tensor(float(seen[0] - before))
        if ranks.together():
            torch.distributed.all_reduce(own)
        loss = F.cross_entropy(logits, data.labels[:TESTED]).item()
        return {"loss/test": loss, "rows": float(len(logits)), "looked_at": own.item()}

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    settings = dataclasses.replace(SETTINGS, epochs=epochs)
    training = Training(model, data, objective, optimiser, settings, seed=3, evaluate=evaluate)
    curve = [*fit(training, checkpoint)]
    return curve, torch.cat([one.detach().flatten() for one in model.parameters()])


def _count(seen: list[int], inputs: Tensor) -> None:
    seen[0] += len(inputs)


def run_study(folder: Path) -> None:
    """The study of the cluster's tests, its models trained by all ranks."""
    paths.MODELS = folder / "models"
    config = clustered.Config(folder, names=("a", "after"))
    given = (clustered.study, config, config.names)
    with threads.limited(1):
        if ranks.RANK:
            together.train_beforehand(*given, None, {})
            return
        with open_store(f"folder:{folder}/store").start(clustered.opening()) as log:
            together.train_beforehand(*given, log, {})
            there = len([*paths.MODELS.glob("[0-9a-f]*")])
            clustered.study(config, log)
            log.number("beforehand", there)


def main(folder: Path) -> None:
    with ranks.joined("cpu"):
        found = {name: trained(folder / f"{name}.pt") for name in ("whole", "begun")}
        run_study(folder)
    curves = {
        name: [[one.loss, *one.metrics.values(), one.restored] for one in curve]
        for name, (curve, _) in found.items()
    }
    rows = {"curves": curves, "weights": {name: w.tolist() for name, (_, w) in found.items()}}
    (folder / f"rank{ranks.RANK}.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
