"""What the sources of the study `mlp` print."""

from research.records.printed import Place, Printed, Why
from research.studies.mlp.settings import COURSE_ACCURACY

PRINTED = (
    Printed(
        "test accuracy of the baseline", COURSE_ACCURACY / 100, "arundasan91",
        "assignment 1, text", Place("accuracy_baseline"), ".2%",
        (Why("size", "fewer epochs than the course's", ("train.epochs",)),),
    ),
)  # fmt: skip
UNMEASURED = "The course's notebooks carry no output: no loss, report or matrix of theirs is known."
