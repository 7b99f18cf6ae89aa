// The error function, its complement and what is made of it. Errors in ulp: erf 2, erfc 4 down to the smallest normal.

// x (1 + p(x^2)) up to 0.9, then 1 - e^(-x q(x)).
fn w_erf(x: f32) -> f32 {
    let a = abs(x);
    let z = a * a;
    let p = (((((8.5031796e-5 * z - 0.000817395) * z + 0.005203773) * z - 0.026860502) * z + 0.11283716) * z
        - 0.37612635) * z + 0.12837917;
    let near = a + w_keep(a * p);
    let c = min(a, 4.0);
    let q = (((((8.664476e-6 * c - 0.00029739318) * c + 0.0035403757) * c - 0.023548977) * c + 0.10599302) * c
        + 0.63529646) * c + 1.1286134;
    let far = 1.0 - w_exp_scaled(-(c * q), 0);
    return select(w_with_sign(select(far, near, a < 0.9), x), x, w_is_nan(x));
}

// e^(-x^2) p(t) / (1 + 2x) with t = (x - 3.75) / (x + 3.75).
fn w_erfc(x: f32) -> f32 {
    let a = abs(x);
    let c = min(a, 10.2);
    let t = (c - 3.75) / (c + 3.75);
    let p = ((((((((0.0005835269 * t - 0.010093385) * t + 0.028863639) * t - 0.058490664) * t + 0.09222711) * t
        - 0.10883525) * t + 0.08228154) * t + 0.0035869046) * t - 0.14024068) * t + 1.2375126;
    // -x^2 = -ch^2 + d, the first exact, d in [-0.1, 0].
    let ch = w_high(c);
    let d = (ch - c) * (ch + c);
    let s = -(ch * ch);
    let n = round(s * W_LOG2_E);
    let tail = w_scale(1.0 + w_keep(w_expm1_poly(w_exp_rest(s, n) + d)), i32(n)) * (p / (1.0 + 2.0 * c));
    let far = select(tail, 2.0 - tail, x < 0.0);
    return select(select(far, 1.0 - w_erf(x), a < 0.5), x, w_is_nan(x));
}

// x times the normal distribution function, 5 ulp from -1 on.
fn w_gelu(x: f32) -> f32 {
    return w_erfc(x * -0.70710677) * (x * 0.5);
}

// Its derivative, to 3e-7; NaN at infinities.
fn w_gelu_slope(x: f32) -> f32 {
    let c = min(abs(x * 0.70710677), 10.2);
    // Of the side on which it vanishes; the other's is 1 less that.
    let side = 0.5 * w_erfc(c) - c * 0.5641896 * w_exp(-(c * c));
    let slope = select(side, 1.0 - side, x > 0.0);
    return select(slope, w_nan(x), w_is_nan(x) || w_is_inf(x));
}
