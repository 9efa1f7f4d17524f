"""What does a small convolutional autoencoder keep of an image, and does its decoder matter?

Source: course assignment 4; the Kaggle notebook convolution-autoencoder-pytorch (CIFAR-10)

Two decoders behind the same encoder, the course's transposed convolutions and nearest-neighbour
upsampling with convolutions (Odena et al., 2016), are trained on several seeds and compared with
the best linear code of the same size and with the mean image. Losses are means per pixel value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor

from research import figures
from research.config import Data, Train
from research.data import Dataset, Split, check_contents, load
from research.errors import UserError
from research.methods import reconstruction
from research.methods.activations import activation_maps, describe, kernels, save_sheet
from research.methods.embedding import fit_pca, knn_accuracy, trustworthiness, tsne, varies
from research.methods.statistics import Direction, claim_pairs, over_samples, over_seeds, paired
from research.models import ConvAutoencoder, Decoder, count_parameters
from research.models.inference import predict
from research.records import Array, Cell, Number, Results, Table
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import placed

ARMS: tuple[Decoder, ...] = ("transpose", "upsample")
SHOWN = 6
"""test images whose reconstructions are shown: two best, two median and two worst"""
UNITS = {"bce": "nat", "mse": "", "psnr": "dB", "ssim": ""}

Models = Mapping[str, Sequence[ConvAutoencoder]]
"""One model per seed, by arm."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `ae`."""

    data: Data
    train: Train
    seeds: tuple[int, ...]
    """One model of each arm is trained per seed."""
    sample: str
    """The class of which one test image is sent through every layer."""
    sample_index: int = 0
    """Which of the class's test images, counted from 0."""
    neighbours: int = 10
    """k of the nearest-neighbour classifiers and of the map's trustworthiness."""
    map_points: int = 2000
    """Test images on the map of the code, drawn at random."""
    map_perplexity: float = 30
    """Perplexity of t-SNE."""


PRESETS = {
    "sample": Config(
        data=Data("photos"),
        train=Train(epochs=8, batch=32),
        seeds=(0, 1, 2),
        sample="rocket",
        sample_index=119,
        map_points=1000,
    ),
    # the notebook's 100 epochs and Adam 1e-3; its derivatives disagree on the batch (20 or 32)
    "full": Config(
        data=Data("cifar10"),
        train=Train(epochs=100, batch=32),
        seeds=(0, 1, 2),
        sample="airplane",
    ),
}


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [child_name(arm, seed) for arm in ARMS for seed in config.seeds]


def child_name(arm: Decoder, seed: int) -> str:
    return f"{arm}-seed{seed}"


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


def train(arm: Decoder, seed: int, data: Dataset, config: Config, log: Log) -> ConvAutoencoder:
    """One model of one arm, trained or read from the weights that were given."""
    torch.manual_seed(seed)
    model = placed(ConvAutoencoder(data.shape[0], arm), config.train)
    test, images = data.test, data.test.floats()

    def test_loss(model: torch.nn.Module) -> dict[str, float]:
        return {"loss/test": reconstruction.bce(images, predict(model, test)).mean().item()}

    return obtain(
        model,
        data.train,
        lambda model, images, _: reconstruction.bce(images, model(images)).mean(),
        torch.optim.Adam(model.parameters(), lr=config.train.lr, fused=True),
        config.train,
        name=child_name(arm, seed),
        params={"arm": arm, "seed": seed, "optimiser": "Adam"},
        seed=seed,
        log=log,
        evaluate=test_loss,
    )


# --- what the layers hold ------------------------------------------------------------------------


def measure_layers(models: Models, sample: Tensor, log: Log) -> int:
    """Kernels and activation maps of every layer, for the first seed's model of each arm.

    Returns:
        The number of values in the code of an image.
    """
    rows: list[dict[str, Cell]] = []
    for arm, (model, *_) in models.items():
        log.number(f"parameters_{arm}", count_parameters(model))
        weights = {name: weight.numpy() for name, weight in kernels(model).items()}
        maps = {name: m[0].numpy() for name, m in activation_maps(model, sample).items()}
        for kind, layers in {"kernels": weights, "activations": maps}.items():
            log.arrays(f"{kind}_{arm}", **layers)
            for name, values in layers.items():
                save_sheet(log.path(f"{kind}/{arm}/{name}.png"), values)
                np.save(log.path(f"{kind}/{arm}/{name}.npy"), values)
        log.number(f"zeros_{arm}", float((maps["encoder.pool2"] == 0).mean()))
        rows += [{"arm": arm, "layer": name, **describe(values)} for name, values in maps.items()]
    log.arrays("sample", image=sample[0].cpu().numpy())
    log.table("layers", Table.of(rows))
    size = maps["encoder.pool2"].size
    log.number("code_size", size)
    log.number("compression", sample[0].numel() / size)
    return size


# --- how good the reconstructions are ------------------------------------------------------------


def measure_reconstructions(models: Models, pca: PCA, data: Dataset, log: Log) -> None:
    """Errors of the arms over seeds, of the linear code of their size, and of the mean image."""
    images, labels = data.test.floats(), data.test.labels.cpu().numpy()
    outputs = {arm: [predict(m, data.test) for m in group] for arm, group in models.items()}
    outputs |= linear_baselines(pca, images)
    measured = {
        name: [reconstruction.measure(images, output) for output in group]
        for name, group in outputs.items()
    }

    def mean(name: str, measure: str, chosen: Array) -> Number | None:
        if not chosen.any():  # a class without test images
            return None
        runs = [run[measure].numpy()[chosen].mean() for run in measured[name] if measure in run]
        return over_models(name, runs, UNITS[measure]) if runs else None

    everything = np.ones(len(labels), bool)
    found: dict[str, dict[str, Number | None]] = {}
    rows: list[dict[str, Cell]] = []
    for name in outputs:
        errors = {measure: mean(name, measure, everything) for measure in UNITS}
        for measure, error in errors.items():
            if error:
                log.number(f"{measure}_{name}", error)
        residuals = (output - images for output in outputs[name])
        share = over_models(name, [reconstruction.checkerboard_energy(r) for r in residuals])
        log.number(f"checkerboard_{name}", share)
        found[name] = {**errors, "checkerboard": share}
        rows.append({"model": name, **found[name]})
    log.table("errors", Table.of(rows))
    log.number("parameters_pca", pca.components_.size + pca.mean_.size)
    log.number("entropy_floor", reconstruction.entropy_floor(images).mean().item(), "nat")
    log.number("checkerboard_white", reconstruction.white_noise_share(*data.shape[1:]))
    log.table("classes", Table.of([
        {"class": name}
        | {f"{m}_{arm}": mean(arm, m, labels == index) for m in ("psnr", "ssim") for arm in outputs}
        for index, name in enumerate(data.classes)
    ]))  # fmt: skip
    log_examples(measured["transpose"][0]["mse"].numpy(), images, outputs, log)
    log.arrays("spectra", **{
        arm: reconstruction.spectrum(outputs[arm][0] - images).cpu().numpy() for arm in ARMS
    })  # fmt: skip
    for arm in ARMS:
        tell_constant(arm, outputs[arm], log)
    claim_errors(found, log)
    tell_gain(found, log)


def tell_constant(arm: str, outputs: Sequence[Tensor], log: Log) -> None:
    """How many networks answer every test image with one picture, to half a grey level."""
    constant = sum(bool((out.amax(0) - out.amin(0)).max() < 0.5 / 255) for out in outputs)
    log.number(f"constant_{arm}", constant)
    if constant:
        log.finding(
            f"{constant} of {len(outputs)} networks with the decoder '{arm}' answer every test "
            "image with the same picture: training has silenced them."
        )


def linear_baselines(pca: PCA, images: Tensor) -> dict[str, list[Tensor]]:
    """Reconstructions by principal components, and by the mean of the training images alone."""
    flat = images.flatten(1).cpu().numpy()
    rebuilt = {
        "pca": pca.inverse_transform(pca.transform(flat)),
        "mean": np.repeat(pca.mean_[None], len(flat), 0),
    }
    return {
        name: [torch.from_numpy(x).view(images.shape).to(images)] for name, x in rebuilt.items()
    }


def over_models(name: str, values: Sequence[float], unit: str = "") -> Number:
    """A measure over the seeds of an arm; of a baseline, which has no seed, as it is."""
    return over_seeds(values, unit) if name in ARMS else over_samples(values, unit)


def log_examples(
    errors: Array, images: Tensor, outputs: Mapping[str, list[Tensor]], log: Log
) -> None:
    """Best, median and worst test images of the first transposed model, in every code."""
    order = errors.argsort()
    middle = len(order) // 2
    chosen = np.concatenate([order[:2], order[middle : middle + 2], order[-2:]])
    shown = {"input": images, **{name: outputs[name][0] for name in (*ARMS, "pca")}}
    log.arrays(
        "examples",
        mse=errors[chosen],
        **{name: batch[chosen].clamp(0, 1).cpu().numpy() for name, batch in shown.items()},
    )


def claim_errors(found: Mapping[str, Mapping[str, Number | None]], log: Log) -> None:
    """What the paper says of the arms; both arms of a seed saw the same images in one order."""
    pairs: dict[str, tuple[str, str, str, Direction]] = {
        **{f"{arm}_beats_pca": ("mse", "pca", arm, "less") for arm in ARMS},
        "upsample_sharper": ("psnr", "transpose", "upsample", "greater"),
        "upsample_more_similar": ("ssim", "transpose", "upsample", "greater"),
        "upsample_less_checkered": ("checkerboard", "transpose", "upsample", "less"),
    }
    for name, (measure, before, after, direction) in pairs.items():
        first, second = found[before][measure], found[after][measure]
        if first and second:
            log.claim(name, claim_pairs(first, second, direction))


def tell_gain(found: Mapping[str, Mapping[str, Number | None]], log: Log) -> None:
    """How much better upsampling is, seed by seed."""
    transpose, upsample = (number.values for arm in ARMS if (number := found[arm]["psnr"]))
    gain = paired(transpose, upsample, "dB")
    log.number("psnr_gain", gain)
    if not np.isfinite(gain.value):  # a perfect copy has no finite PSNR
        return
    spread = f" ± {gain.half_width:.2f}" if gain.half_width is not None else ""
    log.finding(
        f"The upsampling decoder's PSNR exceeds the transposed one's by {gain.value:.2f}{spread} "
        f"dB (mean and 95 % interval over {gain.n} paired seeds)."
    )


# --- what the code says about classes ------------------------------------------------------------


def measure_code(models: Models, pca: PCA, data: Dataset, config: Config, log: Log) -> None:
    """Nearest-neighbour accuracy in pixel, linear and learnt codes, and a map of the learnt one."""
    reference, truth = (split.labels.cpu().numpy() for split in (data.train, data.test))

    def accuracy(encode: Callable[[Split], Array]) -> float:
        vectors = encode(data.train), encode(data.test)
        return knn_accuracy(vectors[0], reference, vectors[1], truth, config.neighbours)

    scores = {
        "pixels": [accuracy(pixels)],
        "pca": [accuracy(lambda split: pca.transform(pixels(split)))],
        **{arm: [accuracy(partial(code, m)) for m in group] for arm, group in models.items()},
    }
    for name, values in scores.items():
        log.number(f"knn_{name}", over_models(name, values))
    for arm in ARMS:
        constant = scores["pixels"] * len(scores[arm])  # which have no seed
        log.claim(f"{arm}_code_beats_pixels", claim_pairs(constant, scores[arm], "greater"))
    log.number("chance", 1 / len(data.classes))
    codes = {arm: [code(m, data.test) for m in group] for arm, group in models.items()}
    for name, found in codes.items():
        log.number(f"dead_{name}", sum(not varies(vectors) for vectors in found))
    measure_map(codes["transpose"][0], truth, data.classes, config, log)


def measure_map(
    codes: Array, truth: Array, classes: Sequence[str], config: Config, log: Log
) -> None:
    """A map of the code, and how far it may be trusted; none where all codes are one point."""
    chosen = np.random.default_rng(0).permutation(len(truth))[: config.map_points]
    if not varies(codes[chosen]):
        return
    points = tsne(codes[chosen], perplexity=config.map_perplexity)
    log.arrays("map", points=points, labels=truth[chosen], classes=np.array(classes))
    log.number("map_points", len(chosen))
    log.number("trustworthiness", trustworthiness(codes[chosen], points, config.neighbours))


def code(model: ConvAutoencoder, split: Split) -> Array:
    """The encoder's output, (N, code size)."""
    return predict(model.encoder, split).flatten(1).cpu().numpy()


def pixels(split: Split) -> Array:
    """Every pixel value in [0, 1], (N, C · H · W)."""
    return split.floats().flatten(1).cpu().numpy()


# --- figures -------------------------------------------------------------------------------------

LABELS = {
    "transpose": "transposed conv.",
    "upsample": "upsampling",
    "pca": "PCA",
    "mean": "mean image",
}


def draw_curves(results: Results) -> Figure:
    """Training and test loss of each arm, mean over seeds and range."""
    figure = figures.canvas(figures.COLUMN_MM, 52)
    axes = figure.subplots()
    for arm, colour in zip(ARMS, figures.COLOURS, strict=False):
        names = [name for name in results.names("arrays") if name.startswith(f"curve_{arm}-")]
        if names:
            curves = [results.arrays(name) for name in names]
            training, test = (
                np.stack([curve[side] for curve in curves]) for side in ("loss_train", "loss_test")
            )
            figures.spread(axes, training, colour, f"{LABELS[arm]}, training", "--")
            figures.spread(axes, test, colour, f"{LABELS[arm]}, test")
    floor = results.numbers["entropy_floor"].value
    axes.axhline(
        floor, color="0.4", linewidth=0.8, linestyle=":", label="entropy of the test pixels"
    )
    axes.set(xlabel="epoch", ylabel="cross-entropy (nat)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_kernels(results: Results) -> Figure:
    """Every kernel of every layer of both arms, one colour scale a layer."""
    layers = {arm: results.arrays(f"kernels_{arm}") for arm in ARMS}
    return figures.kernel_sheets({LABELS[arm]: kernels for arm, kernels in layers.items()})


def draw_activations(results: Results, arm: Decoder) -> Figure:
    """Every channel of every layer for the sample image, one colour scale a layer."""
    maps = results.arrays(f"activations_{arm}")
    image = results.arrays("sample")["image"]
    return figures.activation_sheet(image, maps)


def draw_examples(results: Results) -> Figure:
    """Two best, two median and two worst test images and their reconstructions."""
    examples = results.arrays("examples")
    ranks = np.repeat(["best", "median", "worst"], 2)
    titles = [f"{rank}\n{mse:.4f}" for rank, mse in zip(ranks, examples["mse"], strict=True)]
    rows = {"input": examples["input"]} | {LABELS[n]: examples[n] for n in (*ARMS, "pca")}
    return figures.image_rows(rows, titles, figures.COLUMN_MM)


def draw_spectra(results: Results) -> Figure:
    """Power of the residuals per spatial frequency, both arms on one logarithmic scale."""
    return figures.spectra({LABELS[arm]: power for arm, power in results.arrays("spectra").items()})


def draw_map(results: Results) -> Figure | None:
    """The code of test images as openTSNE lays it out; None where it is one point."""
    if "map" not in results.names("arrays"):
        return None
    data = results.arrays("map")
    figure = figures.canvas(figures.COLUMN_MM, 54)
    axes = figure.subplots()
    figures.scatter_classes(axes, data["points"], data["labels"], list(data["classes"]))
    trust = results.numbers["trustworthiness"].value
    axes.set_title(f"{len(data['points'])} test images, trustworthiness {trust:.3f}")
    figures.class_legend(figure, axes)
    return figure


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "curves": draw_curves,
    "kernels": draw_kernels,
    "activations": partial(draw_activations, arm="transpose"),
    "activations_upsample": partial(draw_activations, arm="upsample"),
    "examples": draw_examples,
    "spectra": draw_spectra,
    "map": draw_map,
}
