// Running log-sum-exp. The state (m, s) stands for m + ln s, where m is the greatest element so far and
// s >= 1, or (-inf, 0) for nothing but -inf. NaN is (NaN, 1). Behind w_exp, w_log and w_is_nan.

alias Element = f32;
alias State = vec2<f32>;

fn negative_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0xff800000u;
}

fn lift(x: Element) -> State {
    return vec2<f32>(x, select(1.0, 0.0, negative_infinity(x)));
}

fn join(a: State, b: State) -> State {
    if (w_is_nan(a.x)) {
        return a;
    }
    if (w_is_nan(b.x)) {
        return b;
    }
    // Equal ones need no factor, which of infinities would be NaN.
    if (a.x == b.x) {
        return vec2<f32>(a.x, a.y + b.y);
    }
    if (a.x > b.x) {
        return vec2<f32>(a.x, a.y + b.y * w_exp(b.x - a.x));
    }
    return vec2<f32>(b.x, b.y + a.y * w_exp(a.x - b.x));
}

fn lower(s: State) -> Element {
    if (s.y == 0.0 || w_is_nan(s.x)) {
        return s.x;
    }
    return s.x + w_log(s.y);
}
