"""Losses, attention, decoding and scores, against equations written out and exhaustive search."""

import itertools
import math

import numpy as np
import pytest
import sacrebleu
import torch
from torch import Tensor
from torch.nn import functional as F

from research.config import Train
from research.data.sequences import EOS, PAD, SOS, Copying, Pairs, padded
from research.methods import translation
from research.models import Translator
from research.training.loop import Training, fit


@pytest.fixture
def model() -> Translator:
    torch.manual_seed(0)
    return Translator((9, 7), 4, 5, 0.0).double().eval()


SOURCE = padded([[4, 5, 8, EOS], [6, EOS], [7, 4, EOS]])
TARGET = padded([[SOS, 4, EOS], [SOS, 5, 6, 4, EOS], [SOS, 6, 6, EOS]])


def gru(x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """One step of a gated recurrent unit on vectors."""
    wr, wz, wn = (w @ x + b).chunk(3)
    ur, uz, un = (u @ h + c).chunk(3)
    z = torch.sigmoid(wz + uz)
    return (1 - z) * torch.tanh(wn + torch.sigmoid(wr + ur) * un) + z * h


def sentence_by_hand(model: Translator, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the words behind `SOS`, and the attention, of one unpadded sentence."""
    p = dict(model.named_parameters())
    vectors, size = p["source.weight"][source], p["bridge.bias"].numel()
    both, kinds = [], ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for end, order in (("", range(len(source))), ("_reverse", reversed(range(len(source))))):
        parts = [
            p[f"encoder.{k}_l0{end}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        h, states = torch.zeros(size, dtype=vectors.dtype), {}
        for place in order:
            h = states[place] = gru(vectors[place], h, *parts)
        both.append((h, torch.stack([states[i] for i in range(len(source))])))
    (last, forward), (first, backward) = both
    values = torch.cat([forward, backward], 1)
    s = torch.tanh(p["bridge.weight"] @ torch.cat([last, first]) + p["bridge.bias"])
    logs, attention = [], []
    parts = [p[f"decoder.{kind}"] for kind in kinds]
    for former, word in itertools.pairwise(target.tolist()):
        query = p["attention.query.weight"] @ s
        energies = [
            p["attention.energy.weight"][0] @ torch.tanh(query + p["attention.key.weight"] @ v)
            for v in values
        ]
        weights = torch.stack(energies).exp() / torch.stack(energies).exp().sum()
        y, context = p["target.weight"][former], weights @ values
        s = gru(torch.cat([y, context]), s, *parts)
        scores = p["generator.weight"] @ (p["output.weight"] @ torch.cat([y, s, context]))
        logs.append(scores[word] - scores.exp().sum().log())
        attention.append(weights)
    return torch.stack(logs), torch.stack(attention)


def test_loss_and_attention_are_those_of_the_equations(model: Translator) -> None:
    _, attention = model(SOURCE, TARGET[:, :-1])
    total = torch.zeros((), dtype=torch.float64)
    for row, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
        logs, weights = sentence_by_hand(model, source[source != PAD], target[target != PAD])
        total -= logs.sum()
        assert torch.allclose(attention[row, : len(logs), : weights.shape[1]], weights)
    loss = translation.objective(model, SOURCE, TARGET).item()
    assert loss == pytest.approx(total.item() / 3, rel=1e-6)
    words = int((TARGET[:, 1:] != PAD).sum())
    found = translation.perplexity(model, Pairs(SOURCE, TARGET), batch=2)
    assert found == pytest.approx(math.exp(total.item() / words), rel=1e-6)


def test_attention_sums_to_one_and_padding_has_none(model: Translator) -> None:
    _, weights = model(SOURCE, TARGET[:, :-1])
    assert torch.allclose(weights.sum(2), torch.ones(3, 4, dtype=torch.float64))
    blank = (SOURCE == PAD)[:, None].expand_as(weights)
    assert (weights[blank] == 0).all() and (weights[~blank] > 0).all()


def test_padding_changes_neither_loss_nor_translation(model: Translator) -> None:
    wide = F.pad(SOURCE, (0, 3)), F.pad(TARGET, (0, 2))
    losses = [translation.objective(model, *one).item() for one in ((SOURCE, TARGET), wide)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-7)
    assert torch.equal(
        translation.greedy(model, wide[0], 6)[0], translation.greedy(model, SOURCE, 6)[0]
    )


def test_masked_loss_against_a_slow_one() -> None:
    torch.manual_seed(1)
    log_probs = torch.randn(3, 4, 7).log_softmax(2)
    words = TARGET[:, 1:]
    slow = 0.0
    for i, j in itertools.product(range(3), range(4)):
        if words[i, j] != PAD:
            slow -= log_probs[i, j, words[i, j]].item()
    assert translation.nll(log_probs, words).item() == pytest.approx(slow, rel=1e-5)


def test_a_uniform_model_s_perplexity_is_the_size_of_its_vocabulary(model: Translator) -> None:
    torch.nn.init.zeros_(model.generator.weight)
    assert translation.perplexity(model, Pairs(SOURCE, TARGET)) == pytest.approx(7)


@pytest.mark.parametrize("width", [1, 3])
def test_batch_and_single_decoding_agree(model: Translator, width: int) -> None:
    words, scores = translation.beam(model, SOURCE, width, 6)
    for row, source in enumerate(SOURCE):
        alone, score = translation.beam(model, source[source != PAD][None], width, 6)
        longest = alone.shape[1]
        assert torch.equal(alone[0], words[row, :longest]) and (words[row, longest:] == PAD).all()
        assert score.item() == pytest.approx(scores[row].item(), rel=1e-5)


def log_prob(model: Translator, source: Tensor, sentence: list[int]) -> float:
    with torch.no_grad():
        logs, _ = sentence_by_hand(model, source, torch.tensor([SOS, *sentence]))
    return float(logs.sum())


def test_a_beam_of_one_takes_the_most_likely_next_word(model: Translator) -> None:
    for row, source in enumerate(SOURCE):
        source = source[source != PAD]
        sentence: list[int] = []
        while len(sentence) < 6 and EOS not in sentence:
            options = [[*sentence, word] for word in range(1, 7)]
            sentence = max(options, key=lambda option: log_prob(model, source, option))
        words, scores = translation.greedy(model, SOURCE, 6)
        assert words[row][words[row] != PAD].tolist() == sentence
        assert scores[row].item() == pytest.approx(log_prob(model, source, sentence), rel=1e-5)


def test_a_wide_beam_finds_what_exhaustive_search_finds() -> None:
    torch.manual_seed(3)
    model = Translator((9, 5), 4, 5, 0.0).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # so that the likeliest sentence does not begin with the likeliest word
    differs = 0
    for source in (torch.tensor([word, EOS]) for word in range(4, 9)):
        ended = [
            [*words, EOS]
            for length in range(3)
            for words in itertools.product((SOS, 3, 4), repeat=length)
        ]
        whole = [
            [*words, last]
            for words in itertools.product((SOS, 3, 4), repeat=2)
            for last in (SOS, 3, 4)
        ]
        scores = {tuple(s): log_prob(model, source, s) for s in [*ended, *whole]}
        best = max(scores, key=lambda sentence: scores[sentence])
        words, score = translation.beam(model, source[None], 64, 3)
        assert tuple(words[0][words[0] != PAD].tolist()) == best
        assert score.item() == pytest.approx(scores[best], rel=1e-5)
        first = translation.greedy(model, source[None], 3)[0][0]
        differs += tuple(first[first != PAD].tolist()) != best
    assert differs  # else greedy would have passed as well


def test_padding_is_no_word_of_a_translation(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    likely = torch.tensor([0.9, 0.01, 0.02, 0.03, 0.02, 0.01, 0.01]).log()
    monkeypatch.setattr(model, "log_probs", lambda read: likely.expand(len(read), 7))
    words, _ = translation.greedy(model, SOURCE, 4)
    assert words.tolist() == [[3] * 4] * 3


def test_an_ended_sentence_stays_ended_where_it_changes_places(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the sentence that ends at once is third at first, then second, and the best in the end
    shares = iter([
        [0, 0, 0.2, 0.5, 0.3, 0, 0],
        [0, 0, 0.1, 0.6, 0.3, 0, 0],
        [0, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6],
    ])  # fmt: skip
    monkeypatch.setattr(
        model, "log_probs", lambda read: torch.tensor(next(shares)).log().expand(len(read), 7)
    )
    words, scores = translation.beam(model, SOURCE[:1], 3, 3)
    assert words.tolist() == [[EOS, PAD, PAD]]
    assert scores.exp().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("ends", [EOS, None])
def test_a_beam_s_score_is_the_log_probability_of_its_words(
    model: Translator, ends: int | None
) -> None:
    words, scores = translation.beam(model, SOURCE, 3, 6, ends)
    for row, source in enumerate(SOURCE):
        sentence = words[row][words[row] != PAD].tolist()
        expected = log_prob(model, source[source != PAD], sentence)
        assert scores[row].item() == pytest.approx(expected, rel=1e-5)


def test_without_an_end_all_sentences_have_the_steps_length(model: Translator) -> None:
    words, _ = translation.greedy(model, SOURCE, 5, ends=None)
    assert words.shape == (3, 5) and (words != PAD).all()


def test_attention_of_pairs_is_cut_to_each_sentence(model: Translator) -> None:
    found = list(translation.attention(model, Pairs(SOURCE, TARGET), batch=2))
    assert [one.shape for one in found] == [(2, 4), (4, 2), (3, 3)]
    assert all(np.allclose(one.sum(1), 1) for one in found)


def test_whoever_looks_at_attention_is_in_no_mode_of_the_network_s(model: Translator) -> None:
    pairs = Pairs(torch.tensor([[5, EOS], [6, EOS]]), torch.tensor([[SOS, 4, EOS]] * 2))
    model.train()
    both = (translation.attention(model, pairs, 1) for _ in range(2))
    for _ in zip(*both, strict=True):
        assert model.training and not torch.is_inference_mode_enabled()


def test_bleu_is_sacrebleu_s() -> None:
    ours = ["the cat sat on the mat .", "a dog", "no match here"]
    theirs = ["the cat sat on a mat .", "a dog barks", "something else"]
    expected = sacrebleu.raw_corpus_bleu(ours, [theirs]).score
    assert translation.bleu(ours, theirs) == pytest.approx(expected)
    assert 0 < expected < 100
    apart = ["a b c d e"], ["a x c y e"]  # without a common pair of words, smoothing decides
    expected = sacrebleu.raw_corpus_bleu(apart[0], [apart[1]]).score
    assert translation.bleu(*apart) == pytest.approx(expected)
    assert translation.bleu(theirs, theirs) == pytest.approx(100)


LINKS = (1, 4, 2, 0)


def test_planted_attention_scores_one_and_uniform_attention_chance() -> None:
    planted = np.eye(6)[[*LINKS, 5]]
    uniform = np.full((5, 6), 1 / 6)
    for score in (translation.mass_on, translation.peak_on):
        assert np.array_equal(score(planted, LINKS), np.ones(4))
        assert np.allclose(score(uniform, LINKS), 1 / 6)
        assert np.array_equal(score(planted[:, ::-1], LINKS), [0, 0, 0, 0])


def test_attention_around_the_right_word_is_read_place_by_place() -> None:
    weights = np.random.default_rng(0).random((5, 6))
    found = translation.around(weights, LINKS, 2)
    for row, link in enumerate(LINKS):
        for column, place in enumerate(range(link - 2, link + 3)):
            assert found[row, column] == (weights[row, place] if 0 <= place < 6 else 0)


def test_words_that_move_are_those_with_another_rank() -> None:
    assert translation.moved((0, 1, 4, 2, 5)).tolist() == [False, False, True, True, False]
    assert not translation.moved((0, 2, 3, 7)).any()


def test_the_copy_task_is_learnt() -> None:
    torch.manual_seed(0)
    task = Copying(count=320, length=2, symbols=3)
    model = Translator((4, 4), 16, 32, 0.0)
    pairs = task.draw(torch.Generator().manual_seed(9))
    before = translation.perplexity(model, pairs)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    settings = Train(epochs=4, batch=32, device="cpu", precision="float32")
    epochs = list(fit(Training(model, task, translation.objective, optimiser, settings, seed=0)))
    assert before > 2.5 and epochs[-1].loss < epochs[0].loss / 4
    assert translation.perplexity(model, pairs) < 1.2
    copies, _ = translation.greedy(model, pairs.source, 2, ends=None)
    assert (copies == pairs.source).double().mean() > 0.95
