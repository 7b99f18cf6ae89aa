//! What a step does for one part: its kernel on fewer images, heads or rows, and how far apart the parts of its operands
//! are. It must not know which steps stand around it.

use crate::conv;
use crate::plan::{
    Conv, ConvKind, Expr, Inst, Kernel, Map, Matmul, Matrix, Plan, RowRegion, Rows, ScatterAdd,
    SlotId, Stage, StageKind, Step, View, Window,
};
use crate::run::ready::Ready;

/// Elements of a weight of two bytes that are widened again for each part: a first-level cache.
const LARGEST: usize = 1 << 13;

/// How a step is cut: its outermost loop into `units`, of which a part has `height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) units: usize,
    pub(crate) height: usize,
}

impl Share {
    /// So many equal parts.
    pub(super) fn equal(parts: usize) -> Share {
        Share {
            units: parts,
            height: 1,
        }
    }

    /// How many parts there are; the last may have fewer units.
    pub(crate) fn parts(self) -> usize {
        self.units.div_ceil(self.height)
    }

    /// The same for the last part alone, if it has fewer units.
    pub(super) fn last(self) -> Option<Share> {
        let height = self.units % self.height;
        (height > 0).then_some(Share { height, ..self })
    }

    /// What a part has of `n`, which the units share equally.
    pub(super) fn of(self, n: usize) -> usize {
        n / self.units * self.height
    }

    fn cuts(self, n: usize) -> bool {
        n.is_multiple_of(self.units)
    }
}

/// A step cut into parts, before it is known where its values are.
pub(super) struct Cut {
    pub(super) kernel: Kernel,
    pub(super) inputs: Vec<Access>,
    pub(super) outputs: Vec<Access>,
}

/// What a part touches of an operand: elements `base + unit * stride` to `base + unit * stride + reach`, its first unit being `unit`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// A multiple of what all parts together take, so that what several steps do to a slot can be compared.
    pub(super) base: usize,
    pub(super) stride: usize,
    pub(super) reach: usize,
}

impl Access {
    /// Parts of `len` elements, one after the other.
    fn dense(len: usize, share: Share) -> Access {
        Access {
            base: 0,
            stride: len / share.height,
            reach: len,
        }
    }

    /// Parts `stride` apart, the first of which touches elements from `first` to before `end`.
    fn between(stride: usize, share: Share, first: usize, end: usize) -> Access {
        let stride = stride / share.height;
        let base = match stride * share.units {
            0 => 0,
            all => first / all * all,
        };
        Access {
            base,
            stride,
            reach: end - base,
        }
    }
}

/// `step` cut into parts along its outermost loop, if every part can be computed like the others.
pub(super) fn cut(plan: &Plan, (step, ready): (&Step, &Ready), share: Share) -> Option<Cut> {
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
    // What has no elements has no parts.
    let mut slots = step.inputs.iter().copied().chain(step.outputs());
    if slots.any(|slot| plan.slots[slot].len == 0) {
        return None;
    }
    let cut = match &step.kernel {
        Kernel::Conv(c) if share.cuts(c.batch) => {
            let weight = &plan.slots[step.inputs[1]];
            // A part would widen it again, but for what is made ready for all.
            let large = weight.dtype.size() != 4 && weight.len > LARGEST;
            (c.kind == ConvKind::WeightGrad || !large || conv::packed_len(c).is_some())
                .then(|| convolution(c, share))?
        }
        Kernel::Window(w) if share.cuts(w.planes) => Some(window(w, share)),
        Kernel::ScatterAdd(s) if share.cuts(s.outer) => Some(scatter_add(s, share)),
        Kernel::Matmul(m) if share.cuts(m.batch) => Some(matmul(m, share)),
        Kernel::Matmul(m) if matches!(ready, Ready::Matmul(_)) => few_rows(m, share),
        Kernel::Map(m) => map(m, share),
        Kernel::Rows(r) => rows(r, share),
        _ => None,
    };
    let all = |c: &Cut| {
        c.inputs.len() == step.inputs.len() && c.outputs.len() == 1 + step.more_outputs.len()
    };
    cut.filter(all)
}

/// By images. What an image's part of a weight gradient is, is a partial sum.
fn convolution(c: &Conv, share: Share) -> Option<Cut> {
    if conv::joins_images(c) {
        return None;
    }
    let batch = share.of(c.batch);
    let part = Conv { batch, ..*c };
    // What is made ready for all is used by all.
    if conv::packed_len(c).is_none() && !conv::is_like(c, &part) {
        return None;
    }
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let x = batch * c.groups * c.in_channels * product(&c.input);
    let y = batch * c.groups * c.out_channels * product(&c.output);
    let weight = c.groups * c.out_channels * c.in_channels * product(&c.kernel);
    let all = Access::between(0, share, 0, weight);
    let (inputs, output) = match c.kind {
        ConvKind::Forward => (vec![Access::dense(x, share), all], y),
        ConvKind::InputGrad => (vec![Access::dense(y, share), all], x),
        ConvKind::WeightGrad => {
            let equal = share == Share::equal(share.units);
            (equal && conv::sums(c)?.has_parts(share.units)).then_some(())?;
            (vec![Access::dense(x, share), Access::dense(y, share)], 0)
        }
    };
    Some(Cut {
        kernel: Kernel::Conv(part),
        inputs,
        outputs: vec![Access::dense(output, share)],
    })
}

fn window(w: &Window, share: Share) -> Cut {
    let planes = share.of(w.planes);
    let len = |sizes: &[usize; 3]| planes * sizes.iter().product::<usize>();
    Cut {
        kernel: Kernel::Window(Window { planes, ..*w }),
        inputs: vec![Access::dense(len(&w.input), share)],
        outputs: vec![Access::dense(len(&w.output), share)],
    }
}

fn scatter_add(s: &ScatterAdd, share: Share) -> Cut {
    let outer = share.of(s.outer);
    let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
    let reach = last(outer, s.index[0]) + last(s.count, s.index[1]) + last(s.inner, s.index[2]);
    Cut {
        kernel: Kernel::ScatterAdd(ScatterAdd { outer, ..*s }),
        inputs: vec![
            Access::dense(outer * s.count * s.inner, share),
            Access {
                base: 0,
                stride: outer * s.index[0] / share.height,
                reach: reach + 1,
            },
        ],
        outputs: vec![Access::dense(outer * s.size * s.inner, share)],
    }
}

/// By matrices.
fn matmul(m: &Matmul, share: Share) -> Cut {
    let batch = share.of(m.batch);
    let access = |x: Matrix, rows: usize, cols: usize| Access {
        base: 0,
        stride: batch * x.batch / share.height,
        reach: x.offset + batch.saturating_sub(1) * x.batch + reach(x, rows, cols),
    };
    Cut {
        kernel: Kernel::Matmul(Matmul { batch, ..*m }),
        inputs: vec![access(m.a, m.m, m.k), access(m.b, m.k, m.n)],
        outputs: vec![Access::dense(batch * m.m * m.n, share)],
    }
}

/// Elements that a matrix reaches over.
fn reach(x: Matrix, rows: usize, cols: usize) -> usize {
    rows.saturating_sub(1) * x.row + cols.saturating_sub(1) * x.col + 1
}

/// By rows of the left operand, where the right one is packed for all: then a row's sums do not depend on how many rows
/// there are, as long as there are several.
fn few_rows(m: &Matmul, share: Share) -> Option<Cut> {
    let rows = share.of(m.m);
    let fits = m.batch == 1 && share.cuts(m.m) && rows > 1;
    fits.then(|| {
        let end = m.a.offset + reach(m.a, rows, m.k);
        let left = Access::between(rows * m.a.row, share, m.a.offset, end);
        let a = Matrix {
            offset: m.a.offset - left.base,
            ..m.a
        };
        let right = Access::between(0, share, 0, m.b.offset + reach(m.b, m.k, m.n));
        Cut {
            kernel: Kernel::Matmul(Matmul { m: rows, a, ..*m }),
            inputs: vec![left, right],
            outputs: vec![Access::dense(rows * m.n, share)],
        }
    })
}

/// By its first dimension.
fn map(m: &Map, share: Share) -> Option<Cut> {
    let shape = shorter(&m.shape, share)?;
    let mut inputs = Touched::default();
    inputs.visit(&m.expr, &m.shape, &shape)?;
    let mut output = Touched::default();
    output.view(0, &m.store, &shape, 0)?;
    let (inputs, outputs) = (inputs.accesses(share)?, output.accesses(share)?);
    let mut expr = m.expr.clone();
    rebase(&mut expr, &inputs);
    let store = View {
        offset: m.store.offset - outputs[0].base as i64,
        ..m.store.clone()
    };
    Some(Cut {
        kernel: Kernel::Map(Map { shape, expr, store }),
        inputs,
        outputs,
    })
}

/// By rows.
fn rows(rows: &Rows, share: Share) -> Option<Cut> {
    let outer = shorter(&rows.outer, share)?;
    let n_rows: usize = outer.iter().product();
    let inner: usize = rows.inner.iter().product();
    let full = [&rows.outer[..], &rows.inner].concat();
    let short = [&outer[..], &rows.inner].concat();
    let (mut inputs, mut outputs) = (Touched::default(), Touched::default());
    for stage in &rows.stages {
        (stage.kind != StageKind::Across).then_some(())?;
        let once = stage.kind == StageKind::Once;
        let (full, short) = match once {
            true => (&rows.outer, &outer),
            false => (&full, &short),
        };
        inputs.visit(&stage.expr, full, short)?;
        if let Some(o) = stage.output {
            let width = match stage.kind {
                StageKind::Each => inner,
                _ => 1,
            };
            let to = region(stage, width);
            let runs = width.div_ceil(to.run.max(1)).saturating_sub(1);
            let last = to.offset + n_rows.saturating_sub(1) * to.pitch + runs * to.apart + to.run;
            outputs.add(o, n_rows * to.pitch, to.offset, last)?;
        }
    }
    let (inputs, outputs) = (inputs.accesses(share)?, outputs.accesses(share)?);
    let mut short = Rows {
        outer,
        ..rows.clone()
    };
    for stage in &mut short.stages {
        rebase(&mut stage.expr, &inputs);
        if let (Some(o), Some(region)) = (stage.output, &mut stage.region) {
            region.offset -= outputs[o].base;
        }
    }
    Some(Cut {
        kernel: Kernel::Rows(short),
        inputs,
        outputs,
    })
}

/// Where the values of a stage go, `width` for a row.
fn region(stage: &Stage, width: usize) -> RowRegion {
    let together = RowRegion::together(0, width, width);
    stage.region.unwrap_or(together)
}

/// `shape` with its first dimension as long as a part's.
fn shorter(shape: &[usize], share: Share) -> Option<Vec<usize>> {
    let (&first, rest) = shape.split_first()?;
    let fits = first > 0 && share.cuts(first);
    fits.then(|| [&[share.of(first)], rest].concat())
}

/// Makes the loads of a part begin at its bases.
fn rebase(expr: &mut Expr, inputs: &[Access]) {
    for inst in &mut expr.insts {
        if let Inst::Load { input, view } | Inst::Gather { input, view, .. } = inst {
            view.offset -= inputs[*input].base as i64;
        }
    }
}

/// What a part touches of each operand, load by load: how far apart parts are, the first element and the end.
#[derive(Default)]
struct Touched(Vec<Option<(usize, usize, usize)>>);

impl Touched {
    /// None where loads disagree.
    fn add(&mut self, operand: usize, stride: usize, first: usize, end: usize) -> Option<()> {
        if self.0.len() <= operand {
            self.0.resize(operand + 1, None);
        }
        match &mut self.0[operand] {
            Some((known, from, to)) if *known == stride => {
                (*from, *to) = (first.min(*from), end.max(*to));
            }
            Some(_) => return None,
            none => *none = Some((stride, first, end)),
        }
        Some(())
    }

    /// A walk over `short`, with so many elements more behind its last.
    fn view(&mut self, operand: usize, view: &View, short: &[usize], far: usize) -> Option<()> {
        if view.offset < 0 || view.strides.iter().any(|&s| s < 0) {
            return None;
        }
        let stride = view.strides.first().map_or(0, |&s| s as usize) * short[0];
        let steps = short.iter().zip(&view.strides);
        let last: usize = steps.map(|(&n, &s)| n.saturating_sub(1) * s as usize).sum();
        let first = view.offset as usize;
        self.add(operand, stride, first, first + last + far + 1)
    }

    /// The loads of `expr`; none where a part needs to know which it is.
    fn visit(&mut self, expr: &Expr, full: &[usize], short: &[usize]) -> Option<()> {
        debug_assert_eq!(full.len(), short.len());
        for inst in &expr.insts {
            match inst {
                Inst::Load { input, view } => self.view(*input, view, short, 0)?,
                Inst::Gather {
                    input,
                    view,
                    size,
                    stride,
                    ..
                } => {
                    let far = size.saturating_sub(1) * usize::try_from(*stride).ok()?;
                    self.view(*input, view, short, far)?;
                }
                Inst::Index { .. } | Inst::Random { .. } => return None,
                _ => {}
            }
        }
        Some(())
    }

    /// All of them; none where something is not touched.
    fn accesses(self, share: Share) -> Option<Vec<Access>> {
        let access = |t: Option<(usize, usize, usize)>| {
            let (stride, first, end) = t?;
            Some(Access::between(stride, share, first, end))
        };
        self.0.into_iter().map(access).collect()
    }
}
