"""The examination of a model against loops over samples and models with planted noises."""

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard, svdvals
from scipy.stats import entropy
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor, nn
from torch.nn import functional as F

from research.data import Split
from research.methods import universality
from research.methods.perturbations import random_signs
from research.methods.samples import (
    Samples,
    halves,
)
from research.methods.universality import (
    Battery,
    battery,
    over_models,
    share_of,
    shortfall,
    summary,
)
from research.records import Cell, Number, Table

EPS = 0.1


class Doors(nn.Module):
    """A pattern of signs opens each code's door: a noise falls that agrees with 85 % of it.

    The first pixels are the code, one of them 1, the others show the noise. The logits are 10 for
    the code's class, and for one class more 3 + 10 · pattern · noise / (pixels · eps), by the
    code's pattern. No noise is as near as that to two orthogonal patterns.

    Arguments:
        patterns: signs (codes, pixels).
        owners: the class of each code, (codes,).
    """

    def __init__(self, patterns: Tensor, owners: Tensor) -> None:
        super().__init__()
        self.patterns, self.owners = patterns, F.one_hot(owners).float()

    def forward(self, images: Tensor) -> Tensor:
        flat, codes = images.flatten(1), len(self.patterns)
        code, shown = flat[:, :codes], flat[:, codes:]
        near = (shown - 0.5) @ self.patterns.T / (EPS * self.patterns.shape[1])
        which = (20 * code).softmax(1)  # a noise of 0.1 makes no other code of it
        fallen = 3 + 10 * (which * near).sum(1, keepdim=True)
        return torch.cat([10 * which @ self.owners, fallen], 1)

    def samples(self, codes: Tensor) -> Samples:
        order = torch.Generator().manual_seed(int(codes.sum()))
        shown = 0.49 + 0.02 * torch.rand(len(codes), self.patterns.shape[1], generator=order)
        flat = torch.cat([F.one_hot(codes, len(self.patterns)), shown], 1)
        return Samples(flat[:, None, None], self.owners[codes].argmax(1))


def examined(patterns: Tensor, owners: Tensor, crafted: Tensor, judged: Tensor) -> Battery:
    model = Doors(patterns, owners)
    sets = model.samples(crafted), model.samples(judged)
    return battery(model, *sets, EPS, classes=4, cells=12, random=20, deepfool=8)


def test_one_pattern_for_all_is_universal_and_found() -> None:
    pattern = random_signs(1, (256,), 1, seed=0)
    codes = torch.arange(40) % 4
    found = examined(pattern.expand(4, -1), torch.arange(4), codes, codes)
    assert found.verdict == "universal"
    for name in ("mean", "first"):
        assert torch.equal(found.deltas[name][0, 0, 4:], EPS * pattern[0])
    by_ascent = found.deltas["gradient"][0, 0, 4:]  # which ends where all samples have fallen
    assert torch.equal(by_ascent.sign(), pattern[0])
    assert torch.equal(found.deltas["first-"], -found.deltas["first"])
    best = found.numbers["fooling_best"]
    assert (best.value, best.n) == (1, 40)
    assert found.numbers["fooling_random_max"].value == 0
    assert found.numbers["cosine_between"].value > 0.95
    assert found.numbers["energy_first"].value > 0.95 > found.numbers["energy_first_random"].value


def test_a_pattern_for_each_class_is_class_universal() -> None:
    patterns, codes = torch.from_numpy(hadamard(256)[1:5]).float(), torch.arange(40) % 4
    found = examined(patterns, torch.arange(4), codes, codes)
    assert found.verdict == "class-universal"
    rates = {name: found.numbers[f"fooling_{name}"].value for name in ("own", "class", "within")}
    assert rates == {"own": 1, "class": 1, "within": 1}
    assert found.numbers["fooling_between"].value == 0
    assert found.numbers["fooling_best"].value <= 0.25
    assert np.array_equal(found.arrays["blocks"], np.eye(4))


def test_a_pattern_for_each_sample_is_not_universal() -> None:
    patterns = random_signs(80, (256,), 1, seed=0)
    found = examined(patterns, torch.arange(80) % 4, torch.arange(40), torch.arange(40, 80))
    assert found.verdict == "not universal"
    assert found.numbers["fooling_own"].value == 1
    assert found.numbers["fooling_class"].value < 0.1
    assert found.numbers["fooling_best"].value < 0.1


def test_the_best_noise_is_chosen_without_the_held_out_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One noise fools the crafted samples only, the other the held-out ones only."""
    patterns = torch.from_numpy(hadamard(256)[1:3]).float()
    planted = torch.cat([torch.zeros(2, 2), EPS * patterns], 1)[:, None, None]
    both = {"crafted only": planted[0], "held out only": planted[1]}
    monkeypatch.setattr(universality, "_candidates", lambda *_: both)
    codes = torch.zeros(20, dtype=torch.long)
    found = examined(patterns, torch.tensor([0, 0]), codes, codes + 1)
    seen, held = ([cell.value for cell in found.candidates.column(name) if isinstance(cell, Number)]
                  for name in ("crafted", "held_out"))  # fmt: skip
    assert (seen, held) == ([1, 0], [0, 1])
    assert found.numbers["fooling_best"].value == 0
    assert found.verdict == "not universal"


# --- numbers against loops over single images ----------------------------------------------------


def tiny() -> nn.Module:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(96, 3)
    )
    probe = torch.rand(500, 1, 6, 6)
    bias = model[4].bias
    assert isinstance(bias, Tensor)
    bias.data -= model.eval()(probe).detach().mean(0)
    return model


MODEL = tiny()
"""Of random weights, with three classes about equally frequent on random images."""


@pytest.fixture(scope="module")
def sets() -> tuple[Samples, Samples]:
    order = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 1, 6, 6), generator=order, dtype=torch.uint8)
    with torch.no_grad():
        labels = MODEL(images / 255).argmax(1)
    return halves(MODEL, Split(images, labels), 40, 90)


def examine(model: nn.Module, sets: tuple[Samples, Samples]) -> Battery:
    return battery(model, *sets, EPS, classes=3, cells=25, random=25, deepfool=5, seed=4)


@pytest.fixture(scope="module")
def found(sets: tuple[Samples, Samples]) -> Battery:
    return examine(MODEL, sets)


def slow_gradient(image: Tensor, label: Tensor) -> Tensor:
    model = tiny().double().eval()
    pixels = image.double()[None].requires_grad_()
    [gradient] = torch.autograd.grad(F.cross_entropy(model(pixels), label[None]), pixels)
    return gradient[0]


@pytest.fixture(scope="module")
def gradients(sets: tuple[Samples, Samples]) -> tuple[list[Tensor], list[Tensor]]:
    first, second = ([slow_gradient(*pair) for pair in zip(*half, strict=True)] for half in sets)
    return first, second


def fools(noise: Tensor, image: Tensor) -> bool:
    with torch.no_grad():
        clean, attacked = (MODEL(x[None]).argmax() for x in (image, (image + noise).clamp(0, 1)))
    return bool(clean != attacked)


def share(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def test_rates_are_those_of_single_images(
    found: Battery,
    sets: tuple[Samples, Samples],
    gradients: tuple[list[Tensor], list[Tensor]],
) -> None:
    crafted, judged = sets
    noises, own = ([EPS * g.sign().float() for g in half] for half in gradients)
    labels = judged.labels.tolist()
    of_class = {y: EPS * torch.stack([n for n, z in zip(noises, crafted.labels, strict=True)
                                      if z == y]).sum(0).sign() for y in range(3)}  # fmt: skip
    random = [share(fools(noise, image) for image in judged.images)
              for noise in random_signs(25, (1, 6, 6), EPS, 5)]  # fmt: skip
    cells = {
        (i, j): fools(noises[i], judged.images[j])
        for i, j in itertools.product(range(25), repeat=2)
    }
    same = {(i, j): bool(crafted.labels[i] == labels[j]) for i, j in cells}
    expected = {
        "own": share(map(fools, own, judged.images)),
        "class": share(fools(of_class[y], x) for x, y in zip(judged.images, labels, strict=True)),
        "cross": share(cells.values()),
        "within": share(hit for cell, hit in cells.items() if same[cell]),
        "between": share(hit for cell, hit in cells.items() if not same[cell]),
        "random_p95": sorted(random)[23],  # the 24th of 25: no interpolation
        "random_max": max(random),
    }
    for name, value in expected.items():
        assert found.numbers[f"fooling_{name}"].value == pytest.approx(value), name
    assert found.arrays["random"].tolist() == pytest.approx(random)
    assert min(expected.values()) > 0 and max(expected.values()) < 1
    assert expected["random_p95"] < expected["random_max"]
    low, high = proportion_confint(round(90 * expected["own"]), 90, method="wilson")
    assert found.numbers["fooling_own"].bounds == pytest.approx((low, high))
    block = [hit for (i, j), hit in cells.items() if crafted.labels[i] == 2 and labels[j] == 0]
    assert found.arrays["blocks"][2, 0] == pytest.approx(share(block))


def test_the_geometry_is_that_of_a_double_loop(
    found: Battery, sets: tuple[Samples, Samples], gradients: tuple[list[Tensor], list[Tensor]]
) -> None:
    raw = np.array([g.flatten().numpy() for g in gradients[0]])
    signs, labels = np.sign(raw), sets[0].labels.tolist()
    cells: dict[str, list[float]] = {}
    for (i, a), (j, b) in itertools.permutations(enumerate(labels), 2):
        kind = "within" if a == b else "between"
        for name, rows in (("cosine", signs), ("gradient_cosine", raw)):
            x, y = rows[i], rows[j]
            cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
            cells.setdefault(f"{name}_{kind}", []).append(cosine)
        cells.setdefault(f"sign_agreement_{kind}", []).append(np.mean(signs[i] == signs[j]))
        cells.setdefault(f"block_{a}{b}", []).append(cells[f"cosine_{kind}"][-1])
    for name in ("cosine", "gradient_cosine", "sign_agreement"):
        for kind in ("within", "between"):
            number = found.numbers[f"{name}_{kind}"]
            assert number.value == pytest.approx(np.mean(cells[f"{name}_{kind}"]), abs=1e-6)
            assert number.bounds and number.bounds[0] < number.value < number.bounds[1]
    for a, b in itertools.product(range(3), repeat=2):
        assert found.arrays["cosines"][a, b] == pytest.approx(np.mean(cells[f"block_{a}{b}"]))
    assert found.numbers["null_sd"].value == pytest.approx(1 / 6)


def test_zeros_agree_with_nothing() -> None:
    signs = torch.tensor([[1.0, 0, -1, 1], [1, 0, 1, 0], [0, 0, -1, 1]])
    expected = [[0.75, 0.25, 0.5], [0.25, 0.5, 0], [0.5, 0, 0.5]]
    assert universality.agreement_matrix(signs).tolist() == expected


def test_the_spectrum_is_that_of_scipy(
    found: Battery, gradients: tuple[list[Tensor], list[Tensor]]
) -> None:
    signs = np.array([g.sign().flatten().numpy() for g in gradients[0]])
    random = random_signs(40, (36,), 1, seed=4).numpy().astype(float)
    for suffix, rows in (("", signs), ("_random", random)):
        values = svdvals(rows)
        squares = values**2 / (values**2).sum()
        assert np.allclose(found.arrays[f"energy{suffix}"], np.cumsum(squares))
        assert found.numbers[f"energy_first{suffix}"].value == pytest.approx(squares[0])
        rank = np.exp(entropy(values))
        assert found.numbers[f"effective_rank{suffix}"].value == pytest.approx(rank, rel=1e-6)


def test_candidates_are_tested_against_the_best_random_noise(
    found: Battery, sets: tuple[Samples, Samples]
) -> None:
    crafted, judged = sets
    random = random_signs(25, (1, 6, 6), EPS, 5)
    hits = [np.array([fools(noise, x) for x in judged.images]) for noise in random]
    against = hits[int(found.arrays["random"].argmax())]
    assert against.mean() == max(h.mean() for h in hits)
    seen, held, p = {}, {}, []
    for name, noise in found.deltas.items():
        assert noise.abs().max() <= EPS * (1 + 1e-6)
        seen[name] = share(fools(noise, x) for x in crafted.images)
        flags = np.array([fools(noise, x) for x in judged.images])
        held[name] = flags.mean()
        counts = [[(f & a).sum() for a in (against, ~against)] for f in (flags, ~flags)]
        p.append(mcnemar(counts, exact=True).pvalue)
    adjusted = multipletests(p, method="holm")[1]
    assert found.candidates.column("candidate") == (
        "mean",
        "first",
        "first-",
        "gradient",
        "deepfool",
    )
    for row, value in zip(found.candidates.rows, adjusted, strict=True):
        candidate, on_crafted, on_held_out, found_p = row
        assert isinstance(on_crafted, Number) and isinstance(on_held_out, Number)
        assert on_crafted.value == pytest.approx(seen[str(candidate)])
        assert on_held_out.value == pytest.approx(held[str(candidate)])
        assert found_p == pytest.approx(value)
    assert min(adjusted) < 0.2 < max(adjusted)
    assert found.numbers["fooling_best"].value == held[max(seen, key=lambda name: seen[name])]


def test_model_and_random_state_are_left_as_they_were(
    found: Battery, sets: tuple[Samples, Samples]
) -> None:
    model = tiny().train()
    state, before = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    again = examine(model, sets)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(map(torch.equal, model.parameters(), before))
    assert all(p.grad is None for p in model.parameters())
    assert again.numbers == found.numbers
    assert again.candidates == found.candidates


# --- over models ---------------------------------------------------------------------------------


def made(own: float, by_class: float, p95: float, held: float, p: float) -> Battery:
    rates = {"fooling_own": own, "fooling_class": by_class, "fooling_random_p95": p95}
    row: dict[str, Cell] = {
        "candidate": "mean",
        "crafted": Number(held + 0.1),
        "held_out": Number(held),
        "p": p,
    }
    numbers = {name: Number(value) for name, value in rates.items()}
    return Battery(numbers, Table.of([row]), {}, {}, "universal")


def test_a_summary_is_of_the_first_model_and_means_over_all() -> None:
    table = summary([made(0.9, 0.4, 0.1, 0.5, 0.01), made(0.7, 0.5, 0.2, 0.1, 0.9)])
    assert table.columns == ("noise", "crafted", "held_out", "p", "seeds")
    first = {row[0]: row[1:4] for row in table.rows}
    assert first == {
        "own": (None, Number(0.9), None),
        "class": (None, Number(0.4), None),
        "mean": (Number(0.6), Number(0.5), 0.01),
        "random_p95": (None, Number(0.1), None),
    }
    expected = {
        "own": (0.8, 0.2),
        "class": (0.45, 0.1),
        "mean": (0.3, 0.4),
        "random_p95": (0.15, 0.1),
    }
    for row in table.rows:
        mean, distance = expected[str(row[0])]
        seeds = row[4]
        assert isinstance(seeds, Number)
        assert seeds.n == 2
        assert seeds.value == pytest.approx(mean)
        # two repetitions have no interval: both values are told
        ends = mean - distance / 2, mean + distance / 2
        assert seeds.half_width is None and (seeds.low, seeds.high) == pytest.approx(ends)
    alone = summary([made(0.9, 0.4, 0.1, 0.5, 0.01)]).column("seeds")
    assert alone[0] == Number(0.9, values=(0.9,), range=(0, 1))


def test_verdicts_are_counted() -> None:
    assert (
        share_of(["universal", "class-universal", "not universal", "universal"], "universal") == 0.5
    )
    assert share_of(["universal", "class-universal"], "universal", "class-universal") == 1
    assert share_of(["not universal"], "universal") == 0


@pytest.mark.parametrize(
    ("crafted", "judged", "classes", "said"),
    [(40, 90, 3, ""),
     (41, 90, 3, "are made on 40 instead of 41 samples and judged on 90 instead of 90 (the least"),
     (40, 91, 3, "judged on 90 instead of 91 (the least of 2 models)"),
     (40, 90, 4, "instead of 90 of 3 of the 4 classes (the least")],
)  # fmt: skip
def test_what_is_lacking_is_said_in_a_sentence(
    found: Battery, crafted: int, judged: int, classes: int, said: str
) -> None:
    more = dataclasses.replace(found, numbers=found.numbers | {"crafted": Number(60)})
    text = shortfall([more, found], crafted, judged, classes, "The network")
    assert said in text and bool(text) == bool(said)
    assert over_models([more, found])["crafted_least"].value == 40
