"""What is no chain of known layers is refused with its place."""

import re
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.chain import Chain
from tests.methods.chains import IMAGES, Modules, as_model

pytestmark = pytest.mark.usefixtures("seeded")


def test_an_unknown_layer_is_named_with_the_nearest() -> None:
    chain = Chain(Modules(), IMAGES)
    with pytest.raises(UserError, match=r"no layer 'conv3': did you mean 'conv\d'\?"):
        chain.index("conv3")
    with pytest.raises(UserError, match="no layer 'x': choose from conv1, relu, pool"):
        chain.outputs(IMAGES, ["x"])


CONV = nn.Conv2d(3, 3, 3, padding=1)


class Doubled(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def overridden() -> nn.Module:
    relu = nn.ReLU()
    vars(relu)["forward"] = lambda x: x.relu() + 1
    return relu


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.LeakyReLU(), "is a LeakyReLU, whose way back to the pixels is unknown"),
        (nn.ConvTranspose2d(3, 3, 3), "is a ConvTranspose2d"),
        (nn.GELU(), "is a GELU"),
        (nn.ReLU6(), "is a ReLU6"),
        (nn.GroupNorm(1, 3), "is a GroupNorm"),
        (Doubled(3, 3, 3), "is a Doubled"),
        (overridden(), "is a ReLU, whose way back"),
        (nn.AdaptiveMaxPool2d(2), "is a AdaptiveMaxPool2d"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
         "pads with padding=(1, 1), padding_mode='reflect'"),
        (nn.Conv2d(3, 3, 3, padding="same"), "pads with padding='same'"),
        (nn.BatchNorm2d(3, track_running_stats=False), "keeps no running statistics"),
        (nn.Flatten(2), "does not make one vector of each image"),
    ],
)  # fmt: skip
def test_a_layer_without_a_way_back_is_named_with_its_place(module: nn.Module, words: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Sequential(nn.ReLU(), module), nn.Identity())
    with pytest.raises(UserError, match=re.escape(f"layer '1.1' (3 of 4) {words}")) as refused:
        Chain(model, IMAGES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda self, x: x + self.conv(x), "behind 'images' Model does: "),
        (lambda self, x: self.other(x := self.conv(x)).relu() + x, "behind 'conv' Model does: "),
        (lambda self, x: torch.cat([self.conv(x), self.other(x)], 1), "conv, other"),
        (lambda self, x: self.conv(x) if x.sum() > 0 else x, "cannot be read as a chain"),
        (lambda self, x: self.conv(x[: len(x)]), "calls 'getitem'"),
        (lambda self, x, y: self.conv(x) * y, "must take images and nothing else"),
        (lambda self, x: F.gelu(self.conv(x)), "calls 'gelu', whose way back"),
        (lambda self, x: F.leaky_relu(self.conv(x)), "calls 'leaky_relu'"),
        (lambda self, x: F.dropout(self.conv(x)), "calls 'dropout'"),
        (lambda self, x: F.dropout(self.conv(x), training=True), "calls 'dropout'"),
        (lambda self, x: F.max_pool2d(self.conv(x), 2, return_indices=True)[0], "calls '"),
        (lambda self, x: self.conv(x) * x.size(0), "calls 'mul'"),
        (lambda self, x: 1 - self.conv(x), "calls 'sub'"),
        (lambda self, x: self.conv.bias[0] / self.conv(x), "calls 'truediv'"),
        (lambda self, x: (x := self.conv(x)) * x, "calls 'mul'"),
        (lambda self, x: torch.add(self.conv(x), 1.0, alpha=2), "calls 'add'"),
        (lambda self, x: torch.relu(input=self.conv(x)), "calls 'relu'"),
        (lambda self, x: torch.flatten(self.conv(x)), "calls 'flatten'"),
        (lambda self, x: self.conv(x).flatten(2), "calls 'flatten'"),
        (lambda self, x: self.conv(x).transpose(2, 3), "calls 'transpose'"),
        (lambda self, x: self.conv(x).view(x.size(0), 3, 256), "calls 'view'"),
        (lambda self, x: self.conv(x).view(-1, 256), "one after another do not give"),
        (lambda self, x: self.conv(x).view(x.size(1) - 2, -1), "one after another do not give"),
        (lambda self, x: self.fc(self.conv(x).view(-1, 256)), "one after another do not give"),
        (lambda self, x: (self.conv(x),), "the output of its last layer, got a tuple"),
        (lambda self, x: {"logits": self.conv(x)}, "of its last layer, got a dict"),
        (lambda self, x: self.conv(torch.zeros(1, 3, 8, 8)), "behind 'images' Model does: nothing"),
    ],
)
def test_what_is_no_chain_is_refused(forward: Callable[..., object], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        Chain(as_model(forward), IMAGES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["", "0", "1", "2"])
@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_a_hook_that_changes_outputs_is_noticed(place: str, size: float) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3))
    last = model[3]
    assert isinstance(last, nn.Conv2d)
    last.weight.data *= size
    last.bias = None
    Chain(model, IMAGES)
    handle = model.get_submodule(place).register_forward_hook(lambda _m, _i, out: 1.5 * out)
    with pytest.raises(UserError, match="do not give what the network gives"):
        Chain(model, IMAGES)
    handle.remove()
    model.get_submodule(place).register_forward_hook(lambda _m, _i, out: None)
    Chain(model, IMAGES)


def test_a_linear_layer_along_a_side_of_the_maps_is_refused() -> None:
    with pytest.raises(UserError, match="layer '1' is linear along one side of the maps"):
        Chain(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(14, 5)), IMAGES)


def test_resnets_are_refused() -> None:
    with pytest.raises(UserError, match="does not branch, but behind 'maxpool' ResNet does"):
        Chain(torchvision.models.resnet18(weights=None), IMAGES)
