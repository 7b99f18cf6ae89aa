"""Writes reference.json: what statsmodels, scikit-learn and scipy say of tables that an integer formula gives, the same as
`numbers` in suite/reference.rs, and of the tables of An Introduction to Statistical Learning, if they are there. Only the
results are stored.

    pip install statsmodels scikit-learn scipy pandas
    python reference.py FOLDER_WITH_Advertising.csv_AND_Default.csv
"""

import json
import math
import pathlib
import re
import sys
import warnings

import numpy as np
import pandas as pd
import scipy.stats
import sklearn
import statsmodels
import statsmodels.formula.api as smf
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from statsmodels.stats.outliers_influence import variance_inflation_factor

warnings.filterwarnings("ignore")


def numbers(seed, n, below):
    """n integers, 0 <= x < below: a linear congruential generator's high bits."""
    state, out = seed * 2654435761 % 2**32, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append((state >> 8) % below)
    return out


def plain(x):
    if isinstance(x, (list, tuple, np.ndarray, pd.Series)):
        return [plain(v) for v in x]
    if isinstance(x, (int, np.integer)):
        return int(x)
    x = float(x)
    return float(f"{x:.13g}") if math.isfinite(x) else str(x)


def table(seed, n):
    """Columns a, b, c (c near a), a category g, a response y, and a binary z."""
    a = np.array(numbers(seed, n, 1000)) / 100
    b = np.array(numbers(seed + 1, n, 500)) / 50 - 3
    c = a + np.array(numbers(seed + 2, n, 100)) / 50
    g = [["low", "mid", "high"][k] for k in numbers(seed + 3, n, 3)]
    noise = np.array(numbers(seed + 4, n, 1000)) / 250 - 2
    y = 3 + 0.5 * a - 0.25 * b + 0.1 * a * b + np.array([{"low": 0, "mid": 1, "high": -2}[k] for k in g]) + noise
    z = ((a - 5 + b + np.array(numbers(seed + 5, n, 1000)) / 100 - 5) > 0).astype(int)
    return pd.DataFrame({"a": a, "b": b, "c": c, "g": g, "y": y, "z": z})


def patsy(formula):
    """Powers stand in I() there."""
    return re.sub(r"(\w+)\^(\d+)", r"I(\1**\2)", formula)


def names(model):
    """The coefficients' names as wgrad writes them. patsy has another order: categories go first."""
    return [re.sub(r"I\((\w+) \*\* (\d+)\)", r"\1^\2", name) for name in model.params.index]


def linear(formula, data, new):
    m = smf.ols(patsy(formula), data).fit()
    frame = m.get_prediction(new).summary_frame(alpha=0.1)
    out = {
        "formula": formula,
        "names": names(m),
        "coefficients": m.params,
        "standard_errors": m.bse,
        "t": m.tvalues,
        "p": m.pvalues,
        "low": m.conf_int(0.01)[0],
        "high": m.conf_int(0.01)[1],
        "rss": m.ssr,
        "tss": m.centered_tss if m.k_constant else m.uncentered_tss,
        "rse": math.sqrt(m.mse_resid),
        "r_squared": m.rsquared,
        "adjusted_r_squared": m.rsquared_adj,
        "log_likelihood": m.llf,
        "aic": m.aic,
        "bic": m.bic,
        "df": [m.df_model, m.df_resid],
        "mean": frame["mean"],
        "mean_se": frame["mean_se"],
        "mean_low": frame["mean_ci_lower"],
        "mean_high": frame["mean_ci_upper"],
        "new_low": frame["obs_ci_lower"],
        "new_high": frame["obs_ci_upper"],
        "f": m.fvalue if m.df_model else math.nan,
        "f_p": m.f_pvalue if m.df_model else math.nan,
    }
    return {k: v if k in ("formula", "names") else plain(v) for k, v in out.items()}


def logistic(formula, data):
    m = smf.logit(patsy(formula), data).fit(disp=0, tol=1e-12, maxiter=100)
    out = {
        "formula": formula,
        "names": names(m),
        "coefficients": m.params,
        "standard_errors": m.bse,
        "z": m.tvalues,
        "p": m.pvalues,
        "low": m.conf_int(0.05)[0],
        "high": m.conf_int(0.05)[1],
        "log_likelihood": m.llf,
        "null_log_likelihood": m.llnull,
        "pseudo_r_squared": m.prsquared,
        "llr_p": m.llr_pvalue,
        "aic": m.aic,
        "bic": m.bic,
    }
    return {k: v if k in ("formula", "names") else plain(v) for k, v in out.items()}


def greedy(response, terms, data, forward, criterion):
    """Selection by its definition."""
    chosen = [] if forward else list(terms)

    def fit(of):
        return smf.ols(patsy(f"{response} ~ " + (" + ".join(of) or "1")), data).fit()

    now, path = fit(chosen), []
    while True:
        options = [t for t in terms if (t in chosen) != forward]
        models = [(t, [*chosen, t] if forward else [c for c in chosen if c != t]) for t in options]
        if not models:
            return path
        fits = [(t, of, fit(of)) for t, of in models]
        t, of, best = min(fits, key=lambda x: getattr(x[2], criterion))
        if getattr(best, criterion) >= getattr(now, criterion):
            return path
        chosen, now = of, best
        path.append(t)


def table_case(seed, n):
    data = table(seed, n)
    new = table(seed + 100, 4)
    formulas = [
        "y ~ 1",
        "y ~ a",
        "y ~ a + b + c",
        "y ~ a + b - 1",
        "y ~ a + b + a:b",
        "y ~ a + a^2 + a^3 + b",
        "y ~ a + g",
        "y ~ a + g + a:g",
    ]
    x = data[["a", "b", "c"]].to_numpy()
    y = data["y"].to_numpy()
    scaled = (x - x.mean(0)) / x.std(0)
    grid = [2.0, 0.5, 0.1, 0.01]
    ridge = [Ridge(alpha=g * n, solver="cholesky").fit(scaled, y) for g in grid]
    ridge_plain = [Ridge(alpha=g * n, solver="cholesky").fit(x, y) for g in grid]
    lasso = [Lasso(alpha=g, tol=1e-14, max_iter=10**6).fit(scaled, y) for g in grid]
    lasso_plain = [Lasso(alpha=g, tol=1e-14, max_iter=10**6).fit(x, y) for g in grid]
    net = [ElasticNet(alpha=g, l1_ratio=0.3, tol=1e-14, max_iter=10**6).fit(x, y) for g in grid]
    whole = np.column_stack([np.ones(n), x])
    spearman = scipy.stats.spearmanr(data["b"].round(0), data["y"])
    pearson = scipy.stats.pearsonr(data["b"], data["y"])
    terms = ["a", "b", "c", "g", "a:b", "b^2"]
    small, large = smf.ols("y ~ a", data).fit(), smf.ols("y ~ a + b + g", data).fit()
    f = large.compare_f_test(small)
    return {
        "seed": seed,
        "n": n,
        "linear": [linear(f, data, new) for f in formulas],
        "logistic": [logistic(f, data) for f in ["z ~ a", "z ~ a + b", "z ~ a + b + g", "z ~ a + b + a:b"]],
        "penalties": grid,
        "ridge": [plain(m.coef_ / x.std(0)) for m in ridge],
        "ridge_plain": [plain([m.intercept_, *m.coef_]) for m in ridge_plain],
        "lasso": [plain(m.coef_ / x.std(0)) for m in lasso],
        "lasso_plain": [plain([m.intercept_, *m.coef_]) for m in lasso_plain],
        "elastic_net": [plain([m.intercept_, *m.coef_]) for m in net],
        "vif": plain([variance_inflation_factor(whole, i) for i in (1, 2, 3)]),
        "pearson": plain(list(pearson)),
        "spearman": plain([spearman.statistic, spearman.pvalue]),
        "partial_f": plain(list(f)),
        "selection": {
            f"{way}_{criterion}": greedy("y", terms, data, way == "forward", criterion)
            for way in ["forward", "backward"]
            for criterion in ["aic", "bic"]
        },
    }


def islr(folder):
    ads = pd.read_csv(folder / "Advertising.csv")
    default = pd.read_csv(folder / "Default.csv")
    default["z"] = (default["default"] == "Yes").astype(int)
    return {
        "advertising": [linear(f, ads, ads.head(3)) for f in [
            "sales ~ TV", "sales ~ radio", "sales ~ TV + radio + newspaper", "sales ~ TV + radio + TV:radio",
        ]],
        "default": [logistic(f, default) for f in [
            "z ~ balance", "z ~ student", "z ~ balance + income + student",
        ]],
    }


document = {
    "made_with": f"statsmodels {statsmodels.__version__}, scikit-learn {sklearn.__version__}, scipy {scipy.__version__}",
    "tables": [table_case(1, 60), table_case(7, 200)],
    **islr(pathlib.Path(sys.argv[1])),
}
path = pathlib.Path(__file__).with_name("reference.json")
path.write_text(json.dumps(document, separators=(",", ":")).replace('{"formula"', '\n{"formula"') + "\n")
print(path.stat().st_size, "bytes")
