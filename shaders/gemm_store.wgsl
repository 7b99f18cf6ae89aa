// How the cores of the implicit matrix product store. Not a module: see `gemm_tiled.wgsl`.

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
