"""The study `ae`, run small: figures and write-up."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from research import __main__ as command
from research import studies
from research.cli import papers
from research.models import ConvAutoencoder, save_weights
from research.records import Results
from research.studies import ae
from research.tracking import open_store
from tests.studies.drawn import WIDTHS, drawn
from tests.trails import trail

from .tiny import FLAGS, newest


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert all(drawing.width_mm in WIDTHS for drawing in drawn(record, ae.FIGURES).values())


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
