//! The kernel families a plan is made of. Both the gpu and the cpu executor implement each of them. Plain data:
//! sizes are numbers here and run-time parameters in the executors.
//!
//! Unless said otherwise operands are dense, row-major, start at element 0, and hold 4-byte elements: the planner
//! widens `u8`, `f16` and `bf16` with a Map before every family but Map, Reduce and Rows. Operands of Matmul and Conv are f32,
//! f16 or bf16, each by the dtype of its slot; sums and results are f32. Any size may be zero.

use crate::dtype::DType;
use crate::plan::expr::{Expr, Inst, View};

/// `out[store(i)] = expr(i)` for every `i` of the loop nest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// Loop sizes, outermost first; adjacent dimensions are already merged where every view allows it.
    pub shape: Vec<usize>,
    /// What to compute; its result has the dtype of the output slot.
    pub expr: Expr,
    /// Where results go. Dense for whole outputs; strided when a region is written (pad, concatenation), and then
    /// the rest of the output keeps its contents. Never strided for outputs of narrower elements.
    pub store: View,
}

/// How Reduce combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum: f32 (compensated or pairwise, so that the error does not grow with the length), i32 or u32 wrapping.
    Sum,
    /// Maximum, NaN wins; of nothing: −∞ (or the least integer; 0 for u32 and bool).
    Max,
    /// Position of the first maximum (i32) in row-major order of the reduced dimensions; NaN counts as greatest.
    ArgMax,
}

/// `out[o] = combine over r of expr(o, r)`; `out` is dense over the outer dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// How to combine.
    pub kind: ReduceKind,
    /// Sizes of the kept dimensions.
    pub outer: Vec<usize>,
    /// Sizes of the reduced dimensions. Views of `expr` have `outer.len() + inner.len()` strides.
    pub inner: Vec<usize>,
    /// The operand, computed on the fly.
    pub expr: Expr,
}

/// What a stage of [`Rows`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageKind {
    /// A value for every point of the row: `value(o, r) = expr(o, r)`.
    Each,
    /// One value for the row, from all its points: `value(o) = combine over r of expr(o, r)`.
    Reduce(ReduceKind),
    /// One value for the row: `value(o) = expr(o)`. Views of `expr` have `outer.len()` strides.
    Once,
    /// One value for each point, over all rows: `value(r) = Σ_o expr(o, r)`, f32. It is an output, dense over `inner`,
    /// and complete when all rows are done, so no stage reads it.
    Across,
}

/// A stage of [`Rows`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// What it computes.
    pub kind: StageKind,
    /// The program. Its inputs are those of the kernel; `Inst::Stage` reads the values of earlier stages.
    pub expr: Expr,
    /// The value's dtype: the program's, but i32 for positions of maxima. Always 4 bytes.
    pub dtype: DType,
    /// Which of the step's outputs receives the value, dense over `outer` and, for [`StageKind::Each`], `inner`;
    /// none where only later stages read it.
    pub output: Option<usize>,
    /// Where rows lie in the output if it is not dense, for [`StageKind::Each`]: such an output may belong to several
    /// stages and several steps, each of which writes other elements, and no stage reads it.
    pub region: Option<RowRegion>,
}

/// The part of an output that a stage writes: point `p` of row `o` lies at element `offset + o * pitch + p / run * apart + p % run`.
///
/// ```text
///   rows together (run = points)           rows in runs: channels of images (pitch = run, apart = rows * run)
///     row 0 ▇▇▇▇▇▇   row 1 ▇▇▇▇▇▇ …          row 0 ▇▇  row 1 ▇▇ …   row 0 ▇▇  row 1 ▇▇ …
///     ├── pitch ──┤                          ├─────── apart ──────┤
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowRegion {
    /// First element.
    pub offset: usize,
    /// Stride between rows.
    pub pitch: usize,
    /// Points of a row that lie together.
    pub run: usize,
    /// Stride between the runs of a row.
    pub apart: usize,
}

impl RowRegion {
    /// Rows of `inner` points that lie together, `pitch` apart.
    pub fn together(offset: usize, pitch: usize, inner: usize) -> RowRegion {
        RowRegion {
            offset,
            pitch,
            run: inner,
            apart: 0,
        }
    }

    /// Where `outer` rows of `inner` points end, if no element is two points'.
    pub fn end(&self, outer: usize, inner: usize) -> Option<usize> {
        let apart = match inner == self.run {
            true => self.pitch >= inner,
            false => {
                let whole = self.run > 0 && inner.is_multiple_of(self.run);
                whole && self.pitch == self.run && self.apart == outer * self.run
            }
        };
        let last = (inner - 1) / self.run.max(1) * self.apart;
        apart.then(|| self.offset + (outer - 1) * self.pitch + last + self.run)
    }
}

/// Several reductions over the same inner dimensions and the element-wise work between them, row by row: for every
/// index `o` of `outer` the stages run in order, each for all of the row before the next. A stage reads values of
/// earlier stages at its own `o` (and its own `r`, where both have one), never of another row, so rows are
/// independent and may run in any order. Softmax, normalisations and their gradients take this form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    /// Sizes of the kept dimensions.
    pub outer: Vec<usize>,
    /// Sizes of the row's dimensions. Views of stages that run over points have `outer.len() + inner.len()` strides.
    pub inner: Vec<usize>,
    /// What is computed, in order.
    pub stages: Vec<Stage>,
}

impl Rows {
    /// The most outputs of a step.
    pub const MAX_OUTPUTS: usize = 12;
    /// The most stages.
    pub const MAX_STAGES: usize = 24;

    /// How many reductions, one after the other, each stage waits for.
    pub fn levels(&self) -> Vec<usize> {
        let mut levels: Vec<usize> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let after = |s: usize| {
                let reduces = matches!(self.stages[s].kind, StageKind::Reduce(_));
                levels[s] + usize::from(reduces)
            };
            let level = stage.operands().map(after).max().unwrap_or(0);
            levels.push(level);
        }
        levels
    }
}

impl Stage {
    /// Stages that this stage reads.
    pub fn operands(&self) -> impl Iterator<Item = usize> + '_ {
        self.expr.insts.iter().filter_map(|inst| match inst {
            Inst::Stage { stage, .. } => Some(*stage),
            _ => None,
        })
    }
}

/// A matrix operand: element `(b, r, c)` at `offset + b * batch + r * row + c * col`. All strides are in elements
/// and not negative; zero is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// First element.
    pub offset: usize,
    /// Stride between matrices of the batch.
    pub batch: usize,
    /// Stride between rows.
    pub row: usize,
    /// Stride between columns.
    pub col: usize,
}

/// `out[b, i, j] = Σ_k a[b, i, k] * b[b, k, j]`, f32; `out` is dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// Number of matrix pairs.
    pub batch: usize,
    /// Rows of `a` and `out`.
    pub m: usize,
    /// Columns of `b` and `out`.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Left operand, `m` by `k`.
    pub a: Matrix,
    /// Right operand, `k` by `n`.
    pub b: Matrix,
}

/// Which of the three convolution products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// inputs `x`, `weight`; out `y`.
    Forward,
    /// inputs `y` (the gradient of the output), `weight`; out has the shape of `x`.
    InputGrad,
    /// inputs `x`, `y` (the gradient of the output); out has the shape of `weight`.
    WeightGrad,
}

/// Cross-correlation as PyTorch's `conv*d`, in up to three spatial dimensions (unused leading ones have size 1,
/// kernel 1, stride 1, padding 0, dilation 1), f32:
/// `y[n, g*og+o, p] = Σ_{c, t} x[n, g*ig+c, p * stride + t * dilation - padding] * weight[g*og+o, c, t]`
/// where positions outside the input count as zero.
/// Shapes: `x [batch, groups*ig, input…]`, `weight [groups*og, ig, kernel…]`, `y [batch, groups*og, output…]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Which product.
    pub kind: ConvKind,
    /// Images.
    pub batch: usize,
    /// Groups.
    pub groups: usize,
    /// Input channels of each group, `ig`.
    pub in_channels: usize,
    /// Output channels of each group, `og`.
    pub out_channels: usize,
    /// Spatial sizes of `x`: depth, height, width.
    pub input: [usize; 3],
    /// Spatial sizes of `y`.
    pub output: [usize; 3],
    /// Kernel sizes.
    pub kernel: [usize; 3],
    /// Strides, at least 1.
    pub stride: [usize; 3],
    /// Zeros before the first element; those after it follow from `output`.
    pub padding: [usize; 3],
    /// Dilations, at least 1.
    pub dilation: [usize; 3],
}

/// What a window yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowKind {
    /// f32 sum of the elements inside the input.
    Sum,
    /// i32: flat position, in the input plane `d*h*w`, of the first greatest element; NaN counts as greatest.
    /// Every window holds at least one element of the input.
    ArgMax,
}

/// Windows slid over planes: `x [planes, input…]` gives `[planes, output…]`; window `p` covers
/// `p * stride + t * dilation - padding` for `t` in `kernel`, and skips what lies outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// What is computed.
    pub kind: WindowKind,
    /// Batch times channels.
    pub planes: usize,
    /// Spatial sizes of the input: depth, height, width; unused leading ones are 1.
    pub input: [usize; 3],
    /// Spatial sizes of the output.
    pub output: [usize; 3],
    /// Window sizes.
    pub kernel: [usize; 3],
    /// Strides.
    pub stride: [usize; 3],
    /// Padding before the first element.
    pub padding: [usize; 3],
    /// Dilations.
    pub dilation: [usize; 3],
}

/// `out [outer, size, inner]` is zero, then `out[o, index[o, j, i], i] += src[o, j, i]` for every `j < count`, in
/// the order of `j` (so that runs repeat to the bit). Inputs: `src` (dense `[outer, count, inner]`, f32, i32 or
/// u32) and `index` (i32). An index outside `0..size` is dropped and sets the status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScatterAdd {
    /// Product of the dimensions before the scattered one.
    pub outer: usize,
    /// Elements to scatter in each row.
    pub count: usize,
    /// Size of the scattered dimension of the output.
    pub size: usize,
    /// Product of the dimensions after it.
    pub inner: usize,
    /// Strides of `index` over outer, count, inner, in elements; zero where it is broadcast.
    pub index: [usize; 3],
}

/// How Scan combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanKind {
    /// Running sum, f32, i32 or u32.
    Sum,
    /// Running product.
    Prod,
    /// Running maximum, NaN wins from its place on.
    Max,
    /// Running log-sum-exp, f32; −∞ for nothing but −∞.
    LogSumExp,
    /// Linear recurrence, f32, of two operands, factors `a` and terms `b`: `h_i = a_i h_(i−1) + b_i`, and `b_i` for the
    /// first.
    Linear,
}

/// Inclusive scan of `[outer, length, inner]` along the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// How to combine.
    pub kind: ScanKind,
    /// Product of the dimensions before.
    pub outer: usize,
    /// Length of each scan.
    pub length: usize,
    /// Product of the dimensions after.
    pub inner: usize,
    /// From the end to the front.
    pub reverse: bool,
}

/// Stable order of each row of `[rows, length]` (f32, i32 or u32): out (i32) holds positions such that reading the
/// row there is sorted; NaN is greatest; equal elements keep their order, descending too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgSort {
    /// Number of rows.
    pub rows: usize,
    /// Elements in a row.
    pub length: usize,
    /// Greatest first.
    pub descending: bool,
}

/// A result of [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionResult {
    /// The weighted sums of values, `[…, queries, value features]`.
    Out,
    /// Greatest score and logarithm of the sum of exponentials below it, `[…, queries, 2]`.
    Normalizer,
    /// The gradient of the queries.
    Query,
    /// The gradient of the keys.
    Key,
    /// The gradient of the values.
    Value,
}

impl AttentionResult {
    /// Whether it belongs to the backward pass.
    pub fn is_gradient(self) -> bool {
        !matches!(self, AttentionResult::Out | AttentionResult::Normalizer)
    }
}

/// An operand of [`Attention`]: element `(a, b, r, c)` at `offset + a * batch[0] + b * batch[1] + r * row + c * col`. All strides are
/// in elements and not negative; `col` is 1 but for masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Heads {
    /// First element.
    pub offset: usize,
    /// Strides of the two dimensions of the batch.
    pub batch: [usize; 2],
    /// Stride between rows.
    pub row: usize,
    /// Stride between columns.
    pub col: usize,
}

/// Attention, forward: `softmax(q · kᵀ · scale + mask) · v`, or backward, f32, without the scores in memory. See the primitives
/// for what each result is. Results are the step's outputs, dense, in the order of [`AttentionResult`]; either those of the
/// forward or those of the backward pass. Inputs: `q`, `k`, `v` (where there is no `Out`, forward, `k` again, of no features), backward
/// the gradient of the output and `rows [.., queries, 3]`, and last the mask, bool or f32, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// What is computed, in order.
    pub results: Vec<AttentionResult>,
    /// Sizes of the two dimensions of the batch.
    pub batch: [usize; 2],
    /// Rows of `q`.
    pub queries: usize,
    /// Rows of `k` and `v`.
    pub keys: usize,
    /// Columns of `q` and `k`, at most 128.
    pub features: usize,
    /// Columns of `v`, at most 128.
    pub value_features: usize,
    /// Bits of the factor, an f32.
    pub scale: u32,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
    /// Whether there is a mask.
    pub mask: bool,
    /// Of each input.
    pub inputs: Vec<Heads>,
}

impl Attention {
    /// Whether it is the backward pass.
    pub fn is_backward(&self) -> bool {
        self.results.iter().any(|r| r.is_gradient())
    }

    /// The factor of the scores.
    pub fn scale(&self) -> f32 {
        f32::from_bits(self.scale)
    }

    /// Whether a row may see nothing, and then gives zeros.
    pub fn hides(&self) -> bool {
        self.causal || self.mask || self.keys == 0
    }

    /// Products of queries and keys as long as a row of features that each result takes.
    fn products(&self) -> usize {
        let has = |r: AttentionResult| usize::from(self.results.contains(&r));
        match self.is_backward() {
            false => 1 + has(AttentionResult::Out),
            true => 2 + self.results.len(),
        }
    }
}

/// A kernel of one of the families.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Element-wise.
    Map(Map),
    /// Reduction of a fused element-wise operand.
    Reduce(Reduce),
    /// Reductions over rows and the element-wise work between them.
    Rows(Rows),
    /// Batched matrix product.
    Matmul(Matmul),
    /// Convolution or one of its gradients.
    Conv(Conv),
    /// Window sum or argmax.
    Window(Window),
    /// Deterministic scatter-add.
    ScatterAdd(ScatterAdd),
    /// Inclusive scan.
    Scan(Scan),
    /// Stable argsort.
    ArgSort(ArgSort),
    /// Attention or its gradients.
    Attention(Attention),
    /// The user's own.
    Custom(crate::plan::Custom),
    /// A plan of its own, many times.
    Loop(crate::plan::Loop),
}

impl Kernel {
    /// Multiply-adds of a product, a convolution, those with padding counted, or an attention, those that are hidden counted; 0 for
    /// other kernels.
    pub fn multiply_adds(&self) -> u64 {
        let product = |sizes: &[usize]| sizes.iter().map(|&n| n as u64).product::<u64>();
        match self {
            Kernel::Matmul(m) => product(&[m.batch, m.m, m.n, m.k]),
            Kernel::Conv(c) => {
                let channels = [c.batch, c.groups, c.in_channels, c.out_channels];
                product(&channels) * product(&c.output) * product(&c.kernel)
            }
            Kernel::Attention(a) => {
                let [b, c] = a.batch;
                let features = a.features.max(a.value_features);
                product(&[b, c, a.queries, a.keys, features, a.products()])
            }
            Kernel::Loop(l) => l.multiply_adds(),
            _ => 0,
        }
    }
}
