"""VGG16 for small pictures."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from torch import nn

from research.models.layers import Normalise

CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Mean and standard deviation per channel of CIFAR-10's training pixels."""

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Vgg16(nn.Sequential):
    r"""Creates VGG16's thirteen convolutions with batch norm, and one linear layer behind them.

    The five poolings take a picture of 32 × 32 to one pixel, so the two wide layers at the end of
    the original, made for 7 × 7, are left out: with `width` 1 and 10 classes it has 14,724,042
    parameters.

    Arguments:
        width: factor on all channel counts.
        classes: outputs, without softmax.
        side: of the pictures in pixels, a multiple of 32.
        mean, std: by which pixels are normalised, one value per channel.

    References:
        Very Deep Convolutional Networks (Simonyan and Zisserman, 2015), configuration D.
        Batch Normalization (Ioffe and Szegedy, 2015).

    Example:
        >>> import torch
        >>> Vgg16(width=0.25)(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 10,
        *,
        side: int = 32,
        mean: Sequence[float] = CIFAR10[0],
        std: Sequence[float] = CIFAR10[1],
    ) -> None:
        last = max(1, round(_BLOCKS[-1][-1] * width))
        super().__init__(
            OrderedDict(
                normalise=Normalise(mean, std),
                features=nn.Sequential(OrderedDict(_features(width, len(mean)))),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(0.5),
                fc=nn.Linear(last * (side // 32) ** 2, classes),
            )
        )
        self.config = {
            "width": width, "classes": classes, "side": side,
            "mean": list(mean), "std": list(std),
        }  # fmt: skip


def _features(width: float, channels: int) -> Iterator[tuple[str, nn.Module]]:
    for block, widths in enumerate(_BLOCKS, start=1):
        for number, full in enumerate(widths, start=1):
            name, maps = f"{block}_{number}", max(1, round(full * width))
            # the bias would be taken out again by the mean of the batch
            yield f"conv{name}", nn.Conv2d(channels, maps, 3, padding=1, bias=False)
            yield f"norm{name}", nn.BatchNorm2d(maps)
            yield f"relu{name}", nn.ReLU()
            channels = maps
        yield f"pool{block}", nn.MaxPool2d(2)
