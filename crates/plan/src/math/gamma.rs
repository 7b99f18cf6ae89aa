//! The gamma function's logarithm and that one's derivatives, and the inverse of the error function; the Rust half of
//! `shaders/src/math/gamma.wgsl`. As its parent, it must not differ from the WGSL twin in formula.

use super::{PI_HI, cos_poly, horner, log, round, sin_poly, sqrt, with_sign};

/// |sin πx| for any x.
fn sin_pi_abs(x: f32) -> f32 {
    let r = (x - round(x)).abs();
    if r > 0.25 {
        cos_poly(PI_HI * (0.5 - r), 0.0)
    } else {
        sin_poly(PI_HI * r, 0.0)
    }
}

/// ln |Γ(x)| for x > 0.
fn lgamma_positive(x: f32) -> f32 {
    if x >= 8.0 {
        let w = 1.0 / x;
        let z = w * w;
        let s = w * horner(
            z,
            [
                0.083_333_336,
                -0.002_777_777_8,
                0.000_793_650_8,
                -0.000_595_238_1,
            ],
        );
        return (x - 0.5) * (log(x) - 1.0) + (0.418_938_55 + s);
    }
    // Γ(x) = (x - 1) Γ(x - 1) down to [1.5, 2.5), Γ(x) = Γ(x + 1) / x up to [1, 1.5).
    let (mut y, mut product) = (x, 1.0f32);
    for _ in 0..6 {
        if y >= 2.5 {
            y -= 1.0;
            product *= y;
        }
    }
    let low = x < 0.5;
    let t = if low { x } else { y - 1.0 };
    let core = if t < 0.5 {
        lgamma_about_1(t)
    } else {
        lgamma_about_2(y - 2.0)
    };
    if low {
        core - log(x)
    } else {
        core + log(product)
    }
}

/// ln Γ(1 + t) for |t| ≤ 1/2, relative error 2^-26.
fn lgamma_about_1(t: f32) -> f32 {
    let p = horner(
        t,
        [
            -0.577_215_7,
            0.822_466_9,
            -0.400_684_74,
            0.270_594_84,
            -0.207_434_39,
            0.169_121_67,
            -0.143_032_33,
            0.131_214_2,
            -0.121_385_47,
            0.064_830_89,
            -0.041_159_783,
            0.180_439_44,
            -0.190_213_4,
        ],
    );
    t * p
}

/// ln Γ(2 + t) for |t| ≤ 1/2, relative error 2^-25.
fn lgamma_about_2(t: f32) -> f32 {
    let p = horner(
        t,
        [
            0.422_784_33,
            0.322_467_03,
            -0.067_352_265,
            0.020_581_631,
            -0.007_386_438_5,
            0.002_878_826_3,
            -0.001_184_166_1,
            0.000_570_348_3,
            -0.000_257_205_97,
        ],
    );
    t * p
}

/// ln |Γ(x)|: relative error 1e-6 for x > 0, and for x < 0 of the larger of |result| and 1 (it has zeros
/// there that cancellation blurs). Poles give ∞. Scalar.
#[inline]
pub fn lgamma(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    if a == f32::INFINITY || a == 0.0 {
        return f32::INFINITY;
    }
    if x < 0.0 && a < 1e-7 {
        return -log(a);
    }
    let y = lgamma_positive(a);
    if x > 0.0 {
        return y;
    }
    let s = sin_pi_abs(a);
    if s == 0.0 {
        return f32::INFINITY;
    }
    // Γ(x) Γ(-x) = -π / (x sin πx); ln π in front of the logarithms of factors below and above 1.
    1.144_729_9 - (log(s) + log(a)) - y
}

/// ψ(x) for x > 0.
fn digamma_positive(x: f32) -> f32 {
    if x >= 6.0 {
        let w = 1.0 / x;
        let z = w * w;
        let s = z * horner(
            z,
            [0.083_333_336, -0.008_333_334, 0.003_968_254, -0.004_166_667],
        );
        return log(x) - (0.5 * w + s);
    }
    // ψ(x) = ψ(x + 1) - 1/x below 1, ψ(x) = ψ(x - 1) + 1/(x - 1) above 2: the sum of reciprocals is n/d.
    let (mut y, mut n, mut d) = (x, 0.0f32, 1.0f32);
    for _ in 0..4 {
        if y > 2.0 {
            y -= 1.0;
            n = n * y + d;
            d *= y;
        }
    }
    let low = x < 1.0;
    // From the zero x0 = 1.4616321 + 1.244e-8, the small part times ψ'(x0) taken from the product: a sum of
    // two constants would be merged by a GPU's compiler. Below 1 the argument is x + 1, unrounded.
    let (u, t) = if low {
        (x - 0.461_632_13, x - 0.5)
    } else {
        (y - 1.461_632_1, y - 1.5)
    };
    let p = horner(
        t,
        [
            0.951_055_9,
            -0.423_627_56,
            0.240_538_37,
            -0.148_395_12,
            0.095_117_82,
            -0.062_109_76,
            0.039_359_13,
            -0.025_500_03,
            0.023_929_723,
            -0.016_883_612,
        ],
    );
    if low {
        (u * p - 1.203_02e-8) - 1.0 / x
    } else {
        (u * p - 1.203_02e-8) + n / d
    }
}

/// The logarithmic derivative of Γ: relative error 2e-6 for x > 0, and for x < 0 of the largest of the
/// terms that it sums (ψ(1 - x) and π / tan πx). ∓∞ at ±0, NaN at the other poles and -∞. Scalar.
#[inline]
pub fn digamma(x: f32) -> f32 {
    if x.is_nan() || x == f32::INFINITY {
        return x;
    }
    if x == 0.0 {
        return with_sign(f32::INFINITY, -x);
    }
    if x > 0.0 {
        return digamma_positive(x);
    }
    let r = x - round(x);
    if r == 0.0 || x == f32::NEG_INFINITY {
        return f32::NAN;
    }
    let (s, c) = (sin_pi_abs(r), sin_pi_abs(0.5 - r.abs()));
    // ψ(x) = ψ(-x) - 1/x - π / tan πx
    digamma_positive(-x) - 1.0 / x - with_sign(PI_HI * c / s, r)
}

/// `n! / yⁿ` for `y > 0`, multiplied up so that no factor leaves the range alone.
fn falling(n: f32, y: f32) -> f32 {
    let w = 1.0 / y;
    let (mut t, mut i) = (1.0f32, 1.0f32);
    while i <= n {
        t *= i * w;
        i += 1.0;
    }
    t
}

/// `n! ζ(n + 1, x)` for `x > 0`: terms up to `y ≥ 10 + n`, then the Euler–Maclaurin series.
fn poles(n: f32, x: f32) -> f32 {
    let (mut y, mut sum) = (x, 0.0f32);
    while y < 10.0 + n {
        sum += falling(n, y) / y;
        y += 1.0;
    }
    let (s, w) = (n + 1.0, 1.0 / y);
    let z = w * w;
    let c = 3.306_878_3e-5 - 8.267_196e-7 * ((s + 5.0) * (s + 6.0) * z);
    let c = c * ((s + 3.0) * (s + 4.0) * z) - 0.001_388_888_9;
    let c = c * ((s + 1.0) * (s + 2.0) * z) + 0.083_333_336;
    sum + falling(n, y) * (1.0 / n + w * (0.5 + s * w * c))
}

/// The n-th derivative of ψ for whole n ≥ 1, `(-1)^(n + 1) n! ζ(n + 1, x)`: relative error 2e-6 for x > 0 and small
/// n, and for x < 0 of the largest term. ±∞ at the poles 0, -1, -2 …, NaN at -∞. Scalar.
#[inline]
pub fn polygamma(n: f32, x: f32) -> f32 {
    if x.is_nan() || n.is_nan() || n < 1.0 {
        return f32::NAN;
    }
    if x == f32::INFINITY {
        return 0.0;
    }
    let half = 0.5 * n;
    let sign = if half == round(half) { -1.0 } else { 1.0 };
    if x > 0.0 {
        return sign * poles(n, x);
    }
    let d = x - round(x);
    if d == 0.0 {
        return sign * f32::INFINITY;
    }
    if d.is_nan() {
        return d;
    }
    // ζ(s, x) = ζ(s, r) ± (ζ(s, 1 - r) - ζ(s, 1 - x)), r the fraction of x: both taken from its nearer end.
    let (r, q) = if d > 0.0 { (d, 1.0 - d) } else { (1.0 + d, -d) };
    sign * (poles(n, r) + sign * (poles(n, q) - poles(n, 1.0 - x)))
}

/// The inverse of the error function (Giles 2010, "Approximating the erfinv function"): relative error 4e-7. ±∞ at
/// ±1, NaN beyond.
#[inline(always)]
pub fn erfinv(x: f32) -> f32 {
    let w = -log((1.0 - x) * (1.0 + x));
    let near = horner(
        w - 2.5,
        [
            1.501_409_4,
            0.246_640_73,
            -0.004_177_681_6,
            -0.001_253_725,
            0.000_218_580_87,
            -4.391_506_5e-6,
            -3.523_387_7e-6,
            3.432_739_4e-7,
            2.810_226_4e-8,
        ],
    );
    let far = horner(
        sqrt(w) - 3.0,
        [
            2.832_976_8,
            1.001_674,
            0.009_438_870_5,
            -0.007_622_461,
            0.005_739_507_7,
            -0.003_673_428_4,
            0.001_349_343_2,
            0.000_100_950_56,
            -0.000_200_214_26,
        ],
    );
    let p = if w < 5.0 { near } else { far };
    let y = if w == f32::INFINITY { w } else { p };
    y * x
}
