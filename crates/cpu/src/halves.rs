//! Floats of two bytes from f32, rounded to nearest even, and back, a slice at a time. Knows nothing else.

use crate::lanes::{Lanes, best, read};
use half::{bf16, f16};

/// A float of two bytes.
pub(crate) trait Half: bytemuck::Pod + Send + Sync {
    /// Rounds all of `values`; `out` is as long.
    fn narrow(values: &[f32], out: &mut [Self]);
    /// Writes what all of `values` are; `out` is as long.
    fn widen(values: &[Self], out: &mut [f32]);
}

macro_rules! halves {
    ($($t:ty: $narrow:ident by $narrow_with:ident, $store:ident; $widen:ident by $widen_with:ident, $load:ident;)*) => {$(
        impl Half for $t {
            fn narrow(values: &[f32], out: &mut [$t]) {
                $narrow(values, out);
            }

            fn widen(values: &[$t], out: &mut [f32]) {
                $widen(values, out);
            }
        }

        best! {
            fn $narrow(values: &[f32], out: &mut [$t]) = $narrow_with
        }

        #[inline(always)]
        unsafe fn $narrow_with<V: Lanes>(values: &[f32], out: &mut [$t]) {
            assert_eq!(values.len(), out.len());
            for (values, out) in values.chunks(V::LEN).zip(out.chunks_mut(V::LEN)) {
                // SAFETY: both have as many elements; the processor is the caller's promise.
                unsafe {
                    let lanes: V = read(values.as_ptr(), values.len());
                    lanes.$store(out.as_mut_ptr(), out.len());
                }
            }
        }

        best! {
            fn $widen(values: &[$t], out: &mut [f32]) = $widen_with
        }

        #[inline(always)]
        unsafe fn $widen_with<V: Lanes>(values: &[$t], out: &mut [f32]) {
            assert_eq!(values.len(), out.len());
            for (values, out) in values.chunks(V::LEN).zip(out.chunks_mut(V::LEN)) {
                // SAFETY: as above.
                unsafe {
                    let lanes = V::$load(values.as_ptr(), values.len());
                    match out.len() == V::LEN {
                        true => lanes.store(out.as_mut_ptr()),
                        false => lanes.store_first(out.as_mut_ptr(), out.len()),
                    }
                }
            }
        }
    )*};
}

halves! {
    f16: narrow_f16 by narrow_f16_with, store_f16; widen_f16 by widen_f16_with, load_f16;
    bf16: narrow_bf16 by narrow_bf16_with, store_bf16; widen_bf16 by widen_bf16_with, load_bf16;
}
