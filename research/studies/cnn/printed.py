"""What the sources of the study `cnn` print."""

from research.records.printed import Place, Printed

SHAPES = {
    "conv1": "32 × 26 × 26",
    "pool1": "32 × 13 × 13",
    "conv2": "64 × 11 × 11",
    "pool2": "64 × 5 × 5",
}
"""Maps of each layer and their pixels, as the helper notebook of assignment 2 has them."""
PARAMETERS = 232_650
"""Of CNN_A, as lecture 4 prints it."""

PRINTED = (
    Printed(
        "parameters of the network", PARAMETERS, "arundasan91", "lecture 4, output",
        Place("parameters"), ",.0f",
    ),
    *(
        Printed(
            f"shape of the maps of {layer}", shape, "arundasan91", "assignment 2, helper notebook",
            Place("layers", "shape", {"layer": layer}),
        )
        for layer, shape in SHAPES.items()
    ),
)  # fmt: skip
UNMEASURED = "No accuracy and no distance of the course's is known: its notebooks carry no others."
