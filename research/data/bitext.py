"""Pairs of sentences to learn translation from: two text files, or generated numerals."""

import random
import sys
from collections.abc import Sequence
from pathlib import Path

from research.config import Text
from research.data.numerals import LEAST, MOST, numerals
from research.data.sequences import Bitext, Pairs, Vocabulary, Words, digest
from research.data.tokens import tokeniser, words
from research.errors import UserError
from research.text import lines, read

__all__ = ["MOST_UNKNOWN", "corpus", "fits", "generated", "load", "words"]

Pair = tuple[Words, Words]

MOST_UNKNOWN = 0.5
"""Share of <unk> among the words of a side up to which a run makes sense: beyond it <unk> is the
right answer more often than not, and perplexity and BLEU only measure how often it is guessed."""


def load(config: Text) -> Bitext:
    """Reads or generates sentences, and splits them.

    Raises:
        UserError: sizes that cannot be, one file without the other, a file that is missing, empty
            or not Unicode text, files of different numbers of lines, too few sentences, or a
            side of which most words are not in its vocabulary.
    """
    _check(config)
    if config.source is None and config.target is None:
        return generated(config)
    if config.source is None or config.target is None:
        given, missing = ("target", "source") if config.source is None else ("source", "target")
        raise UserError(
            f"a corpus is two files, got only --data.{given}; give --data.{missing} too, or "
            "neither for generated numerals"
        )
    return corpus(config, config.source, config.target)


def _check(config: Text) -> None:
    least = {"size": 1, "valid": 1, "test": 1, "max_length": 1, "min_count": 1}
    for name, required in least.items():
        if getattr(config, name) < required:
            flag = f"--data.{name.replace('_', '-')}"
            given = getattr(config, name)
            raise UserError(f"{flag} must be at least {required}, got {given}")


def generated(config: Text) -> Bitext:
    """Numerals of which none is in two splits, and their alignment."""
    count = config.size + config.valid + config.test
    if count > MOST - LEAST + 1:
        raise UserError(
            f"there are {MOST - LEAST + 1} numerals, --data.size, --data.valid and --data.test "
            f"ask for {count}; lower them"
        )
    made = numerals(count)
    return _split(
        [(one.german, one.english) for one in made],
        config,
        [one.links for one in made],
        name="numerals",
        origin="numbers written out in German and English, generated",
        licence="none",
    )


def corpus(config: Text, source: Path, target: Path) -> Bitext:
    """The sentences of two files, in lower case; pairs that occur twice count once."""
    sides = [_lines(path) for path in (source, target)]
    counts = [len(side) for side in sides]
    if counts[0] != counts[1]:
        raise UserError(
            f"the two files must have a translation on each line, {source} has {counts[0]} lines "
            f"and {target} {counts[1]}; give files that belong together"
        )
    split = tokeniser(config.tokenise)
    both = dict.fromkeys((split(a), split(b)) for a, b in zip(*sides, strict=True))
    kept = [pair for pair in both if fits(pair, config.max_length)]
    if len(kept) < len(both):
        print(
            f"{len(both) - len(kept):,} of {len(both):,} different pairs have a side that is empty "
            f"or longer than {config.max_length} words, and are left out",
            file=sys.stderr,
        )
    held = config.valid + config.test
    if len(kept) <= held:
        raise UserError(
            f"{source.name} and {target.name} have {len(kept)} different pairs of at most "
            f"{config.max_length} words, --data.valid and --data.test hold out {held}; lower them, "
            "raise --data.max-length or give more text"
        )
    random.Random(0).shuffle(kept)
    made = _split(
        kept,
        config,
        name=config.title,
        origin="two text files of the reader's",
        licence="the reader's",
    )
    for side, path in enumerate((source, target)):
        for use, pairs in {"training": kept[held:], "testing": kept[: config.test]}.items():
            spelt = [word for pair in pairs for word in pair[side] if _spelt(word)]
            _check_known(spelt, use, made.vocabularies[side], path, config)
    return made


def _spelt(word: str) -> bool:
    """Whether it has a letter or digit; full stops are known in any corpus."""
    return any(letter.isalnum() for letter in word)


def _check_known(
    words: Sequence[str], use: str, known: Vocabulary, path: Path, config: Text
) -> None:
    """Raises UserError where most words of a side are `<unk>`."""
    unknown = sum(word not in known.numbers for word in words)
    if unknown > MOST_UNKNOWN * len(words):
        raise UserError(
            f"at most {MOST_UNKNOWN:.0%} of the words may be unknown (<unk>), got "
            f"{unknown / len(words):.0%} of those of {path.name} for {use}: they occur fewer "
            f"than {config.min_count} times in training; give --data.tokenise char, or zh, for "
            "a script without spaces, else a larger vocabulary by a lower --data.min-count or "
            "more text"
        )


def fits(pair: Pair, longest: int) -> bool:
    return all(0 < len(side) <= longest for side in pair)


def _lines(path: Path) -> list[str]:
    try:
        text = read(path.expanduser())
    except OSError as error:
        raise UserError(
            f"a side of the corpus must be a text file, {path} cannot be read ({error.strerror}); "
            "give --data.source and --data.target"
        ) from None
    if not text.strip():
        raise UserError(f"a side of the corpus must hold sentences, {path} is empty; give another")
    return lines(text)


def _split(
    pairs: Sequence[Pair],
    config: Text,
    links: Sequence[tuple[int, ...]] | None = None,
    *,
    name: str,
    origin: str,
    licence: str,
) -> Bitext:
    """The first pairs are for testing, the next for validation, the others for training."""
    ends = (config.test, config.test + config.valid)
    test, valid, train = pairs[: ends[0]], pairs[ends[0] : ends[1]], pairs[ends[1] :]
    source, target = (Vocabulary.of((p[i] for p in train), config.min_count) for i in (0, 1))
    return Bitext(
        name=name,
        origin=origin,
        licence=licence,
        vocabularies=(source, target),
        train=Pairs.of(train, source, target),
        valid=Pairs.of(valid, source, target),
        test=Pairs.of(test, source, target),
        sentences=tuple(test),
        links=tuple(links[: len(test)]) if links is not None else None,
        sha256=digest((train, valid, test)),
    )
