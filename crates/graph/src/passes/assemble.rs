//! Sums of parts become wholes. The gradient of a tensor that was read in parts is recorded as a sum of padded pieces,
//! that of a weight that was used at many steps as a sum of matrix products: here pieces that do not overlap become one
//! concatenation, and products (and sums over rows) one product of the concatenated operands. So a recurrent layer's
//! weight gradient is one large product and not one small one for each step.
//!
//! The order of additions changes, so this is for optimised plans only. Must not merge equal nodes: `simplify` does.

use super::{Graph, GraphNode, Site};
use crate::ops::Op;
use crate::ops::concat::Concat;
use crate::ops::matmul::Matmul;
use crate::ops::pad::Pad;
use crate::ops::permute::Permute;
use crate::ops::reduce_sum::ReduceSum;
use crate::ops::reshape::Reshape;
use crate::shape::numel;
use rustc_hash::{FxHashMap, FxHashSet};

/// Sums over rows that are worth a concatenation of their operands.
const MANY_SUMS: usize = 4;

/// Elements of a sum's operand, which nobody else reads, beyond which writing it costs more than a step of its own: the squares of
/// gradients whose norm is taken would all be held at once.
const SMALL_SUM: usize = 1 << 16;

/// The graph with sums of parts assembled.
pub(crate) fn assemble(graph: Graph) -> Graph {
    let graph = rewritten(graph, |rewrite, terms, place| {
        join_pieces(rewrite, terms, place)
    });
    let order = Orders::of(&graph);
    rewritten(graph, |rewrite, terms, place| {
        join_products(rewrite, &order, terms, place);
        join_sums(rewrite, &order, terms, place);
    })
}

/// Rebuilds `graph`; `f` may replace some of the terms of each sum, which are nodes of the new graph.
fn rewritten(graph: Graph, f: impl Fn(&mut Rewrite, &mut Vec<usize>, Site)) -> Graph {
    let mut sums = Sums::of(&graph).all(&graph).into_iter().peekable();
    let mut rewrite = Rewrite {
        out: Graph {
            nodes: Vec::with_capacity(graph.nodes.len()),
            ..graph
        },
        source: Vec::with_capacity(graph.nodes.len()),
    };
    let mut to: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (n, mut node) in graph.nodes.into_iter().enumerate() {
        let mut terms = match sums.next_if(|sum| sum.0 == n) {
            Some((_, terms)) => terms.into_iter().map(|t| to[t]).collect(),
            None => Vec::new(),
        };
        let before = terms.len();
        if before > 1 {
            f(&mut rewrite, &mut terms, node.location);
        }
        to.push(if before > 1 && terms.len() < before {
            let first = terms[0];
            let add = |sum, &term: &usize| {
                rewrite.push(crate::ops::add::Add, vec![sum, term], node.location)
            };
            terms[1..].iter().fold(first, add)
        } else {
            node.inputs.iter_mut().for_each(|i| *i = to[*i]);
            rewrite.out.nodes.push(node);
            rewrite.out.nodes.len() - 1
        });
        rewrite.source.resize(rewrite.out.nodes.len(), usize::MAX);
        rewrite.source[to[n]] = n;
    }
    rewrite.out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    rewrite.out
}

/// Additions that only another addition reads are part of its sum.
struct Sums {
    absorbed: Vec<bool>,
}

impl Sums {
    fn of(graph: &Graph) -> Sums {
        let mut uses = vec![0usize; graph.nodes.len()];
        let mut by_add = vec![false; graph.nodes.len()];
        for node in &graph.nodes {
            for &i in &node.inputs {
                uses[i] += 1;
                by_add[i] = matches!(node.op, Op::Add(_));
            }
        }
        graph.outputs.iter().for_each(|&o| uses[o] += 2);
        let absorbed = (0..uses.len()).map(|n| uses[n] == 1 && by_add[n]);
        Sums {
            absorbed: absorbed.collect(),
        }
    }

    /// All sums, by where they end, with their terms.
    fn all(&self, graph: &Graph) -> Vec<(usize, Vec<usize>)> {
        let all = (0..graph.nodes.len()).map(|n| (n, self.terms(graph, n)));
        all.filter(|(_, terms)| !terms.is_empty()).collect()
    }

    /// The terms of the sum that ends at `n`, in order; none if `n` is no such end.
    fn terms(&self, graph: &Graph, n: usize) -> Vec<usize> {
        let is_sum = |n: usize| matches!(graph.nodes[n].op, Op::Add(_));
        let mut terms = Vec::new();
        if self.absorbed[n] || !is_sum(n) {
            return terms;
        }
        let mut stack: Vec<usize> = graph.nodes[n].inputs.iter().rev().copied().collect();
        while let Some(t) = stack.pop() {
            if self.absorbed[t] && is_sum(t) {
                stack.extend(graph.nodes[t].inputs.iter().rev());
            } else {
                terms.push(t);
            }
        }
        terms
    }
}

/// A graph that grows.
struct Rewrite {
    out: Graph,
    /// The node of the old graph that each stands for; `usize::MAX` for others.
    source: Vec<usize>,
}

impl Rewrite {
    fn node(&self, n: usize) -> &GraphNode {
        &self.out.nodes[n]
    }

    fn shape(&self, n: usize) -> &[usize] {
        &self.out.nodes[n].shape
    }

    /// Appends a node whose operands fit it.
    fn push(&mut self, op: impl Into<Op>, inputs: Vec<usize>, location: Site) -> usize {
        self.out.push(op, inputs, location)
    }

    /// `parts` one after another along `dim`: concatenations among them are taken apart, and where the first
    /// dimension is joined, parts are joined before they are reshaped.
    fn concat(&mut self, parts: &[usize], dim: usize, place: Site) -> usize {
        let below: Vec<usize> = parts.iter().flat_map(|&p| self.parts_of(p, dim)).collect();
        let rows = |n: &usize| self.shape(*n).get(1..).map(<[usize]>::to_vec);
        let first = rows(&below[0]);
        if dim == 0 && !below.iter().all(|n| rows(n) == first) {
            return self.joined(parts.to_vec(), dim, place);
        }
        let mut shape = self.shape(parts[0]).to_vec();
        shape[dim] = parts.iter().map(|&p| self.shape(p)[dim]).sum();
        let whole = self.joined(below, dim, place);
        if self.shape(whole) == shape {
            return whole;
        }
        self.push(Reshape { shape }, vec![whole], place)
    }

    /// What `n` is a concatenation of along `dim`; of the first dimension, seen through reshapes.
    fn parts_of(&self, n: usize, dim: usize) -> Vec<usize> {
        let mut parts = Vec::new();
        let mut stack = vec![n];
        while let Some(n) = stack.pop() {
            let inside = if dim == 0 { self.below_reshape(n) } else { n };
            if let Op::Concat(c) = &self.node(inside).op
                && c.dim == dim
            {
                stack.extend(self.node(inside).inputs.iter().rev());
            } else if self.shape(inside).is_empty() {
                parts.push(n);
            } else {
                parts.push(inside);
            }
        }
        parts
    }

    fn joined(&mut self, parts: Vec<usize>, dim: usize, place: Site) -> usize {
        let shapes = parts.iter().map(|&p| self.shape(p).to_vec()).collect();
        self.push(Concat { dim, shapes }, parts, place)
    }

    fn below_reshape(&self, n: usize) -> usize {
        if matches!(self.node(n).op, Op::Reshape(_)) {
            self.node(n).inputs[0]
        } else {
            n
        }
    }
}

/// A padded piece of a sum.
struct Piece {
    term: usize,
    start: usize,
    end: usize,
}

/// Replaces pieces that lie side by side along one dimension by their concatenation.
fn join_pieces(rewrite: &mut Rewrite, terms: &mut Vec<usize>, place: Site) {
    let mut by_dim: FxHashMap<usize, Vec<Piece>> = FxHashMap::default();
    for &term in terms.iter() {
        if let Some((dim, piece)) = piece(rewrite, term) {
            by_dim.entry(dim).or_default().push(piece);
        }
    }
    let mut dims: Vec<(usize, Vec<Piece>)> = by_dim.into_iter().collect();
    dims.sort_unstable_by_key(|(dim, pieces)| (std::cmp::Reverse(pieces.len()), *dim));
    let Some((dim, mut pieces)) = dims.into_iter().next() else {
        return;
    };
    pieces.sort_by_key(|p| p.start);
    let mut run: Vec<Piece> = Vec::new();
    for piece in pieces {
        if run.last().is_some_and(|last| last.end != piece.start) {
            join_run(rewrite, terms, dim, std::mem::take(&mut run), place);
        }
        run.push(piece);
    }
    join_run(rewrite, terms, dim, run, place);
}

/// The dimension that a padding widens, if it is one alone, and where its operand comes to lie.
fn piece(rewrite: &Rewrite, term: usize) -> Option<(usize, Piece)> {
    let node = rewrite.node(term);
    let Op::Pad(Pad { lo, hi, interior }) = &node.op else {
        return None;
    };
    let from = rewrite.shape(node.inputs[0]);
    let changed = |d: &usize| lo[*d] + hi[*d] > 0 || (interior[*d] > 0 && from[*d] > 1);
    let mut wide = (0..lo.len()).filter(changed);
    let (dim, None) = (wide.next()?, wide.next()) else {
        return None;
    };
    let plain = from[dim] > 0 && (interior[dim] == 0 || from[dim] == 1);
    plain.then(|| {
        let (start, end) = (lo[dim], lo[dim] + from[dim]);
        (dim, Piece { term, start, end })
    })
}

/// One concatenation for a run of pieces, padded where it does not fill the whole.
fn join_run(
    rewrite: &mut Rewrite,
    terms: &mut Vec<usize>,
    dim: usize,
    run: Vec<Piece>,
    place: Site,
) {
    let [first, .., last] = run.as_slice() else {
        return;
    };
    let size = rewrite.shape(first.term)[dim];
    let rank = rewrite.shape(first.term).len();
    let parts: Vec<usize> = run.iter().map(|p| rewrite.node(p.term).inputs[0]).collect();
    let mut whole = rewrite.concat(&parts, dim, place);
    if last.end - first.start < size {
        let at = |n: usize| {
            let mut list = vec![0; rank];
            list[dim] = n;
            list
        };
        let pad = Pad {
            lo: at(first.start),
            hi: at(size - last.end),
            interior: at(0),
        };
        whole = rewrite.push(pad, vec![whole], place);
    }
    replace(terms, run.iter().map(|p| p.term), whole);
}

/// One term for all of some.
fn replace(terms: &mut Vec<usize>, gone: impl Iterator<Item = usize>, new: usize) {
    let gone: FxHashSet<usize> = gone.collect();
    terms.retain(|t| !gone.contains(t));
    terms.push(new);
}

/// The orders in which operands are concatenated anyway, so that the same concatenation serves again, and how often each is read.
struct Orders {
    orders: FxHashMap<Vec<usize>, Vec<usize>>,
    readers: Vec<usize>,
}

impl Orders {
    /// By the sorted operands, as nodes of `graph`.
    fn of(graph: &Graph) -> Orders {
        let mut orders = FxHashMap::default();
        let mut readers = vec![0; graph.nodes.len()];
        for node in &graph.nodes {
            node.inputs.iter().for_each(|&input| readers[input] += 1);
            if matches!(node.op, Op::Concat(_)) {
                let mut sorted = node.inputs.clone();
                sorted.sort_unstable();
                orders.entry(sorted).or_insert_with(|| node.inputs.clone());
            }
        }
        Orders { orders, readers }
    }

    /// Whether somebody else reads this operand of a sum too: then it is written anyway.
    fn is_shared(&self, rewrite: &Rewrite, operand: usize) -> bool {
        let source = rewrite.source.get(operand).copied();
        let readers = source.and_then(|source| self.readers.get(source));
        readers.is_some_and(|&readers| readers > 1)
    }

    /// The position of each of these operands in a concatenation of just them.
    fn positions(&self, rewrite: &Rewrite, operands: &[usize]) -> Option<Vec<usize>> {
        let source = |&n: &usize| rewrite.source.get(n).copied().unwrap_or(usize::MAX);
        let keys: Vec<usize> = operands.iter().map(source).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let order = self.orders.get(&sorted)?;
        // The first place of each.
        let places = order.iter().enumerate().rev();
        let places: FxHashMap<usize, usize> = places.map(|(at, &o)| (o, at)).collect();
        keys.iter().map(|k| places.get(k).copied()).collect()
    }
}

/// One factor of a product of a sum, as it is to be concatenated.
#[derive(Clone, Copy)]
struct Factor {
    node: usize,
    transposed: bool,
}

impl Factor {
    /// The operand `n`, or what it is the transpose of; transposed once more if `flip`.
    fn of(rewrite: &Rewrite, n: usize, flip: bool) -> Factor {
        let (node, transposed) = untransposed(rewrite, n);
        Factor {
            node,
            transposed: transposed != flip,
        }
    }
}

/// What `n` is the transpose of, if it is one.
fn untransposed(rewrite: &Rewrite, n: usize) -> (usize, bool) {
    let node = rewrite.node(n);
    let transposes = matches!(&node.op, Op::Permute(p) if p.perm == [1, 0]);
    if transposes {
        (node.inputs[0], true)
    } else {
        (n, false)
    }
}

/// A term that is a product of two matrices, or the transpose of one.
struct Product {
    term: usize,
    factors: [Factor; 2],
    /// Elements that a concatenation copies.
    copies: usize,
}

impl Product {
    fn of(rewrite: &Rewrite, term: usize) -> Option<Product> {
        let (inner, flip) = untransposed(rewrite, term);
        let node = rewrite.node(inner);
        if !matches!(node.op, Op::Matmul(_)) || node.shape.len() != 2 {
            return None;
        }
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let (first, second) = if flip { (b, a) } else { (a, b) };
        Some(Product {
            term,
            factors: [first, second].map(|n| Factor::of(rewrite, n, flip)),
            copies: numel(rewrite.shape(a)) + numel(rewrite.shape(b)),
        })
    }
}

/// Replaces products of rank 2 by one of concatenations, where that copies less than their results take.
fn join_products(rewrite: &mut Rewrite, orders: &Orders, terms: &mut Vec<usize>, place: Site) {
    let products = terms.iter().filter_map(|&t| Product::of(rewrite, t));
    let mut products: Vec<Product> = products.collect();
    let copies: usize = products.iter().map(|p| p.copies).sum();
    let result = numel(rewrite.shape(terms[0]));
    if products.len() < 2 || copies > products.len() * result {
        return;
    }
    for side in [1, 0] {
        let nodes: Vec<usize> = products.iter().map(|p| p.factors[side].node).collect();
        if let Some(positions) = orders.positions(rewrite, &nodes) {
            let mut placed: Vec<(usize, Product)> = positions.into_iter().zip(products).collect();
            placed.sort_unstable_by_key(|(position, _)| *position);
            products = placed.into_iter().map(|(_, p)| p).collect();
            break;
        }
    }
    let side = |i: usize| -> Vec<Factor> { products.iter().map(|p| p.factors[i]).collect() };
    let a = concat_factors(rewrite, &side(0), 1, place);
    let b = concat_factors(rewrite, &side(1), 0, place);
    let whole = rewrite.push(Matmul, vec![a, b], place);
    replace(terms, products.iter().map(|p| p.term), whole);
}

/// Factors joined along `dim`; all transposed ones are joined before they are transposed.
fn concat_factors(rewrite: &mut Rewrite, factors: &[Factor], dim: usize, place: Site) -> usize {
    let perm = || Permute { perm: vec![1, 0] };
    if factors.iter().all(|f| f.transposed) {
        let nodes: Vec<usize> = factors.iter().map(|f| f.node).collect();
        let whole = rewrite.concat(&nodes, 1 - dim, place);
        return rewrite.push(perm(), vec![whole], place);
    }
    let plain = factors.iter().map(|f| match f.transposed {
        true => rewrite.push(perm(), vec![f.node], place),
        false => f.node,
    });
    let plain: Vec<usize> = plain.collect();
    rewrite.concat(&plain, dim, place)
}

/// Replaces sums over the rows of many tensors by one over the rows of their concatenation.
fn join_sums(rewrite: &mut Rewrite, orders: &Orders, terms: &mut Vec<usize>, place: Site) {
    let rows = |t: &usize| {
        let Op::ReduceSum(r) = &rewrite.node(rewrite.below_reshape(*t)).op else {
            return None;
        };
        (r.dims.first() == Some(&0)).then(|| r.dims.clone())
    };
    let Some(dims) = terms.iter().find_map(rows) else {
        return;
    };
    let operand = |rewrite: &Rewrite, t: usize| rewrite.node(rewrite.below_reshape(t)).inputs[0];
    let of = |t: &usize| rows(t).as_ref() == Some(&dims);
    let mut sums: Vec<usize> = terms.iter().copied().filter(of).collect();
    let trailing = |t: usize| rewrite.shape(operand(rewrite, t))[1..].to_vec();
    let first = trailing(sums[0]);
    let worth = |operand: usize| {
        numel(rewrite.shape(operand)) <= SMALL_SUM || orders.is_shared(rewrite, operand)
    };
    sums.retain(|&t| trailing(t) == first && worth(operand(rewrite, t)));
    if sums.len() < MANY_SUMS {
        return;
    }
    let nodes: Vec<usize> = sums.iter().map(|&t| operand(rewrite, t)).collect();
    let mut placed: Vec<(usize, usize)> = match orders.positions(rewrite, &nodes) {
        Some(positions) => positions.into_iter().zip(nodes).collect(),
        None => nodes.into_iter().enumerate().collect(),
    };
    placed.sort_unstable();
    let nodes: Vec<usize> = placed.into_iter().map(|(_, n)| n).collect();
    let shape = rewrite.shape(sums[0]).to_vec();
    let whole = rewrite.concat(&nodes, 0, place);
    let mut sum = rewrite.push(ReduceSum { dims }, vec![whole], place);
    if rewrite.shape(sum) != shape {
        sum = rewrite.push(Reshape { shape }, vec![sum], place);
    }
    replace(terms, sums.iter().copied(), sum);
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use crate::{Device, Settings, Tensor, explain, grad};

    fn data(shape: &[usize], device: &Device) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n)
            .map(|i| ((i * 37 % 23) as f32 - 11.0) / 8.0)
            .collect();
        Tensor::from_slice(&values, shape, device)
    }

    /// The gradients of a small recurrence by its weight, bias and input.
    fn gradients(device: &Device) -> Vec<Tensor> {
        let (x, w, b) = (
            data(&[5, 3, 16], device),
            data(&[16, 16], device),
            data(&[16], device),
        );
        let mut h = Tensor::zeros(&[3, 16], crate::DType::F32, device);
        let mut all = Vec::new();
        for t in 0..5 {
            h = (x.select(0, t) + h.matmul(&w) + &b).tanh();
            all.push(h.clone());
        }
        let loss = Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
            .square()
            .sum();
        grad(&loss, &[&w, &b, &x]).unwrap()
    }

    #[test]
    fn the_weight_gradient_of_a_recurrence_is_one_product() {
        let device = Device::cpu();
        let plan = explain(&gradients(&device).iter().collect::<Vec<_>>()).unwrap();
        let products = plan.matches(" = matmul Matmul").count();
        // Five steps forward, four back, and one for the weight.
        assert_eq!(products, 10, "{plan}");
        assert_eq!(plan.matches("k: 15,").count(), 1, "{plan}");
        assert_eq!(plan.matches(" = pad map").count(), 0, "{plan}");
    }

    #[test]
    fn assembled_sums_have_the_same_values() {
        let unfused = Device::cpu_with(&Settings {
            fuse: false,
            ..Settings::default()
        });
        let want = gradients(&unfused);
        for (got, want) in gradients(&Device::cpu()).iter().zip(&want) {
            let (got, want) = (got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * (1.0 + b.abs());
            assert!(got.iter().zip(&want).all(close), "{got:?}\n{want:?}");
        }
    }

    #[test]
    fn pieces_that_overlap_or_leave_gaps_stay_right() {
        for ranges in [
            vec![(0, 2), (2, 3), (5, 1)],
            vec![(1, 2), (3, 2)],
            vec![(0, 4), (2, 4)],
            vec![(0, 1), (4, 2), (1, 2)],
        ] {
            let run = |device: &Device| {
                let x = data(&[6, 2], device);
                let parts = ranges.iter().map(|&(at, n)| {
                    let part = x.narrow(0, at, n);
                    (&part * &part * (at as f64 + 1.0)).sum()
                });
                let loss = parts.reduce(|a, b| a + b).unwrap();
                grad(&loss, &[&x]).unwrap()[0].to_vec::<f32>().unwrap()
            };
            assert_eq!(run(&Device::cpu()), run(&Device::reference()), "{ranges:?}");
        }
    }
}
