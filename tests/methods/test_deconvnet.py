"""Projections against captum and against another gradient."""

import pytest
import torch
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.chain import Chain
from research.methods.deconvnet import Units, pasted, project
from research.methods.reversible import Scale
from tests.methods.projections import CASES, active, assert_close, at, by_gradient, pixels, ready

pytestmark = [
    pytest.mark.usefixtures("seeded"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
]


def by_captum(model: nn.Module, layer: nn.Module, images: Tensor, units: Units) -> Tensor:
    """Times the activations, because captum seeds with one."""

    def selected(output: Tensor) -> Tensor:
        return at(output, units._replace(image=torch.arange(len(output))))

    inputs = images[units.image].clone().requires_grad_()
    found: Tensor = NeuronDeconvolution(model, layer).attribute(inputs, selected)
    name = next(name for name, module in model.named_modules() if module is layer)
    output = Chain(model, images).outputs(images, [name])[name]
    return found.detach() * at(output, units)[:, None, None, None]


@pytest.mark.parametrize("name", CASES)
def test_every_layer_equals_captum_times_the_activation(name: str) -> None:
    model, images = ready(name)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_captum(model, model[place], images, units))


@pytest.mark.parametrize("name", CASES)
def test_every_layer_equals_a_gradient_with_other_relus(name: str) -> None:
    model, images = ready(name)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output, 6)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_gradient(list(model)[: place + 1], images, units))


def test_one_relu_module_may_be_used_again() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    layers = [nn.Conv2d(3, 4, 3), relu, nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), relu, nn.MaxPool2d(2)]
    model = nn.Sequential(*layers).double()
    images = pixels(4, 3, 19, 19)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_gradient(layers[: place + 1], images, units))
        if layers[place] is not relu:  # of which captum sees one use only
            assert_close(found, by_captum(model, layers[place], images, units))


class Functions(nn.Module):
    """Layers written as functions, for which captum returns a plain gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 5, 5, 2, 1), nn.Conv2d(5, 6, 3)
        self.fc = nn.Linear(54, 4)
        self.register_buffer("mean", pixels(3, 1, 1))

    mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 0.25
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, ceil_mode=True)
        x = F.adaptive_avg_pool2d(self.conv2(x).relu_(), 3)
        x = F.dropout(x, training=self.training)
        out: Tensor = self.fc(x.view(x.size(0), -1))
        return out

    def modules_alike(self) -> nn.Sequential:
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        return nn.Sequential(
            Scale(torch.tensor(4.0), -4 * self.mean), self.conv1, nn.ReLU(), pool, self.conv2,
            nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), self.fc,
        )  # fmt: skip


def test_functions_are_projected_as_modules() -> None:
    torch.manual_seed(0)
    model, images = Functions().double().eval(), pixels(4, 3, 24, 25)
    alike = model.modules_alike()
    chain = Chain(model, images)
    names = {"sub": None, "truediv": 0, "conv1": 1, "relu": 2, "max_pool2d": 3, "conv2": 4,
             "relu_": 5, "adaptive_avg_pool2d": 6, "dropout": None, "view": 7, "fc": 8}  # fmt: skip
    assert chain.names == list(names)
    for layer, output in chain.forward(images):
        place, units = names[layer], active(output)
        if place is not None:
            found = pasted(project(chain, images, layer, units), images.shape)
            assert_close(found, by_captum(alike, alike[place], images, units))


def test_float32_equals_captum_to_its_precision() -> None:
    model, images = ready("overlapping pools")
    model, images = model.float(), images.float()
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output, 30)
        found = pasted(project(chain, images, layer, units), images.shape)
        wanted = by_captum(model, model[place], images, units)
        assert found.dtype == torch.float32
        assert (found - wanted).abs().max() < 2e-6 * wanted.abs().max()
