"""Networks of many shapes read as chains, and the many that are none."""

import copy
import re
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.chain import Chain
from research.models import LeNet, Vgg16, ZFNet
from research.models.layers import CentredPixels, Normalise

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class Modules(nn.Module):
    """A small network of layers only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2)
        self.norm = nn.LocalResponseNorm(3)
        self.mean = nn.AvgPool2d(3)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool(self.relu(self.conv1(x))))
        x = self.flatten(self.mean(self.relu(self.conv2(x))))
        out: Tensor = self.fc(x)
        return out


class Functions(Modules):
    """The same, as people write it."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, stride=2)
        x = F.local_response_norm(x, 3)
        x = F.dropout(torch.relu(self.conv2(x)), training=self.training)
        x = F.avg_pool2d(F.dropout2d(x, 0.2, self.training), 3)
        out: Tensor = self.fc(x.view(x.size(0), -1))
        return out


class OtherFunctions(Modules):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(self.conv1(x).relu(), 3, 2)
        x = self.norm(x)
        x = F.adaptive_avg_pool2d(torch.relu_(self.conv2(x)), 2)
        out: Tensor = self.fc(torch.flatten(x, 1))
        return out


class Shifted(nn.Module):
    """Normalises by itself, with numbers and with buffers of several shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.register_buffer("mean", torch.rand(1, 3, 1, 1))
        self.register_buffer("spread", torch.rand(16, 16) + 0.5)

    mean: Tensor
    spread: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = 0.2 + 255 * (torch.sub(x, self.mean).div(0.3) + 0.1)
        out: Tensor = self.conv(self.mean * (x * (2 * self.spread))) - 1.5
        return out


def twin(model: Modules) -> Modules:
    """A network of modules with the same weights."""
    other = Modules()
    other.load_state_dict(model.state_dict())
    return other


def hooked(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The outputs of a network's leaves, as hooks see them."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if not list(module.children()):
            keep = lambda _m, _i, out, name=name: found.__setitem__(name, out.clone())  # noqa: E731
            handles.append(module.register_forward_hook(keep))
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return found


# --- what is read --------------------------------------------------------------------------------


def test_layers_are_called_as_in_the_network() -> None:
    chain = Chain(Modules(), IMAGES)
    assert chain.names == ["conv1", "relu", "pool", "norm", "conv2", "relu:2", "mean", "flatten",
                           "fc"]  # fmt: skip
    found = Chain(Functions(), IMAGES).names
    assert found == ["conv1", "relu", "max_pool2d", "local_response_norm", "conv2", "relu:2",
                     "dropout", "dropout2d", "avg_pool2d", "view", "fc"]  # fmt: skip


@pytest.mark.parametrize("kind", [Functions, OtherFunctions])
def test_functions_do_what_the_modules_do(kind: type[Modules]) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    chain, other = Chain(model, IMAGES), Chain(twin(model), IMAGES)
    kinds = [type(link.module) for link in chain.links if type(link.module) is not nn.Identity]
    assert len(kinds) == len(other.links) == 9
    with torch.no_grad():
        wanted = model(IMAGES)
    for one in (chain, other):
        [(_, found)] = one.some(IMAGES, one.names[-1:])
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.shape[0], -1),
        lambda x: x.view((x.size(0), -1)),
        lambda x: x.view(-1, 4 * 14 * 14),
        lambda x: x.reshape(x.shape[0], 4 * 14 * 14),
        lambda x: torch.reshape(x, (-1, 784)),
        lambda x: x.flatten(1),
        lambda x: x.flatten(start_dim=1, end_dim=-1),
    ],
)
def test_flattening_has_many_forms(view: Callable[[Tensor], Tensor]) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(784, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.fc(view(self.conv(x)))
            return out

    chain = Chain(Model(), IMAGES)
    assert isinstance(chain.links[1].module, nn.Flatten)
    assert chain.outputs(IMAGES[:1], ["fc"])["fc"].shape == (1, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arithmetic_with_constants_keeps_its_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, images = Shifted().to(dtype), IMAGES.to(dtype)
    chain = Chain(model, images)
    assert not [name for name in vars(model) if "constant" in name]
    found = chain.outputs(images, chain.names[-1:])[chain.names[-1]]
    with torch.no_grad():
        wanted = model(images)
    assert found.dtype == dtype
    assert (found - wanted).abs().max() <= 8 * torch.finfo(dtype).eps * wanted.abs().max()


def test_a_reused_layer_is_named_again() -> None:
    relu = nn.ReLU(inplace=True)
    chain = Chain(nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu), IMAGES)
    assert chain.names == ["0", "1", "2", "1:2"]
    outputs = chain.outputs(IMAGES, ["1:2", "2", "1", "0"])
    assert list(outputs) == ["1:2", "2", "1", "0"]
    assert torch.equal(outputs["1"], outputs["0"].relu())
    assert torch.equal(outputs["1:2"], outputs["2"].relu())
    assert outputs["0"].min() < 0 and outputs["2"].min() < 0


@pytest.mark.parametrize("model", [LeNet(), LeNet(normalise=True), Vgg16(0.05),
                                   ZFNet(0.05, 4, side=63), ZFNet(0.05, 4, side=63, without=(6,))],
                         ids=["lenet", "normalised", "vgg", "zf", "zf without 6"])  # fmt: skip
def test_our_networks_are_chains(model: nn.Module) -> None:
    side, channels = (28, 1) if isinstance(model, LeNet) else (63, 3)
    side = 32 if isinstance(model, Vgg16) else side
    images = torch.rand(2, channels, side, side)
    wanted = hooked(model.eval(), images)
    found = Chain(model, images).outputs(images, list(wanted))
    for name, output in wanted.items():
        assert torch.equal(found[name], output), name


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg16_bn"])
def test_torchvisions_old_networks_are_chains(name: str) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None)
    linear = [i for i, module in enumerate(model.classifier) if isinstance(module, nn.Linear)]
    first, second, last = linear
    wide = model.classifier[first].in_features
    for place, sizes in {first: (wide, 8), second: (8, 8), last: (8, 5)}.items():
        model.classifier[place] = nn.Linear(*sizes)
    model.to_empty(device="cpu")
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    model.eval()
    images = torch.rand(2, 3, 67, 64)
    chain = Chain(model, images)
    assert chain.names[0] == "features.0"
    assert "flatten" in chain.names
    with torch.no_grad():
        assert torch.equal(chain.outputs(images, ["classifier.6"])["classifier.6"], model(images))


def test_what_lies_behind_the_last_layer_is_not_computed() -> None:
    model = Modules()
    chain = Chain(model, IMAGES)

    def never(_: Tensor) -> Tensor:
        raise AssertionError("was computed")

    vars(model.conv2)["forward"] = never
    assert list(chain.outputs(IMAGES, ["pool", "conv1"])) == ["pool", "conv1"]
    assert [name for name, _ in chain.some(IMAGES, ["norm", "relu"])] == ["relu", "norm"]
    assert chain.passage(IMAGES, "norm").output.shape == (3, 4, 6, 6)
    with pytest.raises(AssertionError, match="was computed"):
        chain.outputs(IMAGES, ["conv2"])
    assert chain.outputs(IMAGES, []) == {}


def test_a_passage_remembers_shapes_and_switches() -> None:
    chain = Chain(nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2), nn.ReLU()), IMAGES)
    passage = chain.passage(IMAGES, "1")
    assert [link.name for link in passage.links] == ["0", "1"]
    assert [tuple(shape) for shape in passage.shapes] == [(3, 16, 16), (2, 14, 14)]
    maps = chain.outputs(IMAGES, ["0"])["0"].flatten(2)
    assert torch.equal(maps.gather(2, passage.switches[1].flatten(2)), passage.output.flatten(2))


# --- what is left --------------------------------------------------------------------------------


def state(model: nn.Module) -> tuple[object, ...]:
    modules = list(model.modules())
    return (
        [module.training for module in modules],
        [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
         for m in modules],
        [sorted(vars(module)) for module in modules],
        {name: value.tolist() for name, value in model.state_dict().items()},
        [parameter.grad for parameter in model.parameters()],
        torch.get_rng_state().tolist(),
        torch.is_inference_mode_enabled(), torch.is_grad_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [Modules, Functions, Shifted])
def test_a_network_is_left_as_it_was(kind: type[nn.Module]) -> None:
    model = kind().train()
    next(iter(model.children())).eval()
    images, before = IMAGES.clone(), state(model)
    chain = Chain(model, images)
    chain.outputs(images, chain.names)
    chain.passage(images, chain.names[-1])
    assert state(model) == before
    assert torch.equal(images, IMAGES)


def test_between_two_layers_all_is_as_it_was() -> None:
    model = Modules().train()
    chain, before = Chain(model, IMAGES), state(model)
    one, other = chain.forward(IMAGES), chain.forward(IMAGES)
    for _ in range(3):
        next(one), next(other)
        assert state(model) == before
    for both in (one, other):
        list(both)
    del one, other
    assert state(model) == before


def test_a_refused_network_is_left_as_it_was_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()).train()
    before = state(model)
    with pytest.raises(UserError):
        Chain(model, IMAGES)
    assert state(model) == before


def test_a_layer_in_place_does_not_change_what_it_is_given() -> None:
    images = IMAGES - 0.5
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(inplace=True), nn.Conv2d(3, 2, 3))
    chain = Chain(model, images.clone())
    given = images.clone()
    chain.outputs(given, chain.names)
    chain.passage(given, "2")
    assert torch.equal(given, images)


# --- what is refused -----------------------------------------------------------------------------


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


def as_model(forward: Callable[..., object]) -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.fc = nn.Linear(256, 5)

    Model.forward = forward
    return Model()


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


def test_weights_may_change_after_reading() -> None:
    model = Modules()
    chain = Chain(model, IMAGES)
    model.load_state_dict(copy.deepcopy(Modules().state_dict()))
    with torch.no_grad():
        wanted = model.eval()(IMAGES)
    assert torch.equal(chain.outputs(IMAGES, ["fc"])["fc"], wanted)


def test_first_layers_that_normalise_are_read() -> None:
    for first in (Normalise((0.4, 0.5, 0.4), (0.2, 0.3, 0.2)), CentredPixels(IMAGES[0])):
        assert len(Chain(nn.Sequential(first, nn.Conv2d(3, 2, 3)), IMAGES).links) == 2


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
