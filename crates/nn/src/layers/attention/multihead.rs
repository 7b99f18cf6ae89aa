//! The attention layer itself: projections, heads, and the way back.

use super::heads::{self, Heads};
use super::{AttentionMasks, KvCache, fail};
use crate::layers::positions::RotaryEmbedding;
use crate::{Context, Linear, Module, init};
use wgrad_graph::{Device, ErrorKind, Generator, Tensor};

/// Optional arguments of [`MultiheadAttention`].
#[derive(Clone, Debug, PartialEq, Module)]
#[module(crate = crate)]
pub struct MultiheadAttentionOptions {
    /// Probability that a weight is dropped in training; 0.
    pub dropout: f64,
    /// Adds biases; true.
    pub bias: bool,
    /// Sequences are `[batch, length, features]`, not `[length, batch, features]`; false.
    pub batch_first: bool,
    /// Features of keys, if not those of queries.
    pub kdim: Option<usize>,
    /// Features of values, if not those of queries.
    pub vdim: Option<usize>,
    /// Heads of keys and values, each shared by several of queries; as many as there are.
    pub num_kv_heads: Option<usize>,
    /// Turns queries and keys by their positions.
    pub rotary: Option<RotaryEmbedding>,
}

impl Default for MultiheadAttentionOptions {
    fn default() -> MultiheadAttentionOptions {
        MultiheadAttentionOptions {
            dropout: 0.0,
            bias: true,
            batch_first: false,
            kdim: None,
            vdim: None,
            num_kv_heads: None,
            rotary: None,
        }
    }
}

impl MultiheadAttentionOptions {
    /// With dropout of weights.
    pub fn dropout(self, dropout: f64) -> Self {
        MultiheadAttentionOptions { dropout, ..self }
    }

    /// With or without biases.
    pub fn bias(self, bias: bool) -> Self {
        MultiheadAttentionOptions { bias, ..self }
    }

    /// Sequences are `[batch, length, features]`.
    pub fn batch_first(self, batch_first: bool) -> Self {
        MultiheadAttentionOptions {
            batch_first,
            ..self
        }
    }

    /// With keys of other features.
    pub fn kdim(self, kdim: usize) -> Self {
        MultiheadAttentionOptions {
            kdim: Some(kdim),
            ..self
        }
    }

    /// With values of other features.
    pub fn vdim(self, vdim: usize) -> Self {
        MultiheadAttentionOptions {
            vdim: Some(vdim),
            ..self
        }
    }

    /// With heads of keys and values that queries share.
    pub fn num_kv_heads(self, num_kv_heads: usize) -> Self {
        MultiheadAttentionOptions {
            num_kv_heads: Some(num_kv_heads),
            ..self
        }
    }

    /// With rotary positions.
    pub fn rotary(self, rotary: RotaryEmbedding) -> Self {
        MultiheadAttentionOptions {
            rotary: Some(rotary),
            ..self
        }
    }
}

/// Attention by several heads, each on features of its own. Parameters are PyTorch's: `in_proj_weight
/// [3 · embed, embed]` (with shared heads fewer rows), or `q_proj_weight`, `k_proj_weight` and `v_proj_weight` where keys or
/// values have other features; `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct MultiheadAttention {
    /// Of queries, keys and values, below each other.
    pub in_proj_weight: Option<Tensor>,
    /// `[embed, embed]`.
    pub q_proj_weight: Option<Tensor>,
    /// `[embed of keys, kdim]`.
    pub k_proj_weight: Option<Tensor>,
    /// `[embed of keys, vdim]`.
    pub v_proj_weight: Option<Tensor>,
    /// Of queries, keys and values, one after the other.
    pub in_proj_bias: Option<Tensor>,
    /// Of all heads' results.
    pub out_proj: Linear,
    embed_dim: usize,
    num_heads: usize,
    options: MultiheadAttentionOptions,
}

/// What a query meets.
struct Given<'a> {
    query: &'a Tensor,
    key: &'a Tensor,
    value: &'a Tensor,
    masks: &'a AttentionMasks,
}

impl MultiheadAttention {
    /// With PyTorch's first values. Heads that do not divide the features make every result an error.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, Module, MultiheadAttention, MultiheadAttentionOptions};
    /// let device = Device::cpu();
    /// let options = MultiheadAttentionOptions::default().batch_first(true);
    /// let attention = MultiheadAttention::new(8, 2, &options, &mut Generator::new(0), &device);
    /// assert_eq!(attention.num_parameters(), 4 * (8 * 8 + 8));
    /// let x = Tensor::ones(&[3, 5, 8], DType::F32, &device);
    /// let y = attention.forward(&x, &x, &x, &AttentionMasks::causal(), &mut Context::eval());
    /// assert_eq!(y.shape(), [3, 5, 8]);
    /// ```
    #[track_caller]
    pub fn new(
        embed_dim: usize,
        num_heads: usize,
        options: &MultiheadAttentionOptions,
        rng: &mut Generator,
        device: &Device,
    ) -> MultiheadAttention {
        let kv_heads = options.num_kv_heads.unwrap_or(num_heads);
        let of_keys = (embed_dim / num_heads.max(1)).saturating_mul(kv_heads);
        let (kdim, vdim) = (
            options.kdim.unwrap_or(embed_dim),
            options.vdim.unwrap_or(embed_dim),
        );
        let mut draw = |shape: [usize; 2]| Some(init::xavier_uniform(&shape, 1.0, rng, device));
        let rows = embed_dim.saturating_add(of_keys.saturating_mul(2));
        let [all, q, k, v] = if (kdim, vdim) == (embed_dim, embed_dim) {
            [draw([rows, embed_dim]), None, None, None]
        } else {
            let q = draw([embed_dim, embed_dim]);
            [None, q, draw([of_keys, kdim]), draw([of_keys, vdim])]
        };
        let out = Linear::new(embed_dim, embed_dim, rng, device);
        let zeros = |n: usize| options.bias.then(|| init::zeros(&[n], device));
        MultiheadAttention {
            in_proj_weight: all,
            q_proj_weight: q,
            k_proj_weight: k,
            v_proj_weight: v,
            in_proj_bias: zeros(rows),
            out_proj: Linear {
                bias: zeros(embed_dim),
                ..out
            },
            embed_dim,
            num_heads,
            options: options.clone(),
        }
    }

    /// What queries `[queries, batch, embed]` find among keys `[keys, batch, kdim]` with values `[keys, batch, vdim]`, of the
    /// queries' shape; `[batch, length, …]` of all of them if `batch_first`, and no batch anywhere if the query has none.
    #[track_caller]
    pub fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: &AttentionMasks,
        cx: &mut Context,
    ) -> Tensor {
        let given = Given {
            query,
            key,
            value,
            masks,
        };
        match self.heads(&given) {
            Ok(heads) => self.out(&heads.attend(cx), query),
            Err(bad) => bad,
        }
    }

    /// The same, and the weights averaged over the heads, `[batch, queries, keys]`: PyTorch's `need_weights`.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{AttentionMasks, Context, MultiheadAttention, MultiheadAttentionOptions};
    /// let (device, cx) = (Device::cpu(), &mut Context::eval());
    /// let attention = MultiheadAttention::new(4, 2, &MultiheadAttentionOptions::default(), &mut Generator::new(0), &device);
    /// let x = Tensor::ones(&[2, 1, 4], DType::F32, &device);
    /// let (_, weights) = attention.forward_with_weights(&x, &x, &x, &AttentionMasks::causal(), cx);
    /// assert_eq!(weights.to_vec::<f32>()?, [1.0, 0.0, 0.5, 0.5]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn forward_with_weights(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: &AttentionMasks,
        cx: &mut Context,
    ) -> (Tensor, Tensor) {
        let given = Given {
            query,
            key,
            value,
            masks,
        };
        match self.heads(&given) {
            Ok(heads) => {
                let (out, weights) = heads.attend_with_weights(cx);
                let weights = weights.mean_dims(&[1], false);
                let weights = match query.rank() {
                    2 => weights.squeeze(0),
                    _ => weights,
                };
                (self.out(&out, query), weights)
            }
            Err(bad) => (bad.clone(), bad),
        }
    }

    /// Causal attention of tokens that come after those in the cache, which keeps theirs too.
    ///
    /// ```
    /// use wgrad_graph::{DType, Device, Generator, Tensor};
    /// use wgrad_nn::{Context, KvCache, MultiheadAttention, MultiheadAttentionOptions};
    /// let (device, cx) = (Device::cpu(), &mut Context::eval());
    /// let options = MultiheadAttentionOptions::default().batch_first(true);
    /// let attention = MultiheadAttention::new(8, 2, &options, &mut Generator::new(0), &device);
    /// let mut cache = KvCache::new(4);
    /// let x = Tensor::ones(&[1, 3, 8], DType::F32, &device);
    /// attention.forward_cached(&x, &mut cache, cx);
    /// let y = attention.forward_cached(&x.narrow(1, 0, 1), &mut cache, cx);
    /// assert_eq!((y.shape(), cache.len()), (&[1, 1, 8][..], 4));
    /// assert!(attention.forward_cached(&x, &mut cache, cx).check().is_err()); // no room
    /// ```
    #[track_caller]
    pub fn forward_cached(&self, x: &Tensor, cache: &mut KvCache, cx: &mut Context) -> Tensor {
        let masks = AttentionMasks::none();
        let given = Given {
            query: x,
            key: x,
            value: x,
            masks: &masks,
        };
        let position = Tensor::new(&[cache.len() as i32], x.device());
        let heads = self.apart(&given).and_then(|heads| {
            let heads = self.turned(heads, Some(&position));
            match cache.extend(&heads.key, &heads.value, &position) {
                Ok((key, value, seen)) => Ok(Heads {
                    key,
                    value,
                    mask: Some(seen),
                    ..heads
                }),
                Err(e) => Err(fail(e.op(), e.kind(), e.message().into(), x)),
            }
        });
        match heads {
            Ok(heads) => self.out(&heads.attend(cx), x),
            Err(bad) => bad,
        }
    }

    /// Heads and their mask.
    #[track_caller]
    fn heads(&self, given: &Given) -> Result<Heads, Tensor> {
        let heads = self.turned(self.apart(given)?, None);
        let (q, k) = (&heads.query, &heads.key);
        let sizes = [q.size(0), q.size(1), q.size(2), k.size(2)];
        match given.masks.union(sizes) {
            Ok(mask) => Ok(Heads { mask, ..heads }),
            Err(e) => Err(fail(e.op(), e.kind(), e.message().into(), given.query)),
        }
    }

    /// Queries and keys turned by their positions, which begin at `first`.
    #[track_caller]
    fn turned(&self, heads: Heads, first: Option<&Tensor>) -> Heads {
        let Some(rotary) = &self.options.rotary else {
            return heads;
        };
        Heads {
            query: rotary.turn(&heads.query, first),
            key: rotary.turn(&heads.key, first),
            ..heads
        }
    }

    /// Why these operands do not fit.
    fn misfit(&self, given: &Given) -> Option<String> {
        let (embed, heads) = (self.embed_dim, self.num_heads);
        let kv_heads = self.options.num_kv_heads.unwrap_or(heads);
        if heads == 0 || !embed.is_multiple_of(heads) {
            return Some(format!("{heads} heads do not divide {embed} features"));
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let m = format!("{kv_heads} heads of keys do not divide {heads} of queries");
            return Some(m);
        }
        let features = [
            embed,
            self.options.kdim.unwrap_or(embed),
            self.options.vdim.unwrap_or(embed),
        ];
        let rank = given.query.rank();
        let operands = [
            ("query", given.query),
            ("key", given.key),
            ("value", given.value),
        ];
        for ((name, t), want) in operands.into_iter().zip(features) {
            let fits = (2..=3).contains(&rank) && t.rank() == rank && t.size(-1) == want;
            if !fits {
                return Some(format!("{name} {:?} has not {want} features", t.shape()));
            }
        }
        let batch = if self.options.batch_first { 0 } else { 1 };
        let (query, key, value) = (given.query, given.key, given.value);
        let batches = rank == 3 && query.size(batch) != key.size(batch);
        if batches || key.shape()[..rank - 1] != value.shape()[..rank - 1] {
            return Some(format!(
                "query {:?}, key {:?} and value {:?} do not fit",
                query.shape(),
                key.shape(),
                value.shape()
            ));
        }
        None
    }

    /// Projections, cut into heads.
    #[track_caller]
    fn apart(&self, given: &Given) -> Result<Heads, Tensor> {
        for t in [given.query, given.key, given.value] {
            if t.check().is_err() {
                return Err(t.clone());
            }
        }
        if let Some(message) = self.misfit(given) {
            let op = "multihead_attention";
            return Err(fail(op, ErrorKind::Shape, message, given.query));
        }
        let [q, k, v] = self.projections(given);
        let kv_heads = self.options.num_kv_heads.unwrap_or(self.num_heads);
        Ok(Heads {
            query: self.split(&q, self.num_heads),
            key: self.split(&k, kv_heads),
            value: self.split(&v, kv_heads),
            mask: None,
            first: given.masks.is_causal.then_some(0),
            dropout: self.options.dropout,
        })
    }

    #[track_caller]
    fn projections(&self, given: &Given) -> [Tensor; 3] {
        let heads = self.options.num_kv_heads.unwrap_or(self.num_heads);
        let (embed, of_keys) = (self.embed_dim, self.embed_dim / self.num_heads * heads);
        let rows = [(0, embed), (embed, of_keys), (embed + of_keys, of_keys)];
        let (query, key, value) = (given.query, given.key, given.value);
        if let Some(all) = &self.in_proj_weight
            && query.same(key)
            && key.same(value)
        {
            // One product, as all have the same operand.
            let y = query.linear(all, self.in_proj_bias.as_ref());
            return rows.map(|(at, n)| y.narrow(-1, at, n));
        }
        let own = [
            &self.q_proj_weight,
            &self.k_proj_weight,
            &self.v_proj_weight,
        ];
        let operands = [query, key, value];
        std::array::from_fn(|i| {
            let (at, n) = rows[i];
            let bias = self.in_proj_bias.as_ref().map(|b| b.narrow(0, at, n));
            match (&self.in_proj_weight, own[i]) {
                (Some(all), _) => operands[i].linear(&all.narrow(0, at, n), bias.as_ref()),
                (None, Some(weight)) => operands[i].linear(weight, bias.as_ref()),
                (None, None) => {
                    let m = "has no weight of its own".to_string();
                    fail("multihead_attention", ErrorKind::Value, m, operands[i])
                }
            }
        })
    }

    /// `[batch, heads, length, features]`.
    #[track_caller]
    fn split(&self, x: &Tensor, count: usize) -> Tensor {
        let x = match x.rank() {
            2 => x.unsqueeze(0),
            _ if self.options.batch_first => x.clone(),
            _ => x.transpose(0, 1),
        };
        heads::split(&x, count)
    }

    /// Heads `[batch, heads, length, features]` side by side, in the query's form, and the last product.
    #[track_caller]
    fn out(&self, y: &Tensor, query: &Tensor) -> Tensor {
        let y = heads::merge(y);
        let y = match query.rank() {
            2 => y.squeeze(0),
            _ if self.options.batch_first => y,
            _ => y.transpose(0, 1),
        };
        self.out_proj.forward(&y)
    }
}
