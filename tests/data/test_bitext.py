"""Vocabularies, pairs of sentences, generated numerals, and corpora of two files."""

from pathlib import Path

import pytest
import torch

from research.config import Text
from research.data.bitext import load, words
from research.data.numerals import numeral, numerals
from research.data.sequences import EOS, PAD, SOS, UNK, Copying, Pairs, Vocabulary
from research.errors import UserError

SENTENCES = [("b", "a", "c"), ("c", "a", "d"), ("a", "</s>")]


def test_a_vocabulary_is_in_order_of_frequency_and_of_letters() -> None:
    known = Vocabulary.of(SENTENCES, 1)
    assert known.words[4:] == ("a", "c", "</s>", "b", "d")
    assert Vocabulary.of(reversed(SENTENCES), 1) == known
    assert Vocabulary.of(SENTENCES, 2).words[4:] == ("a", "c")
    assert known.encode(("d", "x", "</s>", "<pad>")) == [8, UNK, 6, UNK]
    assert known.decode([4, UNK, 8, EOS, 5]) == ["a", "<unk>", "d"]
    assert known.decode([4, PAD, 5]) == ["a"]


def test_pairs_are_padded_and_batches_cut() -> None:
    known = Vocabulary.of(SENTENCES, 1)
    pairs = Pairs.of([(("a",), ("a", "c")), (("a", "c", "b"), ("d",))], known, known)
    assert pairs.source.tolist() == [[4, EOS, PAD, PAD], [4, 5, 7, EOS]]
    assert pairs.target.tolist() == [[SOS, 4, 5, EOS], [SOS, 8, EOS, PAD]]
    [(a, b), (c, d)] = pairs.batches(1)
    assert [one.tolist() for one in (a, b, c, d)] == [
        [[4, EOS]], [[SOS, 4, 5, EOS]], [[4, 5, 7, EOS]], [[SOS, 8, EOS]],
    ]  # fmt: skip


def test_batches_hold_each_pair_once_in_an_order_of_the_generator() -> None:
    source = torch.arange(1, 12)[:, None]
    pairs = Pairs(source, source + 100)
    orders = []
    for seed in (0, 0, 1):
        drawn = list(pairs.batches(4, torch.Generator().manual_seed(seed)))
        assert [len(a) for a, _ in drawn] == [4, 4, 3]
        assert all(torch.equal(a + 100, b) for a, b in drawn)
        orders.append(torch.cat([a for a, _ in drawn]).flatten().tolist())
    assert sorted(orders[0]) == list(range(1, 12))
    assert orders[0] == orders[1] != orders[2]


def test_the_copy_task_draws_every_symbol_anew() -> None:
    task, generator = Copying(500), torch.Generator().manual_seed(0)
    first, second = (list(task.batches(200, generator)) for _ in range(2))
    assert [len(source) for source, _ in first] == [200, 200, 100]
    for source, target in first:
        assert torch.equal(target[:, 1:], source) and (target[:, 0] == SOS).all()
    counts = torch.bincount(torch.cat([s for s, _ in first]).flatten(), minlength=11)
    assert counts[0] == 0 and counts[1:].min() > 380 and len(counts) == 11
    assert not torch.equal(first[0][0], second[0][0])


@pytest.mark.parametrize(
    ("number", "german", "english"),
    [
        (1, "eins", "one"),
        (16, "sechzehn", "sixteen"),
        (21, "ein und zwanzig", "twenty one"),
        (40, "vierzig", "forty"),
        (101, "ein hundert eins", "one hundred one"),
        (1000, "ein tausend", "one thousand"),
        (101_001, "ein hundert ein tausend eins", "one hundred one thousand one"),
        (71_317, "ein und siebzig tausend drei hundert siebzehn",
         "seventy one thousand three hundred seventeen"),
        (999_999, "neun hundert neun und neunzig tausend neun hundert neun und neunzig",
         "nine hundred ninety nine thousand nine hundred ninety nine"),
    ],
)  # fmt: skip
def test_numbers_are_written_out(number: int, german: str, english: str) -> None:
    made = numeral(number)
    assert (" ".join(made.german), " ".join(made.english)) == (german, english)


VALUES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip


def value(english: tuple[str, ...]) -> int:
    """The number that English words say."""
    total = part = 0
    for word in english:
        if word == "thousand":
            total, part = part * 1000, 0
        else:
            part = part * 100 if word == "hundred" else part + VALUES[word]
    return total + part


def test_numerals_say_their_number_and_each_word_has_its_counterpart() -> None:
    partners: dict[str, set[str]] = {}
    for number in (*range(1, 2200), *range(3000, 1_000_000, 997)):
        made = numeral(number)
        assert value(made.english) == number
        assert len(set(made.links)) == len(made.english) == len(made.links)
        left = set(range(len(made.german))) - set(made.links)
        assert all(made.german[place] == "und" for place in left)
        for word, link in zip(made.english, made.links, strict=True):
            partners.setdefault(word, set()).add(made.german[link])
    assert partners.pop("one") == {"ein", "eins"}
    assert all(len(found) == 1 for found in partners.values())
    assert len({word for found in partners.values() for word in found}) == len(partners)


def test_numerals_are_different_and_the_same_for_a_seed() -> None:
    drawn = numerals(300)
    assert len({one.english for one in drawn}) == 300
    assert drawn == numerals(300) != numerals(300, seed=1)


def test_no_numeral_is_in_two_splits() -> None:
    text = load(Text(size=200, valid=30, test=40, min_count=1))
    assert [len(one) for one in (text.train, text.valid, text.test)] == [200, 30, 40]
    assert text.links is not None and len(text.links) == len(text.sentences) == 40
    german = [
        {tuple(text.vocabularies[0].decode(row)) for row in one.source.tolist()}
        for one in (text.train, text.valid, text.test)
    ]
    assert [len(one) for one in german] == [200, 30, 40]
    assert not german[0] & german[1] and not german[0] & german[2] and not german[1] & german[2]
    assert [source for source, _ in text.sentences] == [
        tuple(text.vocabularies[0].decode(row)) for row in text.test.source.tolist()
    ]
    assert text.sha256 != load(Text(size=201, valid=30, test=40)).sha256


def corpus(folder: Path, german: str, english: str) -> Text:
    (folder / "de.txt").write_text(german, encoding="utf-8")
    (folder / "en.txt").write_text(english, encoding="utf-8")
    return Text(folder / "de.txt", folder / "en.txt", valid=2, test=3, min_count=1)


GERMAN = "".join(f"Das ist Satz {i}.\n" for i in range(12))
ENGLISH = "".join(f"This is sentence {i}.\n" for i in range(12))


def test_a_corpus_is_split_and_each_pair_stays_together(tmp_path: Path) -> None:
    long = "zu lang " * 20 + "\n"
    text = load(corpus(tmp_path, GERMAN + "Das ist Satz 3.\n\n" + long,
                       ENGLISH + "This is sentence 3.\nblank\ntoo long\n"))  # fmt: skip
    assert [len(one) for one in (text.train, text.valid, text.test)] == [7, 2, 3]
    assert text.links is None and text.name == "de.txt and en.txt"
    for source, target in text.sentences:
        assert source[:3] == ("das", "ist", "satz") and source[3:] == (target[3], ".")


def test_words_are_runs_of_letters_and_single_signs() -> None:
    assert words("Über »uns«: don't, 2.5 €!") == (
        "über", "»", "uns", "«", ":", "don", "'", "t", ",", "2", ".", "5", "€", "!",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("german", "english", "message"),
    [
        (GERMAN + "Noch einer.\n", ENGLISH, "de.txt has 13 lines and .*en.txt 12"),
        ("", ENGLISH, "de.txt is empty"),
        (GERMAN, "\n \n", "en.txt is empty"),
        ("eins\n" * 9, "one\n" * 9, "have 1 different pairs of at most 25 words"),
    ],
)
def test_files_that_are_no_corpus(tmp_path: Path, german: str, english: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(corpus(tmp_path, german, english))


def test_a_missing_file_and_one_side_alone(tmp_path: Path) -> None:
    made = corpus(tmp_path, GERMAN, ENGLISH)
    with pytest.raises(UserError, match=r"none.txt cannot be read .*No such file"):
        load(Text(tmp_path / "none.txt", made.target))
    with pytest.raises(UserError, match=r"got only --data.source; give --data.target too"):
        load(Text(made.source))
    with pytest.raises(UserError, match=r"got only --data.target; give --data.source too"):
        load(Text(target=made.target))
    (tmp_path / "en.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match=r"en.txt cannot be read .it is not UTF-8"):
        load(made)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Text(size=0), "--data.size must be at least 1, got 0"),
        (Text(min_count=0), "--data.min-count must be at least 1"),
        (Text(size=1_000_000), "there are 999999 numerals"),
    ],
)
def test_sizes_that_cannot_be(config: Text, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(config)
