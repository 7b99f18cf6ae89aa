//! Input that no model takes: each a clear error; and properties that hold for any data.

use crate::assert_close;
use proptest::prelude::*;
use wgrad_stats::*;

fn table() -> Table {
    Table::new()
        .numbers("x", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .and_then(|t| t.numbers("twice", &[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]))
        .and_then(|t| t.numbers("one", &[7.0; 6]))
        .and_then(|t| t.numbers("zero", &[0.0; 6]))
        .and_then(|t| t.numbers("w", &[0.3, -0.2, 0.5, 0.1, -0.4, 0.2]))
        .and_then(|t| t.numbers("holes", &[1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0]))
        .and_then(|t| t.categories("g", &["b", "a", "b", "c", "a", "c"]))
        .and_then(|t| t.categories("gaps", &["b", "a", "", "c", "a", "c"]))
        .and_then(|t| t.categories("same", &["s"; 6]))
        .and_then(|t| t.numbers("y", &[1.1, 1.9, 3.2, 3.7, 5.4, 5.9]))
        .and_then(|t| t.numbers("apart", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
        .and_then(|t| t.numbers("z", &[0.0, 1.0, 0.0, 0.0, 1.0, 1.0]))
        .unwrap()
}

fn refused(formula: &str, parts: &[&str]) {
    let error = LinearModel::fit(formula, &table()).unwrap_err().to_string();
    assert!(
        parts.iter().all(|p| error.contains(p)),
        "{formula}: {error}"
    );
}

#[test]
fn what_no_linear_model_takes() {
    refused(
        "y ~ x + twice",
        &["twice is a linear combination of Intercept, x"],
    );
    refused("y ~ x + one", &["one is a linear combination of Intercept"]);
    refused("y ~ zero", &["zero is 0 in every row"]);
    refused("y ~ holes", &["holes has no value in row 2"]);
    refused("y ~ gaps", &["gaps has no value in row 2"]);
    refused("holes ~ x", &["holes has no value in row 2"]);
    refused("y ~ missing", &["there is no column missing", "twice"]);
    refused("missing ~ x", &["there is no column missing"]);
    refused("g ~ x", &["g holds categories"]);
    refused("y ~ g^2", &["no powers"]);
    refused("y ~ x + w + x:w + g + x^2", &["rows"]);
    refused("y ~ 0", &["no terms and no intercept"]);
    for text in [
        "y",
        "y ~",
        "y ~ x +",
        "~ x",
        "y ~ x:x",
        "y ~ 2x",
        "y ~ poly(x)",
        "y ~ x^0",
        "y + z ~ x",
    ] {
        assert!(text.parse::<Formula>().is_err(), "{text}");
    }
    // A constant response has nothing to explain.
    let constant = LinearModel::fit("one ~ x", &table()).unwrap();
    assert!(constant.r_squared.is_nan() && constant.f_test.unwrap().p_value.is_nan());
    assert!(constant.coefficient("x").unwrap().estimate.abs() < 1e-12);
    // A category with one level has no dummies.
    let model = LinearModel::fit("y ~ same", &table()).unwrap();
    assert_eq!(model.coefficients().len(), 1);
    let empty = table().pick(&[]);
    assert!(LinearModel::fit("y ~ x", &empty).is_err());
    assert!(LinearModel::fit("y ~ x", &table().pick(&[0, 1])).is_err());
}

#[test]
fn what_no_logistic_model_takes() {
    let fit = |formula: &str| LogisticModel::fit(formula, &table());
    let refused = |formula: &str, part: &str| {
        let error = fit(formula).unwrap_err().to_string();
        assert!(error.contains(part), "{formula}: {error}");
    };
    refused("apart ~ x", "separated");
    refused("apart ~ x + w", "separated");
    refused("y ~ x", "not 0 or 1");
    refused("zero ~ x", "all responses are 0");
    refused("g ~ x", "takes two");
    refused("z ~ x + twice", "linear combination");
    refused("z ~ holes", "no value");
    assert!(fit("z ~ x").is_ok());
    // Some rows only: quasi-separation by a dummy.
    let quasi = Table::new()
        .numbers("d", &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .and_then(|t| t.numbers("z", &[1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]))
        .unwrap();
    let error = LogisticModel::fit("z ~ d", &quasi).unwrap_err().to_string();
    assert!(
        error.contains("separated") && error.contains('d'),
        "{error}"
    );
}

#[test]
fn probabilities_that_round_to_1_are_no_separation() {
    let x: Vec<f64> = (-200..=200).map(f64::from).collect();
    let wrong = [-2.0, 1.0, 3.0];
    let z = |x: &f64| f64::from(u8::from((*x > 0.0) != wrong.contains(x)));
    let z: Vec<f64> = x.iter().map(z).collect();
    let table = Table::new()
        .numbers("x", &x)
        .and_then(|t| t.numbers("z", &z))
        .unwrap();
    let model = LogisticModel::fit("z ~ x", &table).unwrap();
    assert!(model.fitted[400] > 1.0 - 1e-15 && model.iterations < 30);
    // The gradient of the likelihood is 0.
    let gradient = |of: &dyn Fn(usize) -> f64| -> f64 {
        (0..x.len()).map(|i| of(i) * (z[i] - model.fitted[i])).sum()
    };
    assert!(gradient(&|_| 1.0).abs() < 1e-9 && gradient(&|i| x[i]).abs() < 1e-8);
}

#[test]
fn tables_and_predictions_that_do_not_fit() {
    assert!(table().numbers("x", &[1.0; 6]).is_err());
    assert!(table().numbers("v", &[1.0; 5]).is_err());
    assert!(table().numbers("a b", &[1.0; 6]).is_err());
    assert!(table().baseline("g", "d").is_err());
    assert!(table().baseline("x", "d").is_err());
    let model = LinearModel::fit("y ~ x + g", &table()).unwrap();
    let new = |level: &str| {
        Table::new()
            .numbers("x", &[1.0])
            .and_then(|t| t.categories("g", &[level]))
            .unwrap()
    };
    assert!(model.predict(&new("c"), 0.95).is_ok());
    let error = model.predict(&new("d"), 0.95).unwrap_err().to_string();
    assert!(error.contains("has not seen"), "{error}");
    assert!(model.predict(&Table::new(), 0.95).is_err());
    assert!(model.predict(&new("c"), 1.0).is_err());
    assert!(model.coefficient("h").is_err());
    let (x, y) = ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]);
    assert!(correlation(&x, &y, CorrelationMethod::Pearson).is_err());
    assert!(correlation(&x[..2], &x[1..], CorrelationMethod::Pearson).is_err());
    let design = Design::new(&"y ~ x + one".parse().unwrap(), &table()).unwrap();
    let y = table().values("y").unwrap().to_vec();
    let options = PenalisedOptions::default();
    assert!(ridge(&design, &y, &[-1.0], options).is_err());
    assert!(lasso(&design, &y[1..], &[1.0], options).is_err());
    assert!(elastic_net(&design, &y, &[1.0], 0.0, options).is_err());
    assert!(penalties(&design, &y, 1, 0.1, options).is_err());
    // A constant column has no coefficient to find.
    for path in [
        ridge(&design, &y, &[1.0], options),
        lasso(&design, &y, &[0.1], options),
    ] {
        assert_eq!(path.unwrap().coefficients[0][1], 0.0);
    }
}

#[test]
fn another_baseline_is_the_same_model() {
    let first = LinearModel::fit("y ~ x + g", &table()).unwrap();
    let moved = table().baseline("g", "c").unwrap();
    assert_eq!(moved.levels("g").unwrap(), ["c", "a", "b"]);
    let second = LinearModel::fit("y ~ x + g", &moved).unwrap();
    assert_close(second.rss, first.rss, 1e-9, "the residuals");
    let difference = first.coefficient("g[T.c]").unwrap().estimate;
    let other = second.coefficient("g[T.a]").unwrap().estimate;
    assert_close(other, -difference, 1e-9, "c against a");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn residuals_are_orthogonal(
        rows in prop::collection::vec((-50i32..50, -50i32..50, -50i32..50), 8..40),
        unit in prop::sample::select(vec![1e-6, 1.0, 1e6]),
    ) {
        let a: Vec<f64> = rows.iter().map(|r| f64::from(r.0) * unit).collect();
        let b: Vec<f64> = rows.iter().map(|r| f64::from(r.1)).collect();
        let y: Vec<f64> = rows.iter().map(|r| f64::from(r.2)).collect();
        let table = Table::new().numbers("a", &a).and_then(|t| t.numbers("b", &b)).and_then(|t| t.numbers("y", &y)).unwrap();
        // Columns that depend on each other may come up by chance.
        if let Ok(model) = LinearModel::fit("y ~ a + b", &table) {
            let dot = |x: &[f64]| x.iter().zip(&model.residuals).map(|(x, r)| x * r).sum::<f64>();
            prop_assert!(dot(&vec![1.0; a.len()]).abs() < 1e-8);
            prop_assert!(dot(&a).abs() < 1e-7 * unit);
            prop_assert!(dot(&b).abs() < 1e-7);
            prop_assert!(model.rss <= model.tss * (1.0 + 1e-12));
        }
    }

    #[test]
    fn the_lasso_meets_its_conditions(
        rows in prop::collection::vec((-9i32..9, -9i32..9, -9i32..9), 6..30),
        penalty in 0.01f64..3.0,
    ) {
        let a: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let b: Vec<f64> = rows.iter().map(|r| f64::from(r.1)).collect();
        let y: Vec<f64> = rows.iter().map(|r| f64::from(r.2)).collect();
        let design = Design::from_columns(vec![
            ("Intercept".into(), vec![1.0; y.len()]), ("a".into(), a.clone()), ("b".into(), b.clone()),
        ]).unwrap();
        let path = lasso(&design, &y, &[penalty], PenalisedOptions { standardize: false }).unwrap();
        let fitted = path.predict(0, &design).unwrap();
        let n = y.len() as f64;
        for (column, coefficient) in [&a, &b].into_iter().zip(&path.coefficients[0]) {
            let spread = column.iter().any(|v| *v != column[0]);
            let pull: f64 = (0..y.len()).map(|i| column[i] * (y[i] - fitted[i])).sum::<f64>() / n;
            if *coefficient == 0.0 {
                prop_assert!(!spread || pull.abs() <= penalty + 1e-9);
            } else {
                prop_assert!((pull - penalty * coefficient.signum()).abs() < 1e-8);
            }
        }
    }
}
