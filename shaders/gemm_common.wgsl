// What the cores of the implicit matrix product share. Not a module: see `gemm_tiled.wgsl`.

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

// Four neighbouring elements of a row of the result, as far as they exist; `at` is where its split begins.
fn store_row(row: u32, at: u32, z: u32, col: u32, v: vec4<f32>) {
    if (row >= params.n_rows) {
        return;
    }
    let first = at + out_row(z, row);
    if (col < params.n_cols) {
        out_c[first + out_col(z, col)] = v.x;
    }
    if (col + 1u < params.n_cols) {
        out_c[first + out_col(z, col + 1u)] = v.y;
    }
    if (col + 2u < params.n_cols) {
        out_c[first + out_col(z, col + 2u)] = v.z;
    }
    if (col + 3u < params.n_cols) {
        out_c[first + out_col(z, col + 3u)] = v.w;
    }
}
