// Gradient of the input: rows are input channels, columns (image, input position), the sum runs over
// (output channel, tap). a is the weight, b the gradient of the output.

// All strides are 1.
override DENSE: bool = false;

fn a_row(z: u32, row: u32) -> vec4<i32> {
    return first_only((z * params.out_channels * params.in_channels + row) * params.taps);
}

fn a_col(k: u32) -> vec4<i32> {
    let channel = quotient(k, params.taps, params.per_taps);
    return first_only(channel * params.in_channels * params.taps + (k - channel * params.taps));
}

fn a_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_a(r.x + c.x);
}

fn b_row(k: u32) -> vec4<i32> {
    let channel = quotient(k, params.taps, params.per_taps);
    return vec4<i32>(i32(channel * params.size_out), tap_at(k - channel * params.taps));
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    let image = quotient(col, params.size_in, params.per_size_in);
    let at = unfold(
        col - image * params.size_in,
        params.in_h,
        params.in_w,
        params.per_in_h,
        params.per_in_w,
    ) + padding();
    let plane = (image * params.n_planes + z) * params.out_channels;
    return vec4<i32>(i32(plane * params.size_out), at);
}

// The output position whose window has this tap on this input position, if there is one.
fn b_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    let far = c.yzw - r.yzw;
    if (any(far < vec3<i32>())) {
        return 0.0;
    }
    var p = far;
    if (!DENSE) {
        p = far / stride();
        if (any(p * stride() != far)) {
            return 0.0;
        }
    }
    let size = vec3<i32>(i32(params.out_d), i32(params.out_h), i32(params.out_w));
    if (any(p >= size)) {
        return 0.0;
    }
    return load_b(r.x + c.x + (p.x * size.y + p.y) * size.z + p.z);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.in_channels + row) * params.size_in;
}

fn out_col(z: u32, col: u32) -> u32 {
    let image = quotient(col, params.size_in, params.per_size_in);
    let p = col - image * params.size_in;
    return image * params.n_planes * params.in_channels * params.size_in + p;
}
