//! Keys and values of the tokens that were seen, for generating one token after the other. A buffer of fixed size: every
//! token then has the same plan. Knows no parameters.

use wgrad_graph::{Error, ErrorKind, Result, Tensor};

/// Keys and values of one attention layer, `[batch, heads of keys, capacity, features]`.
#[derive(Clone, Default)]
pub struct KvCache {
    held: Option<[Tensor; 2]>,
    capacity: usize,
    len: usize,
}

impl KvCache {
    /// Room for `capacity` tokens, none of them there.
    ///
    /// ```
    /// let cache = wgrad_nn::KvCache::new(8);
    /// assert_eq!((cache.len(), cache.capacity()), (0, 8));
    /// ```
    pub fn new(capacity: usize) -> KvCache {
        KvCache {
            held: None,
            capacity,
            len: 0,
        }
    }

    /// Tokens that are there.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is there.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that have room.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds keys and values `[batch, heads, new, features]`. Gives those of the whole buffer and what the new queries see
    /// of it, `[new, capacity]`; `position` is the number of tokens before, as a tensor.
    #[track_caller]
    pub(crate) fn extend(
        &mut self,
        key: &Tensor,
        value: &Tensor,
        position: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        key.check()?;
        value.check()?;
        let new = key.size(2);
        if new == 0 || self.len + new > self.capacity {
            let m = format!(
                "{new} tokens after {} do not fit into a cache of {}",
                self.len, self.capacity
            );
            return Err(Error::new(ErrorKind::Value, "kv_cache", m));
        }
        let at = Tensor::arange(self.capacity, key.device());
        let from = &at - position;
        let fresh = from
            .ge_scalar(0.0)
            .logical_and(&from.lt_scalar(new as f64))
            .reshape(&[-1, 1]);
        let source = from.clamp(0.0, new as f64 - 1.0);
        let mut held = Vec::with_capacity(2);
        for (i, t) in [key, value].into_iter().enumerate() {
            let wide = match new {
                1 => t.clone(),
                _ => t.index_select(2, &source),
            };
            let mut shape = t.shape().to_vec();
            shape[2] = self.capacity;
            let old = match &self.held {
                Some(held) if held[i].shape() == shape => held[i].clone(),
                Some(held) => {
                    let m = format!("{shape:?} does not continue {:?}", held[i].shape());
                    return Err(Error::new(ErrorKind::Shape, "kv_cache", m));
                }
                None => Tensor::zeros(&shape, t.dtype(), t.device()),
            };
            held.push(Tensor::where_(&fresh, &wide, &old));
        }
        let row = Tensor::arange(new, key.device()) + position;
        let seen = at.reshape(&[1, -1]).le(&row.reshape(&[-1, 1]));
        self.len += new;
        self.held = Some([held[0].clone(), held[1].clone()]);
        Ok((held[0].clone(), held[1].clone(), seen))
    }
}

/// The caches of a model's layers, all of them with the same tokens.
///
/// ```
/// use wgrad_nn::Cache;
/// let cache = Cache::new(12, 64);
/// assert_eq!((cache.len(), cache.tensors().len()), (0, 0));
/// ```
#[derive(Clone, Default)]
pub struct Cache {
    /// One for each layer.
    pub layers: Vec<KvCache>,
}

impl Cache {
    /// Room for `capacity` tokens in each of `layers` layers.
    pub fn new(layers: usize, capacity: usize) -> Cache {
        Cache {
            layers: vec![KvCache::new(capacity); layers],
        }
    }

    /// Tokens that are there.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, KvCache::len)
    }

    /// Whether no token is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All keys and values: to be evaluated with the result of a step, so that they are not computed again.
    pub fn tensors(&self) -> Vec<&Tensor> {
        self.layers.iter().flat_map(|l| &l.held).flatten().collect()
    }

    /// Computes keys and values and forgets how, so that a long text does not keep what its beginning was computed of.
    ///
    /// # Errors
    /// They cannot be computed.
    pub(crate) fn settle(&mut self) -> Result<()> {
        for held in self.layers.iter_mut().flat_map(|l| &mut l.held) {
            for t in held {
                *t = t.detach()?;
            }
        }
        Ok(())
    }

    /// The tokens of these rows of the batch (integers), in this order: what a beam search goes on with.
    #[track_caller]
    pub fn reorder(&mut self, rows: &Tensor) {
        for held in self.layers.iter_mut().flat_map(|l| &mut l.held) {
            for t in held {
                *t = t.index_select(0, rows);
            }
        }
    }
}
