"""Activation maps against a forward pass written out by hand, and the model left untouched."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.activations import activation_maps, kernels, save_sheet
from research.models import ConvAutoencoder


def by_hand(model: ConvAutoencoder, x: Tensor) -> dict[str, Tensor]:
    """The transposed decoder's forward pass with nothing but functions."""
    weights = dict(model.named_parameters())

    def of(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    maps = {}
    for i in (1, 2):
        maps[f"encoder.conv{i}"] = x = F.conv2d(x, *of(f"encoder.conv{i}"), padding=1)
        maps[f"encoder.relu{i}"] = x = x.clamp(min=0)
        maps[f"encoder.pool{i}"] = x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    maps["decoder.conv1"] = x = F.conv_transpose2d(x, *of("decoder.conv1"), stride=2)
    maps["decoder.relu1"] = x = x.clamp(min=0)
    maps["decoder.conv2"] = x = F.conv_transpose2d(x, *of("decoder.conv2"), stride=2)
    maps["decoder.sigmoid"] = 1 / (1 + torch.exp(-x))
    return maps


def test_maps_equal_a_forward_pass_by_hand_in_forward_order() -> None:
    model, images = ConvAutoencoder(), torch.rand(2, 3, 16, 16)
    maps, truth = activation_maps(model, images), by_hand(model, images)
    assert list(maps) == list(truth)
    for name, expected in truth.items():
        assert torch.allclose(maps[name], expected.detach(), atol=1e-6), name


def test_in_place_and_reused_layers_are_reported_as_they_were() -> None:
    relu = nn.ReLU(inplace=True)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), relu, nn.Conv2d(4, 4, 3), relu)
    maps = activation_maps(model, torch.rand(1, 1, 8, 8))
    assert list(maps) == ["0", "1", "2", "1:2"]
    assert maps["0"].min() < 0 < maps["0"].max()
    assert torch.equal(maps["1"], maps["0"].clamp(min=0))
    assert torch.equal(maps["1:2"], maps["2"].clamp(min=0))


def test_the_model_is_left_as_it_was_found() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.BatchNorm2d(2))
    model[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    images, modes = torch.rand(1, 1, 8, 8), [module.training for module in model.modules()]
    rng = torch.get_rng_state()
    activation_maps(model, images)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), rng)


def test_no_hook_is_left_after_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    try:
        activation_maps(model, torch.rand(1, 5, 8, 8))
    except RuntimeError:
        assert not any(module._forward_hooks for module in model.modules())
    else:
        raise AssertionError("five channels went through a layer for one")


def test_kernels_are_copies_of_every_weighted_layer() -> None:
    model = ConvAutoencoder()
    found = kernels(model)
    assert {name: tuple(kernel.shape) for name, kernel in found.items()} == {
        "encoder.conv1": (16, 3, 3, 3),
        "encoder.conv2": (4, 16, 3, 3),
        "decoder.conv1": (4, 16, 2, 2),
        "decoder.conv2": (16, 3, 2, 2),
    }
    found["encoder.conv1"].zero_()
    assert model.state_dict()["encoder.conv1.weight"].abs().sum() > 0


def test_a_sheet_shows_each_tile_on_one_scale(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 2, 2), np.float32)
    values[1, 2] = 4
    values[0, 0] = -4
    save_sheet(tmp_path / "s.png", values, zoom=1)
    picture = np.array(Image.open(tmp_path / "s.png"))
    assert picture.shape == (2 * 3, 3 * 3)
    assert (picture[:2, :2] == 0).all()
    assert (picture[3:5, 6:8] == 255).all()
    assert (picture[0:2, 3:5] == 128).all()
