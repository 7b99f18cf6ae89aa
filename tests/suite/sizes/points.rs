//! Products, rows and maps, at all sizes.

use super::*;

#[test]
fn products_with_long_sums_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (m, k, n, full) in [
        (2, 70_000, 3, false),
        (1, (1 << 20) + 3, 1, false),
        (33, 131_077, 40, false),
        (1, 1 << 24, 1, true),
        (5, 1 << 22, 2, true),
        (300, 65_540, 300, true),
    ] {
        let tolerance = near(1e-4, 6e-6 * (k as f64).sqrt());
        cases.add(format!("product {m}x{k}x{n}"), full, tolerance, move |d| {
            let (a, b) = (reals(&[m, k], d), reals(&[n, k], d));
            vec![
                a.matmul(&b.t()),
                a.matmul(&b.reshape(&[k as isize, n as isize])),
            ]
        });
    }
    let tolerance = near(1e-4, 5e-3);
    cases.add("convolution with 70,000 taps", false, tolerance, |d| {
        let (x, w) = (reals(&[2, 1, 70_004], d), reals(&[3, 1, 70_000], d));
        let y = x.conv1d(&w, None, &ConvOptions::default());
        let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w);
        vec![y, g]
    });
    // Such a gradient goes through all taps for each element.
    cases.add(
        "gradient of the input of 40,000 taps",
        true,
        tolerance,
        |d| {
            let (x, w) = (reals(&[1, 1, 40_004], d), reals(&[1, 1, 40_000], d));
            let y = x.conv1d(&w, None, &ConvOptions::default());
            vec![gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &x)]
        },
    );
    cases.add(
        "depthwise convolution with 190x190 taps",
        false,
        tolerance,
        |d| {
            let (x, w) = (reals(&[1, 2, 195, 193], d), reals(&[2, 1, 190, 190], d));
            let y = x.conv2d(&w, None, &ConvOptions::default().groups(2));
            let g = gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w);
            vec![y, g]
        },
    );
    cases.add(
        "gradient of a weight over large maps",
        true,
        near(1e-4, 1e-2),
        |d| {
            let (x, w) = (reals(&[16, 2, 256, 256], d), reals(&[3, 2, 3, 3], d));
            let y = x.conv2d(&w, None, &ConvOptions::default().padding([1, 1]));
            vec![gradient(&(&y * wholes(y.shape(), 5, d)).sum(), &w)]
        },
    );
    cases.add("convolution of 8192 channels", true, tolerance, |d| {
        let (x, w) = (reals(&[1, 8192, 5, 5], d), reals(&[2, 8192, 3, 3], d));
        vec![x.conv2d(&w, None, &ConvOptions::default())]
    });
    cases.run("products");
}

#[test]
fn rows_of_all_lengths_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (rows, length, full) in [
        (17, 20_001, false),
        (16, 65_536, false),
        (17, 65_533, true),
        (3, 300_000, false),
        (600, 40_000, true),
        (1, (1 << 24) + 1, true),
    ] {
        cases.add(
            format!("softmax and norms of {rows}x{length}"),
            full,
            near(1e-3, 1e-5),
            move |d| {
                let x = reals(&[rows, length], d) * 3.0;
                let norm = x.layer_norm(&[length], None, None, 1e-5);
                let y = x.log_softmax(-1);
                let g = gradient(
                    &(&y * wholes(&[rows, length], 3, d))
                        .mean_dims(&[-1], false)
                        .sum(),
                    &x,
                );
                vec![x.softmax(-1) * length as f64, y, norm, g * length as f64]
            },
        );
    }
    cases.run("rows");
}

#[test]
fn maps_draws_gathers_and_concatenations_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    for (n, full) in [
        (200_003, false),
        ((1 << 22) + 1, true),
        ((1 << 24) + 5, true),
    ] {
        cases.add(format!("draws of {n}"), full, EXACT, move |d| {
            let mut rng = Generator::new(3);
            let words = rng.words(&[n], d).cast(DType::I32);
            vec![rng.uniform(&[n], d), rng.bernoulli(0.3, &[n], d), words]
        });
        cases.add(
            format!("gathers and concatenations of {n}"),
            full,
            EXACT,
            move |d| {
                let x = wholes(&[n], 1 << 20, d);
                let picked = x.gather(0, &wholes(&[n], n, d));
                // Together they stay within the 128 MiB that an adapter has to bind at least.
                let half = x.narrow(0, 0, n / 2);
                let long = Tensor::cat(&[&half, &picked, &x.narrow(0, 5, 70_000)], 0);
                vec![long.flip(&[0]).narrow(0, 3, n), picked]
            },
        );
        // Each element takes tens to thousands of rounds.
        cases.add(
            format!("gamma functions of {n}"),
            full,
            near(2e-5, 1e-5),
            move |d| {
                let x = reals(&[n.min(1 << 22)], d).abs() + 0.25;
                vec![
                    x.lgamma(),
                    x.digamma(),
                    x.polygamma(5),
                    x.polygamma(5).sum() / n as f64,
                ]
            },
        );
    }
    cases.run("maps");
}
