"""The study `seq2seq`, run small: what it logs is re-derived from the weights it stored."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from safetensors.torch import load_file

from research import __main__ as command
from research import paths
from research.config import Text, digest
from research.data import bitext
from research.data.sequences import EOS, PAD, SOS, Bitext, Copying
from research.models import Translator
from research.paths import PAPER
from research.records import Claim, Number, Results
from research.records import load as read
from research.studies import seq2seq
from research.studies.seq2seq import measures, settings
from research.tracking import open_store

SIZES = {"size": 150, "valid": 20, "test": 25, "min_count": 1}
FLAGS = [f"--data.{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
FLAGS += ["--train.epochs=3", "--train.lr=0.01", "--embedding=12", "--hidden=16", "--beam=3"]
FLAGS += ["--copy-epochs=1", "--seeds"]


def run(store: Path, *more: str) -> Results:
    """Runs with tiny settings, then `more`: the seeds first; the record."""
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{store}", *FLAGS, *more]
    assert command.main(start) == 0
    return read(open_store(f"folder:{store}").runs("seq2seq")[0].folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return run(store, "0", "1")


@pytest.fixture(scope="module")
def text() -> Bitext:
    return bitext.load(Text(**SIZES))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models(record: Results, text: Bitext) -> list[Translator]:
    found = []
    for seed in (0, 1):
        model = Translator((len(text.vocabularies[0]), len(text.vocabularies[1])), 12, 16, 0.1)
        stored = record.folder / f"weights/translation-seed{seed}.safetensors"
        model.load_state_dict(load_file(stored))
        found.append(model.eval())
    return found


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the write-up that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("seq2seq.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def report(folder: Path, store: Path) -> str:
    """The write-up's text as one line, without marks and what is attached to it."""
    assert command.main(["report", "seq2seq", "--log", f"folder:{store}"]) == 0
    page = (folder / "seq2seq.html").read_text().split("<script")[0]
    return " ".join(re.sub("<[^>]*>", "", page).split())


def test_the_run_tells_what_it_was(record: Results) -> None:
    assert record.run.name == "seq2seq sample on numerals"
    assert (record.run.status, record.run.seeds) == ("FINISHED", (0, 1))
    assert record.run.data["train"] == 150 and record.run.data["name"] == "numerals"
    assert sorted(record.run.models) == [
        "copy-seed0", "copy-seed1", "translation-seed0", "translation-seed1",
    ]  # fmt: skip
    assert record.names("figures") == sorted(seq2seq.FIGURES)
    for name in seq2seq.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        assert drawing.width_mm <= (178.01 if name == "attention" else 86.01)


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


def test_the_paper_of_several_seeds(record: Results, store: Path, paper: Path) -> None:
    text = report(paper, store)
    assert "In 1 of 1 epochs the printed" in text or "In 0 of 1 epochs the printed" in text
    assert "Frames are the known alignment" in text
    assert "single seed" not in text and "were given" not in text


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "seq2seq") == set(record.claims)


def test_a_second_run_trains_nothing_and_finds_the_same(record: Results, tmp_path: Path) -> None:
    other = run(tmp_path, "0", "1")
    assert {model["origin"] for model in other.run.models.values()} == {"found"}
    assert other.numbers == record.numbers


@pytest.mark.long
def test_a_corpus_with_one_seed_and_given_weights(
    record: Results, tmp_path: Path, paper: Path
) -> None:
    sides = {"de": ("das", "ist", "satz", "nummer"), "en": ("this", "is", "sentence", "number")}
    files = {side: tmp_path / f"{side}.txt" for side in sides}
    for side, path in files.items():
        lines = [" ".join((*sides[side][: 1 + i % 4], f"w{i}")) for i in range(120)]
        path.write_text("\n".join(lines))
    corpus = [f"--data.source={files['de']}", f"--data.target={files['en']}"]
    weights = str(record.folder / "weights/copy-seed0.safetensors")
    store = tmp_path / "store"
    made = run(store, "0", *corpus, "--weights", weights)
    assert made.run.name == "seq2seq sample on de.txt and en.txt"
    assert made.run.data["train"] == 75
    assert "peak_all" not in made.numbers and "copy_expected" not in made.numbers
    assert made.names("figures") == ["attention"]
    shown = made.arrays("attention0")
    assert shown["weights"].shape == (len(shown["target"]), len(shown["source"]))
    text = report(paper, store)
    assert "single seed" in text and "1 of the models were given and not trained here" in text
    assert "has nothing called 'peak" not in text  # a corpus has no known alignment
    assert str(tmp_path) not in text and "±\u00a0" not in text


def test_presets_have_no_unknown_words() -> None:
    for preset in seq2seq.PRESETS.values():
        made = bitext.load(preset.data)
        assert [len(known) for known in made.vocabularies] == [35, 33]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.source", "de.txt"], "got only --data.source; give --data.target too"),
        (["--data.source", "no.txt", "--data.target", "no.txt"], "no.txt cannot be read"),
        (["--data.test", "0"], "--data.test must be at least 1"),
        (["--beam", "0"], "--beam must be at least 1"),
        (["--copy-epochs", "0"], "--copy-epochs must be at least 1"),
        (["--dropout", "1"], "--dropout must be 0 or more and below 1"),
        (["--data.name", "mnist"], "--data.name"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{tmp_path}", *flags]
    assert command.main(start) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.usefixtures("no_other_fonts")
def test_letters_that_no_font_has_are_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"ein wort {number}" for number in range(90)]
    (tmp_path / "de").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "hi").write_text("\n".join(f"मैं {line}" for line in lines), encoding="utf-8")
    corpus = ["--data.source", str(tmp_path / "de"), "--data.target", str(tmp_path / "hi")]
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{tmp_path}", *FLAGS, "0"]
    assert command.main([*start, *corpus]) == 2
    said = capsys.readouterr().err
    assert "research: the sentences of the figure of attention: no font here has" in said
    assert "epoch" not in said


def test_another_corpus_is_another_experiment() -> None:
    config = seq2seq.PRESETS["sample"]
    others = [Text(Path("a.txt"), Path("b.txt")), Text(Path("a.txt"), Path("c.txt"))]
    digests = {digest(replace(config, data=data)) for data in (config.data, *others)}
    assert len(digests) == 3
