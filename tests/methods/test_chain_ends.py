"""Behind a chain's last maps may lie anything, where it is asked for."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.chain import Chain
from tests.methods.chains import IMAGES, Modules, as_model

pytestmark = pytest.mark.usefixtures("seeded")


class Anything(Modules):
    def forward(self, x: Tensor) -> Tensor:
        n, c, _h, w = x.shape
        if c != 3 or len(x.shape) != 4:
            raise ValueError
        x = self.relu(self.conv2(self.pool(self.relu(self.conv1(x)))))
        size = 1
        for side in x.shape[1:]:
            size *= side
        x = self.mean(x.tanh_()).view(n, -1)
        return F.log_softmax(self.fc(x) + x.sum(1, keepdim=True) * w / size, dim=1)


def test_behind_an_open_end_may_lie_anything() -> None:
    model = Anything()
    chain = Chain(model, IMAGES, open_end=True)
    assert chain.names == ["conv1", "relu", "pool", "conv2", "relu:2", "the rest"]
    with torch.no_grad():
        wanted = model.eval()(IMAGES[:2])
        found = chain.outputs(IMAGES[:2], ["relu:2", "the rest"])
        again = chain.outputs(IMAGES[:2], ["relu:2"])["relu:2"]
    assert torch.allclose(found["the rest"], wanted)
    assert torch.equal(found["relu:2"], again), "what works in place changes no layer's output"
    with pytest.raises(UserError, match="calls 'tanh_', whose way back"):
        Chain(model, IMAGES)


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        ((nn.Tanh(), nn.Conv2d(4, 4, 3)), "layer '2' (3 of 4) is a Tanh"),
        ((nn.GELU(), nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 4)), "is a GELU"),
    ],
)
def test_an_end_is_open_only_behind_the_last_maps(
    behind: tuple[nn.Module, ...], words: str
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *behind)
    model(IMAGES)
    with pytest.raises(UserError, match=re.escape(words)):
        Chain(model, IMAGES, open_end=True)


def test_an_open_end_takes_nothing_from_before_it() -> None:
    model = as_model(lambda self, x: torch.tanh(self.conv(x).relu()) + x)
    with pytest.raises(UserError, match="behind 'images' Model does: conv, add"):
        Chain(model, IMAGES, open_end=True)


@pytest.mark.parametrize(
    ("end", "names"),
    [
        (lambda x: x.mean((2, 3)), ["mean", "mean:2"]),
        (lambda x: torch.mean(x, dim=[-1, -2], keepdim=True).squeeze(), ["mean", "squeeze"]),
        (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1, 3), ["adaptive_avg_pool2d", "flatten"]),
        (lambda x: F.avg_pool2d(x, 16).contiguous().view(x.shape[0], x.shape[1]),
         ["avg_pool2d", "contiguous", "view"]),
    ],
)  # fmt: skip
def test_means_over_a_map_are_read(end: Callable[[Tensor], Tensor], names: list[str]) -> None:
    model = as_model(lambda self, x: end(self.conv(x).relu()))
    assert Chain(model, IMAGES).names == ["conv", "relu", *names]
