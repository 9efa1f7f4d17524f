"""Losses, decoding and scores of networks that turn one sequence of words into another."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sacrebleu.metrics.bleu import BLEU
from torch import Tensor, nn

from research.data.sequences import EOS, PAD, SOS, Pairs
from research.models.inference import evaluation
from research.models.translators import Memory, Translator
from research.records import Array

# --- losses --------------------------------------------------------------------------------------


def nll(log_probs: Tensor, words: Tensor) -> Tensor:
    """Summed negative log-likelihood in nats of words (B, T), without those that are `PAD`.

    Arguments:
        log_probs: (B, T, words).

    Example:
        >>> log_probs = torch.full((1, 3, 5), 0.2).log()
        >>> nll(log_probs, torch.tensor([[4, EOS, PAD]]))  # 2 log 5
        tensor(3.2189)
    """
    right = log_probs.gather(2, words[..., None]).squeeze(2)
    return -right.masked_fill(words == PAD, 0).sum()


def objective(model: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Loss of the target's words given the true words before them, in nats per sentence.

    Arguments:
        target: (B, T), `SOS` first.

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> _ = nn.init.zeros_(model.generator.weight)  # every word is as likely
        >>> loss = objective(model, torch.tensor([[4, EOS]]), torch.tensor([[SOS, 5, EOS]]))
        >>> round(loss.item(), 4)  # 2 log 6
        3.5835
    """
    log_probs, _ = model(source, target[:, :-1])
    return nll(log_probs.float(), target[:, 1:]) / len(source)


def perplexity(model: nn.Module, pairs: Pairs, batch: int = 256) -> float:
    """exp of the mean negative log-likelihood of a word, `EOS` counted among the words.

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> _ = nn.init.zeros_(model.generator.weight)  # every word is as likely
        >>> pairs = Pairs(torch.tensor([[4, EOS]]), torch.tensor([[SOS, 5, EOS]]))
        >>> round(perplexity(model, pairs), 4)
        6.0
    """
    total, count = 0.0, 0
    with evaluation(model):
        for source, target in pairs.batches(batch):
            log_probs, _ = model(source, target[:, :-1])
            total += nll(log_probs.float(), target[:, 1:]).item()
            count += int((target[:, 1:] != PAD).sum())
    return math.exp(min(total / count, 700.0))  # a float ends at exp(709)


def attention(model: nn.Module, pairs: Pairs, batch: int = 256) -> Iterator[Array]:
    """Yields for each pair the attention (words of the target and `EOS`, words of the source and
    `EOS`), given the true words before each word.

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> pairs = Pairs(torch.tensor([[4, 5, EOS]]), torch.tensor([[SOS, 5, EOS]]))
        >>> [weights.shape for weights in attention(model, pairs)]
        [(2, 3)]
    """
    for source, target in pairs.batches(batch):
        with evaluation(model):  # not around what the caller does with each
            padded = model(source, target[:, :-1])[1].float().cpu().numpy()
        sizes = ((target[:, 1:] != PAD).sum(1).tolist(), (source != PAD).sum(1).tolist())
        for rows, columns, weights in zip(*sizes, padded, strict=True):
            yield weights[:rows, :columns]


# --- decoding ------------------------------------------------------------------------------------


def greedy(
    model: Translator, source: Tensor, steps: int, ends: int | None = EOS
) -> tuple[Tensor, Tensor]:
    """The most likely next word, again and again.

    Arguments:
        source: (B, S).
        steps: the most words of a translation, its end included.
        ends: the word that ends one; None where all have `steps` words.

    Returns:
        The words (B, at most `steps`), `PAD` after the end, and the log-probability of each
        sentence (B,).

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> words, log_probs = greedy(model, torch.tensor([[4, EOS], [5, EOS]]), steps=3, ends=None)
        >>> words.shape, log_probs.shape
        (torch.Size([2, 3]), torch.Size([2]))
    """
    return beam(model, source, 1, steps, ends)


def beam(
    model: Translator, source: Tensor, width: int, steps: int, ends: int | None = EOS
) -> tuple[Tensor, Tensor]:
    """The most likely sentence among those whose beginnings are among the `width` most likely.

    Log-probabilities are summed and not divided by lengths. Arguments and returns as `greedy`.

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> words, log_probs = beam(model, torch.tensor([[4, EOS]]), width=2, steps=3, ends=None)
        >>> words.shape, bool(log_probs <= 0)
        (torch.Size([1, 3]), True)
    """
    count = len(source)
    with evaluation(model):
        memory, state = model.encode(source)
        memory = Memory(*(part.repeat_interleave(width, 0) for part in memory))
        state = state.repeat_interleave(width, 0)
        # all beams of a sentence are equal at first, so only one may go on
        scores = torch.full((count, width), -torch.inf, device=source.device)
        scores[:, 0] = 0
        words = torch.full((count * width, 1), SOS, device=source.device)
        done = torch.zeros(count * width, dtype=torch.bool, device=source.device)
        for _ in range(steps):
            read, state, _ = model.step(memory, state, model.target(words[:, -1]))
            following = _following(model.log_probs(read).float(), done)
            scores, rows, chosen = _best(scores, following, width)
            words = torch.cat([words[rows], chosen[:, None]], 1)
            state = state[rows]
            done = done[rows] | (chosen == ends if ends is not None else False)
            if done.all():
                break
    return words.view(count, width, -1)[:, 0, 1:], scores[:, 0]


def _following(log_probs: Tensor, done: Tensor) -> Tensor:
    """Of each next word: `PAD` never within a sentence, and nothing else after its end."""
    log_probs = log_probs.clone()
    log_probs[:, PAD] = -torch.inf
    log_probs[done] = -torch.inf
    log_probs[done, PAD] = 0
    return log_probs


def _best(scores: Tensor, following: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `width` best continuations of each sentence: scores (B, width), rows and words."""
    count, words = len(scores), following.shape[1]
    totals = (scores.view(-1, 1) + following).view(count, width * words)
    best, index = totals.topk(width, 1)
    first = torch.arange(count, device=scores.device)[:, None] * width
    return best, (first + index // words).flatten(), (index % words).flatten()


def translate(
    model: Translator, pairs: Pairs, width: int, steps: int, batch: int = 128
) -> list[list[int]]:
    """The words of each source sentence's translation, `PAD` after their end.

    Example:
        >>> model = Translator((6, 6), embedding=4, hidden=4, dropout=0.0)
        >>> pairs = Pairs(torch.tensor([[4, EOS]] * 2), torch.tensor([[SOS, EOS]] * 2))
        >>> len(translate(model, pairs, width=2, steps=3))
        2
    """
    translations: list[list[int]] = []
    for source, _ in pairs.batches(batch):
        translations += beam(model, source, width, steps)[0].tolist()
    return translations


# --- scores --------------------------------------------------------------------------------------


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of a corpus in [0, 100], of words between spaces, by sacrebleu.

    An n-gram order without any match counts as 0.1 matches, as in the encoder-decoder post's call.

    References:
        A Call for Clarity in Reporting BLEU Scores (Post, 2018).

    Example:
        >>> round(bleu(["the cat sat down"], ["the cat sat down"]), 6)
        100.0
    """
    metric = BLEU(tokenize="none", smooth_method="floor", force=True, effective_order=True)
    return float(metric.corpus_score(translations, [references]).score)


def mass_on(weights: Array, links: Sequence[int]) -> Array:
    """The attention that each word of the target gives to its source word. (words,)

    Arguments:
        weights: (at least as many rows as words, source words).
        links: place of the source word of each word.

    Example:
        >>> mass_on(np.array([[0.75, 0.25], [0.5, 0.5]]), [1, 0]).tolist()
        [0.25, 0.5]
    """
    return np.asarray(weights[np.arange(len(links)), list(links)])


def peak_on(weights: Array, links: Sequence[int]) -> Array:
    """Whether the largest attention is on the source word, (words,); of k equal ones, 1 / k.

    Example:
        >>> peak_on(np.array([[0.75, 0.25], [0.5, 0.5]]), [0, 0]).tolist()
        [1.0, 0.5]
    """
    rows = weights[: len(links)]
    largest = rows == rows.max(1, keepdims=True)
    return np.asarray(mass_on(largest, links) / largest.sum(1))


def moved(links: Sequence[int]) -> Array:
    """Whether each word's rank in the target differs from its source word's rank, bool (words,).

    Example:
        >>> moved([1, 0, 2]).tolist()
        [True, True, False]
    """
    ranks = np.argsort(np.argsort(links))
    return np.asarray(ranks != np.arange(len(links)))


def around(weights: Array, links: Sequence[int], reach: int) -> Array:
    """The attention that each word gives to the places from `reach` before its source word to
    `reach` after it; 0 outside the sentence. (words, 2 · reach + 1)

    Example:
        >>> around(np.array([[0.75, 0.25], [0.5, 0.5]]), [0, 1], reach=1).tolist()
        [[0.0, 0.75, 0.25], [0.5, 0.5, 0.0]]
    """
    wide = np.pad(weights[: len(links)], ((0, 0), (reach, reach)))
    columns = np.array(links)[:, None] + np.arange(2 * reach + 1)
    return np.asarray(np.take_along_axis(wide, columns, 1))
