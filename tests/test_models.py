"""The networks have the shapes of their sources, and weights find only their own model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from research.errors import UserError
from research.models import (
    ConvAutoencoder,
    Decoder,
    FloatSigmoid,
    count_parameters,
    load_weights,
    save_weights,
    weights_metadata,
)


def conv(inputs: int, outputs: int, side: int) -> int:
    """Weights and biases of a convolution, transposed or not."""
    return inputs * outputs * side**2 + outputs


@pytest.mark.parametrize(
    ("decoder", "side", "total"), [("transpose", 2, 1495), ("upsample", 3, 2055)]
)
def test_autoencoder_has_the_parameters_of_its_source(
    decoder: Decoder, side: int, total: int
) -> None:
    by_hand = conv(3, 16, 3) + conv(16, 4, 3) + conv(4, 16, side) + conv(16, 3, side)
    assert count_parameters(ConvAutoencoder(3, decoder)) == by_hand == total


@pytest.mark.parametrize("decoder", ["transpose", "upsample"])
def test_autoencoder_codes_256_values_and_returns_an_image(decoder: Decoder) -> None:
    model = ConvAutoencoder(3, decoder)
    images = torch.rand(2, 3, 32, 32)
    assert model.encoder(images).shape == (2, 4, 8, 8)
    out = model(images)
    assert out.shape == images.shape
    assert out.min() > 0 and out.max() < 1


def test_sigmoid_is_computed_in_float32_under_autocast() -> None:
    logits = torch.linspace(3, 6, 50)
    with torch.autocast("cpu", torch.bfloat16):
        out = FloatSigmoid()(logits.bfloat16())
    exact = 1 / (1 + torch.exp(-logits.bfloat16().double()))
    assert out.dtype == torch.float32
    assert torch.allclose(out.double(), exact, atol=1e-7)


def test_weights_return_as_they_were(tmp_path: Path) -> None:
    model, other = ConvAutoencoder(), ConvAutoencoder()
    save_weights(tmp_path / "w.safetensors", model, "transpose-seed0")
    load_weights(tmp_path / "w.safetensors", other)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert weights_metadata(tmp_path / "w.safetensors")["name"] == "transpose-seed0"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", ConvAutoencoder(3, "upsample"), "a")
    with pytest.raises(UserError, match=r"upsample.*the study needs.*transpose"):
        load_weights(tmp_path / "w.safetensors", ConvAutoencoder())


def test_files_that_are_no_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="cannot be read"):
        weights_metadata(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(UserError, match="cannot be read"):
        weights_metadata(path)
    save_file(nn.Linear(1, 1).state_dict(), path)
    with pytest.raises(UserError, match="must name their model"):
        weights_metadata(path)
