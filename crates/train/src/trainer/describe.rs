//! What a step computes, read off its recorded graph before anything runs: layers by the parameters that they use, the shape
//! of their outputs, and multiply-adds. Knows primitives by name, and no layer.

use crate::table::{Align, thousands, write_table};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use wgrad_graph::Tensor;
use wgrad_nn::{Kind, Module};

/// A part of a state that has parameters of its own, as a step uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerRow {
    /// Path in the state, such as `net.conv1`.
    pub name: String,
    /// What its parameters are used for: `linear`, `conv`, `conv_transpose`, `embedding`, `elementwise`; empty if the step
    /// does not use them.
    pub kind: String,
    /// Shape of the last result that its parameters enter directly, batch first.
    pub output_shape: Vec<usize>,
    /// Elements of its own parameters.
    pub parameters: u64,
    /// Multiply-adds of matrix products and convolutions with its parameters, for one batch, forward only.
    pub multiply_adds: u64,
}

/// A step before its first run; `Display` gives a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// One row for each part with parameters, in visiting order.
    pub layers: Vec<LayerRow>,
    /// Multiply-adds of products in which no parameter takes part, such as attention's.
    pub other_multiply_adds: u64,
    /// Elements of all parameters; one that stands in two places counts once.
    pub parameters: u64,
    /// Bytes that the device will have allocated at most, as the plans say; if that is known.
    pub predicted_peak_bytes: Option<u64>,
}

impl Description {
    /// Multiply-adds of one batch, forward only.
    pub fn multiply_adds(&self) -> u64 {
        let own = self.layers.iter().map(|l| l.multiply_adds);
        own.sum::<u64>() + self.other_multiply_adds
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["layer", "kind", "output", "parameters", "multiply-adds"];
        let mut rows = vec![Some(head.map(str::to_owned).to_vec()), None];
        rows.extend(self.layers.iter().map(|l| {
            let shape = match l.kind.is_empty() {
                true => "-".to_owned(),
                false => format!("{:?}", l.output_shape),
            };
            let (n, m) = (thousands(l.parameters), thousands(l.multiply_adds));
            Some(vec![l.name.clone(), l.kind.clone(), shape, n, m])
        }));
        rows.push(None);
        let (n, m) = (thousands(self.parameters), thousands(self.multiply_adds()));
        rows.push(Some(vec![
            "total".to_owned(),
            String::new(),
            String::new(),
            n,
            m,
        ]));
        let (left, right) = (Align::Left, Align::Right);
        write_table(f, &[left, left, left, right, right], &rows)?;
        match self.predicted_peak_bytes {
            Some(bytes) => write!(f, "\npeak memory about {:.1} MiB", bytes as f64 / 1048576.0),
            None => Ok(()),
        }
    }
}

/// The parameters of a state before a step is recorded.
pub(super) struct Watch {
    parameters: Vec<(String, Tensor)>,
    buffers: Vec<Tensor>,
}

/// A number that handles of one node share, while one lives.
fn identity(tensor: &Tensor) -> usize {
    std::ptr::from_ref(tensor.device()).addr()
}

/// What is known of a node.
#[derive(Clone, Default)]
struct Seen {
    /// Whether something other than the state lies below it.
    from_input: bool,
    /// The parameters that lie below it, while nothing else does.
    own: BTreeSet<usize>,
}

impl Watch {
    pub(super) fn of(state: &dyn Module) -> Watch {
        let mut watch = Watch {
            parameters: Vec::new(),
            buffers: Vec::new(),
        };
        state.visit("", &mut |name, kind, t| match kind {
            Kind::Parameter => watch.parameters.push((name.to_owned(), t.clone())),
            Kind::Buffer => watch.buffers.push(t.clone()),
        });
        watch
    }

    /// What has been recorded below these scalars.
    pub(super) fn describe(&self, scalars: &[(String, Tensor)]) -> Description {
        let mut rows = Rows::of(&self.parameters);
        let mut seen: HashMap<usize, Seen> = HashMap::new();
        for (at, (_, t)) in self.parameters.iter().enumerate() {
            let own = BTreeSet::from([at]);
            let from_input = false;
            seen.entry(identity(t)).or_insert(Seen { from_input, own });
        }
        for t in &self.buffers {
            seen.entry(identity(t)).or_default();
        }
        let roots = scalars.iter().map(|(_, t)| t.clone());
        let mut stack: Vec<(Tensor, bool)> = roots.map(|t| (t, false)).collect();
        while let Some((node, below_done)) = stack.pop() {
            if seen.contains_key(&identity(&node)) {
                continue;
            }
            if below_done || node.operands().is_empty() {
                let own = rows.take(&node, &seen);
                seen.insert(identity(&node), own);
                continue;
            }
            let below: Vec<Tensor> = node.operands().to_vec();
            stack.push((node, true));
            stack.extend(below.into_iter().map(|t| (t, false)));
        }
        rows.description
    }
}

/// The table while a graph is walked, operands first.
struct Rows {
    description: Description,
    /// The row of each parameter.
    row_of: Vec<usize>,
}

impl Rows {
    fn of(parameters: &[(String, Tensor)]) -> Rows {
        let mut description = Description::default();
        let mut row_of = Vec::with_capacity(parameters.len());
        let mut rows: HashMap<String, usize> = HashMap::new();
        let mut counted = BTreeSet::new();
        for (name, tensor) in parameters {
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let row = *rows.entry(layer.to_owned()).or_insert_with(|| {
                description.layers.push(LayerRow {
                    name: layer.to_owned(),
                    ..LayerRow::default()
                });
                description.layers.len() - 1
            });
            row_of.push(row);
            description.layers[row].parameters += tensor.numel() as u64;
            if counted.insert(identity(tensor)) {
                description.parameters += tensor.numel() as u64;
            }
        }
        Rows {
            description,
            row_of,
        }
    }

    /// Counts a node whose operands have been seen.
    fn take(&mut self, node: &Tensor, seen: &HashMap<usize, Seen>) -> Seen {
        let operands = node.operands();
        let below: Vec<&Seen> = operands
            .iter()
            .filter_map(|t| seen.get(&identity(t)))
            .collect();
        let from_input = match operands.is_empty() {
            true => node.op_name() == "input",
            false => below.iter().any(|s| s.from_input),
        };
        if !from_input {
            let own = below.iter().flat_map(|s| s.own.iter().copied()).collect();
            return Seen { from_input, own };
        }
        let cost = multiply_adds(node);
        let mut parameters = below.iter().filter(|s| !s.from_input).flat_map(|s| &s.own);
        match parameters.next() {
            Some(&first) => {
                let row = &mut self.description.layers[self.row_of[first]];
                row.multiply_adds += cost;
                row.output_shape = node.shape().to_vec();
                let kind = kind(node.op_name());
                if row.kind.is_empty() || kind != "elementwise" {
                    row.kind = kind.to_owned();
                }
            }
            None => self.description.other_multiply_adds += cost,
        }
        let own = BTreeSet::new();
        Seen { from_input, own }
    }
}

fn kind(op: &str) -> &'static str {
    match op {
        "matmul" => "linear",
        "conv" => "conv",
        "conv_input_grad" => "conv_transpose",
        "gather" => "embedding",
        _ => "elementwise",
    }
}

/// Of a matrix product or a convolution; 0 of anything else.
fn multiply_adds(node: &Tensor) -> u64 {
    let [a, b, ..] = &node.operands()[..] else {
        return 0;
    };
    let after_first = |t: &Tensor| t.shape().iter().skip(1).product::<usize>();
    let each = match node.op_name() {
        "matmul" => node.numel() * a.shape().last().copied().unwrap_or(0),
        "conv" => node.numel() * after_first(b),
        "conv_input_grad" => a.numel() * after_first(b),
        _ => 0,
    };
    each as u64
}
