//! Einstein summation (PyTorch's `einsum`): the equation is parsed, each operand brought to its distinct labels, and
//! operands are contracted in pairs, the pair with the least growth first, through the matrix product.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind};
use crate::once::{Once, Operand as Kind, Wide};
use crate::shape::numel;
use crate::tensor::Tensor;

/// A dimension's name: a letter, or a dimension of the ellipsis counted from the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// Labels of an equation's operands and result.
struct Equation {
    operands: Vec<Vec<Label>>,
    output: Vec<Label>,
}

/// An operand with its labels, all distinct.
#[derive(Clone)]
struct Labelled {
    tensor: Tensor,
    labels: Vec<Label>,
}

/// One side's letters, `None` where the ellipsis stands.
fn letters(text: &str) -> Result<Vec<Option<char>>, String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if plain.contains('\0') {
        return Err(format!("{text:?} has a NUL"));
    }
    let with = plain.replacen("...", "\0", 1);
    with.chars()
        .map(|c| match c {
            '\0' => Ok(None),
            c if c.is_ascii_alphabetic() => Ok(Some(c)),
            c => Err(format!(
                "{c:?} in {text:?} is neither a letter nor one ellipsis"
            )),
        })
        .collect()
}

/// Labels of an operand of this rank.
fn labels(side: &[Option<char>], dots: usize) -> Vec<Label> {
    let of = |c: &Option<char>| match c {
        Some(c) => vec![Label::Letter(*c)],
        None => (0..dots).rev().map(Label::Ellipsis).collect(),
    };
    side.iter().flat_map(of).collect()
}

impl Equation {
    fn parse(text: &str, ranks: &[usize]) -> Result<Equation, String> {
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text, None),
        };
        let sides: Vec<&str> = left.split(',').collect();
        if sides.len() != ranks.len() {
            return Err(format!(
                "{text:?} names {} operands, given {}",
                sides.len(),
                ranks.len()
            ));
        }
        let (mut operands, mut widest) = (Vec::new(), 0);
        for (side, &rank) in sides.iter().zip(ranks) {
            let letters = letters(side)?;
            let named = letters.iter().flatten().count();
            let dots = match rank.checked_sub(named) {
                Some(dots) if dots == 0 || letters.contains(&None) => dots,
                _ => {
                    return Err(format!(
                        "{side:?} does not name the {rank} dimensions of its operand"
                    ));
                }
            };
            widest = widest.max(dots);
            operands.push(labels(&letters, dots));
        }
        let output = match right {
            Some(right) => labels(&letters(right)?, widest),
            None => implicit(&operands, widest),
        };
        for (i, label) in output.iter().enumerate() {
            if output[..i].contains(label) {
                return Err(format!("the result of {text:?} repeats a label"));
            }
            if !operands.iter().any(|o| o.contains(label)) {
                return Err(format!(
                    "the result of {text:?} has a label that no operand has"
                ));
            }
        }
        Ok(Equation { operands, output })
    }
}

/// The result without an arrow: the ellipsis, then letters that occur once, in order.
fn implicit(operands: &[Vec<Label>], widest: usize) -> Vec<Label> {
    let mut all: Vec<Label> = operands.iter().flatten().copied().collect();
    all.sort_unstable();
    let once = |l: &&Label| all.iter().filter(|m| m == l).count() == 1;
    let letters = all
        .iter()
        .filter(|l| matches!(l, Label::Letter(_)))
        .filter(once);
    (0..widest)
        .rev()
        .map(Label::Ellipsis)
        .chain(letters.copied())
        .collect()
}

impl Labelled {
    /// Repeated labels become one, by the diagonal.
    #[track_caller]
    fn new(tensor: &Tensor, labels: Vec<Label>) -> Result<Labelled, String> {
        let mut out = Labelled {
            tensor: tensor.clone(),
            labels,
        };
        let repeated = |labels: &[Label]| {
            (0..labels.len())
                .find_map(|j| Some((labels[..j].iter().position(|l| *l == labels[j])?, j)))
        };
        while let Some((i, j)) = repeated(&out.labels) {
            let shape = out.tensor.shape();
            if shape[i] != shape[j] {
                return Err(format!(
                    "a repeated label has sizes {} and {}",
                    shape[i], shape[j]
                ));
            }
            out.tensor = diagonal(&out.tensor, i, j);
            let label = out.labels[i];
            out.labels.remove(j);
            out.labels.remove(i);
            out.labels.push(label);
        }
        Ok(out)
    }

    fn size(&self, label: Label) -> Option<usize> {
        let at = self.labels.iter().position(|l| *l == label)?;
        self.tensor.shape().get(at).copied()
    }

    /// The dimensions that `keep` does not want, summed away.
    #[track_caller]
    fn sum_rest(&self, keep: impl Fn(&Label) -> bool) -> Labelled {
        let gone = |at: &usize| !keep(&self.labels[*at]);
        let over: Vec<isize> = (0..self.labels.len())
            .filter(gone)
            .map(|at| at as isize)
            .collect();
        let labels = self.labels.iter().copied().filter(&keep).collect();
        let tensor = if over.is_empty() {
            self.tensor.clone()
        } else {
            self.tensor.sum_dims(&over, false)
        };
        Labelled { tensor, labels }
    }

    /// The dimensions in this order; labels that are missing get size 1.
    #[track_caller]
    fn ordered(&self, order: &[Label]) -> Tensor {
        let have: Vec<usize> = order
            .iter()
            .filter_map(|l| self.labels.iter().position(|m| m == l))
            .collect();
        let shape: Vec<usize> = order.iter().map(|&l| self.size(l).unwrap_or(1)).collect();
        let sorted = have.windows(2).all(|w| w[0] < w[1]);
        let moved = if sorted {
            self.tensor.clone()
        } else {
            self.tensor.permute_to(&have)
        };
        moved.reshape_to(&shape)
    }

    /// Both operands' product, summed over the labels that neither the result nor another operand has.
    #[track_caller]
    fn contract(&self, other: &Labelled, keep: &dyn Fn(&Label) -> bool) -> Labelled {
        let a = self.sum_rest(|l| keep(l) || other.labels.contains(l));
        let b = other.sum_rest(|l| keep(l) || self.labels.contains(l));
        let both = |wanted: bool| {
            let shared = a.labels.iter().filter(|l| b.labels.contains(l));
            shared
                .filter(|l| keep(l) == wanted)
                .copied()
                .collect::<Vec<Label>>()
        };
        let only = |x: &Labelled, y: &Labelled| {
            x.labels
                .iter()
                .filter(|l| !y.labels.contains(l))
                .copied()
                .collect::<Vec<Label>>()
        };
        let (batch, inner) = (both(true), both(false));
        let (rows, columns) = (only(&a, &b), only(&b, &a));
        let labels = [batch.as_slice(), &rows, &columns].concat();
        let lone = rows.is_empty() && columns.is_empty();
        let (ta, tb) = (a.tensor.dtype(), b.tensor.dtype());
        let matrix = !inner.is_empty() && !lone && ta.is_float() && ta == tb;
        if !matrix {
            let order = [labels.as_slice(), &inner].concat();
            let product = a.ordered(&order) * b.ordered(&order);
            let over: Vec<isize> = (labels.len()..order.len()).map(|d| d as isize).collect();
            let tensor = if over.is_empty() {
                product
            } else {
                product.sum_dims(&over, false)
            };
            return Labelled { tensor, labels };
        }
        // A size of 1 meets the other's size.
        let size = |l: &Label| match (a.size(*l), b.size(*l)) {
            (Some(1) | None, Some(n)) | (Some(n), _) => n,
            (None, None) => 1,
        };
        let sizes = |list: &[Label]| list.iter().map(size).collect::<Vec<usize>>();
        let (nb, nr, nc, ni) = (sizes(&batch), sizes(&rows), sizes(&columns), sizes(&inner));
        let side = |x: &Labelled, parts: [&[Label]; 3], matrix: [usize; 2]| {
            let full = parts.concat();
            let wide = x.ordered(&full).broadcast_to(&sizes(&full));
            wide.reshape_to(&[numel(&nb), matrix[0], matrix[1]])
        };
        let left = side(&a, [&batch, &rows, &inner], [numel(&nr), numel(&ni)]);
        let right = side(&b, [&batch, &inner, &columns], [numel(&ni), numel(&nc)]);
        let tensor = if batch.is_empty() {
            left.squeeze(0).matmul(&right.squeeze(0))
        } else {
            left.matmul(&right)
        };
        Labelled {
            tensor: tensor.reshape_to(&[nb, nr, nc].concat()),
            labels,
        }
    }
}

/// The diagonal of two dimensions of one size, as a new last dimension.
#[track_caller]
fn diagonal(x: &Tensor, i: usize, j: usize) -> Tensor {
    let n = x.shape()[i];
    let mut perm: Vec<usize> = (0..x.rank()).filter(|&d| d != i && d != j).collect();
    let mut shape: Vec<usize> = perm.iter().map(|&d| x.shape()[d]).collect();
    perm.extend([i, j]);
    shape.push(n * n);
    let flat = x.permute_to(&perm).reshape_to(&shape);
    let (start, mut step) = (vec![0; shape.len()], vec![1; shape.len()]);
    if let (Some(step), Some(size)) = (step.last_mut(), shape.last_mut()) {
        (*step, *size) = (n + 1, n);
    }
    flat.slice_to(&start, &step, &shape)
}

/// Every label has one size in all operands, but that 1 stretches.
fn check_sizes(operands: &[Labelled]) -> Result<(), String> {
    let mut seen: Vec<(Label, usize)> = Vec::new();
    for operand in operands {
        for (&label, &n) in operand.labels.iter().zip(operand.tensor.shape()) {
            match seen.iter_mut().find(|(l, _)| *l == label) {
                Some((_, m)) if *m == 1 => *m = n,
                Some((_, m)) if n != 1 && *m != n => {
                    return Err(format!("{label:?} has sizes {m} and {n}"));
                }
                Some(_) => {}
                None => seen.push((label, n)),
            }
        }
    }
    Ok(())
}

/// The pair whose product is smallest for what it replaces.
fn cheapest(operands: &[Labelled], output: &[Label]) -> (usize, usize) {
    let cost = |i: usize, j: usize| {
        let (a, b) = (&operands[i], &operands[j]);
        let elsewhere = |l: &Label| {
            output.contains(l)
                || operands
                    .iter()
                    .enumerate()
                    .any(|(k, o)| k != i && k != j && o.labels.contains(l))
        };
        let mut product = 1.0;
        for &l in a
            .labels
            .iter()
            .chain(b.labels.iter().filter(|l| !a.labels.contains(l)))
        {
            if elsewhere(&l) {
                product *= a.size(l).max(b.size(l)).unwrap_or(1) as f64;
            }
        }
        product - a.tensor.numel() as f64 - b.tensor.numel() as f64
    };
    let mut best = (0, 1);
    for i in 0..operands.len() {
        for j in i + 1..operands.len() {
            if cost(i, j) < cost(best.0, best.1) {
                best = (i, j);
            }
        }
    }
    best
}

impl Tensor {
    /// Products summed by Einstein's convention: `equation` names the dimensions of each operand by letters, an
    /// ellipsis stands for dimensions that broadcast, a repeated letter takes the diagonal. After `->` stand the
    /// dimensions of the result; without, the ellipsis and the letters that occur once, in order.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2], &Device::cpu());
    /// assert_eq!(Tensor::einsum("ii", &[&x]).item::<f32>()?, 5.0);
    /// assert_eq!(Tensor::einsum("ij,kj->ik", &[&x, &x]).to_vec::<f32>()?, [5.0, 11.0, 11.0, 25.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// An empty list of operands yields an invalid tensor on the reference device.
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        let Some(first) = operands.first() else {
            let e = Error::new(ErrorKind::Value, "einsum", "needs at least one operand");
            return Tensor::invalid(e, &[], DType::F32, &Device::reference());
        };
        if let Some(bad) = operands.iter().find(|t| t.check().is_err()) {
            return (*bad).clone();
        }
        let kinds: Vec<Kind> = operands.iter().map(Wide::half).collect();
        if let Some(once) = Once::of(&kinds) {
            let mut wide = Vec::with_capacity(operands.len());
            for operand in operands {
                wide.push(operand.widened());
            }
            let wide: Vec<&Tensor> = wide.iter().collect();
            return once.round(Tensor::einsum(equation, &wide));
        }
        let ranks: Vec<usize> = operands.iter().map(|t| t.rank()).collect();
        let parsed = match Equation::parse(equation, &ranks) {
            Ok(parsed) => parsed,
            Err(m) => return first.fail_kind(ErrorKind::Value, "einsum", m),
        };
        match contract_all(parsed, operands) {
            Ok(tensor) => tensor,
            Err(m) => {
                let shapes = operands
                    .iter()
                    .map(|t| (t.shape().to_vec(), t.dtype()))
                    .collect();
                let e = Error::new(ErrorKind::Shape, "einsum", format!("{m} in {equation:?}"));
                Tensor::invalid(e.with_operands(shapes), &[], first.dtype(), first.device())
            }
        }
    }
}

#[track_caller]
fn contract_all(equation: Equation, operands: &[&Tensor]) -> Result<Tensor, String> {
    let output = equation.output;
    let labelled = equation.operands.into_iter().zip(operands);
    let mut rest: Vec<Labelled> = labelled
        .map(|(labels, tensor)| Labelled::new(tensor, labels))
        .collect::<Result<_, _>>()?;
    check_sizes(&rest)?;
    while rest.len() > 1 {
        let (i, j) = cheapest(&rest, &output);
        let b = rest.remove(j);
        let a = rest.remove(i);
        let keep = |l: &Label| output.contains(l) || rest.iter().any(|o| o.labels.contains(l));
        let product = a.contract(&b, &keep);
        if product.tensor.check().is_err() {
            return Ok(product.tensor);
        }
        rest.insert(i, product);
    }
    let last = rest.remove(0).sum_rest(|l| output.contains(l));
    Ok(if last.tensor.check().is_ok() {
        last.ordered(&output)
    } else {
        last.tensor
    })
}
