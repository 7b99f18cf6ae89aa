// Planes of a matrix product that all have the same size: see `gemm_register.wgsl`. Not a module.

fn enter_plane(z: u32) {}

fn n_cols() -> u32 {
    return params.n_cols;
}

fn n_sum() -> u32 {
    return params.n_sum;
}
