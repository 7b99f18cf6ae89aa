//! Dtypes, shapes, lengths, errors and plans of loops.

use super::{cell, check, devices, random, same, total};
use crate::loops::{ScanOptions, scan};
use crate::{DType, Device, ErrorKind, Tensor, grad};

#[test]
fn states_of_every_dtype_keep_it() {
    let halves = [DType::F16, DType::BF16].into_iter();
    for (d, half) in halves.flat_map(|half| devices().into_iter().map(move |d| (d, half))) {
        let count = Tensor::from_slice(&[1i32, 16_777_217], &[2], &d);
        let state = [
            count,
            Tensor::from_slice(&[4_000_000_000u32], &[1], &d),
            Tensor::from_slice(&[250u8, 3, 9], &[3], &d),
            Tensor::from_slice(&[true, false, true, false, true], &[5], &d),
            random(1, &[3], &d).cast(half),
            random(2, &[3], &d),
        ];
        let x = random(3, &[4, 3], &d).cast(half);
        let x = [x, Tensor::from_slice(&[1u8, 2, 3, 4], &[4], &d)];
        let step = |s: Vec<Tensor>, x: Vec<Tensor>| {
            let h = (&s[4] * &x[0]).sin();
            let next = vec![
                &s[0] + 1,
                &s[1] + &x[1].cast(DType::U32),
                (&s[2] + &x[1]).cast(DType::U8),
                s[3].logical_not(),
                h.clone(),
                &s[5] * 0.5 + h.cast(DType::F32),
            ];
            let each = vec![s[0].clone(), s[2].clone(), s[3].clone(), h, s[5].clone()];
            (next, each)
        };
        check(&state, &x, &[], (4, false), &step);
        check(&state, &x, &[], (4, true), &step);
    }
}

#[test]
fn states_may_change_places_and_outputs_be_anything() {
    for d in devices() {
        let state = [
            random(1, &[3], &d),
            random(2, &[3], &d),
            random(3, &[3], &d),
        ];
        let w = random(4, &[3], &d);
        let step = |s: Vec<Tensor>, _: Vec<Tensor>| {
            let one = Tensor::ones(&[2], DType::F32, s[0].device());
            // A cycle of two, one that stays, outputs that are a state, shared, a number, twice the same, nothing.
            let next = vec![s[1].clone(), s[0].clone(), s[2].clone()];
            let empty = Tensor::zeros(&[0, 3], DType::F32, s[0].device());
            (
                next,
                vec![
                    s[0].clone(),
                    s[0].clone(),
                    w.clone(),
                    one,
                    &s[1] * &w,
                    empty,
                ],
            )
        };
        for length in [0, 1, 2, 5] {
            check(
                &state,
                &[],
                std::slice::from_ref(&w),
                (length, false),
                &step,
            );
        }
        // No state at all.
        let x = [random(5, &[4, 2], &d)];
        let map = |_: Vec<Tensor>, x: Vec<Tensor>| (Vec::new(), vec![x[0].exp()]);
        check(&[], &x, &[], (4, true), &map);
    }
}

#[test]
fn steps_go_along_any_dimension() {
    for d in devices() {
        let x = random(3, &[2, 3, 4], &d);
        for dim in [0, 1, 2, -1, -2] {
            let options = ScanOptions {
                dim,
                ..ScanOptions::default()
            };
            let moved = x.movedim(dim, 0);
            let zero = Tensor::zeros(&moved.shape()[1..], DType::F32, &d);
            let (last, all) = scan(zero, x.clone(), &options, |s, x| {
                let s = s + x;
                (s.clone(), s)
            });
            same(&all, &x.cumsum(dim), "sums");
            same(&last, &x.sum_dims(&[dim], false), "the last");
        }
    }
}

#[test]
fn long_loops_are_right() {
    for d in devices() {
        // 70,000 rounds are more than one invocation may take.
        let n = 70_000;
        let ones = Tensor::ones(&[n], DType::F32, &d);
        let zero = Tensor::zeros(&[], DType::F32, &d);
        let (last, all) = scan(
            zero.clone(),
            ones.clone(),
            &ScanOptions::default(),
            |s, x| {
                let s = s + x;
                (s.clone(), s)
            },
        );
        assert_eq!(last.item::<f32>().expect("a sum"), n as f32);
        assert_eq!(all.to_vec::<f32>().expect("sums")[n - 2], (n - 1) as f32);
        let g = grad(&last, &[&ones]).expect("a gradient");
        assert_eq!(g[0].sum().item::<f32>().expect("ones"), n as f32);
    }
}

#[test]
fn the_body_is_planned_once() {
    let d = Device::cpu();
    let (w, b) = (random(4, &[3, 6], &d), random(5, &[6], &d));
    let steps = |length: usize| {
        let state = vec![random(1, &[2, 3], &d), random(2, &[2, 3], &d)];
        let x = vec![random(3, &[length, 2, 6], &d)];
        let (last, each) = scan(state, x, &ScanOptions::default(), cell(&w, &b));
        let all = [last, each].concat();
        let g = grad(&total(&all), &[&w, &b]).expect("gradients");
        let plan = crate::passes::tests::planned(&g.iter().chain(&all).collect::<Vec<_>>());
        let loops = plan
            .steps
            .iter()
            .filter(|s| matches!(s.kernel, crate::plan::Kernel::Loop(_)));
        assert_eq!(loops.count(), 2, "forward and backward");
        plan.steps.len()
    };
    assert_eq!(steps(4), steps(4000));
}

#[test]
fn what_a_loop_cannot_do_is_said() {
    let d = Device::cpu();
    let (h, x) = (random(1, &[3], &d), random(2, &[4, 3], &d));
    let said = |t: &Tensor, kind: ErrorKind, parts: &[&str]| {
        let e = t.check().expect_err("invalid");
        let text = e.to_string();
        assert_eq!(e.kind(), kind, "{text}");
        assert!(parts.iter().all(|p| text.contains(p)), "{text}");
    };
    let o = ScanOptions::default();
    let (a, _) = scan((h.clone(), h.clone()), x.clone(), &o, |(a, b), x| {
        ((a, Tensor::cat(&[&b, &x], 0)), ())
    });
    said(
        &a.0,
        ErrorKind::Shape,
        &[
            "carry 1 is f32[3] before a step and f32[6] after it",
            "rules.rs",
        ],
    );
    let (a, _) = scan(h.clone(), x.clone(), &o, |a, _| (a.cast(DType::I32), ()));
    said(&a, ErrorKind::DType, &["carry 0", "f32[3]", "i32[3]"]);
    let (a, _) = scan(vec![h.clone()], x.clone(), &o, |a, _| {
        ([&a[..], &a[..]].concat(), ())
    });
    said(
        &a[0],
        ErrorKind::Shape,
        &["1 tensors before a step and 2 after"],
    );
    let (_, y) = scan(
        h.clone(),
        (x.clone(), random(3, &[5, 3], &d)),
        &o,
        |a, (x, y)| (a, x + y),
    );
    said(
        &y,
        ErrorKind::Shape,
        &["input 1 of shape [5, 3] has 5 slices along dimension 0 instead of 4"],
    );
    let (_, y) = scan(h.clone(), (), &o, |a, ()| (a.clone(), a));
    said(&y, ErrorKind::Shape, &["the length has to be given"]);
    let (_, y) = scan(h.clone(), h.sum(), &o, |a, x| (a, x));
    said(
        &y,
        ErrorKind::Shape,
        &["input 0 of shape [] has no dimension 0"],
    );
    let mut rng = crate::Generator::new(1);
    let (_, y) = scan(h.clone(), x.clone(), &o, |a, x| {
        (a, x + rng.uniform(&[3], &d))
    });
    said(&y, ErrorKind::Value, &["random numbers"]);
    let (_, y) = scan(h.clone(), x.clone(), &o, |a, x| {
        (a, x.matmul(&h.reshape(&[1, 3])))
    });
    said(&y, ErrorKind::Shape, &["matmul"]);
    // The error of what is given comes first.
    let bad = h.reshape(&[7]);
    let (a, y) = scan(bad, x.clone(), &o, |a, x| (a, x));
    said(&a, ErrorKind::Shape, &["reshape"]);
    said(&y, ErrorKind::Shape, &["reshape"]);
    // Stand-ins have no values.
    let (_, _) = scan(h.clone(), x.clone(), &o, |a, x| {
        assert!(
            x.to_vec::<f32>()
                .is_err_and(|e| e.to_string().contains("scan"))
        );
        (a, ())
    });
}

#[test]
fn a_bad_index_names_the_line_of_the_step() {
    for d in devices() {
        let table = random(1, &[5], &d);
        let index = Tensor::new(&[1, 2, 9, 3], &d);
        let zero = Tensor::zeros(&[], DType::F32, &d);
        let run = |index: &Tensor, line: &mut u32| {
            let (last, _) = scan(
                zero.clone(),
                index.clone(),
                &ScanOptions::default(),
                |s, i| {
                    *line = line!() + 1;
                    let picked = table.index_select(0, &i.unsqueeze(0));
                    (s + picked.squeeze(0).exp(), ())
                },
            );
            last
        };
        for around in [false, true] {
            let mut line = 0;
            let mut y = run(&index, &mut line);
            if around {
                // Within another loop, in another graph.
                let (last, _) = scan(
                    y,
                    (),
                    &ScanOptions {
                        length: Some(2),
                        ..ScanOptions::default()
                    },
                    |s, ()| (s + run(&index, &mut line), ()),
                );
                y = last;
            }
            let e = y.item::<f32>().expect_err("a bad index");
            assert_eq!(e.kind(), ErrorKind::Index, "{e}");
            let place = e.location().expect("a place");
            assert_eq!(
                (place.file().ends_with("rules.rs"), place.line()),
                (true, line),
                "{e} on {d}"
            );
        }
        let good = Tensor::new(&[1, 2, 0, 3], &d);
        assert!(run(&good, &mut 0).item::<f32>().is_ok());
    }
}

#[test]
fn half_sums_are_kept_in_f32() {
    let halves = [DType::F16, DType::BF16].into_iter();
    for (d, half) in halves.flat_map(|half| devices().into_iter().map(move |d| (d, half))) {
        let w = Tensor::new(&[1.0f32], &d).cast(half);
        let x = Tensor::ones(&[5000, 1], half, &d);
        let zero = Tensor::zeros(&[1], DType::F32, &d);
        let (last, _) = scan(zero, x, &ScanOptions::default(), |s, x| {
            (s + (&w * x).cast(DType::F32), ())
        });
        let g = grad(&last.sum(), &[&w]).expect("a gradient");
        assert_eq!(g[0].dtype(), half);
        let got = g[0].cast(DType::F32).item::<f32>().expect("read");
        assert_eq!(f64::from(got), half.rounded(5000.0));
    }
}
