"""What the study `cnn` measures."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from research.data import Dataset, Split, batches
from research.methods.classification import scores
from research.methods.distances import (
    ClassDistances,
    Metric,
    class_distances,
    pairwise,
    percentiles,
)
from research.methods.embedding import (
    fisher_ratio,
    knn_preservation,
    nearest_centroid_accuracy,
    silhouettes,
    trustworthiness,
    tsne,
    varies,
)
from research.methods.resampling import percentile_interval, resamples
from research.methods.statistics import (
    claim_of,
    claim_pairs,
    mcnemar,
    over_seeds,
    paired,
)
from research.models import CnnA, count_parameters
from research.models.inference import predict
from research.records import Array, Cell, Claim, Number, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.cnn.networks import embedder, encode, fresh, without_relus
from research.studies.cnn.settings import MEASURED, METRICS, Config, Encode, Models
from research.tracking import Log
from research.training.loop import placed

# --- how well the networks classify --------------------------------------------------------------


def measure_arms(models: Models, data: Dataset, log: Log) -> None:
    """Test scores of both arms, what the ReLU on the logits costs, and dropout left on."""
    test = data.test
    logits = {arm: [predict(model, test) for model in group] for arm, group in models.items()}
    measured = {arm: [scores(out, test.labels) for out in group] for arm, group in logits.items()}
    rows: list[dict[str, Cell]] = []
    for arm, group in measured.items():
        accuracy, loss = (
            over_seeds([run[f"{name}/test"] for run in group], unit, known)
            for name, unit, known in (("accuracy", "", SHARE), ("loss", "nat", None))
        )
        dropped = over_seeds(
            [accuracy_with_dropout(model, test) for model in models[arm]], range=SHARE
        )
        log.number(f"accuracy_{arm}", accuracy)
        log.number(f"dropout_on_{arm}", dropped)
        row: dict[str, Cell] = {"arm": arm, "seeds": len(group), "accuracy": accuracy}
        rows.append(row | {"loss": loss, "dropout_on": dropped})
    log.table("arms", Table.of(rows))
    accuracies = {arm: [run["accuracy/test"] for run in group] for arm, group in measured.items()}
    shared = accuracies["baseline"][: len(accuracies["relu"])]
    log.number("relu_gain", paired(shared, accuracies["relu"], range=CORRELATION))
    log.claim("relu_better", claim_pairs(shared, accuracies["relu"], "greater", range=CORRELATION))
    for name, counts in zip(
        ("dead_logits", "silent_images"), zip(*map(silence, logits["relu"]), strict=True),
        strict=True,
    ):  # fmt: skip
        log.number(name, over_seeds(counts))
    log.number("parameters", count_parameters(models["baseline"][0]))
    log.number("relu_seeds", len(models["relu"]))


def silence(logits: Tensor) -> tuple[int, float]:
    """How many classes never get a positive logit, and the share of images without any."""
    zero = logits <= 0
    return int(zero.all(0).sum()), zero.all(1).double().mean().item()


def accuracy_with_dropout(model: CnnA, split: Split) -> float:
    """Test accuracy of the network in training mode, as the lecture's notebook evaluates it."""
    right = 0
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        model.train()
        for images, labels in batches(split, 512):
            right += int((model(images).argmax(1) == labels).sum())
        model.eval()
    return right / len(split)


# --- what skipping two ReLUs changes -------------------------------------------------------------


def measure_helper(models: Sequence[CnnA], test: Split, indices: Sequence[int], log: Log) -> None:
    """How far the course's helper, which skips the ReLUs behind the poolings, is off the model."""
    found: dict[str, list[float]] = {}
    for model in models:
        other = without_relus(model)
        own, theirs = (predict(embedder(one), test) for one in (model, other))
        classes = [predict(one, test).argmax(1) for one in (model, other)]
        first, second = (out[list(indices)].cpu().numpy() for out in (own, theirs))
        values = {
            "distance": ((theirs - own).norm(dim=1) / own.norm(dim=1)).median().item(),
            "cosine": cosine_similarity(own, theirs).mean().item(),
            "changed": (classes[0] != classes[1]).double().mean().item(),
            "accuracy": (classes[1] == test.labels).double().mean().item(),
            **{f"reordered_{metric}": reordered(first, second, metric) for metric in METRICS},
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    for name, runs in found.items():
        known = {"cosine": CORRELATION, "changed": SHARE, "accuracy": SHARE}.get(name)
        log.number(f"helper_{name}", over_seeds(runs, range=known))


def reordered(own: Array, theirs: Array, metric: Metric) -> float:
    """How many of the four samples' pairs take another rank by distance; both orders for ce."""
    off = ~np.eye(len(own), dtype=bool) if metric == "ce" else np.triu_indices(len(own), 1)
    ranks = [pairwise(x, x, metric)[off].argsort().argsort() for x in (own, theirs)]
    return float((ranks[0] != ranks[1]).sum())


# --- which space tells classes apart -------------------------------------------------------------


def spaces_of(models: Sequence[CnnA], config: Config) -> dict[str, list[Encode]]:
    """The spaces that are compared; of those that a network makes, one per seed."""
    untrained = [placed(fresh(seed), config.train) for seed in config.seeds]
    return {
        "pixels": [lambda split: split.floats().flatten(1).cpu().numpy()],
        "untrained": [partial(encode, embedder(model)) for model in untrained],
        "features": [
            partial(encode, nn.Sequential(model.normalise, model.features, nn.Flatten()))
            for model in models[:1]  # neighbours in 1,600 dimensions take minutes
        ],
        "trained": [partial(encode, embedder(model)) for model in models],
    }


def measure_spaces(
    spaces: Mapping[str, Sequence[Encode]], data: Dataset, config: Config, log: Log
) -> None:
    """How well distance tells classes apart in each space: over seeds, and over test images."""
    rows: list[dict[str, Cell]] = []
    metrics: list[dict[str, Cell]] = []
    right: dict[str, list[Array]] = {}
    labels = data.test.labels.cpu().numpy()
    draws = resamples(labels, config.resamples, 0)
    for name, encoders in spaces.items():
        judged = [judge(one, data, config.neighbours) for one in encoders]
        right[name] = [images["knn"] for _, images in judged]
        over_images = distances_of(name, encoders[0](data.test), data, config, log)
        over = {key: over_networks(name, key, [m[key] for m, _ in judged]) for key in judged[0][0]}
        if len(encoders) == 1:
            over |= {key: over_draws(values, draws) for key, values in judged[0][1].items()}
        first = over_images["mse"]
        rows.append(
            {"space": name, "ratio": first.ratio, **over, "p": first.p, "seeds": len(encoders)}
        )
        metrics += [{"space": name, "metric": key, **row(d)} for key, d in over_images.items()]
        log.number(f"p_{name}", first.p)
        for key, value in over.items():
            log.number(f"{key}_{name}", value)
    log.table("spaces", Table.of(rows))
    log.table("metrics", Table.of(metrics))
    log.number("p_least", 1 / (1 + config.permutations))
    compare_spaces(right, draws, log)


def over_networks(space: str, measure: str, values: Sequence[float]) -> Number:
    """The mean over networks; pixels and the number of dimensions depend on no seed."""
    if space == "pixels" or measure == "dimensions":
        return Number(values[0])
    return over_seeds(values)


def over_draws(values: Array, draws: Array) -> Number:
    """The mean over test images of one value each, with the interval over resampled images."""
    replicates = draws @ values.astype(np.float32) / len(values)
    return percentile_interval(float(values.mean()), replicates, n=len(values))


def judge(one: Encode, data: Dataset, neighbours: int) -> tuple[dict[str, float], dict[str, Array]]:
    """What a space says about class, and of what is a mean over test images, each image's part."""
    reference, vectors = one(data.train), one(data.test)
    known, truth = (split.labels.cpu().numpy() for split in (data.train, data.test))
    model = KNeighborsClassifier(neighbours, algorithm="brute").fit(reference, known)
    right = model.predict(vectors) == truth
    widths = silhouettes(vectors, truth)
    plain = class_distances(vectors, truth, "mse", resamples=1, permutations=1, bins=1000)
    measures = {
        "dimensions": float(vectors.shape[1]),
        "ratio_seeds": plain.ratio.value,
        "auroc": auroc(plain),
        "fisher": fisher_ratio(vectors, truth),
        "silhouette": float(widths.mean()),
        "knn": float(right.mean()),
        "centroid": nearest_centroid_accuracy(reference, known, vectors, truth),
    }
    return measures, {"knn": right, "silhouette": widths}


def auroc(distances: ClassDistances) -> float:
    """The chance that a pair of one class is closer than one of two classes; ½ by guessing."""
    intra, inter = (
        density * np.diff(distances.bins)
        for density in (distances.intra_density, distances.inter_density)
    )
    return float((inter * (intra.cumsum() - intra / 2)).sum())


def distances_of(
    name: str, vectors: Array, data: Dataset, config: Config, log: Log
) -> dict[Metric, ClassDistances]:
    """All pairs of test images in one space, by each of its metrics; logs their distributions."""
    found = {
        metric: class_distances(
            vectors, data.test.labels.cpu().numpy(), metric, bins=1000,
            resamples=config.resamples, permutations=config.permutations,
        )
        for metric in MEASURED[name]
    }  # fmt: skip
    for metric, one in found.items():
        log.arrays(
            f"distances_{name}_{metric}",
            bins=one.bins, intra=one.intra_density, inter=one.inter_density, means=one.means,
            mean_intra=np.array(one.intra.value), classes=np.array(data.classes),
        )  # fmt: skip
        log.number(f"ratio_{name}_{metric}", one.ratio)
        log.number(f"auroc_{name}_{metric}", auroc(one))
    pair = [data.class_index(one) for one in config.pair]
    log.number(f"pair_rank_{name}", rank_of(found["mse"].means, *pair))
    return found


def rank_of(means: Array, first: int, second: int) -> int:
    """How many pairs of different classes are as far apart as this one or farther, itself among
    them. means: (C, C), symmetric"""
    between = means[np.triu_indices(len(means), 1)]
    return int((between >= means[first, second]).sum())


def row(distances: ClassDistances) -> dict[str, Cell]:
    """One line of the table of metrics."""
    return {
        "intra": distances.intra, "inter": distances.inter, "ratio": distances.ratio,
        "auroc": auroc(distances),
    }  # fmt: skip


def compare_spaces(right: Mapping[str, Sequence[Array]], draws: Array, log: Log) -> None:
    """By how much neighbours in the trained embedding judge better than neighbours in pixels."""
    first = {name: flags[0].astype(np.float32) for name, flags in right.items()}
    pixels, trained = right["pixels"][0], right["trained"][0]
    gain = over_draws(first["trained"] - first["pixels"], draws)
    p = mcnemar(pixels, trained)
    log.number("knn_gain", gain)
    test = "McNemar's exact test, bootstrap interval over images"
    log.claim("embedding_better", Claim(gain, p, len(pixels), test))
    pairs = {"features": ("features", "trained"), "architecture": ("pixels", "untrained")}
    for name, (before, after) in pairs.items():
        effect = over_draws(first[after] - first[before], draws)
        test_p = mcnemar(right[before][0], right[after][0])
        log.number(f"knn_gain_{name}", effect)
        log.claim(f"{after}_better_than_{before}", Claim(effect, test_p, len(pixels), test))
    log.number("knn_p", p)
    log.number("only_pixels_right", int((pixels & ~trained).sum()))
    log.number("only_trained_right", int((trained & ~pixels).sum()))
    rates = {name: [float(flags.mean()) for flags in runs] for name, runs in right.items()}
    gains = {
        "seeds": paired(
            rates["pixels"][:1] * len(rates["trained"]), rates["trained"], range=CORRELATION
        ),
        "untrained": paired(rates["untrained"], rates["trained"], range=CORRELATION),
    }
    for name, over in gains.items():
        log.number(f"knn_gain_{name}", over)
    log.claim("embedding_better_over_seeds", claim_of(gains["seeds"], "greater"))
    log.claim("training_helps", claim_of(gains["untrained"], "greater"))
    low, high = (100 * end for end in gain.bounds or (gain.value, gain.value))
    log.finding(
        f"Nearest neighbours classify {rates['trained'][0]:.2%} of the test images rightly in the "
        f"trained embedding and {rates['pixels'][0]:.2%} in pixels (first seed): a difference of "
        f"{100 * gain.value:+.2f} [{low:.2f}, {high:.2f}] points (95 % bootstrap over test "
        f"images), exact McNemar p = {p:.2g}."
    )


# --- the four samples of the assignment ----------------------------------------------------------


def measure_pairs(
    spaces: Mapping[str, Sequence[Encode]], data: Dataset, indices: Sequence[int], log: Log
) -> None:
    """The six pairs of the four samples, and where each stands among all pairs of its kind."""
    test, labels = data.test, data.test.labels.cpu().numpy()
    pairs = list(combinations(range(len(indices)), 2))
    same = [bool(labels[indices[i]] == labels[indices[j]]) for i, j in pairs]
    values: dict[str, list[float]] = {}
    places: dict[str, list[float]] = {}
    for name in ("pixels", "untrained", "trained"):
        vectors = spaces[name][0](test)
        four = vectors[list(indices)]
        for metric in MEASURED[name]:
            table = pairwise(four, four, metric)
            ways = {"": pairs} | ({"_back": [(j, i) for i, j in pairs]} if metric == "ce" else {})
            for way, ends in ways.items():
                found = [float(table[i, j]) for i, j in ends]
                key = f"{name}_{metric}{way}"
                queries = list(zip(found, same, strict=True))
                values[key] = found
                places[key] = percentiles(vectors, labels, metric, queries)
    log.arrays("pairs", same=np.array(same), **{k: np.array(v) for k, v in values.items()})
    log.table("pairs", Table.of([
        {
            "images": f"{indices[i]}, {indices[j]}",
            "classes": ", ".join(data.classes[labels[indices[end]]] for end in (i, j)),
        }
        | {key: values[key][n] for key in values}
        | {f"{key}_place": places[key][n] for key in values}
        for n, (i, j) in enumerate(pairs)
    ]))  # fmt: skip
    for name in ("pixels", "trained"):
        margins = [margin(one(test)[list(indices)], same) for one in spaces[name]]
        log.number(f"parted_{name}", float(np.mean([one > 1 for one in margins])))
        log.number(f"margin_{name}", over_networks(name, "margin", margins))
    classes = len(data.classes)
    log.number("class_pairs", classes * (classes - 1) // 2)


def margin(four: Array, same: Sequence[bool]) -> float:
    """Least distance of two classes over the largest of one, by mse; above 1 the classes part."""
    distances = pairwise(four, four, "mse")[np.triu_indices(len(four), 1)]
    inside = np.array(same)
    return float(distances[~inside].min() / max(distances[inside].max(), 1e-300))


# --- maps ----------------------------------------------------------------------------------------


def measure_maps(vectors: Array, data: Dataset, config: Config, log: Log) -> None:
    """Maps of the embedding at several perplexities, and how far each may be trusted.

    None where all embeddings are one point.
    """
    chosen = np.random.default_rng(0).permutation(len(vectors))[: config.map_points]
    if not varies(vectors[chosen]):
        return
    rows: list[dict[str, Cell]] = []
    maps: dict[str, Array] = {}
    for perplexity in config.perplexities:
        points = maps[f"perplexity{perplexity}"] = tsne(
            vectors[chosen], perplexity=perplexity, jobs=1
        )
        rows.append({
            "perplexity": perplexity,
            "trustworthiness": trustworthiness(vectors[chosen], points, config.neighbours),
            "preservation": knn_preservation(vectors[chosen], points, config.neighbours),
        })  # fmt: skip
    labels = data.test.labels.cpu().numpy()[chosen]
    log.arrays("maps", labels=labels, classes=np.array(data.classes), **maps)
    log.table("maps", Table.of(rows))
    log.number("map_points", len(chosen))
