"""The study `seq2seq`, run small: what it logs is re-derived from the weights it stored."""

import numpy as np
import pytest
import sacrebleu
import torch
from safetensors.torch import load_file

from research.data.sequences import EOS, PAD, SOS, Bitext, Copying
from research.models import Translator
from research.records import Claim, Number, Results
from research.studies.seq2seq import measures, settings


def one_by_one(model: Translator, source: torch.Tensor, steps: int) -> list[int]:
    """Greedy decoding that reads the whole sentence anew for each word."""
    words: list[int] = []
    while len(words) < steps and EOS not in words:
        log_probs, _ = model(source[None], torch.tensor([[SOS, *words]]))
        last = log_probs[0, -1].detach()
        last[PAD] = -torch.inf
        words.append(int(last.argmax()))
    return words


def test_scores_are_those_of_the_stored_weights(
    record: Results, models: list[Translator], text: Bitext
) -> None:
    references = [" ".join(target) for _, target in text.sentences]
    steps = int((text.train.target != PAD).sum(1).max())
    exact, bleus, losses = [], [], []
    for model in models:
        outputs, total, count = [], 0.0, 0
        for source, target in zip(text.test.source, text.test.target, strict=True):
            source, target = source[source != PAD], target[target != PAD]
            words = one_by_one(model, source, steps)
            known = text.vocabularies[1].words
            outputs.append(" ".join(known[word] for word in words if word != EOS))
            log_probs, _ = model(source[None], target[None, :-1])
            total -= sum(log_probs[0, i, word].item() for i, word in enumerate(target[1:]))
            count += len(target) - 1
        exact.append(np.mean([a == b for a, b in zip(outputs, references, strict=True)]))
        bleus.append(sacrebleu.raw_corpus_bleu(outputs, [references]).score)
        losses.append(np.exp(total / count))
    numbers = record.numbers
    assert numbers["exact_greedy"].value == pytest.approx(np.mean(exact))
    assert numbers["bleu_greedy"].value == pytest.approx(np.mean(bleus))
    assert numbers["test_perplexity"].value == pytest.approx(np.mean(losses), rel=1e-5)
    gain = numbers["bleu_beam"].value - numbers["bleu_greedy"].value
    assert numbers["bleu_gain"].value == pytest.approx(gain)


def test_alignment_is_that_of_the_stored_weights(
    record: Results, models: list[Translator], text: Bitext
) -> None:
    assert text.links is not None
    mass: dict[str, list[float]] = {"all": [], "kept": [], "moved": [], "scale": []}
    peak, chance, beside = [], [], []
    for model in models:
        for pair, links in enumerate(text.links):
            source, target = text.test.source[pair], text.test.target[pair]
            source, target = source[source != PAD], target[target != PAD]
            _, weights = model(source[None], target[None, :-1])
            for place, link in enumerate(links):
                word = text.sentences[pair][1][place]
                kind = "scale" if word in ("hundred", "thousand") else "kept"
                kind = kind if sorted(links)[place] == link else "moved"
                for side in (link - 1, link + 1):
                    beside.append(weights[0, place, side].item() if side >= 0 else 0.0)
                mass[kind].append(weights[0, place, link].item())
                mass["all"].append(weights[0, place, link].item())
                peak.append(int(weights[0, place].argmax()) == link)
                chance.append(1 / len(source))
    numbers = record.numbers
    for kind, values in mass.items():
        assert numbers[f"mass_{kind}"].value == pytest.approx(np.mean(values), rel=1e-5)
    assert numbers["peak_all"].value == pytest.approx(np.mean(peak))
    assert numbers["chance"].value == pytest.approx(np.mean(chance))
    assert numbers["moved"].value == pytest.approx(len(mass["moved"]) / len(mass["all"]))
    assert numbers["mass_beside"].value == pytest.approx(2 * np.mean(beside), rel=1e-5)
    offsets = record.arrays("offsets")
    assert offsets["kept"][:, settings.REACH].mean() == pytest.approx(np.mean(mass["kept"]))


def test_copying_is_judged_on_the_same_sequences(record: Results) -> None:
    pairs = Copying(settings.COPY_HELD_OUT).draw(torch.Generator().manual_seed(0))
    ends = []
    for seed in (0, 1):
        model = Translator((11, 11), 32, 64, 0.1).eval()
        model.load_state_dict(load_file(record.folder / f"weights/copy-seed{seed}.safetensors"))
        log_probs, _ = model(pairs.source, pairs.target[:, :-1])
        right = log_probs.gather(2, pairs.source[..., None])
        ends.append((-right.mean()).exp().item())
    assert record.numbers["copy_perplexity"].value == pytest.approx(np.mean(ends), rel=1e-4)
    assert record.arrays("perplexity")["copy"][:, -1] == pytest.approx(ends, rel=1e-4)
    table = record.table("perplexity")
    assert table.column("copy_published") == settings.COPY_PERPLEXITY
    assert table.column("translation_published") == settings.IWSLT_PERPLEXITY
    ours = table.column("copy")
    assert isinstance(ours[0], Number) and ours[1:] == (None,) * 9


class Numbers:
    """A log that keeps numbers and claims."""

    def __init__(self) -> None:
        self.kept: dict[str, Number | float] = {}
        self.claims: dict[str, Claim] = {}

    def number(self, name: str, value: Number | float, unit: str = "") -> None:
        self.kept[name] = value

    def claim(self, name: str, claim: Claim) -> None:
        self.claims[name] = claim


def test_the_post_s_run_is_held_against_one_more_of_ours() -> None:
    log, published = Numbers(), np.array(settings.COPY_PERPLEXITY)
    curves = published + np.array([[-0.1], [0.0], [0.1]])
    curves[:, 3:5] -= 5
    curves[:, 6] += 5
    measures.compare_published(curves, log)  # type: ignore[arg-type]
    # t(0.975; 2) = 4.303 times sd 0.1 times the root of 1 + 1/3 is 0.5: less than 5
    assert (log.kept["epochs_inside"], log.kept["epochs_below"]) == (7, 2)
    last = log.kept["copy_expected"]
    assert isinstance(last, Number) and last.half_width == pytest.approx(0.49683, rel=1e-3)
    claim = log.claims["post_copies_better"]
    assert (claim.effect, claim.threshold, claim.direction) == (last, published[-1], "greater")
    assert claim.outcome == "undecided"
    for move, outcome in ((5, "holds"), (-5, "fails")):
        measures.compare_published(curves + move, log)  # type: ignore[arg-type]
        assert log.claims["post_copies_better"].outcome == outcome


def test_claims_are_tests_over_seeds_of_the_stored_numbers(record: Results) -> None:
    numbers, claims = record.numbers, record.claims
    pairs = {
        "beam_better_exact": ("exact_greedy", "exact_beam"),
        "beam_better_bleu": ("bleu_greedy", "bleu_beam"),
        "moved_found_more": ("peak_scale", "peak_moved"),
        "kept_above_moved": ("mass_moved", "mass_kept"),
        "scale_above_kept": ("mass_kept", "mass_scale"),
        "attention_beats_chance": ("chance", "mass_all"),
        "post_copies_better": ("copy_published", "copy_expected"),
    }
    assert set(claims) == set(pairs)
    for name, (before, after) in pairs.items():
        claim, values = claims[name], numbers[after].values
        paired = name not in ("attention_beats_chance", "post_copies_better")
        differences = np.subtract(values, numbers[before].values or numbers[before].value)
        effect = differences.mean() if paired else np.mean(values)
        assert claim.effect.value == pytest.approx(effect)
        assert claim.threshold == (0 if paired else numbers[before].value)
        assert (claim.direction, claim.n) == ("greater", 2)
        assert claim.effect.bounds is None or claim.effect.equal  # two seeds tell nothing
