"""Weights as safetensors files that say which model they belong to."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from research.errors import UserError


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def save_weights(path: Path, model: nn.Module, name: str) -> None:
    """Writes safetensors with the model's class, its configuration and `name` inside."""
    metadata = {
        "model": type(model).__name__,
        "config": json.dumps(getattr(model, "config", {}), sort_keys=True),
        "name": name,
    }
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata)


def weights_metadata(path: Path) -> dict[str, str]:
    """The `model`, `config` and `name` stored by `save_weights`.

    Raises:
        UserError: the file is missing or not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"weights must be a safetensors file of a run, {path} cannot be read ({error}); "
            "give a file from a run's weights/ folder or a run id"
        ) from None
    if not {"model", "config", "name"} <= metadata.keys():
        raise UserError(
            f"weights must name their model, {path} has no model, config and name in its header; "
            "give a file from a run's weights/ folder or a run id"
        )
    return metadata


def load_weights(path: Path, model: nn.Module) -> None:
    """Reads weights into a model of the same class and configuration.

    Raises:
        UserError: the weights belong to another model.
    """
    metadata = weights_metadata(path)
    wanted = (type(model).__name__, json.dumps(getattr(model, "config", {}), sort_keys=True))
    given = (metadata["model"], metadata["config"])
    if wanted != given:
        raise UserError(
            f"{path.name} holds a {given[0]} with {given[1]}, the study needs a {wanted[0]} with "
            f"{wanted[1]}; give weights of that model"
        )
    with safe_open(path, framework="pt") as file:
        model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
