//! What a step does for one part: its kernel on fewer images, heads or rows, and how far apart the parts of its operands
//! are. It must not know which steps stand around it.

use crate::conv;
use crate::plan::{
    Conv, ConvKind, Expr, Inst, Kernel, Map, Matmul, Matrix, Plan, Rows, ScatterAdd, SlotId,
    StageKind, Step, View, Window,
};

/// Elements of a weight of two bytes that are widened again for each part: a first-level cache.
const LARGEST: usize = 1 << 13;

/// A step cut into parts, before it is known where its values are.
pub(super) struct Cut {
    pub(super) kernel: Kernel,
    /// Elements from one part to the next, of each input, and how many elements a part reads from its first on.
    pub(super) inputs: Vec<(usize, usize)>,
    /// Elements of a part, of each output.
    pub(super) outputs: Vec<usize>,
}

/// `step` cut into `parts` along its outermost loop, if every part can be computed like the others.
pub(super) fn cut(plan: &Plan, step: &Step, parts: usize) -> Option<Cut> {
    let bytes = |slot: SlotId| plan.slots[slot].dtype.size() == 1;
    // Where a leaf lies other parts may still read it.
    if step.outputs().any(|s| bytes(s) || plan.is_in_place(s)) {
        return None;
    }
    // Partial sums are f32.
    if matches!(&step.kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad)
        && plan.slots[step.output].dtype.size() != 4
    {
        return None;
    }
    match &step.kernel {
        Kernel::Conv(c) if c.batch.is_multiple_of(parts) => {
            let weight = &plan.slots[step.inputs[1]];
            // A part would widen it again, but for what is made ready for all.
            let large = weight.dtype.size() != 4 && weight.len > LARGEST;
            (c.kind == ConvKind::WeightGrad || !large || conv::packed_len(c).is_some())
                .then(|| convolution(c, parts))?
        }
        Kernel::Window(w) if w.planes.is_multiple_of(parts) => Some(window(w, parts)),
        Kernel::ScatterAdd(s) if s.outer.is_multiple_of(parts) => Some(scatter_add(s, parts)),
        Kernel::Matmul(m) if m.batch.is_multiple_of(parts) => Some(matmul(m, parts)),
        Kernel::Map(m) => map(step, m, plan.slots[step.output].len, parts),
        Kernel::Rows(r) => rows(step, r, parts),
        _ => None,
    }
}

/// By images. What an image's part of a weight gradient is, is a partial sum.
fn convolution(c: &Conv, parts: usize) -> Option<Cut> {
    if conv::joins_images(c) {
        return None;
    }
    let batch = c.batch / parts;
    let part = Conv { batch, ..*c };
    // What is made ready for all is used by all.
    if conv::packed_len(c).is_none() && !conv::is_like(c, &part) {
        return None;
    }
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let x = batch * c.groups * c.in_channels * product(&c.input);
    let y = batch * c.groups * c.out_channels * product(&c.output);
    let weight = c.groups * c.out_channels * c.in_channels * product(&c.kernel);
    let (inputs, output) = match c.kind {
        ConvKind::Forward => (vec![(x, x), (0, weight)], y),
        ConvKind::InputGrad => (vec![(y, y), (0, weight)], x),
        ConvKind::WeightGrad => {
            conv::sums(c)?.has_parts(parts).then_some(())?;
            (vec![(x, x), (y, y)], 0)
        }
    };
    Some(Cut {
        kernel: Kernel::Conv(part),
        inputs,
        outputs: vec![output],
    })
}

fn window(w: &Window, parts: usize) -> Cut {
    let planes = w.planes / parts;
    let len = |sizes: &[usize; 3]| planes * sizes.iter().product::<usize>();
    Cut {
        kernel: Kernel::Window(Window { planes, ..*w }),
        inputs: vec![(len(&w.input), len(&w.input))],
        outputs: vec![len(&w.output)],
    }
}

fn scatter_add(s: &ScatterAdd, parts: usize) -> Cut {
    let outer = s.outer / parts;
    let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
    let reach = last(outer, s.index[0]) + last(s.count, s.index[1]) + last(s.inner, s.index[2]);
    Cut {
        kernel: Kernel::ScatterAdd(ScatterAdd { outer, ..*s }),
        inputs: vec![
            (outer * s.count * s.inner, outer * s.count * s.inner),
            (outer * s.index[0], reach + 1),
        ],
        outputs: vec![outer * s.size * s.inner],
    }
}

fn matmul(m: &Matmul, parts: usize) -> Cut {
    let batch = m.batch / parts;
    let reach = |x: Matrix, rows: usize, cols: usize| {
        let first = x.offset + batch.saturating_sub(1) * x.batch;
        first + rows.saturating_sub(1) * x.row + cols.saturating_sub(1) * x.col + 1
    };
    Cut {
        kernel: Kernel::Matmul(Matmul { batch, ..*m }),
        inputs: vec![
            (batch * m.a.batch, reach(m.a, m.m, m.k)),
            (batch * m.b.batch, reach(m.b, m.k, m.n)),
        ],
        outputs: vec![batch * m.m * m.n],
    }
}

/// By its first dimension, where it writes all of its output in order, which has `written` elements.
fn map(step: &Step, m: &Map, written: usize, parts: usize) -> Option<Cut> {
    let len: usize = m.shape.iter().product();
    let whole = len == written && m.store.is_contiguous(&m.shape);
    let shape = shorter(&m.shape, parts)?;
    let mut inputs = vec![None; step.inputs.len()];
    visit(&m.expr, &m.shape, &shape, &mut inputs)?;
    let store = View::contiguous(&shape);
    whole.then_some(())?;
    Some(Cut {
        kernel: Kernel::Map(Map {
            shape,
            expr: m.expr.clone(),
            store,
        }),
        inputs: inputs.into_iter().collect::<Option<_>>()?,
        outputs: vec![len / parts],
    })
}

/// By rows.
fn rows(step: &Step, rows: &Rows, parts: usize) -> Option<Cut> {
    let outer = shorter(&rows.outer, parts)?;
    let n_rows: usize = outer.iter().product();
    let inner: usize = rows.inner.iter().product();
    let full = [&rows.outer[..], &rows.inner].concat();
    let short = [&outer[..], &rows.inner].concat();
    let mut inputs = vec![None; step.inputs.len()];
    let mut outputs = vec![0; 1 + step.more_outputs.len()];
    for stage in &rows.stages {
        let simple = stage.kind != StageKind::Across && stage.region.is_none();
        simple.then_some(())?;
        let once = stage.kind == StageKind::Once;
        let (full, short) = match once {
            true => (&rows.outer, &outer),
            false => (&full, &short),
        };
        visit(&stage.expr, full, short, &mut inputs)?;
        if let Some(o) = stage.output {
            outputs[o] = match stage.kind {
                StageKind::Each => n_rows * inner,
                _ => n_rows,
            };
        }
    }
    Some(Cut {
        kernel: Kernel::Rows(Rows {
            outer,
            ..rows.clone()
        }),
        inputs: inputs.into_iter().collect::<Option<_>>()?,
        outputs,
    })
}

/// `shape` with its first dimension cut into `parts`.
fn shorter(shape: &[usize], parts: usize) -> Option<Vec<usize>> {
    let (&first, rest) = shape.split_first()?;
    let fits = first > 0 && first.is_multiple_of(parts);
    fits.then(|| [&[first / parts], rest].concat())
}

/// Notes how far apart the parts of each input of `expr` are, and how far one reaches; none where a part needs to know
/// which it is, or loads disagree.
fn visit(
    expr: &Expr,
    full: &[usize],
    short: &[usize],
    inputs: &mut [Option<(usize, usize)>],
) -> Option<()> {
    debug_assert_eq!(full.len(), short.len());
    for inst in &expr.insts {
        match inst {
            Inst::Load { input, view } | Inst::Gather { input, view, .. } => {
                if view.offset < 0 || view.strides.iter().any(|&s| s < 0) {
                    return None;
                }
                let stride = view.strides.first().map_or(0, |&s| s as usize) * short[0];
                let steps = short.iter().zip(&view.strides);
                let last: usize = steps.map(|(&n, &s)| n.saturating_sub(1) * s as usize).sum();
                let far = match inst {
                    Inst::Gather { size, stride, .. } => {
                        size.saturating_sub(1) * usize::try_from(*stride).ok()?
                    }
                    _ => 0,
                };
                let reach = view.offset as usize + last + far + 1;
                match &mut inputs[*input] {
                    Some((known, far)) if *known == stride => *far = reach.max(*far),
                    Some(_) => return None,
                    none => *none = Some((stride, reach)),
                }
            }
            Inst::Index { .. } | Inst::Random { .. } => return None,
            _ => {}
        }
    }
    Some(())
}
