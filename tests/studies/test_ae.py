"""The study `ae`, run small: what it logs is re-derived from the weights it stored."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import stats
from torch.nn import functional as F

from research import __main__ as command
from research import paths, studies
from research.cli import flags as command_flags
from research.cli import papers
from research.config import Data
from research.data import Dataset, Split, load
from research.errors import UserError
from research.models import ConvAutoencoder, save_weights
from research.paths import PAPER
from research.records import Results
from research.records import load as read
from research.studies import ae
from research.tracking import open_store
from research.training import cache
from research.training.loop import Epoch
from tests.trails import trail

FLAGS = ["--data.name", "mnist-sample", "--sample", "3", "--sample-index", "2"]
FLAGS += ["--train.epochs", "2", "--train.batch", "100", "--seeds", "0", "1"]
FLAGS += ["--map-points", "150", "--map-perplexity", "10"]


def run(store: Path, *more: str) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{store}", *FLAGS, *more]) == 0


def newest(store: Path) -> Results:
    """The parent record that started last."""
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return max((r for r in found if not lineage(r)["parent"]), key=lambda r: lineage(r)["started"])


def lineage(record: Results) -> dict[str, Any]:
    return dict(json.loads((record.folder / "tracking/lineage.json").read_text()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    run(folder)
    return folder


@pytest.fixture
def record(store: Path) -> Results:
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return min((r for r in found if not lineage(r)["parent"]), key=lambda r: lineage(r)["started"])


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("ae.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def test_the_run_tells_what_it_was(record: Results) -> None:
    assert (record.run.status, record.run.preset, record.run.seeds) == (
        "FINISHED",
        "sample",
        (0, 1),
    )
    assert record.run.changed["train.epochs"] == 2
    assert set(record.run.changed) == {
        "data.name", "sample", "sample_index", "train.epochs", "train.batch", "seeds",
        "map_points", "map_perplexity",
    }  # fmt: skip
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert sorted(lineage(record)["children"]) == [
        "transpose-seed0", "transpose-seed1", "upsample-seed0", "upsample-seed1",
    ]  # fmt: skip
    assert not (record.folder / "checkpoints").exists()


def test_every_layer_has_its_kernels_and_maps_as_files(record: Results) -> None:
    weights = load_file(record.folder / "weights/transpose-seed0.safetensors")
    for name in ("encoder.conv1", "encoder.conv2", "decoder.conv1", "decoder.conv2"):
        kernel = np.load(record.folder / f"kernels/transpose/{name}.npy")
        assert np.array_equal(kernel, weights[f"{name}.weight"].numpy())
        assert (record.folder / f"kernels/transpose/{name}.png").stat().st_size > 50
    layers = record.table("layers")
    for arm, layer, *described in layers.rows:
        maps = np.load(record.folder / f"activations/{arm}/{layer}.npy")
        shape = " × ".join(map(str, maps.shape))
        assert described == [shape, maps.min(), maps.max(), (maps == 0).mean()]
    assert [row[1] for row in layers.rows if row[0] == "transpose"] == [
        "encoder.conv1", "encoder.relu1", "encoder.pool1", "encoder.conv2", "encoder.relu2",
        "encoder.pool2", "decoder.conv1", "decoder.relu1", "decoder.conv2", "decoder.sigmoid",
    ]  # fmt: skip


def test_the_sample_is_the_image_that_was_asked_for(record: Results) -> None:
    test = load(Data("mnist-sample")).test
    third = test.images[test.labels == 3][2].float() / 255
    assert np.allclose(record.arrays("sample")["image"], third)


def by_hand(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Reconstructions of the transposed network."""
    for i in (1, 2):
        x = F.conv2d(x, weights[f"encoder.conv{i}.weight"], weights[f"encoder.conv{i}.bias"], 1, 1)
        x = F.max_pool2d(x.clamp(min=0), 2)
    for i in (1, 2):
        w, b = weights[f"decoder.conv{i}.weight"], weights[f"decoder.conv{i}.bias"]
        x = F.conv_transpose2d(x, w, b, 2)
        x = x.clamp(min=0) if i == 1 else torch.sigmoid(x)
    return x


def test_errors_are_those_of_the_stored_weights(record: Results) -> None:
    images = load(Data("mnist-sample")).test.images.float() / 255
    errors, losses = [], []
    for seed in (0, 1):
        weights = load_file(record.folder / f"weights/transpose-seed{seed}.safetensors")
        out = by_hand(weights, images).double()
        errors.append(((out - images) ** 2).mean().item())
        losses.append(-(images * out.log() + (1 - images) * (1 - out).log()).mean().item())
    numbers = record.numbers
    assert numbers["mse_transpose"].value == pytest.approx(np.mean(errors), rel=1e-4)
    assert numbers["bce_transpose"].value == pytest.approx(np.mean(losses), rel=1e-4)
    assert numbers["mse_transpose"].span == pytest.approx(sorted(errors), rel=1e-4)
    curve = record.arrays("curve_transpose-seed1")
    assert curve["loss_train"].shape == curve["loss_test"].shape == (2,)
    assert curve["loss_test"][-1] == pytest.approx(losses[1], rel=1e-4)


def test_linear_baselines_are_those_of_the_singular_vectors(record: Results) -> None:
    data = load(Data("mnist-sample"))
    train, test = (
        split.images.flatten(1).double().numpy() / 255 for split in (data.train, data.test)
    )
    mean = train.mean(0)
    size = int(record.numbers["code_size"].value)
    assert size == 4 * 7 * 7
    basis = np.linalg.svd(train - mean, full_matrices=False)[2][:size]
    rebuilt = ((test - mean) @ basis.T @ basis + mean).clip(0, 1)
    assert record.numbers["mse_pca"].value == pytest.approx(
        ((rebuilt - test) ** 2).mean(), rel=1e-3
    )
    assert record.numbers["mse_mean"].value == pytest.approx(((mean - test) ** 2).mean(), rel=1e-4)


def test_class_means_weigh_up_to_the_whole(record: Results) -> None:
    labels = load(Data("mnist-sample")).test.labels.numpy()
    shares = np.bincount(labels) / len(labels)
    column = [cell.value for cell in record.table("classes").column("psnr_upsample")]  # type: ignore[union-attr]
    assert np.dot(shares, column) == pytest.approx(record.numbers["psnr_upsample"].value, rel=1e-6)


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(ae.FIGURES)
    for name in ae.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        for path in (drawing.svg, drawing.png, *drawing.data):
            assert (record.folder / path).exists()
        assert drawing.width_mm in (pytest.approx(86), pytest.approx(178))


def test_given_weights_replace_training(store: Path, record: Results, tmp_path: Path) -> None:
    run(tmp_path, "--weights", *map(str, (record.folder / "weights").glob("*.safetensors")))
    again = newest(tmp_path)
    assert again.numbers == record.numbers
    assert again.run.changed["weights"].startswith("transpose-seed0 ")
    assert again.run.config_digest != record.run.config_digest
    assert not [name for name in again.names("arrays") if name.startswith("curve")]


def test_claims_are_scipys_paired_tests_of_the_stored_numbers(record: Results) -> None:
    numbers, claims = record.numbers, record.claims
    pairs = {
        "transpose_beats_pca": ("mse_pca", "mse_transpose"),
        "upsample_beats_pca": ("mse_pca", "mse_upsample"),
        "upsample_sharper": ("psnr_transpose", "psnr_upsample"),
        "upsample_more_similar": ("ssim_transpose", "ssim_upsample"),
        "upsample_less_checkered": ("checkerboard_transpose", "checkerboard_upsample"),
        "transpose_code_beats_pixels": ("knn_pixels", "knn_transpose"),
        "upsample_code_beats_pixels": ("knn_pixels", "knn_upsample"),
    }
    assert set(claims) == set(pairs)
    for name, (before, after) in pairs.items():
        after_values = numbers[after].values
        before_values = numbers[before].values or [numbers[before].value] * len(after_values)
        test = stats.ttest_rel(after_values, before_values)
        p = claims[name].p
        assert (p is None and np.isnan(test.pvalue)) or p == pytest.approx(test.pvalue)
        assert claims[name].outcome == "undecided"  # two seeds tell nothing
    assert {claims[name].direction for name in pairs if "pca" in name or "less" in name} == {"less"}
    assert not numbers["mse_pca"].values


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "ae") == set(record.claims)


@pytest.mark.long
def test_the_paper_of_a_single_seed_claims_nothing(
    record: Results, tmp_path: Path, paper: Path
) -> None:
    store = tmp_path / "store"
    flags = [flag for flag in FLAGS if flag not in ("--seeds", "0", "1")] + ["--seeds", "0"]
    weights = [str(path) for path in (record.folder / "weights").glob("*seed0.safetensors")]
    start = ["run", "ae", "--log", f"folder:{store}", *flags, "--weights", *weights]
    assert command.main(start) == 0
    assert command.main(["report", "ae", "--log", f"folder:{store}"]) == 0
    text = (paper / "ae.html").read_text()
    assert "This run has a single seed" in text
    assert "were taken as they are and not trained here" in text
    assert "Cross-entropy per pixel value of both decoders" not in text
    assert "±" not in text.split("<script")[0]


@pytest.mark.long
def test_dead_networks_are_a_finding(tmp_path: Path, paper: Path) -> None:
    """Of the transposed one the code is dead, of the upsampling one only what it makes of it."""
    files = {arm: tmp_path / f"{arm}.safetensors" for arm in ae.ARMS}
    for arm, file in files.items():
        model = ConvAutoencoder(1, arm)
        last = model.decoder.get_submodule("conv2")
        with torch.no_grad():
            last.get_parameter("weight").zero_()
            if arm == "transpose":
                model.encoder.get_submodule("conv2").get_parameter("bias").fill_(-1e6)
        save_weights(file, model, f"{arm}-seed0")
    store = tmp_path / "store"
    flags = [flag for flag in FLAGS if flag not in ("--seeds", "0", "1")] + ["--seeds", "0"]
    start = [
        "run",
        "ae",
        "--log",
        f"folder:{store}",
        *flags,
        "--weights",
        *map(str, files.values()),
    ]
    assert command.main(start) == 0
    record = newest(store)
    found = {
        name: record.numbers[name].value for name in record.numbers if name[:4] in ("dead", "cons")
    }
    assert found == {
        "dead_transpose": 1, "dead_upsample": 0, "constant_transpose": 1, "constant_upsample": 1,
    }  # fmt: skip
    # all neighbours are equally near: whoever they are, one class in ten is right
    assert record.numbers["knn_transpose"].value == pytest.approx(0.1)
    assert "map" not in record.names("arrays") and "map" not in record.names("figures")
    assert sum("with the same picture" in one for one in record.run.findings) == 2
    assert command.main(["report", "ae", "--log", f"folder:{store}"]) == 0
    text = (paper / "ae.html").read_text()
    assert "Dead networks." in text and "There is no map of the code" in text


def test_more_components_than_training_images_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3), np.uint8)
    for index, pixels in enumerate(noise):
        side = "train" if index < 72 else "test"
        folder = tmp_path / "pictures" / side / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    flags = ["--data.name", "folder", "--data.root", str(tmp_path / "pictures"), "--sample", "a"]
    flags += ["--data.size", "32", "--neighbours", "2", "--map-perplexity", "2"]
    flags += ["--sample-index", "0"]
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path}/store", *flags]) == 2
    told = capsys.readouterr().err
    assert (
        "the code of 256 values is compared with need as many training images at least, got 72"
        in told
    )
    assert "epoch" not in told


def interrupt(monkeypatch: pytest.MonkeyPatch, child: str, after: int) -> None:
    def stop(epochs: Iterator[Epoch], label: str, total: int) -> Iterator[Epoch]:
        for epoch in epochs:
            yield epoch
            if (label, epoch.number) == (child, after):
                raise KeyboardInterrupt

    monkeypatch.setattr(cache, "shown", stop)


@pytest.mark.long
def test_an_interrupted_run_goes_on_to_the_same_numbers(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, "transpose-seed1", 1)
        again = ["--log", f"folder:{tmp_path}", *FLAGS, "--train.again"]
        assert command.main(["run", "ae", *again]) == 130
    stopped = newest(tmp_path)
    assert stopped.run.status == "KILLED"
    run(tmp_path, "--resume", "--train.again")
    resumed = newest(tmp_path)
    assert (resumed.run.id, resumed.run.status) == (stopped.run.id, "FINISHED")
    assert resumed.numbers == record.numbers
    for name in ("transpose-seed1", "upsample-seed0"):
        ours, theirs = (r.arrays(f"curve_{name}")["loss_test"] for r in (resumed, record))
        assert np.array_equal(ours, theirs)


def test_nothing_is_resumed_where_nothing_was_interrupted(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{store}", *FLAGS, "--resume"]) == 2
    assert "--resume needs an interrupted run of 'ae'" in capsys.readouterr().err


def test_the_write_up_is_built_without_torch_and_again_to_the_same_bytes(
    store: Path, paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys; from pathlib import Path; from research import paths, __main__ as command;"
        f"paths.PAPER = Path({str(paper)!r});"
        f"code = command.main(['report', 'ae', '--log', 'folder:{store}']);"
        "print('heavy:', {'torch', 'mlflow', 'matplotlib'} & set(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "heavy: set()" in done.stdout
    first = (paper / "ae.pdf").read_bytes()
    assert command.main(["report", "ae", "--log", f"folder:{store}"]) == 0
    assert (paper / "ae.pdf").read_bytes() == first
    assert (paper / "ae.html").exists()
    assert "built from run" in capsys.readouterr().out


def test_the_list_of_studies_tells_why_a_pdf_is_out_of_date(store: Path, paper: Path) -> None:
    assert command.main(["report", "ae", "--log", f"folder:{store}"]) == 0
    kept, entry = open_store(f"folder:{store}"), studies.entry("ae")
    run = next(iter(kept.runs("ae")))
    assert papers.pdf_state(entry, run, kept) == "up to date"
    assert trail(paper / "ae.pdf")["run"]["id"] == run.record_id
    figure = run.folder / "figures/kernels.svg"
    drawn = figure.read_bytes()
    figure.write_bytes(drawn + b"<!-- drawn by other code -->")
    assert papers.pdf_state(entry, run, kept) == "figures drawn anew: kernels"
    figure.write_bytes(drawn)
    with (paper / "ae.md").open("a") as file:
        file.write("\nMore.\n")
    assert papers.pdf_state(entry, run, kept) == "prose changed since: ae.md"
    (paper / "ae.pdf").unlink()
    assert papers.pdf_state(entry, run, kept) == "not built"


def test_redrawing_gives_the_same_figures(store: Path, record: Results) -> None:
    before = {path: path.read_bytes() for path in (record.folder / "figures").iterdir()}
    arguments = ["redraw", "ae", "--log", f"folder:{store}", "--run", record.run.id]
    assert command.main(arguments) == 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train.epoch", "3"], "did you mean --train.epochs?"),
        (["--train.epochs", "three"], "invalid literal for int() with base 10: 'three'"),
        (["--preset", "ful"], "there is no preset 'ful': did you mean 'full'?"),
        (["--data.name", "mnst"], "invalid choice 'mnst'"),
        (["--sample", "rockt"], "no class 'rockt': did you mean 'rocket'?"),
        (["--sample-index", "5000"], "--sample-index must be 0 to 119"),
        (["--data.name", "folder", "--data.root", "nowhere"], "nowhere"),
        (["--train.device", "tpu"], "'tpu' is not one"),
        (["--weights", "no.safetensors"], "no.safetensors cannot be read"),
        (["--weights", "abcdef"], "abcdef"),
        (["--train.epochs", "0"], "--train.epochs must be at least 1"),
        (["--train.lr", "inf"], "--train.lr must be greater than 0 and finite, got inf"),
        (["--seeds", "-1"], "--seeds must be at least 0 and less than 2,147,483,648, got -1"),
        (["--seeds", "0", "9" * 20], "--seeds must be at least 0 and less than"),
        (["--preset", "sample", "--preset", "fulll"], "there is no preset 'fulll'"),
        (["--train.lr", "nan"], "--train.lr must be greater than 0 and finite, got nan"),
        (["--map-perplexity", "nan"], "--map-perplexity must be a finite number, got nan"),
        (["--seeds"], "--seeds"),
        (["--data.size", "30"], "multiples of 4 and at least 12 pixels, got 30 × 30"),
        (["--data.size", "8"], "at least 12 pixels, got 8 × 8"),
        (["--neighbours", "0"], "--neighbours must be at least 1"),
        (["--map-points", "20"], "less than half of the 20 points"),
        (["--map-points", "60"], "--map-perplexity must be"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path}", *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_of_a_flag_given_twice_the_last_counts() -> None:
    for given in ([], ["--preset"], ["--run", "full"]):
        assert command_flags.value_of("--preset", given) is None
    for given in (["--preset", "full"], ["--preset=sample", "--preset", "full", "--run", "a"]):
        assert command_flags.value_of("--preset", given) == "full"


def a_set(classes: int, train: int, test: int, *, flat: bool = False) -> Dataset:
    rng = np.random.default_rng(0)

    def side(count: int) -> Split:
        pixels = rng.integers(0, 256, (1 if flat else count, 3, 16, 16))
        images = torch.from_numpy(np.broadcast_to(pixels, (count, 3, 16, 16)).astype(np.uint8))
        return Split(images, torch.arange(count) % classes)

    names = tuple("abcdefgh"[:classes])
    return Dataset.of("own", side(train), side(test), names, source="here", licence="CC0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (a_set(1, 80, 24), "needs 2 classes at least, got 1 in own"),
        (a_set(2, 80, 5), "needs 6 test images at least, got 5"),
        (a_set(2, 63, 24), "the code of 64 values is compared with need as many training images"),
        (a_set(2, 80, 24, flat=True), "the 80 training images of own are all the same"),
    ],
)
def test_what_the_study_cannot_bear_is_refused_before_training(data: Dataset, message: str) -> None:
    config = dataclasses.replace(ae.PRESETS["sample"], neighbours=2, map_perplexity=3)
    ae.check(config, a_set(2, 64, 24))
    with pytest.raises(UserError, match=message):
        ae.check(config, data)


@pytest.mark.usefixtures("no_other_fonts")
def test_names_that_no_font_has_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("train/cat", "train/日本", "test/cat", "test/日本"):
        (tmp_path / "own" / place).mkdir(parents=True)
        Image.new("RGB", (16, 16), "red").save(tmp_path / "own" / place / "0.png")
    monkeypatch.setattr(paths, "PAPER", tmp_path)
    (tmp_path / "author.toml").write_text('name = "王小明"', encoding="utf-8")
    flags = ["--data.name", "folder", "--data.root", str(tmp_path / "own"), "--sample", "cat"]
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path / 'store'}", *flags]) == 2
    said = capsys.readouterr().err
    assert "a paper cannot be built yet: author.toml: no font here has '小' (U+5C0F)" in said
    assert "research: the names of the classes: no font here has '日' (U+65E5)" in said
    assert "epoch" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rn", "ae"], "there is no verb 'rn': did you mean 'run'?"),
        (["run"], "something is missing: research run STUDY"),
        (["run", "ea"], "there is no study 'ea': choose from ae"),
        (["report", "ae", "--run", "ffff"], "ffff"),
        (["report", "ae", "--log", "ftp://x"], "a store is folder:DIR"),
    ],
)
def test_a_wrong_verb_or_study_is_answered_with_the_right_one(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_help_lists_every_verb_and_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    text = capsys.readouterr().out
    assert all(f"research {name}" in text for name in command.VERBS)
    with pytest.raises(SystemExit) as leaving:
        command.main(["run", "ae", "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--train.epochs", "--data.root", "--seeds", "--resume", "--weights", "--preset"):
        assert flag in text
