"""Networks from images to logits."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from research.models.layers import MNIST, Normalise


class Mlp(nn.Module):
    r"""Creates the course's fully connected network: 784-128-64-10 with ReLU between.

    Arguments:
        hidden: widths of the hidden layers; (128, 64) has 109,386 parameters, (128, 64, 32) has
            111,146.
        inputs: pixel values of an image.
        classes: outputs, without softmax.

    Example:
        >>> import torch
        >>> Mlp()(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self, hidden: Sequence[int] = (128, 64), inputs: int = 784, classes: int = 10
    ) -> None:
        super().__init__()
        self.config = {"hidden": list(hidden), "inputs": inputs, "classes": classes}
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, (width, after) in enumerate(pairwise((inputs, *hidden)), start=1):
            if number > 1:
                layers[f"relu{number - 1}"] = nn.ReLU()
            layers[f"fc{number}"] = nn.Linear(width, after)
        self.normalise = Normalise(*MNIST)
        self.body = nn.Sequential(layers)
        self.relu = nn.ReLU()
        self.head = nn.Linear(hidden[-1], classes)

    def embed(self, images: Tensor) -> Tensor:
        """The last hidden layer before its ReLU, (N, hidden[-1]): the course's embedding."""
        out: Tensor = self.body(self.normalise(images))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to logits (N, classes)."""
        out: Tensor = self.head(self.relu(self.embed(images)))
        return out


class CnnA(nn.Module):
    r"""Creates CNN_A, the course's convolutional network (232,650 parameters).

    Conv 3×3 to 32 maps, max-pool 2, ReLU, conv 3×3 to 64 maps, max-pool 2, ReLU, channel dropout,
    linear 1600-128, ReLU, dropout, linear 128-64 (the embedding, without ReLU), linear 64-10. The
    course applies `Dropout2d` to vectors too, where it does what `Dropout` does.

    Arguments:
        relu_on_logits: ends with a ReLU, as in the course's assignment 2 and lecture 5; lecture 4,
            which trains the network, has none.

    Example:
        >>> import torch
        >>> CnnA().embed(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 64])
    """

    def __init__(self, *, relu_on_logits: bool = False) -> None:
        super().__init__()
        self.config = {"relu_on_logits": relu_on_logits}
        self.normalise = Normalise(*MNIST)
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 32, 3),
                pool1=nn.MaxPool2d(2),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 3),
                pool2=nn.MaxPool2d(2),
                relu2=nn.ReLU(),
                dropout1=nn.Dropout2d(0.25),
            )
        )
        self.neck = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(1600, 128),
                relu3=nn.ReLU(),
                dropout2=nn.Dropout(0.5),
                fc2=nn.Linear(128, 64),
            )
        )
        self.head = nn.Sequential(OrderedDict(fc3=nn.Linear(64, 10)))
        if relu_on_logits:
            self.head.append(nn.ReLU())

    def embed(self, images: Tensor) -> Tensor:
        """The output of fc2, (N, 64)."""
        out: Tensor = self.neck(self.features(self.normalise(images)))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [0, 1] to logits (N, 10)."""
        out: Tensor = self.head(self.embed(images))
        return out
