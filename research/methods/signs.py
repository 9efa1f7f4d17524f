"""Which signs of a gradient to trust: rounding turns some, and ties in max-pools leave some open.

Models and gradients are as in `fgsm`.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.fgsm import input_gradient


def wrong_signs(gradient: Tensor, truth: Tensor, tied: Tensor | None = None) -> float:
    """Share of pixels whose sign (-1, 0 or 1) differs from that of `truth`, in [0, 1].

    Arguments:
        gradient, truth: (N, C, H, W), `truth` in float64.
        tied: bool, pixels to leave out of the share, see `tied_pixels`. Where nothing is left the
            share is nan.

    Example:
        >>> wrong_signs(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]))
        0.5
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

    Example:
        >>> model = nn.Sequential(nn.MaxPool2d((1, 2)), nn.Flatten())
        >>> tied_pixels(model, torch.tensor([[[[0.7, 0.7, 0.5, 0.1]]]]), torch.tensor([0])).tolist()
        [[[[True, True, False, False]]]]
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
