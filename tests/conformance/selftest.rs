//! Whether the harness can fail: one stored output, gradient and product are moved beyond tolerance, and each case
//! must then fail.

use crate::case::{Case, Expected, Store};
use crate::compare::{Checked, Counts, check};
use wgrad::Device;

/// The three planted faults, as cases of their own.
pub fn run(store: &Store) -> Counts {
    let mut counts = Counts::default();
    let device = Device::cpu();
    let mut plant = |what: &str, has: fn(&Case) -> bool, spoil: fn(&mut Case)| {
        let checked = planted(store, &device, has, spoil);
        for message in &checked.failures {
            println!("self-test, {what}: {message}");
        }
        counts.add(&checked);
    };
    plant(
        "output",
        |c| !c.outputs.is_empty(),
        |c| spoil(&mut c.outputs[0], c.rtol, c.atol),
    );
    plant(
        "gradient",
        |c| !c.grad.is_empty(),
        |c| spoil(&mut c.grad[0].1, c.rtol, c.atol),
    );
    plant(
        "product",
        |c| !c.hvp.is_empty(),
        |c| spoil(&mut c.hvp[0].2, c.rtol, c.atol),
    );
    counts
}

/// Passes if a case that passes fails once spoiled.
fn planted(
    store: &Store,
    device: &Device,
    has: fn(&Case) -> bool,
    spoil: fn(&mut Case),
) -> Checked {
    let sound = |case: &Case| has(case) && check(case, crate::outputs(case)).failures.is_empty();
    let case = store
        .ids()
        .filter_map(|id| store.case(id, device).ok())
        .find(sound);
    let Some(mut case) = case else {
        return Checked::failure("no sound case to spoil".into());
    };
    spoil(&mut case);
    if check(&case, crate::outputs(&case)).failures.is_empty() {
        return Checked::failure(format!("{} still passes with a wrong expectation", case.id));
    }
    Checked::default()
}

fn spoil(want: &mut Expected, rtol: f64, atol: f64) {
    if let Some(v) = want.values.iter_mut().find(|v| v.is_finite()) {
        *v += 3.0 * (atol + rtol * v.abs());
    }
}
