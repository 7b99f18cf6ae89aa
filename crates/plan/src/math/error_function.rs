//! The error function and its complement by polynomials on sixteen intervals, which a vector of sixteen lanes looks up in one instruction for each
//! coefficient (`simd/error_function.rs`).

use super::exponential::{expm1_near, reduce, times_plus};
use super::{high, scale};
use core::f32::consts::FRAC_1_SQRT_2;

/// Where each interval `[i/4, (i+1)/4)` is developed: near its middle, where erf is almost a float; the first at 0.
pub const CENTRES: [f32; 16] = [
    0.0,
    0.375_044_5,
    0.625_332_2,
    0.875_069_56,
    1.125_515_8,
    1.375_139_2,
    1.625_117_9,
    1.875_308_5,
    2.125_155_7,
    2.376_261_2,
    2.626_283_4,
    2.876_003_3,
    3.125_036_5,
    3.376_430_3,
    3.625,
    3.875,
];

/// `erf x = Σ ERF[k][i] tᵏ` with t = x − centre; in the first interval `t + Σ ERF[k][0] tᵏ`. Minimax, absolute error 2e-9; from 4
/// on the function is 1.
#[allow(
    clippy::approx_constant,
    reason = "coefficients near 2/√π that are not it"
)]
pub const ERF: [[f32; 16]; 7] = [
    [
        0.0,
        0.404_160_53,
        0.623_494_45,
        0.784_111_56,
        0.888_552_3,
        0.948_193_8,
        0.978_453_2,
        0.992_000_4,
        0.997_347_9,
        0.999_222_1,
        0.999_796_1,
        0.999_952_44,
        0.999_990_1,
        0.999_998_2,
        0.999_999_7,
        0.999_999_94,
    ],
    [
        0.128_379_17,
        0.980_320_1,
        0.763_182_5,
        0.524_681_2,
        0.317_904_7,
        0.170_294_55,
        0.080_441_43,
        0.033_507_034,
        0.012_332_656,
        0.003_982_542,
        0.001_140_166,
        2.885_591e-4,
        6.470_09e-5,
        1.262_919_5e-5,
        2.215_924e-6,
        3.398_233_4e-7,
    ],
    [
        -8.519_564_3e-7,
        -0.367_663_65,
        -0.477_242_56,
        -0.459_131_42,
        -0.357_806_77,
        -0.234_178_72,
        -0.130_726_8,
        -0.062_836_46,
        -0.026_208_634,
        -0.009_463_233,
        -0.002_994_163_4,
        -8.297_743e-4,
        -2.022_541_7e-4,
        -5.271_678_7e-5,
        -4.728_027_8e-6,
        1.827_355_7e-5,
    ],
    [
        -0.376_086_38,
        -0.234_845_43,
        -0.055_440_34,
        0.092_949_98,
        0.162_507_88,
        0.157_920_99,
        0.114_818_47,
        0.067_390_345,
        0.033_021_454,
        0.013_664_04,
        0.004_862_274_5,
        0.001_494_763,
        4.111_817_4e-4,
        9.177_348e-5,
        1.866_937_8e-5,
        3.287_373_6e-6,
    ],
    [
        -6.881_664e-4,
        0.166_589_41,
        0.176_412_36,
        0.112_147_555,
        0.027_818_028,
        -0.030_520_529,
        -0.049_720_08,
        -0.042_152_766,
        -0.026_389_956,
        -0.013_148_004,
        -0.005_435_853,
        -0.001_898_013_2,
        -5.692_710_4e-4,
        0.001_538_459_4,
        -5.945_649e-4,
        -0.003_345_801_7,
    ],
    [
        0.118_207_194,
        0.045_315_076,
        -0.027_117_893,
        -0.066_658_29,
        -0.061_015_256,
        -0.030_624_133,
        -0.002_292_369_3,
        0.011_314_465,
        0.012_439_215,
        0.008_360_889,
        0.004_238_272_6,
        0.001_729_201_2,
        0.0,
        1.638_546_8e-4,
        4.033_561_3e-5,
        8.398_676e-6,
    ],
    [
        -0.019_444_406,
        -0.049_724_415,
        -0.041_114_006,
        0.0,
        0.015_332_357,
        0.022_020_528,
        0.014_396_958,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        -0.070_151_87,
        0.023_986_809,
        0.142_423_69,
    ],
];

/// erf x, 1 ulp.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    erf_fused::<false>(x)
}

/// [`erf`], with fused multiply-adds if `FUSED`; 1 ulp as well.
#[inline(always)]
pub fn erf_fused<const FUSED: bool>(x: f32) -> f32 {
    let a = x.abs();
    // A NaN has place 0 and stays one.
    let i = ((4.0 * a) as usize).min(15);
    let t = a - CENTRES[i];
    let mut y = ERF[6][i];
    for k in (1..6).rev() {
        y = times_plus::<FUSED>(y, t, ERF[k][i]);
    }
    let first = if a < 0.25 { t } else { ERF[0][i] };
    let y = times_plus::<FUSED>(y, t, first);
    let y = if a >= 4.0 { 1.0 } else { y };
    y.copysign(x)
}

/// Beyond it erfc is below the smallest normal float.
pub const FARTHEST: f32 = 10.2;

/// As [`CENTRES`], of the intervals between the sixteen greatest powers of `2^¼`, about: those that begin where the first two bits
/// of the mantissa of `1 + x` change. Place `(12 + i) mod 16` is that of interval `i`: the last four bits of exponent and these two.
pub const COMPLEMENT_CENTRES: [f32; 16] = [
    1.250_171_4,
    1.750_365_1,
    2.250_370_3,
    2.751_260_3,
    3.500_702_1,
    4.500_236,
    5.500_27,
    6.500_123,
    8.004_343,
    9.651_444,
    12.001_904,
    14.000_808,
    0.0,
    0.375_128_15,
    0.625_185_13,
    0.875_345_95,
];

/// `e^(x²) erfc x = Σ COMPLEMENT[k][i] tᵏ` with t = x − centre. Minimax, relative error 7e-9.
#[allow(
    clippy::approx_constant,
    reason = "coefficients near 2/√π that are not it"
)]
pub const COMPLEMENT: [[f32; 16]; 7] = [
    [
        0.367_787_12,
        0.284_924_42,
        0.231_054_5,
        0.193_582_43,
        0.155_264_65,
        0.122_478_664,
        0.100_957_416,
        0.085_804_08,
        0.069_947_764,
        0.058_147_64,
        0.046_846_84,
        0.040_194_92,
        1.0,
        0.685_778_56,
        0.556_733_85,
        0.464_202_34,
    ],
    [
        -0.208_785_3,
        -0.130_935_64,
        -0.088_462_82,
        -0.063_187_87,
        -0.041_308_627,
        -0.026_013_376,
        -0.017_793_097,
        -0.012_904_984,
        -0.008_607_371,
        -0.005_961_753,
        -0.003_876_645_4,
        -0.002_856_437_8,
        -1.128_379,
        -0.613_869_5,
        -0.432_255_72,
        -0.315_703_9,
    ],
    [
        0.106_769_75,
        0.055_739_254,
        0.031_980_41,
        0.019_736_173,
        0.010_655_507,
        0.005_412_344,
        0.003_090_584,
        0.001_920_103_6,
        0.001_051_440_5,
        6.081_14e-4,
        3.197_180_6e-4,
        2.024_855e-4,
        0.999_990_6,
        0.455_498_84,
        0.286_494,
        0.187_852_23,
    ],
    [
        -0.050_198_64,
        -0.022_246_541,
        -0.010_996_349,
        -0.005_925_558_5,
        -0.002_670_783_8,
        -0.001_104_278_4,
        -5.293_452e-4,
        -2.827_095_7e-4,
        -1.274_983_2e-4,
        -6.171_511_6e-5,
        -2.627_913_6e-5,
        -1.431_783_6e-5,
        -0.752_008_86,
        -0.295_328_14,
        -0.168_760_73,
        -0.100_844_62,
    ],
    [
        0.022_002_557,
        0.008_398_513,
        0.003_616_784,
        0.001_716_500_8,
        6.520_409_4e-4,
        2.211_991_1e-4,
        8.945_705_5e-5,
        4.120_576_7e-5,
        1.535_429_1e-5,
        6.232_141e-6,
        2.152_946_3e-6,
        1.009_949_9e-6,
        0.497_056_13,
        0.172_354_79,
        0.090_492_26,
        0.049_788_32,
    ],
    [
        -0.009_223_809,
        -0.003_056_513,
        -0.001_154_247_4,
        -4.850_039e-4,
        -1.589_697_5e-4,
        -4.424_841_2e-5,
        -1.510_011_7e-5,
        -6.000_004_3e-6,
        -1.882_718_2e-6,
        -6.308_991_4e-7,
        -1.778_613_2e-7,
        -7.168_129e-8,
        -0.282_577_07,
        -0.092_857_376,
        -0.045_121_856,
        -0.023_015_548,
    ],
    [
        0.003_597_127_5,
        0.001_049_641_5,
        3.514_686_8e-4,
        1.320_737_8e-4,
        3.695_513_8e-5,
        8.557_996e-6,
        2.487_202_7e-6,
        8.575_318e-7,
        2.242_880_6e-7,
        6.315_005e-8,
        1.448_884_75e-8,
        5.034_186e-9,
        0.107_988_1,
        0.046_122_24,
        0.020_912_06,
        0.009_961_052,
    ],
];

/// 1 - erf x, 4 ulp down to the smallest normal.
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    erfc_fused::<false>(x)
}

/// `e^(−c²)` and `e^(c²) erfc c`, of which erfc is made, for c from 0 to [`FARTHEST`].
#[inline(always)]
fn decay_and_rest<const FUSED: bool>(c: f32) -> (f32, f32) {
    let i = ((1.0 + c).to_bits() >> 21) as usize % 16;
    let t = c - COMPLEMENT_CENTRES[i];
    let mut y = COMPLEMENT[6][i];
    for k in (0..6).rev() {
        y = times_plus::<FUSED>(y, t, COMPLEMENT[k][i]);
    }
    // -c² = -s + d, what rounding leaves of the square.
    let (s, d) = if FUSED {
        let s = c * c;
        (s, -c.mul_add(c, -s))
    } else {
        let h = high(c);
        (h * h, (h - c) * (h + c))
    };
    let (r, n) = reduce::<FUSED>(-s);
    (scale(1.0 + expm1_near::<FUSED>(r + d), n), y)
}

/// [`erfc`], with fused multiply-adds if `FUSED`; 4 ulp as well.
#[inline(always)]
pub fn erfc_fused<const FUSED: bool>(x: f32) -> f32 {
    let a = x.abs();
    let c = if a > FARTHEST { FARTHEST } else { a };
    let (decay, rest) = decay_and_rest::<FUSED>(c);
    let tail = decay * rest;
    if x < 0.0 { 2.0 - tail } else { tail }
}

/// `x Φ(x)` with the normal distribution function Φ, 5 ulp from −1 on; further below 5 + 2x², as x/√2 is rounded.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    gelu_fused::<false>(x)
}

/// [`gelu`], with fused multiply-adds if `FUSED`.
#[inline(always)]
pub fn gelu_fused<const FUSED: bool>(x: f32) -> f32 {
    erfc_fused::<FUSED>(x * -FRAC_1_SQRT_2) * (x * 0.5)
}

/// `1/√π`.
pub const FRAC_1_SQRT_PI: f32 = 0.564_189_6;

/// The derivative of [`gelu`], `Φ(x) + x φ(x)`: absolute error 3e-7. NaN at infinities, as `∞ · 0` is.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    gelu_slope_fused::<false>(x)
}

/// [`gelu_slope`], with fused multiply-adds if `FUSED`.
#[inline(always)]
pub fn gelu_slope_fused<const FUSED: bool>(x: f32) -> f32 {
    let a = (x * -FRAC_1_SQRT_2).abs();
    let c = if a > FARTHEST { FARTHEST } else { a };
    let (decay, rest) = decay_and_rest::<FUSED>(c);
    // Of the side on which it vanishes; the other's is 1 less that.
    let side = decay * times_plus::<FUSED>(c, -FRAC_1_SQRT_PI, 0.5 * rest);
    let slope = if x > 0.0 { 1.0 - side } else { side };
    // Nothing, but of infinities.
    slope + x * 0.0
}
