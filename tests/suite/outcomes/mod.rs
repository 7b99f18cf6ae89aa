//! What becomes of runs that fail: whoever reads what depends on one gets its error, each time; nobody else does; and
//! nothing has changed.

mod memory;
mod programs;
mod replays;
mod threads;

use crate::models::{own_cpu, own_devices, own_gpu};
use crate::support::{executors, gpu, own_gpu_as_card};
use wgrad::{DType, Device, Error, ErrorKind, Reduction, Tensor, eval};

/// The error of a tensor that was computed from a bad index at this line of a file of these tests.
fn says(e: &Error, file: &str, line: u32) {
    let text = e.to_string();
    assert_eq!(e.kind(), ErrorKind::Index, "{text}");
    let place = format!("{file}:{line}:");
    assert!(text.contains(&place), "{text:?} does not say {place:?}");
}

fn fails(t: &Tensor) -> Error {
    match t.to_vec::<f32>() {
        Ok(values) => panic!("no error but {values:?}"),
        Err(e) => e,
    }
}

/// A table and two lists of rows of it, one of which is not there.
fn table(device: &Device) -> [Tensor; 3] {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2], device);
    let good = Tensor::new(&[0, 2], device);
    [x, good, Tensor::new(&[0, 3], device)]
}

#[test]
fn the_error_goes_to_what_depends_on_the_run_each_time_and_to_nothing_else() {
    for device in own_devices() {
        let [x, good, bad] = table(&device);
        let rows = x.index_select(0, &bad);
        let line = line!() - 1;
        let fine = x.index_select(0, &good);
        // On a GPU neither is known yet; on the cpu the second fails and keeps no value.
        let _ = eval(&[&fine]);
        let _ = eval(&[&rows]);
        let later = (&rows * 2.0).sum();
        let _ = eval(&[&later]);
        assert_eq!(fine.to_vec::<f32>().expect("rows"), [1.0, 2.0, 5.0, 6.0]);
        assert_eq!((&x * 2.0).sum().item::<f32>().expect("a sum"), 42.0);
        for _ in 0..3 {
            says(&fails(&rows), "outcomes/mod.rs", line);
            says(&fails(&later), "outcomes/mod.rs", line);
            says(&fails(&(&later + &fine.sum())), "outcomes/mod.rs", line);
            says(
                &rows.to(&Device::reference()).expect_err("moved"),
                "outcomes/mod.rs",
                line,
            );
            assert_eq!(fine.sum().item::<f32>().expect("a sum"), 14.0);
        }
        if let Ok(leaf) = rows.detach() {
            says(&fails(&leaf), "outcomes/mod.rs", line);
        }
    }
}

#[test]
fn the_error_names_the_line_of_its_own_recording_where_two_share_a_plan() {
    for device in own_devices() {
        let [x, good, bad] = table(&device);
        let first = |i: &Tensor| (x.index_select(0, i) * 3.0 + 1.0).sum();
        let (one, first_line) = (first(&good), line!() - 1);
        assert_eq!(one.item::<f32>().expect("a sum"), 46.0);
        let plans = device.cached_plans();
        let second = (x.index_select(0, &bad) * 3.0 + 1.0).sum();
        let line = line!() - 1;
        says(&fails(&second), "outcomes/mod.rs", line);
        says(&fails(&first(&bad)), "outcomes/mod.rs", first_line);
        assert_eq!(device.cached_plans(), plans, "{device}: one plan for both");
    }
}

#[test]
fn of_several_indices_in_one_kernel_the_guilty_one_is_named() {
    for device in own_devices() {
        let [x, good, bad] = table(&device);
        for guilty in 0..3 {
            let of = |n: usize| if n == guilty { &bad } else { &good };
            let a = x.index_select(0, of(0));
            let b = x.index_select(0, of(1));
            let c = x.index_select(0, of(2));
            let line = line!() - 3 + guilty as u32;
            let sum = (&a * 2.0 + &b.exp()) * &c;
            says(&fails(&sum), "outcomes/mod.rs", line);
            let total = sum.sum_dims(&[1], false);
            says(&fails(&total), "outcomes/mod.rs", line);
        }
    }
}

#[test]
fn what_depends_on_several_runs_that_are_not_known_fails_with_one_that_failed() {
    for device in own_devices() {
        let [x, good, bad] = table(&device);
        let parts: Vec<Tensor> = (0..150)
            .map(|n| x.index_select(0, if n == 77 { &bad } else { &good }))
            .collect();
        let line = line!() - 2;
        let fails_now = parts.iter().filter(|t| eval(&[t]).is_err()).count();
        assert!(fails_now <= 1);
        // More than a list of parents holds, and a plan that checks an index itself.
        let all = Tensor::stack(&parts.iter().collect::<Vec<_>>(), 0).sum();
        let picked = all
            .reshape(&[1, 1])
            .index_select(0, &Tensor::new(&[0], &device));
        let _ = eval(&[&picked]);
        says(&fails(&picked), "outcomes/mod.rs", line);
        says(&fails(&all), "outcomes/mod.rs", line);
        let rest = Tensor::stack(&parts[..77].iter().collect::<Vec<_>>(), 0);
        assert_eq!(rest.sum().item::<f32>().expect("a sum"), 77.0 * 14.0);
    }
}

#[test]
fn a_long_chain_of_runs_that_nobody_reads_is_dropped_without_recursion() {
    let Some(device) = own_gpu() else { return };
    let run = move || {
        let [x, good, _] = table(&device);
        let mut y = x.clone();
        for _ in 0..3_000 {
            let picked = y.index_select(0, &good).sum() * 1e-6;
            y = (&y + picked).detach().expect("a run");
        }
        drop(y);
        assert_eq!(x.sum().item::<f32>().expect("a sum"), 21.0);
    };
    let small = std::thread::Builder::new().stack_size(128 << 10);
    small
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn reading_an_unevaluated_tensor_is_one_submission() {
    for device in [own_gpu(), own_gpu_as_card()].into_iter().flatten() {
        let stats = || device.as_gpu().expect("a GPU").stats();
        let [x, good, _] = table(&device);
        let plain = |x: &Tensor| (x * 2.0).exp().sum();
        let checked = |x: &Tensor| x.index_select(0, &good).sum();
        for f in [&plain as &dyn Fn(&Tensor) -> Tensor, &checked] {
            f(&x).item::<f32>().expect("a value");
            let t = f(&x);
            let before = stats();
            t.item::<f32>().expect("a value");
            assert_eq!(stats().submits - before.submits, 1);
            // A second time only reads.
            t.to_vec::<f32>().expect("a value");
            let after = stats();
            assert_eq!(
                (after.submits - before.submits, after.dispatches),
                (2, after.dispatches)
            );
        }
    }
}

#[test]
fn a_classifier_with_a_bad_label_says_which_call() {
    for s in executors() {
        let logits = Tensor::ones(&[4, 3], DType::F32, &s.device);
        let loss = |labels: [i32; 4]| {
            let labels = Tensor::new(&labels, &s.device);
            logits.cross_entropy(&labels, Reduction::Mean)
        };
        let line = line!() - 2;
        says(&fails(&loss([0, 1, 2, 3])), "outcomes/mod.rs", line);
        let good = loss([0, 1, 2, 2]).item::<f32>().expect("a loss");
        assert!((good - 3f32.ln()).abs() < 1e-6, "{good}");
    }
}

#[test]
fn devices_are_chosen_by_number() {
    let adapters = wgrad::device::adapters_blocking();
    for (number, adapter) in adapters.iter().enumerate() {
        let device = Device::open_blocking(&format!("gpu:{number}")).expect("an adapter");
        assert_eq!(device.as_gpu().expect("a GPU").info().name, adapter.name);
    }
    if gpu().is_some() {
        let e = Device::open_blocking("gpu:123456789").expect_err("no such adapter");
        assert_eq!(e.kind(), ErrorKind::Device);
    }
    let _ = own_cpu();
}
