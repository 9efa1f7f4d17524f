"""The networks of the studies: modules from images in [0, 1] to logits or reconstructions, and
from sentences to sentences.

Images enter unnormalised; a network that wants them normalised does it in its first layer, so that
an attack, a heat map or a figure always speaks of pixels in [0, 1]. Every ReLU is a module of its
own and not in place, so that each activation can be looked at.
"""

from research.models.adversarial import LeNet, Maxout, SoftmaxRegression, TutorialCnn
from research.models.autoencoders import (
    ConvAutoencoder,
    Decoder,
    DenoisingAutoencoder,
    DenseAutoencoder,
    Output,
    PooledAutoencoder,
)
from research.models.classifiers import CnnA, Mlp
from research.models.layers import MNIST, CentredPixels, FloatSigmoid, Normalise
from research.models.translators import Translator
from research.models.vgg import CIFAR10, Vgg16
from research.models.weights import count_parameters, load_weights, save_weights, weights_metadata
from research.models.zeiler import FilterSgd, ZFNet, parameter_groups

__all__ = [
    "CIFAR10",
    "MNIST",
    "CentredPixels",
    "CnnA",
    "ConvAutoencoder",
    "Decoder",
    "DenoisingAutoencoder",
    "DenseAutoencoder",
    "FilterSgd",
    "FloatSigmoid",
    "LeNet",
    "Maxout",
    "Mlp",
    "Normalise",
    "Output",
    "PooledAutoencoder",
    "SoftmaxRegression",
    "Translator",
    "TutorialCnn",
    "Vgg16",
    "ZFNet",
    "count_parameters",
    "load_weights",
    "parameter_groups",
    "save_weights",
    "weights_metadata",
]
