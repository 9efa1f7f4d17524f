"""The study `zf-features`, run small: accuracies on features of the weights that it stored."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset
from research.models import ZFNet
from research.records import Results
from research.studies.zf_features import generalisation
from tests.studies.zf.by_hand import Weights, is_mean, weights_of

from .by_hand import by_hand
from .tiny import LAYERS, PENALTIES, SAMPLE, SIDE, K, cells


def judged(
    kind: str, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, seed: int
) -> float:
    """Mean accuracy over classes of a classifier on features of length one."""
    x, y = (F.normalize(one.flatten(1), dim=1).numpy() for one in (train, test))
    model = (LinearSVC(dual=False, tol=1e-6, max_iter=100_000) if kind == "svm"
             else LogisticRegression(tol=1e-8, max_iter=10_000))  # fmt: skip
    folds = StratifiedKFold(min(3, len(x) // 3), shuffle=True, random_state=seed)
    search = GridSearchCV(model, {"C": PENALTIES}, cv=folds).fit(x, labels.numpy())
    right = search.predict(y) == truth.numpy()
    return float(np.mean([right[truth == label].mean() for label in range(3)]))


def untrained(record: Results, seed: int) -> Weights:
    torch.manual_seed(seed)
    mean = weights_of(record, f"ours-seed{seed}")["pixels.mean"].float()
    fresh = ZFNet(0.0625, 3, side=SIDE, mean=mean)
    return {name: weight.double() for name, weight in fresh.state_dict().items()}


def test_accuracies_are_those_on_features_of_the_stored_weights(
    record: Results, drawn: Sequence[tuple[Tensor, Tensor]], everything: Tensor, target: Dataset
) -> None:
    labels = torch.cat([target.train.labels, target.test.labels])
    logged = record.arrays("accuracies")
    assert {*logged} == {f"scratch_k{k}" for k in K} | {
        f"{space}_{kind}_k{k}" for space in ("pixels", "trained", "untrained")
        for kind in ("svm", "softmax") for k in K
    }  # fmt: skip
    off = []
    for draw, (known, asked) in enumerate(drawn):
        w = {"trained": weights_of(record, f"source-seed{draw}"),
             "untrained": untrained(record, draw)}  # fmt: skip
        spaces = {space: by_hand(one, everything) for space, one in w.items()}
        spaces["pixels"] = {"pixels": everything}
        for space, features in spaces.items():
            names = ["pixels"] if space == "pixels" else LAYERS
            for place, layer in enumerate(names):
                for kind in ("svm", "softmax"):
                    for k in K if space != "untrained" or layer in LAYERS[::3] else ():
                        chosen, x = known[:, :k].flatten(), features[layer]
                        expected = judged(
                            kind, x[chosen], labels[chosen], x[asked], labels[asked], draw
                        )
                        found = logged[f"{space}_{kind}_k{k}"][draw, place]
                        off.append(abs(found - expected) > 1e-9)
    assert np.mean(off) < 0.04  # features in float32 may move a decision at the border
    for few, k in (("few", K[0]), ("many", K[1])):
        for kind in ("svm", "softmax"):
            for place, layer in enumerate(LAYERS):
                cell = cells(record, "layers", layer)[f"{kind}_{few}"]
                is_mean(cell, logged[f"trained_{kind}_k{k}"][:, place].tolist())
                cell = cells(record, "layers", layer)[f"untrained_{kind}_{few}"]
                is_mean(cell, logged[f"untrained_{kind}_k{k}"][:, place].tolist())
            cell = cells(record, "layers", "pixels")[f"{kind}_{few}"]
            is_mean(cell, logged[f"pixels_{kind}_k{k}"][:, 0].tolist())
    assert cells(record, "layers", "pixels")["untrained_svm_few"] is None


def test_the_control_has_seen_the_images_of_its_draw_alone(
    record: Results, drawn: Sequence[tuple[Tensor, Tensor]], everything: Tensor, target: Dataset
) -> None:
    labels = torch.cat([target.train.labels, target.test.labels])
    for k in K:
        fitted, shown = [], []
        for draw, (known, asked) in enumerate(drawn):
            w = weights_of(record, f"scratch-k{k}-split{draw}")
            chosen = known[:, :k].flatten()
            assert torch.allclose(w["pixels.mean"], everything[chosen].mean(0), atol=1e-6)
            right = by_hand(w, everything)["logits"].argmax(1) == labels
            fitted.append(right[chosen].double().mean().item())
            shown.append(right[asked].double().mean().item())
            assert (
                len(record.arrays(f"curve_scratch-k{k}-split{draw}")["loss_train"])
                == {2: 3, 4: 2}[k]
            )
        assert np.allclose(record.arrays("accuracies")[f"scratch_k{k}"], shown)
        is_mean(record.numbers["fitted_few" if k == K[0] else "fitted_many"], fitted)
        is_mean(cells(record, "transfer", k)["scratch"], shown)  # type: ignore[arg-type]


def test_pooled_draws_may_train_on_either_side(target: Dataset) -> None:
    config = dataclasses.replace(SAMPLE, k=(2, 4), splits=3, judged=5, pooled=True)
    pool = generalisation.pool_of(target, config)
    for number, one in enumerate(pool.draws):
        assert not {*one.train.flatten().tolist()} & {*one.test.tolist()}
        assert torch.equal(pool.train(number, 2).labels, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert (torch.stack([one.train for one in pool.draws]) >= 18).any()
    own = generalisation.pool_of(target, dataclasses.replace(config, pooled=False))
    assert (torch.stack([one.train for one in own.draws]) < 18).all()
