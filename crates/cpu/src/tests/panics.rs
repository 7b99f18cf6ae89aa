//! Panics of tasks, on every thread of a team and whatever they carry: the first reaches the caller, and the next job runs on
//! all threads. Panics of a user's own functions leave the executor and its memory as they were.

use crate::tests::Rng;
use crate::threads::par::Par;
use crate::threads::team::Team;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wgrad_graph::{CustomOp, Device, Tensor};

/// What a panic carries whose drop panics, until its task's number is taken out.
struct Trap(Option<usize>);

impl Drop for Trap {
    fn drop(&mut self) {
        if let Some(task) = self.0 {
            resume_unwind(Box::new(task));
        }
    }
}

/// Panics with the task's number in one of several forms; not by `panic!`, which would print.
fn fail(task: usize, form: usize) -> ! {
    resume_unwind(match form % 3 {
        0 => Box::new(format!("task {task}")),
        1 => Box::new(task),
        _ => Box::new(Trap(Some(task))) as Box<dyn Any + Send>,
    })
}

/// The number of the task that panicked with this.
fn task_of(panic: Box<dyn Any + Send>) -> usize {
    let panic = match panic.downcast::<String>() {
        Ok(text) => return text["task ".len()..].parse().expect("a number"),
        Err(panic) => panic,
    };
    match panic.downcast::<usize>() {
        Ok(task) => *task,
        Err(panic) => {
            let mut trap = panic.downcast::<Trap>().expect("one of the forms");
            trap.0.take().expect("a number")
        }
    }
}

/// Waits until `met` has reached `all`. Panics where it does not, so that a lost thread fails a test instead of hanging it.
fn meet(met: &AtomicUsize, all: usize) {
    met.fetch_add(1, Ordering::SeqCst);
    let begin = Instant::now();
    while met.load(Ordering::SeqCst) < all {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "a thread is lost"
        );
        std::thread::yield_now();
    }
}

/// Whether every thread of the team still takes part.
fn all_serve(team: &Team) {
    let (met, all) = (AtomicUsize::new(0), team.threads());
    team.share(all, &|_| meet(&met, all));
    assert_eq!(met.into_inner(), all);
}

fn counts(team: &Team, n: usize) {
    let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
    team.share(n, &|i| {
        counts[i].fetch_add(1, Ordering::Relaxed);
    });
    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
}

/// Every set of threads that panic in one job: none, the leader, any helpers, all.
#[test]
fn any_threads_may_panic_and_the_next_job_runs() {
    let (most, rounds) = if cfg!(miri) { (3, 1) } else { (4, 20) };
    for threads in 2..=most {
        let team = Team::new(threads);
        for round in 0..rounds {
            for who in 0..1usize << threads {
                let called = team.call();
                let (met, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let leader = std::thread::current().id();
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    team.share(threads, &|_| {
                        // Each thread is in one task: all of them panic at the same time.
                        let me = match std::thread::current().id() == leader {
                            true => 0,
                            false => 1 + next.fetch_add(1, Ordering::SeqCst),
                        };
                        meet(&met, threads);
                        if who >> me & 1 == 1 {
                            fail(me, round + me);
                        }
                    });
                }));
                match outcome {
                    Ok(()) => assert_eq!(who, 0),
                    Err(panic) => assert!(who >> task_of(panic) & 1 == 1),
                }
                counts(&team, 10);
                all_serve(&team);
                drop(called);
            }
        }
    }
}

#[test]
fn the_first_panic_is_the_callers() {
    let team = Team::new(3);
    for form in 0..if cfg!(miri) { 3 } else { 30 } {
        let _called = team.call();
        let (met, failing) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.share(3, &|i| {
                meet(&met, 3);
                // One after the other, in the order of the tasks' numbers, the first long before.
                while failing.load(Ordering::SeqCst) < i {
                    std::thread::yield_now();
                }
                if i > 0 {
                    std::thread::sleep(Duration::from_millis(if cfg!(miri) { 500 } else { 5 }));
                }
                failing.fetch_add(1, Ordering::SeqCst);
                fail(i, form);
            });
        }));
        assert_eq!(task_of(outcome.expect_err("all have panicked")), 0);
        all_serve(&team);
    }
}

/// Random jobs, nested ones and pieces of slices among them, of several leaders at once, some of whose tasks panic.
#[test]
fn random_panics_lose_no_thread_and_no_task() {
    let all = std::env::var("WGRAD_TEST_ALL").is_ok_and(|v| v == "1");
    let jobs = match all {
        _ if cfg!(miri) => 6,
        true => 30_000,
        false => 1_500,
    };
    for threads in [1, 2, 3, 5] {
        let team = Team::new(threads);
        std::thread::scope(|scope| {
            for leader in 0..2 {
                let team = &team;
                scope.spawn(move || {
                    let mut rng = Rng(leader + 10 * threads as u64);
                    let called = team.call();
                    (0..jobs).for_each(|_| random_job(team, &mut rng));
                    drop(called);
                });
            }
        });
        let called = team.call();
        all_serve(&team);
        drop(called);
    }
}

fn random_job(team: &Team, rng: &mut Rng) {
    let (count, nested) = (rng.below(40), rng.below(4) == 0);
    let (some, form) = (rng.below(3) == 0, rng.below(3));
    let failing: Vec<bool> = (0..count).map(|_| some && rng.below(8) == 0).collect();
    let mut done = vec![0usize; count];
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        Par::of(team).chunks(&mut done, 1 + form, |first, piece| {
            for (i, done) in piece.iter_mut().enumerate() {
                if nested {
                    counts(team, 3);
                }
                if failing[first + i] {
                    fail(first + i, form + i);
                }
                *done += 1;
            }
        });
    }));
    match outcome {
        Ok(()) => assert!(!failing.contains(&true) && done.iter().all(|&n| n == 1)),
        Err(panic) => {
            assert!(failing[task_of(panic)]);
            assert!(done.iter().all(|&n| n <= 1));
        }
    }
}

#[test]
fn a_team_ends_while_a_panic_passes_through() {
    for threads in 1..5 {
        let outcome = catch_unwind(|| {
            let team = Team::new(threads);
            let _called = team.call();
            team.share(8, &|i| fail(i, 0));
        });
        assert!(task_of(outcome.expect_err("a panic")) < 8);
    }
}

/// An operation whose cpu function panics where its input begins with a negative number.
fn touchy() -> CustomOp {
    CustomOp::new("touchy", "").cpu(|x, y, _| {
        assert!(x[0].0[0] >= 0.0, "touchy as it is");
        y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = 2.0 * x);
    })
}

/// The message of the panic of `f`.
fn message(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic");
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or(panic.downcast_ref::<String>().cloned())
        .expect("a message")
}

#[test]
fn a_custom_operation_may_panic() {
    let (touchy, device) = (touchy(), Device::cpu());
    let sum_of = |first: f32| {
        let mut values = vec![1.0; if cfg!(miri) { 70 } else { 70_000 }];
        values[0] = first;
        let x = Tensor::new(&values, &device);
        // Steps before and after it, large enough for all threads.
        (touchy.apply(&[&(x * 2.0).exp().log()]) + 1.0).sum()
    };
    let want = sum_of(1.0).item::<f32>().expect("a value");
    for _ in 0..if cfg!(miri) { 1 } else { 5 } {
        let bad = sum_of(-1.0);
        for _ in 0..2 {
            assert_eq!(message(|| drop(bad.item::<f32>())), "touchy as it is");
        }
        assert_eq!(sum_of(1.0).item::<f32>().expect("a value"), want);
    }
}

/// A plan that is run again and again keeps its memory from run to run: a run that panics must not leave it in pieces.
#[test]
fn a_plan_runs_again_after_a_panic() {
    use crate::{Executor, Memory, Prepared};
    let (touchy, device) = (touchy(), Device::cpu());
    let n = if cfg!(miri) { 50 } else { 5000 };
    let x = Tensor::new(&vec![1.0f32; n], &device);
    let y = touchy.apply(&[&x.cumsum(0)]).cumsum(0);
    let (plan, _, scalars) = crate::tests::segments::planned(&[&y]);
    let (prepared, mut memory) = (Prepared::new(&plan), Memory::new(&plan));
    let executor = Executor::with_threads(2);
    let mut run = |first: f32| {
        let mut values = vec![1.0; n];
        values[0] = first;
        let leaf = crate::tests::held(&values).freeze();
        memory.offer(Vec::new());
        let results = executor.run_in(
            &mut memory,
            (&plan, &prepared),
            &[&leaf],
            &scalars,
            &0.into(),
        );
        results.expect("room")[0].slice::<f32>()[n - 1]
    };
    let want = run(1.0);
    for _ in 0..if cfg!(miri) { 1 } else { 3 } {
        assert_eq!(message(|| assert_eq!(run(-1.0), 0.0)), "touchy as it is");
        assert_eq!(run(1.0), want);
    }
}

/// Memory that a thread keeps for its next kernel is not kept when a panic has left it in pieces.
#[test]
fn a_thread_computes_on_after_a_panic_in_a_kernel() {
    use super::*;
    use crate::program::Program;
    use crate::program::worker::Worker;
    use crate::{Context, Operand};
    static BROKEN: ScalarOp = ScalarOp {
        name: "broken",
        wgsl,
        cpu: |_, _| Some(|_, _| panic!("a kernel's fault")),
        cost: 1,
        ..ScalarOp::PLAIN
    };
    let x = [1.0f32; 64];
    let operands = [Operand {
        dtype: DType::F32,
        bytes: bytes(&x),
    }];
    let status = AtomicU32::new(0);
    let context = Context {
        inputs: &operands,
        scalars: &[],
        check: 0,
        status: &status,
        par: Par::SERIAL,
        packed: None,
    };
    let sum = |op: &'static ScalarOp| {
        let dense = View::contiguous(&[64]);
        let expr = Expr {
            inputs: vec![DType::F32],
            insts: vec![
                load(0, dense),
                apply(op, &[0, 0], DType::F32, DType::F32),
                apply(&ADD, &[1, 1], DType::F32, DType::F32),
            ],
        };
        let program = Program::new(&expr, &[64], &[0], &[], false);
        Worker::new(&program, context).eval(0, 64).to_vec()
    };
    let want = sum(&ADD);
    assert_eq!(message(|| drop(sum(&BROKEN))), "a kernel's fault");
    assert_eq!(sum(&ADD), want);
}
