//! The Conv family. `choice` says which way a convolution is computed; here are what leads there, and the ways of few output
//! planes, for which a product would not pay.

pub(crate) mod batched;
mod bytes;
pub(crate) mod chains;
pub(crate) mod choice;
pub(crate) mod cost;
pub(crate) mod depthwise;
mod depthwise_tiny;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod fit;
pub(crate) mod implicit;
pub(crate) mod interleaved;
mod matrix;
pub(crate) mod phases;
pub(crate) mod unfold;
pub(crate) mod way;
pub(crate) mod weight;
pub(crate) mod weight_few_channels;
pub(crate) mod weight_implicit;
pub(crate) mod winograd;

pub(crate) use crate::conv::bytes::step_bytes;

use crate::call::Context;
use crate::conv::batched::Batched;
use crate::conv::cost::Sizes;
use crate::conv::depthwise::Depthwise;
use crate::conv::implicit::Flat;
use crate::conv::interleaved::Interleaved;
use crate::conv::phases::product::Phases;
use crate::conv::unfold::{Tile, Unfold};
use crate::conv::way::{Forward, InputGrad, WeightGrad};
use crate::conv::weight::Sums;
use crate::conv::winograd::{Filters, Winograd};
use crate::dtype::DType;
use crate::matmul::gemm::floats::Floats;
use crate::matmul::gemm::results::Results;
use crate::matmul::gemm::scratch::with_scratch;
use crate::matmul::gemm::{Mat, Product};
use crate::matmul::{axpy, dot};
use crate::plan::{Conv, ConvKind};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;
use std::ops::Range;

/// Elements of an unfolded tile: 1 MiB.
const TILE_LEN: usize = 1 << 18;

/// Most partial sums of a weight gradient.
const PARTS: usize = 32;

/// Most elements of all partial sums together.
const PARTIALS: usize = 1 << 24;

/// A convolution, or the gradient of its input, with the pixels of several images side by side.
fn interleaved(conv: &Conv, shape: &Unfold) -> Interleaved {
    let (from, to) = (conv.in_channels, conv.out_channels);
    match conv.kind {
        ConvKind::InputGrad => Interleaved::new(shape, [conv.batch, conv.groups], [to, from], true),
        _ => Interleaved::new(shape, [conv.batch, conv.groups], [from, to], false),
    }
}

fn weight_way(conv: &Conv, shape: &Unfold) -> WeightGrad {
    choice::weight_grad(&Sizes::of(conv, shape))
}

/// Whether several images are columns of one product, so that the batch is not to be cut.
pub(crate) fn joins_images(conv: &Conv) -> bool {
    let shape = Unfold::of(conv);
    if is_empty(conv, &shape) || conv.batch == 1 {
        return false;
    }
    let few = 2 * shape.positions() <= batched::COLUMNS;
    let joins = |way: Forward| match way {
        Forward::Interleaved | Forward::Phases => true,
        way => few && way == Forward::Batched,
    };
    let sizes = Sizes::of(conv, &shape);
    match conv.kind {
        ConvKind::Forward => joins(choice::forward(&sizes)),
        ConvKind::InputGrad => match choice::input_grad(&sizes) {
            InputGrad::AsForward(way) => joins(way),
            InputGrad::Fold => few,
            InputGrad::Interleaved | InputGrad::Phases => true,
            InputGrad::Depthwise => false,
        },
        ConvKind::WeightGrad => match choice::weight_grad(&sizes) {
            WeightGrad::Batched => few,
            way => matches!(way, WeightGrad::Interleaved | WeightGrad::Phases),
        },
    }
}

/// Whether a part of the batch, `part`, is computed as the whole.
pub(crate) fn is_like(conv: &Conv, part: &Conv) -> bool {
    let shape = Unfold::of(conv);
    let [all, some] = [conv, part].map(|conv| Sizes::of(conv, &shape));
    match conv.kind {
        _ if is_empty(part, &shape) => true,
        ConvKind::Forward => choice::forward(&all) == choice::forward(&some),
        ConvKind::InputGrad => choice::input_grad(&all) == choice::input_grad(&some),
        ConvKind::WeightGrad => choice::weight_grad(&all) == choice::weight_grad(&some),
    }
}

/// Partial sums of a weight gradient of `size` elements that is unfolded.
fn weight_parts(conv: &Conv, shape: &Unfold, size: usize) -> usize {
    let items = conv.batch * tiles(shape, conv.in_channels * shape.taps()).len();
    PARTS.min(PARTIALS / size).clamp(1, items)
}

/// Runs `conv`, whose results are of `dtype`.
pub(crate) fn run(conv: &Conv, context: Context<'_>, out: &mut [u8], dtype: DType) {
    let [a, b] = [0, 1].map(|i| Floats::of(&context.inputs[i]));
    let out = Results::of(out, dtype);
    let sums = conv.batch * conv.groups * conv.in_channels * conv.out_channels;
    let shape = Unfold::of(conv);
    let sizes = Sizes::of(conv, &shape);
    if is_empty(conv, &shape) {
        return out.clear();
    }
    let planes = conv.batch * conv.groups * (conv.in_channels + conv.out_channels);
    let work = sums * shape.positions() * shape.taps();
    // A plane takes its time however small it is.
    let par = context.par.for_work(work / 4 + 50 * planes);
    if let Some(winograd) = winograd(conv, context.packed.is_some()) {
        let run = |packed: &[f32]| winograd.run(a, (packed, conv.groups), out, par);
        return match context.packed {
            Some(packed) => run(packed),
            None => with_scratch(winograd.packed_len(conv.groups), |packed| {
                pack(conv, b, packed, par);
                run(packed);
            }),
        };
    }
    match conv.kind {
        ConvKind::Forward => {
            let slabs = Slabs {
                shape,
                images: conv.batch,
                groups: conv.groups,
                from: conv.in_channels,
                way: choice::forward(&sizes),
            };
            b.shared(context.par, |b| forward(slabs, a, b, out, par));
        }
        ConvKind::InputGrad => match choice::input_grad(&sizes) {
            InputGrad::AsForward(way) => {
                let slabs = Slabs {
                    shape: adjoint(&shape),
                    images: conv.batch,
                    groups: conv.groups,
                    from: conv.out_channels,
                    way,
                };
                with_scratch(b.len(), |weight| {
                    b.shared(context.par, |b| flip(conv, b, weight, context.par));
                    forward(slabs, a, weight, out, par);
                });
            }
            InputGrad::Depthwise => {
                b.shared(context.par, |b| {
                    Depthwise::of(conv, &shape).input_grad(a, b, out, par)
                });
            }
            InputGrad::Interleaved => b.shared(context.par, |b| {
                interleaved(conv, &shape).run(a, b, out, par)
            }),
            InputGrad::Phases => b.shared(context.par, |b| {
                Phases::of(conv, &shape).run(a, b, out, par)
            }),
            InputGrad::Fold => b.shared(context.par, |b| {
                Batched::of(conv, &shape).input_grad(a, b, out, par)
            }),
        },
        ConvKind::WeightGrad => out.whole(context.par, |out| {
            weight_grad(conv, &shape, (a, b), out, par)
        }),
    }
}

/// A convolution or its adjoint by Winograd's algorithm, if that is its way, or its filters are `ready` for that.
fn winograd(conv: &Conv, ready: bool) -> Option<Winograd> {
    let shape = Unfold::of(conv);
    if is_empty(conv, &shape) {
        return None;
    }
    let sizes = Sizes::of(conv, &shape);
    let (shape, from, to) = match conv.kind {
        ConvKind::Forward => (shape, conv.in_channels, conv.out_channels),
        ConvKind::InputGrad => (adjoint(&shape), conv.out_channels, conv.in_channels),
        ConvKind::WeightGrad => return None,
    };
    (ready || choice::has_filters(conv.kind, &sizes)).then(|| Winograd::new(&shape, from, to))
}

/// Floats of the weights made ready for all parts of the batch, if they are.
pub(crate) fn packed_len(conv: &Conv) -> Option<usize> {
    winograd(conv, false).map(|w| w.packed_len(conv.groups))
}

/// Makes the weights ready, in [`packed_len`] floats.
pub(crate) fn pack(conv: &Conv, weight: Floats<'_>, packed: &mut [f32], par: Par) {
    if let Some(winograd) = winograd(conv, true) {
        let filters = Filters {
            weight,
            groups: conv.groups,
            adjoint: conv.kind == ConvKind::InputGrad,
        };
        winograd.pack(filters, packed, par);
    }
}

/// The weight gradient `conv` as partial sums, if it is computed so.
pub(crate) fn sums(conv: &Conv) -> Option<Sums<'_>> {
    let shape = Unfold::of(conv);
    (!is_empty(conv, &shape) && conv.kind == ConvKind::WeightGrad)
        .then(|| Sums::new(conv, &shape))
        .flatten()
}

/// Whether there is nothing to sum. The product of all sizes may be more than a number holds.
fn is_empty(conv: &Conv, shape: &Unfold) -> bool {
    let planes = [conv.batch, conv.groups, conv.in_channels, conv.out_channels];
    let sizes = [shape.plane(), shape.positions(), shape.taps()];
    planes.contains(&0) || sizes.contains(&0)
}

/// All ways that `conv` can be computed.
#[cfg(test)]
pub(crate) fn ways(conv: &Conv) -> Vec<way::Way> {
    let shape = Unfold::of(conv);
    match is_empty(conv, &shape) {
        true => Vec::new(),
        false => choice::ways(conv, &shape),
    }
}

/// The convolution with flipped taps that is the adjoint of one with stride 1.
fn adjoint(shape: &Unfold) -> Unfold {
    let reach = |d: usize| (shape.dilation[d] * (shape.kernel[d] - 1)) as i64;
    let padding = [0, 1, 2].map(|d| reach(d) - shape.padding[d]);
    Unfold {
        input: shape.output,
        output: shape.input,
        padding,
        ..*shape
    }
}

/// `weight [groups*og, ig, taps]` as `[groups*ig, og, taps reversed]`.
fn flip(conv: &Conv, weight: &[f32], out: &mut [f32], par: Par) {
    /// Rows of a block: what lies together is read as four lines of the cache.
    const BLOCK: usize = 64;
    let (ig, og) = (conv.in_channels, conv.out_channels);
    let taps: usize = conv.kernel.iter().product();
    let par = par.for_work(8 * out.len());
    let row = og * taps;
    // Whole groups, or whole blocks of the only one.
    let rows = match conv.groups {
        1 => ig.div_ceil(par.pieces()).next_multiple_of(BLOCK),
        groups => ig * groups.div_ceil(par.pieces()),
    };
    par.chunks(out, rows * row, |first, out| {
        for (k, out) in out.chunks_mut(ig * row).enumerate() {
            let first = first / row + k * ig;
            let weight = &weight[first / ig * og * ig * taps..][..og * ig * taps];
            for (block, out) in out.chunks_mut(BLOCK * row).enumerate() {
                let i = first % ig + block * BLOCK;
                for o in 0..og {
                    let from = weight[(o * ig + i) * taps..].chunks_exact(taps);
                    for (out, from) in out.chunks_exact_mut(row).zip(from) {
                        let out = out[o * taps..][..taps].iter_mut();
                        out.zip(from.iter().rev()).for_each(|(out, &w)| *out = w);
                    }
                }
            }
        }
    });
}

/// Tiles of output positions: as few as fit, of about the same size.
fn tiles(shape: &Unfold, rows: usize) -> Vec<Tile> {
    let positions = shape.positions();
    let most = (TILE_LEN / rows).max(64);
    let count = positions.div_ceil(most);
    let size = positions.div_ceil(count).next_multiple_of(16);
    (0..positions)
        .step_by(size)
        .map(|at| shape.tile(at..(at + size).min(positions)))
        .collect()
}

/// A convolution as products of one weight matrix for each group with unfolded slabs of `from` planes.
#[derive(Clone, Copy)]
struct Slabs {
    shape: Unfold,
    images: usize,
    groups: usize,
    from: usize,
    way: Forward,
}

/// `out[n, g] = weight[g] · unfold(x[n, g])` for every image and group.
fn forward(slabs: Slabs, x: Floats<'_>, weight: &[f32], mut out: Results<'_>, par: Par) {
    let Slabs {
        shape,
        images,
        groups,
        from,
        way,
    } = slabs;
    let (positions, plane) = (shape.positions(), shape.plane());
    let k = from * shape.taps();
    let count = images * groups;
    let slab = out.len() / count;
    let to = slab / positions;
    match way {
        Forward::Depthwise => {
            let depthwise = Depthwise::new(&shape, [images, groups], to);
            depthwise.forward(x, weight, out, par);
        }
        Forward::Batched => {
            let batched = Batched::new(shape, [images, groups], [from, to]);
            batched.forward(x, weight, out, par);
        }
        Forward::Interleaved => {
            let way = Interleaved::new(&shape, [images, groups], [from, to], false);
            way.run(x, weight, out, par);
        }
        Forward::Phases => {
            let way = Phases::new(&shape, [images, groups], [from, to], false);
            way.run(x, weight, out, par);
        }
        Forward::Implicit => {
            let flat = Flat::new(&shape, from, to, count, par);
            flat.run((x, weight, groups), out, par);
        }
        Forward::Product => {
            let out = out.target();
            let one = |i: usize, par: Par| {
                let planes = Mat {
                    data: x,
                    at: i * from * plane,
                    row: positions,
                    col: 1,
                };
                let product = Product {
                    m: to,
                    n: positions,
                    k,
                    a: Mat::rows(&weight[i % groups * to * k..][..to * k], k),
                    b: planes,
                    packed: None,
                    add: false,
                };
                // SAFETY: each slab is a part of its own of what is borrowed, and computed once.
                unsafe { product.run_into(out.from(i * slab), par) }
            };
            match count < par.threads() {
                true => (0..count).for_each(|i| one(i, par)),
                false => par.neighbours(count, |i| one(i, Par::SERIAL)),
            }
        }
        Forward::Rows => x.whole(par, |x| {
            let tiles = tiles(&shape, k);
            let room = shape.taps() * tiles[0].len;
            let size = count.div_ceil(par.pieces()) * slab;
            out.chunks(par, (size, slab), |first, out| {
                let mut col = HostBufferMut::within_step(room * 4);
                let col = col.slice_mut();
                for (i, out) in out.chunks_exact_mut(slab).enumerate() {
                    let i = first / slab + i;
                    let x = &x[i * from * plane..][..from * plane];
                    let weight = &weight[i % groups * to * k..][..to * k];
                    let tiles = tiles.iter();
                    tiles.for_each(|tile| direct(tile, (x, plane), weight, (out, positions), col));
                }
            });
        }),
        Forward::Winograd => unreachable!("its filters are made ready before"),
    }
}

/// The unfolded tile `[k, tile]`, in `col` or the slab itself.
fn unfolded<'c>(
    shape: &Unfold,
    x: &'c [f32],
    tile: &Tile,
    col: &'c mut [f32],
    par: Par,
) -> Mat<'c> {
    if shape.is_identity() {
        return Mat {
            data: x.into(),
            at: tile.start,
            row: shape.positions(),
            col: 1,
        };
    }
    let (n, taps, plane) = (tile.len, shape.taps(), shape.plane());
    let planes = x.len() / plane;
    let col = &mut col[..planes * taps * n];
    let each = planes.div_ceil(par.pieces());
    par.chunks(col, each * taps * n, |first, col| {
        tile.unfold(&x[first / (taps * n) * plane..], col)
    });
    Mat::rows(col, n)
}

/// Few output planes: each is the sum of the unfolded rows of every input plane, a row at a time.
fn direct(
    tile: &Tile,
    (x, plane): (&[f32], usize),
    weight: &[f32],
    (out, positions): (&mut [f32], usize),
    col: &mut [f32],
) {
    let (range, to) = (tile.start..tile.start + tile.len, out.len() / positions);
    let k = weight.len() / to;
    let taps = k / (x.len() / plane);
    let col = &mut col[..taps * tile.len];
    out.chunks_exact_mut(positions)
        .for_each(|out| out[range.clone()].fill(0.0));
    for (i, x) in x.chunks_exact(plane).enumerate() {
        tile.unfold(x, col);
        for (out, weight) in out.chunks_exact_mut(positions).zip(weight.chunks_exact(k)) {
            let rows = weight[i * taps..].iter().zip(col.chunks_exact(tile.len));
            rows.for_each(|(&w, row)| axpy(w, row, &mut out[range.clone()]));
        }
    }
}

/// `Σ over images of y · unfold(x)ᵀ`, as partial sums over runs of tiles that are then added in order.
fn weight_grad(
    conv: &Conv,
    shape: &Unfold,
    (x, y): (Floats<'_>, Floats<'_>),
    out: &mut [f32],
    par: Par,
) {
    if let Some(sums) = Sums::new(conv, shape) {
        return sums.run(x, y, out, par);
    }
    match weight_way(conv, shape) {
        WeightGrad::Batched => return Batched::of(conv, shape).weight_grad(x, y, out, par),
        WeightGrad::Interleaved => {
            return interleaved::weight::Weight::of(conv, shape).run(x, y, out, par);
        }
        WeightGrad::Phases => {
            return phases::weight::Weight::of(conv, shape).run(x, y, out, par);
        }
        WeightGrad::Depthwise => return Depthwise::of(conv, shape).weight_grad(x, y, out, par),
        _ => {}
    }
    let (Some(x), Some(y)) = (x.single(), y.single()) else {
        return x.whole(par, |x| {
            y.whole(par, |y| {
                weight_grad(conv, shape, (x.into(), y.into()), out, par);
            });
        });
    };
    let tiles = tiles(shape, conv.in_channels * shape.taps());
    let items = conv.batch * tiles.len();
    let parts = weight_parts(conv, shape, out.len());
    let (size, inside) = (
        out.len(),
        if parts < par.threads() {
            par
        } else {
            Par::SERIAL
        },
    );
    let outside = if parts < par.threads() {
        Par::SERIAL
    } else {
        par
    };
    let sum = |part: usize, out: &mut [f32]| {
        // Cut evenly: part p has items p * items / parts and on.
        let items = part * items / parts..(part + 1) * items / parts;
        weight_part(conv, shape, (x, y), &tiles, items, out, inside);
    };
    if parts == 1 {
        return sum(0, out);
    }
    let mut partials = HostBufferMut::within_step(parts * size * 4);
    let partials = partials.slice_mut::<f32>();
    outside.chunks(partials, size, |at, partial| sum(at / size, partial));
    out.copy_from_slice(&partials[..size]);
    partials[size..]
        .chunks_exact(size)
        .for_each(|partial| axpy(1.0, partial, out));
}

fn weight_part(
    conv: &Conv,
    shape: &Unfold,
    (x, y): (&[f32], &[f32]),
    tiles: &[Tile],
    items: Range<usize>,
    out: &mut [f32],
    par: Par,
) {
    let (positions, slab) = (shape.positions(), conv.in_channels * shape.plane());
    let (og, k) = (conv.out_channels, conv.in_channels * shape.taps());
    let mut scratch = HostBufferMut::within_step(if shape.is_identity() {
        0
    } else {
        k * tiles[0].len * 4
    });
    for item in items.clone() {
        let (image, tile) = (item / tiles.len(), &tiles[item % tiles.len()]);
        for (g, out) in out.chunks_exact_mut(og * k).enumerate() {
            let i = image * conv.groups + g;
            let col = unfolded(
                shape,
                &x[i * slab..][..slab],
                tile,
                scratch.slice_mut(),
                par,
            );
            let at = i * og * positions + tile.start;
            let add = item != items.start;
            dots((&y[at..], positions), (col, k), tile.len, out, add);
        }
    }
}

/// `out[o, k] (+)= Σ_p y[o, p] * col[k, p]` for few `o`, one sum at a time.
fn dots(
    (y, row): (&[f32], usize),
    (col, k): (Mat<'_>, usize),
    n: usize,
    out: &mut [f32],
    add: bool,
) {
    for (i, out) in out.iter_mut().enumerate() {
        let (y, col) = (
            &y[i / k * row..][..n],
            col.data.slab(col.at + i % k * col.row, n),
        );
        *out = if add { *out } else { 0.0 } + col.with(|col| dot(y, col));
    }
}
