"""One training on several processes that torchrun starts: each a rank with its share of each batch.

The order of a global batch follows from the seed alone; rank r of n takes its samples r, r + n, …
Gradients are summed, each sample's with the weight that it has in one process, so that losses are
those of one process but for the last bits of sums. What layers or objectives draw, such as dropout,
each rank draws for its own samples.

`DistributedDataParallel` is not used: an objective calls the network as often as it likes and asks
for its parts, and a rank without a sample of the last batch has to take part all the same.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from research.data.dataset import Indexed
from research.errors import UserError
from research.models import inference
from research.training.recording import Track

V = TypeVar("V")

COUNT = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
"""How many processes torchrun started for this run; 1 without it."""
RANK = int(os.environ.get("RANK", "0")) if COUNT > 1 else 0


def together() -> bool:
    """Whether the ranks train together just now."""
    return COUNT > 1 and distributed.is_initialized()


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Within the block the ranks train together, each on a GPU of its own where there are GPUs.

    A process joins once: torch's store keeps the first group's addresses. A block within is of it.
    """
    if distributed.is_initialized():
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def agreed(value: V | None) -> V:
    """What the first rank says, on all of them."""
    said: list[Any] = [value]
    distributed.broadcast_object_list(said)
    found: V = said[0]
    return found


class Shares:
    """Goes through epochs as `graphs.Steps` does, each rank with its share of every batch.

    Attributes:
        how: on how many ranks.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        for track in tracks:
            _check(track)
            for tensor in (*track.model.parameters(), *track.model.buffers()):
                distributed.broadcast(tensor.detach(), 0)
        self._tracks = tracks
        self.how = f"on {COUNT} ranks"

    def epoch(self, seeds: Sequence[int]) -> list[float]:
        """Each network's mean loss over all samples of the epoch, as they were seen."""
        return [_epoch(*pair) for pair in zip(self._tracks, seeds, strict=True)]


def _check(track: Track) -> None:
    """Raises UserError for what would not be the training of one process."""
    if not isinstance(track.samples, Indexed):
        raise UserError(
            "torchrun shares out samples of one shape, these batches differ in shape; train on one "
            "process"
        )
    if any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in track.model.modules()):
        raise UserError(
            "batch normalisation needs the whole batch, of which each rank of torchrun has a "
            "share; train on one process"
        )


def _epoch(track: Track, seed: int) -> float:
    track.model.train()
    assert isinstance(track.samples, Indexed)
    order = track.samples.order(torch.manual_seed(seed))
    if RANK:  # the first goes on with the numbers of one process
        torch.manual_seed(seed + RANK)
    total = torch.zeros((), dtype=torch.float64, device=track.samples.device)
    for whole in torch.split(order, track.batch):
        total += _step(track, whole[RANK::COUNT], len(whole))
    distributed.all_reduce(total)
    return total.item() / len(track.samples)


def _step(track: Track, own: Tensor, whole: int) -> Tensor:
    """One step of all ranks together; the summed loss of this rank's samples before it."""
    track.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), dtype=torch.float64, device=track.samples.device)
    if len(own):
        loss = track.objective(track.seen, *track.samples.take(own))  # type: ignore[attr-defined]
        (loss * (len(own) / whole)).backward()  # type: ignore[no-untyped-call]
        total += loss.detach().double() * len(own)
    _sum_gradients([one for one in track.model.parameters() if one.requires_grad])
    track.optimiser.step()
    return total


def _sum_gradients(weights: Sequence[Tensor]) -> None:
    """Sums gradients over ranks, all in one message; those that no rank has stay none."""
    there = torch.tensor([float(one.grad is not None) for one in weights])
    parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in weights]
    flat = torch.cat([*(part.reshape(-1) for part in parts), there.to(parts[0])])
    distributed.all_reduce(flat)
    at = 0
    for weight, found in zip(weights, flat[-len(weights) :].tolist(), strict=True):
        if found:
            weight.grad = flat[at : at + weight.numel()].view_as(weight)
        at += weight.numel()


@contextmanager
def sharing() -> Iterator[None]:
    """Within the block `predict` shares out its images: each is looked at by one rank, once."""
    if not together():
        yield
        return
    with inference.shared(inference.Share(RANK, COUNT, _gathered)):
        yield


def _gathered(own: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of all ranks, in their order."""
    padded = own.new_zeros((max(sizes), *own.shape[1:]))
    padded[: len(own)] = own
    rows = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(rows, padded)
    return torch.cat([row[:size] for row, size in zip(rows, sizes, strict=True)])
