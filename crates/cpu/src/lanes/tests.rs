//! Every vector against what its lanes have to be.

use super::*;

/// # Safety
/// The processor has what `V` needs.
#[inline(always)]
unsafe fn check<V: Lanes>() {
    let (a, b): (Vec<f32>, Vec<f32>) = (0..V::LEN).map(|i| (i as f32, 100.0 + i as f32)).unzip();
    let turns: Vec<f32> = a.iter().zip(&b).flat_map(|(&a, &b)| [a, b]).collect();
    let mut out = vec![0.0; 2 * V::LEN];
    // SAFETY: every slice holds whole vectors; the processor is the caller's promise.
    unsafe {
        let (x, y) = (V::load(a.as_ptr()), V::load(b.as_ptr()));
        let (low, high) = x.interleave(y);
        low.store(out.as_mut_ptr());
        high.store(out.as_mut_ptr().add(V::LEN));
        assert_eq!(out, turns);
        let (x, y) = low.deinterleave(high);
        x.store(out.as_mut_ptr());
        y.store(out.as_mut_ptr().add(V::LEN));
        assert_eq!(out, [&a[..], &b].concat());
        y.sub(x).store(out.as_mut_ptr());
        assert_eq!(out[..V::LEN], vec![100.0; V::LEN]);
    }
}

/// Every float of two bytes, widened and rounded back, and floats between them: as the numbers' own functions say.
///
/// # Safety
/// The processor has what `V` needs.
#[inline(always)]
unsafe fn check_halves<V: Lanes>() {
    let between = |bits: u32| {
        let bits = bits << 16;
        [
            0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1000, 0x0fff, 0x1001, 0x2000,
        ]
        .map(|low| bits | low)
    };
    let halves = |n: usize| !cfg!(miri) || n.is_multiple_of(97);
    let floats: Vec<f32> = (0..1 << 16)
        .filter(|&bits| halves(bits as usize))
        .flat_map(between)
        .map(f32::from_bits)
        .collect();
    for (i, x) in floats.chunks_exact(V::LEN).enumerate() {
        let n = if i % 5 == 0 {
            i / 5 % V::LEN + 1
        } else {
            V::LEN
        };
        let (mut a, mut b) = ([f16::ONE; 16], [bf16::ONE; 16]);
        let (mut c, mut d) = ([0.0; 16], [0.0; 16]);
        // SAFETY: every array holds a whole vector; the processor is the caller's promise.
        unsafe {
            let lanes = V::load(x.as_ptr());
            lanes.store_f16(a.as_mut_ptr(), n);
            lanes.store_bf16(b.as_mut_ptr(), n);
            V::load_f16(a.as_ptr(), n).store(c.as_mut_ptr());
            V::load_bf16(b.as_ptr(), n).store(d.as_mut_ptr());
        }
        for l in 0..V::LEN {
            if l >= n {
                assert!(a[l] == f16::ONE && b[l] == bf16::ONE, "written beyond {n}");
                assert!(c[l] == 0.0 && d[l] == 0.0, "lanes beyond {n} are not zero");
                continue;
            }
            let same = |x: f32, y: f32| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
            assert_eq!(
                a[l].to_bits(),
                math::f16_from_f32(x[l]),
                "{:x}",
                x[l].to_bits()
            );
            assert_eq!(
                b[l].to_bits(),
                math::bf16_from_f32(x[l]),
                "{:x}",
                x[l].to_bits()
            );
            assert!(same(c[l], math::f16_to_f32(a[l].to_bits())), "{:?}", a[l]);
            assert!(same(d[l], math::bf16_to_f32(b[l].to_bits())), "{:?}", b[l]);
        }
    }
}

#[test]
fn lanes_are_put_in_turns_taken_apart_widened_and_rounded() {
    // SAFETY: every processor can.
    unsafe {
        check::<Plain>();
        check_halves::<Plain>();
    }
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::{Level, level};
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2() {
            // SAFETY: the processor has AVX2.
            unsafe {
                check::<x86::Avx2>();
                check_halves::<x86::Avx2>();
            }
        }
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c")]
        fn avx512() {
            // SAFETY: the processor has AVX-512.
            unsafe {
                check::<x86::Avx512>();
                check_halves::<x86::Avx512>();
            }
        }
        if level() != Level::Base {
            // SAFETY: `level` returns only what the processor was found to support.
            unsafe { avx2() };
        }
        if level() == Level::Avx512 {
            // SAFETY: as above.
            unsafe { avx512() };
        }
    }
}
