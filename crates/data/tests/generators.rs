//! Generated data: scikit-learn's shapes, the paper's MNIST-1D, the tasks' definitions, seeds.

use wgrad_data::generate::{self, Mnist1d, Points, mnist1d, mnist1d_templates};
use wgrad_data::{Dataset, Error};
use wgrad_graph::Device;

/// The points with their classes, sorted, so that an order does not matter.
fn sorted(points: &Points) -> Vec<(i32, f32, f32)> {
    let rows = points.x().chunks(2).zip(points.y());
    let mut rows: Vec<_> = rows.map(|(p, &y)| (y, p[0], p[1])).collect();
    rows.sort_by(|a, b| {
        a.0.cmp(&b.0)
            .then(a.1.total_cmp(&b.1))
            .then(a.2.total_cmp(&b.2))
    });
    rows
}

fn same(points: &Points, expected: &[(i32, f32, f32)]) {
    let got = sorted(points);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        let equal = got.0 == expected.0 && near(got.1, expected.1) && near(got.2, expected.2);
        assert!(equal, "{got:?} {expected:?}");
    }
}

#[test]
fn shapes_are_scikit_learns() {
    // make_moons(7, shuffle=False) and make_circles(5, factor=0.5, shuffle=False) of scikit-learn 1.9, sorted.
    same(
        &generate::moons(7, 0.0, 3),
        &[
            (0, -1.0, 0.0),
            (0, 0.0, 1.0),
            (0, 1.0, 0.0),
            (1, 0.0, 0.5),
            (1, 0.5, -0.366_025_4),
            (1, 1.5, -0.366_025_4),
            (1, 2.0, 0.5),
        ],
    );
    same(
        &generate::circles(5, 0.5, 0.0, 3),
        &[
            (0, -1.0, 0.0),
            (0, 1.0, 0.0),
            (1, -0.25, -0.433_012_7),
            (1, -0.25, 0.433_012_7),
            (1, 0.5, 0.0),
        ],
    );
}

#[test]
fn clouds_rings_and_spirals_lie_where_they_should() {
    let rings = generate::rings(90, 3, 0.0, 1);
    let spirals = generate::spirals(90, 3, 1.5, 0.0, 1);
    for (p, &y) in rings.x().chunks(2).zip(rings.y()) {
        assert!((p[0].hypot(p[1]) - (y + 1) as f32).abs() < 1e-5);
    }
    for (p, &y) in spirals.x().chunks(2).zip(spirals.y()) {
        let radius = p[0].hypot(p[1]);
        let angle = std::f32::consts::TAU * (y as f32 / 3.0 + 1.5 * radius);
        assert!((p[0] - radius * angle.cos()).abs() < 1e-4 && radius <= 1.000_01);
    }
    let clouds = generate::eight_gaussians(8000, 2.0, 0.02, 1);
    for cloud in 0..8 {
        let (mut n, mut mean, mut square) = (0.0_f64, [0.0_f64; 2], 0.0_f64);
        for (p, &y) in clouds.x().chunks(2).zip(clouds.y()) {
            if y == cloud {
                n += 1.0;
                mean = [mean[0] + f64::from(p[0]), mean[1] + f64::from(p[1])];
                let angle = std::f64::consts::TAU * f64::from(cloud) / 8.0;
                square += (f64::from(p[0]) - 2.0 * angle.cos()).powi(2);
            }
        }
        let angle = std::f64::consts::TAU * f64::from(cloud) / 8.0;
        assert!((mean[0] / n - 2.0 * angle.cos()).abs() < 0.003);
        assert!((mean[1] / n - 2.0 * angle.sin()).abs() < 0.003);
        assert!(((square / n).sqrt() - 0.02).abs() < 0.002 && n == 1000.0);
    }
    let blobs = generate::blobs(7, &[&[0.0, 1.0, 2.0], &[5.0, 5.0, 5.0]], 0.0, 0);
    assert_eq!((blobs.features(), blobs.classes()), (3, 2));
    assert_eq!(blobs.y().iter().filter(|y| **y == 0).count(), 4);
    let moons = generate::moons(100, 0.1, 5);
    assert_eq!(moons, generate::moons(100, 0.1, 5));
    assert_ne!(moons, generate::moons(100, 0.1, 6));
    assert!(!moons.y().is_sorted());
    assert_eq!(generate::moons(0, 0.1, 5).len(), 0);
}

#[test]
fn regression_has_its_noise() {
    let r = generate::regression(4000, 5, 3, 2.0, 1.5, 4);
    let residuals = r.x.chunks(5).zip(&r.y).map(|(row, y)| {
        let sum: f32 = row.iter().zip(&r.coefficients).map(|(a, b)| a * b).sum();
        f64::from(y - sum - r.intercept)
    });
    let variance = residuals.map(|e| e * e).sum::<f64>() / 4000.0;
    assert!((variance.sqrt() - 2.0).abs() < 0.1, "{variance}");
    assert_eq!(r.coefficients[3..], [0.0, 0.0]);
    let (x, y) = r.tensors(&Device::cpu());
    assert_eq!((x.shape(), y.shape()), (&[4000, 5][..], &[4000, 1][..]));
}

#[test]
fn mnist_1d_is_the_papers() {
    // By the reference's recipe in NumPy.
    let templates = mnist1d_templates();
    let one = [
        0.0,
        -0.369863361,
        -0.369863361,
        -0.295890689,
        -0.221918016,
        -0.147945344,
    ];
    for (got, expected) in templates[1].iter().zip(one) {
        assert!((got - expected).abs() < 1e-9);
    }
    let (train, test) = mnist1d(&Mnist1d::default(), 42);
    assert_eq!(
        (train.len(), test.len(), train.features(), train.classes()),
        (4000, 1000, 40, 10)
    );
    let x: Vec<f64> = [train.x(), test.x()]
        .concat()
        .into_iter()
        .map(f64::from)
        .collect();
    let y = [train.y(), test.y()].concat();
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (n, sum) = values.fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
        sum / n
    };
    assert!(mean(&mut x.iter().copied()).abs() < 1e-5);
    assert!((mean(&mut x.iter().map(|v| v * v)) - 1.0).abs() < 1e-5);
    // Autocorrelations, moments and those of each class: means of three seeds of the reference, and their spread.
    for (lag, expected, spread) in [
        (1, 0.816, 0.004),
        (2, 0.535, 0.008),
        (4, 0.264, 0.02),
        (8, 0.086, 0.03),
    ] {
        let pairs = x
            .chunks(40)
            .flat_map(|s| s.iter().zip(&s[lag..]).map(|(a, b)| a * b));
        let got = mean(&mut pairs.into_iter());
        assert!(
            (got - expected).abs() < spread,
            "lag {lag}: {got} {expected}"
        );
    }
    let kurtosis = mean(&mut x.iter().map(|v| v.powi(4)));
    assert!((kurtosis - 4.38).abs() < 0.12, "{kurtosis}");
    let means = [
        0.460, -0.088, 0.037, 0.321, -0.118, -0.012, -0.386, 0.180, -0.251, -0.144,
    ];
    let stds = [
        1.197, 0.873, 0.838, 0.998, 0.889, 0.842, 1.194, 0.873, 0.998, 0.908,
    ];
    for digit in 0..10 {
        let own: Vec<f64> = x
            .chunks(40)
            .zip(&y)
            .filter(|(_, y)| **y == digit as i32)
            .flat_map(|(s, _)| s.iter().copied())
            .collect();
        assert_eq!(own.len(), 500 * 40);
        let m = mean(&mut own.iter().copied());
        let std = mean(&mut own.iter().map(|v| (v - m).powi(2))).sqrt();
        assert!((m - means[digit]).abs() < 0.035, "mean of {digit}: {m}");
        assert!(
            (std - stds[digit]).abs() < 0.035,
            "spread of {digit}: {std}"
        );
    }
    assert_eq!(mnist1d(&Mnist1d::default(), 42).0, train);
    assert_ne!(mnist1d(&Mnist1d::default(), 43).0, train);
    let shuffled = Mnist1d {
        shuffle_seq: true,
        num_samples: 100,
        ..Mnist1d::default()
    };
    assert_eq!(mnist1d(&shuffled, 1).1.len(), 20);
}

#[test]
fn tasks_are_their_definitions() {
    let task = generate::adding(500, 50, 1).unwrap();
    let mut error = 0.0;
    for (sample, y) in task.x.chunks(100).zip(&task.y) {
        let marks: Vec<usize> = (0..50).filter(|t| sample[2 * t + 1] == 1.0).collect();
        assert!(marks.len() == 2 && marks[0] < 25 && marks[1] >= 25);
        assert_eq!(sample[2 * marks[0]] + sample[2 * marks[1]], *y);
        error += (y - 1.0).powi(2) / 500.0;
    }
    assert!((error - 1.0 / 6.0).abs() < 0.03, "{error}");
    let copy = generate::copying(20, 10, 100, 8, 2).unwrap();
    for (x, y) in copy.x.chunks(120).zip(copy.y.chunks(120)) {
        assert_eq!(x[..10], y[110..]);
        assert!(x[..10].iter().all(|s| (1..=8).contains(s)));
        assert_eq!((x[109], x.iter().filter(|s| **s == 9).count()), (9, 1));
        assert!(
            x[110..]
                .iter()
                .chain(&x[10..109])
                .chain(&y[..110])
                .all(|s| *s == 0)
        );
    }
    let parity = generate::parity(400, 9, 3).unwrap();
    for (x, y) in parity.x.chunks(9).zip(&parity.y) {
        assert_eq!(x.iter().filter(|b| **b == 1.0).count() as i32 % 2, *y);
    }
    let odd: i32 = parity.y.iter().sum();
    assert!((150..250).contains(&odd), "{odd}");
    assert_eq!(parity.dataset(&Device::cpu()).unwrap().len(), 400);
    for result in [
        generate::adding(1, 1, 0).map(|_| ()),
        generate::copying(1, 0, 1, 1, 0).map(|_| ()),
        generate::parity(1, 0, 0).map(|_| ()),
    ] {
        assert!(matches!(result, Err(Error::Argument { .. })));
    }
}
