"""What the study `seq2seq` measures: perplexities, translations and alignments."""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from research import fonts
from research.data.numerals import SCALES
from research.data.sequences import Bitext
from research.methods.comparison import beside, resolution
from research.methods.statistics import (
    claim_of,
    claim_one_more,
    claim_pairs,
    one_more,
    over_seeds,
    paired,
)
from research.methods.translation import (
    around,
    attention,
    bleu,
    greedy,
    mass_on,
    moved,
    peak_on,
    perplexity,
    translate,
)
from research.models import Translator
from research.records import Array, Cell, Number, Table
from research.records.measured import SHARE
from research.studies.seq2seq.networks import held_out
from research.studies.seq2seq.settings import (
    COPY_PERPLEXITY,
    IWSLT_PERPLEXITY,
    REACH,
    SHOWN,
    Config,
    copy_name,
    translation_name,
)
from research.tracking import Log
from research.training.cache import curve_of

# --- perplexity ----------------------------------------------------------------------------------


def log_perplexities(config: Config, log: Log) -> None:
    """Perplexity by epoch beside the post's, where the models have curves."""
    copying = _curves(copy_name, config, log)
    translating = _curves(translation_name, config, log)
    if copying is None or translating is None:
        return
    ours = [[over_seeds(list(epoch)) for epoch in curves.T] for curves in (copying, translating)]
    columns = zip_longest(ours[0], COPY_PERPLEXITY, ours[1], IWSLT_PERPLEXITY)
    names = ("copy", "copy_published", "translation", "translation_published")
    log.table("perplexity", Table.of([
        {"epoch": epoch, **dict(zip(names, row, strict=True))}
        for epoch, row in enumerate(columns, start=1)
    ]))  # fmt: skip
    log.arrays("perplexity", copy=copying, translation=translating)
    compare_published(copying, log)


def _curves(name: Callable[[int], str], config: Config, log: Log) -> Array | None:
    """Perplexities (seeds, epochs); None where a model was given and not trained."""
    curves = [curve_of(name(seed), log) for seed in config.seeds]
    found = [curve["perplexity_valid"] for curve in curves if curve is not None]
    return np.stack(found) if len(found) == len(curves) else None


def compare_published(curves: Array, log: Log) -> None:
    """The post's one run against what one more of our runs could come to, epoch by epoch."""
    expected = [one_more(list(epoch)) for epoch in curves.T[: len(COPY_PERPLEXITY)]]
    inside = below = 0
    for published, number in zip(COPY_PERPLEXITY, expected, strict=False):
        low, high = number.bounds or number.span or (number.value, number.value)
        inside += low <= published <= high
        below += high < published
    log.number("epochs_compared", len(expected))
    log.number("epochs_inside", inside)
    log.number("epochs_below", below)
    published = COPY_PERPLEXITY[len(expected) - 1]
    log.number("copy_expected", expected[-1])
    log.number("copy_published", published)
    last = list(curves.T[len(expected) - 1])
    log.claim("post_copies_better", claim_one_more(last, published, "greater"))
    seen = beside(last, published)
    log.number("copy_ratio", seen.ratio)
    if seen.resolvable:
        log.number("copy_resolvable", seen.resolvable)


def measure_copies(models: Sequence[Translator], config: Config, log: Log) -> None:
    pairs = held_out(config)
    steps = pairs.source.shape[1]
    copies = [greedy(model, pairs.source, steps, ends=None)[0] for model in models]
    shares = [float((copy == pairs.source).all(1).double().mean()) for copy in copies]
    log.number("copy_exact", over_seeds(shares, range=SHARE))
    log.number("copy_perplexity", over_seeds([perplexity(model, pairs) for model in models]))


# --- translation ---------------------------------------------------------------------------------


def measure_translations(
    models: Sequence[Translator], text: Bitext, config: Config, log: Log
) -> None:
    """Exact matches and BLEU of both ways of decoding, and the perplexity, on test sentences."""
    log.number("test_perplexity", over_seeds([perplexity(model, text.test) for model in models]))
    widths = {"greedy": 1, "beam": config.beam}
    scores = {way: [score(model, text, width) for model in models] for way, width in widths.items()}
    exacts = {way: [run[0] for run in runs] for way, runs in scores.items()}
    bleus = {way: [run[1] for run in runs] for way, runs in scores.items()}
    rows: list[dict[str, Cell]] = []
    for way in widths:
        log.number(f"exact_{way}", over_seeds(exacts[way], range=SHARE))
        log.number(f"bleu_{way}", over_seeds(bleus[way]))
        rows.append({
            "decoding": way, "exact": over_seeds(exacts[way], range=SHARE),
            "bleu": over_seeds(bleus[way]),
        })  # fmt: skip
    log.table("scores", Table.of(rows))
    for measure, found in {"exact": exacts, "bleu": bleus}.items():
        log.number(f"{measure}_gain", paired(found["greedy"], found["beam"]))
        better = claim_pairs(found["greedy"], found["beam"], "greater")
        log.claim(f"beam_better_{measure}", better)
        for name, number in resolution([*found.values()]).numbers(measure).items():
            log.number(name, number)
    mean = over_seeds(exacts["greedy"], range=SHARE)
    log.finding(
        f"Greedy decoding gives the reference for {mean.value:.1%} of {len(text.test)} sentences "
        f"({text.name}, mean over {len(models)} seeds)."
    )


def score(model: Translator, text: Bitext, width: int) -> tuple[float, float]:
    """The share of translations that are the reference, and BLEU."""
    found = translations(model, text, width)
    references = [" ".join(target) for _, target in text.sentences]
    right = [ours == theirs for ours, theirs in zip(found, references, strict=True)]
    return float(np.mean(right)), bleu(found, references)


def translations(model: Translator, text: Bitext, width: int) -> list[str]:
    """The test sentences' translations, no longer than the longest in training."""
    found = translate(model, text.test, width, steps=text.train.target.shape[1])
    return [" ".join(text.vocabularies[1].decode(numbers)) for numbers in found]


# --- attention -----------------------------------------------------------------------------------


def require_letters(text: Bitext) -> None:
    """Raises UserError where no font has a letter of the sentences that `show_attention` takes."""
    sentences = [text.sentences[index] for index in _shown(text)]
    letters = [word for pair in sentences for side in pair for word in side]
    fonts.require(["".join(letters)], "the sentences of the figure of attention")


def _shown(text: Bitext) -> list[int]:
    lengths = np.array([len(source) for source, _ in text.sentences])
    return [int(index) for index in np.argsort(abs(lengths - 8), kind="stable")[:SHOWN]]


def show_attention(model: Translator, text: Bitext, log: Log) -> None:
    """The attention of some test sentences of middling length, for the figure."""
    found = list(attention(model, text.test))
    for place, index in enumerate(_shown(text)):
        source, target = text.sentences[index]
        links = text.links[index] if text.links is not None else ()
        log.arrays(
            f"attention{place}",
            weights=found[index],
            source=np.array([*source, "end"]),
            target=np.array([*target, "end"]),
            links=np.array(links, int),
        )


def measure_alignment(
    models: Sequence[Translator], text: Bitext, links: Sequence[tuple[int, ...]], log: Log
) -> None:
    """How much of the attention is on the word that is translated, by the kind of word."""
    kinds = kinds_of(text, links)
    found = [list(attention(model, text.test)) for model in models]
    mass = np.stack([_each(mass_on, weights, links) for weights in found])
    peak = np.stack([_each(peak_on, weights, links) for weights in found])
    chance = np.repeat([1 / one.shape[1] for one in found[0]], [len(one) for one in links])
    shares: dict[str, dict[str, Number]] = {"peak": {}, "mass": {}}
    rows: list[dict[str, Cell]] = []
    for kind, chosen in kinds.items():
        for name, values in (("peak", peak), ("mass", mass)):
            shares[name][kind] = over_seeds(list(values[:, chosen].mean(1)), range=SHARE)
            log.number(f"{name}_{kind}", shares[name][kind])
        numbers = {name: one[kind] for name, one in shares.items()}
        rows.append({"words": kind, **numbers, "chance": float(chance[chosen].mean())})
    log.table("alignment", Table.of(rows))
    log.number("chance", float(chance.mean()))
    claim_kinds(shares["peak"], shares["mass"], float(chance.mean()), log)
    log.number("moved", float(kinds["moved"].mean()))
    near = [
        np.concatenate([around(one, link, REACH) for one, link in zip(weights, links, strict=True)])
        for weights in found
    ]
    next_to = [one[:, [REACH - 1, REACH + 1]].sum(1).mean() for one in near]
    log.number("mass_beside", over_seeds(next_to, range=SHARE))
    log.arrays("offsets", **{
        kind: np.stack([one[chosen].mean(0) for one in near])
        for kind, chosen in kinds.items() if kind != "all"
    })  # fmt: skip


def claim_kinds(
    peak: Mapping[str, Number], mass: Mapping[str, Number], chance: float, log: Log
) -> None:
    """Whether attention finds words at all, and of which kind more, in pairs of one seed."""
    log.claim("attention_beats_chance", claim_of(mass["all"], "greater", chance))
    log.claim("moved_found_more", claim_pairs(peak["scale"], peak["moved"], "greater"))
    log.claim("kept_above_moved", claim_pairs(mass["moved"], mass["kept"], "greater"))
    log.claim("scale_above_kept", claim_pairs(mass["kept"], mass["scale"], "greater"))


def kinds_of(text: Bitext, links: Sequence[tuple[int, ...]]) -> dict[str, Array]:
    """Which words of all test sentences in one row are of a kind: bool arrays.

    All; those that move; and of the others the scales and the rest.
    """
    swapped = np.concatenate([moved(one) for one in links])
    scale = np.concatenate([np.isin(target, SCALES) for _, target in text.sentences])
    return {
        "all": np.ones_like(swapped),
        "moved": swapped,
        "kept": ~swapped & ~scale,
        "scale": ~swapped & scale,
    }


def _each(
    score: Callable[[Array, Sequence[int]], Array],
    weights: Sequence[Array],
    links: Sequence[tuple[int, ...]],
) -> Array:
    """A score of every word of every sentence in one row."""
    return np.concatenate([score(a, b) for a, b in zip(weights, links, strict=True)])
