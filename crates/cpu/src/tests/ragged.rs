//! Every family on random ragged sizes, around multiples of what its kernels take at once, against obvious loops. Meant to run
//! where memory is guarded: `guarded.rs` starts a process for each instruction set. One case follows from its family and its
//! seed alone.

use super::*;
use crate::matmul::gemm;
use crate::plan::{Conv, Map};
use crate::tests::attention::ragged as fused_attention;
use crate::tests::contraction::{check_matmul, check_within, shape};
use crate::tests::segments::same_bits;
use wgrad_graph::{AttentionOptions, ConvOptions, Device, PoolOptions, Tensor, grad};

/// A family: its name, cases of a short run and how one is checked.
pub(crate) type Family = (&'static str, u64, fn(&mut Rng));

/// All families.
pub(crate) const FAMILIES: [Family; 19] = [
    ("map", 40, map),
    ("region", 15, region),
    ("gather", 15, gather),
    ("random", 10, random),
    ("reduce", 15, reduce),
    ("rows", 8, rows),
    ("matmul", 15, matmul),
    ("gemm", 10, products),
    ("conv", 15, convolution),
    ("winograd", 4, winograd),
    ("flat", 8, flat),
    ("few", 8, few),
    ("window", 15, window),
    ("scan", 10, scan),
    ("scatter", 15, scatter),
    ("sort", 10, sort),
    ("attention", 15, fused_attention),
    ("plan", 3, plan),
    ("updates", 8, |rng| {
        small::updates(near(rng, &[1, 16, 1024]))
    }),
];

/// A size near a multiple of one of `tiles`.
fn near(rng: &mut Rng, tiles: &[usize]) -> usize {
    let tile = tiles[rng.below(tiles.len())];
    let around = tile * (1 + rng.below(3)) + rng.below(5);
    around.saturating_sub(2).max(1)
}

/// A size, mostly small.
fn size(rng: &mut Rng, most: usize) -> usize {
    match rng.below(8) {
        0 => 1,
        _ => 1 + rng.below(most),
    }
}

/// A loop nest of a few thousand points.
fn nest(rng: &mut Rng) -> Vec<usize> {
    match rng.below(5) {
        0 => vec![near(rng, &[1, 4, 16, 64, 1024])],
        1 => vec![size(rng, 40), near(rng, &[1, 8, 16, 64])],
        2 => vec![near(rng, &[1, 8, 16, 64]), size(rng, 40)],
        _ => (0..3).map(|_| size(rng, 14)).collect(),
    }
}

/// A walk over the nest in some order, some dimensions backwards or not at all, and the elements it spans.
fn walk(rng: &mut Rng, shape: &[usize], repeats: bool) -> (View, usize) {
    let mut walk = view(rng.below(3) as i64, &vec![0; shape.len()]);
    let mut dims: Vec<usize> = (0..shape.len()).collect();
    let natural = rng.below(2) == 0;
    let mut step = 1;
    while !dims.is_empty() {
        let d = match natural {
            true => dims.pop().expect("some"),
            false => dims.swap_remove(rng.below(dims.len())),
        };
        if repeats && rng.below(6) == 0 {
            continue;
        }
        walk.strides[d] = step;
        step = step * shape[d] as i64 + i64::from(rng.below(6) == 0);
        if rng.below(6) == 0 {
            walk.offset += (shape[d] as i64 - 1) * walk.strides[d];
            walk.strides[d] *= -1;
        }
    }
    let last: i64 = (shape.iter().zip(&walk.strides))
        .map(|(&n, &s)| (n as i64 - 1) * s.max(0))
        .sum();
    let len = (walk.offset + last + 1) as usize;
    (walk, len)
}

const F: DType = DType::F32;

/// An input of a random dtype that ends with the last element that `view` reaches.
fn operand(rng: &mut Rng, len: usize) -> (DType, Vec<u8>) {
    let floats = rng.floats(len);
    match rng.below(5) {
        0 => (
            DType::U8,
            floats.iter().map(|x| (x * 99.0) as i8 as u8).collect(),
        ),
        1 => {
            let halves: Vec<half::f16> = floats.into_iter().map(half::f16::from_f32).collect();
            (DType::F16, bytes(&halves).to_vec())
        }
        2 => {
            let halves: Vec<half::bf16> = floats.into_iter().map(half::bf16::from_f32).collect();
            (DType::BF16, bytes(&halves).to_vec())
        }
        _ => (F, bytes(&floats).to_vec()),
    }
}

/// Loads of all inputs as floats and a few operations on them.
fn expression(rng: &mut Rng, shape: &[usize], inputs: &mut Vec<(DType, Vec<u8>)>) -> Expr {
    let mut insts = Vec::new();
    let mut floats = Vec::new();
    for input in 0..1 + rng.below(3) {
        let (walk, len) = walk(rng, shape, true);
        let (dtype, bytes) = operand(rng, len);
        inputs.push((dtype, bytes));
        insts.push(load(input, walk));
        if dtype == DType::U8 {
            insts.push(apply(&TO_FLOAT, &[insts.len() - 1], dtype, F));
        }
        floats.push(insts.len() - 1);
    }
    for _ in 0..rng.below(6) {
        let args = [
            floats[rng.below(floats.len())],
            floats[rng.below(floats.len())],
        ];
        insts.push(apply([&ADD, &MUL][rng.below(2)], &args, F, F));
        floats.push(insts.len() - 1);
    }
    let dtype = [F, F, DType::F16, DType::BF16][rng.below(4)];
    let last = floats[floats.len() - 1];
    insts.push(apply(&MUL, &[last, last], F, dtype));
    Expr {
        inputs: inputs.iter().map(|i| i.0).collect(),
        insts,
    }
}

fn slices(inputs: &[(DType, Vec<u8>)]) -> Vec<(DType, &[u8])> {
    inputs.iter().map(|(t, b)| (*t, &b[..])).collect()
}

fn map(rng: &mut Rng) {
    let (shape, mut inputs) = (nest(rng), Vec::new());
    let expr = expression(rng, &shape, &mut inputs);
    let store = View::contiguous(&shape);
    let len = shape.iter().product();
    elementwise::check(Map { shape, expr, store }, &slices(&inputs), len, &[]);
}

/// Parts of a larger output, as concatenations and padding write them.
fn region(rng: &mut Rng) {
    let (shape, mut inputs) = (nest(rng), Vec::new());
    let mut expr = expression(rng, &shape, &mut inputs);
    if let Some(Inst::Apply { dtype, .. }) = expr.insts.last_mut() {
        *dtype = F;
    }
    let (store, len) = walk(rng, &shape, false);
    elementwise::check(Map { shape, expr, store }, &slices(&inputs), len, &[]);
}

fn gather(rng: &mut Rng) {
    let shape = nest(rng);
    let size = near(rng, &[1, 8, 16]);
    let (at, index_len) = walk(rng, &shape, true);
    let (mut from, mut len) = walk(rng, &shape, true);
    let stride = if rng.below(2) == 0 { 1 } else { len as i64 };
    if stride == 1 {
        from = view(from.offset.min(2), &vec![0; shape.len()]);
        len = from.offset as usize + 1;
    }
    let bad = rng.below(3) == 0;
    let index: Vec<i32> = (0..index_len)
        .map(|_| match rng.below(40) {
            0 if bad => [-1, size as i32, i32::MAX, i32::MIN][rng.below(4)],
            _ => rng.below(size) as i32,
        })
        .collect();
    let (dtype, table) = operand(rng, len + (size - 1) * stride as usize);
    let gather = Inst::Gather {
        input: 1,
        view: from,
        index: 0,
        size,
        stride,
        check: 7,
    };
    let expr = Expr {
        inputs: vec![DType::I32, dtype],
        insts: vec![load(0, at), gather],
    };
    let (len, store) = (shape.iter().product(), View::contiguous(&shape));
    let inputs = [(DType::I32, bytes(&index)), (dtype, &table[..])];
    elementwise::check(Map { shape, expr, store }, &inputs, len, &[]);
}

fn random(rng: &mut Rng) {
    let shape = nest(rng);
    let (mut view, _) = walk(rng, &shape, true);
    view.offset += rng.below(1 << 20) as i64;
    let scalars = [(); 5].map(|()| rng.next());
    let expr = Expr {
        inputs: vec![],
        insts: vec![Inst::Random { view, scalar: 0 }],
    };
    let (len, store) = (shape.iter().product(), View::contiguous(&shape));
    elementwise::check(Map { shape, expr, store }, &[], len, &scalars);
}

fn reduce(rng: &mut Rng) {
    let shape = match rng.below(6) {
        0 => vec![size(rng, 3), near(rng, &[1 << 16])],
        1 => vec![near(rng, &[1024]), size(rng, 20)],
        _ => nest(rng),
    };
    let kept = rng.below(shape.len() + 1);
    let (walk, len) = walk(rng, &shape, true);
    let n: usize = shape.iter().product();
    // The checks make as many elements as there are points.
    if len > n {
        return reduce(rng);
    }
    let (outer, inner) = shape.split_at(kept);
    match rng.below(3) {
        0 => reduction::check_sums(outer, inner, &walk),
        1 => reduction::check_maxima(outer, inner, &walk),
        _ => reduction::check_integers(outer, inner, &walk),
    }
}

fn rows(rng: &mut Rng) {
    let inner = match rng.below(3) {
        0 => vec![near(rng, &[1, 8, 16, 64, 256])],
        1 => vec![size(rng, 4), near(rng, &[16, 64])],
        _ => vec![near(rng, &[1024])],
    };
    let points: usize = inner.iter().product();
    let outer = vec![1 + rng.below(6000 / points + 2)];
    crate::tests::rows::check(&outer, &inner, rng);
}

fn matmul(rng: &mut Rng) {
    let tiles = [1, 4, 6, 8, 14, 16, 32];
    let [m, n, k] = [(); 3].map(|()| near(rng, &tiles));
    let sizes = match rng.below(6) {
        0 => [1, m, n, near(rng, &[64, 512])],
        1 => [size(rng, 12), m.min(20), n.min(20), k],
        2 => [1, 1, near(rng, &[64, 256]), near(rng, &[64, 256])],
        3 => [1, near(rng, &[64, 256]), 1, near(rng, &[64, 256])],
        4 => [1, size(rng, 9), near(rng, &[4, 16]), near(rng, &[64, 256])],
        _ => [size(rng, 3), m, n, k],
    };
    check_matmul(sizes, rng.below(5));
}

/// Products with every set of kernels, operands packed or not, added to the output or not.
fn products(rng: &mut Rng) {
    let [m, n, k] = [(); 3].map(|()| near(rng, &[1, 4, 6, 8, 14, 16, 32, 56]));
    let k = if rng.below(5) == 0 {
        near(rng, &[512])
    } else {
        k
    };
    gemm::tests::check_all([m, n, k], [rng.below(5), rng.below(5)], rng.below(2) == 0);
}

/// Forward, and both gradients; sometimes with more or fewer zeros behind than before.
fn check_conv(rng: &mut Rng, conv: Conv) {
    let change = [-1, 0, 0, 0, 1, 2][rng.below(6)];
    let output = conv.output.map(|n: usize| n.saturating_add_signed(change));
    let output = [conv.output[0], output[1], output[2]];
    let conv = match conv.input[1] == 1 {
        true => conv,
        false => Conv { output, ..conv },
    };
    let positions = conv.batch * conv.output[1] * conv.output[2];
    let taps = conv.kernel.iter().product::<usize>();
    let longest = positions.max(taps * conv.in_channels.max(conv.out_channels));
    check_within(conv, 6e-6 * (longest as f64).sqrt());
}

fn convolution(rng: &mut Rng) {
    let groups = [1, 1, 1, 2, 5][rng.below(5)];
    let channels = [size(rng, 4), groups, size(rng, 7), size(rng, 7)];
    let depth = rng.below(4) == 0;
    let mut sizes = |most: usize| {
        let deep = if depth {
            size(rng, most.div_ceil(2))
        } else {
            1
        };
        [deep, size(rng, most), size(rng, most)]
    };
    let (kernel, mut stride, mut dilation) = (sizes(4), sizes(3), sizes(3));
    let mut padding = sizes(3).map(|p| p - 1);
    if !depth {
        (stride[0], dilation[0], padding[0]) = (1, 1, 0);
    }
    let mut input = sizes(12);
    for d in 0..3 {
        let reach = dilation[d] * (kernel[d] - 1) + 1;
        input[d] = input[d].max(reach.saturating_sub(2 * padding[d]));
    }
    check_conv(
        rng,
        shape(channels, input, kernel, stride, padding, dilation),
    );
}

fn winograd(rng: &mut Rng) {
    let groups = [1, 1, 1, 2][rng.below(4)];
    let [from, to] = [(); 2].map(|()| 16 + rng.below(20));
    let side = |rng: &mut Rng| 6 + rng.below(11);
    let input = [1, side(rng), side(rng)];
    let padding = [0, rng.below(4), rng.below(4)];
    let channels = [size(rng, 5), groups, from, to];
    check_conv(
        rng,
        shape(channels, input, [1, 3, 3], [1; 3], padding, [1; 3]),
    );
}

/// Channels enough for the ways that read a padded plane in place, from one position on.
fn flat(rng: &mut Rng) {
    let groups = [1, 1, 2][rng.below(3)];
    let channels = [size(rng, 3), groups, 12 + rng.below(10), 4 + rng.below(18)];
    let kernel = [1, 1 + rng.below(4), 1 + rng.below(4)];
    let dilation = [1, 1 + rng.below(2), 1 + rng.below(3)];
    let stride = match rng.below(2) {
        0 => [1; 3],
        _ => [1, 1 + rng.below(3), 1 + rng.below(3)],
    };
    let padding = [0, rng.below(3), rng.below(3)];
    let mut input = [1, size(rng, 12), size(rng, 20)];
    for d in 1..3 {
        let reach = dilation[d] * (kernel[d] - 1) + 1;
        input[d] = input[d].max(reach.saturating_sub(2 * padding[d]));
    }
    check_conv(
        rng,
        shape(channels, input, kernel, stride, padding, dilation),
    );
}

fn few(rng: &mut Rng) {
    let groups = [1, 1, 2][rng.below(3)];
    let channels = [size(rng, 4), groups, 1 + rng.below(11), 4 + rng.below(8)];
    let input = [1, 1 + rng.below(12), near(rng, &[8, 16])];
    let padding = [0, 1 + rng.below(2), 1 + rng.below(3)];
    check_conv(
        rng,
        shape(channels, input, [1, 3, 3], [1; 3], padding, [1; 3]),
    );
}

fn window(rng: &mut Rng) {
    let k = [1, 1 + rng.below(3), 1 + rng.below(4)];
    let (s, d) = match rng.below(2) {
        0 => ([1, 2, 2], [1; 3]),
        _ => {
            let mut any = || [1, 1 + rng.below(3), 1 + rng.below(3)];
            (any(), any())
        }
    };
    let (k, p) = match rng.below(2) {
        0 => ([1, 2, 2], [0; 3]),
        _ => (k, [0, rng.below(2), rng.below(2)]),
    };
    let mut input = [1, size(rng, 20), near(rng, &[1, 16, 32])];
    for i in 0..3 {
        input[i] = input[i].max(d[i] * (k[i] - 1) + 1);
    }
    let w = rest::window(size(rng, 9), input, k, s, p, d);
    // Every window holds an element.
    let reads = |i: usize, o: usize, t: usize| {
        (o * s[i] + t * d[i])
            .checked_sub(p[i])
            .is_some_and(|at| at < input[i])
    };
    let holds = |i: usize| (0..w.output[i]).all(|o| (0..k[i]).any(|t| reads(i, o, t)));
    match (0..3).all(holds) {
        true => rest::check_window(w),
        false => window(rng),
    }
}

fn scan(rng: &mut Rng) {
    rest::check_scan([size(rng, 9), size(rng, 40), size(rng, 9)]);
}

fn scatter(rng: &mut Rng) {
    let inner = [1, 1, size(rng, 20)][rng.below(3)];
    rest::check_scatter([size(rng, 9), size(rng, 60), size(rng, 20), inner]);
}

fn sort(rng: &mut Rng) {
    rest::check_sort(size(rng, 20), near(rng, &[1, 16, 64]));
}

fn tensor(rng: &mut Rng, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_slice(&rng.floats(n), shape, &Device::cpu())
}

/// Whole plans: their segments, shared packed operands and rows, with the bits of their steps one after another.
fn plan(rng: &mut Rng) {
    match rng.below(3) {
        0 => attention(rng),
        1 => network(rng),
        _ => recurrent(rng),
    }
}

fn attention(rng: &mut Rng) {
    let (heads, n, d) = (8 + rng.below(3), 180 + rng.below(40), size(rng, 20));
    let [q, k, v, g] = [(); 4].map(|()| tensor(rng, &[heads, n, d]));
    let y = q.scaled_dot_product_attention(&k, &v, &AttentionOptions::default());
    let loss = (&y * &g).sum();
    let grads = grad(&loss, &[&q, &k, &v]).expect("gradients");
    same_bits(&[&y, &grads[0], &grads[1], &grads[2]]);
}

fn network(rng: &mut Rng) {
    let (batch, side) = ([8, 9, 16][rng.below(3)], 28 + rng.below(14));
    let [a, b, c] = [3 + rng.below(3), 8 + rng.below(12), 12 + rng.below(12)];
    let (w1, bias) = (tensor(rng, &[b, a, 3, 3]), tensor(rng, &[b]));
    let w2 = tensor(rng, &[c, b, 3, 3]);
    let options = ConvOptions::default().padding([1, rng.below(3)]);
    let width = side + rng.below(3);
    let x = tensor(rng, &[batch, a, side, width]);
    let h = x.conv2d(&w1, Some(&bias), &options).relu();
    let y = h
        .max_pool2d(&PoolOptions::new(2))
        .conv2d(&w2, None, &options);
    let loss = y.square().sum();
    let grads = grad(&loss, &[&x, &w1, &bias, &w2]).expect("gradients");
    let outputs: Vec<&Tensor> = std::iter::once(&loss).chain(&grads).collect();
    same_bits(&outputs);
}

/// Steps that share a packed matrix, parts of concatenations, sums over rows.
fn recurrent(rng: &mut Rng) {
    let (rows, n) = (4 + rng.below(30), near(rng, &[16, 32]));
    let w = tensor(rng, &[n, n]);
    let bias = tensor(rng, &[n]);
    let (mut h, mut all) = (tensor(rng, &[rows, n]), Vec::new());
    for _ in 0..3 {
        h = (h.matmul(&w) * 0.1 + &bias).tanh();
        all.push(h.clone());
    }
    let all: Vec<&Tensor> = all.iter().collect();
    let y = Tensor::cat(&all, 1).softmax(1);
    let loss = (&y * &y).sum();
    let grads = grad(&loss, &[&w, &bias]).expect("gradients");
    same_bits(&[&y, &grads[0], &grads[1]]);
}
