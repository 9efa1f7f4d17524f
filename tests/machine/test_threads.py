"""How many threads compute: the rule, its measure against sums by hand, and who follows it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]
from torch import Generator, Tensor, nn

from research import paths
from research.config import Train
from research.data import Samples, Split
from research.errors import UserError
from research.machine import hardware, threads
from research.methods.classification import cross_entropy
from research.methods.embedding import tsne
from research.models import ConvAutoencoder, Vgg16
from research.records import load as read
from research.tracking import Opening, open_store
from research.training import cache, cost
from research.training.cache import obtain
from research.training.loop import Training


@pytest.fixture(autouse=True)
def seven(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of seven cores."""
    monkeypatch.setattr(threads, "AVAILABLE", 7)


def pictures(side: int = 32, channels: int = 3, count: int = 2) -> Split:
    images = torch.zeros(count, channels, side, side, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 2)


def squares(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
    loss: Tensor = model(images).square().mean()
    return loss


def test_operations_are_those_counted_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 4))
    images = torch.rand(2, 3, 8, 8)
    convolution, product = 2 * 2 * 36 * 5 * 3 * 9, 2 * 2 * 180 * 4
    found = cost.of(lambda: model(images))
    assert found.operations == (convolution + product) / 2
    # two planes of maps before and behind the ReLU, and logits
    assert found.memory == 4 * 2 * (2 * 180 + 4)
    assert cost.of(lambda: images + images).operations == 0


def count(model: nn.Module, samples: Samples, objective: Any, batch: int) -> int:
    settings, optimiser = Train(batch=batch), torch.optim.SGD([torch.zeros(1)])
    return cache.prepare(Training(model, samples, objective, optimiser, settings, seed=0))


def test_only_large_batches_have_all_threads() -> None:
    small, data = ConvAutoencoder(3, "transpose"), pictures(count=200)
    assert [count(small, data, squares, batch) for batch in (20, 128)] == [1, 1]
    large = Vgg16(1)
    given = [count(large, data, cross_entropy, batch) for batch in (32, 64, 128)]
    assert given == [1, 1, 7]
    assert count(large, pictures(count=32), cross_entropy, 128) == 1  # there is no such batch


def test_a_batch_that_has_no_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = pictures(count=200), ConvAutoencoder(3, "transpose")
    assert count(model, data, squares, 10**9) == 1  # no batch has more than there are
    monkeypatch.setattr(hardware, "available_memory", lambda: 10_000_000)
    assert count(model, data, squares, 5) == 1
    with pytest.raises(UserError, match=r"^a batch of 200 images must fit .* lower --train.batch"):
        count(model, data, squares, 10**9)


def test_sentences_have_one_thread_and_an_accelerator_leaves_the_host_its_own() -> None:
    class Words:
        device = torch.device("cpu")

        def __len__(self) -> int:
            return 10**9

        def batches(self, size: int, order: Generator) -> Iterator[tuple[Tensor, Tensor]]:
            yield torch.zeros(size, 4, dtype=torch.long), torch.zeros(size, 4, dtype=torch.long)

    assert count(nn.Identity(), cast(Samples, Words()), squares, 10**9) == 1
    elsewhere = SimpleNamespace(device=torch.device("cuda"))
    assert count(nn.Identity(), cast(Samples, elsewhere), squares, 1) == 7


def test_asking_changes_neither_the_network_nor_chance() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 2))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()

    def noisy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model, images + torch.rand_like(images), labels)

    cost.of_sample(model, pictures(4), noisy)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True]
    assert all(weight.grad is None for weight in model.parameters())


def test_a_limit_holds_for_torch_and_numpy_and_ends() -> None:
    former = torch.get_num_threads()
    with threads.limited(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        threads.widen(3)
        assert torch.get_num_threads() == 3
        threads.widen(2)
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == former


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains a small network in a run; the threads that its objective saw, and the record."""
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")

    def run(large: bool) -> Any:
        monkeypatch.setattr(threads, "LARGE", 0.0 if large else 4e9)
        torch.manual_seed(0)
        model, seen = nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), []
        settings = Train(epochs=1, batch=2, device="cpu", precision="float32")

        def evaluate(model: nn.Module) -> dict[str, float]:
            seen.append(torch.get_num_threads())
            return {}

        opening = Opening("small", "?", "sample", "small", {}, "d", (0,), "cpu")
        with open_store(f"folder:{tmp_path}/store").start(opening) as log:
            obtain(
                Training(
                    model,
                    pictures(4),
                    cross_entropy,
                    torch.optim.SGD(model.parameters(), lr=0.1),
                    settings,
                    seed=0,
                    evaluate=evaluate,
                ),
                name="a",
                params={},
                log=log,
            )
            after = torch.get_num_threads()
        return seen, after, read(log.folder).run

    return run


def test_a_model_is_trained_on_its_threads_and_says_so(logged: Any) -> None:
    with threads.limited(2):
        seen, after, run = logged(large=False)
    assert (seen, after) == ([1], 2)  # the analysis keeps what the run had
    assert run.models["a"]["threads"] == 1 and run.compute["threads"] == 2
    with threads.limited(1):
        seen, after, wide = logged(large=True)
    assert (seen, after) == ([7], 7)  # a large network's analysis is large
    assert wide.models["a"]["threads"] == 7 and wide.compute["threads"] == 7
    assert wide.models["a"]["digest"] != run.models["a"]["digest"]


def test_a_small_model_is_the_same_on_any_number_of_cores(
    logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = logged(large=False)[-1].models["a"]["digest"]
    monkeypatch.setattr(threads, "AVAILABLE", 64)
    seen, _, there = logged(large=False)
    assert there.models["a"]["digest"] == here and there.models["a"]["origin"] == "found"
    assert seen == []


def test_a_run_on_a_cpu_spares_threads_and_one_on_a_gpu_does_not() -> None:
    with threads.limited(3):
        with threads.sparing("cpu"):
            assert torch.get_num_threads() == 1
        with threads.sparing("cuda:0"):
            assert torch.get_num_threads() == 3


@pytest.mark.long
def test_a_map_has_the_same_bits_whatever_the_number_of_jobs() -> None:
    points = np.random.default_rng(0).normal(size=(60, 5))
    one, two = (tsne(points, perplexity=5, jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(one, two)
