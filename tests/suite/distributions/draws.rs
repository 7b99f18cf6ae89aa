//! Draws against their own densities, their bits on every device, and counts of categories. It must not compare
//! with PyTorch, whose draws are others.

use crate::support::{differs, executors, gpu, report, values};
use wgrad::distributions::*;
use wgrad::ops::Tolerance;
use wgrad::{DType, Device, Generator, Tensor};

const DRAWS: usize = 20_000;

/// Pearson's statistic of draws against a density (or point masses), in 20 cells of about equal expectation.
fn chi_square(d: &dyn Distribution, device: &Device, discrete: bool, from: f64, to: f64) -> f64 {
    let draws = values(&d.sample(&[DRAWS], &mut Generator::new(11))).expect("draws");
    let n = if discrete {
        (to - from) as usize + 1
    } else {
        40_000
    };
    let width = if discrete {
        1.0
    } else {
        (to - from) / n as f64
    };
    let at = |i: usize| from + width * (i as f64 + if discrete { 0.0 } else { 0.5 });
    let grid: Vec<f32> = (0..n).map(|i| at(i) as f32).collect();
    let log_prob = d.log_prob(&Tensor::new(&grid, device));
    let mass: Vec<f64> = values(&log_prob)
        .expect("values")
        .iter()
        .map(|v| v.exp() * width)
        .collect();
    let mut hits = vec![0.0; n];
    for x in &draws {
        let cell = ((x - from) / width + if discrete { 0.5 } else { 0.0 }) as usize;
        hits[cell.min(n - 1)] += 1.0;
    }
    // Cells of at least a twentieth of the mass; what lies beyond the grid belongs to the last.
    let (mut statistic, mut expected, mut seen, mut total) = (0.0, 0.0, 0.0, 0.0);
    for (m, h) in mass.iter().zip(&hits) {
        (expected, seen, total) = (expected + m, seen + h, total + m);
        if expected > 0.05 && total < 0.95 {
            let e = expected * DRAWS as f64;
            statistic += (seen - e) * (seen - e) / e;
            (expected, seen) = (0.0, 0.0);
        }
    }
    let e = (expected + (1.0 - total).max(0.0)) * DRAWS as f64;
    if e > 5.0 {
        statistic += (seen - e) * (seen - e) / e;
    }
    statistic
}

/// The logarithm of a positive variate, whose density has no pole.
struct LogOf<D>(D);

impl<D: Distribution> Distribution for LogOf<D> {
    fn batch_shape(&self) -> Vec<usize> {
        self.0.batch_shape()
    }

    fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
        self.0.sample(shape, rng).log()
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        self.0.log_prob(&value.exp()) + value
    }

    fn mean(&self) -> Tensor {
        self.0.mean().log()
    }

    fn variance(&self) -> Tensor {
        self.0.variance()
    }
}

/// A name, the distribution, whether it has point masses, and where nearly all of its mass lies.
type Case = (&'static str, Box<dyn Distribution>, bool, f64, f64);

fn continuous(device: &Device) -> Vec<Case> {
    let t = |v: f32| Tensor::new(&[v], device);
    let normal = |m, s| Box::new(Normal::new(&t(m), &t(s)));
    let truncated = |l, h| Box::new(TruncatedNormal::new(&t(0.0), &t(1.0), &t(l), &t(h)));
    vec![
        ("normal", normal(1.0, 2.0), false, -12.0, 14.0),
        ("truncated", truncated(-0.5, 2.0), false, -0.5, 2.0),
        ("upper tail", truncated(2.0, f32::INFINITY), false, 2.0, 8.0),
        ("lower tail", truncated(-9.0, -3.0), false, -9.0, -3.0),
        (
            "uniform",
            Box::new(Uniform::new(&t(-1.0), &t(3.0))),
            false,
            -1.0,
            3.0,
        ),
        (
            "exponential",
            Box::new(Exponential::new(&t(0.5))),
            false,
            0.0,
            40.0,
        ),
        (
            "laplace",
            Box::new(Laplace::new(&t(1.0), &t(0.5))),
            false,
            -9.0,
            11.0,
        ),
        (
            "gumbel",
            Box::new(Gumbel::new(&t(1.0), &t(0.5))),
            false,
            -2.0,
            12.0,
        ),
        (
            "cauchy",
            Box::new(Cauchy::new(&t(0.0), &t(1.0))),
            false,
            -100.0,
            100.0,
        ),
        (
            "t",
            Box::new(StudentT::new(&t(3.0), &t(0.0), &t(1.0))),
            false,
            -40.0,
            40.0,
        ),
        (
            "gamma below 1",
            Box::new(LogOf(Gamma::new(&t(0.4), &t(1.0)))),
            false,
            -60.0,
            4.0,
        ),
        (
            "gamma",
            Box::new(Gamma::new(&t(7.0), &t(2.0))),
            false,
            0.0,
            20.0,
        ),
        (
            "beta",
            Box::new(Beta::new(&t(2.0), &t(5.0))),
            false,
            0.0,
            1.0,
        ),
    ]
}

fn discrete(device: &Device) -> Vec<Case> {
    let t = |v: f32| Tensor::new(&[v], device);
    vec![
        (
            "bernoulli",
            Box::new(Bernoulli::new(&t(0.3))),
            true,
            0.0,
            1.0,
        ),
        (
            "geometric",
            Box::new(Geometric::new(&t(0.3))),
            true,
            0.0,
            80.0,
        ),
        (
            "binomial",
            Box::new(Binomial::new(20, &t(0.4))),
            true,
            0.0,
            20.0,
        ),
        (
            "small poisson",
            Box::new(Poisson::new(&t(2.5))),
            true,
            0.0,
            40.0,
        ),
        ("poisson", Box::new(Poisson::new(&t(12.0))), true, 0.0, 80.0),
        (
            "great poisson",
            Box::new(Poisson::new(&t(400.0))),
            true,
            0.0,
            800.0,
        ),
    ]
}

#[test]
fn draws_follow_their_densities() {
    let d = Device::cpu();
    let cases = continuous(&d)
        .into_iter()
        .chain(discrete(&d))
        .collect::<Vec<Case>>();
    let (mut failures, count) = (Vec::new(), cases.len());
    for (name, distribution, discrete, from, to) in cases {
        let statistic = chi_square(distribution.as_ref(), &d, discrete, from, to);
        println!("{name}: {statistic:.1}");
        // At most 19 degrees of freedom: 45 has probability 0.0007.
        if statistic.is_nan() || statistic > 45.0 {
            failures.push(format!("{name}: chi-square {statistic}"));
        }
    }
    report("draws", count, &failures);
}

/// The statistic notices: draws of one distribution against the density of another.
#[test]
fn the_statistic_finds_wrong_draws() {
    struct Off(Normal);
    impl Distribution for Off {
        fn batch_shape(&self) -> Vec<usize> {
            self.0.batch_shape()
        }
        fn sample(&self, shape: &[usize], rng: &mut Generator) -> Tensor {
            self.0.sample(shape, rng) * 1.05
        }
        fn log_prob(&self, value: &Tensor) -> Tensor {
            self.0.log_prob(value)
        }
        fn mean(&self) -> Tensor {
            self.0.mean()
        }
        fn variance(&self) -> Tensor {
            self.0.variance()
        }
    }
    let d = Device::cpu();
    let t = |v: f32| Tensor::new(&[v], &d);
    let off = Off(Normal::new(&t(0.0), &t(1.0)));
    assert!(chi_square(&off, &d, false, -8.0, 8.0) > 45.0);
}

/// Categories and vectors of them: counts of cells.
#[test]
fn categories_come_up_in_proportion() {
    let d = Device::cpu();
    let weights = [1.0f32, 0.0, 2.0, 5.0];
    let probs = Tensor::new(&weights, &d);
    let rng = &mut Generator::new(3);
    let expect = |hits: &[f64], p: &[f64]| {
        let n: f64 = hits.iter().sum();
        for (h, p) in hits.iter().zip(p) {
            let sigma = (n * p * (1.0 - p)).sqrt();
            assert!((h - n * p).abs() <= 4.5 * sigma, "{hits:?} of {p:?}");
        }
    };
    let p = weights.map(|w| f64::from(w) / 8.0);
    let counted = |t: &Tensor| {
        let mut hits = [0.0; 4];
        for i in t.to_vec::<i32>().expect("positions") {
            hits[i as usize] += 1.0;
        }
        hits
    };
    let with = rng.multinomial(&probs, DRAWS, true);
    assert_eq!(with.shape(), [DRAWS]);
    expect(&counted(&with), &p);
    let sample = Categorical::new(&probs).sample(&[DRAWS], rng);
    expect(&counted(&sample), &p);
    // Without replacement: all positions of weight, the first of each row in proportion.
    let rows = probs.unsqueeze(0).expand(&[4000, 4]);
    let three = rng.multinomial(&rows, 3, false);
    assert_eq!(three.shape(), [4000, 3]);
    let list = three.to_vec::<i32>().expect("positions");
    for row in list.chunks(3) {
        let mut sorted = row.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 2, 3]);
    }
    expect(&counted(&three.select(1, 0)), &p);
    // The second, given the first: 3 first leaves 1 : 2.
    let pairs = list.chunks(3).filter(|r| r[0] == 3);
    let second: Vec<i32> = pairs.map(|r| r[1]).collect();
    let zero = second.iter().filter(|&&i| i == 0).count() as f64;
    let n = second.len() as f64;
    expect(&[zero, n - zero], &[1.0 / 3.0, 2.0 / 3.0]);
    assert!(rng.multinomial(&probs, 5, false).check().is_err());
    let counts = Multinomial::new(50, &probs).sample(&[400], rng);
    assert_eq!(counts.shape(), [400, 4]);
    let total = values(&counts.sum_dims(&[0], false)).expect("counts");
    expect(&total, &p);
    let dirichlet = Dirichlet::new(&Tensor::new(&[1.0f32, 2.0, 5.0], &d));
    let mean = values(&dirichlet.sample(&[4000], rng).mean_dims(&[0], false)).expect("means");
    for (m, want) in mean.iter().zip([0.125, 0.25, 0.625]) {
        assert!((m - want).abs() < 0.012, "{mean:?}");
    }
}

#[test]
fn integers_permutations_and_trials_have_the_same_bits_everywhere() {
    let draws = |d: &Device| {
        let mut rng = Generator::new(77);
        let p = Tensor::new(&[0.1f32, 0.5, 0.9], d);
        let long = rng.permutation(1500, d);
        let list = [
            rng.words(&[9], d).cast(DType::I32),
            rng.integers(-5, 6, &[200], d),
            rng.integers(i32::MIN, i32::MAX, &[20], d),
            rng.permutation(33, d),
            long,
            rng.bernoulli_of(&p, &[20, 3]).cast(DType::I32),
            rng.binomial(12, &p, &[7, 3]).cast(DType::I32),
            (rng.uniform(&[30], d) * 2f64.powi(24)).cast(DType::I32),
        ];
        list.map(|t| t.to_vec::<i32>().expect("whole numbers"))
    };
    let want = draws(&Device::reference());
    for s in executors() {
        assert_eq!(draws(&s.device), want, "{}", s.name);
    }
    let mut long = want[4].clone();
    assert_ne!(long, (0..1500).collect::<Vec<i32>>());
    long.sort_unstable();
    assert_eq!(long, (0..1500).collect::<Vec<i32>>());
    assert!(want[1].iter().all(|i| (-5..6).contains(i)));
    assert!(want[1].contains(&-5) && want[1].contains(&5));
    let bad = Generator::new(0).integers(3, 3, &[2], &Device::cpu());
    assert!(bad.check().is_err());
}

/// What passes through logarithms agrees between devices to 1e-5.
#[test]
fn variates_agree_between_devices() {
    let Some(gpu) = gpu() else { return };
    let draws = |d: &Device| {
        let mut rng = Generator::new(5);
        let a = Tensor::new(&[0.5f32, 3.0], d);
        let list = [
            rng.exponential(&[50], d),
            rng.truncated_normal(0.0, 1.0, -1.0, 2.0, &[50], d),
            rng.gamma(&a, &[20, 2]),
            rng.poisson(&(&a * 10.0), &[20, 2]),
        ];
        list.map(|t| values(&t).expect("values"))
    };
    for (g, c) in draws(&gpu).iter().zip(&draws(&Device::cpu())) {
        let tol = Tolerance {
            rtol: 1e-5,
            atol: 1e-5,
        };
        assert_eq!(differs(g, c, tol), None);
    }
}
