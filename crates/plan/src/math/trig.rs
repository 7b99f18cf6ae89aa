//! Circular functions and their inverses, the Rust half of `shaders/src/math/trig.wgsl`. As its parent, it must not differ
//! from the WGSL twin in formula.

use super::{PI_HI, PIO2_HI, SIGN, horner, nearest, pow2, tiny_or, with_sign};

/// π/2 = `PIO2_HI` + `PIO2_LO`, π = `PI_HI` + `PI_LO`.
const PIO2_LO: f32 = -4.371_139e-8;
const PI_LO: f32 = -8.742_278e-8;

/// Widest |x| of the three-step reduction of [`sin_narrow`], [`cos_narrow`] and [`tan_narrow`].
pub const NARROW: f32 = 3200.0;

/// Whether any element needs the wide reduction (or is not finite), so that [`sin_narrow`] and its
/// like do not hold for the whole slice. Vectorises.
#[inline]
pub fn any_wide(xs: &[f32]) -> bool {
    // On magnitudes, the order of bit patterns is the order of values, NaN above all.
    xs.iter().fold(0, |m, x| u32::max(m, x.to_bits() & !SIGN)) > NARROW.to_bits()
}

/// (r, low, n) with x = n π/2 + r + low and |r| ≤ π/4 (1 + 2^-10), for |x| ≤ `NARROW`. The first three
/// parts of π/2 have 13 bits and n at most 11, so those products are exact.
#[inline(always)]
fn trig_reduce_narrow(x: f32) -> (f32, f32, i32) {
    let (nf, n) = nearest(x * 0.636_619_75);
    let t = x - nf * 1.570_800_8;
    let u = nf * -4.454_516e-6;
    let r = t - u;
    let low = ((t - r) - u) - (nf * 6.076_561_5e-11 + nf * 5.390_303e-15);
    (r, low, n)
}

/// Words of 2/π, most significant first, after a zero word for the integer part.
const TWO_OVER_PI: [u32; 8] = [
    0,
    0xa2f9_836e,
    0x4e44_1529,
    0xfc27_57d1,
    0xf534_ddc0,
    0xdb62_9599,
    0x3c43_9041,
    0xfe51_63ab,
];

/// The same for every finite |x| ≥ 2^10, in integers (Payne and Hanek): x = M 2^E, and of the product
/// M · (2/π) only bits of weight 2^1 down to 2^-94 matter.
#[cold]
#[inline(never)]
fn trig_reduce_wide(x: f32) -> (f32, f32, i32) {
    let b = x.to_bits() & !SIGN;
    if b >= 0x7f80_0000 {
        return (f32::NAN, 0.0, 0);
    }
    let m = u64::from((b & 0x007f_ffff) | 0x0080_0000);
    let first = (b >> 23) - 120; // index in TWO_OVER_PI of the bit of weight 2^(1-E)
    let (w, s) = ((first >> 5) as usize, first & 31);
    let word = |i: usize| (TWO_OVER_PI[i] << s) | ((TWO_OVER_PI[i + 1] >> 1) >> (31 - s));
    let low = m * u64::from(word(w + 2));
    let mid = m * u64::from(word(w + 1)) + (low >> 32);
    let top = (m as u32)
        .wrapping_mul(word(w))
        .wrapping_add((mid >> 32) as u32);
    let quadrant = top >> 30;
    let frac = (u64::from(top) << 34) | ((mid & 0xffff_ffff) << 2) | ((low & 0xffff_ffff) >> 30);
    let upper = frac >> 63;
    let frac = if upper == 1 {
        frac.wrapping_neg()
    } else {
        frac
    };
    let lz = frac.leading_zeros();
    let lead = ((frac << (lz & 63)) >> 32) as u32;
    // lead · π/2, both as 32-bit integers.
    let h = ((u64::from(lead) * 0xc90f_daa2) >> 32) as u32;
    let r = h as f32 * pow2(-31 - lz as i32);
    let r = if upper == 1 { -r } else { r };
    let n = (quadrant + upper as u32) as i32;
    if x < 0.0 { (-r, 0.0, -n) } else { (r, 0.0, n) }
}

#[inline(always)]
fn trig_reduce(x: f32) -> (f32, f32, i32) {
    if x.abs() <= NARROW {
        trig_reduce_narrow(x)
    } else {
        trig_reduce_wide(x)
    }
}

/// sin(r + low) for |r| ≤ 0.787 and low below its last place, minimax, relative error 2^-28.
#[inline(always)]
pub(super) fn sin_poly(r: f32, low: f32) -> f32 {
    let z = r * r;
    let p = horner(
        z,
        [
            -0.166_666_67,
            0.008_333_329,
            -0.000_198_393_16,
            2.718_122e-6,
        ],
    );
    r + (r * z * p + low)
}

/// cos(r + low) likewise, minimax, error 2^-31.
#[inline(always)]
pub(super) fn cos_poly(r: f32, low: f32) -> f32 {
    let z = r * r;
    let p = horner(z, [0.041_666_646, -0.001_388_735_3, 2.443_662_2e-5]);
    (1.0 - 0.5 * z) + (z * z * p - r * low)
}

#[inline(always)]
fn sin_quadrant(r: f32, low: f32, n: i32) -> f32 {
    let y = if n & 1 == 0 {
        sin_poly(r, low)
    } else {
        cos_poly(r, low)
    };
    f32::from_bits(y.to_bits() ^ ((n as u32 & 2) << 30))
}

#[inline(always)]
fn tan_quadrant(r: f32, low: f32, n: i32) -> f32 {
    let (s, c) = (sin_poly(r, low), cos_poly(r, low));
    if n & 1 == 0 { s / c } else { -c / s }
}

/// sin x for |x| ≤ [`NARROW`], unspecified beyond; 2 ulp. Vectorises.
#[inline(always)]
pub fn sin_narrow(x: f32) -> f32 {
    let (r, low, n) = trig_reduce_narrow(x);
    tiny_or(x, sin_quadrant(r, low, n))
}

/// cos x for |x| ≤ [`NARROW`], unspecified beyond; 2 ulp. Vectorises.
#[inline(always)]
pub fn cos_narrow(x: f32) -> f32 {
    let (r, low, n) = trig_reduce_narrow(x);
    sin_quadrant(r, low, n + 1)
}

/// tan x for |x| ≤ [`NARROW`], unspecified beyond; 4 ulp. Vectorises.
#[inline(always)]
pub fn tan_narrow(x: f32) -> f32 {
    let (r, low, n) = trig_reduce_narrow(x);
    tiny_or(x, tan_quadrant(r, low, n))
}

/// sin x, 2 ulp for every x. Branches on |x|; for slices see [`any_wide`].
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    let (r, low, n) = trig_reduce(x);
    tiny_or(x, sin_quadrant(r, low, n))
}

/// cos x, 2 ulp for every x. Branches on |x|; for slices see [`any_wide`].
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (r, low, n) = trig_reduce(x);
    sin_quadrant(r, low, n + 1)
}

/// tan x, 4 ulp for every x. Branches on |x|; for slices see [`any_wide`].
#[inline(always)]
pub fn tan(x: f32) -> f32 {
    let (r, low, n) = trig_reduce(x);
    tiny_or(x, tan_quadrant(r, low, n))
}

/// atan z for 0 ≤ z ≤ 1, minimax, relative error 2^-27.
#[inline(always)]
fn atan_poly(x: f32) -> f32 {
    let z = x * x;
    let p = horner(
        z,
        [
            -0.333_333_28,
            0.199_997,
            -0.142_802_15,
            0.110_607_564,
            -0.088_206_515,
            0.067_634_76,
            -0.044_999_16,
            0.022_803_625,
            -0.007_442_411,
            0.001_138_732_8,
        ],
    );
    x + x * z * p
}

/// atan x, 2 ulp.
#[inline(always)]
pub fn atan(x: f32) -> f32 {
    let a = x.abs();
    let wide = a > 1.0;
    let t = atan_poly(if wide { 1.0 / a } else { a });
    with_sign(if wide { PIO2_HI - (t - PIO2_LO) } else { t }, x)
}

/// The angle of the point (x, y) in [-π, π], C's special cases, 2 ulp.
#[inline(always)]
pub fn atan2(y: f32, x: f32) -> f32 {
    let (ay, ax) = (y.abs(), x.abs());
    let swap = ay > ax;
    let (lo, hi) = if swap { (ax, ay) } else { (ay, ax) };
    // Keeps a large divisor's reciprocal away from the subnormals that a GPU flushes.
    let k = if hi > 1.844_674_4e19 {
        5.421_011e-20
    } else {
        1.0
    };
    let z = (lo * k) / (hi * k);
    let z = if hi == 0.0 { 0.0 } else { z };
    let z = if lo == hi && hi != 0.0 { 1.0 } else { z };
    let t = atan_poly(z);
    let t = if swap { PIO2_HI - (t - PIO2_LO) } else { t };
    let t = if x.to_bits() & SIGN != 0 {
        PI_HI - (t - PI_LO)
    } else {
        t
    };
    if x.is_nan() || y.is_nan() {
        x + y
    } else {
        with_sign(t, y)
    }
}

/// asin x for |x| ≤ 0.56, minimax, relative error 2^-28.
#[inline(always)]
fn asin_poly(x: f32) -> f32 {
    let z = x * x;
    let p = horner(
        z,
        [
            0.166_666_33,
            0.075_020_33,
            0.044_243_8,
            0.033_923_69,
            0.007_031_332_2,
            0.047_134_116,
        ],
    );
    x + x * z * p
}

/// asin x, 2 ulp.
#[inline(always)]
pub fn asin(x: f32) -> f32 {
    let a = x.abs();
    let wide = a > 0.56;
    let t = asin_poly(if wide { (0.5 - 0.5 * a).sqrt() } else { a });
    with_sign(
        if wide {
            PIO2_HI - (2.0 * t - PIO2_LO)
        } else {
            t
        },
        x,
    )
}

/// acos x, 2 ulp.
#[inline(always)]
pub fn acos(x: f32) -> f32 {
    let a = x.abs();
    let wide = a > 0.56;
    let t = asin_poly(if wide { (0.5 - 0.5 * a).sqrt() } else { x });
    let far = if x < 0.0 {
        PI_HI - (2.0 * t - PI_LO)
    } else {
        2.0 * t
    };
    if wide { far } else { PIO2_HI - (t - PIO2_LO) }
}
