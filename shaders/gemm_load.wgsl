// How the cores with workgroup memory load operands. Not a module: see `gemm_tiled.wgsl`.

// Four rows of a at one term of the sum; zeros past its end.
fn a_quad(r0: vec4<i32>, r1: vec4<i32>, r2: vec4<i32>, r3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    if (k >= k_end) {
        return vec4<f32>();
    }
    let c = a_col(k);
    return vec4<f32>(a_at(r0, c), a_at(r1, c), a_at(r2, c), a_at(r3, c));
}

// Four columns of b at one term of the sum; zeros past its end.
fn b_quad(c0: vec4<i32>, c1: vec4<i32>, c2: vec4<i32>, c3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    if (k >= k_end) {
        return vec4<f32>();
    }
    let r = b_row(k);
    return vec4<f32>(b_at(r, c0), b_at(r, c1), b_at(r, c2), b_at(r, c3));
}
