// Matrix product of implicit operands, tiled in registers alone: for software adapters, where workgroup memory
// and barriers cost more than they save. What it computes, and the functions of the operands file that
// `kernels.rs` puts behind it, are those of `gemm_tiled.wgsl`; planes may differ in size:
//   enter_plane(z): which plane the invocation is in, before all else    n_cols(), n_sum(): its size, at most that in `params`
//
// A thread computes 8 rows by 4 columns. Neighbouring threads have neighbouring columns.

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    let n_tiles = params.tile_rows * params.tile_cols;
    let plane = tile / n_tiles;
    if (plane >= params.n_planes * params.n_splits) {
        return;
    }
    let in_plane = tile - plane * n_tiles;
    let z = plane / params.n_splits;
    let split = plane - z * params.n_splits;
    let row = (in_plane / params.tile_cols) * 8u;
    let col = (in_plane % params.tile_cols) * 4u;
    enter_plane(z);
    if (col >= n_cols()) {
        return;
    }
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, n_sum());

    let last_row = params.n_rows - 1u;
    let last_col = n_cols() - 1u;
    let a0 = a_row(z, row);
    let a1 = a_row(z, min(row + 1u, last_row));
    let a2 = a_row(z, min(row + 2u, last_row));
    let a3 = a_row(z, min(row + 3u, last_row));
    let a4 = a_row(z, min(row + 4u, last_row));
    let a5 = a_row(z, min(row + 5u, last_row));
    let a6 = a_row(z, min(row + 6u, last_row));
    let a7 = a_row(z, min(row + 7u, last_row));
    let b0 = b_col(z, col);
    let b1 = b_col(z, min(col + 1u, last_col));
    let b2 = b_col(z, min(col + 2u, last_col));
    let b3 = b_col(z, min(col + 3u, last_col));

    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var c4 = vec4<f32>();
    var c5 = vec4<f32>();
    var c6 = vec4<f32>();
    var c7 = vec4<f32>();
    for (var k = k_begin; k < k_end; k++) {
        let r = b_row(k);
        let v = vec4<f32>(b_at(r, b0), b_at(r, b1), b_at(r, b2), b_at(r, b3));
        let c = a_col(k);
        c0 = fma(vec4<f32>(a_at(a0, c)), v, c0);
        c1 = fma(vec4<f32>(a_at(a1, c)), v, c1);
        c2 = fma(vec4<f32>(a_at(a2, c)), v, c2);
        c3 = fma(vec4<f32>(a_at(a3, c)), v, c3);
        c4 = fma(vec4<f32>(a_at(a4, c)), v, c4);
        c5 = fma(vec4<f32>(a_at(a5, c)), v, c5);
        c6 = fma(vec4<f32>(a_at(a6, c)), v, c6);
        c7 = fma(vec4<f32>(a_at(a7, c)), v, c7);
    }

    let at = split * params.out_len;
    store_row(row, at, z, col, c0);
    store_row(row + 1u, at, z, col, c1);
    store_row(row + 2u, at, z, col, c2);
    store_row(row + 3u, at, z, col, c3);
    store_row(row + 4u, at, z, col, c4);
    store_row(row + 5u, at, z, col, c5);
    store_row(row + 6u, at, z, col, c6);
    store_row(row + 7u, at, z, col, c7);
}
