//! Whole plans: places of values, regions, the status word, the observer.

use super::*;
use crate::plan::{Map, Matmul, Matrix, Origin, Place, Plan, Slot, Step};
use crate::storage::{HostBuffer, HostBufferMut};
use crate::{Executor, Prepared};
use std::sync::atomic::Ordering;

const F: DType = DType::F32;

fn step(kernel: Kernel, inputs: &[usize], output: usize, check: u32) -> Step {
    let origin = Origin {
        name: String::from("test"),
        location: std::panic::Location::caller(),
        node: 0,
    };
    Step {
        kernel,
        inputs: inputs.to_vec(),
        output,
        more_outputs: Vec::new(),
        then: None,
        check,
        origin,
    }
}

fn slot(len: usize, place: Place) -> Slot {
    Slot {
        dtype: F,
        len,
        place,
    }
}

/// `y = (x · x)²` by a temporary, and the concatenation `[y, x]`, for square `x` of `n` rows.
fn plan(n: usize) -> Plan {
    let matrix = Matrix {
        offset: 0,
        batch: 0,
        row: n,
        col: 1,
    };
    let matmul = Kernel::Matmul(Matmul {
        batch: 1,
        m: n,
        n,
        k: n,
        a: matrix,
        b: matrix,
    });
    let dense = view(0, &[1]);
    let expr = |insts| Expr {
        inputs: vec![F],
        insts,
    };
    let map = |insts, store| {
        Kernel::Map(Map {
            shape: vec![n * n],
            expr: expr(insts),
            store,
        })
    };
    let squared = vec![load(0, dense.clone()), apply(&SQUARE, &[0], F, F)];
    let fill = Map {
        shape: vec![2 * n * n],
        expr: Expr {
            inputs: vec![],
            insts: vec![Inst::Literal { value: 0, dtype: F }],
        },
        store: dense.clone(),
    };
    Plan {
        slots: vec![
            slot(n * n, Place::Leaf(0)),
            slot(n * n, Place::Temp(0)),
            slot(n * n, Place::Output(0)),
            slot(2 * n * n, Place::Output(1)),
        ],
        steps: vec![
            step(matmul, &[0, 0], 1, 0),
            step(map(squared, dense.clone()), &[1], 2, 0),
            step(Kernel::Map(fill), &[], 3, 0),
            step(map(vec![load(0, dense.clone())], dense.clone()), &[2], 3, 0),
            step(
                map(vec![load(0, dense)], view((n * n) as i64, &[1])),
                &[0],
                3,
                0,
            ),
        ],
        outputs: vec![3, 2, 0],
        temps: vec![n * n * 4],
        n_leaves: 1,
        in_place: Vec::new(),
        n_scalars: 0,
    }
}

#[test]
fn plans_run_on_any_number_of_threads() {
    for n in [1, 3, 200] {
        let x = Rng(1).floats(n * n);
        let leaf = HostBufferMut::copy_of(bytes(&x)).expect("room").freeze();
        let plan = plan(n);
        let prepared = Prepared::new(&plan);
        let mut all: Vec<Vec<HostBuffer>> = Vec::new();
        for executor in [
            Executor::with_threads(1),
            Executor::with_threads(2),
            Executor::new(),
        ] {
            let status = AtomicU32::new(0);
            let mut seen = Vec::new();
            let mut observer =
                |step: usize, out: &HostBufferMut| seen.push((step, out.bytes().len()));
            let observed = executor.run(
                (&plan, &prepared),
                &[&leaf],
                &[],
                &status,
                Some(&mut observer),
            );
            assert_eq!(
                seen.iter().map(|s| s.0).collect::<Vec<_>>(),
                [0, 1, 2, 3, 4]
            );
            assert_eq!(seen[3].1, 2 * n * n * 4);
            all.push(observed.expect("room"));
            let run = executor.run((&plan, &prepared), &[&leaf], &[], &status, None);
            all.push(run.expect("room"));
        }
        let first = &all[0];
        for other in &all {
            assert!(first.iter().zip(other).all(|(a, b)| a.bytes() == b.bytes()));
        }
        let want: Vec<f64> = indices(&[n, n])
            .iter()
            .map(|p| {
                (0..n)
                    .map(|k| f64::from(x[p[0] * n + k]) * f64::from(x[k * n + p[1]]))
                    .sum::<f64>()
                    .powi(2)
            })
            .collect();
        close(first[1].slice(), &want, 1e-4);
        assert_eq!(first[0].bytes()[..n * n * 4], *first[1].bytes());
        assert_eq!(first[0].slice::<f32>()[n * n..], x);
        assert_eq!(first[2].slice::<f32>(), x);
    }
}

/// Right operands that are packed for two products each, one pair after the other: the smaller gets the larger one's memory.
#[test]
fn packed_operands_share_memory_whatever_their_sizes() {
    const ROWS: usize = 8;
    for sizes in [[300, 33], [33, 300], [64, 32], [100, 100]] {
        let mut slots = Vec::new();
        let (mut steps, mut outputs, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (i, n) in sizes.into_iter().enumerate() {
            let leaf = slots.len();
            slots.extend([
                slot(ROWS * n, Place::Leaf(2 * i)),
                slot(n * n, Place::Leaf(2 * i + 1)),
            ]);
            values.extend([Rng(i as u64).floats(ROWS * n), Rng(9).floats(n * n)]);
            for _ in 0..2 {
                let matrix = Matrix {
                    offset: 0,
                    batch: 0,
                    row: n,
                    col: 1,
                };
                let product = Kernel::Matmul(Matmul {
                    batch: 1,
                    m: ROWS,
                    n,
                    k: n,
                    a: matrix,
                    b: matrix,
                });
                steps.push(step(product, &[leaf, leaf + 1], slots.len(), 0));
                let place = Place::Output(outputs.len());
                outputs.push(slots.len());
                slots.push(slot(ROWS * n, place));
            }
        }
        let plan = Plan {
            slots,
            steps,
            outputs,
            temps: Vec::new(),
            n_leaves: 4,
            in_place: Vec::new(),
            n_scalars: 0,
        };
        let prepared = Prepared::new(&plan);
        assert_eq!(prepared.packs.len(), 1, "{sizes:?}");
        let copied = |v: &Vec<f32>| HostBufferMut::copy_of(bytes(v)).expect("room").freeze();
        let leaves: Vec<HostBuffer> = values.iter().map(copied).collect();
        let leaves: Vec<&HostBuffer> = leaves.iter().collect();
        for threads in [1, 3] {
            let executor = Executor::with_threads(threads);
            let status = AtomicU32::new(0);
            let run = executor.run((&plan, &prepared), &leaves, &[], &status, None);
            for (at, got) in run.expect("room").iter().enumerate() {
                let (pair, n) = (at / 2, sizes[at / 2]);
                let (a, b) = (&values[2 * pair], &values[2 * pair + 1]);
                let term =
                    |p: &[usize], k: usize| f64::from(a[p[0] * n + k]) * f64::from(b[k * n + p[1]]);
                let sum = |p: &Vec<usize>| (0..n).map(|k| term(p, k)).sum::<f64>();
                let want: Vec<f64> = indices(&[ROWS, n]).iter().map(sum).collect();
                close(got.slice(), &want, 1e-4);
            }
        }
    }
}

#[test]
fn the_first_bad_index_is_kept() {
    let gather = |size, check| {
        let index = load(0, view(0, &[1]));
        let gather = Inst::Gather {
            input: 1,
            view: view(0, &[0]),
            index: 0,
            size,
            stride: 1,
            check,
        };
        let expr = Expr {
            inputs: vec![DType::I32, F],
            insts: vec![index, gather],
        };
        Kernel::Map(Map {
            shape: vec![3],
            expr,
            store: view(0, &[1]),
        })
    };
    let plan = Plan {
        slots: vec![
            Slot {
                dtype: DType::I32,
                len: 3,
                place: Place::Leaf(0),
            },
            slot(2, Place::Leaf(1)),
            slot(3, Place::Output(0)),
            slot(3, Place::Output(1)),
        ],
        steps: vec![
            step(gather(2, 5), &[0, 1], 2, 5),
            step(gather(1, 6), &[0, 1], 3, 6),
        ],
        outputs: vec![2, 3],
        temps: vec![],
        n_leaves: 2,
        in_place: Vec::new(),
        n_scalars: 0,
    };
    let table = HostBufferMut::copy_of(bytes(&[1.5f32, 2.5]))
        .expect("room")
        .freeze();
    for (index, want) in [([0, 0, 0], 0), ([0, 1, 0], 6), ([0, 2, 0], 5)] {
        let index = HostBufferMut::copy_of(bytes::<i32>(&index))
            .expect("room")
            .freeze();
        let status = AtomicU32::new(0);
        let run = (&plan, &Prepared::new(&plan));
        let out = Executor::new().run(run, &[&index, &table], &[], &status, None);
        let out = out.expect("room");
        assert_eq!(status.load(Ordering::Relaxed), want);
        assert_eq!(out[0].slice::<f32>()[0], 1.5);
        assert_eq!(out[0].slice::<f32>()[1].is_nan(), want == 5);
    }
}
