"""What the sources of the study `fgsm` print."""

from collections.abc import Iterator

from research.records.printed import Place, Printed, Why
from research.studies.fgsm.goodfellow import PRINTED as PAPER
from research.studies.fgsm.settings import EPS, TUTORIAL
from research.studies.fgsm.settings import PRINTED as ACCURACIES

SOURCES = {"lenet": "fgsm2018", "cnn": "fgsm2023"}
ROWS = {
    "logistic clean": "logistic regression on 3 and 7, not attacked",
    "logistic": "logistic regression on 3 and 7",
    "softmax": "softmax regression",
    "maxout clean": "maxout, not attacked",
    "maxout": "maxout",
    "adversarial clean": "maxout trained on attacks, not attacked",
    "adversarial": "maxout trained on attacks",
    "maxout on adversarial": "maxout trained on attacks, by the noise of the plain one",
    "adversarial on maxout": "plain maxout, by the noise of the one trained on attacks",
    "signs": "maxout trained on random signs",
    "uniform": "maxout trained on uniform noise",
    "same wrong class": "softmax regression errs as maxout, of maxout's errors",
    "same class, both wrong": "softmax regression errs as maxout, where both err",
    "rubbish maxout": "Gaussian noise taken for a digit, maxout",
    "rubbish softmax": "Gaussian noise taken for a digit, softmax regression",
}
"""row of the paper -> what it is of; attacked where nothing else is said"""
SMALLER = Why(
    "size",
    "fewer steps of training, or fewer digits",
    ("data.name", "train.epochs", "lenet_epochs", "paper_epochs"),
)
STABLE = Why(
    "definition",
    "ours follows the sign of a loss that does not round to zero, so more examples fool; the "
    "tutorial's cross-entropy in float32 loses signs",
)
UNSTATED = Why("definition", "the paper leaves optimiser and epochs of its networks unsaid")


def _tutorial() -> Iterator[Printed]:
    for arm in TUTORIAL:
        for eps, value in zip(EPS, ACCURACIES[arm], strict=True):
            place = Place("curves", f"{arm}_clipped", {"eps": eps})
            why = (SMALLER, STABLE) if eps else (SMALLER,)
            what = f"accuracy of {'LeNet' if arm == 'lenet' else 'the newer CNN'} at ε = {eps:g}"
            yield Printed(what, value, SOURCES[arm], "output", place, ".2%", why)


def _paper() -> Iterator[Printed]:
    for row, pair in PAPER.items():
        for side, value in zip(("error", "confidence"), pair, strict=True):
            if value is not None:
                place = Place("paper", side, {"row": row})
                why = (SMALLER, UNSTATED)
                what = f"{ROWS[row]}: {'share' if 'same' in row else side}"
                yield Printed(what, value, "goodfellow2015", "sections 3 to 9", place, ".1%", why)


PRINTED = (*_tutorial(), *_paper())
UNMEASURED = (
    "Not measured here: GoogLeNet on ImageNet, RBF networks, the MP-DBM, the ensemble of twelve "
    "maxout networks, the wide maxout network, and the row of the sigmoid top in the rubbish "
    "class, all of Goodfellow et al."
)
