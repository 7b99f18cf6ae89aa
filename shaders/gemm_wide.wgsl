// Matrix product of implicit operands with 128 by 128 tiles: for large ones on GPUs. What it computes, and the
// functions of the operands file that `kernels.rs` puts behind it, are those of `gemm_tiled.wgsl`.
//
// A workgroup goes through the sum 8 terms at a time. A thread computes 8 rows by 8 columns, as four blocks of
// 4 by 4 that lie 64 apart, so that neighbouring threads read neighbouring quads of workgroup memory.

// Neighbouring threads read neighbouring k, not neighbouring rows, of a.
override A_ALONG_K: bool = true;
// Likewise for columns of b.
override B_ALONG_K: bool = false;
// A quad is four terms of one row of a, not four rows at one term; likewise columns of b.
override A_FOURS: bool = false;
override B_FOURS: bool = false;

const TILE_K: u32 = 8u;
// Quads in a row of a tile, and one more against bank conflicts.
const QUADS: u32 = 32u;
const PITCH: u32 = 33u;

// [k][4 rows] and [k][4 columns], as numbers: see `gemm_tiles.wgsl`.
var<workgroup> sh_a: array<f32, 1056>;
var<workgroup> sh_b: array<f32, 1056>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
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
    // Bands of 8 tile rows, column by column: tiles that run together share operands in the cache.
    let band = in_plane / (8u * params.tile_cols);
    let in_band = in_plane - band * 8u * params.tile_cols;
    let band_rows = min(8u, params.tile_rows - 8u * band);
    let row0 = (8u * band + in_band % band_rows) * 128u;
    let col0 = (in_band / band_rows) * 128u;
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, params.n_sum);

    // The quad of each operand that this thread brings in.
    var a_quad_ix = local / TILE_K;
    var a_k = local % TILE_K;
    if (!A_ALONG_K) {
        a_quad_ix = local % QUADS;
        a_k = local / QUADS;
    }
    var b_quad_ix = local % QUADS;
    var b_k = local / QUADS;
    if (B_ALONG_K) {
        b_quad_ix = local / TILE_K;
        b_k = local % TILE_K;
    }
    var a_line = 4u * a_quad_ix;
    if (A_FOURS) {
        a_line = local / (TILE_K / 4u);
        a_k = 4u * (local % (TILE_K / 4u));
    }
    var b_line = 4u * b_quad_ix;
    if (B_FOURS) {
        b_line = local / (TILE_K / 4u);
        b_k = 4u * (local % (TILE_K / 4u));
    }
    let last_row = params.n_rows - 1u;
    let last_col = params.n_cols - 1u;
    let ar = row0 + a_line;
    let a0 = a_row(z, min(ar, last_row));
    let a1 = a_row(z, min(ar + 1u, last_row));
    let a2 = a_row(z, min(ar + 2u, last_row));
    let a3 = a_row(z, min(ar + 3u, last_row));
    let bc = col0 + b_line;
    let b0 = b_col(z, min(bc, last_col));
    let b1 = b_col(z, min(bc + 1u, last_col));
    let b2 = b_col(z, min(bc + 2u, last_col));
    let b3 = b_col(z, min(bc + 3u, last_col));
    let a_to = a_k * PITCH + a_line / 4u;
    let b_to = b_k * PITCH + b_line / 4u;
    var next_a = a_quad(a0, a1, a2, a3, k_begin + a_k, k_end);
    var next_b = b_quad(b0, b1, b2, b3, k_begin + b_k, k_end);

    let tx = local % 16u;
    let ty = local / 16u;
    // Rows 0 to 3 and 64 to 67 of this thread: c for its first four columns, d for those 64 further.
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var c4 = vec4<f32>();
    var c5 = vec4<f32>();
    var c6 = vec4<f32>();
    var c7 = vec4<f32>();
    var d0 = vec4<f32>();
    var d1 = vec4<f32>();
    var d2 = vec4<f32>();
    var d3 = vec4<f32>();
    var d4 = vec4<f32>();
    var d5 = vec4<f32>();
    var d6 = vec4<f32>();
    var d7 = vec4<f32>();
    for (var k = k_begin; k < k_end; k += TILE_K) {
        workgroupBarrier();
        let now_a = a_wide(next_a, a0, a1, a2, a3, k + a_k, k_end);
        let now_b = b_wide(next_b, b0, b1, b2, b3, k + b_k, k_end);
        let put_a = select(vec4<f32>(), now_a, k + a_k < k_end);
        let put_b = select(vec4<f32>(), now_b, k + b_k < k_end);
        if (A_FOURS) {
            sh_a[4u * a_to + a_line % 4u] = put_a.x;
            sh_a[4u * (a_to + PITCH) + a_line % 4u] = put_a.y;
            sh_a[4u * (a_to + 2u * PITCH) + a_line % 4u] = put_a.z;
            sh_a[4u * (a_to + 3u * PITCH) + a_line % 4u] = put_a.w;
        } else {
            a_put(a_to, put_a);
        }
        if (B_FOURS) {
            sh_b[4u * b_to + b_line % 4u] = put_b.x;
            sh_b[4u * (b_to + PITCH) + b_line % 4u] = put_b.y;
            sh_b[4u * (b_to + 2u * PITCH) + b_line % 4u] = put_b.z;
            sh_b[4u * (b_to + 3u * PITCH) + b_line % 4u] = put_b.w;
        } else {
            b_put(b_to, put_b);
        }
        workgroupBarrier();
        let ahead = k + TILE_K;
        next_a = a_quad(a0, a1, a2, a3, ahead + a_k, k_end);
        next_b = b_quad(b0, b1, b2, b3, ahead + b_k, k_end);
        for (var step = 0u; step < TILE_K; step += 4u) {
            let ia = step * PITCH + ty;
            let ib = step * PITCH + tx;
            let u0 = a_from(ia);
            let w0 = a_from(ia + 16u);
            let v0 = b_from(ib);
            let x0 = b_from(ib + 16u);
            c0 = fma(vec4<f32>(u0.x), v0, c0);
            c1 = fma(vec4<f32>(u0.y), v0, c1);
            c2 = fma(vec4<f32>(u0.z), v0, c2);
            c3 = fma(vec4<f32>(u0.w), v0, c3);
            c4 = fma(vec4<f32>(w0.x), v0, c4);
            c5 = fma(vec4<f32>(w0.y), v0, c5);
            c6 = fma(vec4<f32>(w0.z), v0, c6);
            c7 = fma(vec4<f32>(w0.w), v0, c7);
            d0 = fma(vec4<f32>(u0.x), x0, d0);
            d1 = fma(vec4<f32>(u0.y), x0, d1);
            d2 = fma(vec4<f32>(u0.z), x0, d2);
            d3 = fma(vec4<f32>(u0.w), x0, d3);
            d4 = fma(vec4<f32>(w0.x), x0, d4);
            d5 = fma(vec4<f32>(w0.y), x0, d5);
            d6 = fma(vec4<f32>(w0.z), x0, d6);
            d7 = fma(vec4<f32>(w0.w), x0, d7);
            let u1 = a_from(ia + PITCH);
            let w1 = a_from(ia + PITCH + 16u);
            let v1 = b_from(ib + PITCH);
            let x1 = b_from(ib + PITCH + 16u);
            c0 = fma(vec4<f32>(u1.x), v1, c0);
            c1 = fma(vec4<f32>(u1.y), v1, c1);
            c2 = fma(vec4<f32>(u1.z), v1, c2);
            c3 = fma(vec4<f32>(u1.w), v1, c3);
            c4 = fma(vec4<f32>(w1.x), v1, c4);
            c5 = fma(vec4<f32>(w1.y), v1, c5);
            c6 = fma(vec4<f32>(w1.z), v1, c6);
            c7 = fma(vec4<f32>(w1.w), v1, c7);
            d0 = fma(vec4<f32>(u1.x), x1, d0);
            d1 = fma(vec4<f32>(u1.y), x1, d1);
            d2 = fma(vec4<f32>(u1.z), x1, d2);
            d3 = fma(vec4<f32>(u1.w), x1, d3);
            d4 = fma(vec4<f32>(w1.x), x1, d4);
            d5 = fma(vec4<f32>(w1.y), x1, d5);
            d6 = fma(vec4<f32>(w1.z), x1, d6);
            d7 = fma(vec4<f32>(w1.w), x1, d7);
            let u2 = a_from(ia + 2u * PITCH);
            let w2 = a_from(ia + 2u * PITCH + 16u);
            let v2 = b_from(ib + 2u * PITCH);
            let x2 = b_from(ib + 2u * PITCH + 16u);
            c0 = fma(vec4<f32>(u2.x), v2, c0);
            c1 = fma(vec4<f32>(u2.y), v2, c1);
            c2 = fma(vec4<f32>(u2.z), v2, c2);
            c3 = fma(vec4<f32>(u2.w), v2, c3);
            c4 = fma(vec4<f32>(w2.x), v2, c4);
            c5 = fma(vec4<f32>(w2.y), v2, c5);
            c6 = fma(vec4<f32>(w2.z), v2, c6);
            c7 = fma(vec4<f32>(w2.w), v2, c7);
            d0 = fma(vec4<f32>(u2.x), x2, d0);
            d1 = fma(vec4<f32>(u2.y), x2, d1);
            d2 = fma(vec4<f32>(u2.z), x2, d2);
            d3 = fma(vec4<f32>(u2.w), x2, d3);
            d4 = fma(vec4<f32>(w2.x), x2, d4);
            d5 = fma(vec4<f32>(w2.y), x2, d5);
            d6 = fma(vec4<f32>(w2.z), x2, d6);
            d7 = fma(vec4<f32>(w2.w), x2, d7);
            let u3 = a_from(ia + 3u * PITCH);
            let w3 = a_from(ia + 3u * PITCH + 16u);
            let v3 = b_from(ib + 3u * PITCH);
            let x3 = b_from(ib + 3u * PITCH + 16u);
            c0 = fma(vec4<f32>(u3.x), v3, c0);
            c1 = fma(vec4<f32>(u3.y), v3, c1);
            c2 = fma(vec4<f32>(u3.z), v3, c2);
            c3 = fma(vec4<f32>(u3.w), v3, c3);
            c4 = fma(vec4<f32>(w3.x), v3, c4);
            c5 = fma(vec4<f32>(w3.y), v3, c5);
            c6 = fma(vec4<f32>(w3.z), v3, c6);
            c7 = fma(vec4<f32>(w3.w), v3, c7);
            d0 = fma(vec4<f32>(u3.x), x3, d0);
            d1 = fma(vec4<f32>(u3.y), x3, d1);
            d2 = fma(vec4<f32>(u3.z), x3, d2);
            d3 = fma(vec4<f32>(u3.w), x3, d3);
            d4 = fma(vec4<f32>(w3.x), x3, d4);
            d5 = fma(vec4<f32>(w3.y), x3, d5);
            d6 = fma(vec4<f32>(w3.z), x3, d6);
            d7 = fma(vec4<f32>(w3.w), x3, d7);
        }
    }

    let row = row0 + 4u * ty;
    let col = col0 + 4u * tx;
    let at = split * params.out_len;
    store_row(row, at, z, col, c0);
    store_row(row + 1u, at, z, col, c1);
    store_row(row + 2u, at, z, col, c2);
    store_row(row + 3u, at, z, col, c3);
    store_row(row + 64u, at, z, col, c4);
    store_row(row + 65u, at, z, col, c5);
    store_row(row + 66u, at, z, col, c6);
    store_row(row + 67u, at, z, col, c7);
    store_row(row, at, z, col + 64u, d0);
    store_row(row + 1u, at, z, col + 64u, d1);
    store_row(row + 2u, at, z, col + 64u, d2);
    store_row(row + 3u, at, z, col + 64u, d3);
    store_row(row + 64u, at, z, col + 64u, d4);
    store_row(row + 65u, at, z, col + 64u, d5);
    store_row(row + 66u, at, z, col + 64u, d6);
    store_row(row + 67u, at, z, col + 64u, d7);
}
