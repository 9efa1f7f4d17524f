"""Every study from start to figures on a pretended device: what CUDA refuses is refused here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from research.data import Split
from research.data.sequences import Copying
from research.launch import Options, launch, study_of
from research.methods.samples import Samples
from research.records import load, sources
from research.studies import Entry, entries
from research.tracking import open_store

from .pretended import DEVICE, MixedDevicesError, pretended
from .small import config_of, patched

FEW: dict[str, dict[str, Any]] = {
    "autoencoders": {"picture_epochs": 1, "digit_maps": (1,), "picture_maps": (2,)},
    "cnn": {"resamples": 5, "permutations": 5},
    "fgsm": {"lenet_epochs": 1, "paper_epochs": 1, "random": 2, "rubbish": 20, "lengths": (1,)},
    "mlp": {"dose_seeds": 1, "noise_images": 20},
    "seq2seq": {"copy_epochs": 1, "embedding": 8, "hidden": 8},
    "vgg": {"random": 2, "checked": 2},
    "zf": {"lengths": (1,), "shown": 1, "stride": 24, "occluded": 2, "moved": 4},
    "zf-features": {"ablation_epochs": None, "penalties": (1,), "scratch_steps": 2, "judged": 4},
}
"""Settings for the least work."""


def few_copies(count: int = 40, **more: Any) -> Copying:
    return Copying(min(count, 40), **more)


def halves(model: nn.Module, split: Split, crafted: int, judged: int) -> tuple[Samples, Samples]:
    """As if the network got all samples right."""
    images, labels = split.floats(), split.labels
    both = slice(crafted), slice(crafted, crafted + judged)
    first, second = (Samples(images[some], labels[some]) for some in both)
    return first, second


# a parameter of the type that is pretended gets its values all the same
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.long
@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.slug)
def test_a_study_runs_on_a_device_that_is_not_the_cpu(entry: Entry, tmp_path: Path) -> None:
    study = study_of(entry)
    config = config_of(entry.slug, study)
    train = replace(config.train, device=DEVICE, precision="float32")
    config = replace(config, train=train, **FEW.get(entry.slug, {}))
    store = open_store(f"folder:{tmp_path}")
    with patched(study, halves=halves, Copying=few_copies), pretended():
        id = launch(entry, config, Options("sample"), store)
    record = load(store.find(id).folder)
    listed = sources.read(record.folder)
    assert listed and not any(one.why for one in listed)
    assert set(record.run.models) == set(study.children(config))
    assert record.run.device.startswith(DEVICE)


def test_the_pretended_device_answers_and_refuses_as_cuda_does() -> None:
    with pretended():
        here, there = torch.arange(6.0), torch.arange(6.0).to(DEVICE)
        assert str(there.device) == DEVICE and (2 * there).sum().item() == 30
        assert torch.equal(there.cpu(), here) and there.tolist() == here.tolist()
        assert there[torch.tensor([1, 2])].tolist() == [1, 2]
        assert (there + torch.tensor(1.0))[0] == 1
        assert there[[3, 4]].tolist() == there[np.array([3, 4])].tolist() == [3, 4]
        assert np.array_equal(there.numpy(force=True), here.numpy())
        takes: list[Callable[[], Any]] = [lambda: there.numpy(), lambda: np.asarray(there)]
        for take in takes:
            with pytest.raises(TypeError, match="can't convert"):
                take()
        meets: list[Callable[[], Any]] = [
            lambda: here + there,
            lambda: here[there.long()],
            lambda: torch.cat([here, there]),
            lambda: torch.rand(2, device=DEVICE, generator=torch.Generator()),
        ]
        for meet in meets:
            with pytest.raises(MixedDevicesError):
                meet()
