"""What the sources of the study `vgg` print."""

from research.records.printed import Place, Printed, Why

EPS = 0.1
"""The paper's step on CIFAR-10, in units of preprocessed pixels."""
ERROR = 0.8715
"""Of a convolutional maxout network under that attack, as the paper prints it."""
NOTEBOOK = 0.8754
"""Accuracy on the test set, which the notebook calls validation, after the last of ten epochs."""

PRINTED = (
    Printed(
        "accuracy at ε = 0.1, one minus the printed error", 1 - ERROR, "goodfellow2015",
        "section 4", Place("curves", "fgsm", {"eps": EPS}), ".1%",
        (
            Why("definition", "a VGG16 and not a maxout network, its pixels not preprocessed"),
            Why("size", "a narrower network, trained for less", ("width", "train.epochs")),
            Why("data set", "CIFAR-10 encoded as JPEG", ("data.name",)),
        ),
    ),
    Printed(
        "accuracy on frozen features of ImageNet", NOTEBOOK, "utsabigdata",
        "notebook Vgg16-CIFAR, output", Place("frozen", "right", {"arm": "notebook", "eps": 0}),
        ".2%", (Why("data set", "CIFAR-10 encoded as JPEG", ("data.name",)),),
    ),
)  # fmt: skip
UNMEASURED = (
    "The notebook's losses, and its accuracies after earlier epochs, are of one run; the paper's "
    "confidence on CIFAR-10 is not measured."
)
