"""How well the networks of the study `zf` classify, and how their first layers differ."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from research.data import Split
from research.methods.crops import ten_crop_probabilities
from research.methods.filters import aliased, beyond_nyquist, dead, frequency
from research.methods.statistics import over_seeds, paired
from research.methods.top_activations import strongest
from research.models import ZFNet, count_parameters
from research.models.inference import predict
from research.records import Array, Cell, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.zf.features import Viewed, spread
from research.studies.zf.settings import Config
from research.tracking import Log

Models = Mapping[str, Sequence[ZFNet]]
"""One model per seed, by arm."""

SHOWN_FILTERS = 24
SHARES = ("silent", "beyond", "aliased")
"""Of what `first_layer` measures, which are shares: their intervals stay within 0 and 1."""


def measure_errors(models: Models, whole: Split, middle: Split, log: Log) -> None:
    """Top-1 and top-5 error over the ten crops of the test images, and of their middle alone."""
    rows: list[dict[str, Cell]] = []
    errors = {
        arm: [errors_of(model, whole, middle) for model in group] for arm, group in models.items()
    }
    for arm, found in errors.items():
        cells = {name: over_seeds([one[name] for one in found], range=SHARE) for name in found[0]}
        parameters = count_parameters(models[arm][0])
        rows.append({"arm": arm, "parameters": parameters, **cells})
        for name, cell in cells.items():
            log.number(f"{name}_{arm}", cell)
        log.number(f"parameters_{arm}", parameters)
    log.number("largest_rms", over_seeds([largest_rms(model) for model in models["zf"]]))
    log.table("errors", Table.of(rows))
    top1 = {arm: [one["top1"] for one in found] for arm, found in errors.items()}
    log.number("top1_gain", paired(top1["zf"], top1["alexnet"], range=CORRELATION))


def largest_rms(model: nn.Module) -> float:
    """The largest root mean square of a filter, which training holds at 0.1."""
    filters = [layer.weight.detach() for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return max(weight.square().mean((1, 2, 3)).sqrt().max().item() for weight in filters)


def errors_of(model: nn.Module, whole: Split, middle: Split) -> dict[str, float]:
    """Shares of the test images, in [0, 1]; top-5 where there are more classes than that."""
    probabilities = ten_crop_probabilities(model, whole, middle.images.shape[3])
    found = {
        "top1": probabilities.argmax(1) != whole.labels,
        "centre": predict(model, middle).argmax(1) != middle.labels,
    }
    if probabilities.shape[1] > 5:
        best = probabilities.topk(5).indices
        found["top5"] = ~(best == whole.labels[:, None]).any(1)
    return {name: wrong.double().mean().item() for name, wrong in found.items()}


# --- first layers (section 4.1) ------------------------------------------------------------------


def measure_first_layers(
    groups: Mapping[str, Sequence[Viewed]], config: Config, log: Log
) -> None:  # fmt: skip
    """Filters, dead ones, their frequencies, and what their stride folds back."""
    rows: list[dict[str, Cell]] = []
    for arm, group in groups.items():
        found = [first_layer(view, config) for view in group]
        cells = {
            name: over_seeds([one[name] for one in found], range=SHARE if name in SHARES else None)
            for name in found[0]
        }
        layer = first_convolution(group[0])[1]
        rows.append({
            "arm": arm, "kernel": layer.kernel_size[0], "stride": layer.stride[0],
            "filters": layer.out_channels, **cells,
        })  # fmt: skip
        for name, cell in cells.items():
            log.number(f"first_{name}_{arm}", cell)
        weight = layer.weight.detach()
        largest_first = weight.square().mean((1, 2, 3)).argsort(descending=True, stable=True)
        log.arrays(
            f"filters_{arm}",
            weights=weight[largest_first[:SHOWN_FILTERS]].numpy(force=True),
            frequency=frequency(weight),
        )
    log.table("first_layers", Table.of(rows))


def first_convolution(view: Viewed) -> tuple[str, nn.Conv2d]:
    """The first that images pass, and its name."""
    return next(
        (link.name, link.module) for link in view.chain.links if isinstance(link.module, nn.Conv2d)
    )


def first_layer(view: Viewed, config: Config) -> dict[str, float]:
    """What section 4.1 of the paper sees in the filters of layer 1, as numbers."""
    name, layer = first_convolution(view)
    weight, stride = layer.weight.detach(), layer.stride[0]
    peaks = strongest(view.chain, view.test, [name], 1)[name].values[:, 0]
    images = view.test.images[spread(len(view.test), config.moved)].float() / 255
    return {
        "dead": dead(weight),
        "silent": (peaks <= 0).double().mean().item(),
        "frequency": mean_known(frequency(weight)),
        "beyond": mean_known(beyond_nyquist(weight, stride)),
        "aliased": mean_known(aliased(inputs_of(view, name, images), weight, stride)),
    }


def mean_known(values: Array | float) -> float:
    """The mean over filters; those of zeros have no frequency, and if all have none it is 0."""
    known = np.atleast_1d(values)[~np.isnan(np.atleast_1d(values))]
    return float(known.mean()) if len(known) else 0.0


def inputs_of(view: Viewed, name: str, images: Tensor) -> Tensor:
    """What a layer is given for these images."""
    before = view.chain.names[: view.chain.index(name)]
    return view.chain.outputs(images, before[-1:])[before[-1]] if before else images


def grey(train: Split) -> float:
    """The mean of all training pixels, in [0, 1]: the grey that hides a part of an image."""
    return train.images.sum(dtype=torch.int64).item() / (255 * train.images.numel())
