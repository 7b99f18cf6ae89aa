// Gradient of the input: rows are input channels, columns (image, position of a phase), the sum runs over
// (output channel, tap of the phase). a is the weight, b the gradient of the output. A plane is a phase and a group.

// Of the plane of this invocation.
var<private> phase: Phase;
var<private> group: u32;
var<private> n_taps: u32;

fn enter_plane(z: u32) {
    let index = z / params.groups;
    group = z - index * params.groups;
    phase = phase_at(index);
    n_taps = taps_of(phase);
}

fn n_cols() -> u32 {
    return params.batch * positions(phase);
}

fn n_sum() -> u32 {
    return params.out_channels * n_taps;
}

fn reciprocal(n: u32) -> f32 {
    return 1.0 / f32(n);
}

// Taps from the first of the phase.
fn tap_of(k: u32) -> vec4<i32> {
    if (DENSE) {
        let dense = quotient(k, params.taps, params.per_taps);
        let size = vec2<u32>(params.kernel_h, params.kernel_w);
        return vec4<i32>(
            i32(dense),
            unfold(k - dense * params.taps, size.x, size.y, params.per_kernel_h, params.per_kernel_w),
        );
    }
    let channel = quotient(k, n_taps, reciprocal(n_taps));
    let tap = unfold(k - channel * n_taps, phase.h.taps, phase.w.taps, reciprocal(phase.h.taps), reciprocal(phase.w.taps));
    return vec4<i32>(i32(channel), tap);
}

fn a_row(z: u32, row: u32) -> vec4<i32> {
    let tap = (phase.d.tap * params.kernel_h + phase.h.tap) * params.kernel_w + phase.w.tap;
    return first_only((group * params.out_channels * params.in_channels + row) * params.taps + tap);
}

fn a_col(k: u32) -> vec4<i32> {
    if (DENSE) {
        let channel = quotient(k, params.taps, params.per_taps);
        return first_only(channel * params.in_channels * params.taps + (k - channel * params.taps));
    }
    let t = tap_of(k);
    let tap = t.yzw * vec3<i32>(i32(params.step_d), i32(params.step_h), i32(params.step_w));
    let size = vec2<i32>(i32(params.kernel_h), i32(params.kernel_w));
    let at = t.x * i32(params.in_channels * params.taps);
    return vec4<i32>(at + (tap.x * size.x + tap.y) * size.y + tap.z, 0, 0, 0);
}

fn a_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_a(r.x + c.x);
}

fn b_row(k: u32) -> vec4<i32> {
    let t = tap_of(k);
    let reach = vec3<i32>(i32(params.reach_d), i32(params.reach_h), i32(params.reach_w));
    return vec4<i32>(t.x * i32(params.size_out), t.yzw * reach);
}

// Image, and position of the phase.
fn at_col(col: u32) -> vec4<i32> {
    if (DENSE) {
        let dense = quotient(col, params.size_in, params.per_size_in);
        let p = col - dense * params.size_in;
        return vec4<i32>(i32(dense), unfold(p, params.in_h, params.in_w, params.per_in_h, params.per_in_w));
    }
    let n = positions(phase);
    let image = quotient(col, n, reciprocal(n));
    let at = unfold(col - image * n, phase.h.count, phase.w.count, reciprocal(phase.h.count), reciprocal(phase.w.count));
    return vec4<i32>(i32(image), at);
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    let at = at_col(col);
    let plane = (u32(at.x) * params.groups + group) * params.out_channels;
    return vec4<i32>(i32(plane * params.size_out), at.yzw + vec3<i32>(phase.d.base, phase.h.base, phase.w.base));
}

fn b_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    let p = c.yzw - r.yzw;
    let size = vec3<i32>(i32(params.out_d), i32(params.out_h), i32(params.out_w));
    if (any(p < vec3<i32>())) {
        return 0.0;
    }
    if (any(p >= size)) {
        return 0.0;
    }
    return load_b(r.x + c.x + (p.x * size.y + p.y) * size.z + p.z);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (group * params.in_channels + row) * params.size_in;
}

fn out_col(z: u32, col: u32) -> u32 {
    if (DENSE) {
        let image = quotient(col, params.size_in, params.per_size_in);
        return image * params.groups * params.in_channels * params.size_in + (col - image * params.size_in);
    }
    let at = at_col(col);
    let to = vec3<i32>(vec3<u32>(phase.d.first, phase.h.first, phase.w.first)) + at.yzw * stride();
    return u32(at.x) * params.groups * params.in_channels * params.size_in + u32(in_offset(to));
}
