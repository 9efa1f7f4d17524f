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
"""images that are summed up at once, few enough for sums of 16 bits: far faster than 64"""


def ten_crops(images: Tensor, side: int) -> Tensor:
    """All ten crops of each image, (N, 10, C, side, side), in the type of the images.

    The order is that of `torchvision.transforms.TenCrop`: top left, top right, bottom left, bottom
    right, centre, and then the same five of the mirrored image.

    Raises:
        ArgumentError: the images are smaller than `side`.
    """
    sources = (images, images.flip(3))
    return torch.stack(
        [_cut(source, place, side) for source in sources for place in _places(images, side)], 1
    )


def centre(images: Tensor, side: int) -> Tensor:
    """The crop in the middle of each image, (N, C, side, side), a view.

    Raises:
        ArgumentError: the images are smaller than `side`.
    """
    return _cut(images, _places(images, side)[-1], side)


def random_one_of_ten(images: Tensor, side: int, generator: Generator | None = None) -> Tensor:
    """One of its ten crops, drawn for each image, (N, C, side, side).

    Arguments:
        generator: on the CPU, torch's own when absent; advances by N integers.

    Raises:
        ArgumentError: the images are smaller than `side`.
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
    """The images of a split by their middle."""
    return Split(centre(split.images, side).contiguous(), split.labels)


def crop_loss(model: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
    """Mean cross-entropy of a batch of which each image is seen as one of its ten crops."""
    crops = random_one_of_ten(images, side)
    return cross_entropy(model, crops.contiguous(memory_format=torch.channels_last), labels)


def ten_crop_probabilities(model: nn.Module, split: Split, side: int, batch: int = 512) -> Tensor:
    """The mean over the ten crops of the probabilities of the classes, float32 (N, K).

    Arguments:
        model: maps crops in [0, 1] to logits; used in evaluation mode.
        split: images at least as large as `side`, on the model's device.
        batch: crops at a time, at least those of one image.

    Raises:
        ArgumentError: the images are smaller than `side`.
    """
    with evaluation(model):
        parts = [
            _mean_probabilities(model, ten_crops(images, side))
            for images, _ in batches(split, max(1, batch // 10))
        ]
    return torch.cat(parts)


def mean_image(split: Split, side: int) -> Tensor:
    """The mean of each pixel over the centre crops, float32 (C, side, side) in [0, 1].

    Summed up as integers, and so independent of the order of the images.

    Raises:
        ArgumentError: the images are smaller than `side`.
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
            f"crops of {side} pixels need images at least as large, these have {height} × {width}; "
            "take smaller crops or larger images"
        )
    # Python rounds halves to even, as torchvision does for its centre
    return [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
