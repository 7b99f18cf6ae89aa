//! Values of statsmodels, scikit-learn and scipy: `../reference.py` writes them, of tables that an integer formula gives in both
//! languages.

use crate::assert_close;
use serde_json::Value;
use wgrad_stats::*;

pub fn document() -> Value {
    serde_json::from_str(include_str!("../reference.json")).unwrap()
}

/// As `numbers` of `reference.py`.
fn numbers(seed: u64, n: usize, below: u64) -> Vec<f64> {
    let mut state = (seed * 2_654_435_761) & 0xffff_ffff;
    let next = |_| {
        state = (state * 1_664_525 + 1_013_904_223) & 0xffff_ffff;
        ((state >> 8) % below) as f64
    };
    (0..n).map(next).collect()
}

/// As `table` of `reference.py`.
fn table(seed: u64, n: usize) -> Table {
    let a: Vec<f64> = numbers(seed, n, 1000).iter().map(|v| v / 100.0).collect();
    let b: Vec<f64> = numbers(seed + 1, n, 500)
        .iter()
        .map(|v| v / 50.0 - 3.0)
        .collect();
    let near = numbers(seed + 2, n, 100);
    let c: Vec<f64> = (0..n).map(|i| a[i] + near[i] / 50.0).collect();
    let g: Vec<usize> = numbers(seed + 3, n, 3)
        .iter()
        .map(|v| *v as usize)
        .collect();
    let noise = numbers(seed + 4, n, 1000);
    let effect = [0.0, 1.0, -2.0];
    let y = |i: usize| {
        let plane = 3.0 + 0.5 * a[i] - 0.25 * b[i] + 0.1 * a[i] * b[i];
        plane + effect[g[i]] + (noise[i] / 250.0 - 2.0)
    };
    let y: Vec<f64> = (0..n).map(y).collect();
    let other = numbers(seed + 5, n, 1000);
    let z = |i: usize| f64::from(u8::from(a[i] - 5.0 + b[i] + other[i] / 100.0 - 5.0 > 0.0));
    let z: Vec<f64> = (0..n).map(z).collect();
    let g: Vec<&str> = g.iter().map(|&k| ["low", "mid", "high"][k]).collect();
    Table::new()
        .numbers("a", &a)
        .and_then(|t| t.numbers("b", &b))
        .and_then(|t| t.numbers("c", &c))
        .and_then(|t| t.categories("g", &g))
        .and_then(|t| t.numbers("y", &y))
        .and_then(|t| t.numbers("z", &z))
        .unwrap()
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other
            .as_f64()
            .unwrap_or_else(|| panic!("no number: {other}")),
    }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_str().unwrap()).collect()
}

fn cases() -> Vec<(Value, Table)> {
    let document = document();
    let cases = document["tables"].as_array().unwrap();
    assert!(cases.len() >= 2);
    let one = |case: &Value| {
        let (seed, n) = (case["seed"].as_u64().unwrap(), case["n"].as_u64().unwrap());
        (case.clone(), table(seed, n as usize))
    };
    cases.iter().map(one).collect()
}

fn close(found: f64, expected: &Value, tolerance: f64, what: &str) {
    assert_close(found, number(expected), tolerance, what);
}

/// Coefficients by name, for the order is another one.
fn check_coefficients(
    found: &[Coefficient],
    intervals: &[(f64, f64)],
    expect: &Value,
    statistic: &str,
    tolerance: f64,
) {
    let names = texts(&expect["names"]);
    assert_eq!(names.len(), found.len(), "{}", expect["formula"]);
    for (at, name) in names.iter().enumerate() {
        let own = found.iter().position(|c| c.name == *name);
        let own = own.unwrap_or_else(|| panic!("no {name} in {found:?}"));
        let c = &found[own];
        for (key, value) in [
            ("coefficients", c.estimate),
            ("standard_errors", c.standard_error),
            (statistic, c.statistic),
            ("p", c.p_value),
            ("low", intervals[own].0),
            ("high", intervals[own].1),
        ] {
            let what = format!("{key} of {name} in {}", expect["formula"]);
            // Tails of tiny probabilities multiply the error of the statistic.
            let tolerance = if key == "p" {
                1e2 * tolerance
            } else {
                tolerance
            };
            close(value, &expect[key][at], tolerance, &what);
        }
    }
}

pub fn check_linear(model: &LinearModel, expect: &Value, new: &Table) {
    let what = |key: &str| format!("{key} of {}", expect["formula"]);
    let intervals = model.confidence_intervals(0.99).unwrap();
    check_coefficients(&model.coefficients(), &intervals, expect, "t", 1e-9);
    for (key, value) in [
        ("rss", model.rss),
        ("tss", model.tss),
        ("rse", model.rse),
        ("r_squared", model.r_squared),
        ("adjusted_r_squared", model.adjusted_r_squared),
        ("log_likelihood", model.log_likelihood),
        ("aic", model.aic),
        ("bic", model.bic),
    ] {
        close(value, &expect[key], 1e-10, &what(key));
    }
    assert_eq!(list(&expect["df"])[0], model.model_freedom as f64);
    assert_eq!(list(&expect["df"])[1], model.residual_freedom as f64);
    match &model.f_test {
        None => assert!(number(&expect["f"]).is_nan()),
        Some(test) => {
            close(test.statistic, &expect["f"], 1e-9, &what("f"));
            close(test.p_value, &expect["f_p"], 1e-6, &what("f_p"));
        }
    }
    for (row, p) in model.predict(new, 0.9).unwrap().iter().enumerate() {
        for (key, value) in [
            ("mean", p.mean),
            ("mean_se", p.standard_error),
            ("mean_low", p.confidence.0),
            ("mean_high", p.confidence.1),
            ("new_low", p.prediction.0),
            ("new_high", p.prediction.1),
        ] {
            close(value, &expect[key][row], 1e-8, &what(key));
        }
    }
}

pub fn check_logistic(model: &LogisticModel, expect: &Value) {
    let what = |key: &str| format!("{key} of {}", expect["formula"]);
    let intervals = model.confidence_intervals(0.95).unwrap();
    check_coefficients(&model.coefficients(), &intervals, expect, "z", 1e-6);
    for (key, value) in [
        ("log_likelihood", model.log_likelihood),
        ("null_log_likelihood", model.null_log_likelihood),
        ("pseudo_r_squared", model.pseudo_r_squared),
        ("llr_p", model.likelihood_ratio_p_value),
        ("aic", model.aic),
        ("bic", model.bic),
    ] {
        close(value, &expect[key], 1e-7, &what(key));
    }
    assert_eq!(model.deviance, -2.0 * model.log_likelihood);
}

#[test]
fn least_squares() {
    for (case, table) in cases() {
        let seed = case["seed"].as_u64().unwrap();
        let new = self::table(seed + 100, 4);
        for expect in case["linear"].as_array().unwrap() {
            let formula = expect["formula"].as_str().unwrap();
            let model = LinearModel::fit(formula, &table).unwrap();
            check_linear(&model, expect, &new);
        }
    }
}

#[test]
fn logistic_regressions() {
    for (case, table) in cases() {
        for expect in case["logistic"].as_array().unwrap() {
            let formula = expect["formula"].as_str().unwrap();
            let model = LogisticModel::fit(formula, &table).unwrap();
            check_logistic(&model, expect);
        }
    }
}

#[test]
fn penalised_paths() {
    for (case, table) in cases() {
        let design = Design::new(&"y ~ a + b + c".parse().unwrap(), &table).unwrap();
        let y = table.values("y").unwrap();
        let grid = list(&case["penalties"]);
        let by_n: Vec<f64> = grid.iter().map(|g| g * y.len() as f64).collect();
        let scaled = PenalisedOptions { standardize: true };
        let plain = PenalisedOptions { standardize: false };
        let check = |path: &Penalised, key: &str, with_intercept: bool| {
            for at in 0..grid.len() {
                let mut found = path.coefficients[at].clone();
                if with_intercept {
                    found.insert(0, path.intercepts[at]);
                }
                let expected = list(&case[key][at]);
                assert_eq!(found.len(), expected.len());
                for (f, e) in found.iter().zip(expected) {
                    assert_close(*f, e, 1e-7, &format!("{key} with {}", grid[at]));
                }
            }
        };
        check(&ridge(&design, y, &by_n, scaled).unwrap(), "ridge", false);
        check(
            &ridge(&design, y, &by_n, plain).unwrap(),
            "ridge_plain",
            true,
        );
        check(&lasso(&design, y, &grid, scaled).unwrap(), "lasso", false);
        check(
            &lasso(&design, y, &grid, plain).unwrap(),
            "lasso_plain",
            true,
        );
        let net = elastic_net(&design, y, &grid, 0.3, plain).unwrap();
        check(&net, "elastic_net", true);
        // Without a penalty all are least squares.
        let model = LinearModel::fit("y ~ a + b + c", &table).unwrap();
        for path in [
            ridge(&design, y, &[0.0], scaled),
            lasso(&design, y, &[0.0], scaled),
        ] {
            let path = path.unwrap();
            for (name, found) in path.names.iter().zip(&path.coefficients[0]) {
                let expected = model.coefficient(name).unwrap().estimate;
                assert_close(*found, expected, 1e-7, name);
            }
            for (p, fitted) in path.predict(0, &design).unwrap().iter().zip(&model.fitted) {
                assert_close(*p, *fitted, 1e-7, "a prediction");
            }
        }
    }
}

#[test]
fn correlations_and_inflation() {
    for (case, table) in cases() {
        let (b, y) = (table.values("b").unwrap(), table.values("y").unwrap());
        // numpy rounds halves to even.
        let rounded: Vec<f64> = b.iter().map(|v| v.round_ties_even()).collect();
        for (key, x, method) in [
            ("pearson", b, CorrelationMethod::Pearson),
            ("spearman", &rounded[..], CorrelationMethod::Spearman),
        ] {
            let found = correlation(x, y, method).unwrap();
            close(found.coefficient, &case[key][0], 1e-11, key);
            close(found.p_value, &case[key][1], 1e-9, key);
        }
        let design = Design::new(&"y ~ a + b + c".parse().unwrap(), &table).unwrap();
        let vif = variance_inflation(&design).unwrap();
        for (at, (name, found)) in vif.iter().enumerate() {
            close(*found, &case["vif"][at], 1e-9, name);
        }
        let small = LinearModel::fit("y ~ a", &table).unwrap();
        let large = LinearModel::fit("y ~ a + b + g", &table).unwrap();
        let test = compare(&small, &large).unwrap();
        close(test.statistic, &case["partial_f"][0], 1e-9, "partial F");
        close(test.p_value, &case["partial_f"][1], 1e-7, "its p-value");
        assert_eq!(test.freedom.0 as f64, number(&case["partial_f"][2]));
        let (names, matrix) = correlation_matrix(&table, CorrelationMethod::Pearson).unwrap();
        assert_eq!(names, ["a", "b", "c", "y", "z"]);
        close(matrix[5 + 3], &case["pearson"][0], 1e-11, "b and y");
    }
}

#[test]
fn selections() {
    for (case, table) in cases() {
        let formula = "y ~ a + b + c + g + a:b + b^2";
        for (key, direction, criterion) in [
            ("forward_aic", Direction::Forward, Criterion::Aic),
            ("forward_bic", Direction::Forward, Criterion::Bic),
            ("backward_aic", Direction::Backward, Criterion::Aic),
            ("backward_bic", Direction::Backward, Criterion::Bic),
        ] {
            let found = select(formula, &table, direction, criterion).unwrap();
            let terms: Vec<String> = found.steps[1..]
                .iter()
                .map(|s| s.term.as_ref().unwrap().to_string())
                .collect();
            assert_eq!(terms, texts(&case["selection"][key]), "{key}");
        }
        // By the residuals it goes through all sizes, each model holding the one before.
        let all = select(formula, &table, Direction::Forward, Criterion::Rss).unwrap();
        assert_eq!(all.steps.len(), 7);
        assert!(
            all.steps
                .windows(2)
                .all(|s| s[0].model.rss >= s[1].model.rss)
        );
        let p = select(
            formula,
            &table,
            Direction::Backward,
            Criterion::PValue(0.05),
        )
        .unwrap();
        assert!(p.steps[1..].iter().all(|s| s.p_value >= 0.05));
        let p = select(formula, &table, Direction::Forward, Criterion::PValue(0.05)).unwrap();
        assert!(p.steps.len() > 1 && p.steps[1..].iter().all(|s| s.p_value < 0.05));
    }
}
