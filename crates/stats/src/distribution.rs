//! Tail probabilities and quantiles of test statistics, from statrs' special functions: so that a tiny tail is no difference of
//! numbers near 1.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};
use statrs::function::beta::checked_beta_reg;
use statrs::function::erf::erfc;
use statrs::function::gamma::checked_gamma_ur;

/// The probability of |T| ≥ |t| with so many degrees of freedom.
pub(crate) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    checked_beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t)).unwrap_or(f64::NAN)
}

/// The probability of F ≥ f.
pub(crate) fn f_above(f: f64, first: f64, second: f64) -> f64 {
    if f.is_nan() {
        return f64::NAN;
    }
    if f.is_infinite() {
        return 0.0;
    }
    let x = second / (second + first * f.max(0.0));
    checked_beta_reg(second / 2.0, first / 2.0, x).unwrap_or(f64::NAN)
}

/// The probability of |Z| ≥ |z|.
pub(crate) fn z_two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// The probability of χ² ≥ x.
pub(crate) fn chi_squared_above(x: f64, freedom: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    checked_gamma_ur(freedom / 2.0, x / 2.0).unwrap_or(f64::NAN)
}

/// t with P(|T| ≤ t) = `level`.
pub(crate) fn t_quantile(level: f64, freedom: f64) -> f64 {
    let Ok(t) = StudentsT::new(0.0, 1.0, freedom) else {
        return f64::NAN;
    };
    let mut x = t.inverse_cdf(0.5 + level / 2.0);
    // The inverse of the library is good to fewer digits than its tails.
    for _ in 0..3 {
        let error = t_two_sided(x, freedom) - (1.0 - level);
        let step = error / (2.0 * t.pdf(x));
        if step.is_finite() {
            x += step;
        }
    }
    x
}

/// z with P(|Z| ≤ z) = `level`.
pub(crate) fn z_quantile(level: f64) -> f64 {
    let normal = Normal::standard();
    let mut x = normal.inverse_cdf(0.5 + level / 2.0);
    for _ in 0..2 {
        let step = (z_two_sided(x) - (1.0 - level)) / (2.0 * normal.pdf(x));
        if step.is_finite() {
            x += step;
        }
    }
    x
}
