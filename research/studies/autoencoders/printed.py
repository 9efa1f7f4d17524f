"""What the sources of the study `autoencoders` print.

The course prints sums of batch means times the batch of 20 over the number of batches; the values
here are the true means.
"""

from research.records.printed import Place, Why
from research.records.printed import Printed as Number
from research.studies.autoencoders.settings import PRINTED as KNOWN
from research.studies.autoencoders.settings import SIZED

SOURCES = {
    "shallow": "udacitysimple",
    "transpose": "udacity2018",
    "upsample": "udacityup",
    "denoiser": "udacitydenoise",
    "picture_simple": "tanjeffreyz",
    "picture_conv": "tanjeffreyz",
}
"""network -> who prints its loss"""
NAMES = {
    "shallow": "one hidden layer",
    "transpose": "transposed convolutions",
    "upsample": "upsampling",
    "denoiser": "noise taken away",
    "picture_simple": "one hidden layer, pictures",
    "picture_conv": "convolutional, pictures",
}
DIGITS = (
    Why("size", "fewer epochs, or fewer digits", ("train.epochs", "train.batch", "data.name")),
    Why("definition", "the course's is the running mean of the last epoch of training"),
)
PICTURES = (
    Why("data set", "crops of ten photographs, not faces"),
    Why("size", "fewer epochs, or smaller pictures", ("picture_epochs", "pictures.size")),
)


def _printed(network: str) -> Number:
    of_pictures = network in SIZED["pictures"]
    side = "mse" if of_pictures else "train"
    return Number(
        f"mean squared error, {NAMES[network]}", KNOWN[network].mse, SOURCES[network],
        f"output after epoch {KNOWN[network].epochs}",
        Place("networks", side, {"network": network}), ".5f",
        PICTURES if of_pictures else DIGITS,
    )  # fmt: skip


PRINTED = tuple(map(_printed, KNOWN))
UNMEASURED = (
    "The course's losses after earlier epochs are of one run each, and stand in its notebooks; "
    "Agarap and the deep autoencoder print none that is known, and of Zhang (2018) only the "
    "abstract and introduction were read."
)
