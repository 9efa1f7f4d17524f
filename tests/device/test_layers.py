"""What is read out of a network's layers on a device, against the CPU."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from research.config import Train
from research.data import Split
from research.methods.activations import activation_maps, kernels
from research.methods.chain import Chain
from research.methods.correspondence import disagreement, masked, sign_changes
from research.methods.crops import mean_image, ten_crop_probabilities
from research.methods.deconvnet import pasted, project
from research.methods.filters import aliased, beyond_nyquist, dead, frequency
from research.methods.invariance import CHANGES, curves
from research.methods.occlusion import occlusion_map
from research.methods.receptive_fields import extent, fields
from research.methods.top_activations import strongest
from research.models import (
    CnnA,
    ConvAutoencoder,
    DenoisingAutoencoder,
    DenseAutoencoder,
    LeNet,
    Maxout,
    Mlp,
    PooledAutoencoder,
    SoftmaxRegression,
    TutorialCnn,
    Vgg16,
    ZFNet,
)
from research.training.loop import placed

pytestmark = pytest.mark.cuda

SIDE = 64
LAYERS = ("relu1", "relu3", "relu5")


def fresh() -> ZFNet:
    torch.manual_seed(3)
    return ZFNet(0.125, 4, side=SIDE)


@pytest.fixture(scope="session")
def here(pictures: Split) -> Chain:
    return Chain(fresh().eval(), pictures.floats()[:2])


@pytest.fixture
def there(pictures: Split, device: str) -> Chain:
    model = placed(fresh().eval(), Train(device=device))
    return Chain(model, pictures.floats()[:2].to(device))


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "CnnA": CnnA, "ConvAutoencoder": lambda: ConvAutoencoder(1),
    "upsample": lambda: ConvAutoencoder(1, "upsample"), "Denoising": DenoisingAutoencoder,
    "Dense": lambda: DenseAutoencoder((1, 28, 28), [32, 8], [32], output="tanh", centred=True),
    "LeNet": LeNet, "Maxout": Maxout, "Mlp": Mlp, "Softmax": SoftmaxRegression,
    "TutorialCnn": TutorialCnn, "Pooled": PooledAutoencoder,
    "Vgg16": lambda: Vgg16(0.125), "ZFNet": fresh,
}  # fmt: skip
SHAPES = {"Pooled": (1, 64, 64), "Vgg16": (3, 32, 32), "ZFNet": (3, SIDE, SIDE)}


@pytest.mark.parametrize("name", MAKERS)
def test_every_network_answers_as_on_the_cpu(name: str, device: str) -> None:
    torch.manual_seed(0)
    model = MAKERS[name]().eval()
    images = torch.rand(6, *SHAPES.get(name, (1, 28, 28)))
    other = placed(copy.deepcopy(model), Train(device=device))
    with torch.no_grad():
        wanted, found = model(images), other(images.to(device)).cpu()
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_kernels_and_activations_come_to_the_cpu(
    here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    first, second = kernels(here.model), kernels(there.model)
    assert all(torch.equal(second[name], first[name]) for name in first)
    maps = activation_maps(here.model, pictures.floats()[:3])
    for name, found in activation_maps(there.model, pictures.floats()[:3].to(device)).items():
        assert found.device.type == "cpu"
        scale = float(maps[name].abs().max())
        assert torch.allclose(found, maps[name], rtol=1e-3, atol=1e-4 * scale), name


def test_the_nine_strongest_have_the_ranks_of_the_cpu(
    here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    first = strongest(here, pictures, LAYERS, 9, batch=25)
    second = strongest(there, pictures.to(device), LAYERS, 9, batch=25)
    for layer in LAYERS:
        values, others = first[layer].values, second[layer].values.cpu()
        assert torch.allclose(values, others, rtol=1e-3, atol=1e-4 * float(values.max()))
        # apart from values that are equal up to rounding, and may change places
        gaps = values[:, :-1] - values[:, 1:] > 1e-4 * values[:, :1].clamp(min=1e-12)
        clear = torch.cat([gaps, gaps[:, -1:]], 1) & torch.cat([gaps[:, :1], gaps], 1)
        images = first[layer].images == second[layer].images.cpu()
        assert clear.double().mean() > 0.3
        assert images[clear].double().mean() > 0.99
        places = (first[layer].positions == second[layer].positions.cpu()).all(-1)
        assert places[clear & images].double().mean() > 0.97


def test_projections_are_those_of_the_cpu(
    here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    images = pictures.floats()
    for layer in LAYERS:
        best = strongest(here, pictures, [layer], 2)[layer]
        alive = torch.nonzero((best.values > 0).all(1))[:4, 0]
        units = best.units(alive)
        moved = type(units)(*(one.to(device) for one in units))
        wanted = pasted(project(here, images, layer, units), images.shape)
        found = pasted(project(there, images.to(device), layer, moved), images.shape).cpu()
        # a switch at a tie may be another one
        scale = wanted.abs().amax((1, 2, 3), keepdim=True)
        assert ((found - wanted).abs() > 1e-3 * scale).double().mean() < 0.01


def test_receptive_fields_are_those_of_the_cpu(here: Chain, there: Chain, device: str) -> None:
    places, shape = torch.tensor([[0, 0], [1, 2], [2, 1]]), (3, SIDE, SIDE)
    for layer in LAYERS:
        wanted = fields(here, layer, places, shape)
        assert torch.equal(fields(there, layer, places.to(device), shape).cpu(), wanted)
        assert extent(there, layer, shape) == extent(here, layer, shape)


def test_occlusion_is_that_of_the_cpu(
    here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    image = pictures.floats()[0]

    def answers(maps: Tensor) -> Tensor:
        return maps.flatten(1).softmax(1)

    maps = []
    for chain, where in ((here, "cpu"), (there, device)):
        layers = [link.module for link in chain.links]
        maps.append(
            occlusion_map(answers, image.to(where), 16, 7, 0.5, layers=layers, batch=20).cpu()
        )
    assert maps[0].shape[:2] == (8, 8)
    assert torch.allclose(maps[1], maps[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", CHANGES)
def test_invariance_is_that_of_the_cpu(
    name: str, here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    amounts = {"translation": (0.0, 0.1, -0.23), "scale": (1.0, 1.3), "rotation": (0.0, 33, 90)}
    found = []
    for chain, where in ((here, "cpu"), (there, device)):

        def outputs(images: Tensor, chain: Chain = chain) -> tuple[dict[str, Tensor], Tensor]:
            maps = chain.outputs(images, ["relu1", "relu7", "fc8"])
            return {k: maps[k].flatten(1) for k in ("relu1", "relu7")}, maps["fc8"]

        images, labels = pictures.floats()[:20].to(where), pictures.labels[:20].to(where)
        found.append(curves(outputs, images, labels, CHANGES[name], amounts[name], 0.5, batch=8))
    for layer, wanted in found[0].distances.items():
        assert torch.allclose(found[1].distances[layer].cpu(), wanted, rtol=1e-3, atol=1e-3)
    first, second = (one.probabilities.cpu() for one in found)
    assert torch.allclose(second, first, rtol=1e-3, atol=1e-5)


def test_correspondence_is_that_of_the_cpu(
    here: Chain, there: Chain, pictures: Split, device: str
) -> None:
    signs = []
    for chain, where in ((here, "cpu"), (there, device)):
        images = pictures.floats()[:12].to(where)
        hidden = masked(images, [(0.2, 0.2, 0.6, 0.6)], 0.5)

        def features(some: Tensor, chain: Chain = chain) -> Tensor:
            with torch.inference_mode():
                return chain.outputs(some, ["relu5"])["relu5"]

        signs.append(sign_changes(features, images, hidden, 1e-5))
    assert (signs[0] != signs[1].cpu()).double().mean() < 0.01
    assert disagreement(signs[1]) == pytest.approx(disagreement(signs[0]), abs=0.01)


def test_filters_and_crops_are_those_of_the_cpu(here: Chain, pictures: Split, device: str) -> None:
    measures = []
    for where in ("cpu", device):
        weight = kernels(here.model)["conv1"].to(where)
        images, split = pictures.floats()[:16].to(where), pictures.to(where)
        values = [dead(weight), aliased(images, weight, 2)]
        per_filter = np.concatenate([frequency(weight), beyond_nyquist(weight, 2)])
        mean = mean_image(split, 48).cpu()
        torch.manual_seed(1)
        model = placed(ZFNet(0.0625, 4, side=48), Train(device=where))
        measures.append((values, per_filter, mean, ten_crop_probabilities(model, split, 48).cpu()))
    (values, per_filter, mean, probabilities), other = measures
    assert other[0] == pytest.approx(values, rel=1e-3, abs=1e-6)
    assert np.allclose(other[1], per_filter, rtol=1e-6)
    assert torch.allclose(other[2], mean, atol=1e-7)
    assert torch.allclose(other[3], probabilities, rtol=1e-3, atol=1e-5)
