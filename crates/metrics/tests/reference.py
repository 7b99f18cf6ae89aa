"""Writes reference.json: what scikit-learn, scikit-image, NLTK and sacreBLEU say of inputs that an integer formula gives, the
same as `numbers` in reference.rs. Only the results are stored.

    pip install scikit-learn scikit-image nltk sacrebleu scipy
    python reference.py
"""

import json
import math
import pathlib
import warnings

import nltk
import numpy as np
import sacrebleu
import scipy.linalg
import skimage.metrics
import sklearn
from sklearn import calibration, metrics

warnings.filterwarnings("ignore")


def numbers(seed, n, below):
    """n integers, 0 <= x < below: a linear congruential generator's high bits."""
    state, out = seed * 2654435761 % 2**32, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 8) % below)
    return out


def plain(x):
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    x = float(x)
    return x if math.isfinite(x) else str(x)


def classes(case):
    """Labels of `classes` classes of which those in `absent` never come, some predictions right by design."""
    n, c = case["n"], case["classes"]
    truth = [t % c for t in numbers(case["seed"], n, 1000)]
    guess = [t % c for t in numbers(case["seed"] + 1, n, 1000)]
    right = numbers(case["seed"] + 2, n, 10)
    predicted = [t if r < 6 else g for t, g, r in zip(truth, guess, right)]
    truth = [case.get("only", t) for t in truth]
    truth = [0 if t in case["absent_truth"] else t for t in truth]
    predicted = [0 if p in case["absent_predicted"] else p for p in predicted]
    weight = [w / 4 for w in numbers(case["seed"] + 3, n, 9)] if case["weighted"] else None
    return truth, predicted, weight


def class_case(case):
    truth, predicted, weight = classes(case)
    labels = list(range(case["classes"]))
    out = {
        "accuracy": metrics.accuracy_score(truth, predicted, sample_weight=weight),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted, sample_weight=weight),
        "matthews": metrics.matthews_corrcoef(truth, predicted, sample_weight=weight),
    }
    for name, kind in [("cohen_kappa", None), ("cohen_kappa_linear", "linear"), ("cohen_kappa_quadratic", "quadratic")]:
        out[name] = metrics.cohen_kappa_score(truth, predicted, labels=labels, weights=kind, sample_weight=weight)
    for zero in [0.0, 1.0, np.nan]:
        of = {}
        for average in ["micro", "macro", "weighted", None]:
            options = dict(labels=labels, average=average, sample_weight=weight, zero_division=zero)
            key = average or "classes"
            of[f"precision_{key}"] = metrics.precision_score(truth, predicted, **options)
            of[f"recall_{key}"] = metrics.recall_score(truth, predicted, **options)
            for beta in [1.0, 0.5, 2.0]:
                of[f"f{beta:g}_{key}"] = metrics.fbeta_score(truth, predicted, beta=beta, **options)
            if not np.isnan(zero):
                of[f"iou_{key}"] = metrics.jaccard_score(truth, predicted, **options)
        out[f"zero_division_{zero}"] = {k: plain(v) for k, v in of.items()}
    return {k: v if isinstance(v, dict) else plain(v) for k, v in out.items()}


def curve_case(case):
    """Scores on a grid of `levels`, so that there are ties."""
    n, levels = case["n"], case["levels"]
    truth = [case.get("only", t) for t in numbers(case["seed"], n, 2)]
    noise = numbers(case["seed"] + 1, n, levels)
    score = [(min(levels - 1, x + 2 * t)) / levels for x, t in zip(noise, truth)]
    weight = [w / 4 for w in numbers(case["seed"] + 3, n, 9)] if case["weighted"] else None
    options = dict(sample_weight=weight)
    out = {}
    fpr, tpr, thresholds = metrics.roc_curve(truth, score, drop_intermediate=False, **options)
    out["fpr"], out["tpr"], out["roc_thresholds"] = fpr, tpr, thresholds
    precision, recall, thresholds = metrics.precision_recall_curve(truth, score, **options)
    out["precision"], out["recall"], out["pr_thresholds"] = precision, recall, thresholds
    out["roc_auc"] = metrics.roc_auc_score(truth, score, **options)
    out["average_precision"] = metrics.average_precision_score(truth, score, **options)
    out["log_loss"] = metrics.log_loss(truth, score, labels=[0, 1], **options)
    out["brier"] = metrics.brier_score_loss(truth, score, labels=[0, 1], pos_label=1, **options)
    if not case["weighted"]:
        for strategy in ["uniform", "quantile"]:
            if "only" in case:
                continue
            observed, predicted = calibration.calibration_curve(truth, score, n_bins=5, strategy=strategy)
            out[f"observed_{strategy}"], out[f"predicted_{strategy}"] = observed, predicted
    return {k: plain(v) for k, v in out.items()}


def many_case(case):
    """Probabilities of several classes, ties among them."""
    n, c = case["n"], case["classes"]
    truth = [t % c for t in numbers(case["seed"], n, 1000)]
    raw = np.array(numbers(case["seed"] + 1, n * c, 7), dtype=float).reshape(n, c) + 1
    for i, t in enumerate(truth):
        raw[i, t] += 2
    p = raw / raw.sum(axis=1, keepdims=True)
    weight = [w / 4 for w in numbers(case["seed"] + 3, n, 9)] if case["weighted"] else None
    labels = list(range(c))
    out = {
        "log_loss": metrics.log_loss(truth, p, labels=labels, sample_weight=weight),
        "brier": metrics.brier_score_loss(truth, p, labels=labels, sample_weight=weight),
        "roc_auc": metrics.roc_auc_score(truth, p, multi_class="ovr", average="macro", labels=labels, sample_weight=weight),
        "roc_auc_each": [metrics.roc_auc_score([int(t == k) for t in truth], p[:, k], sample_weight=weight) for k in labels],
        "average_precision": np.mean(
            [metrics.average_precision_score([int(t == k) for t in truth], p[:, k], sample_weight=weight) for k in labels]
        ),
    }
    for k in [1, 2, 3]:
        out[f"top_{k}"] = metrics.top_k_accuracy_score(truth, raw, k=k, labels=labels, sample_weight=weight)
    return {k: plain(v) for k, v in out.items()}


def regression_case(case):
    n = case["n"]
    truth = [(x - 500) / 64 + case["mean"] for x in numbers(case["seed"], n, 1000)]
    if case.get("constant"):
        truth = [case["mean"]] * n
    predicted = [t + (x - 30) / 32 for t, x in zip(truth, numbers(case["seed"] + 1, n, 100))]
    weight = [w / 4 for w in numbers(case["seed"] + 3, n, 9)] if case["weighted"] else None
    options = dict(sample_weight=weight)
    return {
        k: plain(v)
        for k, v in {
            "mse": metrics.mean_squared_error(truth, predicted, **options),
            "rmse": metrics.root_mean_squared_error(truth, predicted, **options),
            "mae": metrics.mean_absolute_error(truth, predicted, **options),
            "mape": metrics.mean_absolute_percentage_error(truth, predicted, **options),
            "r2": metrics.r2_score(truth, predicted, **options),
            "explained_variance": metrics.explained_variance_score(truth, predicted, **options),
        }.items()
    }


def cluster_case(case):
    n = case["n"]
    a, b = numbers(case["seed"], n, 4), numbers(case["seed"] + 1, n, 3)
    b = [x if w else y for x, y, w in zip(a, b, numbers(case["seed"] + 2, n, 3))]
    points = np.array(numbers(case["seed"] + 3, n * 3, 100), dtype=float).reshape(n, 3) + 30 * np.array(a)[:, None]
    return {
        "adjusted_rand": plain(metrics.adjusted_rand_score(a, b)),
        "silhouette": plain(metrics.silhouette_score(points, a)),
    }


def text_case(case):
    """Sentences of `words` words out of a few, the references near the candidates."""
    sentences, candidates, references = case["sentences"], [], []
    for s in range(sentences):
        length = 5 + numbers(case["seed"] + 10 * s, 1, 8)[0]
        candidate = numbers(case["seed"] + 10 * s + 1, length, case["words"])
        own = []
        for r in range(2):
            keep = numbers(case["seed"] + 10 * s + 2 + r, length, 5)
            own.append([w if k else w + 1 for w, k in zip(candidate, keep)] + keep[: case["longer"]])
        candidates.append([str(w) for w in candidate])
        references.append([[str(w) for w in r] for r in own])
    joined = [" ".join(c) for c in candidates]
    streams = [[" ".join(r[k]) for r in references] for k in range(2)]
    out = {"nltk": nltk.translate.bleu_score.corpus_bleu(references, candidates)}
    for smoothing, value in [("none", None), ("exp", None), ("floor", 0.1), ("add-k", 1.0)]:
        bleu = sacrebleu.corpus_bleu(
            joined, streams, smooth_method=smoothing, smooth_value=value, tokenize="none", force=True
        )
        out[smoothing] = bleu.score / 100
    if out["none"] < 1e-9:
        out["nltk"] = 0.0
    edits = [nltk.edit_distance(c, r[0]) for c, r in zip(candidates, references)]
    out["edits"] = sum(edits)
    out["tokens"] = sum(len(r[0]) for r in references)
    return {k: plain(v) for k, v in out.items()}


def image_case(case):
    h, w = case["size"]
    a = np.array(numbers(case["seed"], h * w, 256), dtype=float).reshape(h, w)
    ramp = np.add.outer(np.arange(h), np.arange(w)) * 3.0
    a = (a / 4 + ramp) % 256
    b = np.clip(a + np.array(numbers(case["seed"] + 1, h * w, 40)).reshape(h, w) - 20, 0, 255)
    similarity = skimage.metrics.structural_similarity
    return {
        "psnr": plain(skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255)),
        "gaussian": plain(
            similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        ),
        "uniform": plain(similarity(a, b, data_range=255)),
        "uniform_9": plain(similarity(a, b, data_range=255, win_size=9, use_sample_covariance=False)),
    }


def set_case(case):
    """Two sets of features: maximum mean discrepancy by its definition, Fréchet distance by scipy's matrix root."""
    m, n, f = case["sizes"]
    x = np.array(numbers(case["seed"], m * f, 100), dtype=float).reshape(m, f) / 25
    y = np.array(numbers(case["seed"] + 1, n * f, 100), dtype=float).reshape(n, f) / 20 + 1
    width = case["bandwidth"]

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * width**2))

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    unbiased = (xx.sum() - m) / (m * (m - 1)) + (yy.sum() - n) / (n * (n - 1)) - 2 * xy.mean()
    c1, c2 = np.cov(x, rowvar=False).reshape(f, f), np.cov(y, rowvar=False).reshape(f, f)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    frechet = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    return {
        "biased": plain(xx.mean() + yy.mean() - 2 * xy.mean()),
        "unbiased": plain(unbiased),
        "frechet": plain(frechet),
    }


def both(cases):
    return [dict(case, weighted=weighted) for case in cases for weighted in (False, True)]


CLASSES = both(
    [
        dict(seed=1, n=200, classes=4, absent_truth=[], absent_predicted=[]),
        dict(seed=2, n=60, classes=2, absent_truth=[], absent_predicted=[]),
        dict(seed=3, n=150, classes=5, absent_truth=[3], absent_predicted=[]),
        dict(seed=4, n=150, classes=5, absent_truth=[], absent_predicted=[2, 4]),
        dict(seed=5, n=150, classes=6, absent_truth=[1, 5], absent_predicted=[1, 5, 2]),
        dict(seed=6, n=40, classes=3, absent_truth=[], absent_predicted=[], only=2),
        dict(seed=7, n=40, classes=3, absent_truth=[], absent_predicted=[1, 2], only=0),
    ]
)
CURVES = both(
    [
        dict(seed=11, n=100, levels=10),
        dict(seed=12, n=80, levels=1000),
        dict(seed=13, n=50, levels=3),
        dict(seed=14, n=30, levels=16, only=1),
        dict(seed=15, n=30, levels=16, only=0),
        dict(seed=16, n=2, levels=4),
    ]
)
MANY = both([dict(seed=21, n=120, classes=4), dict(seed=22, n=90, classes=7)])
REGRESSION = both(
    [
        dict(seed=31, n=100, mean=0.0),
        dict(seed=32, n=100, mean=1000.0),
        dict(seed=33, n=20, mean=3.0, constant=True),
        dict(seed=34, n=2, mean=-5.0),
    ]
)
CLUSTERS = [dict(seed=41, n=60), dict(seed=42, n=25)]
TEXTS = [
    dict(seed=51, sentences=8, words=6, longer=0),
    dict(seed=52, sentences=5, words=20, longer=2),
    dict(seed=53, sentences=1, words=50, longer=1),
    dict(seed=55, sentences=2, words=3, longer=3),
]
IMAGES = [dict(seed=61, size=[24, 24]), dict(seed=62, size=[17, 40])]
SETS = [dict(seed=71, sizes=[30, 20, 4], bandwidth=1.5), dict(seed=72, sizes=[12, 40, 1], bandwidth=0.5)]

groups = {
    "classes": (CLASSES, class_case),
    "curves": (CURVES, curve_case),
    "many": (MANY, many_case),
    "regression": (REGRESSION, regression_case),
    "clusters": (CLUSTERS, cluster_case),
    "texts": (TEXTS, text_case),
    "images": (IMAGES, image_case),
    "sets": (SETS, set_case),
}
document = {"made_with": f"scikit-learn {sklearn.__version__}, scikit-image {skimage.__version__}, "
            f"nltk {nltk.__version__}, sacrebleu {sacrebleu.__version__}"}
for name, (cases, run) in groups.items():
    document[name] = [{"case": case, "expect": run(case)} for case in cases]


def rounded(x):
    """Fourteen digits keep the file small and say more than any test asks."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, list):
        return [rounded(v) for v in x]
    return float(f"{x:.14g}") if isinstance(x, float) else x


path = pathlib.Path(__file__).with_name("reference.json")
path.write_text(json.dumps(rounded(document), separators=(",", ":")).replace('{"case"', '\n{"case"') + "\n")
print(path.stat().st_size, "bytes")
