"""The baseline of `mlp` beside the accuracy that the course prints."""

from collections.abc import Sequence
from dataclasses import replace

from research.data import Dataset
from research.methods.comparison import beside
from research.methods.statistics import one_more, over_seeds
from research.records.measured import FEWEST, PERCENT, SHARE
from research.studies.mlp.settings import COURSE_ACCURACY, COURSE_TRAINING, Config
from research.tracking import Log


def log_course(accuracies: Sequence[float], config: Config, data: Dataset, log: Log) -> None:
    """The baseline's accuracy on each seed, beside the course's if that was trained alike."""
    log.number("accuracy_least", min(accuracies) / 100)
    log.number("accuracy_greatest", max(accuracies) / 100)
    if len(accuracies) >= FEWEST:
        # where one more run would lie: its own spread comes on top of the mean's
        following = one_more([accuracy / 100 for accuracy in accuracies], range=SHARE)
        log.number("accuracy_next", replace(following, values=()))
    unlike = {key: getattr(config.train, key) != value for key, value in COURSE_TRAINING.items()}
    unlike["data"] = data.name != "mnist"
    for key, differs in unlike.items():
        log.number(f"unlike_course_{key}", int(differs))
    if not any(unlike.values()):
        log.number("course_gap", over_seeds([a - COURSE_ACCURACY for a in accuracies], "points"))
        told = beside(accuracies, COURSE_ACCURACY, range=PERCENT)
        log.number("course_ratio", told.ratio)
        if told.resolvable:
            log.number("course_resolvable", replace(told.resolvable, unit="points"))
