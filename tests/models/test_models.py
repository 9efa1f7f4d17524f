"""The networks have the shapes of their sources, and weights find only their own model."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from research.errors import UserError
from research.models import (
    CnnA,
    ConvAutoencoder,
    Decoder,
    DenoisingAutoencoder,
    DenseAutoencoder,
    FloatSigmoid,
    LeNet,
    Maxout,
    Mlp,
    PooledAutoencoder,
    SoftmaxRegression,
    TutorialCnn,
    Vgg16,
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


def test_equal_weights_are_equal_bytes_and_the_library_reads_them(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self, *names: str) -> None:
            super().__init__()
            self.config = {"ü": '"quoted"\n', "arm": "b"}
            values = {
                "z": torch.arange(3.0),
                "a": torch.tensor([[1, 2]]),
                "ä": torch.ones(2).half(),
            }
            for name in names:
                self.register_buffer(name, values[name].clone())

    def written(number: int) -> bytes:
        names = ("z", "a", "ä") if number % 2 else ("ä", "a", "z")
        save_weights(tmp_path / "w.safetensors", Odd(*names), "größe/1")
        return (tmp_path / "w.safetensors").read_bytes()

    # the library's order of the three words of metadata is one of six, anew for each file
    assert len({written(number) for number in range(24)}) == 1
    loaded, model = load_file(tmp_path / "w.safetensors"), Odd("z", "a", "ä")
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    found = weights_metadata(tmp_path / "w.safetensors")
    assert found["name"] == "größe/1" and json.loads(found["config"]) == model.config
    load_weights(tmp_path / "w.safetensors", model)


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


@pytest.mark.parametrize(
    ("model", "total"),
    [
        (Mlp(), 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10),
        (Mlp((128, 64, 32)), 784 * 128 + 128 + 128 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10),
        (
            CnnA(),
            conv(1, 32, 3) + conv(32, 64, 3) + 1600 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10,
        ),
    ],
)
def test_classifiers_have_the_parameters_of_the_course(model: nn.Module, total: int) -> None:
    assert count_parameters(model) == total
    assert total in (109_386, 111_146, 232_650)


def test_mlp_embeds_before_the_last_relu() -> None:
    torch.manual_seed(0)
    model, x = Mlp((7, 5)), torch.rand(3, 1, 28, 28)
    (w1, b1), (w2, b2), (w3, b3) = (
        (layer.weight, layer.bias) for layer in model.modules() if isinstance(layer, nn.Linear)
    )
    hidden = ((x.flatten(1) - 0.1307) / 0.3081 @ w1.T + b1).clamp(min=0) @ w2.T + b2
    assert torch.allclose(model.embed(x), hidden, atol=1e-5)
    assert (model.embed(x) < 0).any()
    assert torch.allclose(model(x), hidden.clamp(min=0) @ w3.T + b3, atol=1e-5)


@pytest.mark.parametrize("relu_on_logits", [False, True])
def test_cnn_a_is_the_chain_of_its_layers(relu_on_logits: bool) -> None:
    torch.manual_seed(0)
    model, x = CnnA(relu_on_logits=relu_on_logits).eval(), torch.rand(2, 1, 28, 28)
    w = dict(model.named_parameters())
    out = (x - 0.1307) / 0.3081
    shapes = []
    for i in (1, 2):
        out = F.conv2d(out, w[f"features.conv{i}.weight"], w[f"features.conv{i}.bias"])
        shapes.append(tuple(out.shape[1:]))
        out = F.max_pool2d(out, 2).clamp(min=0)
        shapes.append(tuple(out.shape[1:]))
    assert shapes == [(32, 26, 26), (32, 13, 13), (64, 11, 11), (64, 5, 5)]
    out = F.linear(out.flatten(1), w["neck.fc1.weight"], w["neck.fc1.bias"]).clamp(min=0)
    out = F.linear(out, w["neck.fc2.weight"], w["neck.fc2.bias"])
    assert torch.allclose(model.embed(x), out, atol=1e-5)
    out = F.linear(out, w["head.fc3.weight"], w["head.fc3.bias"])
    assert torch.allclose(model(x), out.clamp(min=0) if relu_on_logits else out, atol=1e-5)


def test_dropout_of_channels_does_to_vectors_what_dropout_does() -> None:
    """The course applies `Dropout2d` to (N, 128); CnnA says `Dropout`."""
    vectors = torch.rand(2000, 50) + 1
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="2-D input"):
        dropped = nn.Dropout2d(0.5)(vectors)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], 2 * vectors[kept])
    # each value by itself: neither whole rows nor whole columns go
    assert abs(kept.float().mean() - 0.5) < 0.01
    assert kept.float().mean(0).std() < 0.03 and 0.04 < kept.float().mean(1).std() < 0.1


def fc(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def vgg(width: float) -> int:
    """Convolutions without bias, two values of batch norm for each map, one linear layer."""
    full = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    maps = [3, *(round(width * m) for m in full)]
    convs = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(maps))
    return convs + fc(maps[-1], 10)


@pytest.mark.parametrize(
    ("model", "shape", "total"),
    [
        (LeNet(), (1, 28, 28), conv(1, 10, 5) + conv(10, 20, 5) + fc(320, 50) + fc(50, 10)),
        (
            TutorialCnn(),
            (1, 28, 28),
            conv(1, 32, 3) + conv(32, 64, 3) + fc(9216, 128) + fc(128, 10),
        ),
        (SoftmaxRegression(), (1, 28, 28), fc(784, 10)),
        (Maxout(), (1, 28, 28), fc(784, 1200) + fc(240, 1200) + fc(240, 10)),
        (Vgg16(), (3, 32, 32), vgg(1)),
        (Vgg16(0.25), (3, 32, 32), vgg(0.25)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_attacked_networks_have_the_parameters_of_their_sources(
    model: nn.Module, shape: tuple[int, int, int], total: int
) -> None:
    assert count_parameters(model) == total
    assert model.eval()(torch.rand(2, *shape)).shape == (2, 10)


def test_the_tutorials_networks_have_the_parameters_that_the_sources_tell() -> None:
    assert [count_parameters(m) for m in (LeNet(), TutorialCnn())] == [21_840, 1_199_882]


@pytest.mark.parametrize("normalise", [False, True])
def test_lenet_is_the_chain_of_its_layers(normalise: bool) -> None:
    torch.manual_seed(0)
    model, x = LeNet(normalise=normalise).eval(), torch.rand(2, 1, 28, 28)
    w = dict(model.named_parameters())
    out = (x - 0.1307) / 0.3081 if normalise else x
    for i in (1, 2):
        out = F.conv2d(out, w[f"conv{i}.weight"], w[f"conv{i}.bias"])
        out = F.max_pool2d(out, 2).clamp(min=0)
    out = F.linear(out.flatten(1), w["fc1.weight"], w["fc1.bias"]).clamp(min=0)
    assert torch.allclose(model(x), F.linear(out, w["fc2.weight"], w["fc2.bias"]), atol=1e-5)


def test_a_maxout_unit_is_the_greatest_of_its_pieces() -> None:
    torch.manual_seed(0)
    model, x = Maxout(units=3, pieces=2, inputs=4).eval(), torch.rand(5, 1, 2, 2)
    out = x.flatten(1)
    for layer in (model.fc1, model.fc2):
        linear = out @ layer.weight.T + layer.bias
        out = torch.stack(
            [torch.maximum(linear[:, 2 * i], linear[:, 2 * i + 1]) for i in range(3)], 1
        )
    assert torch.allclose(model(x), out @ model.head.weight.T + model.head.bias, atol=1e-6)


@pytest.mark.parametrize("model", [CnnA(), TutorialCnn(), LeNet(), Vgg16(0.125)])
def test_no_relu_is_in_place_or_used_twice(model: nn.Module) -> None:
    """So that every activation can be looked at."""
    calls: dict[nn.Module, int] = {}
    relus = [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
    assert relus and not any(relu.inplace for relu in relus)
    for relu in relus:
        relu.register_forward_hook(lambda layer, *_: calls.update({layer: calls.get(layer, 0) + 1}))
    channels = 3 if isinstance(model, Vgg16) else 1
    model.eval()(torch.rand(2, channels, 32 if channels == 3 else 28, 32 if channels == 3 else 28))
    assert list(calls.values()) == [1] * len(relus)


def dense(*widths: int) -> int:
    """Weights and biases of linear layers from width to width."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [([32], []), ([128, 128], [128]), ([256, 128, 64, 32, 16], [32, 64, 128, 256])],
)
def test_dense_autoencoders_have_the_widths_of_their_sources(
    encoder: list[int], decoder: list[int]
) -> None:
    model = DenseAutoencoder((1, 28, 28), encoder, decoder)
    assert count_parameters(model) == dense(784, *encoder, *decoder, 784)
    assert model.encoder(torch.rand(3, 1, 28, 28)).shape == (3, encoder[-1])
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 1, 28, 28)


def test_a_centred_autoencoder_works_on_pixels_from_minus_one_to_one() -> None:
    model = DenseAutoencoder((1, 2, 2), [3], output="relu", centred=True)
    w = {name: weight.double() for name, weight in model.state_dict().items()}
    images = torch.rand(50, 1, 2, 2)
    code = (2 * images.double().flatten(1) - 1) @ w["encoder.2.weight"].T + w["encoder.2.bias"]
    ends = (code.clamp(min=0) @ w["decoder.0.weight"].T + w["decoder.0.bias"]).clamp(min=0)
    out = model(images)
    assert torch.allclose(out.flatten(1).double(), (ends + 1) / 2, atol=1e-6)
    assert out.min() == 0.5  # a ReLU's zero is mid-grey


def test_without_activations_a_dense_autoencoder_is_linear() -> None:
    model = DenseAutoencoder((1, 4, 4), [3], hidden="linear", output="linear")
    a, b = torch.rand(2, 5, 1, 4, 4)
    assert torch.allclose(model((a + b) / 2), (model(a) + model(b)) / 2, atol=1e-6)


def test_the_denoising_network_codes_72_values() -> None:
    model = DenoisingAutoencoder()
    ends = conv(8, 8, 3) + conv(8, 16, 2) + conv(16, 32, 2) + conv(32, 1, 3)
    assert count_parameters(model) == conv(1, 32, 3) + conv(32, 16, 3) + conv(16, 8, 3) + ends
    assert model.encoder(torch.rand(2, 1, 28, 28)).shape == (2, 8, 3, 3)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


@pytest.mark.parametrize(("maps", "side"), [(32, 64), (2, 32), (8, 24)])
def test_the_pooled_autoencoder_returns_an_image(maps: int, side: int) -> None:
    model = PooledAutoencoder(maps)
    ends = conv(maps, 32, 5) + conv(32, 16, 3) + conv(16, 8, 2) + conv(8, 1, 3)
    assert count_parameters(model) == conv(1, 8, 3) + conv(8, 16, 3) + conv(16, maps, 3) + ends
    assert model.encoder(torch.rand(2, 1, side, side)).shape == (2, maps, side // 8, side // 8)
    assert model(torch.rand(2, 1, side, side)).shape == (2, 1, side, side)


def test_the_code_of_the_course_takes_any_number_of_maps(tmp_path: Path) -> None:
    model = ConvAutoencoder(1, "upsample", 2)
    by_hand = conv(1, 16, 3) + conv(16, 2, 3) + conv(2, 16, 3) + conv(16, 1, 3)
    assert count_parameters(model) == by_hand
    assert model.encoder(torch.rand(2, 1, 28, 28)).shape == (2, 2, 7, 7)
    save_weights(tmp_path / "w.safetensors", model, "a")
    with pytest.raises(UserError, match="maps"):
        load_weights(tmp_path / "w.safetensors", ConvAutoencoder(1, "upsample"))
