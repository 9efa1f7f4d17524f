"""Sentences as tensors of word numbers: vocabularies, pairs of sentences, and the copy task."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

PAD, SOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
"""What stands in a sentence without being a word of it, in the order of the numbers above."""

Words = Sequence[str]

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Vocabulary:
    """Words by their numbers, `SPECIALS` first.

    Example:
        >>> vocabulary = Vocabulary.of([["the", "cat"], ["the", "dog"]])
        >>> vocabulary.words
        ('<pad>', '<s>', '</s>', '<unk>', 'the', 'cat', 'dog')
        >>> vocabulary.encode(["the", "bird"])
        [4, 3]
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, sentences: Iterable[Words], least: int = 1) -> "Vocabulary":
        """The words that occur at least this often: frequent ones first, ties by their letters."""
        counts = Counter(word for sentence in sentences for word in sentence)
        frequent = [word for word, count in counts.items() if count >= least]
        order = sorted(frequent, key=lambda word: (-counts[word], word))
        return cls((*SPECIALS, *order))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Of the words alone: a sentence that spells `</s>` does not end there."""
        return {word: number for number, word in enumerate(self.words) if number > UNK}

    def encode(self, sentence: Words) -> list[int]:
        """Word numbers; `UNK` for what is not in the vocabulary."""
        return [self.numbers.get(word, UNK) for word in sentence]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The words before the first `EOS` or `PAD`."""
        words = []
        for number in numbers:
            if number in (EOS, PAD):
                break
            words.append(self.words[number])
        return words


@dataclass(frozen=True)
class Pairs:
    """Sentences and what they are to become, each padded with `PAD` to the longest.

    Attributes:
        source: int64, (N, S): words, `EOS`.
        target: int64, (N, T): `SOS`, words, `EOS`.
    """

    source: Tensor
    target: Tensor

    @classmethod
    def of(
        cls, pairs: Sequence[tuple[Words, Words]], source: Vocabulary, target: Vocabulary
    ) -> "Pairs":
        return cls(
            padded([[*source.encode(a), EOS] for a, _ in pairs]),
            padded([[SOS, *target.encode(b), EOS] for _, b in pairs]),
        )

    def __len__(self) -> int:
        return len(self.source)

    @property
    def device(self) -> torch.device:
        return self.source.device

    def to(self, device: torch.device | str) -> "Pairs":
        return Pairs(self.source.to(device), self.target.to(device))

    def batches(
        self, size: int, generator: Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields each pair once, cut to the batch's longest; shuffled where a generator is given.

        As with images, the order is drawn on the CPU, whatever the device.
        """
        count = len(self)
        order = torch.randperm(count, generator=generator) if generator else torch.arange(count)
        for index in order.to(self.device).split(size):  # type: ignore[no-untyped-call]
            yield cut(self.source[index]), cut(self.target[index])


@dataclass(frozen=True)
class Copying:
    """The copy task: random symbols that are to be repeated, drawn anew for each epoch.

    Symbols are 1 to `symbols`, each as likely as another; 1 also begins a target. There is no
    `EOS`, for all sequences have one length.

    References:
        The Annotated Encoder-Decoder with Attention, section A First Example (Bastings, 2018).

    Example:
        >>> pairs = Copying(count=2, length=3).draw(Generator().manual_seed(0))
        >>> pairs.source.shape, torch.equal(pairs.target[:, 1:], pairs.source)
        (torch.Size([2, 3]), True)
    """

    count: int = 3200
    """Sequences an epoch."""
    length: int = 9
    symbols: int = 10
    device: torch.device = CPU

    def __len__(self) -> int:
        return self.count

    def draw(self, generator: Generator) -> Pairs:
        shape = (self.count, self.length)
        source = torch.randint(1, self.symbols + 1, shape, generator=generator)
        target = torch.cat([torch.full((self.count, 1), SOS), source], 1)
        return Pairs(source, target).to(self.device)

    def batches(self, size: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return self.draw(generator).batches(size)


@dataclass(frozen=True)
class Bitext:
    """Sentences in two languages, held in memory.

    Attributes:
        name, origin, licence: as a table would print them.
        vocabularies: of the training sentences, source and target.
        train, valid, test: the pairs as numbers.
        sentences: the test pairs as words, in their order.
        links: for each test pair the place in the source of each word of the target; None where
            nobody knows.
        sha256: hex digest of all words, see `digest`.
    """

    name: str
    origin: str
    licence: str
    vocabularies: tuple[Vocabulary, Vocabulary]
    train: Pairs
    valid: Pairs
    test: Pairs
    sentences: tuple[tuple[Words, Words], ...]
    links: tuple[tuple[int, ...], ...] | None
    sha256: str

    def to(self, device: torch.device | str) -> "Bitext":
        train, valid, test = (one.to(device) for one in (self.train, self.valid, self.test))
        return replace(self, train=train, valid=valid, test=test)

    def facts(self) -> dict[str, Any]:
        """What a tracker should know: everything but the sentences; splits are counts."""
        return {
            "name": self.name,
            "source": self.origin,
            "licence": self.licence,
            "sha256": self.sha256,
            "train": len(self.train),
            "valid": len(self.valid),
            "test": len(self.test),
            "source_words": len(self.vocabularies[0]) - len(SPECIALS),
            "target_words": len(self.vocabularies[1]) - len(SPECIALS),
        }


def padded(sentences: Sequence[Sequence[int]]) -> Tensor:
    """Rows of numbers as one tensor, `PAD` after the short ones. (N, longest)

    Example:
        >>> padded([[4, 5, 2], [6, 2]]).tolist()
        [[4, 5, 2], [6, 2, 0]]
    """
    longest = max(map(len, sentences))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in sentences])


def cut(sentences: Tensor) -> Tensor:
    """Without the last columns that hold only `PAD`.

    Example:
        >>> cut(torch.tensor([[4, 2, 0, 0], [2, 0, 0, 0]])).tolist()
        [[4, 2], [2, 0]]
    """
    return sentences[:, : int((sentences != PAD).sum(1).max())]


def digest(splits: Iterable[Sequence[tuple[Words, Words]]]) -> str:
    """sha256 of the words of all pairs, split by split, one line of JSON a split."""
    hashed = hashlib.sha256()
    for split in splits:
        text = json.dumps([[list(a), list(b)] for a, b in split], ensure_ascii=False)
        hashed.update(f"{text}\n".encode())
    return hashed.hexdigest()
