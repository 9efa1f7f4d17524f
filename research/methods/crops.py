"""The ten crops of an image, four corners, the centre and their mirror images, and their use.

In training each image is seen as one of its ten crops, in testing as all ten, whose probabilities
are averaged. Images are (N, C, H, W), crops are squares of `side` pixels.

References:
    ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky et al., 2012),
    section 4.1. Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014),
    section 3.
"""

import torch
from torch import Generator, Tensor, nn

from research.data import Split, batches
from research.data.draws import drawn
from research.errors import ArgumentError
from research.methods.classification import cross_entropy
from research.models.inference import evaluation

_BLOCK = 16
"""images summed at once, few enough for 16-bit sums, which are far faster than 64-bit ones"""


def ten_crops(images: Tensor, side: int) -> Tensor:
    """All ten crops of each image, (N, 10, C, side, side), in the type of the images.

    The order is that of `torchvision.transforms.TenCrop`: top left, top right, bottom left, bottom
    right, centre, and then the same five of the mirrored image.

    Raises:
        ArgumentError: the images are smaller than `side`.

    Example:
        >>> ten_crops(torch.rand(2, 3, 8, 8), side=6).shape
        torch.Size([2, 10, 3, 6, 6])
    """
    sources = (images, images.flip(3))
    return torch.stack(
        [_cut(source, place, side) for source in sources for place in _places(images, side)], 1
    )


def centre(images: Tensor, side: int) -> Tensor:
    """The crop in the middle of each image, (N, C, side, side), a view.

    Raises:
        ArgumentError: the images are smaller than `side`.

    Example:
        >>> centre(torch.arange(16).view(1, 1, 4, 4), side=2).tolist()
        [[[[5, 6], [9, 10]]]]
    """
    return _cut(images, _places(images, side)[-1], side)


def random_one_of_ten(images: Tensor, side: int, generator: Generator | None = None) -> Tensor:
    """One of the ten crops of each image, drawn at random, (N, C, side, side).

    Arguments:
        generator: on the CPU, torch's own when absent; advances by N integers.

    Raises:
        ArgumentError: the images are smaller than `side`.

    Example:
        >>> random_one_of_ten(torch.rand(2, 3, 8, 8), side=6).shape
        torch.Size([2, 3, 6, 6])
    """
    (number, channels, _, width), device = images.shape, images.device
    places = torch.tensor(_places(images, side))

    def corners(generator: Generator | None) -> Tensor:
        """Top, left and whether mirrored of each image's crop, (3, N)."""
        crop = torch.randint(10, (number,), generator=generator)
        return torch.cat([places[crop % 5].T, (crop >= 5)[None]])

    top, left, mirrored = drawn(corners, generator, device)
    pixel = torch.arange(side, device=device)
    rows, columns = top[:, None] + pixel, left[:, None] + pixel  # (N, side)
    columns = torch.where(mirrored[:, None] > 0, width - 1 - columns, columns)
    image = torch.arange(number, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cropped(split: Split, side: int) -> Split:
    """The split with each image cut to its centre crop.

    Example:
        >>> split = Split(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), torch.arange(5))
        >>> cropped(split, side=6).images.shape
        torch.Size([5, 3, 6, 6])
    """
    return Split(centre(split.images, side).contiguous(), split.labels)


def crop_loss(model: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
    """Mean cross-entropy of a batch in which each image is seen as one of its ten crops.

    Example:
        >>> crop_loss(nn.Flatten(), torch.zeros(2, 1, 3, 3), torch.tensor([0, 3]), side=2)  # log 4
        tensor(1.3863)
    """
    crops = random_one_of_ten(images, side)
    return cross_entropy(model, crops.contiguous(memory_format=torch.channels_last), labels)


def ten_crop_probabilities(model: nn.Module, split: Split, side: int, batch: int = 512) -> Tensor:
    """The class probabilities, averaged over the ten crops, float32 (N, K).

    Arguments:
        model: maps crops in [0, 1] to logits; used in evaluation mode.
        split: images at least as large as `side`, on the model's device.
        batch: crops at a time, at least those of one image.

    Raises:
        ArgumentError: the images are smaller than `side`.

    Example:
        >>> split = Split(torch.zeros(5, 1, 3, 3, dtype=torch.uint8), torch.arange(5))
        >>> ten_crop_probabilities(nn.Flatten(), split, side=2)[0].tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    with evaluation(model):
        parts = [
            _mean_probabilities(model, ten_crops(images, side))
            for images, _ in batches(split, max(1, batch // 10))
        ]
    return torch.cat(parts)


def mean_image(split: Split, side: int) -> Tensor:
    """The mean of each pixel over the centre crops, float32 (C, side, side) in [0, 1].

    Sums are of integers, so the order of the images does not matter.

    Raises:
        ArgumentError: the images are smaller than `side`.

    Example:
        >>> split = Split(torch.full((5, 1, 3, 3), 51, dtype=torch.uint8), torch.arange(5))
        >>> mean_image(split, side=1)
        tensor([[[0.2000]]])
    """
    crops = centre(split.images, side)
    total = torch.zeros(crops.shape[1:], dtype=torch.int64, device=crops.device)
    for block in torch.split(crops, _BLOCK):
        total += block.sum(0, dtype=torch.int16)
    return (total.double() / (255 * len(split))).float()


def _mean_probabilities(model: nn.Module, crops: Tensor) -> Tensor:
    """Of crops (N, 10, C, side, side), (N, K)."""
    logits: Tensor = model(crops.flatten(0, 1)).float()
    return logits.softmax(1).view(*crops.shape[:2], -1).mean(1)


def _cut(images: Tensor, place: tuple[int, int], side: int) -> Tensor:
    top, left = place
    return images[..., top : top + side, left : left + side]


def _places(images: Tensor, side: int) -> list[tuple[int, int]]:
    """Top and left of the four corners' crops and of the centre's."""
    height, width = images.shape[2:]
    down, right = height - side, width - side
    if min(down, right) < 0 or side < 1:
        raise ArgumentError(
            f"crops of {side} pixels need images at least as large, got {height} × {width}; "
            "take smaller crops or larger images"
        )
    # Python rounds halves to even, as torchvision does for its centre
    return [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
