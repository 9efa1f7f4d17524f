"""The printed network and its variants by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.models import (
    CentredPixels,
    ZFNet,
    count_parameters,
    load_weights,
    parameter_groups,
    save_weights,
)
from research.models.zeiler import First
from tests.models.zeiler import tiny

Floats = npt.NDArray[np.float64]

NAMES = [
    "pixels",
    *("conv1", "relu1", "pool1", "norm1"),
    *("conv2", "relu2", "pool2", "norm2"),
    *("conv3", "relu3", "conv4", "relu4"),
    *("conv5", "relu5", "pool5", "flatten"),
    *("fc6", "relu6", "dropout6"),
    *("fc7", "relu7", "dropout7"),
    "fc8",
]


def shapes(model: nn.Module, side: int) -> dict[str, tuple[int, ...]]:
    """(maps, height, width) or (units,) of each layer's output, on the meta device."""
    found: dict[str, tuple[int, ...]] = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda _layer, _inputs, output, name=name: found.update({name: output.shape[1:]})
        )
    model(torch.rand(2, 3, side, side, device="meta"))
    return {name: tuple(shape) for name, shape in found.items()}


def printed(**changes: Any) -> ZFNet:
    """The network of full width, without memory for its weights."""
    with torch.device("meta"):
        return ZFNet(**changes)


@pytest.mark.parametrize(
    ("first", "sides"),
    [("zf", (110, 55, 26, 13, 13, 13, 13, 6)), ("alexnet", (55, 27, 27, 13, 13, 13, 13, 6))],
)
def test_the_maps_have_the_printed_numbers_and_sides(first: First, sides: tuple[int, ...]) -> None:
    found = shapes(printed(first=first), 224)
    assert list(found) == NAMES
    layers = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    maps = (96, 96, 256, 256, 384, 384, 256, 256)
    expected = [(m, s, s) for m, s in zip(maps, sides, strict=True)]
    assert [found[name] for name in layers] == expected
    assert [found[name] for name in ("flatten", "fc6", "fc7", "fc8")] == [
        (9216,), (4096,), (4096,), (1000,),
    ]  # fmt: skip


# each layer as (outputs, weights of one output); one bias for each output
CONVOLUTIONS = [(96, 3 * 49), (256, 96 * 25), (384, 256 * 9), (384, 384 * 9), (256, 384 * 9)]
FC6, FC7, FC8 = (4096, 256 * 36), (4096, 4096), (1000, 4096)
FULL = [*CONVOLUTIONS, FC6, FC7, FC8]


def total(layers: list[tuple[int, int]]) -> int:
    return sum(outputs * (weights + 1) for outputs, weights in layers)


TABLE_2: list[tuple[dict[str, Any], list[tuple[int, int]]]] = [
    ({}, FULL),
    ({"first": "alexnet"}, [(96, 3 * 121), *FULL[1:]]),
    ({"without": (3, 4)}, [*CONVOLUTIONS[:2], (256, 256 * 9), FC6, FC7, FC8]),
    ({"without": (7,)}, [*CONVOLUTIONS, FC6, FC8]),
    ({"without": (6, 7)}, [*CONVOLUTIONS, (1000, 9216)]),
    ({"without": (7, 3, 6, 4)}, [*CONVOLUTIONS[:2], (256, 256 * 9), (1000, 9216)]),
    ({"hidden": 2048}, [*CONVOLUTIONS, (2048, 9216), (2048, 2048), (1000, 2048)]),
    ({"hidden": 8192}, [*CONVOLUTIONS, (8192, 9216), (8192, 8192), (1000, 8192)]),
    (
        {"maps": (512, 1024, 512)},
        [
            *CONVOLUTIONS[:2], (512, 256 * 9), (1024, 512 * 9), (512, 1024 * 9),
            (4096, 512 * 36), FC7, FC8,
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "layers"), TABLE_2, ids=lambda value: str(value)[:40])
def test_the_variants_have_the_layers_of_the_second_table(
    changes: dict[str, Any], layers: list[tuple[int, int]]
) -> None:
    model = printed(**changes)
    assert count_parameters(model) == total(layers)
    gone = {f"{kind}{n}" for n in changes.get("without", ()) for kind in ("conv", "fc", "relu")}
    gone |= {f"dropout{n}" for n in changes.get("without", ())}
    assert list(shapes(model, 224)) == [name for name in NAMES if name not in gone]


def test_the_printed_network_has_62_million_parameters() -> None:
    assert count_parameters(printed()) == total(FULL) == 62_357_608
    assert printed(without=(7, 3, 3)).config == {
        "width": 1.0, "classes": 1000, "side": 224, "channels": 3, "first": "zf",
        "maps": [384, 384, 256], "hidden": 4096, "without": [3, 7],
    }  # fmt: skip


# --- the forward pass ----------------------------------------------------------------------------


def pooled(maps: Tensor) -> Tensor:
    """The maximum of each window of 3 × 3 that begins at an even pixel, as far as it reaches."""
    side = maps.shape[2]
    starts = [i for i in range(0, side, 2) if i == 0 or i + 1 < side]
    rows = [torch.stack([maps[:, :, i : i + 3, j : j + 3].amax((2, 3)) for j in starts], 2)
            for i in starts]  # fmt: skip
    return torch.stack(rows, 2)


def normed(maps: Tensor) -> Tensor:
    """Krizhevsky et al.: b_i = a_i / (2 + 1e-4 Σ a_j²)^0.75 over the maps i - 2 to i + 2."""
    out = torch.empty_like(maps)
    for i in range(maps.shape[1]):
        energy = maps[:, max(0, i - 2) : i + 3].square().sum(1)
        out[:, i] = maps[:, i] / (2 + 1e-4 * energy) ** 0.75
    return out


def by_hand(model: ZFNet, images: Tensor, mean: Tensor) -> Iterator[Tensor]:
    """What norm1, norm2, pool5, fc6, fc7 and fc8 put out."""
    first = ((2, 1), (2, 0)) if model.config["first"] == "zf" else ((4, 2), (1, 2))
    w = dict(model.named_parameters())
    x = images * 255 - mean * 255
    for i, (stride, padding) in enumerate([*first, (1, 1), (1, 1), (1, 1)], start=1):
        x = F.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"], stride, padding).clamp(min=0)
        if i in (1, 2):
            yield (x := normed(pooled(x)))
    yield (x := pooled(x))
    x = x.flatten(1)
    for i in (6, 7, 8):
        x = (x.clamp(min=0) if i > 6 else x) @ w[f"fc{i}.weight"].T + w[f"fc{i}.bias"]
        yield x


@pytest.mark.parametrize(("first", "side"), [("zf", 64), ("zf", 79), ("alexnet", 79)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_network_is_the_chain_of_its_layers(
    first: First, side: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    mean = torch.rand(3, side, side)
    model = ZFNet(1 / 16, 5, side=side, first=first, mean=mean).double().eval()
    for name, parameter in model.named_parameters():  # far from 0, where a wrong one would not show
        spread = 0.1 if name.endswith("bias") else 3 * float(parameter.detach().std())
        nn.init.normal_(parameter, std=spread)
    model = model.to(memory_format=layout)
    images = torch.rand(2, 3, side, side, dtype=torch.float64)
    found: dict[str, Tensor] = {}
    for name in ("norm1", "norm2", "pool5", "fc6", "fc7", "fc8"):
        model.get_submodule(name).register_forward_hook(
            lambda _layer, _inputs, output, name=name: found.update({name: output})
        )
    logits = model(images.contiguous(memory_format=layout))
    for (name, output), expected in zip(
        found.items(), by_hand(model, images, mean.double()), strict=True
    ):
        assert expected.abs().max() > 1e-3, name
        assert torch.allclose(output, expected, rtol=1e-9, atol=1e-12), name
    assert torch.equal(logits, found["fc8"])


def test_pixels_become_grey_levels_about_the_mean() -> None:
    mean = torch.rand(3, 4, 4)
    layer = CentredPixels(mean)
    levels = torch.randint(256, (2, 3, 4, 4))
    assert torch.allclose(layer(levels / 255), levels - 255 * mean, atol=1e-4)
    assert not list(layer.parameters())
    mean.zero_()
    assert layer.mean.max() > 0  # a copy


def test_the_mean_comes_with_the_weights(tmp_path: Path) -> None:
    mean = torch.rand(3, 47, 47)
    save_weights(tmp_path / "w.safetensors", tiny(mean=mean), "zf")
    model = tiny()
    assert torch.equal(model.get_buffer("pixels.mean"), torch.full((3, 47, 47), 0.5))
    load_weights(tmp_path / "w.safetensors", model)
    assert torch.equal(model.get_buffer("pixels.mean"), mean)
    model = tiny(without=(3,))
    with pytest.raises(UserError, match=r'"without": \[\].*needs a ZFNet.*"without": \[3\]'):
        load_weights(tmp_path / "w.safetensors", model)


def test_no_relu_is_in_place_or_used_twice() -> None:
    model = tiny().eval()
    relus = [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
    calls: list[nn.Module] = []
    for relu in relus:
        relu.register_forward_hook(lambda layer, *_: calls.append(layer))
    model(torch.rand(1, 3, 47, 47))
    assert calls == relus
    assert len(relus) == 7 and not any(relu.inplace for relu in relus)


# --- the first weights ---------------------------------------------------------------------------


def deviations(model: ZFNet) -> dict[str, float]:
    return {
        name.removesuffix(".weight"): float(weight.detach().std())
        for name, weight in model.named_parameters()
        if name.endswith("weight")
    }


def test_the_first_weights_are_normal_with_deviations_by_fan_in() -> None:
    torch.manual_seed(0)
    narrow = ZFNet(0.25, 1000)
    expected = dict.fromkeys(deviations(narrow), 0.02) | {"conv1": 0.01}
    assert deviations(narrow) == pytest.approx(expected, rel=0.05)
    small = deviations(ZFNet(0.25, 1000, side=64))  # one pixel of each map instead of 6 × 6
    assert small == pytest.approx(expected | {"fc6": 0.12}, rel=0.05)
    weights = narrow.get_parameter("fc6.weight").flatten()[:10_000].detach() / 0.02
    assert float((weights**4).mean()) == pytest.approx(3, abs=0.2)
    for name, parameter in narrow.named_parameters():
        assert parameter.any() != name.endswith("bias"), name


def test_the_first_weights_of_the_printed_network_are_the_papers() -> None:
    torch.manual_seed(0)
    found = deviations(ZFNet(hidden=256, maps=(64, 64, 64)))
    assert found == pytest.approx(dict.fromkeys(found, 0.01), rel=0.05)


def test_a_narrow_network_passes_on_as_much_as_the_wide_one() -> None:
    torch.manual_seed(0)
    blurred = F.interpolate(torch.rand(8, 3, 8, 8), size=64, mode="bilinear")

    def spreads(width: float) -> dict[str, float]:
        model, found = ZFNet(width, 100, side=64, hidden=1024).eval(), {}
        for name in deviations(model):
            model.get_submodule(name).register_forward_hook(
                lambda _layer, _inputs, output, name=name: found.update({name: float(output.std())})
            )
        with torch.inference_mode():
            model(blurred)
        return found

    wide, narrow = spreads(1), spreads(0.25)
    assert {name for name in wide if not 0.5 < narrow[name] / wide[name] < 2} == set()
    assert narrow["fc8"] > 1e-3


# --- what a caller must not get wrong ------------------------------------------------------------


@pytest.mark.parametrize("first", ["zf", "alexnet"])
def test_the_smallest_side_that_works_is_named(first: First) -> None:
    with pytest.raises(UserError, match=r"at least \d+ pixels, got a side of 20") as caught:
        ZFNet(0.1, side=20, first=first)
    smallest = next(int(word) for word in str(caught.value).split() if word.isdigit())
    model = tiny(side=smallest, first=first)
    assert model(torch.rand(1, 3, smallest, smallest)).shape == (1, 3)
    features = nn.Sequential(*list(model)[1 : NAMES.index("flatten")])
    with pytest.raises(RuntimeError):
        features(torch.rand(1, 3, smallest - 1, smallest - 1))
    with pytest.raises(UserError, match=f"got a side of {smallest - 1};"):
        tiny(side=smallest - 1, first=first)


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(UserError, match=r"without the layers 3, 4, 6 and 7, got 3, 5;"):
        tiny(without=(3, 5))
    with pytest.raises(UserError, match=r"\(3, 47, 47\), got \(3, 47, 48\)"):
        tiny(mean=torch.rand(3, 47, 48))
    with pytest.raises(UserError, match="above 0, got 0;"):
        parameter_groups(tiny(), 0)
