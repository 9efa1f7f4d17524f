"""Sentences to words: the project's own rule, and the tokenisers of sacrebleu by their names."""

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import cache

from research.config import Tokeniser
from research.errors import UserError

_JOINERS = "\u200c\u200d"
"""What Persian and the scripts of India write within a word to part or to join its letters."""

Tokenise = Callable[[str], tuple[str, ...]]


def tokeniser(name: Tokeniser) -> Tokenise:
    """Splits a line into words, in lower case and in Unicode's composed form (NFC).

    Combining marks and joiners stay with the letter before them, whatever the tokeniser.

    Arguments:
        name: `words` for runs of letters and digits, and single other signs; else a tokeniser of
            sacrebleu: `13a`, `intl`, `zh`, `char`, or `ja-mecab`, which needs a package more.

    Raises:
        UserError: the tokeniser is not installed.

    References:
        A Call for Clarity in Reporting BLEU Scores (Post, 2018).

    Example:
        >>> tokeniser("char")("Ja.")
        ('j', 'a', '.')
    """
    if name == "words":
        return words
    theirs = _theirs(name)
    return lambda line: tuple(_whole(theirs(_normal(line)).split()))


def words(line: str) -> tuple[str, ...]:
    """Runs of letters and digits with their marks, and single other signs, in lower case, NFC.

    Example:
        >>> words("Ein Hund, zwei Katzen.")
        ('ein', 'hund', ',', 'zwei', 'katzen', '.')
    """
    return tuple(_pattern().findall(_normal(line)))


def _normal(line: str) -> str:
    return unicodedata.normalize("NFC", line.lower())


@cache
def _pattern() -> re.Pattern[str]:
    """`\\w` knows letters and digits only: a vowel sign of Hindi would be a word of its own."""
    marked = rf"[\w{_marks()}{_JOINERS}]+"
    return re.compile(rf"{marked}|[^\w\s]")


@cache
def _marks() -> str:
    """Every combining mark, as it stands between the brackets of a pattern."""
    marks = (i for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("M"))
    return re.escape("".join(map(chr, marks)))


def _whole(tokens: list[str]) -> list[str]:
    """The tokens, those that begin with a mark or a joiner, or follow a joiner, put to the last."""
    whole: list[str] = []
    for token in tokens:
        marked = unicodedata.category(token[0]).startswith("M") or token[0] in _JOINERS
        if whole and (marked or whole[-1][-1] == "\u200d"):
            whole[-1] += token
        else:
            whole.append(token)
    return whole


def _theirs(name: Tokeniser) -> Callable[[str], str]:
    from sacrebleu.metrics.bleu import BLEU

    try:
        found: Callable[[str], str] = BLEU(tokenize=name).tokenizer
    except (ImportError, RuntimeError):
        raise UserError(
            f"--data.tokenise {name} needs a package that is not installed: pip install "
            f"'sacrebleu[{name[:2]}]', or give --data.tokenise char"
        ) from None
    return found
