//! Rows: every stage against obvious loops over the values of the stages before it.

use super::*;
use crate::plan::{ReduceKind, RowRegion, Rows, Stage, StageKind};
use crate::threads::par::with_threads;
use crate::{Context, Ready, run_ready};

const F: DType = DType::F32;

/// Loops of a test kernel and the dtypes of its inputs: all of the nest, one element for each row, one for each
/// point of a row, all of the nest as halves.
struct Case {
    outer: Vec<usize>,
    inner: Vec<usize>,
}

impl Case {
    fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    fn points(&self) -> usize {
        self.inner.iter().product()
    }

    /// The walk of input `input` for a stage.
    fn view(&self, input: usize, once: bool) -> View {
        let shape = [&self.outer[..], &self.inner].concat();
        let n = self.outer.len();
        let mut all = View::contiguous(&shape);
        let by_row = View::contiguous(&self.outer).strides;
        let by_point = View::contiguous(&self.inner).strides;
        match input {
            1 => {
                all.strides[..n].copy_from_slice(&by_row);
                all.strides[n..].fill(0);
            }
            2 => {
                all.strides[..n].fill(0);
                all.strides[n..].copy_from_slice(&by_point);
            }
            _ => {}
        }
        if once {
            all.strides.truncate(n);
        }
        all
    }

    /// A random program of a few instructions over what the stage may read.
    fn expr(&self, rng: &mut Rng, kind: StageKind, before: &[Stage]) -> Expr {
        let once = kind == StageKind::Once;
        let mut insts = Vec::new();
        for _ in 0..3 {
            let fits = |s: &usize| match before[*s].kind {
                StageKind::Each => !once,
                kind => kind != StageKind::Across,
            };
            let usable: Vec<usize> = (0..before.len())
                .filter(fits)
                .filter(|&s| before[s].dtype == F)
                .collect();
            insts.push(match rng.below(3) {
                0 => load(1, self.view(1, once)),
                1 if !usable.is_empty() => Inst::Stage {
                    stage: usable[rng.below(usable.len())],
                    dtype: F,
                },
                _ if once => Inst::Scalar {
                    scalar: 0,
                    dtype: F,
                },
                _ => {
                    let input = [0, 2, 3][rng.below(3)];
                    load(input, self.view(input, once))
                }
            });
        }
        for reg in 3..3 + rng.below(4) {
            let (a, b) = (rng.below(reg), rng.below(reg));
            let op = [&ADD, &MUL][rng.below(2)];
            insts.push(apply(op, &[a, b], F, F));
            if rng.below(4) == 0 && !once {
                let last = insts.len() - 1;
                insts.push(apply(&LESS, &[last, a], F, DType::Bool));
                insts.push(apply(&SELECT, &[last + 1, a, b], F, F));
                break;
            }
        }
        Expr {
            inputs: vec![F, F, F, DType::F16],
            insts,
        }
    }

    fn random(&self, rng: &mut Rng) -> Rows {
        let mut stages: Vec<Stage> = Vec::new();
        for s in 0..7 {
            let kind = match rng.below(7) {
                6 => StageKind::Across,
                0 => StageKind::Once,
                1 => StageKind::Reduce(ReduceKind::Max),
                2 => StageKind::Reduce(ReduceKind::ArgMax),
                3 => StageKind::Reduce(ReduceKind::Sum),
                _ => StageKind::Each,
            };
            let expr = self.expr(rng, kind, &stages);
            let dtype = match kind {
                StageKind::Reduce(ReduceKind::ArgMax) => DType::I32,
                _ => F,
            };
            stages.push(Stage {
                kind,
                expr,
                dtype,
                output: Some(s),
                region: None,
            });
        }
        Rows {
            outer: self.outer.clone(),
            inner: self.inner.clone(),
            stages,
        }
    }

    /// Elements of a stage's output.
    fn len(&self, stage: &Stage) -> usize {
        match stage.kind {
            StageKind::Each => self.rows() * self.points(),
            StageKind::Across => self.points(),
            _ => self.rows(),
        }
    }
}

/// Every output, the same on one thread and on three.
fn outputs(case: &Case, rows: &Rows, inputs: &[(DType, Vec<u8>)]) -> Vec<Vec<u32>> {
    let plain: Vec<(DType, &[u8])> = inputs.iter().map(|(t, b)| (*t, &b[..])).collect();
    let inputs = buffers(&plain);
    let operands: Vec<Operand<'_>> = inputs
        .iter()
        .map(|(dtype, buffer)| Operand {
            dtype: *dtype,
            bytes: buffer.bytes(),
        })
        .collect();
    let kernel = Kernel::Rows(rows.clone());
    let ready = Ready::new(&kernel, F, &[]);
    let [one, three] = [1, 3].map(|threads| {
        let mut outs: Vec<Vec<u32>> = vec![Vec::new(); Rows::MAX_OUTPUTS];
        for stage in &rows.stages {
            if let Some(o) = stage.output {
                let end = stage
                    .region
                    .map_or(Some(case.len(stage)), |r| r.end(case.rows(), case.points()))
                    .expect("rows apart");
                let end = end.max(outs[o].len());
                outs[o].resize(end, 0xABAB_ABAB);
            }
        }
        let mut held: Vec<HostBufferMut> = outs
            .iter()
            .map(|out| HostBufferMut::copy_of(bytes(out)).expect("room"))
            .collect();
        let mut slices: [&mut [u8]; Rows::MAX_OUTPUTS] = Default::default();
        for (slice, out) in slices.iter_mut().zip(&mut held) {
            *slice = out.bytes_mut();
        }
        let status = AtomicU32::new(0);
        with_threads(threads, |par| {
            let context = Context {
                inputs: &operands,
                scalars: &[0.75f32.to_bits()],
                check: 0,
                status: &status,
                par,
                packed: None,
            };
            run_ready(&kernel, &ready, context, slices, F);
        });
        held.iter()
            .map(|out| values(out.bytes()))
            .collect::<Vec<Vec<u32>>>()
    });
    assert!(one == three, "results depend on the number of threads");
    one
}

/// The operand of a stage at a point, from the executor's own values of earlier stages.
fn operand(
    case: &Case,
    rows: &Rows,
    stage: usize,
    at: (usize, usize),
    inputs: &[(DType, Vec<u8>)],
    values: &[Vec<u32>],
) -> u32 {
    let (row, point) = at;
    let shape = [&case.outer[..], &case.inner].concat();
    let mut rest = row * case.points() + point;
    let mut index = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        (index[d], rest) = (rest % shape[d], rest / shape[d]);
    }
    if rows.stages[stage].kind == StageKind::Once {
        index.truncate(case.outer.len());
    }
    let bytes: Vec<&[u8]> = inputs.iter().map(|(_, b)| b.as_slice()).collect();
    let earlier = |s: usize| match rows.stages[s].kind {
        StageKind::Each => values[s][row * case.points() + point],
        _ => values[s][row],
    };
    let expr = &rows.stages[stage].expr;
    eval_after(expr, &index, &bytes, &[0.75f32.to_bits()], &earlier).0
}

fn check_stage(
    case: &Case,
    rows: &Rows,
    s: usize,
    inputs: &[(DType, Vec<u8>)],
    values: &[Vec<u32>],
) {
    let at = |row, point| operand(case, rows, s, (row, point), inputs, values);
    if rows.stages[s].kind == StageKind::Across {
        for p in 0..case.points() {
            let column = (0..case.rows()).map(|row| f32::from_bits(at(row, p)));
            check_sum(column, values[s][p], &format!("stage {s}, point {p}"));
        }
        return;
    }
    for row in 0..case.rows() {
        let all = || (0..case.points()).map(|p| f32::from_bits(at(row, p)));
        match rows.stages[s].kind {
            StageKind::Once => assert_eq!(values[s][row], at(row, 0), "stage {s}, row {row}"),
            StageKind::Each => {
                for p in 0..case.points() {
                    let got = values[s][row * case.points() + p];
                    assert_eq!(got, at(row, p), "stage {s}, row {row}, point {p}");
                }
            }
            StageKind::Reduce(ReduceKind::Sum) => {
                check_sum(all(), values[s][row], &format!("stage {s}, row {row}"));
            }
            StageKind::Across => unreachable!("checked above"),
            StageKind::Reduce(kind) => {
                let best = all().fold(f32::NEG_INFINITY, f32::max);
                let first = all().position(|x| x == best).expect("a maximum") as u32;
                let got = values[s][row];
                match kind {
                    ReduceKind::Max => assert_eq!(f32::from_bits(got), best, "stage {s}, {row}"),
                    _ => assert_eq!(got, first, "stage {s}, row {row}"),
                }
            }
        }
    }
}

/// A sum of f32 values within what few additions in f32 may lose.
fn check_sum(terms: impl Iterator<Item = f32>, got: u32, what: &str) {
    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| {
        (sum + f64::from(x), size + f64::from(x.abs()))
    });
    let got = f64::from(f32::from_bits(got));
    assert!(
        (got - sum).abs() <= 1e-6 * size,
        "{what}: {got}, expected {sum}"
    );
}

#[test]
fn every_stage_is_right_whatever_is_stored() {
    let cases: [(&[usize], &[usize]); 10] = [
        (&[2976], &[1]),
        (&[30, 7], &[1, 1]),
        (&[5], &[7]),
        (&[2, 150], &[10]),
        (&[40], &[300]),
        (&[3, 2], &[1024]),
        (&[70], &[1025]),
        (&[2], &[3, 1500]),
        (&[], &[2000]),
        (&[600], &[4, 64]),
    ];
    for (seed, (outer, inner)) in cases.into_iter().cycle().take(30).enumerate() {
        check(outer, inner, &mut Rng(seed as u64 + 11));
    }
}

/// Random stages over rows of these sizes.
pub(crate) fn check(outer: &[usize], inner: &[usize], rng: &mut Rng) {
    let case = Case {
        outer: outer.to_vec(),
        inner: inner.to_vec(),
    };
    let len = case.rows() * case.points();
    let halves: Vec<half::f16> = rng
        .floats(len)
        .into_iter()
        .map(half::f16::from_f32)
        .collect();
    let inputs = [
        (F, bytes(&rng.floats(len)).to_vec()),
        (F, bytes(&rng.floats(case.rows())).to_vec()),
        (F, bytes(&rng.floats(case.points())).to_vec()),
        (DType::F16, bytes(&halves).to_vec()),
    ];
    let mut rows = case.random(rng);
    let values = outputs(&case, &rows, &inputs);
    for s in 0..rows.stages.len() {
        check_stage(&case, &rows, s, &inputs, &values);
    }
    // The same where only some are stored.
    let mut kept = Vec::new();
    for (s, stage) in rows.stages.iter_mut().enumerate() {
        let lost = rng.below(3) != 0 && stage.kind != StageKind::Across;
        stage.output = (!lost).then(|| {
            kept.push(s);
            kept.len() - 1
        });
    }
    let fewer = outputs(&case, &rows, &inputs);
    for (o, &s) in kept.iter().enumerate() {
        assert!(fewer[o] == values[s], "stage {s} depends on what is stored");
    }
    regions_hold_the_same(&case, rows.clone(), &inputs, &values);
    runs_hold_the_same(&case, rows, &inputs, (&values, rng));
}

/// Stages with a value for each point as channels of a batch, each in an output of its own.
fn runs_hold_the_same(
    case: &Case,
    mut rows: Rows,
    inputs: &[(DType, Vec<u8>)],
    (values, rng): (&[Vec<u32>], &mut Rng),
) {
    let (n, points) = (case.rows(), case.points());
    let divisors: Vec<usize> = (1..points).filter(|&d| points.is_multiple_of(d)).collect();
    if divisors.is_empty() {
        return;
    }
    let mut places = Vec::new();
    for (s, stage) in rows.stages.iter_mut().enumerate() {
        stage.output = (stage.kind == StageKind::Across).then_some(s);
        if stage.kind == StageKind::Each {
            let run = divisors[rng.below(divisors.len())];
            let region = RowRegion {
                offset: rng.below(9),
                pitch: run,
                run,
                apart: n * run,
            };
            (stage.output, stage.region) = (Some(s), Some(region));
            places.push((s, region));
        }
    }
    let outs = outputs(case, &rows, inputs);
    for (s, r) in places {
        let out = &outs[s];
        assert!(out[..r.offset].iter().all(|&w| w == 0xABAB_ABAB));
        assert_eq!(out.len(), r.offset + n * points);
        for (at, &value) in values[s].iter().enumerate() {
            let (row, point) = (at / points, at % points);
            let place = r.offset + row * r.run + point / r.run * n * r.run + point % r.run;
            assert_eq!(
                out[place], value,
                "row {row}, point {point} of stage {s} in {r:?}"
            );
        }
    }
}

/// Stages with a value for each point as columns of one output, or, every other one, below each other.
fn regions_hold_the_same(
    case: &Case,
    mut rows: Rows,
    inputs: &[(DType, Vec<u8>)],
    values: &[Vec<u32>],
) {
    let (n, points) = (case.rows(), case.points());
    let mut places = Vec::new();
    for (s, stage) in rows.stages.iter_mut().enumerate() {
        stage.output = (stage.kind == StageKind::Across).then_some(s + 2);
        if stage.kind == StageKind::Each {
            let (output, k) = (places.len() % 2, places.len() / 2);
            let region = match output {
                0 => RowRegion::together(3 + k * points, 4 * points + 1, points),
                _ => RowRegion::together(k * n * points, points, points),
            };
            (stage.output, stage.region) = (Some(output), Some(region));
            places.push((s, output, region));
        }
    }
    let outs = outputs(case, &rows, inputs);
    let mut written = 0;
    for (s, output, region) in places {
        for row in 0..n {
            let at = region.offset + row * region.pitch;
            let want = &values[s][row * points..(row + 1) * points];
            assert!(outs[output][at..at + points] == *want, "row {row} of {s}");
            written += points;
        }
    }
    let left = outs[..2].iter().flatten().filter(|&&w| w == 0xABAB_ABAB);
    assert_eq!(left.count(), outs[0].len() + outs[1].len() - written);
}

#[test]
fn nan_and_infinity_pass_as_in_reductions_of_their_own() {
    let case = Case {
        outer: vec![3],
        inner: vec![6],
    };
    let full = load(0, case.view(0, false));
    let stage = |kind, insts: Vec<Inst>, output| Stage {
        kind,
        expr: Expr {
            inputs: vec![F],
            insts,
        },
        dtype: F,
        output: Some(output),
        region: None,
    };
    let rows = Rows {
        outer: vec![3],
        inner: vec![6],
        stages: vec![
            stage(StageKind::Reduce(ReduceKind::Max), vec![full.clone()], 0),
            stage(StageKind::Reduce(ReduceKind::Sum), vec![full], 1),
        ],
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = [
        [1.0, nan, 3.0, inf, 0.0, 0.0],
        [-inf, -2.0, -inf, -1.0, -3.0, -inf],
        [-inf; 6],
    ];
    let values = outputs(&case, &rows, &[(F, bytes(&x).to_vec())]);
    let values: Vec<Vec<f32>> = values
        .iter()
        .map(|v| v.iter().map(|&w| f32::from_bits(w)).collect())
        .collect();
    assert!(values[0][0].is_nan() && values[1][0].is_nan());
    assert_eq!(values[0][1..], [-1.0, -inf]);
    assert_eq!(values[1][1..], [-inf, -inf]);
}
