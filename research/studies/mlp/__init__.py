"""What do a learning rate, a third layer and missing ones do to a small network?

Source: course assignment 1 (hyper-parameters and data bias), lecture 4 (noise images)

The course's fully connected network is trained on several seeds and compared with the same network
at a larger learning rate, with a third hidden layer, and without most of the ones in the training
set. What an arm does to the embedding is judged against what a mere change of the order of the
images, or of the seed, does to it.
"""

from research.data import Dataset, load
from research.errors import UserError
from research.methods.classification import report
from research.models import Mlp, count_parameters
from research.studies.mlp.drawings import FIGURES
from research.studies.mlp.measures import (
    log_counts,
    measure_arms,
    measure_bias,
    measure_noise,
    measure_spaces,
)
from research.studies.mlp.networks import embed, train
from research.studies.mlp.settings import (
    ARMS,
    DIGITS,
    PRESETS,
    RARE,
    SHAPE,
    Config,
    children,
    recipes,
)
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check(config, data)
        log_counts(config, data, log)
    with log.part("training"):
        models: dict[str, list[Mlp]] = {}
        for recipe in recipes(config):
            models.setdefault(recipe.arm, []).append(train(recipe, data, config, log))
    with log.part("analysis"):
        labels = data.test.labels.cpu().numpy()
        seen = {arm: [embed(one, data.test) for one in group] for arm, group in models.items()}
        reports = {arm: [report(labels, one[1]) for one in group] for arm, group in seen.items()}
        for arm in ARMS:
            log.number(f"parameters_{arm}", count_parameters(models[arm][0]))
        measure_arms(reports, config, data, log)
        measure_spaces({arm: [one[0] for one in seen[arm]] for arm in ARMS}, log)
        measure_bias(reports, config, data, log)
        measure_noise(models["baseline"], config, data, log)


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    if data.shape != SHAPE or sorted(data.classes) != sorted(DIGITS):
        wanted, given = (" × ".join(map(str, shape)) for shape in (SHAPE, data.shape))
        raise UserError(
            f"the study mlp needs images of {wanted} of the ten classes 0 to 9, {data.name} has "
            f"{given} and {len(data.classes)} classes ({data.classes[0]}, …); choose --data.name "
            "mnist or mnist-sample"
        )
    ones = int((data.train.labels == data.class_index(RARE)).sum())
    if not 0 < config.ones_left < ones:
        raise UserError(
            f"--ones-left must be at least 1 and less than the {ones} training images of the "
            f"class {RARE}, got {config.ones_left}; change it"
        )
    wrong = [dose for dose in config.doses if not 0 <= dose < ones or dose == config.ones_left]
    if wrong or len(set(config.doses)) < len(config.doses):
        given = " ".join(map(str, config.doses))
        raise UserError(
            f"--doses must be different numbers from 0 to {ones - 1}, without --ones-left "
            f"({config.ones_left}), got {given}; change them"
        )
    least = {"dose-seeds": (config.dose_seeds, 1), "noise-images": (config.noise_images, 1)}
    for flag, (given_number, required) in least.items():
        if given_number < required:
            raise UserError(f"--{flag} must be at least {required}, got {given_number}")
    for flag, value in {"high-lr": config.high_lr, "noise-sd": config.noise_sd}.items():
        if not value > 0:
            raise UserError(f"--{flag} must be greater than 0, got {value:g}")
