//! What the primitives of an attention have in common: scores of queries and keys as other operations, in f64, and as weights; rules for
//! derivatives and batches; sizes of samples. It must not know the primitives.

#[cfg(any(test, feature = "samples"))]
use super::SampleInput;
use super::{Derivative, Derive, Operand};
use crate::autodiff::pulled_back;
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// How queries and keys become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scores {
    /// Bits of the factor.
    scale: u64,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
}

impl Scores {
    /// The most features of queries, keys and values: what kernels hold of a row.
    pub const MAX_FEATURES: usize = 128;

    /// Scores `q · kᵀ · scale`.
    pub fn new(scale: f64, causal: bool) -> Scores {
        Scores {
            scale: scale.to_bits(),
            causal,
        }
    }

    /// The factor.
    pub fn scale(self) -> f64 {
        f64::from_bits(self.scale)
    }

    /// Whether a query may see no key by what is asked for, and then gives zeros.
    pub(super) fn hides(self, mask: bool, keys: usize) -> bool {
        self.causal || mask || keys == 0
    }

    /// The shape of the scores, or what is wrong.
    pub(super) fn shape(
        q: &[usize],
        k: &[usize],
        mask: Option<&[usize]>,
    ) -> Result<[usize; 4], String> {
        let (&[a, b, l, d], &[_, _, s, _]) = (q, k) else {
            return Err(format!("queries {q:?} and keys {k:?} need rank 4"));
        };
        if k != [a, b, s, d] {
            return Err(format!("queries {q:?} do not fit keys {k:?}"));
        }
        if d > Scores::MAX_FEATURES {
            return Err(format!(
                "{d} features are more than {}",
                Scores::MAX_FEATURES
            ));
        }
        let scores = [a, b, l, s];
        let spreads =
            |m: &[usize]| m.len() == 4 && m.iter().zip(scores).all(|(&m, n)| m == n || m == 1);
        match mask {
            Some(m) if !spreads(m) => Err(format!(
                "a mask {m:?} does not spread over scores {scores:?}"
            )),
            _ => Ok(scores),
        }
    }

    /// The dtype of floats, all the same, and of a mask.
    pub(super) fn dtype(floats: &[Operand], mask: Option<&Operand>) -> Result<DType, String> {
        let dtype = floats[0].dtype;
        if !dtype.is_float() || floats.iter().any(|x| x.dtype != dtype) {
            return Err("takes floats of one dtype".into());
        }
        match mask {
            Some(m) if m.dtype != DType::Bool && m.dtype != dtype => {
                Err(format!("a mask is bool or {dtype}, not {}", m.dtype))
            }
            _ => Ok(dtype),
        }
    }

    /// The scores by other operations; −∞ where nothing is seen.
    pub(super) fn recorded(self, q: &Tensor, k: &Tensor, mask: Option<&Tensor>) -> Tensor {
        self.recorded_from(q, k, mask, 0)
    }

    /// The same for queries from `first` on.
    pub(super) fn recorded_from(
        self,
        q: &Tensor,
        k: &Tensor,
        mask: Option<&Tensor>,
        first: usize,
    ) -> Tensor {
        let mut scores = (q * self.scale()).matmul(&k.mt());
        let nothing = scores.full_like(f64::NEG_INFINITY);
        scores = match mask {
            Some(m) if m.dtype() == DType::Bool => Tensor::where_(m, &scores, &nothing),
            Some(m) => scores + m,
            None => scores,
        };
        if self.causal {
            let shape = &scores.shape()[2..];
            let row = Tensor::iota_along(shape, 0, scores.device()) + first as i32;
            let seen = Tensor::iota_along(shape, 1, scores.device()).le(&row);
            scores = Tensor::where_(&seen, &scores, &nothing);
        }
        scores
    }

    /// The weights that these scores have by `rows`, `[a, b, l, 2 or more]`: see [`AttentionNormalizer`].
    pub(super) fn weights(self, scores: &Tensor, rows: &Tensor, mask: bool) -> Tensor {
        let below = scores - rows.narrow(-1, 0, 1) - rows.narrow(-1, 1, 1);
        if !self.hides(mask, scores.size(-1)) {
            return below.exp();
        }
        // The operand is masked too: −∞ must not meet a second derivative.
        let seen = scores.ne_scalar(f64::NEG_INFINITY);
        let below = Tensor::where_(&seen, &below, &scores.zeros_like());
        Tensor::where_(&seen, &below.exp(), &scores.zeros_like())
    }

    /// The scores in f64.
    pub(super) fn in_f64(self, q: &Array, k: &Array, mask: Option<&Array>) -> Array {
        let (l, s, d) = (q.shape[2], k.shape[2], q.shape[3]);
        let shape = [q.shape[0], q.shape[1], l, s];
        Array::from_index(&shape, DType::F32, |i| {
            let head = i[0] * shape[1] + i[1];
            let (q, k) = (
                &q.data[(head * l + i[2]) * d..][..d],
                &k.data[(head * s + i[3]) * d..][..d],
            );
            let score: f64 = q.iter().zip(k).map(|(q, k)| q * self.scale() * k).sum();
            if self.causal && i[3] > i[2] {
                return f64::NEG_INFINITY;
            }
            let at: Vec<usize> = mask
                .iter()
                .flat_map(|m| i.iter().zip(&m.shape).map(|(&i, &n)| i.min(n - 1)))
                .collect();
            match mask {
                Some(m) if m.dtype == DType::Bool && m.at(&at) == 0.0 => f64::NEG_INFINITY,
                Some(m) if m.dtype != DType::Bool => score + m.at(&at),
                _ => score,
            }
        })
    }
}

/// Greatest score and logarithm of the sum below it of a row in f64; `hides`: whether it may see nothing.
pub(super) fn row(scores: &[f64], hides: bool) -> (f64, f64) {
    let most =
        scores.iter().copied().fold(
            f64::NEG_INFINITY,
            |a, b| if a > b || a.is_nan() { a } else { b },
        );
    if most == f64::NEG_INFINITY {
        return if hides { (most, 0.0) } else { (f64::NAN, 0.0) };
    }
    (
        most,
        scores.iter().map(|s| (s - most).exp()).sum::<f64>().ln(),
    )
}

/// What a rule of several operations gives for the wanted operands: `f` recorded on copies of them, so that what one of them
/// depends on is not another, and differentiated there.
pub(super) fn through(
    cx: &Derive,
    upstream: &Tensor,
    f: impl Fn(&[Tensor]) -> Tensor,
) -> Derivative {
    let copies: Vec<Tensor> = cx.inputs.iter().map(super::barrier::on).collect();
    let wanted: Vec<usize> = (0..copies.len()).filter(|&i| cx.wants(i)).collect();
    let inputs: Vec<&Tensor> = wanted.iter().map(|&i| &copies[i]).collect();
    let mut list = vec![None; copies.len()];
    match pulled_back(&f(&copies), &inputs, upstream) {
        Ok(gradients) => wanted
            .into_iter()
            .zip(gradients)
            .for_each(|(i, g)| list[i] = g),
        // An invalid gradient is the outer gradient's error.
        Err(e) => wanted.into_iter().for_each(|i| {
            let x = &cx.inputs[i];
            list[i] = Some(Tensor::invalid(e.clone(), x.shape(), x.dtype(), x.device()));
        }),
    }
    Derivative::Of(list)
}

/// Operands with one dimension more, as a batch of heads: `[n, a, b, …]` as `[n · a, b, …]`.
pub(super) fn joined(x: &[Tensor]) -> Vec<Tensor> {
    // Dimensions of size 1 of a mask spread over all of the batch.
    let first = x[0].shape()[1];
    let join = |x: &Tensor| {
        let [n, a] = [x.shape()[0], x.shape()[1]];
        let mut wide = x.shape().to_vec();
        wide[1] = first;
        let x = if a == first {
            x.clone()
        } else {
            x.expand_to(&wide)
        };
        let mut shape = vec![n * first];
        shape.extend(&x.shape()[2..]);
        x.reshape_to(&shape)
    };
    x.iter().map(join).collect()
}

/// The result for a batch that was [`joined`], apart again.
pub(super) fn apart(y: &Tensor, n: usize) -> Tensor {
    let mut shape = vec![n, y.shape()[0].checked_div(n).unwrap_or(0)];
    shape.extend(&y.shape()[1..]);
    y.reshape_to(&shape)
}

/// Sizes and mask of a sample.
#[cfg(any(test, feature = "samples"))]
pub(super) struct Case {
    pub(super) scores: Scores,
    /// Batches, heads.
    pub(super) heads: [usize; 2],
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// Of queries and keys, and of values.
    pub(super) features: [usize; 2],
    mask: Option<([usize; 4], DType)>,
    pub(super) smooth: bool,
}

#[cfg(any(test, feature = "samples"))]
impl Case {
    /// Floats `[heads, length, features]`.
    pub(super) fn of(&self, length: usize, features: usize) -> SampleInput {
        SampleInput::f32(&[self.heads[0], self.heads[1], length, features], -1.0, 1.0)
    }

    /// Queries, keys and, for each of `values` lengths, values.
    pub(super) fn floats(&self, values: &[usize]) -> Vec<SampleInput> {
        let mut all = vec![
            self.of(self.queries, self.features[0]),
            self.of(self.keys, self.features[0]),
        ];
        all.extend(values.iter().map(|&n| self.of(n, self.features[1])));
        all
    }

    pub(super) fn mask(&self) -> Option<SampleInput> {
        self.mask.map(|(shape, dtype)| match dtype {
            DType::Bool => SampleInput::values(&shape, dtype, &[1.0, 0.0, 1.0, 1.0, 0.0]),
            _ => SampleInput::f32(&shape, -1.0, 1.0),
        })
    }
}

/// Plain, causal, masked; one row, no row, no key; more than a block.
#[cfg(any(test, feature = "samples"))]
pub(super) fn sample_cases() -> Vec<Case> {
    let case = |heads, [queries, keys]: [usize; 2], features, scale, causal| Case {
        scores: Scores::new(scale, causal),
        heads,
        queries,
        keys,
        features,
        mask: None,
        smooth: true,
    };
    let masked = |case: Case, shape, dtype| Case {
        mask: Some((shape, dtype)),
        ..case
    };
    let special = |case: Case| Case {
        smooth: false,
        ..case
    };
    vec![
        case([1, 1], [3, 4], [2, 3], 0.7, false),
        case([2, 2], [4, 3], [3, 2], 0.5, true),
        masked(
            case([2, 1], [3, 5], [2, 2], 1.0, false),
            [2, 1, 3, 5],
            DType::Bool,
        ),
        masked(
            case([1, 2], [3, 2], [2, 1], 1.5, false),
            [1, 2, 1, 2],
            DType::F32,
        ),
        masked(
            case([2, 1], [2, 3], [1, 2], 1.0, true),
            [1, 1, 2, 1],
            DType::F32,
        ),
        case([1, 1], [1, 1], [1, 1], 2.0, false),
        special(case([1, 2], [70, 133], [17, 5], 0.3, false)),
        special(case([1, 1], [130, 66], [33, 40], 0.2, true)),
        special(masked(
            case([1, 1], [65, 129], [8, 8], 0.4, false),
            [1, 1, 65, 129],
            DType::F32,
        )),
        special(masked(
            case([1, 1], [5, 3], [2, 2], 1.0, false),
            [1, 1, 5, 1],
            DType::Bool,
        )),
        special(case([1, 1], [3, 40], [128, 128], 0.1, true)),
        special(case([1, 2], [3, 0], [2, 2], 1.0, false)),
        special(case([1, 2], [0, 3], [2, 2], 1.0, false)),
        special(case([1, 1], [2, 3], [0, 2], 1.0, false)),
    ]
}
