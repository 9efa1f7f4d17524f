"""The study `zf-features`, run small: errors are those of the weights that it stored."""

import re

import numpy as np
import pytest
import torch

from research.data import Dataset, Split
from research.records import Array, Number, Results
from research.studies.zf_features import ablation
from tests.studies.zf.by_hand import is_mean, weights_of

from .by_hand import by_hand, middles
from .tiny import ARMS, cells


def test_errors_are_those_of_the_stored_weights(
    record: Results, zf_data: Dataset, likest: Array
) -> None:
    kept = torch.from_numpy(likest < 0.95)
    train, test = middles(zf_data.train), middles(zf_data.test)
    sides = {
        "train": (train[kept], zf_data.train.labels[kept]),
        "test": (test, zf_data.test.labels),
    }
    found: dict[str, dict[str, list[float]]] = {}
    for arm in ARMS:
        found[arm] = {side: [] for side in sides}
        for seed in (0, 1):
            w = weights_of(record, f"{arm}-seed{seed}")
            mean = train[kept].mean(0)
            assert torch.allclose(w["pixels.mean"], mean, atol=1e-6), "of images without copies"
            for side, (images, labels) in sides.items():
                wrong = by_hand(w, images)["logits"].argmax(1) != labels
                found[arm][side].append(wrong.double().mean().item())
        size = sum(weight.numel() for name, weight in w.items() if name != "pixels.mean")
        assert record.numbers[f"parameters_{arm}"].value == size
        row = cells(record, "ablations", arm)
        assert row["parameters"] == size
        for side, errors in found[arm].items():
            is_mean(record.numbers[f"{side}_{arm}"], errors)
            is_mean(row[side], errors)
            change = [100 * (a - b) for a, b in zip(errors, found["ours"][side], strict=True)]
            if arm != "ours":
                is_mean(row[f"change_{side}"], change)
            assert np.allclose(record.arrays("errors")[f"{arm}_{side}"], errors)
    assert record.table("ablations").column("arm") == tuple(ARMS)
    assert len({*(str(one) for one in found.values())}) > 4


def test_every_architecture_is_trained_as_long_on_the_same_images(record: Results) -> None:
    for arm in ARMS:
        for seed in (0, 1):
            assert len(record.arrays(f"curve_{arm}-seed{seed}")["loss_train"]) == 1
    for seed in (0, 1):
        assert len(record.arrays(f"curve_source-seed{seed}")["loss_train"]) == 2


def test_architectures_differ_as_table_2_says(record: Results) -> None:
    shapes = {arm: {n: tuple(x.shape) for n, x in weights_of(record, f"{arm}-seed0").items()}
              for arm in ARMS}  # fmt: skip
    layers = {arm: "".join(n[-8] for n in found if n.endswith(".weight"))
              for arm, found in shapes.items()}  # fmt: skip
    assert layers == {"ours": "12345678", "without34": "125678", "without7": "1234568",
                      "without67": "123458", "without3467": "1258", "hidden2048": "12345678",
                      "hidden8192": "12345678", "maps": "12345678", "both": "12345678"}  # fmt: skip
    for arm, units in {
        "ours": 256,
        "hidden2048": 128,
        "hidden8192": 512,
        "maps": 256,
        "both": 512,
    }.items():
        assert shapes[arm]["fc7.weight"] == (units, units)
    for arm, maps in {"ours": (24, 24, 16), "maps": (32, 64, 32), "both": (32, 64, 32)}.items():
        assert tuple(shapes[arm][f"conv{i}.weight"][0] for i in (3, 4, 5)) == maps


PRINTED = """
ours        own 33.1 38.4 16.5  alexnet 35.1 40.5 18.1
without34                       alexnet 41.8 45.4 22.1
without7                        alexnet 27.4 40.0 18.4
without67                       alexnet 27.4 44.8 22.4
without3467                     alexnet 71.1 71.3 50.1
hidden2048  own 38.2 40.2 17.6  alexnet 40.3 41.7 18.8
hidden8192  own 22.0 38.8 17.0  alexnet 26.8 40.0 18.1
maps        own 18.8 37.5 16.0
both        own 10.0 38.3 16.9
"""
"""Table 2 of the paper."""


def printed() -> dict[tuple[str, str], list[float]]:
    found = re.findall(r"(\w+)?\s+(own|alexnet) ([\d.]+) ([\d.]+) ([\d.]+)", PRINTED)
    arm, errors = "", {}
    for name, network, *values in found:
        arm = name or arm
        errors[arm, network] = [float(value) for value in values]
    return errors


def test_the_paper_s_errors_stand_beside_ours(record: Results) -> None:
    errors = printed()
    assert len(errors) == 12
    for arm in ARMS:
        row = cells(record, "ablations", arm)
        assert cells(record, "top5", arm)["test"] is None, "of three classes"
        for network in ("own", "alexnet"):
            theirs = errors.get((arm, network))
            for place, name in enumerate(("train", "test", "top5")):
                beside = cells(record, "top5", arm) if name == "top5" else row
                cell = beside[f"{network}_{name.replace('top5', 'test')}"]
                assert cell == (theirs and pytest.approx(theirs[place] / 100))
                if name != "top5":
                    change = theirs and theirs[place] - errors["ours", network][place]
                    expected = None if arm == "ours" or change is None else pytest.approx(change)
                    assert row[f"{network}_change_{name}"] == expected


def test_directions_are_told_as_they_are(record: Results) -> None:
    words = {"train": [], "test": []}  # type: dict[str, list[str]]
    for arm in ARMS[1:]:
        row = cells(record, "ablations", arm)
        for side, place in (("train", 0), ("test", 1)):
            signs = {values[place] > printed()["ours", network][place]
                     for (name, network), values in printed().items() if name == arm}  # fmt: skip
            change = row[f"change_{side}"]
            assert isinstance(change, Number) and change.span is not None
            word = "same" if signs == {change.value > 0} else "opposite"
            word = f"({word})"  # two seeds tell nothing
            word = "mixed" if len(signs) == 2 else word if change.value else "none"
            assert row[f"direction_{side}"] == word
            words[side].append(word)
    for side, told in words.items():
        for word in ("same", "opposite"):
            clear, unclear = told.count(word), told.count(f"({word})")
            assert record.numbers[f"{word}_{side}"].value == clear + unclear
            assert record.numbers[f"{word}_clear_{side}"].value == clear
        assert record.numbers[f"mixed_{side}"].value == told.count("mixed")
    assert words["test"][5] == "mixed" and "mixed" not in words["train"]
    assert cells(record, "ablations", "ours")["direction_test"] == "base"


@pytest.mark.parametrize(
    ("change", "theirs", "word"),
    [
        (Number(2.0, "", 1.0, 3), [0.1], "same"),
        (Number(2.0, "", 3.0, 3), [0.1, 5], "(same)"),
        (Number(-2.0, "", 1.0, 3), [0.1], "opposite"),
        (Number(-2.0, "", 2.0, 3), [0.1], "(opposite)"),
        (Number(-2.0), [-1], "same"),
        (Number(0.0, "", 0.0, 3), [-1], "none"),
        (Number(2.0, "", 1.0, 3), [0.4, -0.5], "mixed"),
    ],
)
def test_a_direction(change: Number, theirs: list[float], word: str) -> None:
    assert ablation.direction(change, theirs) == word


def test_top_5_where_there_are_more_classes() -> None:
    split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 4, 5, 6]))
    logits = torch.arange(7, 0, -1.0).repeat(4, 1)  # class 0 the likest, 6 the least
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "predict", lambda model, split: logits)
        assert ablation.wrong_of(torch.nn.Identity(), split) == {"top1": 3 / 4, "top5": 2 / 4}
