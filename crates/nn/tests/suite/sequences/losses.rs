//! Losses, penalties and adversarial terms, with their gradients.

use super::{check, devices, fill, lattice, values};
use crate::close;
use wgrad_graph::{Device, Generator, Reduction, Tensor, TripletMarginOptions};
use wgrad_nn::Linear;
use wgrad_nn::loss::{self, CtcOptions, Pgd, Smoothing, VirtualAdversarial};

#[test]
fn ctc_equals_pytorchs() {
    for d in devices() {
        let x = lattice(500, &[12, 3, 5], &d);
        let targets = [1, 2, 2, 4, 3, 3, 3, 1, 1, -7, 99, 0]; // padding may be anything
        let targets = Tensor::from_slice(&targets, &[3, 4], &d);
        let joined = Tensor::new(&[1, 2, 2, 4, 3, 3, 3], &d);
        let run = |name: &str, lengths: &[usize], options: CtcOptions| {
            let log_p = x.log_softmax(-1);
            for targets in [&targets, &joined] {
                let y = loss::ctc(&log_p, targets, lengths, &[4, 3, 0], &options);
                check(name, &(), &[("x", &x)], &[&y]);
            }
        };
        let mean = CtcOptions::default();
        let with = |reduction| CtcOptions { reduction, ..mean };
        run("ctc_mean", &[12, 7, 5], mean);
        run("ctc_none", &[12, 7, 5], with(Reduction::None));
        let blank = CtcOptions {
            blank: 2,
            ..with(Reduction::Sum)
        };
        run("ctc_sum_blank", &[12, 7, 5], blank);
        let zero = CtcOptions {
            zero_infinity: true,
            ..with(Reduction::None)
        };
        run("ctc_too_short", &[12, 4, 5], zero);
        let log_p = x.log_softmax(-1);
        let infinite = loss::ctc(
            &log_p,
            &targets,
            &[12, 4, 5],
            &[4, 3, 0],
            &with(Reduction::None),
        );
        assert_eq!(values(&infinite)[1], f64::INFINITY);
    }
}

#[test]
fn losses_of_classes_equal_pytorchs() {
    for d in devices() {
        let x = lattice(500, &[6, 5], &d);
        let classes = Tensor::new(&[1, 4, 0, 2, 2, 3], &d);
        let run = |name: &str, y: Tensor| check(name, &(), &[("x", &x)], &[&y]);
        for gamma in [0.0, 1.5, 2.0] {
            let y = loss::focal(&x, &classes, gamma, Reduction::Mean);
            run(&format!("focal_{gamma:.1}"), y);
        }
        let bits = lattice(501, &[6, 5], &d).gt_scalar(0.0).cast(x.dtype());
        run(
            "sigmoid_focal",
            loss::sigmoid_focal(&x, &bits, 0.25, 2.0, Reduction::Sum),
        );
        run("dice", loss::dice(&x.sigmoid(), &bits, 1.0));
        let teacher = lattice(502, &[6, 5], &d);
        run(
            "distillation",
            loss::distillation(&x, &teacher, &classes, 3.0, 0.7),
        );
        let smooth = |form| {
            let soft = loss::smooth_labels(&classes, 5, 0.1, form);
            x.cross_entropy(&soft, Reduction::Mean)
        };
        run("smoothing_all", smooth(Smoothing::All));
        run("smoothing_others", smooth(Smoothing::Others));
    }
}

#[test]
fn losses_of_representations_equal_pytorchs() {
    for d in devices() {
        let [a, b, c] = [500, 501, 502].map(|seed| lattice(seed, &[6, 4], &d));
        let named = [("a", &a), ("b", &b), ("c", &c)];
        let together = Tensor::new(&[1f32, 0.0, 1.0, 0.0, 0.0, 1.0], &d);
        let y = loss::contrastive(&a, &b, &together, 1.5, Reduction::None);
        check("contrastive", &(), &named[..2], &[&y]);
        check(
            "info_nce",
            &(),
            &named[..2],
            &[&loss::info_nce(&a, &b, 0.2)],
        );
        let y = loss::info_nce_with_negatives(&a, &b, &c, 0.2);
        check("info_nce_negatives", &(), &named, &[&y]);
        let distance = |a: &Tensor, b: &Tensor| (a - b).abs().sum_dims(&[1], false);
        let options = TripletMarginOptions {
            margin: 0.5,
            swap: true,
            ..Default::default()
        };
        let y = loss::triplet_margin_with_distance(&a, &b, &c, distance, &options);
        check("triplet", &(), &named, &[&y]);
    }
}

fn linear(d: &Device) -> Linear {
    let mut net = Linear::new(4, 3, &mut Generator::new(0), d);
    fill(&mut net, d);
    net
}

#[test]
fn penalties_equal_pytorchs() {
    for d in devices() {
        let net = linear(&d);
        let weight = [("weight", &net.weight)];
        for (name, y) in [
            ("l1", loss::l1(&net, 0.3)),
            ("l2", loss::l2(&net, 0.3)),
            ("elastic", loss::elastic(&net, 0.3, 0.2)),
            ("orthogonality", loss::orthogonality(&net)),
        ] {
            check(name, &(), &weight, &[&y.unwrap()]);
        }
        let x = lattice(500, &[6, 4], &d);
        let h = net.forward(&x).sigmoid();
        let inputs = [("x", &x)];
        check("sparsity", &net, &inputs, &[&loss::sparsity(&h, 0.3)]);
        check("kl_sparsity", &net, &inputs, &[&loss::kl_sparsity(&h, 0.2)]);
        check(
            "contractive",
            &net,
            &inputs,
            &[&loss::contractive(&h, &x).unwrap()],
        );
        let critic = |x: &Tensor| net.forward(x).tanh();
        let y = loss::gradient_penalty_at(critic, &x).unwrap();
        check("gradient_penalty", &net, &[], &[&y]);
    }
}

#[test]
fn norms_are_limited_and_ties_kept() {
    let d = Device::cpu();
    let mut nets = [linear(&d), linear(&d)];
    nets[1].weight = nets[0].weight.clone();
    let before = values(&nets[0].weight);
    let bias = values(nets[0].bias.as_ref().unwrap());
    loss::max_norm(&mut nets, 0.4).unwrap();
    assert!(nets[0].weight.same(&nets[1].weight));
    assert_eq!(values(nets[0].bias.as_ref().unwrap()), bias);
    for (row, old) in values(&nets[0].weight).chunks(4).zip(before.chunks(4)) {
        let norm = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
        close(&[norm(row)], &[norm(old).min(0.4)], 1e-6);
    }
    assert!(loss::max_norm(&mut nets, 0.0).is_err());
    assert!(loss::l1(&(), 1.0).is_none());
    // Tied weights count once.
    let once = values(&loss::l2(&nets[0], 1.0).unwrap());
    assert_eq!(values(&loss::l2(&nets, 1.0).unwrap()), once);
}

#[test]
fn adversarial_changes_are_the_worst_near_ones() {
    for d in devices() {
        let net = linear(&d);
        let (x, y) = (
            lattice(500, &[6, 4], &d),
            Tensor::new(&[0, 1, 2, 0, 1, 2], &d),
        );
        let of = |x: &Tensor| net.forward(x).cross_entropy(&y, Reduction::Mean);
        let rng = &mut Generator::new(1);
        let at = |x: &Tensor| values(&of(x))[0];
        let quick = loss::fgsm(of, &x, 0.1).unwrap();
        let random = &x + rng.uniform(&[6, 4], &d).gt_scalar(0.5).cast(x.dtype()) * 0.2 - 0.1;
        assert!(at(&x) < at(&random).max(at(&x) + 1e-4) && at(&random) < at(&quick));
        for random_start in [false, true] {
            let options = Pgd {
                epsilon: 0.1,
                step: 0.03,
                steps: 8,
                random_start,
            };
            let worse = loss::pgd(of, &x, &options, rng).unwrap();
            assert!(at(&worse) > at(&random));
            let far = values(&(&worse - &x).abs().amax())[0];
            assert!(far < 0.1 + 1e-6, "{far}");
        }
        // The direction looked for matters more than a random one of its length.
        let options = VirtualAdversarial {
            iterations: 3,
            ..VirtualAdversarial::default()
        };
        let found = loss::virtual_adversarial(|x| net.forward(x), &x, &options, rng).unwrap();
        let p = net.forward(&x).log_softmax(-1);
        for _ in 0..5 {
            let r = rng.normal(&[6, 4], &d).normalize(2.0, 1, 1e-12);
            let q = net.forward(&(&x + r)).log_softmax(-1);
            let other = q.kl_div(&p, true, Reduction::BatchMean);
            assert!(values(&found)[0] > values(&other)[0]);
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let d = Device::cpu();
    let [x, y] = [[2, 3], [2, 4]].map(|shape| lattice(1, &shape, &d));
    let rng = &mut Generator::new(0);
    let bad = |t: Tensor| assert!(t.check().is_err());
    bad(loss::dice(&x, &y, 1.0));
    bad(loss::contrastive(&x, &y, &x, 1.0, Reduction::Mean));
    bad(loss::info_nce(&x, &y, 0.1));
    bad(loss::info_nce_with_negatives(&x, &x, &y, 0.1));
    bad(loss::distillation(
        &x,
        &x,
        &Tensor::new(&[0, 1], &d),
        0.0,
        0.5,
    ));
    bad(loss::kl_sparsity(&x, 1.0));
    bad(loss::smooth_labels(
        &Tensor::new(&[0], &d),
        3,
        1.5,
        Smoothing::All,
    ));
    bad(loss::smooth_labels(
        &Tensor::new(&[0], &d),
        1,
        0.5,
        Smoothing::Others,
    ));
    assert!(loss::contractive(&x, &x.select(0, 0)).is_err());
    assert!(loss::gradient_penalty(|x| x.sum(), &x, &y, rng).is_err());
    let p = lattice(1, &[4, 2, 3], &d).log_softmax(-1);
    let targets = Tensor::from_slice(&[1, 2, 1, 2], &[2, 2], &d);
    let options = CtcOptions::default();
    let error = |inputs: &[usize], outputs: &[usize], options: &CtcOptions| {
        let y = loss::ctc(&p, &targets, inputs, outputs, options);
        y.check().map(|_| ()).unwrap_err().to_string()
    };
    assert!(error(&[5, 4], &[1, 1], &options).contains("input length 5 of 0"));
    assert!(error(&[0, 4], &[1, 1], &options).contains("input length 0 of 0"));
    assert!(error(&[4, 4], &[1, 3], &options).contains("target length 3 of 1"));
    assert!(error(&[4], &[1, 1], &options).contains("1 input lengths"));
    let joined = Tensor::new(&[1, 2, 1], &d);
    let y = loss::ctc(&p, &joined, &[4, 4], &[1, 1], &options);
    let text = y.check().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("3 targets are not as many"), "{text}");
    let empty = loss::ctc(&p, &joined.narrow(0, 0, 0), &[4, 4], &[0, 0], &options);
    assert!(empty.item::<f32>().unwrap().is_finite());
    let blank = CtcOptions {
        blank: 3,
        ..options
    };
    assert!(error(&[4, 4], &[1, 1], &blank).contains("blank 3 of 3 classes"));
    bad(loss::ctc(&x, &targets, &[1], &[1], &options));
}
