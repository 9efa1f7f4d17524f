"""Runs of other programs, as their authors log them: plain MLflow, Lightning, scikit-learn."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.adoption import Adopted, Choice, adopt
from research.tracking.folder import FolderStore
from research.tracking.foreign import Experiment

mlflow = pytest.importorskip("mlflow")

GAIN = {"mlp": 0.90, "resnet-18": 0.94}
PAPER = "tags.paper = 'yes'"

Adopting = Callable[..., Adopted]


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which three programs have logged."""
    root = tmp_path_factory.mktemp("theirs")
    where = f"sqlite:///{root / 'theirs.db'}"
    mlflow.set_tracking_uri(where)
    programs = {"digits": plain, "autolog": sklearn_autolog, "deep": lightning, "models": models}
    for name, log in programs.items():
        mlflow.create_experiment(name, (root / "files").as_uri())
        mlflow.set_experiment(name)
        log(where)
    mlflow.set_tracking_uri(None)
    return where


def plain(uri: str) -> None:
    """Two models with three seeds, one run that failed, one that nobody asks for."""
    from PIL import Image

    for seed in range(3):
        for model, gain in GAIN.items():
            rng = np.random.default_rng(seed)
            with mlflow.start_run(run_name=f"{model} {seed}"):
                mlflow.log_params({"model": model, "seed": seed, "lr": 0.01, "depth": len(model)})
                mlflow.set_tag("paper", "yes")
                for step in (1, 2, 3):
                    values = {"val_acc": gain - abs(step - 2) / 10 + rng.normal(0, 0.01)}
                    mlflow.log_metrics(values | {"train/loss": 1 / step + seed / 100}, step=step)
                mlflow.log_metric("test acc", gain + rng.normal(0, 0.01))
                mlflow.log_metric("broken", np.nan if seed else 1.0)
                mlflow.log_image(Image.new("RGB", (30, 20), "red"), f"plots/{model}.png")
                mlflow.log_text(f"notes of {seed}", "notes.txt")
    with pytest.raises(RuntimeError), mlflow.start_run(run_name="crash"):
        mlflow.set_tag("paper", "yes")
        mlflow.log_params({"model": "mlp", "seed": 3})
        raise RuntimeError
    with mlflow.start_run(run_name="trial"):
        mlflow.log_params({"model": "mlp", "seed": 0})
        mlflow.log_metric("val_acc", 0.5)


def sklearn_autolog(uri: str) -> None:
    """What scikit-learn's models log by themselves, their confusion matrix too."""
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    mlflow.sklearn.autolog(log_models=False, silent=True)
    images, labels = load_iris(return_X_y=True)
    for seed in range(3):
        mine = np.random.default_rng(seed).permutation(len(labels))[:60]
        with mlflow.start_run():
            DecisionTreeClassifier(max_depth=2, random_state=seed).fit(images[mine], labels[mine])
    mlflow.sklearn.autolog(disable=True)


def lightning(uri: str) -> None:
    """Three seeds of a tiny network, through Lightning's own logger."""
    import torch
    from lightning.pytorch import LightningModule, Trainer, seed_everything
    from lightning.pytorch.loggers import MLFlowLogger
    from torch.utils.data import DataLoader, TensorDataset

    class Tiny(LightningModule):
        def __init__(self, width: int, seed: int) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
            )

        def training_step(self, batch: Any, index: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.layers(batch[0]), batch[1])
            self.log("train_loss", loss, on_epoch=True, on_step=False)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    data = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
    for seed in range(3):
        seed_everything(seed, verbose=False)
        trainer = Trainer(
            max_epochs=3, logger=MLFlowLogger("deep", tracking_uri=uri), accelerator="cpu",
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            log_every_n_steps=1,
        )  # fmt: skip
        trainer.fit(Tiny(2, seed), data)


def models(uri: str) -> None:
    """A model of scikit-learn by MLflow's own flavour, and one of one's own in two states, with
    metrics of two data sets."""
    from sklearn.dummy import DummyClassifier

    sets = {name: mlflow.data.from_numpy(np.arange(n), name=name) for name, n in SETS.items()}
    there = mlflow.MlflowClient()
    for seed in range(3):
        with mlflow.start_run(run_name=f"models {seed}"):
            mlflow.log_param("seed", seed)
            if seed == 0:
                fitted = DummyClassifier(strategy="prior").fit([[0.0], [1.0]], [0, 1])
                mlflow.sklearn.log_model(fitted, name="dummy", pip_requirements=["scikit-learn"])
            for step, state in enumerate(("begun", "done")):
                one = mlflow.initialize_logged_model(name="net", params={"state": state})
                there.log_model_artifacts(one.model_id, _weights(state, seed))
                there.finalize_logged_model(one.model_id, "READY")
                for at, data in enumerate(sets.values()):
                    value = seed + step / 2 + at / 4
                    mlflow.log_metric("acc", value, step, dataset=data, model_id=one.model_id)
            for name in ("large", "small"):
                one = mlflow.initialize_logged_model(name=name)
                mlflow.log_metric("size", len(name) + seed, 0, model_id=one.model_id)


def _weights(state: str, seed: int) -> str:
    folder = Path(tempfile.mkdtemp())
    (folder / "deep").mkdir()
    (folder / "deep/weights.bin").write_text(f"{state} {seed}")
    return str(folder)


SETS = {"val": 3, "test": 4}


@pytest.fixture(scope="session")
def client(uri: str) -> Any:
    return mlflow.MlflowClient(uri)


@pytest.fixture
def take(uri: str, tmp_path: Path) -> Adopting:
    """Adopts runs of `digits`, unless another experiment is named, into a folder of its own."""

    def run(experiment: str = "digits", **asked: Any) -> Adopted:
        return adopt(
            Choice(Experiment(asked.pop("uri", uri), experiment), "theirs", **asked),
            FolderStore(tmp_path / "store"),
        )

    return run


@pytest.fixture(scope="session")
def adopted(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """The six runs that a paper is about; tests that use it only read."""
    store = FolderStore(tmp_path_factory.mktemp("adopted"))
    asked = Choice(
        Experiment(uri, "digits"), "theirs", PAPER, ("params.model",), "params.seed",
        ("val_acc=best", "test acc", "train/loss=step:2"),
        ("deeper_is_better: resnet-18 > mlp on val_acc",),
    )  # fmt: skip
    return adopt(asked, store)
