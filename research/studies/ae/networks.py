"""Trains the models of the study `ae`."""

import torch

from research.data import Dataset
from research.methods import reconstruction
from research.models import ConvAutoencoder, Decoder
from research.models.inference import predict
from research.studies.ae.settings import Config, child_name
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed


def train(arm: Decoder, seed: int, data: Dataset, config: Config, log: Log) -> ConvAutoencoder:
    """One model of one arm, trained or read from the weights that were given."""
    torch.manual_seed(seed)
    model = placed(ConvAutoencoder(data.shape[0], arm), config.train)
    test, images = data.test, data.test.floats()

    def test_loss(model: torch.nn.Module) -> dict[str, float]:
        return {"loss/test": reconstruction.bce(images, predict(model, test)).mean().item()}

    return obtain(
        Training(
            model,
            data.train,
            lambda model, images, _: reconstruction.bce(images, model(images)).mean(),
            torch.optim.Adam(model.parameters(), lr=config.train.lr, fused=True),
            config.train,
            seed=seed,
            evaluate=test_loss,
        ),
        name=child_name(arm, seed),
        params={"arm": arm, "seed": seed, "optimiser": "Adam"},
        log=log,
    )
