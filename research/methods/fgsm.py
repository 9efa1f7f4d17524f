"""The fast gradient sign method with gradients whose signs are right, and what disturbs a sign.

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
    """
    return F.cross_entropy(logits, labels, reduction="none")


def stable_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """log Σ_{j≠y} exp(z_j - z_y) = log(exp(cross-entropy) - 1), (N,), of any sign.

    It increases strictly with the cross-entropy, so the two gradients have one direction in exact
    arithmetic. In float32 this one keeps it however confident the model is: its derivatives by the
    logits are a softmax over the wrong classes, and -1 for the true one.
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
    """The gradient of each sample's own loss by its pixels, (N, C, H, W).

    Losses are summed over a batch, not averaged: an average underflows sooner.

    Arguments:
        images: on the model's device, of any range (a rubbish input may leave [0, 1]).
        labels: int64 (N,).
        batch: images at a time; those of `batch_of` when absent.
        dtype: arithmetic of a copy of the model, and of the result; the model's own when absent.
            `torch.float64` serves as truth.

    Raises:
        ArgumentError: a label is no class of the model, or the model returns probabilities.
    """
    if dtype is not None:
        model, images = copy.deepcopy(model).to(dtype), images.to(dtype)
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
    """As `input_gradient`, of one batch, of which nothing is checked: the device never waits."""
    with evaluation(model), torch.inference_mode(False):
        # copies, because what was computed in inference mode cannot take part in a gradient
        inputs, labels = images.clone().requires_grad_(), labels.clone()
        gradient: Tensor
        [gradient] = torch.autograd.grad(loss(model(inputs), labels).sum(), inputs)
    return gradient


def batch_of(images: Tensor) -> int:
    """How many images to answer at a time: on a GPU, which small batches leave idle, as many as
    have the pixels of 2,048 images of MNIST; 512 at least."""
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
        loss: of which the gradient is taken. The default has the cross-entropy's direction and
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
    """x + eps · sign(gradient), (N, C, H, W), where one gradient serves several eps.

    Raises:
        ArgumentError: images outside [0, 1], or eps < 0.
    """
    check_images(images)
    check_eps(eps)
    return added(images, eps * gradient.sign(), clip)


def added(images: Tensor, noise: Tensor, clip: bool) -> Tensor:
    """Images with a noise added, clipped to [0, 1] if asked for; shapes broadcast."""
    adv_inputs = images + noise.to(images.dtype)
    return adv_inputs.clamp_(0, 1) if clip else adv_inputs


def fooling_step(model: nn.Module, images: Tensor, target: Tensor, eps: float) -> Tensor:
    """x + eps · ∇p(target | x): one step that makes an input look like a class, (N, C, H, W).

    The gradient itself, not its sign, and no clipping: the inputs may be noise of any range.

    Arguments:
        target: the wanted class of each input, int64 (N,).

    References:
        Explaining and Harnessing Adversarial Examples (Goodfellow et al., 2015), the appendix on
        rubbish class examples.
    """
    check_eps(eps)
    return images + eps * input_gradient(model, images, target, _probability)


def _probability(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(1).gather(1, labels[:, None])[:, 0]


def predictions(model: nn.Module, images: Tensor, batch: int | None = None) -> Tensor:
    """The most probable class of each image, int64 (N,)."""
    with evaluation(model):
        parts = [model(x).argmax(1) for x in torch.split(images, batch or batch_of(images))]
    return torch.cat(parts)


def resists(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    gradient: Tensor,
    eps: Sequence[float],
    clip: bool = True,
    batch: int | None = None,
) -> Tensor:
    """Whether a sample is classified rightly both as it is and attacked, bool (len(eps), N).

    Raises:
        ArgumentError: images outside [0, 1], eps < 0, a label that is no class, probabilities.
    """
    check_images(images)
    for value in eps:
        check_eps(value)
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
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    gradient: Tensor,
    eps: Sequence[float],
    clip: bool = True,
    batch: int | None = None,
) -> list[int]:
    """How many samples `resists` counts at each eps, out of all N.

    As in the tutorial, a sample that is wrong before the attack is wrong at every eps.

    References:
        Adversarial Example Generation, PyTorch tutorials (fgsm_tutorial.py), function `test`.
    """
    counts: list[int] = resists(model, images, labels, gradient, eps, clip, batch).sum(1).tolist()
    return counts


# --- which signs can be trusted ------------------------------------------------------------------


def wrong_signs(gradient: Tensor, truth: Tensor, tied: Tensor | None = None) -> float:
    """Share of pixels whose sign (-1, 0 or 1) differs from that of `truth`, in [0, 1].

    Arguments:
        gradient, truth: (N, C, H, W), `truth` in float64.
        tied: bool, pixels to leave out of the share, see `tied_pixels`. Where nothing is left the
            share is nan.
    """
    wrong = gradient.sign() != truth.sign()
    return (wrong if tied is None else wrong[~tied]).double().mean().item()


def tied_pixels(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    tolerance: float = 1e-6,
    batch: int = 128,
    seed: int = 0,
) -> Tensor:
    """Pixels without a unique gradient, because max-pool windows have several maxima. (N, C, H, W)

    Where inputs of a window tie, any sharing of its gradient among them is a subgradient of the
    maximum; which one a library takes depends on the memory layout and, through rounding, on the
    precision. The rule here: a pixel is tied if its gradient depends on that sharing. The gradient
    is a polynomial in the shares, so two random sharings tell, with probability 1: their float64
    gradients differ (by more than 1e-9 of the image's largest) if and only if the pixel is tied. A
    tie whose gradient a later ReLU stops marks nothing. A tied pixel's sign need not change.

    Arguments:
        tolerance: inputs this close to the window's maximum tie with it, relative to the largest
            magnitude in the pooled maps of the image; the default is some float32 roundings wide,
            because such inputs tie in exact arithmetic and change places between precisions.

    Returns:
        bool. Every `nn.MaxPool2d` of the model counts; functional max-pools cannot be seen.
    """
    order = torch.Generator().manual_seed(seed)
    sharing = _sharing_ties(model, tolerance, order)
    first, second = (
        input_gradient(sharing, images, labels, batch=batch, dtype=torch.float64) for _ in range(2)
    )
    largest = first.abs().amax((1, 2, 3), keepdim=True)
    return (first - second).abs() > 1e-9 * largest


def _sharing_ties(model: nn.Module, tolerance: float, order: torch.Generator) -> nn.Module:
    """A copy with the same outputs whose max-pools share gradients at random among tied inputs."""

    def share(pool: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        assert isinstance(pool, nn.MaxPool2d)
        [maps] = args
        windows = _windows(pool, maps, *output.shape[2:])
        margin = tolerance * maps.detach().abs().amax((1, 2, 3)).view(-1, 1, 1, 1, 1)
        ties = windows.detach() >= output.detach()[:, :, None] - margin
        shares = ties * torch.rand(ties.shape, generator=order).to(windows)
        shares = shares / shares.sum(2, keepdim=True)
        finite = windows.where(ties, 0)  # padding is -inf
        return output.detach() + (shares * (finite - finite.detach())).sum(2)

    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(share)
    return model


def _windows(pool: nn.MaxPool2d, maps: Tensor, height: int, width: int) -> Tensor:
    """The inputs of every window, (N, C, h · w, height, width); -inf where a window leaves the map.

    Rows and columns are padded to what the output's size implies, which `ceil_mode` decides.
    """
    kernel, stride, padding, dilation = (
        (value, value) if isinstance(value, int) else value
        for value in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    )
    below, right = (
        (out - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 - maps.shape[i + 2] - padding[i]
        for i, out in enumerate((height, width))
    )
    padded = F.pad(maps, (padding[1], right, padding[0], below), value=-torch.inf)
    columns = F.unfold(padded, kernel, dilation, stride=stride)  # (N, C·h·w, height·width)
    return columns.view(*maps.shape[:2], -1, height, width)


# --- what a caller must not get wrong ------------------------------------------------------------


def check_images(images: Tensor) -> None:
    """Raises ArgumentError unless all pixels lie in [0, 1]."""
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):
        raise ArgumentError(
            f"an attack needs images in [0, 1], these span {low:g} to {high:g}; give pixels as "
            "they are and let the model's first layer normalise"
        )


def check_eps(eps: float) -> None:
    """Raises ArgumentError unless eps is at least 0."""
    if not eps >= 0:
        raise ArgumentError(f"eps must be at least 0, got {eps:g}; choose one in [0, 1]")


def _checked(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits. Raises ArgumentError if they are probabilities or the labels are no classes."""
    classes, low, high = logits.shape[1], labels.min().item(), labels.max().item()
    if not (low >= 0 and high < classes):
        raise ArgumentError(
            f"labels must be 0 to {classes - 1}, the model's classes, these span {low} to {high}; "
            "give the model and the labels of one data set"
        )
    sums = logits.detach().sum(1)
    if (logits.detach() >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        raise ArgumentError(
            "an attack needs logits, the model returns probabilities (each row is at least 0 and "
            "sums to 1); leave out its softmax"
        )
    return logits
