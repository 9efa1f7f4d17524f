"""Pairs of sentences to learn translation from: two text files, or generated numerals."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

from research.config import Text
from research.data.numerals import LEAST, MOST, numerals
from research.data.sequences import Bitext, Pairs, Vocabulary, Words, digest
from research.errors import UserError

Pair = tuple[Words, Words]


def load(config: Text) -> Bitext:
    """Reads or generates sentences, and splits them.

    Raises:
        UserError: sizes that cannot be, one file without the other, a file that is missing, empty
            or not UTF-8, files of different numbers of lines, or too few sentences.
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
    both = ((words(a), words(b)) for a, b in zip(*sides, strict=True))
    kept = [pair for pair in dict.fromkeys(both) if fits(pair, config.max_length)]
    held = config.valid + config.test
    if len(kept) <= held:
        raise UserError(
            f"{source.name} and {target.name} have {len(kept)} different pairs of at most "
            f"{config.max_length} words, --data.valid and --data.test hold out {held}; lower them "
            "or give more text"
        )
    random.Random(0).shuffle(kept)
    return _split(
        kept,
        config,
        name=config.title,
        origin="two text files of the reader's",
        licence="the reader's",
    )


def words(line: str) -> tuple[str, ...]:
    """Runs of letters and digits, and single other signs, in lower case."""
    return tuple(re.findall(r"\w+|[^\w\s]", line.lower()))


def fits(pair: Pair, longest: int) -> bool:
    return all(0 < len(side) <= longest for side in pair)


def _lines(path: Path) -> list[str]:
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UserError(
            f"a side of the corpus must be a text file, {path} cannot be read ({reason}); give "
            "--data.source and --data.target"
        ) from None
    if not text.strip():
        raise UserError(f"a side of the corpus must hold sentences, {path} is empty; give another")
    return text.removesuffix("\n").split("\n")


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
