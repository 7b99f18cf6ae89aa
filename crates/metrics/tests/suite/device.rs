//! What holds for every metric on every device: batches in any way, merging, compiled steps, samples that cannot be used, sums
//! over very many samples.

use crate::{assert_close, devices, result};
use wgrad_graph::{DType, Device, ErrorKind, Generator, Tensor};
use wgrad_metrics::*;
use wgrad_nn::compile;

const CLASSES: usize = 5;

type Make = fn(&Device) -> Box<dyn Metric>;

/// Every metric, with what makes a batch of `n` samples for it.
type Feed = fn(&mut Generator, usize, &Device) -> (Tensor, Tensor);

fn labels(rng: &mut Generator, n: usize, classes: usize, device: &Device) -> Tensor {
    (rng.uniform(&[n], device) * classes as f64)
        .floor()
        .clamp(0.0, (classes - 1) as f64)
        .cast(DType::I32)
}

fn logits(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    let x = rng.normal(&[n, CLASSES], device);
    (x, labels(rng, n, CLASSES, device))
}

fn softmaxes(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    let (x, t) = logits(rng, n, device);
    (x.softmax(1), t)
}

fn binary(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    // Few distinct scores, so that there are ties.
    let p = ((rng.uniform(&[n], device) * 8.0).floor() + 1.0) / 10.0;
    (p, labels(rng, n, 2, device))
}

fn reals(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    let t = rng.normal(&[n], device) * 3.0 + 20.0;
    (&t + rng.normal(&[n], device), t)
}

fn images(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    let t = rng.uniform(&[n, 1, 12, 12], device);
    (&t + rng.normal(&[n, 1, 12, 12], device) * 0.1, t)
}

#[cfg(feature = "linalg")]
fn features(rng: &mut Generator, n: usize, device: &Device) -> (Tensor, Tensor) {
    (
        rng.normal(&[n, 3], device),
        rng.normal(&[n, 3], device) * 2.0 + 1.0,
    )
}

fn all() -> Vec<(Make, Feed, bool)> {
    let list: Vec<(Make, Feed, bool)> = vec![
        (|d| Box::new(Accuracy::new(CLASSES, d)), logits, true),
        (
            |d| Box::new(TopKAccuracy::new(2, CLASSES, d).unwrap()),
            logits,
            true,
        ),
        (
            |d| {
                let scores = [
                    Score::CohenKappa(KappaWeights::Linear),
                    Score::Matthews,
                    Score::BalancedAccuracy,
                    Score::Rate(Rate::Specificity, Average::Weighted),
                    Score::Rate(Rate::Dice, Average::Micro),
                ];
                Box::new(Confusion::new(CLASSES, d).scores(&scores))
            },
            logits,
            true,
        ),
        (
            |d| Box::new(LogLoss::new(Predicts::Logits, d)),
            logits,
            true,
        ),
        (|d| Box::new(LogLoss::perplexity(d)), logits, true),
        (|d| Box::new(LogLoss::bits_per_character(d)), logits, true),
        (|d| Box::new(CalibrationError::new(7, d)), softmaxes, true),
        (|d| Box::new(CalibrationError::new(4, d)), binary, true),
        (|d| Box::new(RankScores::new(2, 200, d)), binary, true),
        (
            |d| Box::new(RankScores::new(CLASSES, 200, d)),
            softmaxes,
            true,
        ),
        (
            |d| Box::new(Regression::new(&RegressionScore::ALL, d)),
            reals,
            true,
        ),
        (|d| Box::new(Mean::new("loss", d)), reals, true),
        (|d| Box::new(ImageScore::psnr(1.0, d)), images, true),
        (
            |d| Box::new(ImageScore::ssim(SsimOptions::default(), d)),
            images,
            true,
        ),
    ];
    #[cfg(feature = "linalg")]
    let list = {
        let one: (Make, Feed, bool) = (|d| Box::new(FrechetDistance::new(3, d)), features, false);
        list.into_iter().chain([one]).collect()
    };
    list
}

fn batches(feed: Feed, weighted: bool, device: &Device) -> Vec<(Tensor, Tensor, Option<Tensor>)> {
    let mut rng = Generator::new(5);
    let one = |n: usize| {
        let (p, t) = feed(&mut rng, n, device);
        let w = weighted.then(|| (rng.uniform(&[n], device) * 4.0).floor());
        let leaf = |t: &Tensor| t.detach().unwrap();
        (leaf(&p), leaf(&t), w.as_ref().map(leaf))
    };
    [16, 16, 5, 16, 1].map(one).into_iter().collect()
}

fn values(metric: &dyn Metric) -> Vec<(String, f64)> {
    metric.value().unwrap()
}

fn assert_same(found: &[(String, f64)], expected: &[(String, f64)], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert_eq!(f.0, e.0);
        assert_close(f.1, e.1, 2e-4, &format!("{what}: {}", f.0));
    }
}

fn each(mut test: impl FnMut(Make, Feed, bool, &Device)) {
    for device in devices() {
        for (make, feed, may_have_weights) in all() {
            for weighted in [false, true] {
                if may_have_weights || !weighted {
                    test(make, feed, weighted, &device);
                }
            }
        }
    }
}

fn feed_all(metric: &mut dyn Metric, batches: &[(Tensor, Tensor, Option<Tensor>)]) {
    for (p, t, w) in batches {
        metric.update(p, t, w.as_ref()).unwrap();
    }
}

#[test]
fn batches_are_one_set() {
    each(|make, feed, weighted, device| {
        let batches = batches(feed, weighted, device);
        let mut apart = make(device);
        feed_all(&mut *apart, &batches);
        let join = |of: &dyn Fn(&(Tensor, Tensor, Option<Tensor>)) -> Tensor| {
            let parts: Vec<Tensor> = batches.iter().map(of).collect();
            Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0)
        };
        let mut together = make(device);
        let w = weighted.then(|| join(&|b| b.2.clone().unwrap()));
        together
            .update(&join(&|b| b.0.clone()), &join(&|b| b.1.clone()), w.as_ref())
            .unwrap();
        assert_same(&values(&*apart), &values(&*together), apart.name());
        // Back to nothing, and the same again.
        apart.reset();
        assert!(apart.value().is_err(), "{} of nothing", apart.name());
        feed_all(&mut *apart, &batches);
        assert_same(&values(&*apart), &values(&*together), apart.name());
    });
}

#[test]
fn merged_parts_are_the_whole() {
    let gpu_or_cpu = devices().pop().unwrap();
    each(|make, feed, weighted, device| {
        let batches = batches(feed, weighted, device);
        let mut whole = make(device);
        feed_all(&mut *whole, &batches);
        let mut left = make(device);
        feed_all(&mut *left, &batches[..2]);
        // The other part lies on another device, if there is one.
        let moved: Vec<_> = batches[2..]
            .iter()
            .map(|(p, t, w)| {
                let to = |t: &Tensor| t.to(&gpu_or_cpu).unwrap();
                (to(p), to(t), w.as_ref().map(to))
            })
            .collect();
        let mut right = make(&gpu_or_cpu);
        feed_all(&mut *right, &moved);
        left.merge(&*right).unwrap();
        assert_same(&values(&*left), &values(&*whole), left.name());
        let mut empty = make(device);
        empty.merge(&*left).unwrap();
        empty.merge(&*make(device)).unwrap();
        assert_same(&values(&*empty), &values(&*whole), left.name());
    });
}

#[test]
fn compiled_steps_hold_metrics() {
    each(|make, feed, weighted, device| {
        let batches = batches(feed, weighted, device);
        let mut plain = make(device);
        feed_all(&mut *plain, &batches);
        let mut held: Vec<Box<dyn Metric>> = vec![make(device)];
        let mut step = compile(|held: &mut Vec<Box<dyn Metric>>, x: &[Tensor]| {
            held[0].update(&x[0], &x[1], x.get(2))?;
            Ok(x[0].mean())
        });
        for (p, t, w) in &batches {
            let inputs: Vec<&Tensor> = [Some(p), Some(t), w.as_ref()]
                .into_iter()
                .flatten()
                .collect();
            step.call(&mut held, &inputs).unwrap();
        }
        assert!(step.traces() > 0, "{} is no plan", plain.name());
        assert_same(&values(&*held[0]), &values(&*plain), plain.name());
    });
}

/// What a metric costs in a compiled step is kernels: they are few.
#[test]
fn metrics_take_few_kernels() {
    for device in devices() {
        let of = |held: Vec<Box<dyn Metric>>, feed: Feed| {
            let mut held = held;
            let mut step = compile(|held: &mut Vec<Box<dyn Metric>>, x: &[Tensor]| {
                for metric in held {
                    metric.update(&x[0], &x[1], None)?;
                }
                Ok(x[0].mean())
            });
            let (p, t) = feed(&mut Generator::new(1), 128, &device);
            let (p, t) = (p.detach().unwrap(), t.detach().unwrap());
            let cost = step.cost(&mut held, &[&p, &t]).unwrap().expect("a plan");
            cost.kernels
        };
        for (make, feed, _) in all() {
            let metric = make(&device);
            let name = metric.name().to_owned();
            let more = of(vec![metric], feed) - of(Vec::new(), feed);
            println!("{device}: {name} takes {more} kernels");
            let most = match name.as_str() {
                "accuracy" => 8,
                "ssim" | "frechet_distance" => 40,
                _ => 24,
            };
            assert!(more <= most, "{name} takes {more} kernels on {device}");
        }
    }
}

#[test]
fn a_sample_of_weight_0_may_hold_anything() {
    for device in devices() {
        let w = Tensor::new(&[1.0f32, 0.0, 1.0], &device);
        let scores = [0.1f32, 0.9, f32::NAN, 5.0, 0.8, 0.2];
        let scores = Tensor::from_slice(&scores, &[3, 2], &device);
        let t = Tensor::new(&[1, 77, 1], &device);
        let mut metrics: Vec<Box<dyn Metric>> = vec![
            Box::new(Accuracy::new(2, &device)),
            Box::new(Confusion::new(2, &device)),
            Box::new(TopKAccuracy::new(1, 2, &device).unwrap()),
            Box::new(LogLoss::new(Predicts::Logits, &device)),
            Box::new(LogLoss::new(Predicts::Probabilities, &device)),
            Box::new(CalibrationError::new(3, &device)),
        ];
        for metric in &mut metrics {
            metric.update(&scores, &t, Some(&w)).unwrap();
            let values = metric.value().unwrap();
            assert!(values.iter().all(|(_, v)| v.is_finite()), "{values:?}");
        }
        assert_eq!(result(&*metrics[0], "accuracy"), 0.5);
        let (p, t) = ([1.0, f32::NAN, 2.0], [1.5f32, 3.0, 2.0]);
        let (p, t) = (Tensor::new(&p, &device), Tensor::new(&t, &device));
        let mut mse = Regression::new(&[RegressionScore::Mse], &device);
        mse.update(&p, &t, Some(&w)).unwrap();
        assert_eq!(result(&mse, "mse"), 0.125);
        let mut ranks = RankScores::new(2, 3, &device);
        let t = Tensor::new(&[1, 9, 0], &device);
        ranks.update(&p, &t, Some(&w)).unwrap();
        assert_eq!(result(&ranks, "roc_auc"), 0.0);
    }
}

#[test]
fn samples_that_cannot_be_used_are_told() {
    for device in devices() {
        let mut accuracy = Accuracy::new(2, &device);
        let scores = Tensor::from_slice(&[0.0f32, 1.0, 1.0, 0.0, f32::NAN, 0.0], &[3, 2], &device);
        let told = |metric: &dyn Metric, part: &str| {
            let error = metric.value().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value);
            assert!(error.to_string().contains(part), "{error}");
        };
        let t = Tensor::new(&[1, 2, -1], &device);
        accuracy.update(&scores, &t, None).unwrap();
        told(&accuracy, "2 samples have a label outside of the classes");
        told(&accuracy, "1 samples have a NaN");
        accuracy.reset();
        let t = Tensor::new(&[1, 1, 0], &device);
        let w = Tensor::new(&[1.0f32, -1.0, f32::INFINITY], &device);
        accuracy.update(&scores, &t, Some(&w)).unwrap();
        told(&accuracy, "2 weights are negative");
        let mut loss = LogLoss::new(Predicts::Probabilities, &device);
        let p = Tensor::new(&[0.5f32, 1.5, -0.1], &device);
        loss.update(&p, &t, None).unwrap();
        told(&loss, "2 predictions are no probabilities");
        let mut ranks = RankScores::new(2, 4, &device);
        ranks.update(&p, &t, None).unwrap();
        assert!(ranks.value().is_ok());
        ranks.update(&p, &t, None).unwrap();
        told(&ranks, "2 samples came after the capacity");
    }
}

#[test]
fn what_does_not_fit_is_refused_at_once() {
    let device = Device::cpu();
    let floats = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &device);
    let ints = |shape: &[usize]| Tensor::zeros(shape, DType::I32, &device);
    let mut accuracy = Accuracy::new(3, &device);
    accuracy
        .update(&floats(&[2, 3]), &ints(&[2]), None)
        .unwrap();
    let before = accuracy.value().unwrap();
    for (p, t, w) in [
        (floats(&[2, 4]), ints(&[2]), None),
        (floats(&[3, 3]), ints(&[2]), None),
        (floats(&[2]), ints(&[2]), None),
        (ints(&[2, 3]), ints(&[2]), None),
        (floats(&[2, 3]), floats(&[2]), None),
        (floats(&[2, 3]), ints(&[2]), Some(floats(&[3]))),
        (floats(&[2, 3, 4]), ints(&[2, 5]), None),
        (floats(&[]), ints(&[]), None),
    ] {
        let error = accuracy.update(&p, &t, w.as_ref()).unwrap_err();
        assert_eq!(error.op(), "accuracy", "{error}");
        assert!(!error.operands().is_empty(), "{error}");
    }
    assert_eq!(accuracy.value().unwrap(), before);
    let mut mse = Regression::new(&[RegressionScore::Mse], &device);
    assert!(mse.update(&floats(&[3]), &floats(&[3, 1]), None).is_err());
    assert!(accuracy.merge(&mse).is_err());
    assert!(accuracy.merge(&Accuracy::new(4, &device)).is_err());
    assert!(TopKAccuracy::new(4, 3, &device).is_err());
    assert!(
        ssim(
            &floats(&[1, 1, 8, 8]),
            &floats(&[1, 1, 8, 8]),
            &SsimOptions::default()
        )
        .is_err()
    );
    assert!(mmd_rbf(&floats(&[2, 3]), &floats(&[2, 4]), 1.0, false).is_err());
    assert!(mmd_rbf(&floats(&[1, 3]), &floats(&[2, 3]), 1.0, true).is_err());
}

#[test]
fn label_maps_and_weights_of_images() {
    for device in devices() {
        let mut rng = Generator::new(3);
        let scores = rng.normal(&[4, 3, 6, 5], &device).detach().unwrap();
        let t = labels(&mut rng, 4 * 6 * 5, 3, &device);
        let t = t.reshape(&[4, 6, 5]).detach().unwrap();
        let w = [1.0f32, 0.0, 2.0, 0.5];
        let mut confusion = Confusion::new(3, &device);
        let weight = Tensor::new(&w, &device);
        confusion.update(&scores, &t, Some(&weight)).unwrap();
        let predicted = scores.argmax(1, false).to_vec::<i32>().unwrap();
        let truth = t.to_vec::<i32>().unwrap();
        let each: Vec<f64> = (0..truth.len()).map(|i| f64::from(w[i / 30])).collect();
        let plain = ClassScores::new(&truth, &predicted, 3, Some(&each)).unwrap();
        let found = confusion.class_scores().unwrap();
        for rate in [Rate::Iou, Rate::Dice, Rate::Specificity] {
            let both = [
                found.per_class(rate).unwrap(),
                plain.per_class(rate).unwrap(),
            ];
            for (f, e) in both[0].iter().zip(&both[1]) {
                assert_close(*f, *e, 1e-6, "a rate of pixels");
            }
        }
    }
}

#[test]
fn sums_stay_right_over_very_many_samples() {
    for device in devices() {
        // 1e8 and then ones: a plain f32 sum would stay at 1e8.
        let mut mean = Mean::new("mean", &device);
        let many = Tensor::new(&[1e8f32], &device);
        mean.add(&Tensor::new(&[1.0f32], &device), Some(&many))
            .unwrap();
        let two = Tensor::new(&[2.0f32], &device);
        let mut held = (mean, 0u64);
        let mut step = compile(|held: &mut (Mean, u64), x: &[Tensor]| {
            held.0.add(&x[0], None)?;
            Ok(x[0].mean())
        });
        for _ in 0..5000 {
            step.call(&mut held, &[&two]).unwrap();
        }
        let expected = (1e8 + 10_000.0) / (1e8 + 5000.0);
        let found = result(&held.0, "mean");
        assert!(
            (found - 1.0) / (expected - 1.0) > 0.99,
            "{found} instead of {expected}"
        );
        assert!(
            (found - expected).abs() < 1e-6,
            "{found} instead of {expected}"
        );
    }
}

#[test]
fn a_hundred_million_samples() {
    let device = Device::cpu();
    let n = 1_000_000;
    let value = Tensor::full(&[n], 0.1, DType::F32, &device);
    let predicted = Tensor::arange(n, &device).remainder(&Tensor::new(&[4], &device));
    let truth = Tensor::zeros(&[n], DType::I32, &device);
    let mut held = (Mean::new("mean", &device), Accuracy::new(4, &device));
    let mut step = compile(|held: &mut (Mean, Accuracy), x: &[Tensor]| {
        held.0.add(&x[0], None)?;
        held.1.update(&x[1], &x[2], None)?;
        Ok(x[0].mean())
    });
    for _ in 0..100 {
        step.call(&mut held, &[&value, &predicted, &truth]).unwrap();
    }
    let mean = result(&held.0, "mean");
    assert!((mean - f64::from(0.1f32)).abs() < 1e-8, "{mean}");
    assert_eq!(result(&held.1, "accuracy"), 0.25);
}

#[test]
fn counts_are_exact_beyond_words() {
    for device in devices() {
        let fresh = |right: i32| {
            let mut m = Accuracy::new(2, &device);
            let t = Tensor::new(&[right], &device);
            m.update(&Tensor::new(&[1], &device), &t, None).unwrap();
            m
        };
        // Two that add each other: Fibonacci's numbers of hits and of samples.
        let (mut a, mut b) = (fresh(1), fresh(0));
        let (mut x, mut y) = ((1u64, 1u64), (0u64, 1u64));
        for _ in 0..30 {
            a.merge(&b).unwrap();
            b.merge(&a).unwrap();
            x = (x.0 + y.0, x.1 + y.1);
            y = (x.0 + y.0, x.1 + y.1);
        }
        assert!(y.1 > 1 << 40);
        assert_eq!(result(&b, "accuracy"), y.0 as f64 / y.1 as f64);
    }
}
