// Bit-level helpers, rounding, extrema, remainders, half precision.
//
// WGSL lets an implementation assume that NaN and infinity never occur and rejects them as constants:
// they are tested and built through bit patterns that depend on a run-time value.
// "High" values keep 12 significant bits by a mask, which no algebraic optimisation sees through, so
// that products of two are exact whether or not the driver fuses multiply and add.

const W_SIGN: u32 = 0x80000000u;
const W_HIGH: u32 = 0xfffff000u;

fn w_bits(x: f32) -> u32 {
    return bitcast<u32>(x);
}

fn w_is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn w_is_inf(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

// NaN; x only hides the constant.
fn w_nan(x: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0u) | 0x7fc00000u);
}

// +infinity; x only hides the constant.
fn w_inf(x: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0u) | 0x7f800000u);
}

fn w_with_sign(magnitude: f32, sign: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(magnitude) & 0x7fffffffu) | (bitcast<u32>(sign) & W_SIGN));
}

// x, through which a compiler that may reassociate cannot look: only bits of a NaN change. It stands where the rounding
// of an intermediate value matters: the parts of a constant, remainders, products in an order that does not overflow.
fn w_keep(x: f32) -> f32 {
    return bitcast<f32>(min(bitcast<u32>(x), 0xfffffff0u));
}

fn w_high(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & W_HIGH);
}

// 2^n for -126 <= n <= 127.
fn w_pow2(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// y * 2^n with one rounding, for |n| <= 252.
fn w_scale(y: f32, n: i32) -> f32 {
    let h = n >> 1u;
    return w_keep(y * w_pow2(h)) * w_pow2(n - h);
}

fn w_neg(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ W_SIGN);
}

// To nearest, halves to even.
fn w_round(x: f32) -> f32 {
    return select(w_with_sign(round(x), x), x, w_is_nan(x));
}

fn w_floor(x: f32) -> f32 {
    return select(w_with_sign(floor(x), x), x, w_is_nan(x));
}

fn w_ceil(x: f32) -> f32 {
    return select(w_with_sign(ceil(x), x), x, w_is_nan(x));
}

fn w_trunc(x: f32) -> f32 {
    return select(w_with_sign(trunc(x), x), x, w_is_nan(x));
}

// The larger; NaN if either is NaN.
fn w_max(a: f32, b: f32) -> f32 {
    let m = select(b, a, a > b);
    return select(select(m, b, w_is_nan(b)), a, w_is_nan(a));
}

// The smaller; NaN if either is NaN.
fn w_min(a: f32, b: f32) -> f32 {
    let m = select(b, a, a < b);
    return select(select(m, b, w_is_nan(b)), a, w_is_nan(a));
}

// The built-in's accuracy, with IEEE's special cases.
fn w_sqrt(x: f32) -> f32 {
    let y = select(sqrt(x), w_nan(x), x < 0.0);
    return select(y, x, x == 0.0 || w_is_nan(x) || (w_is_inf(x) && x > 0.0));
}

fn w_rsqrt(x: f32) -> f32 {
    let y = select(1.0 / sqrt(x), w_nan(x), x < 0.0);
    let z = select(y, w_with_sign(w_inf(x), x), x == 0.0);
    return select(select(z, 0.0, w_is_inf(x) && x > 0.0), x, w_is_nan(x));
}

fn w_recip(x: f32) -> f32 {
    let y = select(1.0 / x, w_with_sign(w_inf(x), x), x == 0.0);
    return select(select(y, w_with_sign(0.0, x), w_is_inf(x)), x, w_is_nan(x));
}

// The significand of the finite magnitude with these bits as an integer below 2^24.
fn w_significand(a: u32) -> u32 {
    return select(a, (a & 0x007fffffu) | 0x00800000u, a >= 0x00800000u);
}

// x - trunc(x / y) * y with the sign of x, exact for every quotient: long division of the significands
// by eight quotient bits at a time.
fn w_fmod(x: f32, y: f32) -> f32 {
    let a = bitcast<u32>(x) & 0x7fffffffu;
    let b = bitcast<u32>(y) & 0x7fffffffu;
    let sign = bitcast<u32>(x) & W_SIGN;
    if a >= 0x7f800000u || b > 0x7f800000u || b == 0u {
        return select(w_nan(x), y, b > 0x7f800000u);
    }
    if a < b {
        return x;
    }
    let d = w_significand(b);
    let eb = max(b >> 23u, 1u);
    var e = max(a >> 23u, 1u) - eb;
    var r = w_significand(a) % d;
    while e > 0u && r != 0u {
        let s = min(e, 8u);
        r = (r << s) % d;
        e = e - s;
    }
    if r == 0u {
        return bitcast<f32>(sign);
    }
    // r * 2^(eb - 150): move the leading bit to place 23, or as far as the exponent allows.
    let up = min(countLeadingZeros(r) - 8u, eb - 1u);
    let m = r << up;
    return bitcast<f32>(sign | select(m, ((eb - up) << 23u) | (m & 0x007fffffu), m >= 0x00800000u));
}

// x - floor(x / y) * y with the sign of y.
fn w_remainder(x: f32, y: f32) -> f32 {
    let r = w_fmod(x, y);
    let nonzero = (bitcast<u32>(r) & 0x7fffffffu) != 0u;
    let differs = ((bitcast<u32>(r) ^ bitcast<u32>(y)) & W_SIGN) != 0u;
    if !nonzero || !differs || w_is_nan(r) {
        return r;
    }
    return select(r + y, y, w_is_inf(y));
}

// The binary16 pattern of x: to nearest even, overflow to infinity, NaN stays NaN.
fn w_f16_from_f32(x: f32) -> u32 {
    let b = bitcast<u32>(x);
    let a = b & 0x7fffffffu;
    let n = a - 0x38000000u;
    let normal = (n + (0xfffu + ((n >> 13u) & 1u))) >> 13u;
    // Subnormal: the integer |x| * 2^24, which the last bits of a half and it together are.
    let sub = bitcast<u32>(bitcast<f32>(a) + 0.5) - 0x3f000000u;
    let h = select(normal, sub, a < 0x38800000u);
    let i = select(h, 0x7c00u, a >= 0x47800000u);
    let j = select(i, 0x7e00u | ((a >> 13u) & 0x3ffu), a > 0x7f800000u);
    return j | ((b >> 16u) & 0x8000u);
}

// The bfloat16 pattern of x, the upper half of its bits: to nearest even, overflow to infinity, NaN stays NaN.
fn w_bf16_from_f32(x: f32) -> u32 {
    let b = bitcast<u32>(x);
    let r = (b + (0x7fffu + ((b >> 16u) & 1u))) >> 16u;
    return select(r, (b >> 16u) | 0x40u, (b & 0x7fffffffu) > 0x7f800000u);
}

// The value of the bfloat16 pattern in the low half of h.
fn w_bf16_to_f32(h: u32) -> f32 {
    return bitcast<f32>(h << 16u);
}

// That in the high half.
fn w_bf16_high_to_f32(h: u32) -> f32 {
    return bitcast<f32>(h & 0xffff0000u);
}

// x between floats of 16 bits: no bit that their rounding needs is lost on the way through an f32.
fn w_f32_sticky(x: u32) -> f32 {
    let cut = (x & 0xffffff00u) | select(0u, 0x100u, (x & 0xffu) != 0u);
    return f32(select(x, cut, x >= 0x1000000u));
}

// The value of the binary16 pattern in the low half of h, whatever the high one is. `builtin.wgsl` has another way.
fn w_f16_to_f32(h: u32) -> f32 {
    let a = (h & 0x7fffu) << 13u;
    let normal = a + 0x38000000u;
    let sub = bitcast<u32>(f32(h & 0x3ffu) * 5.9604645e-8);
    let b = select(normal, sub, a < 0x00800000u);
    let c = select(b, a | 0x7f800000u, a >= 0x0f800000u);
    return bitcast<f32>(c | ((h & 0x8000u) << 16u));
}

// That in the high half.
fn w_f16_high_to_f32(h: u32) -> f32 {
    return w_f16_to_f32(h >> 16u);
}
