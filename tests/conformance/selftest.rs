//! Whether the harness can fail: one stored output, gradient and product are moved beyond tolerance, and each case
//! must then fail, as must a host step outside linear algebra; and the comparison itself on values that are easily
//! taken for equal.

use crate::case::{Case, Expected, Store};
use crate::compare::{check, close};
use wgrad::Device;

/// A kind of stored tensor: its name, and the case's of this kind.
type Kind = (&'static str, fn(&mut Case) -> Option<&mut Expected>);

const KINDS: &[Kind] = &[
    ("output", |c| c.outputs.first_mut()),
    ("gradient", |c| Some(&mut c.grad.first_mut()?.1)),
    ("Hessian-vector product", |c| {
        Some(&mut c.hvp.first_mut()?.2)
    }),
];

/// How many of the planted faults were not found.
pub fn run(store: &Store) -> usize {
    let device = Device::cpu();
    let mut missed = 0;
    let planted = KINDS.iter().map(|kind| planted(store, &device, kind));
    for result in planted.chain([host_step(store, &device)]) {
        match result {
            Ok(text) => println!("self-test: {text}"),
            Err(e) => {
                missed += 1;
                println!("self-test: {e}");
            }
        }
    }
    missed + comparison()
}

/// Spoils the first case that passes and has this kind of tensor; it must fail then.
fn planted(store: &Store, device: &Device, (what, of): &Kind) -> Result<String, String> {
    let mut stored = false;
    for id in store.ids() {
        let Ok(mut case) = store.case(id, device) else {
            continue;
        };
        let (rtol, atol) = (case.rtol, case.atol);
        if of(&mut case).is_none() {
            continue;
        }
        stored = true;
        let sound = check(&case, crate::outputs(&case)).failures.is_empty();
        if !sound || !of(&mut case).is_some_and(|want| spoil(want, rtol, atol)) {
            continue;
        }
        return if check(&case, crate::outputs(&case)).failures.is_empty() {
            Err(format!("{id} still passes with a wrong {what}"))
        } else {
            Ok(format!("a wrong {what} of {id} was found"))
        };
    }
    if stored {
        Err(format!("no sound case to plant a wrong {what} in"))
    } else {
        Ok(format!("no case stores a {what}"))
    }
}

/// Takes the first case of linear algebra for one of another function: its host step must then fail it.
fn host_step(store: &Store, device: &Device) -> Result<String, String> {
    let mut cases = store.ids().filter_map(|id| store.case(id, device).ok());
    let Some(mut case) = cases.find(crate::linalg::on_host) else {
        return Ok("no case of linear algebra".to_string());
    };
    let outputs = crate::outputs(&case);
    case.op = "add".to_string();
    let checked = check(&case, outputs);
    if checked.failures.iter().any(|f| f.message.contains("host")) {
        Ok(format!("a host step of {} was found", case.id))
    } else {
        Err(format!("the host step of {} was not found", case.id))
    }
}

/// Moves one number beyond the tolerance.
fn spoil(want: &mut Expected, rtol: f64, atol: f64) -> bool {
    let number = want.values.iter_mut().find(|v| v.is_finite());
    let step = if want.float { atol.max(1e-12) } else { 1.0 };
    number
        .map(|v| *v += 3.0 * (step + rtol * v.abs()))
        .is_some()
}

/// Values that differ although a careless comparison takes them for equal, and the other way round.
fn comparison() -> usize {
    const INF: f64 = f64::INFINITY;
    let cases = [
        (1.0, INF, false),
        (-INF, INF, false),
        (INF, 1.0, false),
        (f64::NAN, 1.0, false),
        (1.0, f64::NAN, false),
        (INF, INF, true),
        (f64::NAN, f64::NAN, true),
        (1.0, 1.00001, true),
    ];
    let wrong = |&&(got, want, equal): &&(f64, f64, bool)| close(got, want, 1e-4, 1e-5) != equal;
    let wrong: Vec<_> = cases.iter().filter(wrong).collect();
    for (got, want, _) in &wrong {
        println!("self-test: {got} against {want} is judged wrongly");
    }
    wrong.len()
}
