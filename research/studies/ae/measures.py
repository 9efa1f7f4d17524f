"""What is measured on the models of the study `ae`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from research.data import Dataset, Split
from research.methods import reconstruction
from research.methods.activations import activation_maps, describe, kernels, save_sheet
from research.methods.embedding import knn_accuracy, trustworthiness, tsne, varies
from research.methods.statistics import Direction, claim_pairs, over_samples, over_seeds, paired
from research.models import ConvAutoencoder, count_parameters
from research.models.inference import predict
from research.records import Array, Cell, Number, Table
from research.records.measured import CORRELATION, SHARE, Range
from research.studies.ae.settings import (
    ARMS,
    UNITS,
    Config,
    Models,
)
from research.tracking import Log


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
        known = CORRELATION if measure == "ssim" else None
        return over_models(name, runs, UNITS[measure], known) if runs else None

    everything = np.ones(len(labels), bool)
    found: dict[str, dict[str, Number | None]] = {}
    rows: list[dict[str, Cell]] = []
    for name in outputs:
        errors = {measure: mean(name, measure, everything) for measure in UNITS}
        for measure, error in errors.items():
            if error:
                log.number(f"{measure}_{name}", error)
        residuals = (output - images for output in outputs[name])
        energies = [reconstruction.checkerboard_energy(r) for r in residuals]
        share = over_models(name, energies, range=SHARE)
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


def over_models(
    name: str, values: Sequence[float], unit: str = "", range: Range | None = None
) -> Number:
    """A measure over the seeds of an arm; of a baseline, which has no seed, as it is."""
    return (over_seeds if name in ARMS else over_samples)(values, unit, range)


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
    spread = f" ± {gain.half_width:.2f}" if gain.half_width else ""
    log.finding(
        f"The upsampling decoder's PSNR exceeds the transposed one's by {gain.value:.2f}{spread} "
        f"dB (mean and 95 % interval over {gain.n} paired seeds)."
    )


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
        log.number(f"knn_{name}", over_models(name, values, range=SHARE))
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
