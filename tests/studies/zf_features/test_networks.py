"""What the study `zf-features` trains, and on what."""

import dataclasses
from pathlib import Path
from unittest.mock import MagicMock

import torch

from research.config import Data
from research.data import Dataset, load
from research.records import Results
from research.studies import zf_features as study
from research.studies.zf_features import ablation, generalisation, networks

from .tiny import ARMS, CLASSES, SAMPLE, SIDE, SPLITS, K, cells


def test_the_target_is_told(record: Results, target: Dataset) -> None:
    row = cells(record, "target", record.table("target").rows[0][0])  # type: ignore[arg-type]
    assert (row["images"], row["classes"], row["sha256"]) == (36, 3, target.sha256)
    assert str(row["sha256"]).startswith(str(row["digest"]))


def test_a_random_crop_is_cut_where_the_generator_draws() -> None:
    images = torch.arange(3 * 2 * 6 * 7).view(3, 2, 6, 7)
    found = networks.random_crops(images, 4, torch.Generator().manual_seed(3))
    order = torch.Generator().manual_seed(3)
    tops, lefts = (torch.randint(room, (3,), generator=order).tolist() for room in (3, 4))
    for image, crop, top, left in zip(images, found, tops, lefts, strict=True):
        assert torch.equal(crop, image[:, top : top + 4, left : left + 4])
    many = networks.random_crops(images[:1].expand(500, -1, -1, -1), 4)
    assert len({*many[:, 0, 0, 0].tolist()}) == 3 * 4


def test_the_control_has_its_updates() -> None:
    config = dataclasses.replace(SAMPLE, scratch_steps=100, scratch_batch=32)
    assert [networks.scratch_epochs(n, config) for n in (1, 32, 33, 65, 320)] == [
        100, 100, 50, 34, 10,
    ]  # fmt: skip


def test_looking_leaves_networks_as_they_were(target: Dataset, zf_data: Dataset) -> None:
    config = dataclasses.replace(
        SAMPLE, side=SIDE, width=0.0625, k=(2, 3), splits=1, judged=3,
        penalties=(1,),
    )  # fmt: skip
    source = networks.source_of(zf_data, SIDE)
    model = networks.beginning(0, source, config).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(4)
    state = torch.get_rng_state()
    pool = generalisation.pool_of(target, config)
    generalisation.try_features([model], [model], pool, config)
    ablation.errors_of(model, source)
    generalisation.accuracy_of(model, source.test)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())


def test_grey_targets_get_the_source_s_channels(shapes: Path) -> None:
    config = dataclasses.replace(SAMPLE, side=SIDE, target=Data("mnist-sample", size=None))
    source = load(Data("folder", shapes, 52))
    found = study.target_of(config, source, MagicMock())
    assert found.train.images.shape[1:] == (3, 52, 52)
    assert torch.equal(found.train.images[:, 0], found.train.images[:, 2])


def test_children_are_what_is_trained(record: Results) -> None:
    assert len(CLASSES) == 3
    expected = {f"{arm}-seed{seed}" for arm in (*ARMS, "source") for seed in (0, 1)}
    expected |= {f"scratch-k{k}-split{draw}" for k in K for draw in range(SPLITS)}
    assert {*record.run.models} == expected
