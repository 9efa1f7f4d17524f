"""The networks of the study `seq2seq`: how they are trained."""

from dataclasses import replace

import torch
from torch import nn

from research.config import Train
from research.data import Samples
from research.data.sequences import Bitext, Copying, Pairs
from research.methods.translation import objective, perplexity
from research.models import Translator
from research.studies.seq2seq.settings import (
    COPY_BATCH,
    COPY_DROPOUT,
    COPY_EMBEDDING,
    COPY_HELD_OUT,
    COPY_HIDDEN,
    COPY_LR,
    Config,
    copy_name,
    translation_name,
)
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed


def held_out(config: Config) -> Pairs:
    """The sequences on which copying is judged, the same for all seeds."""
    drawn = Copying(COPY_HELD_OUT).draw(torch.Generator().manual_seed(0))
    return drawn.to(config.train.device)


def train_copying(seed: int, config: Config, log: Log) -> Translator:
    task = Copying(device=torch.device(config.train.device))
    torch.manual_seed(seed)
    size = task.symbols + 1
    model = Translator((size, size), COPY_EMBEDDING, COPY_HIDDEN, COPY_DROPOUT)
    train = replace(config.train, epochs=config.copy_epochs, batch=COPY_BATCH, lr=COPY_LR)
    return _train(model, task, held_out(config), train, copy_name(seed), seed, log)


def train_translation(seed: int, text: Bitext, config: Config, log: Log) -> Translator:
    torch.manual_seed(seed)
    source, target = text.vocabularies
    sizes = (len(source), len(target))
    model = Translator(sizes, config.embedding, config.hidden, config.dropout)
    name = translation_name(seed)
    return _train(model, text.train, text.valid, config.train, name, seed, log)


def _train(
    model: Translator, samples: Samples, valid: Pairs, train: Train, name: str, seed: int, log: Log
) -> Translator:
    """Trained, found as trained before, or read from the weights that were given."""
    model = placed(model, train)

    def valid_perplexity(model: nn.Module) -> dict[str, float]:
        return {"perplexity/valid": perplexity(model, valid)}

    return obtain(
        Training(
            model,
            samples,
            objective,
            torch.optim.Adam(model.parameters(), lr=train.lr, fused=True),
            train,
            seed=seed,
            evaluate=valid_perplexity,
        ),
        name=name,
        params={"task": name.split("-")[0], "seed": seed, "optimiser": "Adam", "lr": train.lr},
        log=log,
    )
