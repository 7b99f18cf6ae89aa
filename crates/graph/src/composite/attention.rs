//! Scaled dot-product attention (Vaswani et al. 2017), stable and with rows that attend to nothing.

use crate::dtype::DType;
use crate::in_f32;
use crate::ops::attention::Attention as FusedAttention;
use crate::ops::attention_scores::Scores;
use crate::tensor::Tensor;

/// Optional arguments of [`Tensor::scaled_dot_product_attention`].
#[derive(Clone, Default)]
pub struct AttentionOptions {
    /// Broadcasts to `[…, queries, keys]`: truth values say what takes part, numbers are added to the scores.
    pub attn_mask: Option<Tensor>,
    /// Whether query `i` sees keys `0..=i` only, of those that a mask lets it see.
    pub is_causal: bool,
    /// Factor of the scores; `1 / √features`.
    pub scale: Option<f64>,
    /// Whether several heads of queries (dimension −3) share one head of keys and values.
    pub enable_gqa: bool,
}

impl AttentionOptions {
    /// With a mask.
    pub fn attn_mask(self, mask: &Tensor) -> Self {
        AttentionOptions {
            attn_mask: Some(mask.clone()),
            ..self
        }
    }

    /// Causal or not.
    pub fn is_causal(self, is_causal: bool) -> Self {
        AttentionOptions { is_causal, ..self }
    }

    /// With another factor.
    pub fn scale(self, scale: f64) -> Self {
        AttentionOptions {
            scale: Some(scale),
            ..self
        }
    }

    /// With heads of keys shared or not.
    pub fn enable_gqa(self, enable_gqa: bool) -> Self {
        AttentionOptions { enable_gqa, ..self }
    }
}

impl Tensor {
    /// `softmax(q · kᵀ · scale + mask) · v`: `self` the queries `[…, queries, features]`, keys
    /// `[…, keys, features]`, values `[…, keys, value features]`. A query that sees no key gives zeros.
    ///
    /// Where the scores would take more than 64 MiB this is one operation that never has more of them than a block, and computes
    /// them again for the gradients ([`ops::attention`](crate::ops::attention)): memory then grows with the length and not with
    /// its square. Values that are not finite may then reach queries that do not see them. What the operation does not do
    /// (more than 128 features) is computed for a block of queries at a time, causal ones for no more keys than the block
    /// sees, and again for the gradients (Rabe and Staats 2021, "Self-attention does not need O(n²) memory"). Derivatives of that
    /// operation's gradients (second ones, and forward mode) have all scores in memory.
    ///
    /// ```
    /// # use wgrad_graph::{AttentionOptions, Device, Tensor};
    /// let d = Device::cpu();
    /// let q = Tensor::from_slice(&[0.0f32, 0.0], &[2, 1], &d);
    /// let v = Tensor::from_slice(&[1.0f32, 3.0], &[2, 1], &d);
    /// let y = q.scaled_dot_product_attention(&q, &v, &AttentionOptions::default().is_causal(true));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions,
    ) -> Tensor {
        let op = "scaled_dot_product_attention";
        in_f32!([self, key, value, options.attn_mask.as_ref()] => |x, key, value, mask| {
            let options = AttentionOptions { attn_mask: mask.clone(), ..options.clone() };
            x.scaled_dot_product_attention(key, value, &options)
        });
        if self.rank() < 2 || key.rank() < 2 || value.rank() < 2 {
            return self.fail_with(key, op, "operands need at least [length, features]");
        }
        let (key, value) = if options.enable_gqa {
            (key.shared_heads(op, self), value.shared_heads(op, self))
        } else {
            (key.clone(), value.clone())
        };
        // What could not be shared among heads has no rank to go by.
        let mask = options.attn_mask.as_ref();
        let mut operands = [self, &key, &value].into_iter().chain(mask);
        if let Some(bad) = operands.find(|t| t.check().is_err()) {
            return bad.clone();
        }
        let scale = options
            .scale
            .unwrap_or_else(|| (self.size(-1) as f64).sqrt().recip());
        // One rank, so that a batch is cut alike in all of them.
        let ranks = [self, &key, &value].into_iter().chain(mask);
        let rank = ranks.map(Tensor::rank).max().unwrap_or(0);
        let attention = Attention {
            query: self.to_float().with_rank(rank),
            key: key.to_float().with_rank(rank),
            value: value.to_float().with_rank(rank),
            mask: mask.map(|mask| mask.with_rank(rank)),
            first: options.is_causal.then_some(0),
            scale,
        };
        match attention.worth_fusing().then(|| attention.fused()) {
            Some(Some(fused)) => fused,
            _ => attention.within(LARGEST_SCORES),
        }
    }

    /// With leading dimensions of size 1.
    #[track_caller]
    fn with_rank(&self, rank: usize) -> Tensor {
        if self.rank() >= rank || self.check().is_err() {
            return self.clone();
        }
        let mut shape = vec![1; rank - self.rank()];
        shape.extend(self.shape());
        self.reshape_to(&shape)
    }

    /// Softmax along the last dimension; zeros where all is −∞.
    #[track_caller]
    fn safe_softmax(&self) -> Tensor {
        let most = self.amax_dims(&[-1], true).stop_gradient();
        let most = Tensor::where_(
            &most.eq_scalar(f64::NEG_INFINITY),
            &most.zeros_like(),
            &most,
        );
        // The operand is masked too: −∞ must not meet the second derivative.
        let seen = self.ne_scalar(f64::NEG_INFINITY);
        let below = Tensor::where_(&seen, &(self - most), &self.zeros_like());
        let e = Tensor::where_(&seen, &below.exp(), &self.zeros_like());
        let sum = e.sum_dims(&[-1], true);
        let none = sum.eq_scalar(0.0);
        e / Tensor::where_(&none, &sum.ones_like(), &sum)
    }

    /// Heads (dimension −3) repeated one by one, as many as the queries have.
    #[track_caller]
    fn shared_heads(&self, op: &str, query: &Tensor) -> Tensor {
        let (have, want, rank) = (self.size(-3), query.size(-3), self.rank());
        if rank < 3 || query.rank() < 3 || have == 0 || !want.is_multiple_of(have) {
            return self.fail(
                op,
                format!("{have} heads of keys or values do not divide {want} of queries"),
            );
        }
        let mut wide = self.shape().to_vec();
        wide.insert(rank - 2, want / have);
        let mut to = self.shape().to_vec();
        to[rank - 3] = want;
        self.unsqueeze(-3).expand_to(&wide).reshape_to(&to)
    }
}

/// True where the column is not after the row, if rows are counted from `first`.
#[track_caller]
fn causal(scores: &Tensor, first: usize) -> Tensor {
    let shape = &scores.shape()[scores.rank() - 2..];
    let row = Tensor::iota_along(shape, 0, scores.device());
    let row = if first == 0 { row } else { row + first as i32 };
    Tensor::iota_along(shape, 1, scores.device()).le(&row)
}

/// `[…, rows, columns]` as `[a, b, rows, columns]` for all of a batch.
#[track_caller]
fn heads_of(t: &Tensor, batch: &[usize]) -> Tensor {
    let matrix = &t.shape()[t.rank() - 2..];
    let wide = [batch, matrix].concat();
    let last = batch.last().copied().unwrap_or(1);
    let first = batch[..batch.len().saturating_sub(1)].iter().product();
    t.expand_to(&wide)
        .reshape_to(&[first, last, matrix[0], matrix[1]])
}

/// A mask as the operation takes it, `[a or 1, b or 1, queries or 1, keys or 1]`, if it spreads over the scores.
#[track_caller]
fn spread_mask(mask: &Tensor, batch: &[usize], scores: [usize; 2]) -> Option<Tensor> {
    let sizes = [mask.size(-2), mask.size(-1)];
    if !sizes.iter().zip(scores).all(|(&m, n)| m == n || m == 1) {
        return None;
    }
    let mask = match mask.dtype() {
        DType::Bool => mask.clone(),
        _ => mask.cast(DType::F32),
    };
    let mut own = mask.shape()[..mask.rank() - 2].to_vec();
    // The last dimension of a batch stays as it is, and so does the one before it if there are two; more become one, whole.
    let joined = own.len().saturating_sub(1);
    if joined > 1 && own[..joined].iter().any(|&n| n != 1) {
        own[..joined].copy_from_slice(&batch[..joined]);
    }
    Some(heads_of(&mask, &own))
}

/// Bytes of scores that are computed at once, at most: half of what WebGPU binds by default.
const LARGEST_SCORES: usize = 64 << 20;

/// A block of queries is no shorter than this where there are heads or batches to cut instead.
const FEWEST_QUERIES: usize = 64;

/// Queries that look up values by keys, all of one rank.
#[derive(Clone)]
struct Attention {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Option<Tensor>,
    /// If it is causal, the place of the first query among the keys.
    first: Option<usize>,
    /// Factor of the scores.
    scale: f64,
}

impl Attention {
    /// Bytes of the scores of one query in all heads, if batches fit.
    fn bytes_of_query(&self) -> Option<usize> {
        let mut batch = Vec::new();
        for t in [&self.query, &self.key].into_iter().chain(&self.mask) {
            batch = crate::shape::broadcast(&batch, &t.shape()[..t.rank() - 2]).ok()?;
        }
        let heads = batch.iter().fold(1, |n: usize, &m| n.saturating_mul(m));
        Some(heads.saturating_mul(self.key.size(-2)).saturating_mul(4))
    }

    /// Whether scores are computed block by block within one operation: where the composition would cut them into blocks of queries
    /// that the gradient computes again. Below that the composition keeps its weights, six products instead of seven; whether the
    /// operation is faster there all the same, as on the cpu it may be where attention is causal, has not been settled.
    fn worth_fusing(&self) -> bool {
        let queries = self.query.size(-2);
        let bytes = self.bytes_of_query();
        bytes.is_some_and(|bytes| bytes.saturating_mul(queries) > LARGEST_SCORES)
    }

    /// The result as one operation, if it is one.
    #[track_caller]
    fn fused(&self) -> Option<Tensor> {
        let (q, k, v) = (&self.query, &self.key, &self.value);
        let floats = [q, k, v]
            .iter()
            .all(|t| t.dtype() == DType::F32 && t.check().is_ok());
        let [features, values] = [q.size(-1), v.size(-1)];
        let small = features.max(values) <= Scores::MAX_FEATURES;
        let agree = k.size(-1) == features && k.size(-2) == v.size(-2);
        if !floats || !small || !agree || self.first.is_some_and(|first| first != 0) {
            return None;
        }
        let lead = |t: &Tensor| t.shape()[..t.rank() - 2].to_vec();
        let mut batch = lead(q);
        for t in [k, v].into_iter().chain(&self.mask) {
            batch = crate::shape::broadcast(&batch, &lead(t)).ok()?;
        }
        let scores = [q.size(-2), k.size(-2)];
        let mask = match &self.mask {
            Some(mask) => Some(spread_mask(mask, &batch, scores)?),
            None => None,
        };
        let operands = [q, k, v].map(|t| heads_of(t, &batch));
        let operands: Vec<&Tensor> = operands.iter().chain(&mask).collect();
        let scores = Scores::new(self.scale, self.first.is_some());
        let out = Tensor::record(FusedAttention { scores }, &operands);
        batch.extend([q.size(-2), values]);
        Some(out.reshape_to(&batch))
    }

    /// The result, by scores of no more than `largest` bytes at once as far as queries and batches can be cut.
    #[track_caller]
    fn within(&self, largest: usize) -> Tensor {
        let queries = self.query.size(-2);
        let of_query = match self.bytes_of_query() {
            Some(bytes) if bytes.saturating_mul(queries) > largest => bytes,
            _ => return self.whole(),
        };
        if self.query.check().is_err() {
            return self.whole();
        }
        let rows = (largest / of_query).clamp(1, queries);
        // A half of one would be the whole again.
        let several = self.first_of_batch().1 > 1;
        let blocks: Vec<Tensor> = if rows < FEWEST_QUERIES && several {
            let [a, b] = self.halves();
            vec![a.within(largest), b.within(largest)]
        } else {
            let starts = (0..queries).step_by(rows);
            let block = |at: usize| self.queries(at, rows.min(queries - at));
            starts
                .map(|at| crate::checkpoint(|| block(at).whole()))
                .collect()
        };
        let dim = if rows < FEWEST_QUERIES && several {
            0
        } else {
            -2
        };
        Tensor::cat(&blocks.iter().collect::<Vec<_>>(), dim)
    }

    /// The greatest rank, and the size of the first of the batch's dimensions.
    fn first_of_batch(&self) -> (usize, usize) {
        let tensors = [&self.query, &self.key, &self.value].into_iter();
        let all: Vec<&Tensor> = tensors.chain(&self.mask).collect();
        let rank = all.iter().map(|t| t.rank()).max().unwrap_or(0);
        let widest = all.iter().filter(|t| rank > 2 && t.rank() == rank);
        (rank, widest.map(|t| t.size(0)).max().unwrap_or(1))
    }

    /// For the two halves of the first of the batch's dimensions.
    #[track_caller]
    fn halves(&self) -> [Attention; 2] {
        let (rank, n) = self.first_of_batch();
        let halves = [(0, n / 2), (n / 2, n - n / 2)];
        halves.map(|(at, len)| {
            let cut = |t: &Tensor| match t.rank() == rank && t.size(0) == n {
                true => t.narrow(0, at, len),
                false => t.clone(),
            };
            Attention {
                query: cut(&self.query),
                key: cut(&self.key),
                value: cut(&self.value),
                mask: self.mask.as_ref().map(cut),
                ..*self
            }
        })
    }

    /// For `n` of the queries from `at` on.
    #[track_caller]
    fn queries(&self, at: usize, n: usize) -> Attention {
        let keys = self.key.size(-2);
        let seen = match self.first {
            Some(first) => (first + at + n).min(keys),
            None => keys,
        };
        // What is the same for all of them stays as it is.
        let cut_mask = |mask: &Tensor| {
            let rows = match mask.size(-2) {
                1 => mask.clone(),
                _ => mask.narrow(-2, at, n),
            };
            match rows.size(-1) == keys {
                true => rows.narrow(-1, 0, seen),
                false => rows,
            }
        };
        Attention {
            query: self.query.narrow(-2, at, n),
            key: self.key.narrow(-2, 0, seen),
            value: self.value.narrow(-2, 0, seen),
            mask: self.mask.as_ref().map(cut_mask),
            first: self.first.map(|first| first + at),
            scale: self.scale,
        }
    }

    /// By all scores at once.
    #[track_caller]
    fn whole(&self) -> Tensor {
        let scores = (&self.query * self.scale).matmul(&self.key.t());
        if scores.check().is_err() {
            return scores;
        }
        if self.mask.is_none() && self.first.is_none() && scores.size(-1) > 0 {
            // Every query sees every key.
            return scores.softmax(-1).matmul(&self.value);
        }
        let never = |scores: &Tensor| scores.full_like(f64::NEG_INFINITY);
        let mut scores = match &self.mask {
            Some(m) if m.dtype() == DType::Bool => Tensor::where_(m, &scores, &never(&scores)),
            Some(m) => scores + m,
            None => scores,
        };
        if let Some(first) = self.first {
            scores = Tensor::where_(&causal(&scores, first), &scores, &never(&scores));
        }
        scores.safe_softmax().matmul(&self.value)
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;
    use crate::{Device, Generator, grad};

    fn attention(shape: &[usize], keys: usize, device: &Device) -> Attention {
        let mut rng = Generator::new(3);
        let mut of = |length: usize, features: usize| {
            let mut shape = shape.to_vec();
            let rank = shape.len();
            (shape[rank - 2], shape[rank - 1]) = (length, features);
            rng.uniform(&shape, device).detach().expect("numbers")
        };
        let [queries, features] = [shape[shape.len() - 2], shape[shape.len() - 1]];
        Attention {
            query: of(queries, features),
            key: of(keys, features),
            value: of(keys, 3),
            mask: None,
            first: None,
            scale: 1.0,
        }
    }

    /// The result, and the gradients of queries, keys and values.
    fn computed(a: &Attention, largest: usize) -> Vec<Vec<f32>> {
        let y = a.within(largest);
        let all = grad(&(&y * &y).sum(), &[&a.query, &a.key, &a.value]).expect("gradients");
        let all = std::iter::once(&y).chain(&all);
        all.map(|t| t.to_vec::<f32>().expect("values")).collect()
    }

    #[track_caller]
    fn same_in_blocks(a: &Attention) {
        let want = computed(a, usize::MAX);
        for largest in [1, 150, 700, 3000] {
            for (got, want) in computed(a, largest).iter().zip(&want) {
                let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * (1.0 + b.abs());
                assert_eq!(got.len(), want.len());
                assert!(
                    got.iter().zip(want).all(close),
                    "{largest}: {got:?}\n{want:?}"
                );
            }
        }
    }

    #[test]
    fn blocks_of_queries_give_the_same() {
        for device in [Device::cpu(), Device::reference()] {
            same_in_blocks(&attention(&[7, 4], 9, &device));
            same_in_blocks(&attention(&[3, 2, 6, 4], 5, &device));
            for (shape, keys) in [(vec![2, 7, 4], 7), (vec![6, 4], 4), (vec![4, 4], 6)] {
                let causal = Attention {
                    first: Some(0),
                    ..attention(&shape, keys, &device)
                };
                same_in_blocks(&causal);
            }
            let mut rng = Generator::new(5);
            for shape in [vec![6, 5], vec![3, 1, 6, 5], vec![1, 5], vec![2, 6, 1]] {
                let mask = rng.uniform(&shape, &device).detach().expect("numbers");
                for mask in [mask.clone(), mask.gt_scalar(0.4)] {
                    same_in_blocks(&Attention {
                        mask: Some(mask),
                        ..attention(&[3, 2, 6, 4], 5, &device)
                    });
                }
            }
        }
    }

    /// What sees by a mask and by causality sees by both.
    #[test]
    fn masks_and_causality_are_joined() {
        let device = Device::cpu();
        let mut rng = Generator::new(5);
        for shape in [vec![6, 5], vec![3, 1, 6, 5], vec![1, 5], vec![2, 6, 1]] {
            let added = rng.uniform(&shape, &device).detach().expect("numbers");
            let seen = added.gt_scalar(0.4);
            let both = Attention {
                mask: Some(seen.clone()),
                first: Some(0),
                ..attention(&[3, 2, 6, 4], 5, &device)
            };
            same_in_blocks(&both);
            let row = Tensor::iota_along(&[6, 5], 0, &device);
            let past = Tensor::iota_along(&[6, 5], 1, &device).le(&row);
            let joined = Attention {
                mask: Some(seen.logical_and(&past)),
                first: None,
                ..both.clone()
            };
            assert_eq!(computed(&both, usize::MAX), computed(&joined, usize::MAX));
            let fused = both.fused().expect("one operation");
            let got = fused.to_vec::<f32>().expect("values");
            let want = both.whole().to_vec::<f32>().expect("values");
            assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5));
            same_in_blocks(&Attention {
                mask: Some(added),
                ..both
            });
        }
    }

    /// A mask is not spread over dimensions of a batch that it is the same for, but where they become one with others.
    #[test]
    fn masks_stay_small() {
        let device = Device::cpu();
        let of = |lead: &[usize]| {
            let mask = Tensor::ones(&[lead, &[5, 6]].concat(), DType::F32, &device);
            spread_mask(&mask, &[2, 3, 4], [5, 6]).map(|m| m.shape().to_vec())
        };
        assert_eq!(of(&[1, 1, 1]), Some(vec![1, 1, 5, 6]));
        assert_eq!(of(&[1, 1, 4]), Some(vec![1, 4, 5, 6]));
        assert_eq!(of(&[2, 1, 1]), Some(vec![6, 1, 5, 6]));
        let mask = Tensor::ones(&[64, 1, 5, 6], DType::F32, &device);
        let a = Attention {
            mask: Some(mask),
            ..attention(&[1, 1, 5, 4], 6, &device)
        };
        assert_eq!(a.bytes_of_query(), Some(64 * 6 * 4));
    }

    #[test]
    fn batches_of_unequal_ranks_are_cut_alike() {
        let device = Device::cpu();
        let mut rng = Generator::new(3);
        let mut of = |shape: &[usize]| rng.uniform(shape, &device).detach().expect("numbers");
        let (q, k) = (of(&[64, 80, 1]), of(&[64, 8192, 1]));
        let (v, mask) = (of(&[64, 8192, 1]), of(&[2, 1, 80, 8192]));
        let run = |v: &Tensor, mask: Option<&Tensor>| {
            let options = AttentionOptions {
                attn_mask: mask.cloned(),
                ..AttentionOptions::default()
            };
            q.scaled_dot_product_attention(&k, v, &options)
        };
        let values = |t: &Tensor| t.to_vec::<f32>().expect("values");
        let wide = run(&v.unsqueeze(0), None);
        assert_eq!(wide.shape(), [1, 64, 80, 1]);
        assert_eq!(values(&wide), values(&run(&v, None)));
        let both = run(&v, Some(&mask));
        assert_eq!(both.shape(), [2, 64, 80, 1]);
        let second = run(&v, Some(&mask.select(0, 1)));
        assert_eq!(values(&both.select(0, 1)), values(&second));
    }

    #[test]
    fn long_sequences_take_memory_by_their_length() {
        let temps = |length: usize, largest: usize| {
            let device = Device::cpu();
            let a = attention(&[length, 64], length, &device);
            let y = a.within(largest);
            let all = grad(&(&y * &y).sum(), &[&a.query, &a.key, &a.value]).expect("gradients");
            let results: Vec<&Tensor> = all.iter().collect();
            let plan = crate::passes::tests::planned(&results);
            plan.temps.iter().sum::<usize>()
        };
        let (whole, blocks) = (temps(4096, usize::MAX), temps(4096, 4 << 20));
        eprintln!(
            "{whole} {blocks} {} {}",
            temps(8192, 4 << 20),
            temps(16384, 4 << 20)
        );
        // Probabilities for all queries and keys alone take 64 MiB.
        assert!(whole > 64 << 20 && blocks < 32 << 20, "{whole} {blocks}");
        assert!(temps(8192, 4 << 20) < 2 * blocks);
    }
}
