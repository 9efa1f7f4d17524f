"""What the sources of the study `zf-features` print."""

from collections.abc import Iterator

from research.records.printed import Place, Printed, Why
from research.studies.zf_features.settings import (
    ARMS,
    NAMES,
    NETWORKS,
    PRINTED_LAYERS,
    PRINTED_TRANSFER,
)

OTHER_IMAGES = Why("data set", "ten classes of small pictures, not ImageNet's thousand")
NARROWER = Why("size", "a narrower network, trained for less", ("width", "train.epochs"))
OTHER_TARGET = Why("data set", "digits, not Caltech's pictures", ("target.name",))
ALEXNET = Why("definition", "the paper's replication of AlexNet; we change our own network")
OTHER_SETS = ("Caltech-101 at 30 a class", "Caltech-256 at 60 a class")
OTHER_COUNT = Why("definition", "another number of images of each class", ("k",))
WHOSE = {"own": "its own network", "alexnet": "its AlexNet"}


def _ablations() -> Iterator[Printed]:
    sides = {"train": ("ablations", "train"), "test": ("ablations", "test")}
    places = {**sides, "top5": ("top5", "test")}
    words = {"train": "training error", "test": "validation error", "top5": "top-5 error"}
    for arm, changes in ARMS.items():
        for network in NETWORKS:
            printed = getattr(changes, network)
            for side, (table, column) in places.items() if printed else ():
                why = (OTHER_IMAGES, NARROWER) + (ALEXNET,) * (network == "alexnet")
                what = f"{words[side]}, {NAMES[arm]}, {WHOSE[network]}"
                place = Place(table, column, {"arm": arm})
                value = getattr(printed, side)
                yield Printed(what, value, "zeiler2014", "table 2", place, ".1%", why)


def _transfer() -> Iterator[Printed]:
    tables = {"caltech101": "table 3", "caltech256": "table 4"}
    for target, rows in PRINTED_TRANSFER.items():
        for k, pair in rows.items():
            for arm, value in zip(("scratch", "pretrained"), pair, strict=True):
                what = f"accuracy on {target} with {k} images a class, {arm}"
                place = Place("transfer", arm, {"k": k})
                why = (OTHER_TARGET, OTHER_IMAGES, NARROWER)
                yield Printed(what, value, "zeiler2014", tables[target], place, ".1%", why)


def _layers() -> Iterator[Printed]:
    for kind, rows in PRINTED_LAYERS.items():
        for layer, pair in rows.items():
            for target, value in zip(OTHER_SETS, pair, strict=True):
                what = f"{kind} on layer {layer[-1]}, {target}"
                place = Place("layers", f"{kind}_many", {"layer": layer})
                why = (OTHER_TARGET, OTHER_COUNT, OTHER_IMAGES, NARROWER)
                yield Printed(what, value, "zeiler2014", "table 6", place, ".1%", why)


PRINTED = (*_ablations(), *_transfer(), *_layers())
UNMEASURED = "Table 5, on PASCAL 2012, is not measured here."
