"""What the study `autoencoders` measures. Errors are means per pixel value, pixels in [0, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from research.data import Dataset, Split
from research.methods import reconstruction
from research.methods.comparison import Beside, beside
from research.methods.embedding import fit_pca
from research.methods.statistics import claim_of, claim_pairs, over_seeds, paired
from research.models import count_parameters
from research.records import Array, Cell, Outcome, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.autoencoders.networks import code_size, noisy, reconstruct
from research.studies.autoencoders.settings import (
    FIXED,
    NOISY,
    PICTURES_NOISY,
    PRINTED,
    PUBLISHED_MAPS,
    SIZED,
    Config,
    Models,
    Recipe,
    sizes_of,
)
from research.tracking import Log

SHOWN = {
    "digits": (*FIXED[:-1], "upsample", "denoiser"),
    "pictures": (*SIZED["pictures"], *PICTURES_NOISY),
}
"""The networks of the table, in its order."""
BESIDE_PCA = ("shallow", "agarap", "mended", "transpose", "upsample", "denoiser")
"""Those of which it is said whether they beat principal components."""


@dataclass(frozen=True)
class Exam:
    """The images of a set as all its networks are judged on them.

    Attributes:
        train, test: float images (N, C, H, W).
        noisy_train, noisy_test: the same with noise.
        pca: the principal components of `train`, as many as the largest code has values.
        floor: error on `test` of the first k components, for k from 0. (K + 1,)
        noisy_floor: the same where these components are given `noisy_test`.
    """

    train: Tensor
    test: Tensor
    noisy_train: Tensor
    noisy_test: Tensor
    pca: PCA
    floor: Array
    noisy_floor: Array

    def inputs(self, group: str) -> tuple[Tensor, Tensor]:
        """What a network is given of both sides."""
        noise = group in NOISY
        return (self.noisy_train, self.noisy_test) if noise else (self.train, self.test)


@dataclass(frozen=True)
class Marks:
    """What the networks of one group came to, a value per seed.

    Attributes:
        code: values in the code.
        mse, psnr, ssim: on the test images; `train` is the error on the training images.
    """

    code: int
    parameters: int
    train: list[float]
    mse: list[float]
    psnr: list[float]
    ssim: list[float]


def exam_of(name: str, data: Dataset, config: Config) -> Exam:
    train, test = data.train.floats(), data.test.floats()
    height, width = data.shape[1:]
    places = height * width // (16 if name == "digits" else 64)
    most = max(places * max(sizes_of(name, config)), 128 if name == "digits" else 0)
    flat = vectors(train)
    pca = fit_pca(flat, min(most, *flat.shape))
    noise = noisy(train, config.noise), noisy(test, config.noise)
    floors = [linear_errors(pca, vectors(x), vectors(test)) for x in (test, noise[1])]
    return Exam(train, test, *noise, pca, *floors)


def vectors(images: Tensor) -> Array:
    """(N, C · H · W)"""
    return images.flatten(1).cpu().numpy()


def linear_errors(pca: PCA, inputs: Array, targets: Array) -> Array:
    """Mean squared error per pixel value of reconstructions by the first k components, k from 0.

    What the components leave of a target is its length less theirs; each adds the square of what
    its input's coefficient is off the target's. Nothing is clipped to [0, 1]. (K + 1,)
    """
    centred = targets - pca.mean_
    off = ((inputs - targets) @ pca.components_.T).astype(np.float64)
    kept = (centred @ pca.components_.T).astype(np.float64)
    gains = (kept**2 - off**2).mean(0)
    whole = (centred.astype(np.float64) ** 2).sum(1).mean()
    errors: Array = (whole - np.concatenate([[0], gains.cumsum()])) / targets.shape[1]
    return errors


def linear_error(errors: Array, size: int) -> float:
    """Of a code of a size; a set of few images has fewer components, and they hold it wholly."""
    return float(errors[min(size, len(errors) - 1)])


# --- one table -----------------------------------------------------------------------------------


def measure_networks(models: Models, exams: Mapping[str, Exam], log: Log) -> dict[str, Marks]:
    """Marks of every network; one row of the table for each of a published size."""
    marks = {
        group: marks_of(networks, exams[set_of(group)], group) for group, networks in models.items()
    }
    rows: list[dict[str, Cell]] = []
    for name, groups in SHOWN.items():
        for group in groups:
            rows.append(row_of(name, group, marks[group], exams[name]))
            log_marks(group, rows[-1], log)
        errors = errors_of(exams[name].test, exams[name].noisy_test)
        rows.append(
            dict.fromkeys(rows[0]) | {"set": name, "network": f"untouched_{name}", **errors}
        )
        log.number(f"untouched_{name}", errors["mse"])
    log.table("networks", Table.of(rows))
    first, second = (marks[group].mse for group in PICTURES_NOISY)
    log.number("noisy_gain", paired(first, second))
    log.claim("noisy_conv_better", claim_pairs(first, second, "less"))
    claim_networks(marks, exams["digits"], log)
    log.number("collapsed", sum(collapsed(group, one, exams) for group, one in marks.items()))
    return marks


def collapsed(group: str, marks: Marks, exams: Mapping[str, Exam]) -> int:
    """How many models end above the error of the mean training image, a code of no values.

    Their training has come apart. The deep network as published cannot do better, and is left out.
    """
    constant = linear_error(exams[set_of(group)].floor, 0)
    return sum(error > constant for error in marks.mse) if group != "published" else 0


def claim_networks(marks: Mapping[str, Marks], exam: Exam, log: Log) -> None:
    """Which networks of digits beat principal components, and which decoder the other."""
    for group in BESIDE_PCA:
        error, floor = over_seeds(marks[group].mse), floor_of(group, marks[group], exam)
        log.claim(f"{group}_beats_pca", claim_of(error, "less", floor))
    decoders = marks["transpose"].mse, marks["upsample"].mse
    log.claim("upsample_beats_transpose", claim_pairs(*decoders, "less"))


def set_of(group: str) -> str:
    return "pictures" if group.startswith(("picture", "noisy")) else "digits"


def marks_of(networks: Sequence[nn.Module], exam: Exam, group: str) -> Marks:
    found: dict[str, list[float]] = {"train": [], "mse": [], "psnr": [], "ssim": []}
    sides = exam.inputs(group)
    for network in networks:
        known = reconstruct(network, sides[0])
        found["train"].append(reconstruction.mse(exam.train, known).mean().item())
        for name, value in errors_of(exam.test, reconstruct(network, sides[1])).items():
            found[name].append(value)
    first = networks[0]
    return Marks(code_size(first, exam.test[:1]), count_parameters(first), **found)


def errors_of(images: Tensor, outputs: Tensor) -> dict[str, float]:
    """Mean squared error and PSNR of the outputs as they are, SSIM of what a screen can show."""
    return {
        "mse": reconstruction.mse(images, outputs).double().mean().item(),
        "psnr": reconstruction.psnr(images, outputs).double().mean().item(),
        "ssim": reconstruction.ssim(images, outputs.clamp(0, 1)).mean().item(),
    }


def beside_printed(group: str, marks: Marks) -> Beside | None:
    """Our error beside the one that the source prints: the course's is that of training."""
    printed = PRINTED.get(group)
    if not printed:
        return None
    return beside(marks.train if set_of(group) == "digits" else marks.mse, printed.mse)


def row_of(name: str, group: str, marks: Marks, exam: Exam) -> dict[str, Cell]:
    printed = PRINTED.get(group)
    told = beside_printed(group, marks)
    return {
        "set": name, "network": group, "code": marks.code, "parameters": marks.parameters,
        "printed": printed.mse if printed else None,
        "printed_epochs": printed.epochs if printed else None,
        "ratio": told.ratio if told else None, "resolvable": told.resolvable if told else None,
        "train": over_seeds(marks.train), "mse": over_seeds(marks.mse),
        "psnr": over_seeds(marks.psnr, "dB"), "ssim": over_seeds(marks.ssim, range=CORRELATION),
        "pca": floor_of(group, marks, exam),
    }  # fmt: skip


def floor_of(group: str, marks: Marks, exam: Exam) -> float:
    """The error of as many components as the code has values, given what the network is given."""
    return linear_error(exam.noisy_floor if group in NOISY else exam.floor, marks.code)


def log_marks(group: str, row: Mapping[str, Cell], log: Log) -> None:
    for name in ("code", "parameters", "printed", "train", "mse", "psnr", "ssim", "pca"):
        value = row[name]
        if value is not None and not isinstance(value, str):
            log.number(f"{name}_{group}", value)


# --- error against the size of the code ----------------------------------------------------------


def measure_sizes(
    marks: Mapping[str, Marks], exams: Mapping[str, Exam], config: Config, log: Log
) -> None:
    """Fully connected and convolutional networks with codes of one size, and components."""
    rows: list[dict[str, Cell]] = []
    for name, arms in SIZED.items():
        sizes = sizes_of(name, config)
        pairs = [[marks[Recipe(name, arm, 0, maps).group] for arm in arms] for maps in sizes]
        gains = [paired(simple.mse, conv.mse) for simple, conv in pairs]
        for rank, ((simple, conv), gain) in enumerate(zip(pairs, gains, strict=True), start=1):
            pca = linear_error(exams[name].floor, simple.code)
            log.number(f"size_{name}_{rank}", simple.code)
            log.number(f"gain_{name}_{rank}", gain)
            log.number(f"conv_{name}_{rank}", over_seeds(conv.mse))
            log.number(f"pca_{name}_{rank}", pca)
            rows.append({
                "set": name, "code": simple.code, "pca": pca,
                "simple": over_seeds(simple.mse), "conv": over_seeds(conv.mse), "gain": gain,
                "simple_parameters": simple.parameters, "conv_parameters": conv.parameters,
            })  # fmt: skip
        log.number(f"size_{name}_last", pairs[-1][0].code)
        log.number(f"gain_{name}_last", gains[-1])
        floors = [linear_error(exams[name].floor, simple.code) for simple, _ in pairs]
        for family, side in (("simple", 0), ("conv", 1)):
            errors = [pair[side].mse for pair in pairs]
            below = claim_below(f"{family}_beats_pca_{name}", errors, floors, log)
            log.number(f"sizes_below_{family}_{name}", below.count("holds"))
        log_curves(name, pairs, marks, exams[name], log)
        published = sizes.index(PUBLISHED_MAPS[name])
        log.number(f"gain_{name}", gains[published])
        better = claim_sizes(name, pairs, published, log)
        won, lost = better.count("holds"), better.count("fails")
        shares = [conv.parameters / simple.parameters for simple, conv in pairs]
        log.number(f"coefficients_{name}", max(shares))
        log.number(f"sizes_{name}", len(sizes))
        log.number(f"sizes_won_{name}", won)
        log.number(f"sizes_lost_{name}", lost)
        log.finding(
            f"On {name} the convolutional autoencoder has the lower test error at "
            f"{won} of {len(sizes)} sizes of the code and the higher one at "
            f"{lost} (95 % intervals over {len(config.seeds)} paired seeds)."
        )
    log.table("sizes", Table.of(rows))


def claim_below(
    name: str, errors: Sequence[Sequence[float]], floors: Sequence[float], log: Log
) -> list[Outcome]:
    """Whether networks of each size beat as many components."""
    claims = [
        claim_of(over_seeds(error), "less", floor)
        for error, floor in zip(errors, floors, strict=True)
    ]
    for rank, claim in enumerate(claims, start=1):
        log.claim(f"{name}_{rank}", claim)
    return [claim.outcome for claim in claims]


def claim_sizes(
    name: str, pairs: Sequence[Sequence[Marks]], published: int, log: Log
) -> list[Outcome]:
    """Whether convolution is better at each size, in pairs of equal seed, and at the source's."""
    claims = [claim_pairs(simple.mse, conv.mse, "less") for simple, conv in pairs]
    for rank, claim in enumerate(claims, start=1):
        log.claim(f"conv_better_{name}_{rank}", claim)
    log.claim(f"conv_better_{name}", claims[published])
    return [claim.outcome for claim in claims]


def log_curves(
    name: str, pairs: Sequence[Sequence[Marks]], marks: Mapping[str, Marks], exam: Exam, log: Log
) -> None:
    """What the figure of errors against sizes shows, (sizes, seeds) for the two families."""
    single = [group for group in SHOWN[name] if group not in (*NOISY, *SIZED[name])]
    log.arrays(
        f"sizes_{name}",
        floor=exam.floor,
        codes=np.array([simple.code for simple, _ in pairs]),
        simple=np.array([simple.mse for simple, _ in pairs]),
        conv=np.array([conv.mse for _, conv in pairs]),
        names=np.array(single, dtype=str),
        single_codes=np.array([marks[group].code for group in single]),
        single_errors=np.array([np.mean(marks[group].mse) for group in single]),
    )


# --- two checks that the sources call for --------------------------------------------------------


def measure_linear(marks: Mapping[str, Marks], exam: Exam, log: Log) -> None:
    """How far the linear network is from the best linear code on the images it was trained on."""
    train = vectors(exam.train)
    size = marks["linear"].code
    floor = linear_error(linear_errors(exam.pca, train, train), size)
    log.number("linear_floor", floor)
    log.number("linear_excess", over_seeds([error - floor for error in marks["linear"].train]))


def measure_floor(models: Models, test: Split, log: Log) -> None:
    """The error that no output of the deep network as published can avoid, and what it has.

    A ReLU ends at 0, which is mid-grey where targets are in [-1, 1]: what is darker than that is
    out of reach, whatever the weights.
    """
    images = test.floats()
    reached = images >= 0.5
    floor = error_floor(images)
    log.number("floor", floor)
    log.number("floor_source", 4 * floor)
    log.number("unreachable", (~reached).double().mean().item())
    dead: list[float] = []
    excess: list[float] = []
    bright: dict[str, list[float]] = {"published": [], "mended": []}
    for arm, errors in bright.items():
        for model in models[arm]:
            outputs = reconstruct(model, images)
            errors.append((outputs - images)[reached].square().double().mean().item())
            if arm == "published":
                excess.append(reconstruction.mse(images, outputs).double().mean().item() - floor)
                dead.append((outputs <= 0.5).all(0).double().mean().item())
        log.number(f"bright_{arm}", over_seeds(errors))
    log.claim("mended_better_on_bright", claim_pairs(bright["published"], bright["mended"], "less"))
    log.number("floor_excess", over_seeds(excess))
    log.number("dead_outputs", over_seeds(dead, range=SHARE))


def error_floor(images: Tensor) -> float:
    """Least mean squared error of outputs that are not below ½."""
    return (0.5 - images).clamp(min=0).square().double().mean().item()


# --- one set of pictures -------------------------------------------------------------------------


def log_examples(models: Models, exams: Mapping[str, Exam], log: Log) -> None:
    """Test images spread over the set and what the first networks make of them."""
    for name, exam in exams.items():
        count = 10 if name == "digits" else 6
        chosen = torch.linspace(0, len(exam.test) - 1, min(count, len(exam.test))).long()
        clean, noise = (side[chosen.to(side.device)] for side in (exam.test, exam.noisy_test))
        shown = {"input": clean, "noisy": noise}
        for group in SHOWN[name]:
            shown[group] = reconstruct(models[group][0], noise if group in NOISY else clean)
        pictures = {key: batch.clamp(0, 1).cpu().numpy() for key, batch in shown.items()}
        log.arrays(f"examples_{name}", **pictures)
