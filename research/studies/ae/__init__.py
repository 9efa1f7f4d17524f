"""What does a small convolutional autoencoder keep of an image, and does its decoder matter?

Source: course assignment 4; the Kaggle notebook convolution-autoencoder-pytorch (CIFAR-10)

Two decoders behind the same encoder, the course's transposed convolutions and nearest-neighbour
upsampling with convolutions (Odena et al., 2016), are trained on several seeds and compared with
the best linear code of the same size and with the mean image. Losses are means per pixel value.
"""

from research.data import Dataset, check_contents, load
from research.errors import UserError
from research.methods.embedding import fit_pca
from research.studies.ae.drawings import FIGURES
from research.studies.ae.measures import (
    measure_code,
    measure_layers,
    measure_reconstructions,
    pixels,
)
from research.studies.ae.networks import train
from research.studies.ae.settings import ARMS, PRESETS, SHOWN, Config, Models, children
from research.tracking import Log

__all__ = ["ARMS", "FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check(config, data)
        sample = data.test_image(config.sample, config.sample_index)
    with log.part("training"):
        models: Models = {
            arm: [train(arm, seed, data, config, log) for seed in config.seeds] for arm in ARMS
        }
    with log.part("analysis"):
        size = measure_layers(models, sample, log)
        pca = fit_pca(pixels(data.train), size)
        measure_reconstructions(models, pca, data, log)
        measure_code(models, pca, data, config, log)


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    side, points = data.shape[1:], min(config.map_points, len(data.test))
    check_contents(data, test=SHOWN)
    if min(side) < 12 or side[0] % 4 or side[1] % 4:
        raise UserError(
            f"the images' sides must be multiples of 4 and at least 12 pixels, got "
            f"{side[0]} × {side[1]}; give --data.size 32"
        )
    code = side[0] * side[1] // 4
    if len(data.train) < code:
        raise UserError(
            f"the principal components that the code of {code} values is compared with need as "
            f"many training images at least, got {len(data.train)}; add images or give a smaller "
            "--data.size"
        )
    if not 1 <= config.neighbours < min(points / 2, len(data.train)):
        raise UserError(
            f"--neighbours must be at least 1 and less than half of the {points} points of the "
            f"map and than the {len(data.train)} training images, got {config.neighbours}; change "
            f"it or --map-points"
        )
    if not 1 <= config.map_perplexity < points / 3:
        raise UserError(
            f"--map-perplexity must be at least 1 and less than a third of the {points} points "
            f"of the map, got {config.map_perplexity:g}; change it or --map-points"
        )
    # on one side the pixels and what PCA makes of them, on the other what every model makes
    data.require_floats(train=3, test=2 * len(ARMS) * len(config.seeds) + 4)
