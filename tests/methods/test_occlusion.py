"""Occlusion against loops, captum, a linear model's closed form, and whole images again."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.occlusion import occlude, occlusion_map, positions
from research.models.layers import CentredPixels, Normalise
from research.models.zeiler import ZFNet


def looped(
    measure: Callable[[Tensor], Tensor], image: Tensor, window: int, stride: int, fill: Tensor
) -> Tensor:
    """One occluded image at a time, its square written pixel by pixel."""
    rows, columns = (positions(side, window, stride) for side in image.shape[1:])
    filled = fill.expand(image.shape)
    values = []
    for top in rows:
        for left in columns:
            occluded = image.clone()
            for y in range(top, top + window):
                for x in range(left, left + window):
                    occluded[:, y, x] = filled[:, y, x]
            with torch.no_grad():
                values.append(measure(occluded[None])[0])
    return torch.stack(values).view(len(rows), len(columns), *values[0].shape)


def stems() -> dict[str, list[nn.Module]]:
    torch.manual_seed(0)
    return {
        "padded": [
            Normalise((0.4, 0.5), (0.2, 0.3)),
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(4, 4, 5, padding=2, bias=False),
        ],
        "ceiled": [
            nn.Conv2d(2, 4, (5, 3), (2, 1), (1, 0)),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(3),
            nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2),
            nn.BatchNorm2d(6),
            nn.Dropout(),
        ],
        "between": [nn.Conv2d(2, 3, 2, 5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)],
        "other": [nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.Conv2d(3, 3, 3), nn.Sigmoid()],
        "reflected": [nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), nn.ReLU()],
        "same": [nn.Conv2d(2, 3, 3, padding="same"), nn.MaxPool2d(2)],
        "paper": list(ZFNet(0.05, 4, side=63, channels=2, mean=torch.rand(2, 63, 63))),
    }


def ready(layers: Sequence[nn.Module], height: int = 23, width: int = 26) -> nn.Sequential:
    model = nn.Sequential(*layers)
    model.eval()(torch.rand(1, 2, height, width))
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            assert layer.running_mean is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return model.double()


@pytest.mark.parametrize(
    ("side", "window", "stride"), [(28, 5, 3), (9, 9, 4), (7, 1, 1), (10, 3, 8)]
)
def test_windows_cover_the_side_and_do_not_overrun(side: int, window: int, stride: int) -> None:
    found = positions(side, window, stride)
    assert found == sorted(set(found)) and found[0] == 0 and found[-1] + window == side
    assert {b - a for a, b in pairwise(found[:-1])} <= {stride}
    assert len(found) < 2 or 0 < found[-1] - found[-2] <= stride
    if stride <= window:
        assert {p for start in found for p in range(start, start + window)} == set(range(side))


def test_occluded_images_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    image = torch.rand(3, 9, 7)
    for fill in (torch.tensor(0.25), torch.rand(3, 1, 1), torch.rand(3, 9, 7)):
        expected = looped(lambda x: x, image, 3, 2, fill).flatten(0, 1)
        for batch in (1, 5, 100):
            blocks = list(occlude(image, 3, 2, fill, batch))
            assert max(map(len, blocks)) <= batch and torch.equal(torch.cat(blocks), expected)


def test_drop_of_a_linear_model_is_the_weighted_difference_in_the_window() -> None:
    torch.manual_seed(0)
    image, weights = torch.rand(2, 12, 15, dtype=torch.float64), torch.randn(2, 12, 15).double()
    fill = torch.rand(2, 1, 1, dtype=torch.float64)
    drop = (weights * image).sum() - occlusion_map(
        lambda x: (weights * x).flatten(1).sum(1), image, 4, 3, fill
    )
    inside = (weights * (image - fill)).sum(0).unfold(0, 4, 1).unfold(1, 4, 1).sum((2, 3))
    rows, columns = positions(12, 4, 3), positions(15, 4, 3)
    assert drop.shape == (len(rows), len(columns))
    assert torch.allclose(drop, inside[rows][:, columns], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", stems())
@pytest.mark.parametrize(("window", "stride"), [(1, 11), (4, 5), (9, 6)])
def test_part_of_the_layers_is_as_good_as_whole_images(name: str, window: int, stride: int) -> None:
    side = (63, 63) if name == "paper" else (23, 26)
    model = ready(stems()[name], *side)
    torch.manual_seed(1)
    image, fill = torch.rand(2, *side).double(), torch.rand(2, *side).double()
    expected = looped(model, image, window, stride, fill)
    assert expected.std() > 0
    for batch in (7, 256):
        found = occlusion_map(lambda x: x, image, window, stride, fill, layers=model, batch=batch)
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    split = occlusion_map(model[2:], image, window, stride, fill, layers=model[:2])
    assert torch.allclose(split, expected, rtol=1e-10, atol=1e-12)


def test_only_what_the_square_changes_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, conv2d = [], F.conv2d

    def recorded(*arguments: Any) -> Tensor:
        output = conv2d(*arguments)
        shapes.append(tuple(output.shape))
        return output

    monkeypatch.setattr(F, "conv2d", recorded)
    layers = [
        CentredPixels(torch.rand(1, 22, 22)),
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 5, 3),
    ]
    occlusion_map(lambda x: x, torch.rand(1, 22, 22), 4, 2, 0.5, layers=layers)
    # 4 pixels, 6 behind the first convolution, at most 4 behind the pooling, 6 at the end
    assert shapes == [(1, 3, 22, 22), (1, 5, 9, 9), (100, 3, 6, 6), (100, 5, 6, 6)]


def test_captum_averages_our_drops_over_the_windows_that_cover_a_pixel() -> None:
    captum = pytest.importorskip("captum.attr")
    model = ready([nn.Conv2d(2, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(3)])
    torch.manual_seed(0)
    image, shape = torch.rand(2, 23, 26).double(), (2, 5, 5)
    theirs = captum.Occlusion(model).attribute(
        image[None], shape, strides=(2, 3, 3), baselines=0.3, target=1
    )
    drops = model(image[None])[0, 1].item() - occlusion_map(
        lambda x: model(x)[:, 1], image, 5, 3, 0.3
    )
    total, times = torch.zeros(23, 26).double(), torch.zeros(23, 26)
    for row, top in zip(drops, positions(23, 5, 3), strict=True):
        for drop, left in zip(row, positions(26, 5, 3), strict=True):
            total[top : top + 5, left : left + 5] += drop
            times[top : top + 5, left : left + 5] += 1
    assert times.min() >= 1
    assert torch.allclose(theirs[0].double(), (total / times).expand(2, -1, -1), rtol=0, atol=1e-6)


def test_statistics_of_a_batch_are_taken_of_whole_images() -> None:
    layers = [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)]
    model, image = ready(layers), torch.rand(2, 23, 26).double()
    expected = looped(model, image, 6, 4, torch.tensor(0.5))
    found = occlusion_map(lambda x: x, image, 6, 4, 0.5, layers=model, batch=1)
    assert torch.allclose(found, expected, atol=1e-10)


def test_a_fill_that_is_the_image_changes_nothing() -> None:
    image = torch.rand(2, 23, 26).double()
    model = ready(stems()["ceiled"])
    found = occlusion_map(model, image, 6, 4, image)
    with torch.no_grad():
        assert torch.allclose(found, model(image[None])[0].expand_as(found), atol=1e-12)


def test_models_and_random_state_are_left_as_they_were() -> None:
    image = torch.rand(2, 23, 26).double()
    model = ready(stems()["ceiled"])
    model.train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    before, seed = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    copy = image.clone()
    first = occlusion_map(model, image, 6, 4, 0.5)
    second = occlusion_map(nn.Identity(), image, 6, 4, 0.5, layers=model)
    assert torch.allclose(first, second, atol=1e-12) and torch.equal(image, copy)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), seed)


def test_a_relu_in_place_leaves_the_image_alone() -> None:
    image, copy = torch.full((1, 6, 6), 0.5), torch.full((1, 6, 6), 0.5)
    lowered = [Normalise((0.7,), (1.0,)), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 1, bias=False)]
    assert occlusion_map(lambda x: x, image, 2, 2, 0.6, layers=lowered).abs().max() == 0
    assert torch.equal(image, copy)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"window": 9}, "1 to 8 pixels.*got 9"),
        ({"window": 0}, "1 to 8 pixels.*got 0"),
        ({"stride": 0}, "stride must be at least 1 pixel, got 0"),
        ({"fill": 1.5}, r"\[0, 1\], got 1.5"),
        ({"fill": torch.tensor([[[-0.1]], [[0.5]]])}, r"got -0.1 to 0.5"),
        ({"fill": torch.tensor([0.1, 0.2])}, r"\(2, 1, 1\).*shape \(2,\)"),
        ({"image": torch.rand(1, 2, 8, 8)}, r"\(C, H, W\).*\(1, 2, 8, 8\)"),
        ({"image": torch.full((2, 8, 8), 255.0)}, "values 255 to 255"),
        ({"image": torch.full((2, 8, 8), torch.nan)}, "values nan to nan"),
        ({"measure": torch.mean}, r"one entry for each of 16 images.*\(\)"),
    ],
)
def test_mistakes_are_named_in_one_line(arguments: dict[str, object], words: str) -> None:
    usual: dict[str, object] = {
        "measure": nn.Flatten(), "image": torch.rand(2, 8, 8),
        "window": 2, "stride": 2, "fill": 0.5,
    }  # fmt: skip
    with pytest.raises(UserError, match=words) as caught:
        occlusion_map(**{**usual, **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
