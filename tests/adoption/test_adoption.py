"""Runs that another program logged, as records of our store."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from scipy import stats

from research import records
from research.adoption import Adopted
from research.errors import UserError
from research.provenance.cohort import History, selection
from research.records import Number
from research.report.listing import items
from research.tracking import staleness

from .conftest import GAIN, PAPER, SETS, Adopting


def logged(client: Any, model: str, seed: int) -> Any:
    (found,) = client.search_runs(
        [client.get_experiment_by_name("digits").experiment_id],
        f"{PAPER} and params.model = '{model}' and params.seed = '{seed}' and status = 'FINISHED'",
    )
    return found


def history(client: Any, model: str, seed: int, metric: str) -> dict[int, float]:
    id = logged(client, model, seed).info.run_id
    return {one.step: one.value for one in client.get_metric_history(id, metric)}


def test_numbers_are_those_that_mlflow_holds(adopted: Adopted, client: Any) -> None:
    numbers = records.load(adopted.run.folder).numbers
    for model, name in zip(GAIN, ("mlp", "resnet_18"), strict=True):
        curves = [history(client, model, seed, "val_acc") for seed in range(3)]
        best = [max(curve.values()) for curve in curves]
        assert numbers[f"val_acc_{name}"].values == tuple(best)
        assert numbers[f"val_acc_{name}"].value == pytest.approx(np.mean(best))
        low, high = numbers[f"val_acc_{name}"].bounds or (0, 0)
        assert 0 < low < np.mean(best) < high < 1  # a share's interval stays below one
        losses = [history(client, model, seed, "train/loss")[2] for seed in range(3)]
        interval = stats.t.interval(0.95, 2, np.mean(losses), stats.sem(losses))
        assert numbers[f"train_loss_{name}"].bounds == pytest.approx(interval)
        last = [logged(client, model, seed).data.metrics["test acc"] for seed in range(3)]
        assert numbers[f"test_acc_{name}"].values == tuple(last)


def test_claims_are_paired_by_seed(adopted: Adopted, client: Any) -> None:
    best = [[max(history(client, m, s, "val_acc").values()) for s in range(3)] for m in GAIN]
    claim = records.load(adopted.run.folder).claims["deeper_is_better"]
    assert claim.effect.value == pytest.approx(np.mean(best[1]) - np.mean(best[0]))
    assert (claim.outcome, claim.n, claim.direction) == ("holds", 3, "greater")


def test_what_was_left_out_is_counted(adopted: Adopted) -> None:
    run = records.load(adopted.run.folder).run
    said = "Of 8 runs of the experiment 6 are used; left out: 1 failed, 1 not asked for."
    assert adopted.selection == selection(run, History()) == said
    table = records.load(adopted.run.folder).table("left_out")
    assert {row[1:] for row in table.rows} == {
        ("crash", "FAILED", "failed"),
        ("trial", "FINISHED", "not asked for"),
    }


def test_a_run_is_kept_as_it_was_logged(adopted: Adopted, client: Any) -> None:
    there = logged(client, "mlp", 1)
    kept = json.loads((adopted.run.folder / f"logged/{there.info.run_id}.json").read_text())
    assert kept["params"] == there.data.params
    assert kept["tags"]["paper"] == "yes" and "mlflow.user" not in kept["tags"]
    points = {step: value for step, _, value in kept["metrics"]["val_acc"]}
    assert points == history(client, "mlp", 1, "val_acc")


def test_files_have_their_digest_and_pictures_become_figures(adopted: Adopted) -> None:
    results = records.load(adopted.run.folder)
    files = results.frame("artifacts").set_index(["group", "seed", "path"])["sha256"]
    assert files["mlp", "2", "notes.txt"] == hashlib.sha256(b"notes of 2").hexdigest()
    assert len(files) == 12
    drawing = results.figure("resnet_18_resnet_18_0")
    assert drawing.width_mm == pytest.approx(1.5 * drawing.height_mm)
    picture = Path(results.folder / drawing.data[0])
    assert (
        hashlib.sha256(picture.read_bytes()).hexdigest()
        == files["resnet-18", "0", "plots/resnet-18.png"]
    )


def test_tables_and_curves_are_by_group(adopted: Adopted, client: Any) -> None:
    results = records.load(adopted.run.folder)
    table = results.table("metrics")
    assert table.columns == ("group", "runs", "val_acc", "test_acc", "train_loss")
    assert table.column("group") == tuple(GAIN) and table.column("runs") == (3, 3)
    assert isinstance(table.rows[0][2], Number)
    assert results.table("settings").rows == (("mlp", "3"), ("resnet-18", "9"))
    assert results.run.config == {"lr": 0.01}
    arrays = results.arrays("curve_val_acc")
    curves = [list(history(client, "mlp", seed, "val_acc").values()) for seed in range(3)]
    assert np.array_equal(arrays["mlp"], curves) and arrays["mlp_steps"].tolist() == [1, 2, 3]
    assert "curve_test_acc" not in results.names("figures")  # of one step there is no curve


def test_it_says_whence_it_comes(adopted: Adopted, uri: str) -> None:
    run = records.load(adopted.run.folder).run
    assert run.adopted["by"] == "another program" and run.adopted["filter"] == PAPER
    assert run.adopted["source"] == "theirs.db"  # no folder of this machine
    assert len(run.adopted["runs"]) == 6 and run.seeds == (0, 1, 2)
    assert staleness.stale(run) == {} and staleness.unknown(run) == ()
    told = {one.name: one.origin for one in items(records.load(adopted.run.folder))}
    ids = " ".join(id[:8] for id in run.adopted["runs"][:3])
    assert told["val_acc_mlp"] == f"val_acc highest over steps, logged by {ids}"


def test_the_same_runs_are_adopted_once(take: Adopting) -> None:
    asked = {"runs": PAPER, "group": ("model",), "seeds": "seed", "metrics": ("test acc",)}
    first, second = take(**asked), take(**asked)
    assert (first.fresh, second.fresh) == (True, False) and first.run.id == second.run.id
    assert take(**asked | {"metrics": ("val_acc",)}).fresh


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"experiment": "digit"}, r"no experiment 'digit' at .*; it has .*'digits'"),
        ({"runs": "tags.paper = yes"}, "--runs must be a filter of MLflow's"),
        ({"runs": "tags.paper = 'no'"}, "none of the 8 runs of 'digits' passes --runs"),
        ({"runs": "status = 'FAILED'"}, "a finished run is required, but 'digits' has 1 failed"),
        ({"group": ("params.modle",)}, "7 of 7 lack it, .* choose from depth, lr, model, seed"),
        ({"group": ("model",), "seeds": "seed"}, "'mlp' has 2 runs of seed 0"),
        (
            {"runs": f"{PAPER} and attributes.run_name != 'mlp 2'", "group": ("model",),
             "seeds": "seed"},
            "'mlp' has 0 1; 'resnet-18' has 0 1 2: .* --shared-seeds",
        ),
        ({"runs": PAPER, "metrics": ("broken",)}, "has NaN of broken at the last step|have NaN of"),
        ({"runs": PAPER, "metrics": ("val_acc=step:9",)}, "no value of val_acc at step 9"),
        ({"runs": PAPER, "claims": ("a: b > c on d",)}, "say which parameter holds the seed"),
        (
            {"runs": PAPER, "seeds": "seed", "group": ("model",), "claims": ("mlp > resnet",)},
            "--claim is 'NAME: GROUP > GROUP on METRIC'",
        ),
        (
            {"runs": PAPER, "seeds": "seed", "group": ("model",),
             "claims": ("a: mlp > vgg on val_acc",)},
            "names a group 'vgg', there is mlp, resnet-18",
        ),
        ({"uri": "sqlite:////nowhere/a.db"}, "there is no file /nowhere/a.db"),
        ({"uri": "nowhere"}, "a store of MLflow's is http://HOST:PORT"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(
    take: Adopting, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as told:
        take(**asked)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "store").exists()  # nothing is begun before all is known


def test_seeds_that_not_every_group_has_are_left_out(take: Adopting) -> None:
    runs = f"{PAPER} and attributes.run_name != 'mlp 2'"
    done = take(runs=runs, group=("model",), seeds="seed", shared_seeds=True)
    assert "1 of a seed that not every group has" in done.selection
    assert records.load(done.run.folder).run.seeds == (0, 1)
    assert any("NaN of broken" in note for note in done.notes)  # which nobody asked for


def test_lightning_and_autolog_are_read_as_they_log(take: Adopting) -> None:
    deep = records.load(take("deep", seeds="seed").run.folder)
    assert {*deep.numbers} == {"train_loss_all"} and deep.run.seeds == (0, 1, 2)
    assert deep.arrays("curve_train_loss")["all"].shape == (3, 3)
    assert deep.run.config["width"] == 2
    trees = records.load(take("autolog", seeds="random_state").run.folder)
    assert trees.numbers["training_accuracy_score_all"].n == 3
    assert any("confusion" in name for name in trees.names("figures"))
    assert re.fullmatch(r"[0-9a-f]+( [0-9a-f]+)*", trees.run.data["digest"])
    assert trees.run.data["name"] == "dataset"


def test_logged_models_bring_their_files_and_the_data_of_their_metrics(
    take: Adopting, client: Any
) -> None:
    results = records.load(take("models", seeds="seed").run.folder)
    assert results.numbers["acc_on_val_all"].values == (0.5, 1.5, 2.5)  # of the last state
    assert results.numbers["acc_on_test_all"].values == (0.75, 1.75, 2.75)
    assert results.numbers["size_of_large_all"].values == (5.0, 6.0, 7.0)
    assert results.arrays("curve_acc_on_val")["all"].tolist() == [[0, 0.5], [1, 1.5], [2, 2.5]]
    experiment = client.get_experiment_by_name("models").experiment_id
    files = results.frame("artifacts").set_index(["seed", "path"])["sha256"]
    made = {model.model_id: model for model in client.search_logged_models([experiment])}
    for seed, run in enumerate(results.run.adopted["runs"]):
        for model in (one for one in made.values() if one.source_run_id == run):
            if model.name == "net":
                path = f"models/net@{model.model_id}/deep/weights.bin"
                content = f"{model.params['state']} {seed}".encode()
                assert files[str(seed), path] == hashlib.sha256(content).hexdigest()
    [dummy] = [model for model in made.values() if model.name == "dummy"]
    there = Path(unquote(urlparse(dummy.artifact_location).path))
    expected = {f"models/dummy/{path.name}": path for path in there.iterdir()}
    found = {path for seed, path in files.index if "dummy" in path}
    assert found == {*expected} and "models/dummy/MLmodel" in found
    for name, file in expected.items():
        assert files["0", name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(files) == 6 + len(expected)
    kept = json.loads((results.folder / f"logged/{dummy.source_run_id}.json").read_text())
    assert sorted(one["name"] for one in kept["models"]) == [
        "dummy",
        "large",
        "net",
        "net",
        "small",
    ]
    assert {p["dataset"] for model in kept["models"] for p in model["points"]} == {*SETS, ""}
    assert "mlflow.user" not in json.dumps(kept)
