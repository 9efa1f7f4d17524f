"""VGG16 with ImageNet's weights: the file and its checksum, frozen layers, the last layer."""

import hashlib
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VGG16_Weights, vgg16

from research.errors import UserError
from research.models import pretrained
from research.models.pretrained import (
    FrozenVgg16,
    MissingWeightsError,
    imagenet_file,
    imagenet_weights,
)

Weights = dict[str, Tensor]


class Small(nn.Module):
    """torchvision's layout with few channels; takes pictures of 16 × 16."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(
            nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, 1000)
        )


@pytest.fixture(scope="module")
def weights() -> Weights:
    torch.manual_seed(0)
    return Small().state_dict()


@pytest.fixture
def server(tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a file of weights, its name with its checksum; torch's cache is empty."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    name = f"small-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    file = tmp_path / "server" / name
    file.parent.mkdir()
    file.write_bytes(buffer.getvalue())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return file.as_uri()


def test_the_file_is_torchvisions_and_lies_where_torch_keeps_it() -> None:
    assert VGG16_Weights.IMAGENET1K_V1.url == pretrained.URL


def test_a_file_is_downloaded_once_and_read(
    server: str, tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = imagenet_file(url=server)
    assert path == tmp_path / "cache/hub/checkpoints" / path.name
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    read = imagenet_weights(path)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    monkeypatch.setattr(pretrained, "_download", None)  # a second call would fail
    assert imagenet_file(url=server) == path


@pytest.mark.parametrize("folder", [False, True])
def test_a_given_file_or_its_folder_is_taken(folder: bool, server: str, tmp_path: Path) -> None:
    file = tmp_path / "server" / server.rpartition("/")[2]
    given = file.parent if folder else file.rename(tmp_path / "other name.pth")
    found = imagenet_file(given, server)
    assert found.read_bytes()[:2] == b"PK" and not (tmp_path / "cache").exists()


def test_weights_that_are_nowhere_are_told_from_a_wrong_setting(
    server: str, tmp_path: Path
) -> None:
    gone = server.replace("/server/", "/gone/")
    with pytest.raises(MissingWeightsError, match="cannot be downloaded from file://") as error:
        imagenet_file(url=gone)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").rglob("*.p*")) == []
    with pytest.raises(UserError, match="--imagenet must name the file small-") as wrong:
        imagenet_file(tmp_path / "gone", server)
    assert not isinstance(wrong.value, MissingWeightsError)


def test_a_file_of_another_checksum_is_refused_wherever_it_lies(
    server: str, tmp_path: Path
) -> None:
    name = server.rpartition("/")[2]
    damaged = tmp_path / "cache/hub/checkpoints" / name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"half a download")
    for given in (None, damaged):
        with pytest.raises(UserError, match=r"must begin with .* delete it") as error:
            imagenet_file(given, server)
        assert not isinstance(error.value, MissingWeightsError)
        assert hashlib.sha256(b"half a download").hexdigest()[:8] in str(error.value)
    assert damaged.exists(), "it may be the user's own"


def by_hand(w: Weights, images: Tensor) -> Tensor:
    """Features by functions, in float64, up to the flattened output of the average pooling."""
    w = {name: value.double() for name, value in w.items()}
    x = F.interpolate(images.double(), size=(16, 16), mode="bilinear", align_corners=False)
    x = F.conv2d(2 * x - 1, w["features.0.weight"], w["features.0.bias"]).clamp(min=0)
    x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))  # 7 × 7, from 14 × 14
    corners = (slice(0, 4), slice(3, 7))  # adaptive pooling of 7 to 2: 0 to 3 and 3 to 6
    return torch.stack([x[:, :, i, j].mean((2, 3)) for i in corners for j in corners], 2).flatten(1)


def test_features_and_logits_are_those_of_functions(weights: Weights) -> None:
    images = torch.rand(5, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    model = FrozenVgg16(weights, build=Small, side=16)
    features = by_hand(weights, images)
    assert torch.allclose(model.encoder(images).double(), features, atol=1e-6)
    w = {name: value.double() for name, value in weights.items()}
    hidden = F.linear(features, w["classifier.0.weight"], w["classifier.0.bias"]).clamp(min=0)
    logits = F.linear(hidden, w["classifier.3.weight"], w["classifier.3.bias"])
    assert torch.allclose(model(images).double(), logits, atol=1e-5)


def test_a_new_last_layer_has_as_many_outputs_as_classes(weights: Weights) -> None:
    images = torch.rand(2, 3, 9, 9)
    assert FrozenVgg16(weights, 10, build=Small, side=16)(images).shape == (2, 10)
    kept = FrozenVgg16(weights, build=Small, side=16)
    assert kept(images).shape == (2, 1000)
    # what the notebook does: the layer's print changes, the layer does not
    last = kept.head[-1]
    assert isinstance(last, nn.Linear)
    last.out_features = 10
    assert "out_features=10" in repr(last) and kept(images).shape == (2, 1000)


def test_training_moves_the_head_alone_and_not_the_weights_that_were_given(
    weights: Weights,
) -> None:
    before = {name: value.clone() for name, value in weights.items()}
    model = FrozenVgg16(weights, 10, build=Small, side=16)
    assert not model.training
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    F.cross_entropy(model(torch.rand(4, 3, 9, 9)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    grads = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert grads == {f"head.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")}
    assert all(torch.equal(before[name], weights[name]) for name in weights)
    assert not any(module.inplace for module in model.modules() if isinstance(module, nn.ReLU))


def test_weights_of_another_network_are_refused(weights: Weights) -> None:
    with pytest.raises(UserError, match=r"must be those of torchvision's VGG16") as error:
        FrozenVgg16(weights, 10)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_the_real_network_is_filled_and_its_last_layer_replaced() -> None:
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg16().state_dict().items()}
    # zeros of one number each: the layout at full size without half a gigabyte to draw
    weights = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    model = FrozenVgg16(weights, 10)
    assert [tuple(p.shape) for p in model.head.parameters()][-2:] == [(10, 4096), (10,)]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == 25088 * 4096 + 4096 + 4096**2 + 4096 + 40960 + 10
    with torch.no_grad():
        logits = model(torch.rand(1, 3, 32, 32))
    last = model.head[-1]
    assert isinstance(last, nn.Linear) and torch.allclose(logits[0], last.bias)
