"""Networks of many shapes read as chains, which are left as they were."""

import copy
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from research.errors import UserError
from research.methods.chain import Chain
from research.models import LeNet, Vgg16, ZFNet
from research.models.layers import CentredPixels, Normalise
from tests.methods.chains import IMAGES, Functions, Modules, OtherFunctions, Shifted, hooked, twin

pytestmark = pytest.mark.usefixtures("seeded")


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
