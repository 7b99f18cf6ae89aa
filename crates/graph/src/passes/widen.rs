//! Puts casts around everything that computes in 32 bits but is given, or has to give, narrower elements. Maps read and write
//! `u8`, `f16` and `bf16`, reductions read them, and products and convolutions read the floats among them: what they would read
//! through a cast to f32 they read as it was before, and they round what they have summed too. On a GPU so do all other kernels
//! but those of loops and custom operations.

use super::{Graph, GraphNode};
use crate::dtype::DType;
use crate::ops::cast::Cast;
use crate::ops::{Lowered, Op};

/// The graph with casts, for the host or not.
pub(crate) fn widen(mut graph: Graph, host: bool) -> Graph {
    if graph.nodes.iter().all(|n| n.dtype.size() == 4) {
        return graph;
    }
    round_results(&mut graph, host);
    let mut out = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..graph
    };
    let mut to = Vec::with_capacity(graph.nodes.len());
    let mut halves = Halves::default();
    for mut node in graph.nodes {
        let dtype = node.dtype;
        node.inputs.iter_mut().for_each(|i| *i = to[*i]);
        if matches!(node.op, Op::Cast(_)) && out.nodes[node.inputs[0]].dtype == dtype {
            to.push(node.inputs[0]);
            continue;
        }
        let lowered = node.op.lower();
        if !computes_in_maps(&lowered) {
            let does = Does::of(&lowered, host);
            for i in &mut node.inputs {
                let from = out.nodes[*i].dtype;
                let half = does.reads.then(|| halves.before_cast(&mut out, *i));
                *i = match half.flatten() {
                    Some(half) => half,
                    None if does.reads && from.is_half() => *i,
                    None if does.inlines && from.is_half() && from == dtype => *i,
                    None => cast(&mut out, *i, from.widened()),
                };
            }
            if !(does.rounds && dtype.is_half()) {
                node.dtype = dtype.widened();
            }
        }
        out.nodes.push(node);
        let at = out.nodes.len() - 1;
        to.push(cast(&mut out, at, dtype));
    }
    out.outputs.iter_mut().for_each(|o| *o = to[*o]);
    out
}

/// What a kernel does with floats of two bytes.
struct Does {
    /// Reads them from memory.
    reads: bool,
    /// Computes its operands itself, as maps do, and takes them as they are.
    inlines: bool,
    /// Rounds its results to them.
    rounds: bool,
}

impl Does {
    fn of(lowered: &Lowered, host: bool) -> Does {
        use Lowered::*;
        let product = is_product(lowered);
        let stores = matches!(lowered, Window { .. } | Scan { .. } | ScatterAdd { .. });
        let reads = stores || matches!(lowered, ArgSort { .. });
        let inlines = matches!(lowered, Regions { .. });
        let rounds = stores || matches!(lowered, Reduce { .. } | Regions { .. });
        Does {
            reads: product || !host && reads,
            inlines: !host && inlines,
            rounds: product || !host && rounds,
        }
    }
}

fn is_product(lowered: &Lowered) -> bool {
    matches!(lowered, Lowered::Matmul | Lowered::Conv { .. })
}

/// Gives results in f32 of kernels that round them the dtype that all who read them cast them to, movements in between too.
fn round_results(graph: &mut Graph, host: bool) {
    /// What those who have been seen so far read a node as.
    #[derive(Clone, Copy, PartialEq)]
    enum Read {
        Never,
        As(DType),
        Otherwise,
    }
    let is_view = |node: &GraphNode| matches!(node.op.lower(), Lowered::View(_));
    let mut read = vec![Read::Never; graph.nodes.len()];
    graph
        .outputs
        .iter()
        .for_each(|&o| read[o] = Read::Otherwise);
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        let is_cast = matches!(node.op, Op::Cast(_));
        let reads = match () {
            () if is_cast && node.dtype.is_half() => Read::As(node.dtype),
            () if is_view(node) => read[n],
            () => Read::Otherwise,
        };
        for &i in &node.inputs {
            read[i] = match read[i] {
                Read::Never => reads,
                known if known == reads || reads == Read::Never => known,
                _ => Read::Otherwise,
            };
        }
    }
    let mut rounded = vec![false; graph.nodes.len()];
    for (n, node) in graph.nodes.iter_mut().enumerate() {
        if let Read::As(dtype) = read[n]
            && node.dtype == DType::F32
            && (Does::of(&node.op.lower(), host).rounds || is_view(node) && rounded[node.inputs[0]])
        {
            node.dtype = dtype;
            rounded[n] = true;
        }
    }
}

/// What nodes were before they were cast from floats of two bytes, movements in between repeated there.
#[derive(Default)]
struct Halves {
    /// Movements that were repeated.
    moved: rustc_hash::FxHashMap<usize, usize>,
}

impl Halves {
    /// The node whose elements, as f32, are those of `n`, if it has two bytes for each.
    fn before_cast(&mut self, graph: &mut Graph, n: usize) -> Option<usize> {
        let mut views = Vec::new();
        let mut at = n;
        let mut half = loop {
            if let Some(&known) = self.moved.get(&at) {
                break known;
            }
            let node = &graph.nodes[at];
            let from = *node.inputs.first()?;
            if matches!(node.op, Op::Cast(_)) {
                let widens = node.dtype == DType::F32 && graph.nodes[from].dtype.is_half();
                break widens.then_some(from)?;
            }
            matches!(node.op.lower(), Lowered::View(_)).then_some(())?;
            views.push(at);
            at = from;
        };
        for at in views.into_iter().rev() {
            let node = GraphNode {
                inputs: vec![half],
                dtype: graph.nodes[half].dtype,
                ..graph.nodes[at].clone()
            };
            graph.nodes.push(node);
            half = graph.nodes.len() - 1;
            self.moved.insert(at, half);
        }
        Some(half)
    }
}

fn computes_in_maps(lowered: &Lowered) -> bool {
    use Lowered::*;
    matches!(
        lowered,
        Input
            | Constant { .. }
            | Iota
            | Random { .. }
            | Elementwise(_)
            | View(_)
            | Identity
            | Gather { .. }
    )
}

fn cast(graph: &mut Graph, n: usize, to: DType) -> usize {
    let node = &graph.nodes[n];
    if node.dtype == to {
        return n;
    }
    let cast = GraphNode {
        op: Op::Cast(Cast { to }),
        inputs: vec![n],
        dtype: to,
        shape: node.shape.clone(),
        location: node.location,
        leaf: None,
        scalar: None,
    };
    graph.nodes.push(cast);
    graph.nodes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::super::tests::{planned, tensor};
    use crate::plan::{Inst, Kernel, Plan};
    use crate::{ConvOptions, DType, Tensor, grad};

    fn is_product(kernel: &Kernel) -> bool {
        matches!(kernel, Kernel::Matmul(_) | Kernel::Conv(_))
    }

    /// Steps that only widen elements of two bytes, or only round what a product gave, and products with an operand that is not
    /// of two bytes.
    fn faults(plan: &Plan) -> Vec<String> {
        let half = |slot: &usize| plan.slots[*slot].dtype.is_half();
        let mut faults = Vec::new();
        for step in &plan.steps {
            match &step.kernel {
                Kernel::Matmul(_) | Kernel::Conv(_) if !step.inputs.iter().all(half) => {
                    faults.push(format!("{step:?}"));
                }
                Kernel::Map(m) => {
                    let copies = |inst: &Inst| match inst {
                        Inst::Load { .. } => true,
                        Inst::Apply { op, .. } => op.name == "cast_f32",
                        _ => false,
                    };
                    // Heads that lie apart are gathered as halves, as f32 would be.
                    let widens = step.inputs.iter().all(half) && !half(&step.output);
                    if widens && m.expr.insts.iter().all(copies) {
                        faults.push(format!("{step:?}"));
                    }
                    let of_product = |slot: &usize| {
                        let mut products = plan.steps.iter().filter(|s| is_product(&s.kernel));
                        !half(slot) && products.any(|s| s.output == *slot)
                    };
                    if step.inputs.iter().any(of_product) {
                        faults.push(format!("{step:?}"));
                    }
                }
                _ => {}
            }
        }
        faults
    }

    fn check(outputs: &[&Tensor], products: usize) {
        let plan = planned(outputs);
        let found = plan.steps.iter().filter(|s| is_product(&s.kernel)).count();
        assert_eq!(found, products, "{plan:?}");
        assert_eq!(faults(&plan), [""; 0]);
    }

    #[test]
    fn products_read_halves_as_they_lie() {
        for half in [DType::F16, DType::BF16] {
            let of = |shape: &[usize]| tensor(shape).cast(half).detach().expect("halves");
            let (x, w, b) = (of(&[6, 8]), of(&[5, 8]), of(&[5]));
            let y = (x.matmul(&w.t()) + &b).relu();
            let g = grad(&y.cast(DType::F32).square().sum(), &[&x, &w, &b]).expect("gradients");
            check(&[&y], 1);
            check(&[&y, &g[0], &g[1], &g[2]], 3);
            // Two layers, whose hidden one is kept as halves.
            let v = of(&[3, 5]);
            let z = y.matmul(&v.t()).tanh();
            let g = grad(&z.cast(DType::F32).sum(), &[&x, &w, &v]).expect("gradients");
            check(&[&z, &g[0], &g[1], &g[2]], 6);
            // Heads of an attention: permuted, and computed in f32 between casts.
            let heads = of(&[2, 4, 3, 8]).permute(&[0, 2, 1, 3]);
            let scores = heads.matmul(&heads.mt());
            check(&[&scores], 1);
        }
    }

    #[test]
    fn convolutions_read_halves_as_they_lie() {
        for half in [DType::F16, DType::BF16] {
            let of = |shape: &[usize]| tensor(shape).cast(half).detach().expect("halves");
            for stride in [1, 2] {
                let (x, w) = (of(&[2, 3, 8, 8]), of(&[4, 3, 3, 3]));
                let options = ConvOptions::default().padding([1, 1]).stride([stride; 2]);
                let y = x.conv2d(&w, None, &options).relu();
                let g = grad(&y.cast(DType::F32).square().sum(), &[&x, &w]).expect("gradients");
                check(&[&y], 1);
                check(&[&y, &g[0], &g[1]], 3);
            }
        }
    }

    /// A factor of f32 beside one of two bytes, as the probabilities of an attention beside its values.
    #[test]
    fn one_operand_may_be_halves() {
        let (p, v) = (
            tensor(&[4, 6]),
            tensor(&[6, 5]).cast(DType::BF16).detach().expect("halves"),
        );
        let y = p.softmax(-1).matmul(&v.cast(DType::F32).flip(&[0]).t().t());
        let plan = planned(&[&y]);
        let step = plan.steps.last().expect("a product");
        assert!(matches!(step.kernel, Kernel::Matmul(_)), "{plan:?}");
        let dtypes = [0, 1].map(|i| plan.slots[step.inputs[i]].dtype);
        assert_eq!(dtypes, [DType::F32, DType::BF16]);
        let wide = p
            .softmax(-1)
            .matmul(&v.cast(DType::F32).detach().expect("floats").flip(&[0]));
        assert_eq!(y.to_vec::<f32>().unwrap(), wide.to_vec::<f32>().unwrap());
    }
}
