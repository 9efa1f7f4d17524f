"""Networks in files of the user's, and weights as wrappers leave them."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn

from research.errors import UserError
from research.models import load_weights, save_weights
from research.models.given import built
from research.models.weights import fill


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.c = self.a
        self.b.weight = self.a.weight


def state(kind: type[nn.Module] = Net) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: tensor.clone() for name, tensor in kind().state_dict().items()}


def filled(tmp_path: Path, stored: dict[str, Tensor], model: nn.Module) -> list[str]:
    save_file(stored, tmp_path / "w.safetensors")
    return fill(model, tmp_path / "w.safetensors")


def refused(tmp_path: Path, stored: dict[str, Tensor], model: nn.Module) -> str:
    with pytest.raises(UserError) as caught:
        filled(tmp_path, stored, model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "net.", "backbone.", "module._orig_mod.model.net."],
)
def test_the_prefix_of_a_wrapper_is_taken_off_and_told(tmp_path: Path, prefix: str) -> None:
    model, wanted = Net(), state()
    told = filled(tmp_path, {prefix + name: one for name, one in wanted.items()}, model)
    assert all(torch.equal(one, wanted[name]) for name, one in model.state_dict().items())
    assert f"the prefix '{prefix}' is taken off its names: {prefix}b" in told[0]


def test_a_wrapper_further_in_is_taken_out(tmp_path: Path) -> None:
    model, wanted = Net(), state()
    stored = {name.replace("body.", "body.module._orig_mod."): one for name, one in wanted.items()}
    told = filled(tmp_path, stored, model)
    assert all(torch.equal(one, wanted[name]) for name, one in model.state_dict().items())
    assert "the names of wrappers are taken off its names: " in told[0]


def test_a_network_whose_own_names_are_those_of_wrappers(tmp_path: Path) -> None:
    model = nn.ModuleDict({"module": Net(), "model": nn.Linear(2, 2)})
    wanted = {name: one + 1 for name, one in model.state_dict().items()}
    assert filled(tmp_path, wanted, model) == []
    assert all(torch.equal(one, wanted[name]) for name, one in model.state_dict().items())


def test_a_network_that_is_the_wrapper(tmp_path: Path) -> None:
    model, wanted = nn.ModuleDict({"net": Net()}), state()
    assert filled(tmp_path, wanted, model) == ["--weights w.safetensors: 'net.' is put before its "
                                               "names"]  # fmt: skip
    assert torch.equal(model["net"].state_dict()["head.bias"], wanted["head.bias"])


def test_what_else_a_checkpoint_holds_is_passed_over_aloud(tmp_path: Path) -> None:
    stored = {f"model.{name}": one for name, one in state().items()}
    told = filled(tmp_path, {**stored, "loss.weight": torch.ones(2)}, Net())
    assert told[1].endswith("1 other tensors are passed over, as loss.weight")
    twice = {**stored, **{f"ema.{name}": one.clone() for name, one in state().items()}}
    assert "must hold one network, got several: 'ema.', 'model.'" in refused(tmp_path, twice, Net())


def test_another_networks_weights_are_named(tmp_path: Path) -> None:
    other = state()
    del other["head.bias"]
    assert refused(tmp_path, other, Net()).endswith("network: head.bias is not in the file")
    other["tail.bias"] = torch.ones(1)
    assert "tail.bias is not in the network; head.bias is not in the f" in refused(
        tmp_path, other, Net()
    )
    other = {f"module.{name}": one for name, one in state().items()}
    other["module.head.weight"] = torch.ones(7, 4)
    assert "head.weight is 7 × 4 in the file and 2 × 4 in the network" in refused(
        tmp_path, other, Net()
    )
    assert "unrelated is not in the network; body.0.weight is not in the file; " in refused(
        tmp_path, {"unrelated": torch.ones(1)}, Net()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_named_with_its_tensor(tmp_path: Path, value: float) -> None:
    stored = state()
    stored["head.weight"][1, 2] = value
    line = refused(tmp_path, {f"module.{name}": one for name, one in stored.items()}, Net())
    assert "has 1 of 8 that are NaN or infinite in 'head.weight'" in line
    model = Net()
    model.load_state_dict(stored)
    save_weights(tmp_path / "own.safetensors", model, "own")
    with pytest.raises(UserError, match=r"1 of 8 that are NaN or infinite in 'head\.weight'"):
        load_weights(tmp_path / "own.safetensors", Net())


def test_tied_weights_are_saved_and_read(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = Tied()
    save_weights(tmp_path / "all.safetensors", model, "tied")
    stored = load_file(tmp_path / "all.safetensors")
    assert set(stored) == set(model.state_dict())
    load_weights(tmp_path / "all.safetensors", again := Tied())
    save_model(model, str(tmp_path / "once.safetensors"))  # as the format's own function does
    assert len(load_file(tmp_path / "once.safetensors")) < len(stored)
    other = Tied()
    assert fill(other, tmp_path / "once.safetensors") == []
    for one in (again, other):
        assert one.b.weight is one.c.weight, "they stay one"
        assert all(torch.equal(one.state_dict()[name], wanted) for name, wanted in stored.items())
    stored["c.weight"] = stored["c.weight"] + 1
    line = refused(tmp_path, stored, Tied())
    assert "a.weight and b.weight and c.weight differ, which are one in the network" in line
    del stored["a.weight"], stored["b.weight"], stored["c.weight"]
    assert "a.weight is not in the file" in refused(tmp_path, stored, Tied())


def test_a_file_that_is_no_safetensors_says_how_to_write_one(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"safetensors.torch.save_file\(model.state_dict\(\), FILE"):
        fill(Net(), tmp_path / "w.pt")


# --- files ---------------------------------------------------------------------------------------

LAYERS = "from torch import nn\nWIDTH = {}\nclass Own(nn.Linear):\n    pass\n"
MODEL = "from layers import Own, WIDTH\ndef Net(): return Own(WIDTH, 2)\n"


def test_a_file_finds_what_lies_beside_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before, path, finders = {*sys.modules, "colorsys"}, [*sys.path], [*sys.meta_path]
    for width in (3, 5):
        folder = tmp_path / f"repo{width}"
        (folder / "parts").mkdir(parents=True)
        (folder / "layers.py").write_text(LAYERS.format(width))
        (folder / "parts/inner.py").write_text("SIZE = 1\n")  # without an __init__.py
        sys.modules.pop("colorsys", None)
        (folder / "colorsys.py").write_text("raise RuntimeError('not the one of Python')\n")
        (folder / "net.py").write_text(f"import colorsys\nfrom parts.inner import SIZE\n{MODEL}")
        model = built(f"{folder}/net.py:Net")
        assert isinstance(model, nn.Linear) and model.in_features == width
    assert {name for name in set(sys.modules) - before if not name.startswith("_given_")} == set()
    assert sys.path == path and sys.meta_path == finders


def test_a_file_of_a_package_imports_within_it(tmp_path: Path) -> None:
    folder = tmp_path / "project/nets"
    folder.mkdir(parents=True)
    for inner in ("project", "project/nets"):
        (tmp_path / inner / "__init__.py").write_text("")
    (tmp_path / "project/layers.py").write_text(LAYERS.format(4))
    (folder / "net.py").write_text(MODEL.replace("layers", "..layers"))
    model = built(f"{folder}/net.py:Net")
    assert isinstance(model, nn.Linear) and model.in_features == 4
    assert not any(name.split(".")[0] == "project" for name in sys.modules)


def test_a_missing_neighbour_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    with pytest.raises(UserError, match="ModuleNotFoundError: No module named 'layers'"):
        built(f"{tmp_path}/net.py:Net")
