"""The networks of the FGSM tutorials and of Goodfellow et al. (2014), for MNIST."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from research.models.layers import MNIST, Normalise


class LeNet(nn.Sequential):
    r"""Creates the network of the first FGSM tutorial (21,840 parameters).

    Conv 5×5 to 10 maps, max-pool 2, ReLU, conv 5×5 to 20 maps, channel dropout, max-pool 2, ReLU,
    linear 320-50, ReLU, dropout, linear 50-10. The tutorial attacks it on pixels in [0, 1] without
    normalisation, although the weights that it loads were trained with one (pytorch/tutorials,
    issue 1032).

    Arguments:
        normalise: whether (x - mean) / std comes first.

    References:
        Adversarial Example Generation, PyTorch tutorials, 2018 to 2023.

    Example:
        >>> LeNet()(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self, *, normalise: bool = False) -> None:
        super().__init__(
            OrderedDict(
                normalise=Normalise(*MNIST) if normalise else nn.Identity(),
                conv1=nn.Conv2d(1, 10, 5),
                pool1=nn.MaxPool2d(2),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(10, 20, 5),
                dropout1=nn.Dropout2d(0.5),
                pool2=nn.MaxPool2d(2),
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                fc1=nn.Linear(320, 50),
                relu3=nn.ReLU(),
                dropout2=nn.Dropout(0.5),
                fc2=nn.Linear(50, 10),
            )
        )
        self.config = {"normalise": normalise}


class TutorialCnn(nn.Sequential):
    r"""Creates the network of the FGSM tutorial since 2023 (1,199,882 parameters).

    Conv 3×3 to 32 maps, ReLU, conv 3×3 to 64 maps, ReLU, max-pool 2, dropout, linear 9216-128,
    ReLU, dropout, linear 128-10, on normalised images.

    References:
        Adversarial Example Generation, PyTorch tutorials, since June 2023; examples/mnist.

    Example:
        >>> TutorialCnn()(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self) -> None:
        super().__init__(
            OrderedDict(
                normalise=Normalise(*MNIST),
                conv1=nn.Conv2d(1, 32, 3),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 3),
                relu2=nn.ReLU(),
                pool=nn.MaxPool2d(2),
                dropout1=nn.Dropout(0.25),
                flatten=nn.Flatten(),
                fc1=nn.Linear(9216, 128),
                relu3=nn.ReLU(),
                dropout2=nn.Dropout(0.5),
                fc2=nn.Linear(128, 10),
            )
        )


class SoftmaxRegression(nn.Sequential):
    r"""Creates a linear classifier on raw pixels; with two classes it is logistic regression.

    The gradient of its loss is known in closed form, and so is its attack.

    Arguments:
        classes: outputs, without softmax.
        inputs: pixel values of an image.

    Example:
        >>> SoftmaxRegression()(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self, classes: int = 10, inputs: int = 784) -> None:
        super().__init__(OrderedDict(flatten=nn.Flatten(), fc=nn.Linear(inputs, classes)))
        self.config = {"classes": classes, "inputs": inputs}


class Maxout(nn.Module):
    r"""Creates a maxout network: two layers of maxout units, dropout before each linear map.

    .. math:: h_i(x) = \max_{j \le k} \; x^\top W_{ij} + b_{ij}

    Goodfellow et al. (2014) attack such a network on raw pixels and do not print its training;
    units, pieces and dropout are those of the published configuration that their paper builds on.

    Arguments:
        units: maxout units of each of the two layers.
        pieces: linear maps k whose maximum is a unit's output.
        inputs: pixel values of an image.

    References:
        Maxout Networks (Goodfellow et al., 2013), section 4 and the configuration with its code.

    Example:
        >>> Maxout(units=4)(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self, units: int = 240, pieces: int = 5, inputs: int = 784) -> None:
        super().__init__()
        self.config = {"units": units, "pieces": pieces, "inputs": inputs}
        self.pieces = pieces
        self.drop_inputs, self.drop_units = nn.Dropout(0.2), nn.Dropout(0.5)
        self.fc1 = nn.Linear(inputs, units * pieces)
        self.fc2 = nn.Linear(units, units * pieces)
        self.head = nn.Linear(units, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to logits (N, 10)."""
        first = self._greatest(self.fc1(self.drop_inputs(images.flatten(1))))
        second = self._greatest(self.fc2(self.drop_units(first)))
        out: Tensor = self.head(self.drop_units(second))
        return out

    def _greatest(self, maps: Tensor) -> Tensor:
        return torch.amax(maps.view(len(maps), -1, self.pieces), 2)
