//! Steps in a row that each do the same for many parts, as those of an attention do for its heads: one thread takes a
//! part through all of them. What lies between the steps then stays in its cache and is never written to memory, and
//! threads meet once and not after each step. Every element is computed as it would be step by step, so no bit changes.

use crate::conv::{self, weight};
use crate::dtype::DType;
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{
    Conv, ConvKind, Expr, Inst, Kernel, Map, Place, Plan, Rows, ScatterAdd, SlotId, StageKind,
    Step, View, Window,
};
use crate::run::par::Par;
use crate::run::prepared::Ready;
use crate::run::{Buffers, Context, Operand, Run, run_ready};
use std::ops::Range;

/// Fewer parts are not worth it.
const FEWEST: usize = 8;

/// The most steps on either side of a product, so that looking for segments takes a time in proportion to the plan.
const MOST: usize = 32;

/// Bytes between the steps, over all parts, below which they stay in a cache anyway.
const BETWEEN: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };

/// Bytes between the steps of one part, above which they do not.
const LARGEST: usize = 1 << 23;

/// Bytes that parts taken together touch, at most.
const CACHE: usize = 1 << 19;

/// The same where they share weights that are made ready.
const READY: usize = 1 << 20;

/// Bytes that a part touches, at most, where parts are summed.
const SUMMED: usize = 1 << 21;

/// Steps that run part by part.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Which steps of the plan.
    pub(crate) steps: Range<usize>,
    /// Number of parts.
    pub(crate) parts: usize,
    chunks: Vec<Chunk>,
    /// Floats of the values between the steps, for one part.
    local: usize,
    /// Floats of the weights that are made ready for all parts.
    packs: usize,
    /// Floats of the partial sums of all parts.
    sums: usize,
    /// Bytes that all parts touch and that are not the same for each.
    touched: usize,
    /// A step that stands for all, in profiles.
    pub(crate) all: Step,
}

/// A step of one part.
#[derive(Debug)]
struct Chunk {
    kernel: Kernel,
    ready: Ready,
    /// Where the weights lie that are made ready for all parts.
    pack: Option<Range<usize>>,
    /// Where the partial sums lie, one of each part, if the parts are summed.
    sums: Option<Range<usize>>,
    inputs: Vec<Source>,
    outputs: Vec<Source>,
    dtype: DType,
    check: u32,
}

/// Where a value of a part is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// In a slot, from element `part * stride` on; the slot is written by these steps or not.
    Slot {
        slot: SlotId,
        stride: usize,
        written: bool,
    },
    /// In the thread's own memory, from float `at` on.
    Own { at: usize, len: usize, dtype: DType },
}

/// A step cut into parts, before it is known where its values are.
struct Cut {
    kernel: Kernel,
    /// Elements from one part to the next, of each input, and how many elements a part reads from its first on.
    inputs: Vec<(usize, usize)>,
    /// Elements of a part, of each output.
    outputs: Vec<usize>,
}

/// Finds the segments of a plan.
pub(crate) fn find(plan: &Plan) -> Vec<Segment> {
    let users = users(plan);
    let mut segments: Vec<Segment> = Vec::new();
    let mut at = 0;
    while at < plan.steps.len() {
        let from = segments.last().map_or(0, |s| s.steps.end);
        match around(plan, &users, from, at) {
            Some(segment) => {
                at = segment.steps.end;
                segments.push(segment);
            }
            None => at += 1,
        }
    }
    segments
}

/// The steps that read or write each slot.
fn users(plan: &Plan) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); plan.slots.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        for slot in step.outputs().chain(step.inputs.iter().copied()) {
            users[slot].push(at);
        }
    }
    users
}

/// The segment around the batched product or convolution at `at`, no step of it before `from`.
fn around(plan: &Plan, users: &[Vec<usize>], from: usize, at: usize) -> Option<Segment> {
    let parts = match &plan.steps[at].kernel {
        Kernel::Matmul(m) => m.batch,
        Kernel::Conv(c) if c.kind != ConvKind::WeightGrad => c.batch,
        _ => return None,
    };
    if parts < FEWEST {
        return None;
    }
    // Weight gradients can join where a part is what they sum together.
    let summed = |s: &Segment| s.sums > 0 && s.touched / s.parts <= SUMMED;
    if parts.is_multiple_of(weight::PARTS)
        && let Some(segment) = longest(plan, users, (from, at), weight::PARTS).filter(summed)
    {
        return Some(segment);
    }
    let segment = longest(plan, users, (from, at), parts)?;
    Some(together(plan, users, segment, parts))
}

/// The longest segment around the step at `at` whose steps fit together.
fn longest(
    plan: &Plan,
    users: &[Vec<usize>],
    (from, at): (usize, usize),
    parts: usize,
) -> Option<Segment> {
    let cuts = |i: usize| cut(plan, &plan.steps[i], parts);
    let start = (from.max(at.saturating_sub(MOST))..at)
        .rev()
        .take_while(|&i| cuts(i).is_some())
        .last()
        .unwrap_or(at);
    let end = (at..plan.steps.len().min(at + MOST))
        .take_while(|&i| cuts(i).is_some())
        .last()?
        + 1;
    let mut steps = start..end;
    while steps.len() > 1 {
        if let Some(segment) = build(plan, users, steps.clone(), parts) {
            return Some(segment);
        }
        match steps.end - at > 1 {
            true => steps.end -= 1,
            false => steps.start += 1,
        }
    }
    None
}

/// The same with several parts as one, as long as they fit the second-level cache: whatever is done for each part, as
/// packing an operand that all share, is done less often. Weights that are ready for all are read again for each part, and
/// are large: then it pays beyond that.
fn together(plan: &Plan, users: &[Vec<usize>], segment: Segment, parts: usize) -> Segment {
    let cache = if segment.packs > 0 { READY } else { CACHE };
    let fits = |n: &usize| parts.is_multiple_of(*n) && parts / n >= 2 * FEWEST;
    let several = [8, 4, 2].into_iter().filter(fits);
    several
        .filter(|n| segment.touched / segment.parts * n <= cache)
        .find_map(|n| build(plan, users, segment.steps.clone(), parts / n))
        .unwrap_or(segment)
}

fn build(plan: &Plan, users: &[Vec<usize>], steps: Range<usize>, parts: usize) -> Option<Segment> {
    let cuts: Vec<Cut> = steps
        .clone()
        .map(|i| cut(plan, &plan.steps[i], parts))
        .collect::<Option<_>>()?;
    let written = |slot: SlotId| {
        steps
            .clone()
            .any(|i| plan.steps[i].outputs().any(|o| o == slot))
    };
    let summed = |slot: SlotId| {
        let mut steps = plan.steps[steps.clone()].iter();
        steps.any(|s| s.output == slot && is_sum(s))
    };
    let outside = |slot: SlotId| {
        !matches!(plan.slots[slot].place, Place::Temp(_))
            || plan.outputs.contains(&slot)
            || users[slot].iter().any(|at| !steps.contains(at))
    };
    let mut own: Vec<(SlotId, usize)> = Vec::new();
    let mut local = 0;
    let mut place = |slot: SlotId, stride: usize| {
        let written = written(slot);
        if !written || outside(slot) || summed(slot) {
            return Source::Slot {
                slot,
                stride,
                written,
            };
        }
        let len = plan.slots[slot].len / parts;
        let known = own.iter().find(|o| o.0 == slot).map(|o| o.1);
        let at = known.unwrap_or_else(|| {
            let at = local;
            own.push((slot, at));
            local += len.next_multiple_of(16);
            at
        });
        Source::Own {
            at,
            len,
            dtype: plan.slots[slot].dtype,
        }
    };
    let mut chunks = Vec::with_capacity(cuts.len());
    let (mut packs, mut sums) = (0, 0);
    for (i, cut) in steps.clone().zip(cuts) {
        let step = &plan.steps[i];
        for (&slot, &(stride, reach)) in step.inputs.iter().zip(&cut.inputs) {
            // What is computed here is read part by part.
            let part = plan.slots[slot].len / parts;
            if written(slot) && (stride != part || reach > part || summed(slot)) {
                return None;
            }
        }
        let strides = cut.inputs.iter().map(|&(stride, _)| stride);
        let inputs = step.inputs.iter().zip(strides);
        let outputs = step.outputs().zip(cut.outputs.iter().copied());
        let dtype = plan.slots[step.output].dtype;
        let pack = match &step.kernel {
            Kernel::Conv(c) => conv::packed_len(c),
            _ => None,
        };
        let pack = pack.map(|floats| {
            let at = packs;
            packs += floats.next_multiple_of(16);
            at..at + floats
        });
        let partial = match &cut.kernel {
            Kernel::Conv(c) => conv::sums(c).map(|s| s.len() * parts),
            _ => None,
        };
        let partial = partial.map(|floats| {
            let at = sums;
            sums += floats.next_multiple_of(16);
            at..at + floats
        });
        chunks.push(Chunk {
            pack,
            sums: partial,
            inputs: inputs.map(|(&slot, stride)| place(slot, stride)).collect(),
            outputs: outputs.map(|(slot, stride)| place(slot, stride)).collect(),
            ready: Ready::new(&cut.kernel, dtype, &[]),
            kernel: cut.kernel,
            dtype,
            check: step.check,
        });
    }
    let worth = local * 4 * parts >= BETWEEN && local * 4 <= LARGEST;
    if !worth || !apart(plan, &chunks) {
        return None;
    }
    let touched = touched(plan, &chunks, parts) + local * 4 * parts;
    let names: Vec<&str> = steps
        .clone()
        .map(|i| plan.steps[i].origin.name.as_str())
        .collect();
    let mut all = plan.steps[steps.start].clone();
    all.origin.name = names.join(" · ");
    Some(Segment {
        steps,
        parts,
        chunks,
        local,
        packs,
        sums,
        touched,
        all,
    })
}

/// Whether the parts of a step are summed.
fn is_sum(step: &Step) -> bool {
    matches!(&step.kernel, Kernel::Conv(c) if c.kind == ConvKind::WeightGrad)
}

/// Bytes of slots that are cut into parts.
fn touched(plan: &Plan, chunks: &[Chunk], parts: usize) -> usize {
    let sources = chunks
        .iter()
        .flat_map(|c| c.inputs.iter().chain(&c.outputs));
    let mut slots: Vec<(SlotId, usize)> = sources
        .filter_map(|s| match *s {
            Source::Slot { slot, stride, .. } => {
                Some((slot, stride * parts * plan.slots[slot].dtype.size()))
            }
            Source::Own { .. } => None,
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots.iter().map(|s| s.1).sum()
}

/// Whether no slot that is written shares its buffer with another: lives that follow each other step by step overlap
/// here.
fn apart(plan: &Plan, chunks: &[Chunk]) -> bool {
    let sources = chunks
        .iter()
        .flat_map(|c| c.inputs.iter().chain(&c.outputs));
    let mut slots: Vec<(SlotId, bool)> = sources
        .filter_map(|s| match s {
            Source::Slot { slot, written, .. } => Some((*slot, *written)),
            Source::Own { .. } => None,
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots.iter().enumerate().all(|(i, a)| {
        let clash =
            |b: &(SlotId, bool)| (a.1 || b.1) && plan.slots[a.0].place == plan.slots[b.0].place;
        !slots[i + 1..].iter().any(clash)
    })
}

/// `step` cut into `parts` along its outermost loop, if every part can be computed like the others.
fn cut(plan: &Plan, step: &Step, parts: usize) -> Option<Cut> {
    let narrow = |slot: SlotId| plan.slots[slot].dtype.size() != 4;
    // Where a leaf lies other parts may still read it.
    if step.outputs().any(|s| narrow(s) || plan.is_in_place(s)) {
        return None;
    }
    match &step.kernel {
        Kernel::Conv(c) if c.batch.is_multiple_of(parts) => {
            let batch = c.batch / parts;
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
                kernel: Kernel::Conv(Conv { batch, ..*c }),
                inputs,
                outputs: vec![output],
            })
        }
        Kernel::Window(w) if w.planes.is_multiple_of(parts) => {
            let planes = w.planes / parts;
            let len = |sizes: &[usize; 3]| planes * sizes.iter().product::<usize>();
            Some(Cut {
                kernel: Kernel::Window(Window { planes, ..*w }),
                inputs: vec![(len(&w.input), len(&w.input))],
                outputs: vec![len(&w.output)],
            })
        }
        Kernel::ScatterAdd(s) if s.outer.is_multiple_of(parts) => {
            let outer = s.outer / parts;
            let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
            let reach =
                last(outer, s.index[0]) + last(s.count, s.index[1]) + last(s.inner, s.index[2]);
            Some(Cut {
                kernel: Kernel::ScatterAdd(ScatterAdd { outer, ..*s }),
                inputs: vec![
                    (outer * s.count * s.inner, outer * s.count * s.inner),
                    (outer * s.index[0], reach + 1),
                ],
                outputs: vec![outer * s.size * s.inner],
            })
        }
        Kernel::Matmul(m) if m.batch.is_multiple_of(parts) => {
            let batch = m.batch / parts;
            let reach = |x: crate::plan::Matrix, rows: usize, cols: usize| {
                let first = x.offset + batch.saturating_sub(1) * x.batch;
                first + rows.saturating_sub(1) * x.row + cols.saturating_sub(1) * x.col + 1
            };
            let inputs = vec![
                (batch * m.a.batch, reach(m.a, m.m, m.k)),
                (batch * m.b.batch, reach(m.b, m.k, m.n)),
            ];
            let kernel = Kernel::Matmul(crate::plan::Matmul { batch, ..*m });
            Some(Cut {
                kernel,
                inputs,
                outputs: vec![batch * m.m * m.n],
            })
        }
        Kernel::Map(m) => {
            let len: usize = m.shape.iter().product();
            let whole = len == plan.slots[step.output].len && m.store.is_contiguous(&m.shape);
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
        Kernel::Rows(r) => rows(step, r, parts),
        _ => None,
    }
}

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

/// The slots that a segment writes, as memory that several threads write, each its parts.
struct Written {
    slots: Vec<(SlotId, *mut u8, usize)>,
}

// SAFETY: the threads use different parts.
unsafe impl Sync for Written {}

/// The partial sums of a segment, each written by one thread.
struct Sums(*mut f32);

// SAFETY: the threads use different parts.
unsafe impl Sync for Sums {}

impl Sums {
    /// The partial sum of part `part` of `parts` that share `range`.
    ///
    /// # Safety
    /// The range lies in the sums, and nobody else uses the part.
    #[allow(clippy::mut_from_ref, reason = "different parts are different memory")]
    unsafe fn of(&self, range: &Range<usize>, part: usize, parts: usize) -> &mut [f32] {
        let len = range.len() / parts;
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start + part * len), len) }
    }
}

impl Segment {
    /// Runs all parts.
    pub(crate) fn run(&self, plan: &Plan, buffers: &mut Buffers<'_>, run: Run<'_>, par: Par<'_>) {
        let mut taken = Vec::new();
        for chunk in &self.chunks {
            for source in &chunk.outputs {
                if let Source::Slot { slot, .. } = *source
                    && let Some(buffer) = buffers.written(plan.slots[slot].place)
                    && let Some(buffer) = buffer.take()
                {
                    taken.push((slot, buffer));
                }
            }
        }
        let slots = taken.iter_mut().map(|(slot, buffer)| {
            let bytes = buffer.bytes_mut();
            (*slot, bytes.as_mut_ptr(), bytes.len())
        });
        let written = Written {
            slots: slots.collect(),
        };
        let shared = &*buffers;
        with_scratch(self.packs, |packs| {
            for chunk in &self.chunks {
                if let (Some(range), Kernel::Conv(conv)) = (&chunk.pack, &chunk.kernel)
                    && let Source::Slot { slot, .. } = chunk.inputs[1]
                {
                    let weight = bytemuck::cast_slice(shared.operand(plan, slot).bytes);
                    conv::pack(conv, weight, &mut packs[range.clone()], par);
                }
            }
            let packs = &*packs;
            with_scratch(self.sums, |sums| {
                let all = Sums(sums.as_mut_ptr());
                par.for_each(self.parts, |part| {
                    with_scratch(self.local, |own| {
                        for chunk in &self.chunks {
                            let packed = chunk.pack.as_ref().map(|range| &packs[range.clone()]);
                            // SAFETY: this thread alone works on this part.
                            unsafe {
                                let sum = chunk.sums.as_ref().map(|r| all.of(r, part, self.parts));
                                let memory = (own.as_mut_ptr(), &written);
                                self.part((chunk, packed, sum), plan, shared, run, (part, memory));
                            }
                        }
                    });
                });
                for chunk in &self.chunks {
                    if let (Some(range), Kernel::Conv(conv)) = (&chunk.sums, &chunk.kernel)
                        && let Some(way) = conv::sums(conv)
                        && let Source::Slot { slot, .. } = chunk.outputs[0]
                        && let Some(w) = written.slots.iter().find(|w| w.0 == slot)
                    {
                        // SAFETY: all parts are done, and the buffer is this segment's alone.
                        let out = unsafe { std::slice::from_raw_parts_mut(w.1, w.2) };
                        let out = &mut out[..plan.slots[slot].len * 4];
                        way.add_up(&mut sums[range.clone()], bytemuck::cast_slice_mut(out), par);
                    }
                }
            });
        });
        for (slot, buffer) in taken {
            if let Some(place) = buffers.written(plan.slots[slot].place) {
                *place = Some(buffer);
            }
        }
    }

    /// One step of one part.
    ///
    /// # Safety
    /// Nobody else works on the part.
    unsafe fn part(
        &self,
        (chunk, packed, sum): (&Chunk, Option<&[f32]>, Option<&mut [f32]>),
        plan: &Plan,
        buffers: &Buffers<'_>,
        run: Run<'_>,
        (part, (own, written)): (usize, (*mut f32, &Written)),
    ) {
        let memory = |source: Source| -> (*mut u8, usize) {
            match source {
                Source::Own { at, len, .. } => (own.wrapping_add(at).cast(), len * 4),
                Source::Slot { slot, stride, .. } => {
                    let found = written.slots.iter().find(|w| w.0 == slot);
                    let nothing = std::ptr::dangling_mut::<u32>().cast();
                    let (start, len) = found.map_or((nothing, 0), |w| (w.1, w.2));
                    let part_len = plan.slots[slot].len / self.parts * 4;
                    assert!((part * stride + stride) * 4 <= len && part_len == stride * 4);
                    (start.wrapping_add(part * part_len), part_len)
                }
            }
        };
        let operand = |&source: &Source| match source {
            Source::Slot {
                slot,
                stride,
                written: false,
            } => {
                let whole = buffers.operand(plan, slot);
                let size = whole.dtype.size();
                Operand {
                    bytes: &whole.bytes[part * stride * size..],
                    ..whole
                }
            }
            _ => {
                let (start, len) = memory(source);
                let dtype = match source {
                    Source::Own { dtype, .. } => dtype,
                    Source::Slot { slot, .. } => plan.slots[slot].dtype,
                };
                // SAFETY: the part is this thread's, its earlier steps have written it, and no output of this step is
                // among its inputs.
                let bytes = unsafe { std::slice::from_raw_parts(start.cast_const(), len) };
                Operand { dtype, bytes }
            }
        };
        let inputs: Vec<Operand<'_>> = chunk.inputs.iter().map(operand).collect();
        if let (Some(sum), Kernel::Conv(conv)) = (sum, &chunk.kernel) {
            if let Some(way) = conv::sums(conv) {
                let [x, y] = [0, 1].map(|i| bytemuck::cast_slice(inputs[i].bytes));
                way.whole(x, y, sum);
            }
            return;
        }
        let mut outs = [(); Rows::MAX_OUTPUTS].map(|()| &mut [][..]);
        for (out, &source) in outs.iter_mut().zip(&chunk.outputs) {
            let (start, len) = memory(source);
            // SAFETY: as above; outputs of a step are different slots.
            *out = unsafe { std::slice::from_raw_parts_mut(start, len) };
        }
        let context = Context {
            inputs: &inputs,
            scalars: run.scalars,
            check: chunk.check,
            status: run.status,
            par: Par::SERIAL,
            packed,
        };
        run_ready(&chunk.kernel, &chunk.ready, context, outs, chunk.dtype);
    }
}
