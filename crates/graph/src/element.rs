//! Rust types that stand for elements.

use crate::dtype::DType;
use half::{bf16, f16};

/// A Rust type that a tensor can be made from and read into: `f32`, `f16`, `bf16`, `i32`, `u32`, `u8`, `bool`.
pub trait Element: Copy + Send + Sync + std::fmt::Debug + PartialEq + 'static {
    /// The dtype it stands for.
    const DTYPE: DType;

    /// Whether a tensor of `dtype` reads into it.
    fn fits(dtype: DType) -> bool {
        dtype == Self::DTYPE
    }

    /// The device's bytes of a slice.
    fn to_bytes(data: &[Self]) -> Vec<u8>;

    /// Elements from a device's bytes; at most `n`.
    fn from_bytes(bytes: &[u8], n: usize) -> Vec<Self>;

    /// The value in f64.
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($($t:ty => $dtype:ident, $to_f64:expr;)*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;

            fn to_bytes(data: &[Self]) -> Vec<u8> {
                bytemuck::cast_slice(data).to_vec()
            }

            fn from_bytes(bytes: &[u8], n: usize) -> Vec<Self> {
                let whole = bytes.len() / size_of::<Self>() * size_of::<Self>();
                let mut all = bytemuck::pod_collect_to_vec(&bytes[..whole]);
                all.truncate(n);
                all
            }

            fn to_f64(self) -> f64 {
                let f: fn($t) -> f64 = $to_f64;
                f(self)
            }
        }
    )*};
}

element! {
    f32 => F32, f64::from;
    f16 => F16, |v| v.to_f64();
    bf16 => BF16, |v| v.to_f64();
    i32 => I32, f64::from;
    u32 => U32, f64::from;
    u8 => U8, f64::from;
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn to_bytes(data: &[bool]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * data.len());
        data.iter()
            .for_each(|&b| bytes.extend(u32::from(b).to_le_bytes()));
        bytes
    }

    fn from_bytes(bytes: &[u8], n: usize) -> Vec<bool> {
        bytes.chunks_exact(4).take(n).map(|c| c != [0; 4]).collect()
    }

    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}
