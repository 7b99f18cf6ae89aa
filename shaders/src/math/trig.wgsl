// Circular functions. Errors in ulp of the exact result for every finite argument: sin, cos 2, tan 4,
// atan, atan2, asin, acos 2; division and square root of the device, where less exact, add to them.

// x = n pi/2 + r + low, |r| <= pi/4 (1 + 2^-10).
struct WAngle {
    r: f32,
    low: f32,
    n: i32,
}

// For |x| <= 3200: the first three parts of pi/2 have 13 bits and n at most 11, so those products are
// exact.
fn w_trig_narrow(x: f32) -> WAngle {
    let n = round(x * 0.63661975);
    let t = w_keep(x - n * 1.5708008);
    let u = n * -4.454516e-6;
    let r = w_keep(t - u);
    let low = w_keep(w_keep(t - r) - u) - (n * 6.0765615e-11 + n * 5.390303e-15);
    return WAngle(r, low, i32(n));
}

// Words of 2/pi, most significant first, after a zero word for the integer part.
fn w_two_over_pi(i: u32) -> u32 {
    switch i {
        case 1u: { return 0xa2f9836eu; }
        case 2u: { return 0x4e441529u; }
        case 3u: { return 0xfc2757d1u; }
        case 4u: { return 0xf534ddc0u; }
        case 5u: { return 0xdb629599u; }
        case 6u: { return 0x3c439041u; }
        case 7u: { return 0xfe5163abu; }
        default: { return 0u; }
    }
}

// 32 bits of 2/pi from bit s of word i.
fn w_two_over_pi_at(i: u32, s: u32) -> u32 {
    return (w_two_over_pi(i) << s) | ((w_two_over_pi(i + 1u) >> 1u) >> (31u - s));
}

// For finite |x| >= 2^10, in integers (Payne and Hanek): x = M 2^E, and of the product M (2/pi) only
// bits of weight 2^1 down to 2^-94 matter.
fn w_trig_wide(x: f32) -> WAngle {
    let b = bitcast<u32>(x) & 0x7fffffffu;
    let m = (b & 0x007fffffu) | 0x00800000u;
    let first = (b >> 23u) - 120u;
    let w = first >> 5u;
    let s = first & 31u;
    let low = w_mul64(m, w_two_over_pi_at(w + 2u, s));
    let mid = w_mul64(m, w_two_over_pi_at(w + 1u, s));
    let m0 = mid.x + low.y;
    let carry = select(0u, 1u, m0 < low.y);
    let top = m * w_two_over_pi_at(w, s) + mid.y + carry;
    let f1 = (top << 2u) | (m0 >> 30u);
    let f0 = (m0 << 2u) | (low.x >> 30u);
    // Above one half the angle is measured from the next quadrant.
    let upper = f1 >> 31u;
    let g0 = select(f0, ~f0 + 1u, upper == 1u);
    let g1 = select(f1, ~f1 + select(0u, 1u, f0 == 0u), upper == 1u);
    let skip = g1 == 0u;
    let h1 = select(g1, g0, skip);
    let h0 = select(g0, 0u, skip);
    let z = countLeadingZeros(h1 | 1u);
    let lead = (h1 << z) | ((h0 >> 1u) >> (31u - z));
    // lead * pi/2, both as 32-bit integers.
    let h = w_mul64(lead, 0xc90fdaa2u).y;
    let r0 = f32(h) * w_pow2(-31 - i32(z) - select(0, 32, skip));
    let r = select(r0, -r0, upper == 1u);
    let n = i32((top >> 30u) + upper);
    if (bitcast<u32>(x) & W_SIGN) != 0u {
        return WAngle(-r, 0.0, -n);
    }
    return WAngle(r, 0.0, n);
}

fn w_trig_reduce(x: f32) -> WAngle {
    if (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u {
        return WAngle(0.0, 0.0, 0);
    }
    if abs(x) <= 3200.0 {
        return w_trig_narrow(x);
    }
    return w_trig_wide(x);
}

// sin(r + low), minimax, relative error 2^-28.
fn w_sin_poly(r: f32, low: f32) -> f32 {
    let z = r * r;
    let p = ((2.718122e-6 * z - 0.00019839316) * z + 0.008333329) * z - 0.16666667;
    return r + (r * z * p + low);
}

// cos(r + low), minimax, error 2^-31.
fn w_cos_poly(r: f32, low: f32) -> f32 {
    let z = r * r;
    let p = (2.4436622e-5 * z - 0.0013887353) * z + 0.041666646;
    return (1.0 - 0.5 * z) + (z * z * p - r * low);
}

fn w_sin_quadrant(t: WAngle, n: i32) -> f32 {
    let y = select(w_cos_poly(t.r, t.low), w_sin_poly(t.r, t.low), (n & 1) == 0);
    return bitcast<f32>(bitcast<u32>(y) ^ ((bitcast<u32>(n) & 2u) << 30u));
}

// Infinity and NaN give NaN; x itself where y rounds to it, keeping the sign of zero.
fn w_trig_special(x: f32, y: f32) -> f32 {
    let a = bitcast<u32>(x) & 0x7fffffffu;
    return select(select(y, w_nan(x), a >= 0x7f800000u), x, a < 0x39000000u);
}

fn w_sin(x: f32) -> f32 {
    let t = w_trig_reduce(x);
    return w_trig_special(x, w_sin_quadrant(t, t.n));
}

fn w_cos(x: f32) -> f32 {
    let t = w_trig_reduce(x);
    let y = w_sin_quadrant(t, t.n + 1);
    return select(y, w_nan(x), (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u);
}

fn w_tan(x: f32) -> f32 {
    let t = w_trig_reduce(x);
    let s = w_sin_poly(t.r, t.low);
    let c = w_cos_poly(t.r, t.low);
    let even = (t.n & 1) == 0;
    return w_trig_special(x, select(-c, s, even) / select(s, c, even));
}

// atan x for 0 <= x <= 1, minimax, relative error 2^-27.
fn w_atan_poly(x: f32) -> f32 {
    let z = x * x;
    let p = ((((((((0.0011387328 * z - 0.007442411) * z + 0.022803625) * z - 0.04499916) * z + 0.06763476) * z
        - 0.088206515) * z + 0.110607564) * z - 0.14280215) * z + 0.199997) * z - 0.33333328;
    return x + x * z * p;
}

// pi/2 - t and pi - t, the constants to 48 bits.
fn w_from_pio2(t: f32) -> f32 {
    return 1.5707964 - (t - -4.371139e-8);
}

fn w_from_pi(t: f32) -> f32 {
    return 3.1415927 - (t - -8.742278e-8);
}

// Division gives 0 for an infinite divisor.
fn w_atan(x: f32) -> f32 {
    let a = abs(x);
    let wide = a > 1.0;
    let z = select(a, select(1.0 / a, 0.0, w_is_inf(x)), wide);
    let t = w_atan_poly(z);
    let y = w_with_sign(select(t, w_from_pio2(t), wide), x);
    return select(y, x, w_is_nan(x));
}

fn w_atan2(y: f32, x: f32) -> f32 {
    let ay = abs(y);
    let ax = abs(x);
    let swap = ay > ax;
    let lo = select(ay, ax, swap);
    let hi = select(ax, ay, swap);
    // Keeps a large divisor's reciprocal away from the subnormals that a device flushes.
    let k = select(1.0, 5.421011e-20, hi > 1.8446744e19);
    let q = (lo * k) / (hi * k);
    let q1 = select(q, 0.0, w_is_inf(hi) || (bitcast<u32>(hi) == 0u));
    let z = select(q1, 1.0, bitcast<u32>(lo) == bitcast<u32>(hi) && bitcast<u32>(hi) != 0u);
    let t = w_atan_poly(z);
    let t1 = select(t, w_from_pio2(t), swap);
    let t2 = select(t1, w_from_pi(t1), (bitcast<u32>(x) & W_SIGN) != 0u);
    return select(w_with_sign(t2, y), w_nan(x), w_is_nan(x) || w_is_nan(y));
}

// asin x for |x| <= 0.56, minimax, relative error 2^-28.
fn w_asin_poly(x: f32) -> f32 {
    let z = x * x;
    let p = ((((0.047134116 * z + 0.0070313322) * z + 0.03392369) * z + 0.0442438) * z + 0.07502033) * z + 0.16666633;
    return x + x * z * p;
}

fn w_asin(x: f32) -> f32 {
    let a = abs(x);
    let wide = a > 0.56;
    let t = w_asin_poly(select(a, w_sqrt(0.5 - 0.5 * a), wide));
    let y = w_with_sign(select(t, w_from_pio2(2.0 * t), wide), x);
    return select(select(y, w_nan(x), a > 1.0), x, w_is_nan(x));
}

fn w_acos(x: f32) -> f32 {
    let a = abs(x);
    let wide = a > 0.56;
    let t = w_asin_poly(select(x, w_sqrt(0.5 - 0.5 * a), wide));
    let far = select(2.0 * t, w_from_pi(2.0 * t), x < 0.0);
    let y = select(w_from_pio2(t), far, wide);
    return select(select(y, w_nan(x), a > 1.0), x, w_is_nan(x));
}
