"""Measures of reconstructions, of features and of sentences on a device, against the CPU."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from research.config import Train
from research.data import Split, pixel_std
from research.data.sequences import PAD, Copying, Pairs
from research.methods import reconstruction
from research.methods.classification import report, scores
from research.methods.distances import class_distances
from research.methods.embedding import knn_accuracy
from research.methods.near_duplicates import found_copies, nearest
from research.methods.probes import coordinates, products
from research.methods.translation import attention, beam, greedy, objective, perplexity, translate
from research.models import CnnA, Translator
from research.models.inference import predict
from research.training.loop import placed

pytestmark = pytest.mark.cuda


def test_reconstructions_are_measured_as_on_the_cpu(pictures: Split, device: str) -> None:
    images = pictures.floats()
    order = torch.Generator().manual_seed(0)
    rebuilt = (images + 0.1 * torch.randn(images.shape, generator=order)).clamp(0, 1)
    wanted = reconstruction.measure(images, rebuilt)
    found = reconstruction.measure(images.to(device), rebuilt.to(device))
    assert found.keys() == wanted.keys() == {"bce", "mse", "psnr", "ssim"}
    for name, values in wanted.items():
        assert found[name].device.type == "cpu"
        assert torch.allclose(found[name], values, rtol=1e-4, atol=1e-6), name
    residual = rebuilt - images
    here, there = (reconstruction.spectrum(one).cpu() for one in (residual, residual.to(device)))
    assert torch.allclose(there, here, rtol=1e-6)
    energies = [reconstruction.checkerboard_energy(one) for one in (residual, residual.to(device))]
    assert energies[1] == pytest.approx(energies[0], rel=1e-6)


def test_answers_and_embeddings_are_judged_as_on_the_cpu(digits: Split, device: str) -> None:
    labels, results = digits.labels.numpy(), []
    for where in ("cpu", device):
        torch.manual_seed(0)
        model, split = placed(CnnA(), Train(device=where)), digits.to(where)
        logits = predict(model, split)
        vectors = predict(torch.nn.Sequential(model.normalise, model.features, model.neck), split)
        codes = vectors.cpu().numpy()
        half = len(labels) // 2
        apart = class_distances(codes, labels, "cosine", resamples=20, permutations=20)
        results.append({
            **scores(logits, split.labels),
            "loss": report(labels, logits.cpu().numpy()).loss,
            "knn": knn_accuracy(codes[:half], labels[:half], codes[half:], labels[half:], 5),
            "ratio": apart.ratio.value, "p": apart.p, "std": pixel_std(split),
        })  # fmt: skip
    wanted, found = results
    shares = ("accuracy/test", "knn")
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=0.011 * (name in shares)), name


def test_features_of_probes_span_what_they_span_on_the_cpu(pictures: Split, device: str) -> None:
    first, second = (
        Split(pictures.images[a], pictures.labels[a]) for a in (slice(20), slice(20, 50))
    )

    def encode(images: Tensor) -> dict[str, Tensor]:
        return {"pixels": images, "squares": images.square()}

    wanted = products(encode, first, second, batch=16)
    found = products(encode, first.to(device), second.to(device), batch=16)
    for layer, inner in wanted.items():
        for one, two in zip(inner, found[layer], strict=True):
            assert np.allclose(one, two, atol=1e-6)
        for one, two in zip(coordinates(inner), coordinates(found[layer]), strict=True):
            assert np.allclose(one @ one.T, two @ two.T, atol=1e-5)


def test_near_duplicates_are_those_of_the_cpu(pictures: Split, device: str) -> None:
    some = pictures.images[:40]
    others = torch.cat([some.flip(3)[:5], pictures.images[40:]])
    wanted, found = nearest(some, others), nearest(some.to(device), others.to(device))
    assert torch.allclose(found.correlations.cpu(), wanted.correlations, atol=1e-5)
    clear = wanted.correlations > 0.9
    assert torch.equal(found.images.cpu()[clear], wanted.images[clear])
    shares, there = found_copies(some, 0.95), found_copies(some.to(device), 0.95)
    assert there == pytest.approx(shares, abs=0.051)


# --- sentences -----------------------------------------------------------------------------------


def translator(device: str) -> Translator:
    torch.manual_seed(5)
    model = Translator((13, 13), 16, 24, 0.0)
    for weight in model.parameters():
        weight.data.mul_(2)  # surer words
    return placed(model, Train(device=device))


@pytest.fixture
def pairs() -> Pairs:
    """Sentences of different lengths, padded."""
    order = torch.Generator().manual_seed(0)
    drawn = Copying(count=40, length=8).draw(order)
    lengths = torch.randint(3, 9, (40, 1), generator=order)
    target = torch.cat([drawn.target[:, :1], drawn.target[:, 1:] + 2], 1)
    return Pairs(
        (drawn.source + 2).masked_fill(torch.arange(8) >= lengths, PAD),
        target.masked_fill(torch.arange(9) > lengths, PAD),
    )


def test_losses_and_perplexities_of_sentences_are_those_of_the_cpu(
    pairs: Pairs, device: str
) -> None:
    here, there = translator("cpu"), translator(device)
    moved = pairs.to(device)
    losses = [objective(m, *p) for m, p in ((here, (pairs.source, pairs.target)),
                                            (there, (moved.source, moved.target)))]  # fmt: skip
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-4)
    for one, two in zip(here.parameters(), there.parameters(), strict=True):
        assert one.grad is not None and two.grad is not None
        scale = float(one.grad.abs().max())
        assert torch.allclose(two.grad.cpu(), one.grad, rtol=1e-3, atol=1e-4 * scale)
    found = perplexity(there, moved, 16)
    assert math.isfinite(found) and found == pytest.approx(perplexity(here, pairs, 16), rel=1e-4)
    for mine, other in zip(attention(here, pairs, 16), attention(there, moved, 16), strict=True):
        assert mine.shape == other.shape and np.allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("width", [1, 4])
def test_decoding_gives_the_sentences_of_the_cpu(width: int, pairs: Pairs, device: str) -> None:
    here, there = translator("cpu"), translator(device)
    words, values = beam(here, pairs.source, width, 10)
    others, found = beam(there, pairs.source.to(device), width, 10)
    assert torch.allclose(found.cpu(), values, rtol=1e-3, atol=1e-3)
    equal = [a == b for a, b in zip(
        translate(here, pairs, width, 10), translate(there, pairs.to(device), width, 10),
        strict=True)]  # fmt: skip
    assert np.mean(equal) > 0.95
    if width == 1:
        assert torch.equal(greedy(here, pairs.source, 10)[0], words)
        assert torch.equal(greedy(there, pairs.source.to(device), 10)[0], others)
