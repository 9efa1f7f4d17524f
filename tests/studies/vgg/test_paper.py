"""The study `vgg`, run small: figures and write-up."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from research import __main__ as command
from research.models.pretrained import MissingWeightsError
from research.records import Number, Results, read_numbers, write_manifest, write_numbers, write_run
from research.report.values import untagged
from research.studies import vgg
from research.studies.vgg import frozen
from tests.studies.drawn import WIDTHS, drawn
from tests.trails import trail

from .tiny import parent, run


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert all(drawing.width_mm in WIDTHS for drawing in drawn(record, vgg.FIGURES).values())


def with_earlier_run(source: Results, store: Path, universal: float = 0.0) -> None:
    """A run of `fgsm` in the store, its numbers made of those of a run of `vgg`."""
    folder = Path(shutil.copytree(source.folder, store / ("f" * 32)))
    write_run(folder, dataclasses.replace(source.run, id="f" * 32, study="fgsm"))
    own = read_numbers(source.folder)
    numbers = {name: own[name] for name in ("pixel_std", "relative_eps")}
    for arm in ("lenet", "cnn"):
        numbers |= {k.replace("vgg_", f"{arm}_"): v for k, v in own.items() if "vgg_" in k}
        numbers |= {f"{arm}_universal": Number(universal), f"{arm}_class_universal": Number(0.5)}
    write_numbers(folder, numbers)
    write_manifest(folder)


def text_of(paper: Path) -> str:
    return " ".join((paper / "vgg.html").read_text().split("<script")[0].split())


@pytest.mark.long
def test_the_paper_with_imagenets_weights_is_built(
    store: Path, record: Results, paper: Path, tmp_path: Path
) -> None:
    both = Path(shutil.copytree(store, tmp_path / "both"))
    with_earlier_run(record, both)
    assert command.main(["report", "vgg", "--log", f"folder:{both}"]) == 0
    found = trail(paper / "vgg.pdf")
    assert {figure["name"] for figure in found["figures"]} == set(vgg.FIGURES)
    assert found["reads"]["fgsm"]["id"] == "f" * 32
    text = text_of(paper)
    assert "a thousand outputs" in text
    assert "beside that on the two networks" in text
    assert [one["name"] for one in found["claims"]] == ["alike_within", "alike_between"]


@pytest.mark.long
def test_the_paper_of_given_weights_and_a_single_seed(
    record: Results, root: Path, paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(given: Path | None) -> Path:
        raise MissingWeightsError("no network")

    monkeypatch.setattr(frozen, "imagenet_file", missing)
    given = str(record.folder / "weights/scratch-seed0.safetensors")
    store = tmp_path / "store"
    assert run(store, root, "--seeds", "0", "--weights", given, "--frozen-epochs", "1") == 0
    again = parent(store)
    assert {name: model["origin"] for name, model in again.run.models.items()} == {
        "scratch-seed0": "given"
    }
    for name in ("vgg_cosine_within", "vgg_fooling_best", "tied"):
        assert again.numbers[name] == record.numbers[name]
    assert "transfer_own" not in again.numbers
    with_earlier_run(again, store, universal=0.5)
    assert command.main(["report", "vgg", "--log", f"folder:{store}"]) == 0
    text = text_of(paper)
    assert "From network to network" not in text and "†" in text
    assert "a thousand outputs" not in text
    assert json.loads((again.folder / "run.json").read_text())["seeds"] == [0]


@pytest.mark.long
def test_with_few_right_samples_the_paper_says_how_many_there_are(
    record: Results, root: Path, paper: Path, tmp_path: Path
) -> None:
    given = [str(record.folder / f"weights/scratch-seed{seed}.safetensors") for seed in (0, 1)]
    for path in given[1:]:  # the second seed takes everything for the first class
        weights = load_file(path)
        weights["fc.bias"] = torch.tensor([0.0, 0.0, -1e3])
        with safe_open(path, framework="pt") as file:
            save_file(weights, tmp_path / "other.safetensors", file.metadata())
    store = tmp_path / "store"
    asked = ["--crafted", "60", "--judged", "60", "--weights", given[0]]
    assert run(store, root, *asked, str(tmp_path / "other.safetensors")) == 0
    again = parent(store)
    numbers = {name: again.numbers[f"vgg_{name}"].value for name in ("crafted", "classes", "short")}
    assert numbers["short"] == 1 and numbers["crafted"] <= 60 and numbers["classes"] == 3
    assert again.numbers["vgg_classes_least"].value == 2
    assert again.numbers["vgg_crafted_least"].value <= 40
    assert any("too few test images right" in text for text in again.run.findings)
    with_earlier_run(again, store)
    assert command.main(["report", "vgg", "--log", f"folder:{store}"]) == 0
    assert f"made on {numbers['crafted']:.0f}" in " ".join(untagged(text_of(paper)).split())
