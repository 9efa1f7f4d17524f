"""What the sources of the study `zf` print."""

from research.records.printed import Place, Printed, Why

ERRORS = {"zf": (0.384, 0.165), "alexnet": (0.405, 0.181)}
"""Top-1 and top-5 error on the validation images of ImageNet: table 1, of one network."""
AGREEMENT = {
    "right eye": (0.067, 0.069),
    "left eye": (0.069, 0.068),
    "nose": (0.079, 0.069),
    "random": (0.107, 0.073),
}
"""Disagreement Δ in layers 5 and 7: table 1 of the preprint, of five dogs."""
NAMES = {"zf": "the paper's network", "alexnet": "its replication of AlexNet"}

OTHER_IMAGES = Why("data set", "ten classes of small pictures, not ImageNet's thousand")
NARROWER = Why("size", "a narrower network on smaller crops, trained for less", ("width", "side"))
FACES = (
    Why("data set", "groups of aligned faces, not five dogs"),
    Why("size", "features of a narrower network", ("width", "side")),
)

PRINTED = (
    *(
        Printed(
            f"{top} error of {NAMES[arm]}", value, "zeiler2014", "table 1",
            Place(f"{top.replace('-', '')}_{arm}"), ".1%", (OTHER_IMAGES, NARROWER),
        )
        for arm, pair in ERRORS.items()
        for top, value in zip(("top-1", "top-5"), pair, strict=True)
    ),
    *(
        Printed(
            f"disagreement Δ in layer {layer}, {part}", value, "zeiler2013", "table 1",
            Place("correspondence", column, {"part": part}), ".3f", FACES,
        )
        for part, pair in AGREEMENT.items()
        for (layer, column), value in zip({5: "shown", 7: "last"}.items(), pair, strict=True)
    ),
)  # fmt: skip
UNMEASURED = (
    "Table 1 of Zeiler and Fergus (2014) also has ensembles, and errors on ImageNet's test images: "
    "one network is trained here, and those images' labels are not published."
)
