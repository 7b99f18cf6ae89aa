// x^y with C's special cases, 4 ulp: log2 x to 2^-30 as a pair of numbers, times y in pieces whose
// leading product is exact, then 2 to that power.

// log2 of positive finite x as a sum, its first term of 12 bits. With s = (m - 1) / (m + 1):
// log2 m = (2 / ln 2) s + s^3 p(s^2).
fn w_log2_pair(x: f32) -> vec2<f32> {
    let q = w_split(x);
    let ef = f32(q.e);
    let f = q.m - 1.0;
    let d = q.m + 1.0;
    let inv = 1.0 / d;
    let sh = w_high(f * inv);
    // m + 1 = dh + dl exactly, so that sl is the true remainder of the division.
    let dh = w_high(d);
    let dl = q.m - w_keep(dh - 1.0);
    let sl = (w_keep(f - sh * dh) - sh * dl) * inv;
    let s = sh + sl;
    let z = s * s;
    let p = ((0.34033158 * z + 0.41170073) * z + 0.57708293) * z + 0.9617967;
    // 2 / ln 2 = 2.8857422 (12 bits) - 0.0003521057
    let lh = sh * 2.8857422;
    // s^3 = sh^3 + 3 sh sl (sh + sl) + ..., whose first factor sh^2 is exact.
    let cube = sh * (sh * sh) + 3.0 * sl * (sh * s);
    let ll = w_keep((cube * p + sh * -0.0003521057) + sl * 2.88539);
    let hi = w_high(ef + (lh + ll));
    return vec2<f32>(hi, w_keep(w_keep(ef - hi) + lh) + ll);
}

fn w_pow(x: f32, y: f32) -> f32 {
    let bx = bitcast<u32>(x);
    let a = abs(x);
    let zero = (bx & 0x7fffffffu) == 0u;
    let infinite = w_is_inf(x);
    let nan = w_is_nan(x) || w_is_nan(y);
    let l = w_log2_pair(select(a, 1.0, zero || infinite || nan));
    // An infinite y acts as the largest finite one: only |x| = 1 tells them apart, and not here.
    let yc = clamp(select(y, 1.0, nan), -3.4028234e38, 3.4028234e38);
    let yh = w_high(yc);
    // Beyond 2^40 in magnitude y only says whether the power overflows.
    let far = abs(yc) > 1.0995116e12;
    let ph = clamp(select(yh, w_with_sign(1.0995116e12, yc), far) * l.x, -1e30, 1e30);
    let big = abs(ph) > 200.0;
    let pl = select(w_keep(yc - yh) * l.x + yc * l.y, 0.0, big || far);
    let pc = clamp(ph, -200.0, 200.0);
    let n = round(pc + pl);
    let v = w_scale(w_exp2_poly(w_keep(pc - n) + pl), i32(n));
    let over = select(v, w_inf(x), pc + pl >= 128.0);
    let up = y > 0.0;
    let r1 = select(over, select(w_inf(x), 0.0, up), zero);
    let r2 = select(r1, select(0.0, w_inf(x), up), infinite);
    let whole = floor(yc) == yc;
    let half = yc * 0.5;
    let odd = whole && floor(half) != half;
    let negative = (bx & W_SIGN) != 0u;
    let r3 = select(r2, w_neg(r2), negative && odd);
    let r4 = select(r3, w_nan(x), negative && !zero && !infinite && !whole);
    let r5 = select(r4, w_nan(x), nan);
    return select(r5, 1.0, bx == 0x3f800000u || (bitcast<u32>(y) & 0x7fffffffu) == 0u);
}

// Integer power, wrapping, by squaring.
fn w_pow_u32(a: u32, b: u32) -> u32 {
    var r = 1u;
    var x = a;
    var e = b;
    while e != 0u {
        r = select(r, r * x, (e & 1u) != 0u);
        x = x * x;
        e = e >> 1u;
    }
    return r;
}

// A negative exponent gives 0, but for bases 1 and -1.
fn w_pow_i32(a: i32, b: i32) -> i32 {
    if b < 0 {
        return select(select(0, select(1, -1, (b & 1) != 0), a == -1), 1, a == 1);
    }
    return i32(w_pow_u32(u32(a), u32(b)));
}
