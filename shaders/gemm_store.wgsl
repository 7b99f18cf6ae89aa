// How the cores of the implicit matrix product store. Not a module: see `gemm_tiled.wgsl`.

// Four neighbouring elements of a row of the result, as far as they exist; `at` is where its split begins.
fn store_row(row: u32, at: u32, z: u32, col: u32, v: vec4<f32>) {
    if (row >= params.n_rows) {
        return;
    }
    let first = at + out_row(z, row);
    if (col < n_cols()) {
        let at_x = first + out_col(z, col);
        out_c[at_x] = finish(v.x, at_x);
    }
    if (col + 1u < n_cols()) {
        let at_y = first + out_col(z, col + 1u);
        out_c[at_y] = finish(v.y, at_y);
    }
    if (col + 2u < n_cols()) {
        let at_z = first + out_col(z, col + 2u);
        out_c[at_z] = finish(v.z, at_z);
    }
    if (col + 3u < n_cols()) {
        let at_w = first + out_col(z, col + 3u);
        out_c[at_w] = finish(v.w, at_w);
    }
}
