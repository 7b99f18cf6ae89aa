//! The exponential function and what rests on it alone. As its parent, it must not differ from the WGSL twin in
//! formula. `exp` and `tanh` come twice: each multiplication and addition rounded, which is the same everywhere, and
//! with fused multiply-adds, for loops on processors that have the instruction (elsewhere those are slow).

use super::{LN2_HI, LN2_LO, LOG2_E, MAGIC, scale, with_sign};

/// Coefficients of [`expm1_near`], the lowest first.
pub const EXPM1: [f32; 6] = [
    0.5,
    0.166_666_63,
    0.041_665_837,
    0.008_333_72,
    0.001_398_308_2,
    0.000_198_052_9,
];

/// a · b + c, rounded once if `FUSED`.
#[inline(always)]
pub(super) fn times_plus<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// c[0] + c[1] x + c[2] x² + ….
#[inline(always)]
fn polynomial<const FUSED: bool, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut y = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = times_plus::<FUSED>(y, x, c[i]);
    }
    y
}

/// e^r - 1 = r + r² · (1/2 + r · p(r)) for |r| ≤ 0.505, minimax, relative error 2^-27.
#[inline(always)]
pub(super) fn expm1_near<const FUSED: bool>(r: f32) -> f32 {
    let p = polynomial::<FUSED, 6>(r, EXPM1);
    times_plus::<FUSED>(r * r, p, r)
}

/// As [`expm1_near`], without fused multiply-adds.
#[inline(always)]
pub fn expm1_poly(r: f32) -> f32 {
    expm1_near::<false>(r)
}

/// x = n ln 2 + r with |r| ≤ ln 2 / 2, for |x| ≤ 120.
#[inline(always)]
pub(super) fn reduce<const FUSED: bool>(x: f32) -> (f32, i32) {
    let t = times_plus::<FUSED>(x, LOG2_E, MAGIC);
    let (nf, n) = (t - MAGIC, t.to_bits() as i32 - 0x4b40_0000);
    let r = times_plus::<FUSED>(-nf, LN2_HI, x);
    (times_plus::<FUSED>(-nf, LN2_LO, r), n)
}

/// As [`reduce`], without fused multiply-adds.
#[inline(always)]
pub fn exp_reduce(x: f32) -> (f32, i32) {
    reduce::<false>(x)
}

#[inline(always)]
fn exp_times<const FUSED: bool>(x: f32, k: i32) -> f32 {
    let c = if x > 90.0 { 90.0 } else { x };
    let c = if c < -105.0 { -105.0 } else { c };
    let (r, n) = reduce::<FUSED>(c);
    scale(1.0 + expm1_near::<FUSED>(r), n + k)
}

/// e^x · 2^k, for small |k|.
#[inline(always)]
pub fn exp_scaled(x: f32, k: i32) -> f32 {
    exp_times::<false>(x, k)
}

/// e^x, 1 ulp.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_times::<false>(x, 0)
}

/// [`exp`], with fused multiply-adds if `FUSED`; 1 ulp as well.
#[inline(always)]
pub fn exp_fused<const FUSED: bool>(x: f32) -> f32 {
    exp_times::<FUSED>(x, 0)
}

/// tanh x, 2 ulp.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    tanh_fused::<false>(x)
}

/// [`tanh`], with fused multiply-adds if `FUSED`; 2 ulp as well.
#[inline(always)]
pub fn tanh_fused<const FUSED: bool>(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let p = polynomial::<FUSED, 5>(
        z,
        [
            -0.333_333_16,
            0.133_325_35,
            -0.053_846_22,
            0.021_044_128,
            -0.006_232_144,
        ],
    );
    let near = times_plus::<FUSED>(a * z, p, a);
    let far = 1.0 - 2.0 / (exp_times::<FUSED>(2.0 * a, 0) + 1.0);
    with_sign(if a < 0.55 { near } else { far }, x)
}
