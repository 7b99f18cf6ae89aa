//! The choice of one token from the vocabulary's scores. Pure functions of numbers.

use super::GenerateOptions;
use wgrad_graph::{Error, ErrorKind, Result};

/// The likeliest token, or one drawn by a uniform number in [0, 1).
pub(super) fn choose(scores: &[f32], draw: f32, options: &GenerateOptions) -> Result<i32> {
    if !options.do_sample {
        return Ok(likeliest(scores)? as i32);
    }
    let p = probabilities(scores, options)?;
    let goal = f64::from(draw) * p.iter().sum::<f64>();
    let mut sum = 0.0;
    let at = p.iter().position(|p| {
        sum += p;
        sum > goal
    });
    // Rounding may leave the goal beyond the sum.
    let last = || p.iter().rposition(|&p| p > 0.0).unwrap_or(0);
    Ok(at.unwrap_or_else(last) as i32)
}

/// The first of the greatest scores.
fn likeliest(scores: &[f32]) -> Result<usize> {
    let mut best: Option<usize> = None;
    for (i, s) in scores.iter().enumerate() {
        if s.is_nan() {
            return Err(not_numbers());
        }
        if best.is_none_or(|b| *s > scores[b]) {
            best = Some(i);
        }
    }
    best.ok_or_else(not_numbers)
}

fn not_numbers() -> Error {
    let message = "the model's scores are no numbers";
    Error::new(ErrorKind::Value, "generate", message)
}

/// Logarithms of the probabilities of all tokens.
pub(super) fn log_softmax(scores: &[f32]) -> Result<Vec<f64>> {
    let most = f64::from(scores[likeliest(scores)?]);
    let below = |s: &f32| {
        if most.is_finite() {
            f64::from(*s) - most
        } else {
            0.0
        }
    };
    let sum: f64 = scores.iter().map(|s| below(s).exp()).sum();
    Ok(scores.iter().map(|s| below(s) - sum.ln()).collect())
}

/// Probabilities that tokens are drawn by: tempered, of the first `top_k`, then of the first `top_p`.
fn probabilities(scores: &[f32], options: &GenerateOptions) -> Result<Vec<f64>> {
    let tempered: Vec<f32> = scores
        .iter()
        .map(|s| (f64::from(*s) / options.temperature) as f32)
        .collect();
    let mut p: Vec<f64> = log_softmax(&tempered)?.iter().map(|l| l.exp()).collect();
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    if (1..p.len()).contains(&options.top_k) {
        let least = p[order[options.top_k - 1]];
        p.iter_mut().filter(|p| **p < least).for_each(|p| *p = 0.0);
    }
    if options.top_p < 1.0 {
        let total: f64 = p.iter().sum();
        let mut before = 0.0;
        for at in order {
            let own = p[at];
            // The likeliest stays, whatever it is.
            if before >= options.top_p * total {
                p[at] = 0.0;
            }
            before += own;
        }
    }
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(options: GenerateOptions) -> Vec<f64> {
        // Probabilities 0.4, 0.3, 0.2, 0.1.
        let scores = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
        let p = probabilities(&scores, &options).unwrap();
        let sum: f64 = p.iter().sum();
        p.iter().map(|p| (p / sum * 1e4).round() / 1e4).collect()
    }

    #[test]
    fn filters_keep_the_likeliest() {
        let options = GenerateOptions::new(1);
        assert_eq!(shares(options.clone()), [0.4, 0.3, 0.2, 0.1]);
        assert_eq!(shares(options.clone().top_k(2)), [0.5714, 0.4286, 0.0, 0.0]);
        assert_eq!(
            shares(options.clone().top_p(0.6)),
            [0.5714, 0.4286, 0.0, 0.0]
        );
        assert_eq!(shares(options.clone().top_p(1e-9)), [1.0, 0.0, 0.0, 0.0]);
        // The second filter sees what the first has left.
        let both = options.clone().top_k(3).top_p(0.75);
        assert_eq!(shares(both), [0.5714, 0.4286, 0.0, 0.0]);
        assert_eq!(
            shares(options.temperature(0.5)),
            [0.5333, 0.3, 0.1333, 0.0333]
        );
    }

    #[test]
    fn draws_fall_where_they_should() {
        let scores = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
        let options = GenerateOptions::new(1).sample(true);
        let at = |draw: f32| choose(&scores, draw, &options).unwrap();
        assert_eq!(
            [0.0, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 0.999].map(at),
            [0, 0, 1, 1, 2, 2, 3, 3]
        );
        let top = options.top_k(1);
        assert_eq!(choose(&scores, 0.999_999_9, &top).unwrap(), 0);
        assert!(choose(&[f32::NAN, 1.0], 0.5, &top).is_err());
    }
}
