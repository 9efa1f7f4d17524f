"""A process for each of several GPUs; here the GPUs are names, and the processes use the CPU."""

import copy
import os
from pathlib import Path

import pytest
import torch

from research import paths
from research.machine import threads
from research.records import load as read
from research.tracking import open_store
from research.training import gpus
from tests.training import clustered


@pytest.mark.service
def test_each_model_trains_on_a_gpu_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESEARCH_RUNS", str(tmp_path))
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    monkeypatch.setattr(gpus, "visible", lambda jobs, device: ["GPU-3", "5"])
    config = copy.deepcopy(clustered.Config(tmp_path, names=("a", "b")))
    given = (clustered.study, config, config.names)
    with threads.limited(1):
        with open_store(f"folder:{tmp_path}/store").start(clustered.opening()) as log:
            gpus.train_beforehand(*given, log, "auto", {})
            there = clustered.kept()
            clustered.study(config, log)
            assert clustered.kept() == there and len(there) == 2
        record = read(log.folder)
        own = tmp_path / f"gpu-{os.getpid()}"
        used = {path.read_text() for path in tmp_path.glob("gpu-*") if path != own}
        monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
        with open_store(f"folder:{tmp_path}/alone").start(clustered.opening()) as alone:
            clustered.study(config, alone)
    assert record.run.compute["workers"] == 2
    assert used == {"GPU-3", "5"}
    for file in (log.folder / "weights").iterdir():
        assert file.read_bytes() == (alone.folder / "weights" / file.name).read_bytes()


def test_which_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.visible("auto", "cuda") == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible("auto", "cuda") == ["0", "1", "2"]
    assert gpus.visible(2, "cuda") == ["0", "1"]
    assert gpus.visible("auto", "cuda:1") == gpus.visible("auto", "cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,7")
    assert gpus.visible("auto", "cuda") == ["GPU-a", "GPU-b", "7"]
