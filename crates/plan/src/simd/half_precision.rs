//! Blocks that round f32 to the nearest f16 and leave it an f32: with AVX-512 two instructions. The bits are those of [`math`].

use super::block1;
use crate::math;
use crate::plan::BlockFn;

/// `a` rounded to f16.
pub const ROUND_F16: BlockFn = round_f16;

block1!(portable_round_f16, |x: f32| -> f32 {
    math::f16_to_f32(math::f16_from_f32(x))
});

or_avx512!(round_f16, portable_round_f16);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::simd::avx512::block;
    pub(super) use crate::simd::avx512::usable;
    use std::arch::x86_64::*;

    block!(round_f16, |a, _b| _mm512_cvtph_ps(_mm512_cvtps_ph::<
        _MM_FROUND_TO_NEAREST_INT,
    >(a)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each f16, what lies next to it and between it and the next: rounded by the block as by the portable one.
    #[test]
    fn blocks_round_as_the_portable_function() {
        let step = if cfg!(miri) { 97 } else { 1 };
        let x: Vec<u32> = (0..=u16::MAX)
            .step_by(step)
            .flat_map(|h| {
                let bits = math::f16_to_f32(h).to_bits();
                [-1, 0, 1, 0xfff, 0x1000, 0x1001].map(|by| bits.wrapping_add_signed(by))
            })
            .collect();
        let (mut fast, mut portable) = (vec![0; x.len()], vec![0; x.len()]);
        ROUND_F16(&mut fast, &[&x]);
        portable_round_f16(&mut portable, &[&x]);
        for ((x, a), b) in x.iter().zip(fast).zip(portable) {
            let nan = |w: u32| f32::from_bits(w).is_nan();
            assert!(a == b || nan(a) && nan(b), "{x:x}: {a:x}, {b:x}");
        }
    }
}
