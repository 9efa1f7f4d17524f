"""On a GPU: recorded steps against the same steps one by one, for the objectives of the studies."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR

from research.config import Train
from research.data import Split
from research.methods import reconstruction
from research.methods.classification import cross_entropy
from research.methods.crops import crop_loss
from research.models import (
    CnnA,
    ConvAutoencoder,
    DenoisingAutoencoder,
    FilterSgd,
    LeNet,
    Maxout,
    Mlp,
    TutorialCnn,
    Vgg16,
    ZFNet,
    parameter_groups,
)
from research.studies.fgsm.networks import objective_of as attacked_objective
from research.studies.vgg.networks import augmented_loss
from research.studies.zf_features.networks import shifted_loss
from research.training import graphs
from research.training.loop import Epoch, Objective, Training, fit_together, placed, tf32

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

BATCH = 16
Optimiser = Callable[[nn.Module], torch.optim.Optimizer]
Schedule = Callable[[torch.optim.Optimizer], LRScheduler]


def ae_loss(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
    return reconstruction.bce(images, model(images)).mean()


def noisy_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    from research.studies.autoencoders.networks import objective_of  # needs openTSNE

    return objective_of(0.5)(model, images, labels)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def nesterov(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4
    )


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)


def adadelta(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(model.parameters(), lr=1.0)


def held(model: nn.Module) -> torch.optim.Optimizer:
    return FilterSgd(parameter_groups(model, 0.1), lr=0.01, momentum=0.9)


class Case(NamedTuple):
    """A study's way of training, small."""

    model: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    objective: Objective
    optimiser: Optimiser
    schedule: Schedule | None = None
    precision: Any = "float32"


DIGIT, PICTURE = (1, 28, 28), (3, 32, 32)
falling = partial(StepLR, step_size=1, gamma=0.7)
rising = partial(LambdaLR, lr_lambda=lambda epoch: (epoch + 1) / 4)
zfnet = partial(ZFNet, 0.125, 10, side=64)

CASES = {
    "ae": Case(ConvAutoencoder, PICTURE, ae_loss, adam, precision="bfloat16"),
    "ae-float32": Case(partial(ConvAutoencoder, decoder="upsample"), PICTURE, ae_loss, adam),
    "autoencoders": Case(DenoisingAutoencoder, DIGIT, noisy_loss, adam),
    "cnn": Case(CnnA, DIGIT, cross_entropy, sgd, precision="bfloat16"),
    "mlp": Case(partial(Mlp, (64, 32), inputs=784, classes=10), DIGIT, cross_entropy, sgd),
    "lenet": Case(LeNet, DIGIT, cross_entropy, sgd),
    "tutorial": Case(TutorialCnn, DIGIT, cross_entropy, adadelta, falling, "bfloat16"),
    "adversarial": Case(partial(Maxout, 32, 2), DIGIT, attacked_objective("adversarial", 0.1), sgd),
    "signs": Case(partial(Maxout, 32, 2), DIGIT, attacked_objective("signs", 0.1), sgd),
    "vgg": Case(partial(Vgg16, 0.25), PICTURE, augmented_loss, nesterov, rising, "bfloat16"),
    "zf": Case(zfnet, (3, 72, 72), partial(crop_loss, side=64), held, falling),
    "zf-features": Case(zfnet, (3, 72, 72), partial(shifted_loss, side=64), held, falling),
}


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    former = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    with tf32(False):
        yield
    torch.backends.cudnn.deterministic = former


def split(shape: tuple[int, int, int], count: int = 8 * BATCH + 5) -> Split:
    order = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=order)
    return Split(images, torch.randint(0, 10, (count,), generator=order)).to("cuda")


def training_of(
    case: Case,
    seed: int,
    epochs: int = 3,
    data: Split | None = None,
) -> Training[Any]:
    torch.manual_seed(seed)
    settings = Train(epochs=epochs, batch=BATCH, device="cuda", precision=case.precision)
    model = placed(case.model(), settings)
    optimiser = case.optimiser(model)
    schedule = case.schedule(optimiser) if case.schedule else None
    data = split(case.shape)
    return Training(model, data, case.objective, optimiser, settings, seed=seed, scheduler=schedule)


def trained(
    *trainings: Training[Any], checkpoints: Sequence[Path] = ()
) -> list[tuple[list[Epoch], list[Tensor]]]:
    """The epochs and the final tensors of trainings side by side."""
    epochs = [*fit_together(trainings, checkpoints)]
    tensors = [[*one.model.state_dict().values()] for one in trainings]
    return [*zip(map(list, zip(*epochs, strict=True)), tensors, strict=True)]


def difference(a: tuple[list[Epoch], list[Tensor]], b: tuple[list[Epoch], list[Tensor]]) -> float:
    """The largest of the losses and of the tensors, relative to each one's largest value."""
    found = [abs(x.loss - y.loss) / abs(y.loss) for x, y in zip(a[0], b[0], strict=True)]
    for x, y in zip(a[1], b[1], strict=True):
        scale = y.double().abs().max().clamp(min=1e-12)
        found.append(((x.double() - y.double()).abs().max() / scale).item())
    return max(found)


@pytest.fixture
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(*trainings: Training[Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(graphs, "usable", lambda device: False)
            return trained(*trainings)

    return run


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_training_has_the_bits_of_one_step_by_step(
    name: str, step_by_step: Callable[..., Any]
) -> None:
    case = CASES[name]
    [true], [again] = step_by_step(training_of(case, 3)), step_by_step(training_of(case, 3))
    [found] = trained(training_of(case, 3))
    assert {epoch.steps for epoch in found[0]} == {graphs.RECORDED}
    noise, gap = difference(again, true), difference(found, true)
    print(f"{name}: step by step twice {noise:.2e}, recorded {gap:.2e}")
    if noise == 0:  # the kernels give the same bits each time
        assert gap == 0
    else:
        assert gap <= 20 * noise


@pytest.mark.parametrize("name", ["ae", "lenet", "vgg", "zf", "autoencoders", "adversarial"])
def test_networks_side_by_side_have_the_bits_that_each_has_alone(name: str) -> None:
    case, seeds = CASES[name], (3, 4, 5)
    alone = [trained(training_of(case, seed))[0] for seed in seeds]
    noise = difference(trained(training_of(case, 3))[0], alone[0])
    together = trained(*(training_of(case, seed) for seed in seeds))
    gap = max(map(difference, together, alone))
    print(f"{name}: alone twice {noise:.2e}, side by side {gap:.2e}")
    assert {epoch.steps for epochs, _ in together for epoch in epochs} == {graphs.RECORDED}
    assert gap <= 20 * noise


@pytest.mark.parametrize("name", ["lenet", "tutorial", "vgg", "ae"])
def test_a_recorded_training_that_was_stopped_goes_on_to_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    [whole], [again] = trained(training_of(case, 3)), trained(training_of(case, 3))
    for number, _ in enumerate(fit_together([training_of(case, 3)], [tmp_path / "c.pt"]), 1):
        if number == 2:
            break
    [resumed] = trained(training_of(case, 3), checkpoints=[tmp_path / "c.pt"])
    assert [epoch.restored for epoch in resumed[0]] == [True, True, False]
    assert difference(resumed, whole) <= 20 * difference(again, whole)


def waiting(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model, images, labels) * (1.0 if images.sum().item() else 2.0)


class Own:
    """Draws from a generator of its own on the device, which a recording does not know."""

    def __init__(self) -> None:
        self.order = torch.Generator("cuda").manual_seed(0)

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        noise = torch.rand(images.shape, generator=self.order, device="cuda")
        return cross_entropy(model, (images + 0.01 * noise).clamp(0, 1), labels)


@pytest.mark.parametrize("objective", [waiting, Own])
def test_what_cannot_be_recorded_is_stepped_through(
    objective: Any, step_by_step: Callable[..., Any]
) -> None:
    def case() -> Case:
        return CASES["lenet"]._replace(objective=Own() if objective is Own else objective)

    [true] = step_by_step(training_of(case(), 3))
    [found] = trained(training_of(case(), 3))
    print({epoch.steps for epoch in found[0]})
    assert all(epoch.steps.startswith("step by step: ") for epoch in found[0])
    if objective is waiting:
        assert difference(found, true) == 0
    assert F.dropout(torch.ones(1000, device="cuda")).sum() > 0  # nothing is left half recorded


def test_batches_of_many_lengths_are_stepped_through() -> None:
    from research.data.sequences import Copying
    from research.methods.translation import objective
    from research.models import Translator

    torch.manual_seed(0)
    task = Copying(count=160, device=torch.device("cuda"))
    model = Translator((11, 11), 8, 8, 0.0).cuda()
    settings = Train(epochs=1, batch=16, device="cuda", precision="float32")
    one = Training(model, task, objective, adam(model), settings, seed=0)
    [[epoch]] = fit_together([one])
    assert epoch.steps == "step by step: its batches differ in shape"
    assert dataclasses.asdict(epoch)["steps"] == epoch.steps
