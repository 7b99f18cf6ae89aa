// Exponentials and logarithms. Errors in ulp of the exact result: exp 1, exp2 1.25, expm1 2, log 1,
// log1p 2, log2 2, log10 2. Where the device flushes subnormals, subnormal results become zero;
// subnormal arguments of logarithms are exact everywhere, being read as integers.

const W_LOG2_E: f32 = 1.442695;
// ln 2 = W_LN2_HI (15 bits) + W_LN2_LO.
const W_LN2_HI: f32 = 0.69314575;
const W_LN2_LO: f32 = 1.4286068e-6;
const W_TINY: f32 = 2.9802322e-8;

// e^r - 1 = r + r^2 (1/2 + r p(r)) for |r| <= 0.505, minimax, relative error 2^-27.
fn w_expm1_poly(r: f32) -> f32 {
    let p = ((((0.0001980529 * r + 0.0013983082) * r + 0.00833372) * r + 0.041665837) * r + 0.16666663) * r + 0.5;
    return r + r * r * p;
}

// x - n ln 2.
fn w_exp_rest(x: f32, n: f32) -> f32 {
    return w_keep(x - n * W_LN2_HI) - n * W_LN2_LO;
}

// e^x * 2^k for small |k|, x not NaN.
fn w_exp_scaled(x: f32, k: i32) -> f32 {
    let c = clamp(x, -105.0, 90.0);
    let n = round(c * W_LOG2_E);
    return w_scale(1.0 + w_keep(w_expm1_poly(w_exp_rest(c, n))), i32(n) + k);
}

fn w_exp(x: f32) -> f32 {
    let nan = w_is_nan(x);
    let y = w_exp_scaled(select(x, 0.0, nan), 0);
    return select(select(y, w_inf(x), x > 88.72284), x, nan);
}

fn w_expm1(x: f32) -> f32 {
    let nan = w_is_nan(x);
    let c = clamp(select(x, 0.0, nan), -20.0, 89.0);
    let small = abs(c) < 0.5;
    let n = round(c * W_LOG2_E);
    let p = w_expm1_poly(select(w_exp_rest(c, n), c, small));
    let s = w_pow2(i32(n) - 1);
    let wide = 2.0 * (s * p + (s - 0.5));
    let y = select(wide, p, small);
    let z = select(y, w_inf(x), x > 88.72284);
    return select(z, x, nan || abs(x) < W_TINY);
}

// 2^r for |r| <= 0.505, minimax, relative error 2^-26.
fn w_exp2_poly(r: f32) -> f32 {
    let p = ((((0.00015477787 * r + 0.0013401611) * r + 0.009617998) * r + 0.055503245) * r + 0.2402265) * r + 0.6931472;
    return 1.0 + r * p;
}

fn w_exp2(x: f32) -> f32 {
    let nan = w_is_nan(x);
    let c = clamp(select(x, 0.0, nan), -155.0, 130.0);
    let n = round(c);
    let y = w_scale(w_exp2_poly(c - n), i32(n));
    return select(select(y, w_inf(x), x >= 128.0), x, nan);
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)), for positive finite x.
struct WSplit {
    m: f32,
    e: i32,
}

fn w_split(x: f32) -> WSplit {
    let b0 = bitcast<i32>(x);
    let sub = b0 < 0x00800000;
    // A subnormal's bits are the integer x * 2^149.
    let b = select(b0, bitcast<i32>(f32(b0)), sub);
    let t = b - 0x3f3504f3;
    let e = (t >> 23u) - select(0, 149, sub);
    return WSplit(bitcast<f32>((t & 0x007fffff) + 0x3f3504f3), e);
}

// ln(1 + f) - f + f^2/2 for f in [sqrt(1/2) - 1, sqrt(2) - 1], relative error of the logarithm 2^-28.
fn w_log_tail(f: f32) -> f32 {
    let p = (((((((0.06748335 * f - 0.11677868) * f + 0.11888624) * f - 0.12405278) * f + 0.14219454) * f
        - 0.16668008) * f + 0.20002124) * f - 0.2500001) * f + 0.33333313;
    return f * f * f * p;
}

// e ln 2 + ln(1 + f).
fn w_log_core(f: f32, e: i32) -> f32 {
    let ef = f32(e);
    let y = w_keep((w_log_tail(f) + ef * W_LN2_LO) - 0.5 * (f * f));
    return w_keep(f + y) + ef * W_LN2_HI;
}

// The values of a logarithm outside (0, infinity); zeros and subnormals by their bits.
fn w_log_special(x: f32, y: f32) -> f32 {
    let b = bitcast<u32>(x);
    let a = b & 0x7fffffffu;
    let z = select(y, w_neg(w_inf(x)), a == 0u);
    let v = select(z, w_nan(x), b > W_SIGN);
    return select(v, x, b == 0x7f800000u || a > 0x7f800000u);
}

fn w_log(x: f32) -> f32 {
    let s = w_split(x);
    return w_log_special(x, w_log_core(s.m - 1.0, s.e));
}

fn w_log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let e = w_split(u).e;
    // (1 + x) 2^-e - 1 without the rounding of 1 + x; e reaches 128, so 2^-e goes in two halves.
    let a = w_pow2(-(e >> 1u));
    let b = w_pow2(-(e - (e >> 1u)));
    let f = w_keep(x * a) * b + w_keep(w_keep(a * b) - 1.0);
    let y = w_log_special(u, w_log_core(f, e));
    return select(y, x, abs(x) < W_TINY || w_is_nan(x));
}

fn w_log2(x: f32) -> f32 {
    let s = w_split(x);
    let f = s.m - 1.0;
    let fh = w_high(f);
    let y = w_log_tail(f) - 0.5 * (f * f);
    // log2 e = 1.4428711 (12 bits) - 0.00017605285
    let l = w_keep((w_keep(f - fh) * 1.4428711 + f * -0.00017605285) + y * W_LOG2_E);
    return w_log_special(x, f32(s.e) + w_keep(fh * 1.4428711 + l));
}

fn w_log10(x: f32) -> f32 {
    let s = w_split(x);
    let f = s.m - 1.0;
    let fh = w_high(f);
    let ef = f32(s.e);
    let y = w_log_tail(f) - 0.5 * (f * f);
    // log10 e = 0.43432617 (12 bits) - 3.168997e-5, log10 2 = 0.3010254 (15 bits) + 4.605039e-6
    let l = w_keep((w_keep(f - fh) * 0.43432617 + f * -3.168997e-5) + y * 0.43429448);
    return w_log_special(x, ef * 0.3010254 + w_keep(fh * 0.43432617 + w_keep(l + ef * 4.605039e-6)));
}
