//! Scans and their gradients, at all sizes.

use super::*;

#[test]
fn scans_of_all_sizes_agree_with_the_cpu() {
    let mut cases = Cases::default();
    let shapes: [(&[usize], isize, bool); 8] = [
        (&[9_000_000], 0, false),
        (&[16, 100_000], 1, false),
        (&[100_000, 20], 0, false),
        (&[2, 65_537], 1, false),
        (&[32_769, 17], 0, true),
        (&[820, 40_000], 1, true),
        (&[3, 1 << 20, 2], 1, true),
        (&[(1 << 24) + 1], 0, true),
    ];
    for (shape, dim, full) in shapes {
        let name = |what: &str| format!("{what} of {shape:?} along {dim}");
        let n = shape[dim as usize] as f64;
        cases.add(name("cummax, cumsum of integers"), full, EXACT, move |d| {
            let w = wholes(shape, 3, d);
            let x = w.cast(DType::F32);
            // The gradient runs from the end; whole numbers have exact sums.
            let back = gradient(&(x.cumsum(dim) * &x.stop_gradient()).sum(), &x);
            vec![
                (reals(shape, d) - wholes(shape, 50, d)).cummax(dim),
                w.cumsum(dim),
                back,
            ]
        });
        cases.add(
            name("cumsum"),
            full,
            near(1e-5, 3e-7 * n.sqrt() * 30.0),
            move |d| vec![reals(shape, d).cumsum(dim)],
        );
        cases.add(name("logcumsumexp"), full, near(2e-4, 1e-6), move |d| {
            vec![(reals(shape, d) * 4.0).logcumsumexp(dim)]
        });
        // Twos and halves in turns have exact products. Many factors near 1 would not: f32 rounds a product of two away.
        cases.add(name("cumprod"), full, EXACT, move |d| {
            vec![twos_and_halves(shape, dim as usize, d).cumprod(dim)]
        });
        cases.add(name("gradients"), full, near(5e-4, 1e-3), move |d| {
            let x = reals(shape, d);
            let g = wholes(shape, 3, d) - 1;
            let near_one = &x * (0.5 / n.sqrt()) + 1.0;
            vec![
                gradient(
                    &(near_one.cumprod(dim) * &g).mean_dims(&[dim], false).sum(),
                    &near_one,
                ),
                gradient(&(x.logcumsumexp(dim) * &g).sum(), &x),
            ]
        });
    }
    cases.run("scans");
}

/// The gradient of `Σ g · cumprod(x)` in f64, without a table and without dividing.
fn cumprod_gradient(x: &[f32], g: &[f32]) -> Vec<f64> {
    let n = x.len();
    let mut after = vec![0.0; n];
    for i in (0..n).rev() {
        let rest = if i + 1 < n {
            f64::from(x[i + 1]) * after[i + 1]
        } else {
            0.0
        };
        after[i] = f64::from(g[i]) + rest;
    }
    let mut before = 1.0;
    let each = x.iter().zip(after).map(|(&x, after)| {
        let gradient = before * after;
        before *= f64::from(x);
        gradient
    });
    each.collect()
}

#[test]
fn the_gradient_of_a_running_product_takes_linear_memory() {
    // A table of all pairs would take 1 GB for 2^14 elements, where a device binds 128 MiB, and 160 GB for 200,000.
    for s in executors()
        .into_iter()
        .chain(gpu_minimum().map(|device| Subject {
            name: "gpu minimum",
            device,
        }))
    {
        for n in [16_384, 200_000] {
            for zeros in [vec![], vec![n / 3], vec![n / 5, n / 2], vec![0, n - 1]] {
                let mut x: Vec<f32> = (0..n)
                    .map(|i| 1.0 + ((mix(i) % 201) as f32 - 100.0) / (200.0 * (n as f32).sqrt()))
                    .collect();
                zeros.iter().for_each(|&z| x[z] = 0.0);
                let g: Vec<f32> = (0..n).map(|i| (mix(i) % 5) as f32 - 1.0).collect();
                let t = Tensor::from_slice(&x, &[n], &s.device);
                let weighted = t.cumprod(0) * Tensor::from_slice(&g, &[n], &s.device);
                let got = values(&gradient(&weighted.sum(), &t)).expect("a gradient");
                let fault = differs(&got, &cumprod_gradient(&x, &g), near(2e-4, 1e-2));
                assert_eq!(fault, None, "{}: {n} with zeros at {zeros:?}", s.name);
            }
        }
    }
}

/// The second derivatives of `Σ_j g_j Π_(i ≤ j) x_i` leave two factors out.
#[test]
fn second_derivatives_of_running_products_are_right_with_zeros() {
    let g = [0.5, -1.0, 2.0, 0.25, 1.5];
    for x in [
        [1.5, -0.5, 2.0, 0.75, -1.25],
        [1.5, 0.0, 2.0, 0.75, -1.25],
        [1.5, 0.0, 2.0, 0.0, -1.25],
        [0.0, 0.0, 0.0, 2.0, 3.0],
    ] {
        let v = [1.0, -2.0, 0.5, 3.0, -1.0];
        let want: Vec<f64> = (0..5)
            .map(|i| {
                let mut sum = 0.0;
                for j in (0..5).filter(|&j| j >= i) {
                    for k in (0..=j).filter(|&k| k != i) {
                        let rest = (0..=j).filter(|&m| m != i && m != k).map(|m| x[m]);
                        sum += g[j] * v[k] * rest.product::<f64>();
                    }
                }
                sum
            })
            .collect();
        let list = executors().into_iter().chain([Subject {
            name: "reference",
            device: Device::reference(),
        }]);
        for s in list {
            let of = |v: &[f64]| {
                let v: Vec<f32> = v.iter().map(|&x| x as f32).collect();
                Tensor::from_slice(&v, &[5], &s.device)
            };
            let t = of(&x);
            let first = gradient(&(t.cumprod(0) * of(&g)).sum(), &t);
            let got = values(&gradient(&(first * of(&v)).sum(), &t)).expect("a gradient");
            assert_eq!(
                differs(&got, &want, near(1e-5, 1e-5)),
                None,
                "{}: {x:?}",
                s.name
            );
        }
    }
}
