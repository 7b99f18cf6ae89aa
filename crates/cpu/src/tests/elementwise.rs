//! Map: views, dtypes, gathers, random words, strided stores.

use super::*;
use crate::plan::Map;
use half::{bf16, f16};

/// Runs the map and compares every element with the plain evaluation; returns the output.
pub(crate) fn check(map: Map, inputs: &[(DType, &[u8])], len: usize, scalars: &[u32]) -> Vec<u8> {
    let dtype = map.expr.dtype(map.expr.result());
    let before: Vec<u8> = (0..len * dtype.size()).map(|i| i as u8).collect();
    let mut want = before.clone();
    let slices: Vec<&[u8]> = inputs.iter().map(|i| i.1).collect();
    let mut any_bad = false;
    for index in indices(&map.shape) {
        let (lane, bad) = eval(&map.expr, &index, &slices, scalars);
        any_bad |= bad;
        let to = at(&map.store, &index) as usize * dtype.size();
        match dtype {
            DType::U8 => want[to] = lane as u8,
            DType::F16 => {
                want[to..to + 2].copy_from_slice(&f16::from_f32(f32::from_bits(lane)).to_le_bytes())
            }
            DType::BF16 => want[to..to + 2]
                .copy_from_slice(&bf16::from_f32(f32::from_bits(lane)).to_le_bytes()),
            _ => want[to..to + 4].copy_from_slice(&lane.to_le_bytes()),
        }
    }
    let (got, status) = run_into(&Kernel::Map(map.clone()), inputs, dtype, &before, scalars);
    assert_eq!(status, if any_bad { 7 } else { 0 });
    if got != want {
        let i = got.iter().zip(&want).position(|(a, b)| a != b);
        panic!("byte {i:?} differs in {map:?}");
    }
    got
}

fn f32_expr(insts: Vec<Inst>, inputs: usize) -> Expr {
    Expr {
        inputs: vec![DType::F32; inputs],
        insts,
    }
}

const F: DType = DType::F32;

#[test]
fn contiguous_of_many_lengths() {
    for n in [0, 1, 15, 1023, 1024, 1025, 5000, 300_001] {
        let x = Rng(1).floats(n);
        let y = Rng(2).floats(n);
        let shape = vec![n];
        let dense = View::contiguous(&shape);
        let expr = f32_expr(
            vec![
                load(0, dense.clone()),
                load(1, dense.clone()),
                apply(&LESS, &[0, 1], F, DType::Bool),
                apply(&MUL, &[0, 1], F, F),
                apply(&ADD, &[3, 0], F, F),
                apply(&SELECT, &[2, 4, 1], F, F),
            ],
            2,
        );
        check(
            Map {
                shape,
                expr,
                store: dense,
            },
            &[(F, bytes(&x)), (F, bytes(&y))],
            n,
            &[],
        );
    }
}

#[test]
fn broadcast_flip_transpose_and_scalars() {
    for shape in [
        vec![3, 5],
        vec![7, 600],
        vec![40, 1, 33],
        vec![2, 3, 4, 5],
        vec![1, 1],
        vec![],
        vec![130, 1500],
    ] {
        let n: usize = shape.iter().product();
        let x = Rng(3).floats(n);
        let dense = View::contiguous(&shape);
        let mut flipped = dense.clone();
        let mut broadcast = dense.clone();
        let mut transposed = dense.clone();
        if let Some(last) = shape.len().checked_sub(1) {
            flipped.offset = (shape[last] as i64 - 1) * flipped.strides[last];
            flipped.strides[last] = -flipped.strides[last];
            broadcast.strides[0] = 0;
            let mut step = 1;
            for (stride, &size) in transposed.strides.iter_mut().zip(&shape) {
                *stride = step;
                step *= size as i64;
            }
        }
        let expr = f32_expr(
            vec![
                load(0, flipped),
                load(0, broadcast),
                apply(&MUL, &[0, 1], F, F),
                load(0, transposed),
                apply(&ADD, &[2, 3], F, F),
                Inst::Scalar {
                    scalar: 1,
                    dtype: F,
                },
                Inst::Literal {
                    value: -1,
                    dtype: F,
                },
                apply(&ADD, &[5, 6], F, F),
                apply(&MUL, &[4, 7], F, F),
                Inst::Index {
                    view: dense.clone(),
                },
                apply(&TO_FLOAT, &[9], DType::I32, F),
                apply(&ADD, &[8, 10], F, F),
            ],
            1,
        );
        check(
            Map {
                shape,
                expr,
                store: dense,
            },
            &[(F, bytes(&x))],
            n,
            &[0, 2.5f32.to_bits()],
        );
    }
}

#[test]
fn tiles_of_transposed_matrices() {
    for (shape, strides) in [
        (vec![256, 320], vec![1, 256]),
        (vec![3, 128, 192], vec![24576, 1, 128]),
    ] {
        let n: usize = shape.iter().product();
        let x = Rng(4).floats(n);
        let dense = View::contiguous(&shape);
        let sum = vec![
            load(0, view(0, &strides)),
            load(0, dense.clone()),
            apply(&ADD, &[0, 1], F, F),
        ];
        for (insts, store) in [
            (sum.clone(), dense.clone()),
            (sum[..1].to_vec(), View { offset: 9, ..dense }),
        ] {
            let map = Map {
                shape: shape.clone(),
                expr: f32_expr(insts, 1),
                store,
            };
            check(map, &[(F, bytes(&x))], n + 20, &[]);
        }
    }
}

#[test]
fn only_constants_and_plain_copies() {
    for shape in [vec![5, 7], vec![3000], vec![]] {
        let n: usize = shape.iter().product();
        let dense = View::contiguous(&shape);
        let one = f32_expr(vec![Inst::Literal { value: 1, dtype: F }], 0);
        check(
            Map {
                shape: shape.clone(),
                expr: one,
                store: dense.clone(),
            },
            &[],
            n,
            &[],
        );
        let x = Rng(4).floats(n + 3);
        let copy = f32_expr(
            vec![load(
                0,
                View {
                    offset: 3,
                    ..dense.clone()
                },
            )],
            1,
        );
        check(
            Map {
                shape: shape.clone(),
                expr: copy,
                store: dense.clone(),
            },
            &[(F, bytes(&x))],
            n,
            &[],
        );
        let splat = f32_expr(vec![load(0, view(2, &vec![0; shape.len()]))], 1);
        check(
            Map {
                shape,
                expr: splat,
                store: dense,
            },
            &[(F, bytes(&x))],
            n,
            &[],
        );
    }
}

#[test]
fn bytes_and_halves_widen_and_narrow() {
    for (rows, cols) in [(3, 5), (90, 700), (1, 2049)] {
        let shape = vec![rows, cols];
        let n = rows * cols;
        let dense = View::contiguous(&shape);
        let u: Vec<u8> = (0..n).map(|i| (i * 37) as u8).collect();
        let floats: Vec<f32> = Rng(5).floats(n).iter().map(|x| x * 100.0).collect();
        let mut h: Vec<f16> = floats.iter().map(|&x| f16::from_f32(x)).collect();
        let mut b: Vec<bf16> = floats.iter().map(|&x| bf16::from_f32(x)).collect();
        (h[0], h[1]) = (f16::INFINITY, f16::from_bits(1));
        (b[0], b[1]) = (bf16::INFINITY, bf16::from_bits(1));
        let columns = view(0, &[1, rows as i64]);
        for (half, elements) in [(DType::F16, bytes(&h)), (DType::BF16, bytes(&b))] {
            for walk in [&dense, &columns] {
                let expr = Expr {
                    inputs: vec![DType::U8, half],
                    insts: vec![
                        load(0, columns.clone()),
                        apply(&TO_FLOAT, &[0], DType::U8, F),
                        load(1, walk.clone()),
                        apply(&MUL, &[1, 2], F, half),
                    ],
                };
                let inputs = [(DType::U8, &u[..]), (half, elements)];
                let map = Map {
                    shape: shape.clone(),
                    expr,
                    store: dense.clone(),
                };
                check(map, &inputs, n, &[]);
            }
        }
        let expr = Expr {
            inputs: vec![DType::U8],
            insts: vec![load(0, columns)],
        };
        check(
            Map {
                shape,
                expr,
                store: dense,
            },
            &[(DType::U8, &u[..])],
            n,
            &[],
        );
    }
}

#[test]
fn gathers_check_their_indices() {
    let (rows, cols, size) = (50, 33, 9);
    let table = Rng(6).floats(size * cols);
    let dense = View::contiguous(&[rows, cols]);
    for bad in [None, Some(-1), Some(9), Some(i32::MIN)] {
        let mut ix: Vec<i32> = (0..rows as i32).map(|i| i * 5 % 9).collect();
        if let Some(bad) = bad {
            ix[20] = bad;
        }
        // Rows of the table, by one index for each row.
        let gather = Inst::Gather {
            input: 1,
            view: view(0, &[0, 1]),
            index: 0,
            size,
            stride: cols as i64,
            check: 7,
        };
        let expr = Expr {
            inputs: vec![DType::I32, F],
            insts: vec![load(0, view(0, &[1, 0])), gather],
        };
        let inputs = [(DType::I32, bytes(&ix)), (F, bytes(&table))];
        check(
            Map {
                shape: vec![rows, cols],
                expr,
                store: dense.clone(),
            },
            &inputs,
            rows * cols,
            &[],
        );
        // One index for each element, of bytes.
        let many: Vec<i32> = (0..(rows * cols) as i32)
            .map(|i| if i == 77 { bad.unwrap_or(0) } else { i % 9 })
            .collect();
        let small: Vec<u8> = (0..size * cols).map(|i| i as u8).collect();
        let gather = Inst::Gather {
            input: 1,
            view: view(0, &[0, 1]),
            index: 0,
            size,
            stride: cols as i64,
            check: 7,
        };
        let expr = Expr {
            inputs: vec![DType::I32, DType::U8],
            insts: vec![load(0, dense.clone()), gather],
        };
        let inputs = [(DType::I32, bytes(&many)), (DType::U8, &small[..])];
        check(
            Map {
                shape: vec![rows, cols],
                expr,
                store: dense.clone(),
            },
            &inputs,
            rows * cols,
            &[],
        );
    }
}

#[test]
fn random_words_are_those_of_the_stream() {
    let scalars = [11, 22, 33, 44, 55];
    for (shape, walk) in [
        (vec![1000], view(0, &[1])),
        (vec![3], view(7, &[1])),
        (vec![40, 70], view(5, &[70, 1])),
        (vec![40, 70], view(2, &[1, 40])),
        (vec![30, 7], view(1, &[0, 1])),
        (vec![], view(6, &[])),
        (vec![70_000], view((1 << 32) - 9, &[1])),
    ] {
        let expr = Expr {
            inputs: vec![],
            insts: vec![Inst::Random {
                view: walk,
                scalar: 0,
            }],
        };
        let n = shape.iter().product();
        check(
            Map {
                store: View::contiguous(&shape),
                shape,
                expr,
            },
            &[],
            n,
            &scalars,
        );
    }
}

#[test]
fn strided_stores_leave_the_rest() {
    for (shape, store, len) in [
        (vec![4, 5], view(3, &[11, 1]), 60),
        (vec![4, 5], view(0, &[1, 4]), 20),
        (vec![300, 700], view(64, &[800, 1]), 300 * 800),
        (vec![300, 700], view(1, &[1500, 2]), 300 * 1500),
        (vec![5, 6], view(29, &[-6, -1]), 30),
        (vec![20_000], view(100, &[1]), 20_200),
        (vec![0, 3], view(0, &[3, 1]), 6),
    ] {
        let n: usize = shape.iter().product();
        let x = Rng(8).floats(n);
        let dense = View::contiguous(&shape);
        let expr = f32_expr(vec![load(0, dense), apply(&SQUARE, &[0], F, F)], 1);
        check(Map { shape, expr, store }, &[(F, bytes(&x))], len, &[]);
    }
}

#[test]
fn random_expressions_over_random_views() {
    let mut rng = Rng(99);
    for _ in 0..300 {
        let rank = 1 + rng.below(4);
        let shape: Vec<usize> = (0..rank)
            .map(|_| 1 + rng.below(if rank < 3 { 90 } else { 9 }))
            .collect();
        let n: usize = shape.iter().product();
        let mut dims: Vec<usize> = (0..rank).collect();
        let mut insts = Vec::new();
        for _ in 0..1 + rng.below(4) {
            dims.swap(0, rng.below(rank));
            let mut walk = view(0, &vec![0; rank]);
            let mut step = 1;
            for &d in &dims {
                if rng.below(4) == 0 {
                    continue;
                }
                walk.strides[d] = step;
                step *= shape[d] as i64;
                if rng.below(5) == 0 {
                    walk.offset += (shape[d] as i64 - 1) * walk.strides[d];
                    walk.strides[d] *= -1;
                }
            }
            insts.push(load(0, walk));
        }
        for _ in 0..rng.below(8) {
            let args = [rng.below(insts.len()), rng.below(insts.len())];
            insts.push(apply(
                if rng.below(2) == 0 { &ADD } else { &MUL },
                &args,
                F,
                F,
            ));
        }
        let x = Rng(u64::from(rng.next())).floats(n);
        let store = View::contiguous(&shape);
        check(
            Map {
                shape,
                expr: f32_expr(insts, 1),
                store,
            },
            &[(F, bytes(&x))],
            n,
            &[],
        );
    }
}

#[test]
fn what_is_the_same_everywhere_reaches_every_lane() {
    let two = Inst::Scalar {
        scalar: 0,
        dtype: F,
    };
    let scalars = [2.5f32.to_bits()];
    let constant = Expr {
        inputs: vec![],
        insts: vec![two.clone()],
    };
    // Stored to rows of a region, shorter than a block.
    let map = Map {
        shape: vec![30, 7],
        expr: constant.clone(),
        store: view(3, &[20, 1]),
    };
    let (out, _) = run(&Kernel::Map(map), &[], F, 600, &scalars);
    let out: Vec<f32> = values(&out);
    let inside = |at: &usize| (3..10).contains(&(at % 20));
    assert!((0..600).filter(inside).all(|at| out[at] == 2.5));
    // Chosen by a condition that is the same everywhere.
    let x: Vec<f32> = (0..1500).map(|i| i as f32).collect();
    let choose = Expr {
        inputs: vec![F],
        insts: vec![
            load(0, view(0, &[1])),
            two.clone(),
            apply(&MUL, &[1, 1], F, F),
            apply(&LESS, &[1, 2], F, DType::Bool),
            apply(&SELECT, &[3, 0, 1], F, F),
        ],
    };
    let map = Map {
        shape: vec![1500],
        expr: choose,
        store: view(0, &[1]),
    };
    let (out, _) = run(&Kernel::Map(map), &[(F, bytes(&x))], F, 1500, &scalars);
    assert_eq!(values::<f32>(&out), x);
    // Summed along rows and across them.
    for (outer, inner) in [(3, 1300), (70, 5), (4, 700)] {
        let reduce = crate::plan::Reduce {
            kind: crate::plan::ReduceKind::Sum,
            outer: vec![outer],
            inner: vec![inner],
            expr: constant.clone(),
        };
        let (out, _) = run(&Kernel::Reduce(reduce), &[], F, outer, &scalars);
        let all: Vec<f32> = values(&out);
        assert!(all.iter().all(|&sum| sum == 2.5 * inner as f32), "{all:?}");
    }
}
