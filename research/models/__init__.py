"""The networks of the studies: modules from images in [0, 1] to logits or reconstructions.

Images enter unnormalised; a network that wants them normalised does it in its first layer, so that
an attack, a heat map or a figure always speaks of pixels in [0, 1]. Every ReLU is a module of its
own and not in place, so that each activation can be looked at.
"""

from research.models.autoencoders import ConvAutoencoder, Decoder
from research.models.classifiers import CnnA, Mlp
from research.models.layers import MNIST, FloatSigmoid, Normalise
from research.models.weights import (
    count_parameters,
    load_weights,
    save_weights,
    weights_metadata,
)

__all__ = [
    "MNIST",
    "CnnA",
    "ConvAutoencoder",
    "Decoder",
    "FloatSigmoid",
    "Mlp",
    "Normalise",
    "count_parameters",
    "load_weights",
    "save_weights",
    "weights_metadata",
]
