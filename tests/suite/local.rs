//! What the course uses beyond PyTorch, against loops and compositions: convolutions that share less, pooling by norms
//! and weights, maxout, radial basis functions, k-means, principal components.

use crate::support::{Random, Subject, differs, executors, report, values};
use wgrad::ops::Tolerance;
use wgrad::{
    ConvOptions, Device, Generator, GradcheckOptions, KMeansOptions, Pca, PoolOptions, Tensor,
    gradcheck, kmeans,
};

const TOLERANCE: Tolerance = Tolerance {
    rtol: 1e-4,
    atol: 1e-5,
};

fn leaf(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let mut rng = Random(seed);
    let n = shape.iter().product();
    let v: Vec<f32> = (0..n).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
    Tensor::from_slice(&v, shape, device)
}

fn subjects() -> Vec<Subject> {
    let mut list = executors();
    list.push(Subject {
        name: "reference",
        device: Device::reference(),
    });
    list
}

/// The sum that defines all three convolutions; `kernel(i, j)` says which kernel a position uses.
fn convolution(
    x: &Tensor,
    w: &Tensor,
    o: &ConvOptions<2>,
    pad: [usize; 2],
    [oh, ow]: [usize; 2],
    kernel: impl Fn(usize, usize) -> usize,
) -> Vec<f64> {
    let (xs, ws) = (x.shape().to_vec(), w.shape().to_vec());
    let (x, w) = (values(x).unwrap(), values(w).unwrap());
    let [f, c, kh, kw] = [ws[2], ws[3], ws[4], ws[5]];
    let mut out = Vec::new();
    for n in 0..xs[0] {
        for k in 0..f {
            for i in 0..oh {
                for j in 0..ow {
                    let mut sum = 0.0;
                    for ch in 0..c {
                        for u in 0..kh {
                            for v in 0..kw {
                                let r = (i * o.stride[0] + u * o.dilation[0]).wrapping_sub(pad[0]);
                                let s = (j * o.stride[1] + v * o.dilation[1]).wrapping_sub(pad[1]);
                                if r < xs[2] && s < xs[3] {
                                    let at = ((n * c + ch) * xs[2] + r) * xs[3] + s;
                                    let tap = (((kernel(i, j) * f + k) * c + ch) * kh + u) * kw + v;
                                    sum += x[at] * w[tap];
                                }
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
    }
    out
}

#[test]
fn convolutions_that_share_less() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let options = [
        ConvOptions::default(),
        ConvOptions::default().padding([1, 2]).stride([2, 1]),
        ConvOptions::default().dilation([2, 1]).padding([1, 0]),
    ];
    for s in subjects() {
        for (n, o) in options.iter().enumerate() {
            let pad = [[0, 0], [1, 2], [1, 0]][n];
            let x = leaf(&[2, 3, 6, 7], 1, &s.device);
            let plain = leaf(&[4, 3, 2, 3], 2, &s.device);
            let shape = x.conv2d(&plain, None, o).shape().to_vec();
            let out = [shape[2], shape[3]];
            let mut check = |what: &str, y: &Tensor, want: &[f64]| {
                count += 1;
                assert_eq!(y.shape(), [2, 4, out[0], out[1]], "{what}");
                let got = values(y).unwrap();
                let bad = differs(&got, want, TOLERANCE);
                failures.extend(bad.map(|m| format!("{what} {n} on {}: {m}", s.name)));
            };
            let local = leaf(&[out[0], out[1], 4, 3, 2, 3], 3, &s.device);
            let want = convolution(&x, &local, o, pad, out, |i, j| i * out[1] + j);
            check("local", &x.local_conv2d(&local, None, o), &want);
            let tiled = leaf(&[2, 3, 4, 3, 2, 3], 4, &s.device);
            let want = convolution(&x, &tiled, o, pad, out, |i, j| i % 2 * 3 + j % 3);
            check("tiled", &x.tiled_conv2d(&tiled, None, o), &want);
            let one = plain.reshape(&[1, 1, 4, 3, 2, 3]);
            let want = values(&x.conv2d(&plain, None, o)).unwrap();
            check("a tile of one", &x.tiled_conv2d(&one, None, o), &want);
            let want = values(&x.conv2d(&plain.flip(&[2, 3]), None, o)).unwrap();
            check("convolve", &x.convolve2d(&plain, None, o), &want);
        }
    }
    report("convolutions", count, &failures);
}

#[test]
fn derivatives_of_convolutions_pooling_and_units() {
    let d = Device::reference();
    let o = ConvOptions::default().padding([1, 0]).stride([1, 2]);
    let x = leaf(&[2, 2, 4, 6], 1, &d);
    let local = leaf(&[5, 3, 3, 2, 2, 2], 2, &d);
    let tiled = leaf(&[2, 2, 3, 2, 2, 2], 3, &d);
    let (b1, b2) = (leaf(&[3, 5, 3], 4, &d), leaf(&[3, 2, 2], 5, &d));
    let check = |what: &str, y: &Tensor, inputs: &[&Tensor]| {
        gradcheck(y, inputs, &GradcheckOptions::default())
            .unwrap_or_else(|e| panic!("{what}: {e}"));
    };
    check(
        "local",
        &x.local_conv2d(&local, Some(&b1), &o),
        &[&x, &local, &b1],
    );
    check(
        "tiled",
        &x.tiled_conv2d(&tiled, Some(&b2), &o),
        &[&x, &tiled, &b2],
    );
    let line = leaf(&[2, 2, 6], 6, &d);
    let (w, b) = (leaf(&[5, 3, 2, 2], 7, &d), leaf(&[3, 5], 8, &d));
    let y = line.local_conv1d(&w, Some(&b), &ConvOptions::default());
    check("local in one dimension", &y, &[&line, &w, &b]);
    let kernel = leaf(&[3, 2, 2, 2], 9, &d);
    check("convolve", &x.convolve2d(&kernel, None, &o), &[&x, &kernel]);
    let pool = PoolOptions::windows([2, 3]).padding([1, 1]).stride([1, 2]);
    let weight = (leaf(&[2, 3], 10, &d).square() + 0.1).detach().unwrap();
    for p in [pool, pool.count_include_pad(false), pool.ceil_mode(true)] {
        check(
            "weighted",
            &x.weighted_avg_pool2d(&weight, &p),
            &[&x, &weight],
        );
    }
    check("l2", &x.l2_pool2d(&PoolOptions::new(2)), &[&x]);
    check("maxout", &x.maxout(2, -1), &[&x]);
    let (v, c, s) = (
        leaf(&[4, 3], 11, &d),
        leaf(&[5, 3], 12, &d),
        leaf(&[5], 13, &d),
    );
    let s = (s.square() + 0.5).detach().unwrap();
    check("rbf", &v.rbf(&c, &s), &[&v, &c, &s]);
}

#[test]
fn weighted_pooling_equals_a_loop() {
    for s in subjects() {
        let (x, w) = (
            leaf(&[2, 3, 5, 6], 1, &s.device),
            leaf(&[2, 3], 2, &s.device),
        );
        let w = (w.square() + 0.2).detach().unwrap();
        let (xs, ws) = (values(&x).unwrap(), values(&w).unwrap());
        for counted in [true, false] {
            let p = PoolOptions::windows([2, 3]).padding([1, 1]).stride([2, 2]);
            let y = x.weighted_avg_pool2d(&w, &p.count_include_pad(counted));
            let [oh, ow] = [3, 3];
            assert_eq!(y.shape(), [2, 3, oh, ow]);
            let mut want = Vec::new();
            for plane in 0..6 {
                for i in 0..oh {
                    for j in 0..ow {
                        let (mut sum, mut total) = (0.0, 0.0);
                        for u in 0..2 {
                            for v in 0..3 {
                                let (r, c) = (2 * i + u, 2 * j + v);
                                let inside = (1..6).contains(&r) && (1..7).contains(&c);
                                if inside {
                                    sum += ws[u * 3 + v] * xs[plane * 30 + (r - 1) * 6 + c - 1];
                                }
                                if inside || counted {
                                    total += ws[u * 3 + v];
                                }
                            }
                        }
                        want.push(sum / total);
                    }
                }
            }
            assert_eq!(
                differs(&values(&y).unwrap(), &want, TOLERANCE),
                None,
                "{}",
                s.name
            );
        }
        // Equal weights: the mean.
        let p = PoolOptions::windows([2, 3]).padding([1, 1]).ceil_mode(true);
        for p in [p, p.count_include_pad(false)] {
            let (a, b) = (x.weighted_avg_pool2d(&w.ones_like(), &p), x.avg_pool2d(&p));
            let (a, b) = (values(&a).unwrap(), values(&b).unwrap());
            assert_eq!(differs(&a, &b, TOLERANCE), None, "{}", s.name);
        }
        let l2 = x.l2_pool2d(&PoolOptions::windows([1, 2]));
        let want: Vec<f64> = xs
            .chunks(2)
            .map(|p| (p[0] * p[0] + p[1] * p[1]).sqrt())
            .collect();
        assert_eq!(differs(&values(&l2).unwrap(), &want, TOLERANCE), None);
    }
}

#[test]
fn units_equal_their_formulas() {
    for s in subjects() {
        let x = leaf(&[3, 8], 1, &s.device);
        let v = values(&x).unwrap();
        let want: Vec<f64> = v
            .chunks(4)
            .map(|p| p.iter().copied().fold(f64::MIN, f64::max))
            .collect();
        assert_eq!(values(&x.maxout(4, 1)).unwrap(), want);
        let want: Vec<f64> = (0..8).map(|j| v[j].max(v[8 + j]).max(v[16 + j])).collect();
        assert_eq!(values(&x.maxout(3, 0)).unwrap(), want);
        let (c, w) = (
            leaf(&[5, 8], 2, &s.device),
            Tensor::new(&[1.5f32], &s.device),
        );
        let centers = values(&c).unwrap();
        let mut want = Vec::new();
        for row in v.chunks(8) {
            for center in centers.chunks(8) {
                let d: f64 = row.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum();
                want.push((-d / 2.25).exp());
            }
        }
        assert_eq!(
            differs(&values(&x.rbf(&c, &w)).unwrap(), &want, TOLERANCE),
            None
        );
    }
    let x = leaf(&[3, 8], 1, &Device::cpu());
    assert!(x.maxout(3, 1).check().is_err() && x.maxout(0, 1).check().is_err());
    assert!(x.rbf(&x, &x).check().is_err());
    let w = leaf(&[2, 2, 1, 3, 2, 2], 1, &Device::cpu());
    let image = leaf(&[1, 3, 4, 4], 1, &Device::cpu());
    let o = ConvOptions::default();
    assert!(
        image.local_conv2d(&w, None, &o).check().is_err(),
        "3 by 3 positions"
    );
    assert!(image.tiled_conv2d(&w, None, &o.groups(3)).check().is_err());
    assert!(
        image
            .tiled_conv2d(&w, None, &o.stride([0, 1]))
            .check()
            .is_err()
    );
    assert!(x.tiled_conv2d(&w, None, &o).check().is_err());
}

/// Three clouds far from each other are found, the same way each time and on every device.
#[test]
fn k_means_finds_clouds() {
    let d = Device::cpu();
    let mut rng = Generator::new(1);
    let corners = [[0.0f32, 0.0], [6.0, 0.0], [0.0, 6.0]];
    let clouds: Vec<Tensor> = corners
        .iter()
        .map(|c| rng.normal(&[40, 2], &d) * 0.5 + Tensor::new(c, &d))
        .collect();
    let x = Tensor::cat(&clouds.iter().collect::<Vec<_>>(), 0);
    let data = x.to_vec::<f32>().unwrap();
    let mut first: Option<Vec<i32>> = None;
    for s in subjects() {
        let x = Tensor::from_slice(&data, &[120, 2], &s.device);
        let found = kmeans(&x, &KMeansOptions::new(3), &mut Generator::new(5)).unwrap();
        assert!(found.converged && found.iterations > 1, "{}", s.name);
        let labels = found.labels.to_vec::<i32>().unwrap();
        for cloud in labels.chunks(40) {
            assert!(
                cloud.iter().all(|l| *l == cloud[0]),
                "{}: {labels:?}",
                s.name
            );
        }
        assert_eq!(found.predict(&x).to_vec::<i32>().unwrap(), labels);
        // The inertia by a loop, and centres that are means.
        let centers = found.centers.to_vec::<f32>().unwrap();
        let point = |i: usize, c: i32| {
            let c = c as usize;
            let (a, b) = (
                data[2 * i] - centers[2 * c],
                data[2 * i + 1] - centers[2 * c + 1],
            );
            f64::from(a * a + b * b)
        };
        let want: f64 = labels.iter().enumerate().map(|(i, &l)| point(i, l)).sum();
        let got = f64::from(found.inertia.item::<f32>().unwrap());
        assert!((got - want).abs() < 1e-3 * want, "{got} {want}");
        assert!(
            (50.0..70.0).contains(&want),
            "120 points of variance 2 · ¼: {want}"
        );
        assert_eq!(first.get_or_insert(labels.clone()), &labels, "{}", s.name);
    }
    let tiny = Tensor::from_slice(&[1.0f32, 1.0], &[2, 1], &d);
    let same = kmeans(&tiny, &KMeansOptions::new(2), &mut Generator::new(0)).unwrap();
    assert_eq!(same.inertia.item::<f32>().unwrap(), 0.0);
    assert!(kmeans(&tiny, &KMeansOptions::new(3), &mut Generator::new(0)).is_err());
    assert!(
        kmeans(
            &tiny.select(1, 0),
            &KMeansOptions::new(1),
            &mut Generator::new(0)
        )
        .is_err()
    );
}

/// Data along known directions: variances, directions, coordinates and back.
#[test]
fn principal_components() {
    let d = Device::cpu();
    let axes = [[0.6f32, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]];
    let axes = Tensor::from_slice(&axes.concat(), &[3, 3], &d);
    let spread = Tensor::new(&[5.0f32, 2.0, 0.1], &d);
    let z = Generator::new(2).normal(&[2000, 3], &d) * spread;
    let x = (z.matmul(&axes) + 7.0).detach().unwrap();
    let pca = Pca::fit(&x, 2);
    let got = values(&pca.components).unwrap();
    for (g, w) in got.iter().zip([0.6, 0.8, 0.0, 0.8, -0.6, 0.0]) {
        assert!((g - w).abs() < 0.03, "{got:?}");
    }
    let variances = values(&pca.explained_variance).unwrap();
    assert!((variances[0] - 25.0).abs() < 2.5 && (variances[1] - 4.0).abs() < 0.4);
    let ratio: f64 = values(&pca.explained_variance_ratio).unwrap().iter().sum();
    assert!((0.999..1.0).contains(&ratio), "{ratio}");
    // The variance of the coordinates is what is said, and they do not correlate.
    let coordinates = pca.transform(&x);
    let var = values(&coordinates.var_dims(&[0], 1, false)).unwrap();
    assert_eq!(differs(&var, &variances, TOLERANCE), None);
    let cross = (coordinates.select(1, 0) * coordinates.select(1, 1)).mean();
    assert!(cross.item::<f32>().unwrap().abs() < 1e-3);
    let off = (pca.inverse_transform(&coordinates) - &x).square().mean();
    assert!(off.item::<f32>().unwrap() < 0.01);
    let all = Pca::fit(&x, 3);
    let back = all.inverse_transform(&all.transform(&x));
    assert!((back - &x).abs().amax().item::<f32>().unwrap() < 1e-4);
    assert!(Pca::fit(&x, 4).components.check().is_err());
}
