"""The study `fgsm`, run small: batteries and transfer are those of the stored weights."""

import numpy as np
import pytest
import torch

from research.data import Dataset
from research.methods.samples import halves, judged_alike
from research.models import LeNet, load_weights
from research.records import Number, Results

from .by_hand import Hand, mean


def test_candidates_are_those_of_the_batteries(
    record: Results, hands: dict[str, Hand], data: Dataset
) -> None:
    table, pixels = record.table("candidates"), data.train.floats().double()
    assert table.column("noise") == (
        "own", "class", "mean", "first", "first-", "gradient", "deepfool", "random_p95"
    )  # fmt: skip
    hand, model = hands["lenet-seed0"], LeNet()
    load_weights(record.folder / "weights/lenet-seed0.safetensors", model)
    judged = halves(model, data.test, 30, 30)[1]
    own = (judged.images + 0.2 * hand.noise(*judged)).clamp(0, 1)
    cell = table.column("lenet_held_out")[0]
    assert isinstance(cell, Number)
    assert cell.value == pytest.approx(1 - mean(hand.right(own, judged.labels)), abs=0.034)
    shared = torch.from_numpy(record.arrays("battery_lenet")["noise"])
    fooled = ~hand.right((judged.images + shared).clamp(0, 1), judged.labels)
    cell = table.column("lenet_held_out")[5]
    assert isinstance(cell, Number) and cell.value == pytest.approx(mean(fooled))
    assert record.numbers["pixel_std"].value == pytest.approx(pixels.std(correction=0).item())
    for arm, finding in zip(("lenet", "cnn"), record.run.findings, strict=True):
        verdicts = finding.split(": ")[1].split(", ")
        assert finding.startswith(f"One noise against {arm}, ") and len(verdicts) == 2
        share = verdicts.count("universal") / 2
        assert record.numbers[f"{arm}_universal"].value == share
        share = 1 - verdicts.count("not universal") / 2
        assert record.numbers[f"{arm}_class_universal"].value == share


def test_transfer_is_a_mean_over_pairs_of_different_networks(
    record: Results, hands: dict[str, Hand], data: Dataset
) -> None:
    x, y = judged_alike(data.test, 30, 30)
    rates = []
    for source, target in ((0, 1), (1, 0)):
        ours, theirs = (hands[f"lenet-seed{seed}"] for seed in (source, target))
        adv_inputs = (x + 0.2 * ours.noise(x, y)).clamp(0, 1)
        both = [int(i) for i in range(30) if ours.right(x, y)[i] and theirs.right(x, y)[i]]
        fooled = [i for i in both if not theirs.right(adv_inputs[i : i + 1], y[i : i + 1])]
        rates.append(len(fooled) / len(both))
        stored = record.arrays("transfer")["own"][source, target]
        assert stored == pytest.approx(rates[-1], abs=1.1 / len(both))
    table = record.table("transfer")
    assert table.column("source") == ("lenet", "cnn")
    assert table.column("own_lenet")[0] == pytest.approx(np.mean(rates), abs=0.05)
    for kind, matrix in record.arrays("transfer").items():
        assert table.column(f"{kind}_lenet") == pytest.approx(
            (np.mean([matrix[0, 1], matrix[1, 0]]), matrix[2:, :2].mean())
        )
        assert record.numbers[f"transfer_{kind}_lenet_cnn"].value == matrix[:2, 2:].mean()
