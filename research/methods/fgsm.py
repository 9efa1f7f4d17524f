"""The fast gradient sign method with gradients whose signs are right.

A model maps images (N, C, H, W) with pixels in [0, 1] to logits (N, K); it normalises inside. It
is attacked in evaluation mode and left as it was: modes, gradients, hooks and random state. `eps`
is in pixel units of [0, 1]. The gradient of a sample does not depend on eps, so it is computed
once and serves every eps.

References:
    Explaining and Harnessing Adversarial Examples (Goodfellow et al., 2015), section 3.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import ArgumentError
from research.models.inference import evaluation

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (N, K), labels (N,)) -> one value per sample, (N,)"""


def cross_entropy_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy in nats, (N,).

    Its gradient in float32 loses the true class where that class's probability rounds to 1, and
    vanishes altogether where the others' underflow.

    Example:
        >>> cross_entropy_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # log 2
        tensor([0.6931])
    """
    return F.cross_entropy(logits, labels, reduction="none")


def stable_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """log Σ_{j≠y} exp(z_j - z_y) = log(exp(cross-entropy) - 1), (N,), of any sign.

    It increases strictly with the cross-entropy, so the two gradients have one direction in exact
    arithmetic. In float32 this one keeps it however confident the model is: its derivatives with
    respect to the logits are a softmax over the wrong classes, and -1 for the true one.

    Example:
        >>> stable_loss(torch.tensor([[200.0, 0.0]]), torch.tensor([0]))  # the cross-entropy is 0
        tensor([-200.])
    """
    true = labels[:, None]
    return logits.scatter(1, true, -torch.inf).logsumexp(1) - logits.gather(1, true)[:, 0]


def input_gradient(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Loss = stable_loss,
    *,
    batch: int | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The gradient of each sample's own loss with respect to its pixels, (N, C, H, W).

    Losses are summed over a batch, not averaged: an average underflows sooner.

    Arguments:
        images: on the model's device, of any range (a rubbish input may leave [0, 1]).
        labels: int64 (N,).
        batch: images at a time; those of `batch_of` when absent.
        dtype: of the arithmetic, in a copy of the model, and of the result; the model's own when
            absent. `torch.float64` serves as truth.

    Raises:
        ArgumentError: a label is no class of the model, or the model returns probabilities.

    Example:
        >>> model = nn.Flatten()  # two pixels as the logits: the loss is their difference
        >>> input_gradient(model, torch.tensor([[[[0.9, 0.2]]]]), torch.tensor([0])).tolist()
        [[[[-1.0, 1.0]]]]
    """
    if dtype is not None:
        model, images = copy.deepcopy(model).to(dtype), images.to(dtype)
    _check_labels(labels, len(images))
    batch = batch or batch_of(images)

    def checked(logits: Tensor, true: Tensor) -> Tensor:
        return loss(_checked(logits, labels), true)

    # to look at values makes a GPU wait: once, at the first batch
    losses = (checked if not start else loss for start in range(0, len(images), batch))
    parts = zip(torch.split(images, batch), torch.split(labels, batch), losses, strict=True)
    return torch.cat([gradient_of(model, *part) for part in parts])


def gradient_of(
    model: nn.Module, images: Tensor, labels: Tensor, loss: Loss = stable_loss
) -> Tensor:
    """As `input_gradient`, of one unchecked batch: the device never waits.

    Example:
        >>> gradient_of(nn.Flatten(), torch.zeros(1, 1, 1, 2), torch.tensor([0])).flatten().tolist()
        [-1.0, 1.0]
    """
    with evaluation(model), torch.inference_mode(False):
        # copies, because what was computed in inference mode cannot take part in a gradient
        inputs, labels = images.clone().requires_grad_(), labels.clone()
        gradient: Tensor
        [gradient] = torch.autograd.grad(loss(model(inputs), labels).sum(), inputs)
    return gradient


def batch_of(images: Tensor) -> int:
    """How many images to put through a model at a time, at least 512.

    On a GPU, which small batches leave idle, as many as have the pixels of 2,048 images of MNIST.

    Example:
        >>> batch_of(torch.zeros(4, 1, 28, 28))
        512
    """
    if images.device.type != "cuda":
        return 512
    return max(512, 2048 * 28 * 28 // max(1, images[0].numel()))


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    eps: float,
    clip: bool = True,
    *,
    loss: Loss = stable_loss,
    batch: int | None = None,
) -> Tensor:
    """The fast gradient sign attack, x + eps · sign ∇ loss: adv_inputs (N, C, H, W).

    Arguments:
        model: images to logits (N, K); it normalises inside.
        images: (N, C, H, W) in [0, 1], on the model's device.
        labels: the true classes, int64 (N,).
        eps: in pixel units of [0, 1].
        clip: to [0, 1]; the paper does not.
        loss: whose gradient is taken. The default has the cross-entropy's direction and
            keeps its signs where the model is sure.
        batch: images at a time; those of `batch_of` when absent.

    Raises:
        ArgumentError: images outside [0, 1], eps < 0, a label that is no class of the model, or a
            model that returns probabilities.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> images, labels = torch.full((3, 1, 2, 2), 0.5), torch.tensor([0, 1, 0])
        >>> adv_inputs = fgsm(model, images, labels, eps=0.25)
        >>> (adv_inputs - images).abs().unique().tolist()
        [0.25]
    """
    check_images(images)
    check_eps(eps)
    gradient = input_gradient(model, images, labels, loss, batch=batch)
    return signed_step(images, gradient, eps, clip)


def signed_step(images: Tensor, gradient: Tensor, eps: float, clip: bool = True) -> Tensor:
    """x + eps · sign(gradient), (N, C, H, W), for a gradient that serves several eps.

    Raises:
        ArgumentError: images outside [0, 1], or eps < 0.

    Example:
        >>> signed_step(torch.full((2,), 0.5), torch.tensor([-3.0, 0.1]), eps=0.25).tolist()
        [0.25, 0.75]
    """
    check_images(images)
    check_eps(eps)
    return added(images, eps * gradient.sign(), clip)


def added(images: Tensor, delta: Tensor, clip: bool) -> Tensor:
    """Images with a perturbation added, clipped to [0, 1] if asked for; shapes broadcast.

    Example:
        >>> added(torch.tensor([0.5, 0.875]), torch.tensor(0.25), clip=True).tolist()
        [0.75, 1.0]
    """
    adv_inputs = images + delta.to(images.dtype)
    return adv_inputs.clamp_(0, 1) if clip else adv_inputs


def fooling_step(model: nn.Module, images: Tensor, target: Tensor, eps: float) -> Tensor:
    """x + eps · ∇p(target | x): one step that makes an input look like a class, (N, C, H, W).

    The gradient itself, not its sign, and no clipping: the inputs may be noise of any range.

    Arguments:
        target: the wanted class of each input, int64 (N,).

    References:
        Explaining and Harnessing Adversarial Examples (Goodfellow et al., 2015), the appendix on
        rubbish class examples.

    Example:
        >>> fooling_step(nn.Flatten(), torch.zeros(1, 1, 1, 2), torch.tensor([1]), eps=1.0).tolist()
        [[[[-0.25, 0.25]]]]
    """
    check_eps(eps)
    return images + eps * input_gradient(model, images, target, _probability)


def _probability(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(1).gather(1, labels[:, None])[:, 0]


def predictions(model: nn.Module, images: Tensor, batch: int | None = None) -> Tensor:
    """The most probable class of each image, int64 (N,).

    Example:
        >>> predictions(nn.Flatten(), torch.eye(3).view(3, 1, 1, 3)).tolist()
        [0, 1, 2]
    """
    with evaluation(model):
        parts = [model(x).argmax(1) for x in torch.split(images, batch or batch_of(images))]
    return torch.cat(parts)


def resists(
    model: nn.Module, images: Tensor, labels: Tensor, gradient: Tensor, eps: Sequence[float],
    clip: bool = True, batch: int | None = None,
) -> Tensor:  # fmt: skip
    """Whether a sample is classified rightly both as it is and attacked, bool (len(eps), N).

    Arguments:
        gradient: of `input_gradient`, (N, C, H, W).
        eps: sizes of the attack, in pixel units of [0, 1].

    Raises:
        ArgumentError: images outside [0, 1], eps < 0, a label that is no class, probabilities.

    Example:
        >>> images, labels = torch.tensor([[0.9, 0.2], [0.6, 0.5]]), torch.tensor([0, 0])
        >>> gradient = input_gradient(nn.Flatten(), images, labels)
        >>> resists(nn.Flatten(), images, labels, gradient, eps=[0.0, 0.1]).tolist()
        [[True, True], [True, False]]
    """
    check_images(images)
    for value in eps:
        check_eps(value)
    _check_labels(labels, len(images))
    size = batch or batch_of(images)
    parts = zip(*(torch.split(x, size) for x in (images, labels, gradient)), strict=True)
    with evaluation(model):
        _checked(model(images[:1]), labels)
        columns = [_resists(model, x, y, g.sign(), eps, clip) for x, y, g in parts]
    return torch.cat(columns, 1)


def _resists(
    model: nn.Module, images: Tensor, labels: Tensor, sign: Tensor, eps: Sequence[float], clip: bool
) -> Tensor:
    right: Tensor = model(images).argmax(1) == labels
    attacked = [
        model(added(images, value * sign, clip)).argmax(1) == labels if value else right
        for value in eps
    ]
    return right & torch.stack(attacked)


def accuracy_curve(
    model: nn.Module, images: Tensor, labels: Tensor, gradient: Tensor, eps: Sequence[float],
    clip: bool = True, batch: int | None = None,
) -> list[int]:  # fmt: skip
    """How many samples `resists` counts at each eps, out of all N.

    As in the tutorial, a sample that is wrong before the attack is wrong at every eps.

    References:
        Adversarial Example Generation, PyTorch tutorials (fgsm_tutorial.py), function `test`.

    Example:
        >>> images, labels = torch.tensor([[0.9, 0.2], [0.6, 0.5]]), torch.tensor([0, 0])
        >>> gradient = input_gradient(nn.Flatten(), images, labels)
        >>> accuracy_curve(nn.Flatten(), images, labels, gradient, eps=[0.0, 0.1])
        [2, 1]
    """
    counts: list[int] = resists(model, images, labels, gradient, eps, clip, batch).sum(1).tolist()
    return counts


# --- what a caller must not get wrong ------------------------------------------------------------


def check_images(images: Tensor) -> None:
    """Raises ArgumentError unless all pixels lie in [0, 1].

    Example:
        >>> check_images(torch.rand(2, 3, 8, 8))
    """
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):
        raise ArgumentError(
            f"an attack needs images in [0, 1], got {low:g} to {high:g}; give pixels as "
            "they are and let the model's first layer normalise"
        )


def check_eps(eps: float) -> None:
    """Raises ArgumentError unless eps is at least 0.

    Example:
        >>> check_eps(-0.1)
        Traceback (most recent call last):
        research.errors.ArgumentError: eps must be at least 0, got -0.1; choose one in [0, 1]
    """
    if not eps >= 0:
        raise ArgumentError(f"eps must be at least 0, got {eps:g}; choose one in [0, 1]")


def _check_labels(labels: Tensor, count: int) -> None:
    if labels.dtype != torch.int64 or labels.shape != (count,):
        raise ArgumentError(
            f"labels must be int64 ({count},), one for each image, got "
            f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}"
        )


def _checked(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits. Raises ArgumentError if they are probabilities or the labels are no classes."""
    classes, low, high = logits.shape[1], labels.min().item(), labels.max().item()
    if not (low >= 0 and high < classes):
        raise ArgumentError(
            f"labels must be 0 to {classes - 1}, the model's classes, got {low} to {high}; "
            "give the model and the labels of one data set"
        )
    sums = logits.detach().sum(1)
    if (logits.detach() >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise ArgumentError(
            "an attack needs logits, got probabilities (each row is at least 0 and sums to "
            "1); leave out the model's softmax"
        )
    return logits
