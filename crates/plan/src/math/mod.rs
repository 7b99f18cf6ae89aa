//! Elementary functions in `f32`, the Rust half of a pair: `shaders/src/math/*.wgsl` holds the same
//! operations in the same order as `w_<name>`.
//!
//! For the executors' element-wise loops. The functions use no table and no libm call, so that loops
//! over slices vectorise, and no fused multiply-add, so that a result does not depend on the target's
//! features; [`exp_fused`] and [`tanh_fused`] are theirs to choose. Exceptions, which a vectorised loop must avoid, say so: [`sin`], [`cos`] and [`tan`]
//! branch for wide arguments, [`fmod`] and [`remainder`] call the exact scalar remainder, [`lgamma`],
//! [`digamma`] and [`polygamma`] branch.
//!
//! Errors are stated in units in the last place (ulp) of the exact result, over all finite inputs.
//! NaN propagates, infinities, zeros and subnormals are IEEE's, domain errors give NaN; the
//! conventions of `pow` and `atan2` are C's.
//!
//! Must not hold tensors, dispatch, or anything that differs from the WGSL twin in formula.

mod error_function;
mod exponential;
mod gamma;
mod trig;

pub use error_function::{
    CENTRES, COMPLEMENT, COMPLEMENT_CENTRES, ERF, FARTHEST, FRAC_1_SQRT_PI, erf, erf_fused, erfc,
    erfc_fused, gelu, gelu_fused, gelu_slope, gelu_slope_fused,
};
#[cfg(target_arch = "x86_64")]
pub use exponential::EXPM1;
pub use exponential::{exp, exp_fused, tanh, tanh_fused};
use exponential::{exp_reduce, exp_scaled, expm1_poly};
pub use gamma::{digamma, erfinv, lgamma, polygamma};
pub use trig::{
    NARROW, acos, any_wide, asin, atan, atan2, cos, cos_narrow, sin, sin_narrow, tan, tan_narrow,
};
use trig::{cos_poly, sin_poly};

use core::f32::consts::{FRAC_PI_2 as PIO2_HI, LN_2, LOG2_E, PI as PI_HI};

/// 1.5 · 2^23: adding and subtracting it rounds `|x| < 2^22` to the nearest even integer.
pub const MAGIC: f32 = 12_582_912.0;
const SIGN: u32 = 0x8000_0000;
/// Keeps the 12 leading significant bits, so that a product of two such numbers is exact.
const HIGH: u32 = 0xffff_f000;
/// ln 2 = `LN2_HI` (15 bits) + `LN2_LO`.
pub const LN2_HI: f32 = 0.693_145_75;
/// What [`LN2_HI`] lacks of ln 2.
pub const LN2_LO: f32 = 1.428_606_8e-6;
/// log2 e = `LOG2_E_HI` (12 bits) + `LOG2_E_LO`.
const LOG2_E_HI: f32 = 1.442_871_1;
const LOG2_E_LO: f32 = -0.000_176_052_85;

/// c[0] + c[1] x + c[2] x² + …, each step rounded.
#[inline(always)]
fn horner<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut y = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = y * x + c[i];
    }
    y
}

#[inline(always)]
fn high(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & HIGH)
}

/// 2^n for -126 ≤ n ≤ 127.
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// y · 2^n with one rounding, for |n| ≤ 252.
#[inline(always)]
fn scale(y: f32, n: i32) -> f32 {
    let h = n >> 1;
    y * pow2(h) * pow2(n - h)
}

#[inline(always)]
fn with_sign(magnitude: f32, sign: f32) -> f32 {
    f32::from_bits((magnitude.to_bits() & !SIGN) | (sign.to_bits() & SIGN))
}

/// The nearest even integer of |x| < 2^22, as a float and as an integer.
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    let t = x + MAGIC;
    (t - MAGIC, t.to_bits() as i32 - 0x4b40_0000)
}

// --- rounding, extrema, simple algebra -----------------------------------------------------------

/// To the nearest integer, halves to even (`torch.round`). Exact.
#[inline(always)]
pub fn round(x: f32) -> f32 {
    let a = x.abs();
    let t = (a + 8_388_608.0) - 8_388_608.0;
    with_sign(if a < 8_388_608.0 { t } else { a }, x)
}

/// Towards -∞. Exact.
#[inline(always)]
pub fn floor(x: f32) -> f32 {
    let r = round(x);
    let down = if r > x { 1.0 } else { 0.0 };
    with_sign(r - down, x)
}

/// Towards +∞. Exact.
#[inline(always)]
pub fn ceil(x: f32) -> f32 {
    -floor(-x)
}

/// Towards zero. Exact.
#[inline(always)]
pub fn trunc(x: f32) -> f32 {
    with_sign(floor(x.abs()), x)
}

/// The larger; NaN if either is NaN (`torch.maximum`).
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    let m = if a > b { a } else { b };
    if a.is_nan() { a } else { m }
}

/// The smaller; NaN if either is NaN (`torch.minimum`).
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    let m = if a < b { a } else { b };
    if a.is_nan() { a } else { m }
}

/// Correctly rounded here; the WGSL twin is the built-in.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    x.sqrt()
}

/// 1 / √x, 1.5 ulp.
#[inline(always)]
pub fn rsqrt(x: f32) -> f32 {
    1.0 / x.sqrt()
}

/// 1 / x, correctly rounded here; 2.5 ulp in WGSL.
#[inline(always)]
pub fn recip(x: f32) -> f32 {
    1.0 / x
}

/// x - trunc(x / y) · y, exact for every quotient, with the sign of x (`torch.fmod`). Scalar.
#[inline(always)]
pub fn fmod(x: f32, y: f32) -> f32 {
    x % y
}

/// x - floor(x / y) · y with the sign of y (`torch.remainder`, Python's `%`). Scalar.
#[inline(always)]
pub fn remainder(x: f32, y: f32) -> f32 {
    let r = x % y;
    if r != 0.0 && ((r < 0.0) != (y < 0.0)) {
        r + y
    } else {
        r
    }
}

// --- exponentials --------------------------------------------------------------------------------

/// e^x - 1, 2 ulp.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let c = if x > 89.0 { 89.0 } else { x };
    let c = if c < -20.0 { -20.0 } else { c };
    let small = c.abs() < 0.5;
    let (r, n) = exp_reduce(c);
    let p = expm1_poly(if small { c } else { r });
    let s = pow2(n - 1);
    let wide = 2.0 * (s * p + (s - 0.5));
    let y = if small { p } else { wide };
    if x.abs() < 2.980_232_2e-8 { x } else { y }
}

/// 2^r for |r| ≤ 0.505, minimax, relative error 2^-26.
#[inline(always)]
fn exp2_poly(r: f32) -> f32 {
    let p = horner(
        r,
        [
            LN_2,
            0.240_226_5,
            0.055_503_245,
            0.009_617_998,
            0.001_340_161_1,
            0.000_154_777_87,
        ],
    );
    1.0 + r * p
}

/// 2^x, 1.25 ulp.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let c = if x > 130.0 { 130.0 } else { x };
    let c = if c < -155.0 { -155.0 } else { c };
    let (nf, n) = nearest(c);
    scale(exp2_poly(c - nf), n)
}

// --- logarithms ----------------------------------------------------------------------------------

/// x = 2^e · m with m in [√½, √2), for positive finite x, subnormal or not.
#[inline(always)]
fn split(x: f32) -> (f32, i32) {
    let b = x.to_bits() as i32;
    let sub = b < 0x0080_0000;
    // A subnormal's bits are the integer x · 2^149.
    let b = if sub { (b as f32).to_bits() as i32 } else { b };
    let t = b - 0x3f35_04f3;
    let e = (t >> 23) - if sub { 149 } else { 0 };
    (f32::from_bits(((t & 0x007f_ffff) + 0x3f35_04f3) as u32), e)
}

/// ln(1 + f) - f + f²/2 = f³ p(f) for f in [√½ - 1, √2 - 1], relative error of the logarithm 2^-28.
#[inline(always)]
fn log_tail(f: f32) -> f32 {
    let p = horner(
        f,
        [
            0.333_333_13,
            -0.250_000_1,
            0.200_021_24,
            -0.166_680_08,
            0.142_194_54,
            -0.124_052_78,
            0.118_886_24,
            -0.116_778_68,
            0.067_483_35,
        ],
    );
    f * f * f * p
}

/// e ln 2 + ln(1 + f).
#[inline(always)]
fn log_core(f: f32, e: i32) -> f32 {
    let ef = e as f32;
    let y = (log_tail(f) + ef * LN2_LO) - 0.5 * (f * f);
    (f + y) + ef * LN2_HI
}

/// The values of a logarithm outside (0, ∞).
#[inline(always)]
fn log_special(x: f32, y: f32) -> f32 {
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x.is_nan() { x } else { y }
}

/// ln x, 1 ulp.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let (m, e) = split(x);
    log_special(x, log_core(m - 1.0, e))
}

/// ln(1 + x), 2 ulp.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let (_, e) = split(u);
    // (1 + x) · 2^-e - 1 without the rounding of 1 + x; e reaches 128, so 2^-e goes in two halves.
    let (a, b) = (pow2(-(e >> 1)), pow2(-(e - (e >> 1))));
    let f = x * a * b + (a * b - 1.0);
    let y = log_special(u, log_core(f, e));
    if x.abs() < 2.980_232_2e-8 { x } else { y }
}

/// f · c + y · c with c = `hi` + `lo` (`hi` of 12 bits), as (leading exact product, rest).
#[inline(always)]
fn times_split(f: f32, y: f32, hi: f32, lo: f32) -> (f32, f32) {
    let fh = high(f);
    (fh * hi, ((f - fh) * hi + f * lo) + y * (hi + lo))
}

/// log2 x, 2 ulp.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let (m, e) = split(x);
    let f = m - 1.0;
    let (h, l) = times_split(f, log_tail(f) - 0.5 * (f * f), LOG2_E_HI, LOG2_E_LO);
    log_special(x, e as f32 + (h + l))
}

/// log10 x, 2 ulp.
#[inline(always)]
pub fn log10(x: f32) -> f32 {
    let (m, e) = split(x);
    let (f, ef) = (m - 1.0, e as f32);
    let (h, l) = times_split(f, log_tail(f) - 0.5 * (f * f), 0.434_326_17, -3.168_997e-5);
    log_special(x, ef * 0.301_025_4 + (h + (l + ef * 4.605_039e-6)))
}

// --- power ---------------------------------------------------------------------------------------

/// log2 of positive finite x as an unevaluated sum: 12 leading bits and the rest, relative error 2^-30.
/// With s = (m - 1) / (m + 1): log2 m = (2 / ln 2) s + s³ p(s²).
#[inline(always)]
fn log2_pair(x: f32) -> (f32, f32) {
    let (m, e) = split(x);
    let ef = e as f32;
    let (f, d) = (m - 1.0, m + 1.0);
    let inv = 1.0 / d;
    let s = f * inv;
    let sh = high(s);
    // m + 1 = dh + dl exactly, so that sl is the true remainder of the division.
    let dh = high(d);
    let dl = m - (dh - 1.0);
    let sl = ((f - sh * dh) - sh * dl) * inv;
    let s = sh + sl;
    let z = s * s;
    let p = horner(z, [0.961_796_7, 0.577_082_93, 0.411_700_73, 0.340_331_58]);
    let lh = sh * 2.885_742_2;
    // s³ = sh³ + 3 sh sl (sh + sl) + …, whose first factor sh² is exact.
    let cube = sh * (sh * sh) + 3.0 * sl * (sh * s);
    let ll = (cube * p + sh * -0.000_352_105_7) + sl * 2.885_39;
    let hi = high(ef + (lh + ll));
    (hi, ((ef - hi) + lh) + ll)
}

/// x^y with C's special cases, 4 ulp.
#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    let a = x.abs();
    let (h, l) = log2_pair(a);
    // An infinite y acts as the largest finite one: only |x| = 1 tells them apart, and not here.
    let yc = if y > f32::MAX { f32::MAX } else { y };
    let yc = if yc < f32::MIN { f32::MIN } else { yc };
    let yh = high(yc);
    let ph = yh * h;
    let pl = (yc - yh) * h + yc * l;
    let big = ph.abs() > 200.0;
    let pc = if ph > 200.0 { 200.0 } else { ph };
    let pc = if pc < -200.0 { -200.0 } else { pc };
    let pl = if big { 0.0 } else { pl };
    let (nf, n) = nearest(pc + pl);
    let r = scale(exp2_poly((pc - nf) + pl), n);
    let up = y > 0.0;
    let r = if a == 0.0 {
        if up { 0.0 } else { f32::INFINITY }
    } else {
        r
    };
    let r = if a == f32::INFINITY {
        if up { a } else { 0.0 }
    } else {
        r
    };
    let whole = floor(yc) == yc;
    let half = yc * 0.5;
    let odd = whole && floor(half) != half;
    let negative = x.to_bits() & SIGN != 0;
    let r = if negative && odd { -r } else { r };
    let r = if x < 0.0 && a != f32::INFINITY && !whole {
        f32::NAN
    } else {
        r
    };
    let r = if x.is_nan() || y.is_nan() { x + y } else { r };
    if x == 1.0 || y == 0.0 { 1.0 } else { r }
}

// --- hyperbolic functions ------------------------------------------------------------------------

/// x where sin x and tan x round to x, keeping the sign of zero.
#[inline(always)]
fn tiny_or(x: f32, y: f32) -> f32 {
    if x.abs() < 0.000_122_070_31 { x } else { y }
}

/// sinh x, 3 ulp.
#[inline(always)]
pub fn sinh(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let p = horner(
        z,
        [0.166_666_67, 0.008_333_35, 0.000_198_360_66, 2.817_435_9e-6],
    );
    let near = a + a * z * p;
    let e = exp_scaled(a, -1);
    let far = e - 0.25 / e;
    with_sign(if a < 1.0 { near } else { far }, x)
}

/// cosh x, 2 ulp.
#[inline(always)]
pub fn cosh(x: f32) -> f32 {
    let e = exp_scaled(x.abs(), -1);
    e + 0.25 / e
}

/// asinh x, 4 ulp.
#[inline(always)]
pub fn asinh(x: f32) -> f32 {
    let a = x.abs();
    let c = if a > 16_777_216.0 { 16_777_216.0 } else { a };
    let near = log1p(c + c * c / (1.0 + (1.0 + c * c).sqrt()));
    let far = log_core_of(a, 1);
    with_sign(if a > 16_777_216.0 { far } else { near }, x)
}

/// ln(x · 2^k) for positive finite x; infinity stays.
#[inline(always)]
fn log_core_of(x: f32, k: i32) -> f32 {
    let (m, e) = split(x);
    log_special(x, log_core(m - 1.0, e + k))
}

/// acosh x, 4 ulp.
#[inline(always)]
pub fn acosh(x: f32) -> f32 {
    let wide = x > 16_777_216.0;
    let t = if wide { 1.0 } else { x - 1.0 };
    let near = log1p(t + (2.0 * t + t * t).sqrt());
    let y = if wide { log_core_of(x, 1) } else { near };
    if x < 1.0 { f32::NAN } else { y }
}

/// atanh x, 4 ulp.
#[inline(always)]
pub fn atanh(x: f32) -> f32 {
    let a = x.abs();
    let t = 2.0 * a;
    let u = if a < 0.5 {
        t + t * a / (1.0 - a)
    } else {
        t / (1.0 - a)
    };
    let y = with_sign(0.5 * log1p(u), x);
    tiny_or(x, y)
}

// --- half precision ------------------------------------------------------------------------------

/// The binary16 pattern of x: to nearest even, overflow to infinity, NaN stays NaN (quiet).
#[inline(always)]
pub fn f16_from_f32(x: f32) -> u16 {
    let b = x.to_bits();
    let a = b & !SIGN;
    let normal = a.wrapping_sub(0x3800_0000);
    let normal = normal.wrapping_add(0xfff + ((normal >> 13) & 1)) >> 13;
    // Subnormal: the integer |x| · 2^24, by shifting the significand right.
    let m = (a & 0x007f_ffff) | 0x0080_0000;
    let e = a >> 23;
    let e = if e > 112 { 112 } else { e };
    let e = if e < 101 { 101 } else { e };
    let s = 126 - e;
    let sub = (m + ((1 << (s - 1)) - 1) + ((m >> s) & 1)) >> s;
    let h = if a < 0x3880_0000 { sub } else { normal };
    let h = if a >= 0x4780_0000 { 0x7c00 } else { h };
    let h = if a > 0x7f80_0000 {
        0x7e00 | ((a >> 13) & 0x3ff)
    } else {
        h
    };
    (h | ((b >> 16) & 0x8000)) as u16
}

/// The value of a binary16 pattern. Exact.
#[inline(always)]
pub fn f16_to_f32(h: u16) -> f32 {
    let h = u32::from(h);
    let a = (h & 0x7fff) << 13;
    let normal = a + 0x3800_0000;
    let sub = ((h & 0x3ff) as i32 as f32 * 5.960_464_5e-8).to_bits();
    let b = if a < 0x0080_0000 { sub } else { normal };
    let b = if a >= 0x0f80_0000 { a | 0x7f80_0000 } else { b };
    f32::from_bits(b | ((h & 0x8000) << 16))
}

/// The bfloat16 pattern of x, the upper half of an f32: to nearest even, overflow to infinity, NaN stays NaN (quiet).
#[inline(always)]
pub fn bf16_from_f32(x: f32) -> u16 {
    let b = x.to_bits();
    let r = b.wrapping_add(0x7fff + ((b >> 16) & 1)) >> 16;
    let nan = b & !SIGN > 0x7f80_0000;
    (if nan { (b >> 16) | 0x40 } else { r }) as u16
}

/// The bfloat16 pattern of x, rounded once.
pub fn bf16_from_f64(x: f64) -> u16 {
    let near = x as f32;
    let over = f64::from(near).abs() > x.abs();
    let exact = f64::from(near) == x || x.is_nan();
    // To odd: cut off towards zero, and the last bit says whether something was.
    let bits = near.to_bits() - u32::from(over);
    bf16_from_f32(f32::from_bits(bits | u32::from(!exact)))
}

/// An integer between floats of 16 bits: no bit that their rounding needs is lost on the way through an f32.
#[inline(always)]
pub fn f32_sticky(x: u32) -> f32 {
    let cut = (x & !0xff) | (u32::from(x & 0xff != 0) << 8);
    (if x >= 1 << 24 { cut } else { x }) as f32
}

/// The value of a bfloat16 pattern. Exact.
#[inline(always)]
pub fn bf16_to_f32(h: u16) -> f32 {
    f32::from_bits(u32::from(h) << 16)
}

// --- random words --------------------------------------------------------------------------------

/// Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
#[inline(always)]
pub fn philox4x32_10(ctr: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (ctr, key);
    for _ in 0..10 {
        let p = u64::from(a) * 0xd251_1f53;
        let q = u64::from(c) * 0xcd9e_8d57;
        (a, b, c, d) = (
            (q >> 32) as u32 ^ b ^ k,
            q as u32,
            (p >> 32) as u32 ^ d ^ l,
            p as u32,
        );
        k = k.wrapping_add(0x9e37_79b9);
        l = l.wrapping_add(0xbb67_ae85);
    }
    [a, b, c, d]
}
