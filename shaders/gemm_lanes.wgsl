// Matrix product of implicit operands with a subgroup of 8 lanes for each tile: for software adapters, which load lane by
// lane and are slow at it, but exchange registers between lanes in one instruction. What it computes is that of
// `gemm_tiled.wgsl`. Not a module: `kernels.rs` puts `lanes_any.wgsl` or `lanes_aligned.wgsl` and an operands file behind
// it, which say how operands are loaded:
//   a_four(r, k, k_end): four terms of a row of a from k on (A_ALONG_K), or four rows at one term
//   b_four(c, k, k_end): four terms of a column of b from k on (B_ALONG_K), or four columns at one term
//
// A workgroup is one subgroup and computes 16 rows by 32 columns, a lane 4 columns of each row. Each lane loads a part
// of a that all need, and they take it from each other. Needs subgroups of exactly 8.

// Neighbouring terms of the sum, not neighbouring rows, are loaded at once.
override A_ALONG_K: bool = true;
// Likewise for columns.
override B_ALONG_K: bool = false;

// An element of a that another lane has: which component and lane depends on how a was loaded.
fn of_lane(along_k: f32, along_rows: f32, k_lane: u32, row_lane: u32) -> vec4<f32> {
    let value = select(along_rows, along_k, A_ALONG_K);
    return vec4<f32>(subgroupShuffle(value, select(row_lane, k_lane, A_ALONG_K)));
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = wg.x + num.x * (wg.y + num.y * wg.z);
    let n_tiles = params.tile_rows * params.tile_cols;
    let plane = tile / n_tiles;
    if (plane >= params.n_planes * params.n_splits) {
        return;
    }
    let in_plane = tile - plane * n_tiles;
    let z = plane / params.n_splits;
    let split = plane - z * params.n_splits;
    // Down the rows, so that tiles that run one after the other share the columns of b: they lie apart in memory.
    let tile_col = in_plane / params.tile_rows;
    let row = (in_plane - tile_col * params.tile_rows) * 16u;
    let col = tile_col * 32u + 4u * lane;
    enter_plane(z);
    if (tile_col * 32u >= n_cols()) {
        return;
    }
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, n_sum());

    // Along the sum a lane loads its own row; else four rows at the term that is a quarter of its number.
    let a_row_ix = row + select((lane % 2u) * 4u, lane, A_ALONG_K);
    let a_ahead = select(lane / 2u, 0u, A_ALONG_K);
    let a0 = a_lane(z, a_row_ix);
    let a1 = a_lane(z, a_row_ix + 8u);
    let b = b_lane(z, col);

    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var c4 = vec4<f32>();
    var c5 = vec4<f32>();
    var c6 = vec4<f32>();
    var c7 = vec4<f32>();
    var c8 = vec4<f32>();
    var c9 = vec4<f32>();
    var c10 = vec4<f32>();
    var c11 = vec4<f32>();
    var c12 = vec4<f32>();
    var c13 = vec4<f32>();
    var c14 = vec4<f32>();
    var c15 = vec4<f32>();
    for (var k = k_begin; k < k_end; k += 4u) {
        let p = a_four(a0, k + a_ahead, k_end);
        let q = a_four(a1, k + a_ahead, k_end);
        let v = b_block(b, k, k_end);
        c0 = fma(of_lane(p.x, p.x, 0u, 0u), v[0], c0);
        c1 = fma(of_lane(p.x, p.y, 1u, 0u), v[0], c1);
        c2 = fma(of_lane(p.x, p.z, 2u, 0u), v[0], c2);
        c3 = fma(of_lane(p.x, p.w, 3u, 0u), v[0], c3);
        c4 = fma(of_lane(p.x, p.x, 4u, 1u), v[0], c4);
        c5 = fma(of_lane(p.x, p.y, 5u, 1u), v[0], c5);
        c6 = fma(of_lane(p.x, p.z, 6u, 1u), v[0], c6);
        c7 = fma(of_lane(p.x, p.w, 7u, 1u), v[0], c7);
        c8 = fma(of_lane(q.x, q.x, 0u, 0u), v[0], c8);
        c9 = fma(of_lane(q.x, q.y, 1u, 0u), v[0], c9);
        c10 = fma(of_lane(q.x, q.z, 2u, 0u), v[0], c10);
        c11 = fma(of_lane(q.x, q.w, 3u, 0u), v[0], c11);
        c12 = fma(of_lane(q.x, q.x, 4u, 1u), v[0], c12);
        c13 = fma(of_lane(q.x, q.y, 5u, 1u), v[0], c13);
        c14 = fma(of_lane(q.x, q.z, 6u, 1u), v[0], c14);
        c15 = fma(of_lane(q.x, q.w, 7u, 1u), v[0], c15);
        c0 = fma(of_lane(p.y, p.x, 0u, 2u), v[1], c0);
        c1 = fma(of_lane(p.y, p.y, 1u, 2u), v[1], c1);
        c2 = fma(of_lane(p.y, p.z, 2u, 2u), v[1], c2);
        c3 = fma(of_lane(p.y, p.w, 3u, 2u), v[1], c3);
        c4 = fma(of_lane(p.y, p.x, 4u, 3u), v[1], c4);
        c5 = fma(of_lane(p.y, p.y, 5u, 3u), v[1], c5);
        c6 = fma(of_lane(p.y, p.z, 6u, 3u), v[1], c6);
        c7 = fma(of_lane(p.y, p.w, 7u, 3u), v[1], c7);
        c8 = fma(of_lane(q.y, q.x, 0u, 2u), v[1], c8);
        c9 = fma(of_lane(q.y, q.y, 1u, 2u), v[1], c9);
        c10 = fma(of_lane(q.y, q.z, 2u, 2u), v[1], c10);
        c11 = fma(of_lane(q.y, q.w, 3u, 2u), v[1], c11);
        c12 = fma(of_lane(q.y, q.x, 4u, 3u), v[1], c12);
        c13 = fma(of_lane(q.y, q.y, 5u, 3u), v[1], c13);
        c14 = fma(of_lane(q.y, q.z, 6u, 3u), v[1], c14);
        c15 = fma(of_lane(q.y, q.w, 7u, 3u), v[1], c15);
        c0 = fma(of_lane(p.z, p.x, 0u, 4u), v[2], c0);
        c1 = fma(of_lane(p.z, p.y, 1u, 4u), v[2], c1);
        c2 = fma(of_lane(p.z, p.z, 2u, 4u), v[2], c2);
        c3 = fma(of_lane(p.z, p.w, 3u, 4u), v[2], c3);
        c4 = fma(of_lane(p.z, p.x, 4u, 5u), v[2], c4);
        c5 = fma(of_lane(p.z, p.y, 5u, 5u), v[2], c5);
        c6 = fma(of_lane(p.z, p.z, 6u, 5u), v[2], c6);
        c7 = fma(of_lane(p.z, p.w, 7u, 5u), v[2], c7);
        c8 = fma(of_lane(q.z, q.x, 0u, 4u), v[2], c8);
        c9 = fma(of_lane(q.z, q.y, 1u, 4u), v[2], c9);
        c10 = fma(of_lane(q.z, q.z, 2u, 4u), v[2], c10);
        c11 = fma(of_lane(q.z, q.w, 3u, 4u), v[2], c11);
        c12 = fma(of_lane(q.z, q.x, 4u, 5u), v[2], c12);
        c13 = fma(of_lane(q.z, q.y, 5u, 5u), v[2], c13);
        c14 = fma(of_lane(q.z, q.z, 6u, 5u), v[2], c14);
        c15 = fma(of_lane(q.z, q.w, 7u, 5u), v[2], c15);
        c0 = fma(of_lane(p.w, p.x, 0u, 6u), v[3], c0);
        c1 = fma(of_lane(p.w, p.y, 1u, 6u), v[3], c1);
        c2 = fma(of_lane(p.w, p.z, 2u, 6u), v[3], c2);
        c3 = fma(of_lane(p.w, p.w, 3u, 6u), v[3], c3);
        c4 = fma(of_lane(p.w, p.x, 4u, 7u), v[3], c4);
        c5 = fma(of_lane(p.w, p.y, 5u, 7u), v[3], c5);
        c6 = fma(of_lane(p.w, p.z, 6u, 7u), v[3], c6);
        c7 = fma(of_lane(p.w, p.w, 7u, 7u), v[3], c7);
        c8 = fma(of_lane(q.w, q.x, 0u, 6u), v[3], c8);
        c9 = fma(of_lane(q.w, q.y, 1u, 6u), v[3], c9);
        c10 = fma(of_lane(q.w, q.z, 2u, 6u), v[3], c10);
        c11 = fma(of_lane(q.w, q.w, 3u, 6u), v[3], c11);
        c12 = fma(of_lane(q.w, q.x, 4u, 7u), v[3], c12);
        c13 = fma(of_lane(q.w, q.y, 5u, 7u), v[3], c13);
        c14 = fma(of_lane(q.w, q.z, 6u, 7u), v[3], c14);
        c15 = fma(of_lane(q.w, q.w, 7u, 7u), v[3], c15);
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
    store_row(row + 8u, at, z, col, c8);
    store_row(row + 9u, at, z, col, c9);
    store_row(row + 10u, at, z, col, c10);
    store_row(row + 11u, at, z, col, c11);
    store_row(row + 12u, at, z, col, c12);
    store_row(row + 13u, at, z, col, c13);
    store_row(row + 14u, at, z, col, c14);
    store_row(row + 15u, at, z, col, c15);
}
