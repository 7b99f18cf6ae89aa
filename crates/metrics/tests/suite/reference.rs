//! Values of scikit-learn, scikit-image, NLTK and sacreBLEU: `../reference.py` writes them, from inputs that an integer formula
//! gives in both languages.

use crate::{assert_close, devices, result};
use serde_json::Value;
use wgrad_graph::{DType, Device, Tensor};
use wgrad_metrics::*;

fn document() -> Value {
    serde_json::from_str(include_str!("../reference.json")).unwrap()
}

/// As `numbers` of `reference.py`.
fn numbers(seed: u64, n: usize, below: u64) -> Vec<u64> {
    let mut state = (seed * 2_654_435_761) & 0xffff_ffff;
    let next = |_| {
        state = (state * 1_664_525 + 1_013_904_223) & 0xffff_ffff;
        (state >> 8) % below
    };
    (0..n).map(next).collect()
}

struct Case<'a> {
    case: &'a Value,
    expect: &'a Value,
}

impl Case<'_> {
    fn int(&self, name: &str) -> usize {
        self.case[name].as_u64().unwrap() as usize
    }

    fn seed(&self, more: u64) -> u64 {
        self.case["seed"].as_u64().unwrap() + more
    }

    fn weight(&self, n: usize) -> Option<Vec<f64>> {
        let given = numbers(self.seed(3), n, 9);
        let weighted = self.case["weighted"].as_bool().unwrap();
        weighted.then(|| given.iter().map(|&w| w as f64 / 4.0).collect())
    }

    fn number(&self, name: &str) -> f64 {
        number(&self.expect[name])
    }

    fn list(&self, name: &str) -> Vec<f64> {
        list(&self.expect[name])
    }

    fn close(&self, name: &str, found: f64, tolerance: f64) {
        let what = format!("{name} of {}", self.case);
        assert_close(found, self.number(name), tolerance, &what);
    }

    fn all_close(&self, name: &str, found: &[f64]) {
        let expected = self.list(name);
        assert_eq!(found.len(), expected.len(), "{name} of {}", self.case);
        for (f, e) in found.iter().zip(expected) {
            assert_close(*f, e, 1e-12, &format!("{name} of {}", self.case));
        }
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other
            .as_f64()
            .unwrap_or_else(|| panic!("no number: {other}")),
    }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn each(group: &str, mut test: impl FnMut(&Case)) {
    let document = document();
    let cases = document[group].as_array().unwrap();
    assert!(!cases.is_empty());
    for one in cases {
        test(&Case {
            case: &one["case"],
            expect: &one["expect"],
        });
    }
}

fn labels(case: &Case) -> (Vec<i32>, Vec<i32>) {
    let (n, classes) = (case.int("n"), case.int("classes") as u64);
    let truth = numbers(case.seed(0), n, 1000);
    let guess = numbers(case.seed(1), n, 1000);
    let right = numbers(case.seed(2), n, 10);
    let absent = |name: &str, label: u64| {
        let absent = case.case[name].as_array().unwrap();
        if absent.iter().any(|a| a.as_u64() == Some(label)) {
            0
        } else {
            label as i32
        }
    };
    let only = case.case["only"].as_u64();
    let predicted = (0..n).map(|i| {
        let of = if right[i] < 6 { truth[i] } else { guess[i] };
        absent("absent_predicted", of % classes)
    });
    let truth = truth
        .iter()
        .map(|t| absent("absent_truth", only.unwrap_or(t % classes)));
    (truth.collect(), predicted.collect())
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn weights(weight: &Option<Vec<f64>>, device: &Device) -> Option<Tensor> {
    weight.as_ref().map(|w| Tensor::new(&f32s(w), device))
}

/// Feeds a metric in uneven batches.
fn feed(metric: &mut dyn Metric, p: &Tensor, t: &Tensor, w: Option<&Tensor>) {
    let n = t.size(0);
    let mut at = 0;
    for size in [7, 1, 0, 13, 5].iter().cycle() {
        let size = (*size).min(n - at);
        let part = |x: &Tensor| x.narrow(0, at, size);
        let w = w.map(part);
        metric.update(&part(p), &part(t), w.as_ref()).unwrap();
        at += size;
        if at == n {
            return;
        }
    }
}

fn rates() -> Vec<(Rate, &'static str)> {
    vec![
        (Rate::Precision, "precision"),
        (Rate::Recall, "recall"),
        (Rate::F(1.0), "f1"),
        (Rate::F(0.5), "f0.5"),
        (Rate::F(2.0), "f2"),
        (Rate::Iou, "iou"),
    ]
}

fn check_scores(case: &Case, scores: &ClassScores, tolerance: f64) {
    case.close("accuracy", scores.accuracy().unwrap(), tolerance);
    let balanced = scores.balanced_accuracy().unwrap();
    case.close("balanced_accuracy", balanced, tolerance);
    case.close("matthews", scores.matthews().unwrap(), tolerance);
    for (name, weights) in [
        ("cohen_kappa", KappaWeights::None),
        ("cohen_kappa_linear", KappaWeights::Linear),
        ("cohen_kappa_quadratic", KappaWeights::Quadratic),
    ] {
        case.close(name, scores.cohen_kappa(weights).unwrap(), tolerance);
    }
    for (zero, name) in [
        (ZeroDivision::Zero, "zero_division_0.0"),
        (ZeroDivision::One, "zero_division_1.0"),
        (ZeroDivision::Nan, "zero_division_nan"),
    ] {
        let scores = scores.clone().zero_division(zero);
        for (rate, rate_name) in rates() {
            let of = |key: &str| &case.expect[name][format!("{rate_name}_{key}")];
            if of("micro").is_null() {
                continue;
            }
            for (average, key) in [
                (Average::Micro, "micro"),
                (Average::Macro, "macro"),
                (Average::Weighted, "weighted"),
            ] {
                let found = scores.average(rate, average).unwrap();
                let what = format!("{rate_name}_{key}, {name} of {}", case.case);
                assert_close(found, number(of(key)), tolerance, &what);
            }
            let found = scores.per_class(rate).unwrap();
            for (class, e) in list(of("classes")).into_iter().enumerate() {
                let what = format!("{rate_name} of class {class}, {name} of {}", case.case);
                assert_close(found[class], e, tolerance, &what);
            }
        }
    }
}

#[test]
fn classes_are_scored_as_scikit_learn_does() {
    each("classes", |case| {
        let (truth, predicted) = labels(case);
        let weight = case.weight(truth.len());
        let classes = case.int("classes");
        let scores = ClassScores::new(&truth, &predicted, classes, weight.as_deref()).unwrap();
        check_scores(case, &scores, 1e-12);
    });
}

#[test]
fn classes_are_counted_on_devices() {
    for device in devices() {
        each("classes", |case| {
            let (truth, predicted) = labels(case);
            let classes = case.int("classes");
            let w = weights(&case.weight(truth.len()), &device);
            let t = Tensor::new(&truth, &device);
            let p = Tensor::new(&predicted, &device);
            let mut confusion = Confusion::new(classes, &device);
            feed(&mut confusion, &p, &t, w.as_ref());
            check_scores(case, &confusion.class_scores().unwrap(), 1e-6);
            // The same predictions as scores.
            let mut accuracy = Accuracy::new(classes, &device);
            let scores = p.one_hot(classes).cast(DType::F32) * 3.0 - 1.0;
            feed(&mut accuracy, &scores, &t, w.as_ref());
            case.close("accuracy", result(&accuracy, "accuracy"), 1e-6);
        });
    }
}

fn scored(case: &Case) -> (Vec<i32>, Vec<f64>) {
    let (n, levels) = (case.int("n"), case.int("levels") as u64);
    let only = case.case["only"].as_u64();
    let truth = numbers(case.seed(0), n, 2)
        .into_iter()
        .map(|t| only.unwrap_or(t));
    let truth: Vec<u64> = truth.collect();
    let noise = numbers(case.seed(1), n, levels);
    let score = |(x, t): (&u64, &u64)| (levels - 1).min(x + 2 * t) as f64 / levels as f64;
    let scores = noise.iter().zip(&truth).map(score).collect();
    (truth.iter().map(|&t| t as i32).collect(), scores)
}

#[test]
fn curves_are_scikit_learns() {
    each("curves", |case| {
        let (truth, scores) = scored(case);
        let weight = case.weight(truth.len());
        let weight = weight.as_deref();
        let roc = roc_curve(&truth, &scores, weight).unwrap();
        case.all_close("fpr", &roc.false_positive_rate);
        case.all_close("tpr", &roc.true_positive_rate);
        case.all_close("roc_thresholds", &roc.thresholds);
        case.close("roc_auc", roc_auc(&truth, &scores, weight).unwrap(), 1e-12);
        let curve = precision_recall_curve(&truth, &scores, weight).unwrap();
        case.all_close("precision", &curve.precision);
        case.all_close("recall", &curve.recall);
        case.all_close("pr_thresholds", &curve.thresholds);
        let average = average_precision(&truth, &scores, weight).unwrap();
        case.close("average_precision", average, 1e-12);
        let loss = log_loss(&truth, &scores, weight).unwrap();
        case.close("log_loss", loss, 1e-12);
        case.close(
            "brier",
            brier_score(&truth, &scores, weight).unwrap(),
            1e-12,
        );
        for (binning, name) in [
            (Binning::Uniform, "uniform"),
            (Binning::Quantile, "quantile"),
        ] {
            if case.expect[format!("observed_{name}")].is_null() {
                continue;
            }
            let curve = calibration_curve(&truth, &scores, 5, binning, weight).unwrap();
            case.all_close(&format!("observed_{name}"), &curve.observed);
            case.all_close(&format!("predicted_{name}"), &curve.predicted);
        }
    });
}

#[test]
fn scores_are_kept_on_devices() {
    for device in devices() {
        each("curves", |case| {
            let (truth, scores) = scored(case);
            let weight = case.weight(truth.len());
            let w = weights(&weight, &device);
            let t = Tensor::new(&truth, &device);
            let p = Tensor::new(&f32s(&scores), &device);
            let mut ranks = RankScores::new(2, truth.len(), &device);
            feed(&mut ranks, &p, &t, w.as_ref());
            case.close("roc_auc", result(&ranks, "roc_auc"), 1e-7);
            let precision = result(&ranks, "average_precision");
            case.close("average_precision", precision, 1e-7);
            let mut calibration = CalibrationError::new(5, &device);
            feed(&mut calibration, &p, &t, w.as_ref());
            case.close("brier", result(&calibration, "brier"), 1e-6);
            // A probability of 0 has another bound in f32: where it is right all the same.
            let mut loss = LogLoss::new(Predicts::Probabilities, &device);
            let inner = scores.iter().all(|&s| s > 0.0);
            feed(&mut loss, &p, &t, w.as_ref());
            let found = result(&loss, "log_loss");
            if inner {
                case.close("log_loss", found, 1e-5);
            } else {
                assert!(found <= case.number("log_loss") * (1.0 + 1e-5));
            }
        });
    }
}

fn many(case: &Case) -> (Vec<i32>, Vec<f64>, Vec<f64>) {
    let (n, c) = (case.int("n"), case.int("classes"));
    let truth: Vec<usize> = numbers(case.seed(0), n, 1000)
        .iter()
        .map(|t| *t as usize % c)
        .collect();
    let mut raw: Vec<f64> = numbers(case.seed(1), n * c, 7)
        .iter()
        .map(|r| *r as f64 + 1.0)
        .collect();
    for (i, t) in truth.iter().enumerate() {
        raw[i * c + t] += 2.0;
    }
    let rows = raw.chunks(c).flat_map(|row| {
        let sum: f64 = row.iter().sum();
        row.iter().map(move |r| r / sum)
    });
    let p = rows.collect();
    (truth.iter().map(|&t| t as i32).collect(), raw, p)
}

#[test]
fn probabilities_of_many_classes() {
    each("many", |case| {
        let (truth, raw, p) = many(case);
        let (n, c) = (case.int("n"), case.int("classes"));
        let weight = case.weight(n);
        let given = weight.as_deref();
        case.close("log_loss", log_loss(&truth, &p, given).unwrap(), 1e-12);
        case.close("brier", brier_score(&truth, &p, given).unwrap(), 1e-12);
        let areas = roc_auc_one_vs_rest(&truth, &p, c, given).unwrap();
        case.all_close("roc_auc_each", &areas);
        for device in devices() {
            let w = weights(&weight, &device);
            let t = Tensor::new(&truth, &device);
            let shaped = |x: &[f64]| Tensor::from_slice(&f32s(x), &[n, c], &device);
            for k in 1..=3 {
                let mut top = TopKAccuracy::new(k, c, &device).unwrap();
                feed(&mut top, &shaped(&raw), &t, w.as_ref());
                let found = result(&top, &format!("top_{k}_accuracy"));
                case.close(&format!("top_{k}"), found, 1e-6);
            }
            for (predicts, x) in [
                (Predicts::Probabilities, shaped(&p)),
                (Predicts::Logits, shaped(&p).log()),
            ] {
                let mut loss = LogLoss::new(predicts, &device);
                feed(&mut loss, &x, &t, w.as_ref());
                case.close("log_loss", result(&loss, "log_loss"), 1e-6);
            }
            let mut calibration = CalibrationError::new(10, &device);
            feed(&mut calibration, &shaped(&p), &t, w.as_ref());
            case.close("brier", result(&calibration, "brier"), 1e-6);
            // Equal probabilities may differ in f64 and not in f32: the integers that they come from are exact.
            let mut ranks = RankScores::new(c, n + 3, &device);
            feed(&mut ranks, &shaped(&p), &t, w.as_ref());
            case.close("roc_auc", result(&ranks, "roc_auc"), 1e-6);
            let precision = result(&ranks, "average_precision");
            case.close("average_precision", precision, 1e-6);
        }
    });
}

#[test]
fn regressions_are_scored_as_scikit_learn_does() {
    each("regression", |case| {
        let n = case.int("n");
        let mean = case.case["mean"].as_f64().unwrap();
        let constant = case.case["constant"].as_bool() == Some(true);
        let truth: Vec<f64> = numbers(case.seed(0), n, 1000)
            .iter()
            .map(|&x| {
                if constant {
                    mean
                } else {
                    (x as f64 - 500.0) / 64.0 + mean
                }
            })
            .collect();
        let noise = numbers(case.seed(1), n, 100);
        let predicted: Vec<f64> = truth
            .iter()
            .zip(noise)
            .map(|(t, x)| t + (x as f64 - 30.0) / 32.0)
            .collect();
        let weight = case.weight(n);
        let all = RegressionScore::ALL;
        let found = regression_scores(&truth, &predicted, weight.as_deref(), &all).unwrap();
        for (score, found) in all.iter().zip(found) {
            case.close(score.name(), found, 1e-11);
        }
        for device in devices() {
            let w = weights(&weight, &device);
            let [p, t] = [&predicted, &truth].map(|x| Tensor::new(&f32s(x), &device));
            let mut scores = Regression::new(&all, &device);
            feed(&mut scores, &p, &t, w.as_ref());
            for score in all {
                // A weight of 0 leaves a sample out here; scikit-learn only multiplies by it.
                if n == 2 && weight.as_ref().is_some_and(|w| w.contains(&0.0)) {
                    continue;
                }
                case.close(score.name(), result(&scores, score.name()), 2e-4);
            }
        }
    });
}

#[test]
fn clusterings() {
    each("clusters", |case| {
        let n = case.int("n");
        let ints = |more: u64, count: usize, below: u64| numbers(case.seed(more), count, below);
        let a = ints(0, n, 4);
        let b = ints(1, n, 3);
        let keep = ints(2, n, 3);
        let b: Vec<i32> = (0..n)
            .map(|i| {
                if keep[i] > 0 {
                    a[i] as i32
                } else {
                    b[i] as i32
                }
            })
            .collect();
        let points: Vec<f64> = ints(3, n * 3, 100)
            .iter()
            .enumerate()
            .map(|(at, &x)| x as f64 + 30.0 * a[at / 3] as f64)
            .collect();
        let a: Vec<i32> = a.iter().map(|&x| x as i32).collect();
        case.close("adjusted_rand", adjusted_rand_index(&a, &b).unwrap(), 1e-12);
        case.close("silhouette", silhouette(&points, &a).unwrap(), 1e-12);
    });
}

#[test]
fn texts_are_scored_as_nltk_and_sacrebleu_do() {
    each("texts", |case| {
        let mut rate = ErrorRate::default();
        let smoothings = [
            ("nltk", BleuSmoothing::None),
            ("none", BleuSmoothing::None),
            ("exp", BleuSmoothing::Exp),
            ("floor", BleuSmoothing::Floor(0.1)),
            ("add-k", BleuSmoothing::AddK(1.0)),
        ];
        let mut bleus = smoothings.map(|(_, s)| Bleu::new(4).unwrap().smoothing(s));
        for s in 0..case.int("sentences") as u64 {
            let at = |more: u64, n: usize, below: u64| numbers(case.seed(10 * s + more), n, below);
            let length = 5 + at(0, 1, 8)[0] as usize;
            let candidate = at(1, length, case.int("words") as u64);
            let references: Vec<Vec<u64>> = (0..2)
                .map(|r| {
                    let keep = at(2 + r, length, 5);
                    let own = candidate.iter().zip(&keep);
                    let own = own.map(|(w, k)| if *k > 0 { *w } else { w + 1 });
                    own.chain(keep[..case.int("longer")].iter().copied())
                        .collect()
                })
                .collect();
            for bleu in &mut bleus {
                bleu.update(&candidate, &references);
            }
            rate.update(&candidate, &references[0]);
        }
        for ((name, _), bleu) in smoothings.iter().zip(&bleus) {
            case.close(name, bleu.value().unwrap(), 1e-9);
        }
        case.close("edits", rate.edits() as f64, 0.0);
        case.close("tokens", rate.tokens() as f64, 0.0);
    });
}

#[test]
fn images_are_compared_as_scikit_image_does() {
    each("images", |case| {
        let size = list(&case.case["size"]);
        let (h, w) = (size[0] as usize, size[1] as usize);
        let noise = numbers(case.seed(0), h * w, 256);
        let more = numbers(case.seed(1), h * w, 40);
        let pixel = |i: usize| (noise[i] as f64 / 4.0 + 3.0 * (i / w + i % w) as f64) % 256.0;
        let a: Vec<f64> = (0..h * w).map(pixel).collect();
        let b: Vec<f64> = (0..h * w)
            .map(|i| (a[i] + more[i] as f64 - 20.0).clamp(0.0, 255.0))
            .collect();
        for device in devices() {
            let [a, b] = [&a, &b].map(|x| Tensor::from_slice(&f32s(x), &[1, 1, h, w], &device));
            let found = psnr(&b, &a, 255.0).unwrap().item::<f32>().unwrap();
            case.close("psnr", f64::from(found), 1e-6);
            for (name, window, sample_covariance) in [
                ("gaussian", SsimWindow::Gaussian(1.5), false),
                ("uniform", SsimWindow::Uniform(7), true),
                ("uniform_9", SsimWindow::Uniform(9), false),
            ] {
                let options = SsimOptions {
                    data_range: 255.0,
                    window,
                    sample_covariance,
                    ..SsimOptions::default()
                };
                let mut metric = ImageScore::ssim(options, &device);
                metric.update(&b, &a, None).unwrap();
                case.close(name, result(&metric, "ssim"), 1e-4);
            }
        }
    });
}

#[test]
fn sets_are_compared() {
    each("sets", |case| {
        let sizes = list(&case.case["sizes"]);
        let (m, n, f) = (sizes[0] as usize, sizes[1] as usize, sizes[2] as usize);
        let bandwidth = case.case["bandwidth"].as_f64().unwrap();
        let x: Vec<f32> = numbers(case.seed(0), m * f, 100)
            .iter()
            .map(|&v| v as f32 / 25.0)
            .collect();
        let y: Vec<f32> = numbers(case.seed(1), n * f, 100)
            .iter()
            .map(|&v| v as f32 / 20.0 + 1.0)
            .collect();
        for device in devices() {
            let x = Tensor::from_slice(&x, &[m, f], &device);
            let y = Tensor::from_slice(&y, &[n, f], &device);
            for (name, unbiased) in [("biased", false), ("unbiased", true)] {
                let found = mmd_rbf(&x, &y, bandwidth, unbiased).unwrap();
                case.close(name, f64::from(found.item::<f32>().unwrap()), 2e-6);
            }
            #[cfg(feature = "linalg")]
            {
                let mut frechet = FrechetDistance::new(f, &device);
                let half = m / 2;
                let none = y.narrow(0, 0, 0);
                frechet.update(&x.narrow(0, 0, half), &y, None).unwrap();
                frechet
                    .update(&x.narrow(0, half, m - half), &none, None)
                    .unwrap();
                case.close("frechet", result(&frechet, "frechet_distance"), 1e-4);
            }
        }
    });
}
