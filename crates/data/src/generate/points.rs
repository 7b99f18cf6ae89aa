//! Points in the plane and in space, as scikit-learn's generators: their shapes are its shapes, their random numbers our own.

use std::f64::consts::{PI, TAU};

use wgrad_graph::{Device, Tensor};

use super::{Points, normal, unit};
use crate::rng::Rng;

const STREAM: u64 = 0x504f_494e; // "POIN"

/// Points of the plane of each class, with normal noise, in a random order.
fn plane(classes: Vec<Vec<[f64; 2]>>, noise: f64, rng: &mut Rng) -> Points {
    let mut points = Points {
        x: Vec::new(),
        y: Vec::new(),
        features: 2,
        classes: classes.len(),
    };
    for (class, list) in (0..).zip(classes) {
        for point in list {
            let noisy = point.map(|v| {
                v + if noise == 0.0 {
                    0.0
                } else {
                    noise * normal(rng)
                }
            });
            points.x.extend(noisy.map(|v| v as f32));
            points.y.push(class);
        }
    }
    points.shuffled(rng)
}

/// `n` numbers from `low` to `high`, both included.
fn linspace(low: f64, high: f64, n: usize) -> impl Iterator<Item = f64> {
    let step = (high - low) / n.saturating_sub(1).max(1) as f64;
    (0..n).map(move |i| low + step * i as f64)
}

/// How many of `n` samples class `class` of `classes` has: as evenly as can be, the first ones more.
fn share(n: usize, classes: usize, class: usize) -> usize {
    n / classes + usize::from(class < n % classes)
}

/// Two half circles that reach into each other (`make_moons`): class 0 above, class 1 below.
#[must_use]
pub fn moons(n: usize, noise: f64, seed: u64) -> Points {
    let outer = linspace(0.0, PI, n / 2).map(|t| [t.cos(), t.sin()]);
    let inner = linspace(0.0, PI, n - n / 2).map(|t| [1.0 - t.cos(), 0.5 - t.sin()]);
    let classes = vec![outer.collect(), inner.collect()];
    plane(classes, noise, &mut Rng::new(seed, STREAM, 0))
}

/// A circle of radius 1 (class 0) around one of radius `factor` (class 1), `make_circles`.
#[must_use]
pub fn circles(n: usize, factor: f64, noise: f64, seed: u64) -> Points {
    let circle = |n: usize, radius: f64| -> Vec<[f64; 2]> {
        let angle = |i: usize| TAU * i as f64 / n as f64;
        (0..n)
            .map(|i| [radius * angle(i).cos(), radius * angle(i).sin()])
            .collect()
    };
    let classes = vec![circle(n / 2, 1.0), circle(n - n / 2, factor)];
    plane(classes, noise, &mut Rng::new(seed, STREAM, 1))
}

/// Concentric rings of radii 1, 2, …, at random angles; the class is the ring, from the inside.
#[must_use]
pub fn rings(n: usize, rings: usize, noise: f64, seed: u64) -> Points {
    let mut rng = Rng::new(seed, STREAM, 2);
    let ring = |ring: usize| {
        let radius = (ring + 1) as f64;
        let angles = (0..share(n, rings, ring)).map(|_| TAU * unit(&mut rng));
        angles
            .map(|a| [radius * a.cos(), radius * a.sin()])
            .collect()
    };
    let classes = (0..rings).map(ring).collect();
    plane(classes, noise, &mut rng)
}

/// Arms that wind from the centre outwards by `turns` turns, to radius 1; the class is the arm.
#[must_use]
pub fn spirals(n: usize, arms: usize, turns: f64, noise: f64, seed: u64) -> Points {
    let arm = |arm: usize| {
        let start = TAU * arm as f64 / arms as f64;
        let along = linspace(0.0, 1.0, share(n, arms, arm));
        along
            .map(|t| {
                let angle = start + TAU * turns * t;
                [t * angle.cos(), t * angle.sin()]
            })
            .collect()
    };
    let classes = (0..arms).map(arm).collect();
    plane(classes, noise, &mut Rng::new(seed, STREAM, 3))
}

/// Normal clouds of standard deviation `std` around given centres, as evenly as can be (`make_blobs`); the class is the
/// centre. Centres must have as many numbers as the first; what one lacks is 0.
#[must_use]
pub fn blobs(n: usize, centers: &[&[f64]], std: f64, seed: u64) -> Points {
    let mut rng = Rng::new(seed, STREAM, 4);
    let features = centers.first().map_or(0, |c| c.len());
    let mut points = Points {
        x: Vec::new(),
        y: Vec::new(),
        features,
        classes: centers.len(),
    };
    for (class, center) in centers.iter().enumerate() {
        for _ in 0..share(n, centers.len(), class) {
            for f in 0..features {
                let at = center.get(f).copied().unwrap_or_default();
                points.x.push((at + std * normal(&mut rng)) as f32);
            }
            points.y.push(class as i32);
        }
    }
    points.shuffled(&mut rng)
}

/// Eight normal clouds of standard deviation `std` on a circle of `radius`, the test of generative models; the class is the
/// cloud. Usual are radius 2 and standard deviation 0.02.
#[must_use]
pub fn eight_gaussians(n: usize, radius: f64, std: f64, seed: u64) -> Points {
    let center = |k: usize| {
        let angle = TAU * k as f64 / 8.0;
        [radius * angle.cos(), radius * angle.sin()]
    };
    let centers: Vec<[f64; 2]> = (0..8).map(center).collect();
    let centers: Vec<&[f64]> = centers.iter().map(|c| &c[..]).collect();
    blobs(n, &centers, std, seed)
}

/// A linear regression: see [`regression`].
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// The inputs, standard normal, `[n, features]`.
    pub x: Vec<f32>,
    /// The targets, `[n]`.
    pub y: Vec<f32>,
    /// The true coefficients, `[features]`; those that are not informative are 0.
    pub coefficients: Vec<f32>,
    /// The true intercept.
    pub intercept: f32,
}

impl Regression {
    /// Inputs `[n, features]` and targets `[n, 1]` on a device.
    #[track_caller]
    #[must_use]
    pub fn tensors(&self, device: &Device) -> (Tensor, Tensor) {
        let shape = [self.y.len(), self.coefficients.len()];
        let x = Tensor::from_slice(&self.x, &shape, device);
        (x, Tensor::from_slice(&self.y, &[self.y.len(), 1], device))
    }
}

/// `n` targets that are linear in the first `informative` of `features` standard normal inputs, with coefficients uniform
/// in 0 to 100 and normal noise (`make_regression`).
///
/// ```
/// let r = wgrad_data::generate::regression(50, 3, 2, 0.0, 5.0, 1);
/// let row = &r.x[..3];
/// let y = 5.0 + row[0] * r.coefficients[0] + row[1] * r.coefficients[1];
/// assert!((y - r.y[0]).abs() < 1e-3 && r.coefficients[2] == 0.0);
/// ```
#[must_use]
pub fn regression(
    n: usize,
    features: usize,
    informative: usize,
    noise: f64,
    intercept: f64,
    seed: u64,
) -> Regression {
    let mut rng = Rng::new(seed, STREAM, 5);
    let coefficients: Vec<f64> = (0..features)
        .map(|f| {
            if f < informative {
                100.0 * unit(&mut rng)
            } else {
                0.0
            }
        })
        .collect();
    let mut x = Vec::with_capacity(n * features);
    let mut y = Vec::with_capacity(n);
    for _ in 0..n {
        let row: Vec<f64> = (0..features).map(|_| normal(&mut rng)).collect();
        let sum: f64 = row.iter().zip(&coefficients).map(|(a, b)| a * b).sum();
        y.push((sum + intercept + noise * normal(&mut rng)) as f32);
        x.extend(row.iter().map(|&v| v as f32));
    }
    Regression {
        x,
        y,
        coefficients: coefficients.iter().map(|&c| c as f32).collect(),
        intercept: intercept as f32,
    }
}
