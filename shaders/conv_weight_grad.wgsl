// Gradient of the weight: rows are output channels, columns (input channel, tap), the sum runs over
// (image, output position). a is the gradient of the output, b the input.

fn a_row(z: u32, row: u32) -> vec4<i32> {
    return first_only((z * params.out_channels + row) * params.size_out);
}

fn a_col(k: u32) -> vec4<i32> {
    let image = quotient(k, params.size_out, params.per_size_out);
    let p = k - image * params.size_out;
    return first_only(image * params.n_planes * params.out_channels * params.size_out + p);
}

fn a_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_a(r.x + c.x);
}

fn b_row(k: u32) -> vec4<i32> {
    let image = quotient(k, params.size_out, params.per_size_out);
    let corner = corner_of(k - image * params.size_out);
    let plane = image * params.n_planes * params.in_channels;
    return vec4<i32>(i32(plane * params.size_in) + in_offset(corner), corner);
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    let channel = quotient(col, params.taps, params.per_taps);
    let tap = tap_at(col - channel * params.taps);
    let plane = z * params.in_channels + channel;
    return vec4<i32>(i32(plane * params.size_in) + in_offset(tap), tap);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.out_channels + row) * params.n_cols;
}

fn out_col(z: u32, col: u32) -> u32 {
    return col;
}
