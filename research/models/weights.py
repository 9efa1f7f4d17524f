"""Weights as safetensors files: ours say which model they belong to, a user's may be wrapped."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from research.errors import UserError
from research.records import damage


def count_parameters(model: nn.Module) -> int:
    """The number of a model's trainable and frozen parameters; buffers do not count.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in model.parameters())


def save_weights(path: Path, model: nn.Module, name: str) -> None:
    """Writes safetensors with the model's class, its configuration and `name` inside.

    Equal weights under an equal name give equal bytes.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> model, copy = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.safetensors")
        ...     save_weights(path, model, "seed 0")
        ...     load_weights(path, copy)
        ...     weights_metadata(path)["name"]
        'seed 0'
        >>> bool((copy.weight == model.weight).all())
        True
    """
    metadata = {
        "model": type(model).__name__,
        "config": json.dumps(getattr(model, "config", {}), sort_keys=True),
        "name": name,
    }
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    for same in _tied(state):
        for name in same[1:]:  # the format holds no tensor under two names
            state[name] = state[name].clone()
    with damage.written(path):
        save_file(state, path, metadata)
        _sort_header(path)


def _sort_header(path: Path) -> None:
    """Puts the names in the header of a safetensors file in order: the library's is random.

    Its length, eight bytes at the beginning, stays the same.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        ordered = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        file.seek(8)
        file.write(ordered.encode().ljust(length))


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
        UserError: the weights belong to another model, or are not finite.
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
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    _check_finite(state, path)
    model.load_state_dict(state)


# --- a network of the user's ---------------------------------------------------------------------

_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What DataParallel, torch.compile and their like put into names, at the front or further in."""


def fill(model: nn.Module, path: Path) -> list[str]:
    """Reads the weights of a network that the user made, which wrappers may have renamed.

    Returns:
        What was done beside reading, a line each: prefixes taken off, tensors passed over.

    Raises:
        UserError: the file cannot be read, holds the weights of another network or of several, or
            values that are not finite.
    """
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"--weights {path} must be a safetensors file of the model's weights, got one that "
            f"cannot be read ({' '.join(str(error).split())[:160]}); "
            "write it by safetensors.torch.save_file(model.state_dict(), FILE)"
        ) from None
    own = model.state_dict()
    state, told = _named_as(own, stored, path)
    _check_finite(state, path)
    lacking = _lacking(own, state, path)
    odd = [
        f"{name} is {_size(state[name])} in the file and {_size(own[name])} in the network"
        for name in state
        if not is_lazy(own[name]) and state[name].shape != own[name].shape
    ]
    if lacking or odd:
        _refuse(path, [*odd, *(f"{name} is not in the file" for name in lacking)])
    model.load_state_dict(state, strict=False)
    return [f"--weights {path.name}: {line}" for line in told]


def _named_as(
    own: Mapping[str, Tensor], stored: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The stored tensors by the network's own names, and what was done to get there."""
    if stored.keys() <= own.keys():
        return dict(stored), []
    names, files = _unwrapped(own), _unwrapped(stored)
    prefixes = _prefixes(names, files)
    if len(prefixes) > 1:
        listed = ", ".join(f"'{prefix}'" for prefix in prefixes)
        raise UserError(f"--weights {path} must hold one network, got several: {listed}; keep one")
    around = [] if prefixes else _prefixes(files, names)
    if len(around) == 1:
        return _put_before(around[0], names, files, stored)
    prefix = prefixes[0] if prefixes else ""
    inside = {name for name in files if name.startswith(prefix)}
    strange = [files[name] for name in sorted(inside) if name.removeprefix(prefix) not in names]
    if strange or not prefixes:
        missing = [name for name in own if name not in stored]
        _refuse(path, [f"{name} is not in the network" for name in strange or sorted(stored)],
                [f"{name} is not in the file" for name in missing])  # fmt: skip
    state = {
        names[name.removeprefix(prefix)]: stored[files[name]] for name in files if name in inside
    }
    return state, _renamed(state, stored, [files[name] for name in files if name not in inside])


def _put_before(
    prefix: str, names: Mapping[str, str], files: Mapping[str, str], stored: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """The network is the wrapper: its names begin with what the file's lack."""
    state = {names[prefix + name]: stored[files[name]] for name in files if prefix + name in names}
    return state, [f"'{prefix}' is put before its names"]


def _renamed(
    state: Mapping[str, Tensor], stored: Mapping[str, Tensor], over: list[str]
) -> list[str]:
    found = {id(tensor): name for name, tensor in stored.items()}
    name, tensor = next(iter(state.items()))
    former = found[id(tensor)]
    prefix = former.removesuffix(name)
    what = f"the prefix '{prefix}' is" if former == prefix + name else "the names of wrappers are"
    lines = [f"{what} taken off its names: {former} is {name}"]
    return [*lines, f"{len(over)} other tensors are passed over, as {over[0]}"] if over else lines


def _unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Name without what wrappers put into it -> name; as they are where two would be one."""
    names = list(names)
    plain = {".".join(p for p in name.split(".") if p not in _WRAPPERS): name for name in names}
    return plain if len(plain) == len(names) else {name: name for name in names}


def _prefixes(names: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    """What stands in a file before each name of the network, by the name that is rarest there."""
    found: list[list[str]] = []
    for name in names:
        ends = [file for file in files if file == name or file.endswith(f".{name}")]
        found.append([file.removesuffix(name) for file in ends])
    every = dict.fromkeys(prefix for some in found for prefix in some)
    return [prefix for prefix in every if all(prefix in some for some in found if some)]


def _lacking(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> list[str]:
    """Names of the network that the file gives neither under their own nor under a tied name."""
    tied = {name: same for same in _tied(own) for name in same}
    for same in _tied(own):
        given = [name for name in same if name in state]
        if any(not state[name].equal(state[given[0]]) for name in given[1:]):
            _refuse(path, [f"{' and '.join(given)} differ, which are one in the network"])
    return [name for name in own if not any(one in state for one in tied.get(name, [name]))]


def _tied(state: Mapping[str, Tensor]) -> list[list[str]]:
    """Groups of names under which a network holds the same values, two or more of each."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, tensor in state.items():
        if not is_lazy(tensor) and tensor.numel():
            groups.setdefault((tensor.data_ptr(), *tensor.shape), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in state.items():
        wrong = int((~tensor.isfinite()).sum())
        if wrong:
            raise UserError(
                f"weights must be finite numbers, {path} has {wrong} of {tensor.numel()} that are "
                f"NaN or infinite in '{name}'; give those of another epoch or run"
            )


def _size(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "a number"


def _refuse(path: Path, *why: list[str]) -> None:
    listed = "; ".join(
        "; ".join(some[:3]) + (f"; and {len(some) - 3} more" if len(some) > 3 else "")
        for some in why
        if some
    )
    raise UserError(f"--weights {path} must hold the weights of this network: {listed}")
