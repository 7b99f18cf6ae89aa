//! The suites of the linear models: against other libraries' numbers, and what bad input gives.

mod edges;
mod islr;
mod reference;

fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let same = found == expected
        || (found.is_nan() && expected.is_nan())
        || (found - expected).abs() <= tolerance * expected.abs().max(1e-3);
    assert!(same, "{what}: {found} instead of {expected}");
}
