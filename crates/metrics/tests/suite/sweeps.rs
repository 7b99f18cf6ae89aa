//! Random data against plain definitions.

use crate::{assert_close, result};
use proptest::prelude::*;
use wgrad_graph::{Device, Tensor};
use wgrad_metrics::*;

/// Labels, scores on a coarse grid (ties), and weights, some of them 0.
fn scored() -> impl Strategy<Value = (Vec<i32>, Vec<f64>, Vec<f64>)> {
    let one = (0..2i32, 0..6u8, 0..5u8).prop_map(|(t, s, w)| (t, f64::from(s), f64::from(w)));
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let (mut t, mut s, mut w) = (vec![], vec![], vec![]);
        for one in all {
            t.push(one.0);
            s.push(one.1);
            w.push(one.2);
        }
        w[0] = 1.0;
        (t, s, w)
    })
}

fn labelled() -> impl Strategy<Value = (usize, Vec<(i32, i32, u8)>)> {
    (1..6usize).prop_flat_map(|classes| {
        let class = 0..classes as i32;
        let one = (class.clone(), class, 0..4u8);
        (Just(classes), prop::collection::vec(one, 1..60))
    })
}

/// Levenshtein's distance by its recursion.
fn distance(a: &[u8], b: &[u8]) -> usize {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len(),
        ([x, a @ ..], [y, b @ ..]) if x == y => distance(a, b),
        ([_, a_rest @ ..], [_, b_rest @ ..]) => {
            let inner = distance(a_rest, b_rest);
            1 + inner.min(distance(a_rest, b)).min(distance(a, b_rest))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_area_counts_pairs((truth, scores, weight) in scored()) {
        let (mut won, mut all) = (0.0, 0.0);
        for i in 0..truth.len() {
            for j in 0..truth.len() {
                if truth[i] == 1 && truth[j] == 0 {
                    let pair = weight[i] * weight[j];
                    all += pair;
                    won += pair * match scores[i].total_cmp(&scores[j]) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
        }
        let found = roc_auc(&truth, &scores, Some(&weight)).unwrap();
        assert_close(found, won / all, 1e-12, "the area");
        // Any rising function of the scores has the same area.
        let risen: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
        assert_close(roc_auc(&truth, &risen, Some(&weight)).unwrap(), found, 1e-12, "risen");
    }

    #[test]
    fn average_precision_is_its_sum((truth, scores, weight) in scored()) {
        let at = |threshold: f64| {
            let (mut tp, mut fp) = (0.0, 0.0);
            for i in 0..truth.len() {
                if scores[i] >= threshold {
                    if truth[i] == 1 { tp += weight[i] } else { fp += weight[i] }
                }
            }
            (tp, fp)
        };
        let positives = at(f64::NEG_INFINITY).0;
        let (mut expected, mut before) = (0.0, 0.0);
        for threshold in (0..6).rev() {
            let (tp, fp) = at(f64::from(threshold));
            if tp > before {
                expected += (tp - before) / positives * tp / (tp + fp);
                before = tp;
            }
        }
        let found = average_precision(&truth, &scores, Some(&weight)).unwrap();
        assert_close(found, expected, 1e-12, "average precision");
    }

    #[test]
    fn rates_are_their_definitions((classes, samples) in labelled()) {
        let truth: Vec<i32> = samples.iter().map(|s| s.0).collect();
        let predicted: Vec<i32> = samples.iter().map(|s| s.1).collect();
        let mut weight: Vec<f64> = samples.iter().map(|s| f64::from(s.2)).collect();
        weight[0] = 1.0;
        let scores = ClassScores::new(&truth, &predicted, classes, Some(&weight)).unwrap();
        let sum = |keep: &dyn Fn(i32, i32) -> bool| -> f64 {
            (0..truth.len()).filter(|&i| keep(truth[i], predicted[i])).map(|i| weight[i]).sum()
        };
        let all = sum(&|_, _| true);
        assert_close(scores.accuracy().unwrap(), sum(&|t, p| t == p) / all, 1e-12, "accuracy");
        for class in 0..classes as i32 {
            let tp = sum(&|t, p| t == class && p == class);
            let fp = sum(&|t, p| t != class && p == class);
            let fn_ = sum(&|t, p| t == class && p != class);
            let tn = sum(&|t, p| t != class && p != class);
            let rate = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
            for (name, expected) in [
                (Rate::Precision, rate(tp, tp + fp)),
                (Rate::Recall, rate(tp, tp + fn_)),
                (Rate::Specificity, rate(tn, tn + fp)),
                (Rate::Iou, rate(tp, tp + fp + fn_)),
                (Rate::Dice, rate(2.0 * tp, 2.0 * tp + fp + fn_)),
                (Rate::F(1.0), rate(2.0 * tp, 2.0 * tp + fp + fn_)),
                (Rate::F(f64::INFINITY), rate(tp, tp + fn_)),
            ] {
                let found = scores.average(name, Average::Class(class as usize)).unwrap();
                assert_close(found, expected, 1e-12, &format!("{name:?} of {class}"));
            }
        }
        let micro = scores.average(Rate::Precision, Average::Micro).unwrap();
        assert_close(micro, scores.accuracy().unwrap(), 1e-12, "micro precision");
        // Matthews' coefficient is the correlation of the indicators.
        let mean = |of: &dyn Fn(usize) -> f64| {
            (0..truth.len()).map(|i| weight[i] * of(i)).sum::<f64>() / all
        };
        let covariance = |a: &[i32], b: &[i32]| -> f64 {
            (0..classes as i32).map(|k| {
                let x = |i: usize| f64::from(u8::from(a[i] == k));
                let y = |i: usize| f64::from(u8::from(b[i] == k));
                mean(&|i| x(i) * y(i)) - mean(&x) * mean(&y)
            }).sum()
        };
        let (tt, pp) = (covariance(&truth, &truth), covariance(&predicted, &predicted));
        let expected = if tt < 1e-12 || pp < 1e-12 { 0.0 } else { covariance(&truth, &predicted) / (tt * pp).sqrt() };
        assert_close(scores.matthews().unwrap(), expected, 1e-9, "Matthews");
    }

    #[test]
    fn edits_are_the_fewest(a in prop::collection::vec(0..3u8, 0..7), b in prop::collection::vec(0..3u8, 0..7)) {
        prop_assert_eq!(edit_distance(&a, &b), distance(&a, &b));
        prop_assert_eq!(edit_distance(&b, &a), distance(&a, &b));
    }

    #[test]
    fn clusterings_have_no_names(labels in prop::collection::vec(0..4i32, 1..30)) {
        let renamed: Vec<i32> = labels.iter().map(|l| 100 - 7 * l).collect();
        assert_close(adjusted_rand_index(&labels, &renamed).unwrap(), 1.0, 1e-12, "renamed");
    }

    #[test]
    fn bleu_of_a_reference_is_1(words in prop::collection::vec(0..9u8, 4..20), other in prop::collection::vec(0..9u8, 0..20)) {
        let mut bleu = Bleu::new(4).unwrap();
        bleu.update(&words, &[other.clone(), words.clone()]);
        assert_close(bleu.value().unwrap(), 1.0, 1e-12, "BLEU");
        let mut other_bleu = Bleu::new(4).unwrap();
        other_bleu.update(&other, &[words]);
        prop_assert!((0.0..=1.0).contains(&other_bleu.value().unwrap()));
    }

    #[test]
    fn the_device_agrees_with_the_slices((classes, samples) in labelled(), cut in 0..60usize) {
        let device = Device::cpu();
        let truth: Vec<i32> = samples.iter().map(|s| s.0).collect();
        let predicted: Vec<i32> = samples.iter().map(|s| s.1).collect();
        let mut confusion = Confusion::new(classes, &device);
        let cut = cut.min(truth.len());
        for (t, p) in [(&truth[..cut], &predicted[..cut]), (&truth[cut..], &predicted[cut..])] {
            confusion.update(&Tensor::new(p, &device), &Tensor::new(t, &device), None).unwrap();
        }
        let plain = ClassScores::new(&truth, &predicted, classes, None).unwrap();
        prop_assert_eq!(&confusion.class_scores().unwrap(), &plain);
        assert_close(result(&confusion, "accuracy"), plain.accuracy().unwrap(), 0.0, "accuracy");
        prop_assert_eq!(confusion.matrix().unwrap().scores(), plain);
    }
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    let none: [f64; 0] = [];
    assert!(roc_auc(&[], &none, None).is_err());
    assert!(roc_auc(&[0, 1], &[0.5], None).is_err());
    assert!(roc_auc(&[0, 2], &[0.5, 0.1], None).is_err());
    assert!(roc_auc(&[0, 1], &[0.5, f64::NAN], None).is_err());
    assert!(roc_auc(&[0, 1], &[0.5, 0.1], Some(&[0.0, 0.0])).is_err());
    assert!(roc_auc(&[0, 1], &[0.5, 0.1], Some(&[1.0, -1.0])).is_err());
    assert!(roc_auc(&[1, 1], &[0.5, 0.1], None).unwrap().is_nan());
    assert!(log_loss(&[0, 1], &[0.5, 1.1], None).is_err());
    assert!(log_loss(&[0, 1], &[0.5, 0.4, 0.1, 0.1], None).is_err());
    assert!(log_loss(&[0, 2], &[0.5, 0.5, 0.1, 0.9], None).is_err());
    assert!(log_loss(&[0, 1], &[0.5, 0.5, 0.5], None).is_err());
    assert!(brier_score(&[], &none, None).is_err());
    assert!(calibration_curve(&[1], &[0.5], 0, Binning::Uniform, None).is_err());
    assert!(ClassScores::new(&[0], &[3], 3, None).is_err());
    assert!(ClassScores::new(&[], &[], 3, None).is_err());
    assert!(ClassScores::from_counts(2, vec![1.0, 2.0, f64::NAN, 0.0]).is_err());
    assert!(
        ClassScores::from_counts(2, vec![0.0; 4])
            .unwrap()
            .accuracy()
            .is_err()
    );
    let one = ClassScores::from_counts(2, vec![1.0; 4]).unwrap();
    assert!(one.average(Rate::F(-1.0), Average::Macro).is_err());
    assert!(one.average(Rate::Recall, Average::Class(2)).is_err());
    assert!(regression_scores(&none, &none, None, &RegressionScore::ALL).is_err());
    assert!(regression_scores(&[1.0], &[f64::NAN], None, &RegressionScore::ALL).is_err());
    assert!(silhouette(&[1.0, 2.0, 3.0], &[0, 0, 0]).is_err());
    assert!(silhouette(&[1.0, 2.0, 3.0], &[0, 1, 2]).is_err());
    assert!(adjusted_rand_index(&[], &[]).is_err());
    assert!(ErrorRate::default().value().is_err());
    assert!(Bleu::new(0).is_err());
    assert!(Bleu::new(4).unwrap().value().is_err());
}
