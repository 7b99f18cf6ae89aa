// Hyperbolic functions. Errors in ulp: tanh 2, sinh 3, cosh 2, asinh, acosh, atanh 4.

fn w_tanh(x: f32) -> f32 {
    let a = abs(x);
    let z = a * a;
    let p = (((-0.006232144 * z + 0.021044128) * z - 0.05384622) * z + 0.13332535) * z - 0.33333316;
    let near = a + a * z * p;
    // Beyond 10 the result is 1, and the exponential stays finite.
    let far = 1.0 - 2.0 / (w_exp_scaled(2.0 * min(a, 20.0), 0) + 1.0);
    return select(w_with_sign(select(far, near, a < 0.55), x), x, w_is_nan(x));
}

fn w_sinh(x: f32) -> f32 {
    let a = abs(x);
    let z = a * a;
    let p = ((2.8174359e-6 * z + 0.00019836066) * z + 0.00833335) * z + 0.16666667;
    let near = a + a * z * p;
    let e = w_exp_scaled(a, -1);
    // Beyond 20 the second term is below half an ulp, and its divisor may be infinite.
    let far = select(e - 0.25 / e, e, a > 20.0);
    let y = select(far, near, a < 1.0);
    let v = select(y, w_inf(x), a > 89.415985);
    return select(w_with_sign(v, x), x, w_is_nan(x));
}

fn w_cosh(x: f32) -> f32 {
    let a = abs(x);
    let e = w_exp_scaled(a, -1);
    let y = select(e + 0.25 / e, e, a > 20.0);
    return select(select(y, w_inf(x), a > 89.415985), x, w_is_nan(x));
}

// ln(2x), x positive or infinite.
fn w_log_twice(x: f32) -> f32 {
    let s = w_split(x);
    return w_log_special(x, w_log_core(s.m - 1.0, s.e + 1));
}

fn w_asinh(x: f32) -> f32 {
    let a = abs(x);
    let c = min(a, 16777216.0);
    let near = w_log1p(c + c * c / (1.0 + sqrt(1.0 + c * c)));
    let y = select(near, w_log_twice(a), a > 16777216.0);
    return select(w_with_sign(y, x), x, w_is_nan(x));
}

fn w_acosh(x: f32) -> f32 {
    let wide = x > 16777216.0;
    let t = select(x - 1.0, 1.0, wide || !(x >= 1.0));
    let near = w_log1p(t + w_sqrt(2.0 * t + t * t));
    let y = select(near, w_log_twice(x), wide);
    return select(select(y, w_nan(x), x < 1.0), x, w_is_nan(x));
}

fn w_atanh(x: f32) -> f32 {
    let a = abs(x);
    let c = select(a, 0.5, !(a < 1.0));
    let t = 2.0 * c;
    let u = select(t / (1.0 - c), t + t * c / (1.0 - c), c < 0.5);
    let y = w_with_sign(0.5 * w_log1p(u), x);
    let v = select(y, select(w_nan(x), w_with_sign(w_inf(x), x), a == 1.0), a >= 1.0);
    return select(v, x, a < 0.00012207031 || w_is_nan(x));
}
