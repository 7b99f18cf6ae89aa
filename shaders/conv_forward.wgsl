// y = conv(x, weight): rows are output channels, columns (image, output position), the sum runs over
// (input channel, tap). a is the weight, b the input.

fn a_row(z: u32, row: u32) -> vec4<i32> {
    return first_only((z * params.out_channels + row) * params.n_sum);
}

fn a_col(k: u32) -> vec4<i32> {
    return first_only(k);
}

fn a_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_a(r.x + c.x);
}

fn b_row(k: u32) -> vec4<i32> {
    let channel = quotient(k, params.taps, params.per_taps);
    let tap = tap_at(k - channel * params.taps);
    return vec4<i32>(i32(channel * params.size_in) + in_offset(tap), tap);
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    let image = quotient(col, params.size_out, params.per_size_out);
    let corner = corner_of(col - image * params.size_out);
    let plane = (image * params.n_planes + z) * params.in_channels;
    return vec4<i32>(i32(plane * params.size_in) + in_offset(corner), corner);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.out_channels + row) * params.size_out;
}

fn out_col(z: u32, col: u32) -> u32 {
    let image = quotient(col, params.size_out, params.per_size_out);
    let p = col - image * params.size_out;
    return image * params.n_planes * params.out_channels * params.size_out + p;
}
