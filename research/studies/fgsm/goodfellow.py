"""The rows of Goodfellow, Shlens and Szegedy (2015) that the study `fgsm` measures on MNIST."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from research.data import Dataset, Split
from research.methods.fgsm import added, fooling_step, input_gradient
from research.methods.perturbations import sign_perturbation
from research.methods.statistics import claim_of, over_samples
from research.methods.universality import rate_of
from research.models.inference import evaluation
from research.records import Cell, Number, Table
from research.studies.fgsm.networks import of_pair
from research.studies.fgsm.settings import Config, Models
from research.tracking import Log

Probabilities = Tensor
"""(N, K), float64."""


class Row(NamedTuple):
    """A line of the paper: what it prints, in per cent, and what was measured.

    Attributes:
        name: of the row.
        error: a share of the samples.
        confidence: mean probability of the predicted class where it is wrong.
    """

    name: str
    error: Number
    confidence: Number | None = None


PRINTED: Mapping[str, tuple[float | None, float | None]] = {
    "logistic clean": (0.016, None),
    "logistic": (0.99, None),
    "softmax clean": (None, None),
    "softmax": (0.999, 0.793),
    "maxout clean": (0.0094, None),
    "maxout": (0.894, 0.976),
    "adversarial clean": (0.0084, None),
    "adversarial": (0.179, 0.814),
    "maxout on adversarial": (0.196, None),
    "adversarial on maxout": (0.409, None),
    "signs": (0.862, 0.973),
    "uniform": (0.904, 0.978),
    "same wrong class": (0.546, None),
    "same class, both wrong": (0.846, None),
    "rubbish maxout": (0.9835, 0.928),
    "rubbish softmax": (0.598, 0.708),
}
"""Error and confidence as the paper prints them (sections 3 to 9), as shares."""


LABELS: Mapping[str, str] = {
    "logistic clean": "logistic, 3 or 7",
    "logistic": "… attacked",
    "softmax clean": "softmax",
    "softmax": "… attacked",
    "maxout clean": "maxout",
    "maxout": "… attacked",
    "adversarial clean": "adversarial maxout",
    "adversarial": "… attacked",
    "maxout on adversarial": "… by maxout's noise",
    "adversarial on maxout": "maxout, by its noise",
    "signs": "trained on signs",
    "uniform": "trained on uniform",
    "same wrong class": "errs as maxout",
    "same class, both wrong": "… where both err",
    "rubbish maxout": "rubbish, maxout",
    "rubbish softmax": "rubbish, softmax",
}
"""What the rows are called in print."""


def measure_paper(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """Our rows beside the paper's, of the first seed, unclipped as there."""
    one = {arm: group[0] for arm, group in models.items()}
    rows = [
        *attack_rows(one, data, config),
        *agreement_rows(one, data.test, config),
        *rubbish_rows(one, data, config, log),
    ]
    log.table("paper", Table.of([line(row) for row in rows]))
    for row in rows:
        name = row.name.replace(",", "").replace(" ", "_")
        log.number(f"error_{name}", row.error)
        if row.confidence:
            log.number(f"confidence_{name}", row.confidence)
    measure_gains(one, data.test, config, log)


def line(row: Row) -> dict[str, Cell]:
    printed_error, printed_confidence = PRINTED[row.name]
    return {
        "row": row.name,
        "error": row.error,
        "printed_error": printed_error,
        "confidence": row.confidence,
        "printed_confidence": printed_confidence,
        "model": LABELS[row.name],
    }


# --- errors clean, attacked, and attacked through another model ---------------------------------


def attack_rows(one: Mapping[str, nn.Module], data: Dataset, config: Config) -> Iterator[Row]:
    for arm in ("logistic", "softmax", "maxout", "adversarial"):
        test = of_pair(data, data.test) if arm == "logistic" else data.test
        yield mistakes(f"{arm} clean", one[arm], test.floats(), test.labels)
        yield mistakes(arm, one[arm], attacked(one[arm], test, config.paper_eps), test.labels)
    test = data.test
    for source, target in (("maxout", "adversarial"), ("adversarial", "maxout")):
        inputs = attacked(one[source], test, config.paper_eps)
        yield mistakes(f"{source} on {target}", one[target], inputs, test.labels)
    for arm in ("signs", "uniform"):
        yield mistakes(arm, one[arm], attacked(one[arm], test, config.paper_eps), test.labels)


def attacked(model: nn.Module, test: Split, eps: float) -> Tensor:
    """FGSM examples, not clipped, (N, C, H, W)."""
    images = test.floats()
    delta = sign_perturbation(input_gradient(model, images, test.labels), eps)
    return added(images, delta, clip=False)


def probabilities(model: nn.Module, inputs: Tensor) -> Probabilities:
    with evaluation(model):
        return torch.cat([model(x).double().softmax(1) for x in torch.split(inputs, 512)])


def mistakes(name: str, model: nn.Module, inputs: Tensor, labels: Tensor) -> Row:
    """The share of wrong answers and how sure of them the model is."""
    sure, preds = probabilities(model, inputs).max(1)
    wrong = preds != labels
    return Row(name, rate_of(wrong), mean_of(sure[wrong]))


def mean_of(values: Tensor) -> Number | None:
    """Mean over independent samples with its interval; None of no sample."""
    return over_samples(values.tolist()) if len(values) else None


def measure_gains(one: Mapping[str, nn.Module], test: Split, config: Config, log: Log) -> None:
    """Differences of errors on the same images, with intervals over images."""
    clean = {arm: wrong_of(one[arm], test.floats(), test) for arm in ("maxout", "adversarial")}
    under = {
        arm: wrong_of(one[arm], attacked(one[arm], test, config.paper_eps), test)
        for arm in ("signs", "adversarial")
    }
    changes = {
        "clean_change": clean["adversarial"] - clean["maxout"],
        "change_over_signs": under["adversarial"] - under["signs"],
    }
    effects = {n: over_samples((100 * one).tolist(), "points") for n, one in changes.items()}
    for name, effect in effects.items():
        log.number(f"adversarial_{name}", effect)
    over = "t interval over images"
    log.claim("adversarial_costs_clean", claim_of(effects["clean_change"], "greater", test=over))
    log.claim("adversarial_beats_signs", claim_of(effects["change_over_signs"], "less", test=over))


def wrong_of(model: nn.Module, inputs: Tensor, test: Split) -> Tensor:
    """1 where the model is wrong, else 0; float64 (N,)."""
    return (probabilities(model, inputs).argmax(1) != test.labels).double()


# --- section 8: do two models agree on what fools one of them? -----------------------------------


def agreement_rows(one: Mapping[str, nn.Module], test: Split, config: Config) -> Iterator[Row]:
    """On examples made for maxout: softmax regression's answers where maxout is wrong.

    "same wrong class" is the share of maxout's mistakes in which softmax regression gives the same
    class; "same class, both wrong" that of the mistakes in which it is wrong too.
    """
    inputs = attacked(one["maxout"], test, config.paper_eps)
    maxout, softmax = (probabilities(one[arm], inputs).argmax(1) for arm in ("maxout", "softmax"))
    wrong = maxout != test.labels
    both = wrong & (softmax != test.labels)
    for name, among in {"same wrong class": wrong, "same class, both wrong": both}.items():
        if among.any():
            yield Row(name, rate_of((softmax == maxout)[among]))


# --- rubbish -------------------------------------------------------------------------------------


def rubbish_rows(
    one: Mapping[str, nn.Module], data: Dataset, config: Config, log: Log
) -> Iterator[Row]:
    """Gaussian noise N(0, I) for which some class has a probability above ½."""
    order = torch.Generator().manual_seed(0)
    inputs = torch.randn(config.rubbish, *data.shape, generator=order).to(data.test.images.device)
    for arm in ("maxout", "softmax"):
        sure, preds = probabilities(one[arm], inputs).max(1)
        taken = sure > 0.5
        yield Row(f"rubbish {arm}", rate_of(taken), mean_of(sure[taken]))
        counts = torch.bincount(preds[taken], minlength=len(data.classes))
        log.number(f"rubbish_top_{arm}", counts.max().item() / max(1, int(counts.sum())))
        log.number(f"rubbish_top_class_{arm}", int(counts.argmax()))
        log.number(f"rubbish_never_{arm}", int((counts == 0).sum()))
    measure_steps(one["maxout"], inputs[:1000], data, config, log)


def measure_steps(
    model: nn.Module, inputs: Tensor, data: Dataset, config: Config, log: Log
) -> None:
    """How often one step along ∇p(class) makes rubbish count as that class, for each class."""
    shares = []
    for label in range(len(data.classes)):
        target = torch.full((len(inputs),), label, device=inputs.device)
        moved = fooling_step(model, inputs, target, config.step)
        shares.append((probabilities(model, moved)[:, label] > 0.5).double().mean().item())
    for name, value in zip(
        ("mean", "low", "high"), (sum(shares) / len(shares), min(shares), max(shares)), strict=True
    ):
        log.number(f"step_{name}", value)
