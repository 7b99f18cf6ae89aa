//! Map: dtypes, walks, gathers, random words, regions, long and empty grids.

use super::{Data, assert_close, check, executors, run};
use crate::dtype::{Class, DType};
use crate::plan::*;

pub(super) static ADD: ScalarOp = ScalarOp {
    name: "test_add",
    wgsl: |x, class, _| match class {
        Class::Bool => format!("({} | {})", x[0], x[1]),
        _ => format!("({} + {})", x[0], x[1]),
    },
    cpu: |_, _| None,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(super) static MUL: ScalarOp = ScalarOp {
    name: "test_mul",
    wgsl: |x, _, _| format!("({} * {})", x[0], x[1]),
    cpu: |_, _| None,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(super) static EXP: ScalarOp = ScalarOp {
    name: "test_exp",
    wgsl: |x, _, _| format!("w_exp({})", x[0]),
    cpu: |_, _| None,
    cost: 1,
    ..ScalarOp::PLAIN
};
pub(super) static RECIP: ScalarOp = ScalarOp {
    name: "test_recip",
    wgsl: |x, _, _| format!("(1.0 / {})", x[0]),
    cpu: |_, _| None,
    cost: 1,
    ..ScalarOp::PLAIN
};
static TO_F32: ScalarOp = ScalarOp {
    name: "test_f32",
    wgsl: |x, _, _| format!("f32({})", x[0]),
    cpu: |_, _| None,
    cost: 1,
    ..ScalarOp::PLAIN
};

/// A map with what it should give.
pub(super) struct Case {
    pub(super) map: Map,
    pub(super) inputs: Vec<Data>,
    pub(super) out: (DType, usize),
    pub(super) expected: Vec<f64>,
}

pub(super) fn load(input: usize, shape: &[usize]) -> Inst {
    Inst::Load {
        input,
        view: View::contiguous(shape),
    }
}

pub(super) fn apply(op: &'static ScalarOp, args: &[Reg], dtype: DType) -> Inst {
    Inst::Apply {
        op,
        args: args.to_vec(),
        input: dtype,
        dtype,
    }
}

pub(super) fn view(offset: i64, strides: &[i64]) -> View {
    View {
        offset,
        strides: strides.to_vec(),
    }
}

/// `x[i, j] + y[j]`.
pub(super) fn add_broadcast(shape: [usize; 2]) -> Map {
    let insts = vec![
        load(0, &shape),
        Inst::Load {
            input: 1,
            view: view(0, &[0, 1]),
        },
        apply(&ADD, &[0, 1], DType::F32),
    ];
    let expr = Expr {
        inputs: vec![DType::F32, DType::F32],
        insts,
    };
    Map {
        shape: shape.to_vec(),
        expr,
        store: View::contiguous(&shape),
    }
}

fn copies(dtype: DType, n: usize) -> Case {
    let x = Data::random(dtype, n, 3);
    let expr = Expr {
        inputs: vec![dtype],
        insts: vec![load(0, &[n])],
    };
    let map = Map {
        shape: vec![n],
        expr,
        store: View::contiguous(&[n]),
    };
    Case {
        map,
        expected: x.values.clone(),
        inputs: vec![x],
        out: (dtype, n),
    }
}

fn flipped_transpose(dtype: DType) -> Case {
    let (a, b, c) = (5, 3, 7);
    let x = Data::random(dtype, a * b * c, 4);
    // out[i, j, k] = x[a - 1 - k, j, i], x of shape [a, b, c].
    let walk = view(((a - 1) * b * c) as i64, &[1, c as i64, -((b * c) as i64)]);
    let shape = [c, b, a];
    let mut expected = Vec::new();
    for i in 0..c {
        for j in 0..b {
            for k in 0..a {
                expected.push(x.values[((a - 1 - k) * b + j) * c + i]);
            }
        }
    }
    let expr = Expr {
        inputs: vec![dtype],
        insts: vec![Inst::Load {
            input: 0,
            view: walk,
        }],
    };
    let map = Map {
        shape: shape.to_vec(),
        expr,
        store: View::contiguous(&shape),
    };
    Case {
        map,
        inputs: vec![x],
        out: (dtype, a * b * c),
        expected,
    }
}

fn indices_and_literals() -> Case {
    let shape = [4, 6];
    let insts = vec![
        Inst::Index {
            view: view(-3, &[10, -1]),
        },
        Inst::Literal {
            value: -1,
            dtype: DType::I32,
        },
        apply(&MUL, &[0, 1], DType::I32),
    ];
    let expected = (0..24)
        .map(|i| -f64::from(-3 + 10 * (i / 6) - i % 6))
        .collect();
    let map = Map {
        shape: shape.to_vec(),
        expr: Expr {
            inputs: vec![],
            insts,
        },
        store: View::contiguous(&shape),
    };
    Case {
        map,
        inputs: vec![],
        out: (DType::I32, 24),
        expected,
    }
}

fn division_by_a_literal_zero() -> Case {
    let insts = vec![
        Inst::Literal {
            value: 0,
            dtype: DType::F32,
        },
        apply(&RECIP, &[0], DType::F32),
        apply(&EXP, &[1], DType::F32),
    ];
    let map = Map {
        shape: vec![3],
        expr: Expr {
            inputs: vec![],
            insts,
        },
        store: View::contiguous(&[3]),
    };
    Case {
        map,
        inputs: vec![],
        out: (DType::F32, 3),
        expected: vec![f64::INFINITY; 3],
    }
}

fn broadcast_add() -> Case {
    let shape = [9, 11];
    let x = Data::random(DType::F32, 99, 5);
    let y = Data::random(DType::F32, 11, 6);
    let expected = (0..99).map(|i| x.values[i] + y.values[i % 11]).collect();
    Case {
        map: add_broadcast(shape),
        inputs: vec![x, y],
        out: (DType::F32, 99),
        expected,
    }
}

fn bytes_wrap() -> Case {
    let x = Data::new(DType::U8, vec![0.0, 200.0, 255.0, 100.0, 27.0, 128.0, 1.0]);
    let insts = vec![
        load(0, &[7]),
        apply(&ADD, &[0, 0], DType::U8),
        Inst::Apply {
            op: &TO_F32,
            args: vec![1],
            input: DType::U8,
            dtype: DType::F32,
        },
    ];
    let expected = x.values.iter().map(|v| (2.0 * v) % 256.0).collect();
    let map = Map {
        shape: vec![7],
        expr: Expr {
            inputs: vec![DType::U8],
            insts,
        },
        store: View::contiguous(&[7]),
    };
    Case {
        map,
        inputs: vec![x],
        out: (DType::F32, 7),
        expected,
    }
}

/// Rows by index, one of them twice and none out of range.
fn gathers(dtype: DType) -> Case {
    let x = Data::random(dtype, 5 * 3, 7);
    let index = Data::new(DType::I32, vec![4.0, 0.0, 4.0, 2.0]);
    let insts = vec![
        Inst::Load {
            input: 1,
            view: view(0, &[1, 0]),
        },
        Inst::Gather {
            input: 0,
            view: view(0, &[0, 1]),
            index: 0,
            size: 5,
            stride: 3,
            check: 7,
        },
    ];
    let expected = (0..12)
        .map(|i| x.values[index.values[i / 3] as usize * 3 + i % 3])
        .collect();
    let expr = Expr {
        inputs: vec![dtype, DType::I32],
        insts,
    };
    let map = Map {
        shape: vec![4, 3],
        expr,
        store: View::contiguous(&[4, 3]),
    };
    Case {
        map,
        inputs: vec![x, index],
        out: (dtype, 12),
        expected,
    }
}

/// `a[i, j] + b[i] * c[2 + 16 i + 2 j] + (5 + 3 i + j)`: loads that are whole, shared and apart.
fn four_at_a_time() -> Case {
    let (a, b) = (
        Data::random(DType::F32, 48, 1),
        Data::random(DType::F32, 6, 2),
    );
    let c = Data::random(DType::F32, 2 + 16 * 6, 3);
    let at = |input: usize, view: View| Inst::Load { input, view };
    let insts = vec![
        load(0, &[6, 8]),
        at(1, view(0, &[1, 0])),
        at(2, view(2, &[16, 2])),
        Inst::Index {
            view: view(5, &[3, 1]),
        },
        apply(&MUL, &[1, 2], DType::F32),
        apply(&ADD, &[0, 4], DType::F32),
        Inst::Apply {
            op: &TO_F32,
            args: vec![3],
            input: DType::I32,
            dtype: DType::F32,
        },
        apply(&ADD, &[5, 6], DType::F32),
    ];
    let value = |n: usize| {
        let (i, j) = (n / 8, n % 8);
        a.values[n] + b.values[i] * c.values[2 + 16 * i + 2 * j] + (5 + 3 * i + j) as f64
    };
    let expected = (0..48).map(value).collect();
    Case {
        map: Map {
            shape: vec![6, 8],
            expr: Expr {
                inputs: vec![DType::F32; 3],
                insts,
            },
            store: View::contiguous(&[6, 8]),
        },
        inputs: vec![a, b, c],
        out: (DType::F32, 48),
        expected,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = DType::ALL.iter().map(|&dtype| copies(dtype, 37)).collect();
    cases.extend(DType::ALL.iter().map(|&dtype| flipped_transpose(dtype)));
    cases.extend(DType::ALL.iter().map(|&dtype| copies(dtype, 40)));
    cases.extend(DType::ALL.iter().map(|&dtype| gathers(dtype)));
    cases.push(four_at_a_time());
    cases.extend([
        copies(DType::F32, 0),
        copies(DType::U8, 1),
        copies(DType::F16, 1),
        copies(DType::BF16, 1),
    ]);
    cases.extend([
        indices_and_literals(),
        division_by_a_literal_zero(),
        broadcast_add(),
        bytes_wrap(),
    ]);
    cases
}

#[test]
fn maps_agree_with_loops() {
    for case in cases() {
        check(
            Kernel::Map(case.map),
            &case.inputs,
            &Data::new(case.out.0, case.expected),
            1e-6,
        );
    }
}

#[test]
fn more_groups_than_one_dimension_holds() {
    // 256 a group: 65,540 groups; and a quotient beyond 2^22.
    let lines = 128 * 65_540 - 13;
    let n = 2 * lines;
    let insts = vec![Inst::Index {
        view: view(5, &[3, 1]),
    }];
    let map = Map {
        shape: vec![lines, 2],
        expr: Expr {
            inputs: vec![],
            insts,
        },
        store: View::contiguous(&[lines, 2]),
    };
    for executor in executors().iter().take(1) {
        let (got, _) = run(
            executor,
            &Kernel::Map(map.clone()),
            &[],
            (DType::I32, n),
            &[],
        );
        for i in (0..n).step_by(65_521).chain([n - 1]) {
            assert_eq!(got.values[i], (5 + i / 2 * 3 + i % 2) as f64);
        }
    }
}

#[test]
fn halves_keep_special_values() {
    let values = vec![
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        65504.0,
        6e-8,
        1.0 + 1.0 / 1024.0,
    ];
    for half in [DType::F16, DType::BF16] {
        let x = Data::new(half, values.clone());
        let expr = Expr {
            inputs: vec![half],
            insts: vec![load(0, &[8])],
        };
        let map = Map {
            shape: vec![8],
            expr,
            store: View::contiguous(&[8]),
        };
        let expected = Data::from_bytes(half, &x.bytes());
        check(Kernel::Map(map), &[x], &expected, 0.0);
    }
}

#[test]
fn a_bad_index_yields_nan_and_sets_the_status() {
    for (dtype, missing) in [
        (DType::F32, f64::NAN),
        (DType::I32, 0.0),
        (DType::U8, 0.0),
        (DType::F16, f64::NAN),
        (DType::BF16, f64::NAN),
    ] {
        let mut case = gathers(dtype);
        case.inputs[1].values[1] = -1.0;
        case.inputs[1].values[3] = 5.0;
        for executor in executors() {
            let (got, status) = run(
                &executor,
                &Kernel::Map(case.map.clone()),
                &case.inputs,
                case.out,
                &[],
            );
            assert_eq!(status, 7);
            let mut expected = case.expected.clone();
            for i in [3, 4, 5, 9, 10, 11] {
                expected[i] = missing;
            }
            assert_close(&got, &Data::new(dtype, expected), 0.0, "gather");
        }
    }
}
