//! MNIST-1D: ten short curves, padded, scaled, moved, sheared and buried in noise (Greydanus and Kobak, "Scaling Down Deep
//! Learning with MNIST-1D", ICML 2024). The recipe and its numbers are the paper's; the random numbers are our own.

use super::{Points, normal, unit};
use crate::rng::Rng;

const STREAM: u64 = 0x4d4e_3144; // "MN1D"
const TEMPLATE: usize = 12;

/// The paper's curves of the ten digits, as drawn.
const DIGITS: [[f64; TEMPLATE]; 10] = [
    [5.0, 6.0, 6.5, 6.75, 7.0, 7.0, 7.0, 7.0, 6.75, 6.5, 6.0, 5.0],
    [5.0, 3.0, 3.0, 3.4, 3.8, 4.2, 4.6, 5.0, 5.4, 5.8, 5.0, 5.0],
    [5.0, 6.0, 6.5, 6.5, 6.0, 5.25, 4.75, 4.0, 3.5, 3.5, 4.0, 5.0],
    [5.0, 6.0, 6.5, 6.5, 6.0, 5.0, 5.0, 6.0, 6.5, 6.5, 6.0, 5.0],
    [5.0, 4.4, 3.8, 3.2, 2.6, 2.6, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
    [5.0, 3.0, 3.0, 3.0, 3.0, 5.0, 6.0, 6.5, 6.5, 6.0, 4.5, 5.0],
    [5.0, 4.0, 3.5, 3.25, 3.0, 3.0, 3.0, 3.0, 3.25, 3.5, 4.0, 5.0],
    [5.0, 7.0, 7.0, 6.6, 6.2, 5.8, 5.4, 5.0, 4.6, 4.2, 5.0, 5.0],
    [5.0, 4.0, 3.5, 3.5, 4.0, 5.0, 5.0, 4.0, 3.5, 3.5, 4.0, 5.0],
    [5.0, 4.0, 3.5, 3.5, 4.0, 5.0, 5.0, 5.0, 5.0, 4.7, 4.3, 5.0],
];

/// How MNIST-1D is made; the default is the paper's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mnist1d {
    /// Samples in all, a tenth of each digit; what ten does not divide is left out.
    pub num_samples: usize,
    /// The part that is for training.
    pub train_split: f64,
    /// The least and the greatest number of zeros after a curve.
    pub padding: (usize, usize),
    /// Sizes are 1 ± half of this.
    pub scale_coeff: f64,
    /// Curves move in a circle by less than this.
    pub max_translation: usize,
    /// Of the smooth noise where there is no curve.
    pub corr_noise_scale: f64,
    /// Of the noise of each number.
    pub iid_noise_scale: f64,
    /// Lines of slope up to half of this are added.
    pub shear_scale: f64,
    /// Whether the positions are put in one random order, which destroys the neighbourhoods.
    pub shuffle_seq: bool,
    /// Numbers of a sample.
    pub final_seq_length: usize,
}

impl Default for Mnist1d {
    fn default() -> Self {
        Self {
            num_samples: 5000,
            train_split: 0.8,
            padding: (36, 60),
            scale_coeff: 0.4,
            max_translation: 48,
            corr_noise_scale: 0.25,
            iid_noise_scale: 0.02,
            shear_scale: 0.75,
            shuffle_seq: false,
            final_seq_length: 40,
        }
    }
}

/// The training and the test part of MNIST-1D: points of [`Mnist1d::final_seq_length`] numbers, over all of mean 0 and
/// standard deviation 1, of ten classes.
///
/// ```
/// use wgrad_data::generate::{Mnist1d, mnist1d};
/// let (train, test) = mnist1d(&Mnist1d::default(), 42);
/// assert_eq!((train.len(), test.len(), train.features()), (4000, 1000, 40));
/// ```
#[must_use]
pub fn mnist1d(options: &Mnist1d, seed: u64) -> (Points, Points) {
    let templates = mnist1d_templates();
    let length = options.final_seq_length;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (digit, template) in templates.iter().enumerate() {
        for number in 0..options.num_samples / 10 {
            let index = ((digit as u64) << 32) | number as u64;
            let mut rng = Rng::new(seed, STREAM, index);
            x.extend(sample(template, options, &mut rng));
            y.push(digit as i32);
        }
    }
    let mut rng = Rng::new(seed, STREAM, u64::MAX);
    if options.shuffle_seq {
        let mut order: Vec<usize> = (0..length).collect();
        crate::sampling::shuffle(&mut order, &mut rng);
        let sample = |part: &[f64]| order.iter().map(|&i| part[i]).collect::<Vec<_>>();
        x = x.chunks(length.max(1)).flat_map(sample).collect();
    }
    let n = x.len().max(1) as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let all = Points {
        x: x.iter().map(|v| ((v - mean) / std) as f32).collect(),
        y,
        features: length,
        classes: 10,
    };
    let mut train = all.shuffled(&mut rng);
    let count = (train.len() as f64 * options.train_split.clamp(0.0, 1.0)) as usize;
    let test = Points {
        x: train.x.split_off(count * length),
        y: train.y.split_off(count),
        ..train
    };
    (train, test)
}

/// The curves that samples are made of: the paper's, of standard deviation 1/6, beginning at 0.
#[must_use]
pub fn mnist1d_templates() -> [[f64; TEMPLATE]; 10] {
    DIGITS.map(|digit| {
        let n = TEMPLATE as f64;
        let mean = digit.iter().sum::<f64>() / n;
        let variance = digit.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        let white = digit.map(|v| (v - mean) / variance.sqrt());
        white.map(|v| (v - white[0]) / 6.0)
    })
}

fn sample(template: &[f64], options: &Mnist1d, rng: &mut Rng) -> Vec<f64> {
    let (low, high) = options.padding;
    let high = high.max(low);
    let zeros = low + (unit(rng) * (high - low + 1) as f64) as usize;
    // A hair, so that the curve's own zeros are not taken for padding.
    let mut x: Vec<f64> = template.iter().map(|v| v + 1e-8).collect();
    x.resize(template.len() + zeros, 0.0);
    let mut x = interpolated(&x, template.len() + high);
    let factor = 1.0 + options.scale_coeff * (unit(rng) - 0.5);
    x.iter_mut().for_each(|v| *v *= factor);
    let shift = (unit(rng) * options.max_translation as f64) as usize;
    let len = x.len().max(1);
    x.rotate_right(shift % len);
    let noise: Vec<f64> = x
        .iter()
        .map(|_| options.corr_noise_scale * normal(rng))
        .collect();
    let smooth = blurred(&noise);
    for (v, noise) in x.iter_mut().zip(smooth) {
        if *v == 0.0 {
            *v = noise;
        }
    }
    x.iter_mut()
        .for_each(|v| *v += options.iid_noise_scale * normal(rng));
    let slope = options.shear_scale * (unit(rng) - 0.5);
    let step = 1.0 / (x.len().saturating_sub(1).max(1)) as f64;
    for (i, v) in x.iter_mut().enumerate() {
        *v -= slope * (i as f64 * step - 0.5);
    }
    interpolated(&x, options.final_seq_length)
}

/// `n` values at even places from the first to the last, linearly.
fn interpolated(x: &[f64], n: usize) -> Vec<f64> {
    let last = x.len().saturating_sub(1);
    let value = |i: usize| {
        let place = last as f64 * i as f64 / n.saturating_sub(1).max(1) as f64;
        let low = (place.floor() as usize).min(last);
        let high = (low + 1).min(last);
        x[low] + (x[high] - x[low]) * (place - low as f64)
    };
    if x.is_empty() {
        return vec![0.0; n];
    }
    (0..n).map(value).collect()
}

/// With a Gaussian of standard deviation 2 cut off at 8, mirrored at the ends (SciPy's `gaussian_filter`).
fn blurred(x: &[f64]) -> Vec<f64> {
    const RADIUS: isize = 8;
    let weight = |k: isize| (-0.5 * (k as f64 / 2.0).powi(2)).exp();
    let total: f64 = (-RADIUS..=RADIUS).map(weight).sum();
    let n = x.len() as isize;
    let mirrored = |i: isize| {
        let i = i.rem_euclid(2 * n);
        x[if i < n { i } else { 2 * n - 1 - i } as usize]
    };
    (0..n)
        .map(|i| {
            let taps = (-RADIUS..=RADIUS).map(|k| weight(k) * mirrored(i + k));
            taps.sum::<f64>() / total
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_scipys() {
        let x = [1.0, 0.0, 0.0, 0.0, -2.0, 0.5];
        // scipy.ndimage.gaussian_filter(x, 2) of SciPy 1.17.
        let expected = BLURRED;
        for (got, expected) in blurred(&x).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        assert_eq!(interpolated(&[0.0, 1.0, 4.0], 5), [0.0, 0.5, 1.0, 2.5, 4.0]);
    }

    const BLURRED: [f64; 6] = [
        0.30979964133344995,
        0.17677128657038035,
        -0.02871745449640746,
        -0.22150074223668648,
        -0.34369401697371105,
        -0.39265871419702536,
    ];
}
