//! Attention by several heads (Vaswani et al. 2017), with PyTorch's parameters and masks, grouped queries (Ainslie et al.
//! 2023) and a cache of keys and values. The arithmetic of one head is `Tensor::scaled_dot_product_attention`.

mod cache;
pub(crate) mod heads;
mod masks;
mod multihead;

pub use cache::{Cache, KvCache};
pub use masks::AttentionMasks;
pub use multihead::{MultiheadAttention, MultiheadAttentionOptions};

use super::fail;
