// Matrix product of implicit operands, tiled through workgroup memory: for GPUs.
//
//   out[z, row, col] = sum over k of a(z, row, k) * b(z, k, col)
//
// Not a module: `kernels.rs` joins it with `gemm_load.wgsl`, `gemm_store.wgsl` and an operands file, which declares the bindings,
// `params` and
//   a_row(z, row), a_col(k), a_at(a_row, a_col)    b_row(k), b_col(z, col), b_at(b_row, b_col)
//   out_row(z, row), out_col(z, col)
// so that what depends on a row or a column alone is computed once per thread, not once per element.
//
// A workgroup computes 1024 / TX rows by 4 TX columns, 16 terms of the sum at a time, a thread 4 by 4 of it.
// Rows and columns past the end repeat the last one and are not stored; terms past the end are zero in both
// operands, for garbage times zero may be NaN. With n_splits > 1 each split of the sum has its own output.

// 16 (tile of 64 by 64) or 32 (tile of 32 by 128).
override TX: u32 = 16u;
// Neighbouring threads read neighbouring k, not neighbouring rows, of a.
override A_ALONG_K: bool = true;
// Likewise for columns of b; with TX = 16 only.
override B_ALONG_K: bool = false;
// A quad is four terms of one row of a, not four rows at one term; likewise columns of b.
override A_FOURS: bool = false;
override B_FOURS: bool = false;

const TILE_K: u32 = 16u;

// [k][4 rows] and [k][4 columns], one more than a row of them, against bank conflicts. As numbers: see `gemm_tiles.wgsl`.
var<workgroup> sh_a: array<f32, 1088>;
var<workgroup> sh_b: array<f32, 2112>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let ty_count = 256u / TX;
    let tile = wg.x + num.x * (wg.y + num.y * wg.z);
    let n_tiles = params.tile_rows * params.tile_cols;
    let plane = tile / n_tiles;
    if (plane >= params.n_planes * params.n_splits) {
        return;
    }
    let in_plane = tile - plane * n_tiles;
    let z = plane / params.n_splits;
    let split = plane - z * params.n_splits;
    let row0 = (in_plane / params.tile_cols) * (4u * ty_count);
    let col0 = (in_plane % params.tile_cols) * (4u * TX);
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, params.n_sum);

    // What this thread brings in: one quad of a, TX / 16 quads of b.
    var a_quad_ix = local / TILE_K;
    var a_k = local % TILE_K;
    if (!A_ALONG_K) {
        a_quad_ix = local % ty_count;
        a_k = local / ty_count;
    }
    var a_line = 4u * a_quad_ix;
    if (A_FOURS) {
        a_line = local / (TILE_K / 4u);
        a_k = 4u * (local % (TILE_K / 4u));
    }
    // With tiles of 32 rows only half of the threads have a quad of a; the others load what another has, and store nothing.
    let a_stores = TX == 16u || (a_line < 4u * ty_count && a_k < TILE_K);
    var b_quad_ix = local % TX;
    var b_k = local / TX;
    if (B_ALONG_K) {
        b_quad_ix = local / TILE_K;
        b_k = local % TILE_K;
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
    let a_to = a_k * (ty_count + 1u) + a_line / 4u;
    let b_to = b_k * (TX + 1u) + b_line / 4u;

    var next_a = a_quad(a0, a1, a2, a3, k_begin + a_k, k_end);
    var next_b = b_quad(b0, b1, b2, b3, k_begin + b_k, k_end);
    var next_b_high = next_b;
    if (TX == 32u) {
        next_b_high = b_quad(b0, b1, b2, b3, k_begin + b_k + 8u, k_end);
    }

    let tx = local % TX;
    let ty = local / TX;
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k = k_begin; k < k_end; k += TILE_K) {
        workgroupBarrier();
        var now_a = a_wide(next_a, a0, a1, a2, a3, k + a_k, k_end);
        var now_b = b_wide(next_b, b0, b1, b2, b3, k + b_k, k_end);
        // Only the last tile of the sum may go past its end.
        if (k + TILE_K > k_end) {
            now_a = select(vec4<f32>(), now_a, k + a_k < k_end);
            now_b = select(vec4<f32>(), now_b, k + b_k < k_end);
        }
        if (a_stores && A_FOURS) {
            sh_a[4u * a_to + a_line % 4u] = now_a.x;
            sh_a[4u * (a_to + (ty_count + 1u)) + a_line % 4u] = now_a.y;
            sh_a[4u * (a_to + 2u * (ty_count + 1u)) + a_line % 4u] = now_a.z;
            sh_a[4u * (a_to + 3u * (ty_count + 1u)) + a_line % 4u] = now_a.w;
        } else if (a_stores) {
            a_put(a_to, now_a);
        }
        if (B_FOURS) {
            sh_b[4u * b_to + b_line % 4u] = now_b.x;
            sh_b[4u * (b_to + (TX + 1u)) + b_line % 4u] = now_b.y;
            sh_b[4u * (b_to + 2u * (TX + 1u)) + b_line % 4u] = now_b.z;
            sh_b[4u * (b_to + 3u * (TX + 1u)) + b_line % 4u] = now_b.w;
        } else {
            b_put(b_to, now_b);
        }
        if (TX == 32u) {
            let now_high = b_wide(next_b_high, b0, b1, b2, b3, k + b_k + 8u, k_end);
            b_put(b_to + 8u * (TX + 1u), select(vec4<f32>(), now_high, k + b_k + 8u < k_end));
        }
        workgroupBarrier();
        let ahead = k + TILE_K;
        next_a = a_quad(a0, a1, a2, a3, ahead + a_k, k_end);
        next_b = b_quad(b0, b1, b2, b3, ahead + b_k, k_end);
        if (TX == 32u) {
            next_b_high = b_quad(b0, b1, b2, b3, ahead + b_k + 8u, k_end);
        }
        for (var step = 0u; step < TILE_K; step += 4u) {
            let ia = step * (ty_count + 1u) + ty;
            let ib = step * (TX + 1u) + tx;
            let u0 = a_from(ia);
            let v0 = b_from(ib);
            c0 = fma(vec4<f32>(u0.x), v0, c0);
            c1 = fma(vec4<f32>(u0.y), v0, c1);
            c2 = fma(vec4<f32>(u0.z), v0, c2);
            c3 = fma(vec4<f32>(u0.w), v0, c3);
            let u1 = a_from(ia + (ty_count + 1u));
            let v1 = b_from(ib + (TX + 1u));
            c0 = fma(vec4<f32>(u1.x), v1, c0);
            c1 = fma(vec4<f32>(u1.y), v1, c1);
            c2 = fma(vec4<f32>(u1.z), v1, c2);
            c3 = fma(vec4<f32>(u1.w), v1, c3);
            let u2 = a_from(ia + 2u * (ty_count + 1u));
            let v2 = b_from(ib + 2u * (TX + 1u));
            c0 = fma(vec4<f32>(u2.x), v2, c0);
            c1 = fma(vec4<f32>(u2.y), v2, c1);
            c2 = fma(vec4<f32>(u2.z), v2, c2);
            c3 = fma(vec4<f32>(u2.w), v2, c3);
            let u3 = a_from(ia + 3u * (ty_count + 1u));
            let v3 = b_from(ib + 3u * (TX + 1u));
            c0 = fma(vec4<f32>(u3.x), v3, c0);
            c1 = fma(vec4<f32>(u3.y), v3, c1);
            c2 = fma(vec4<f32>(u3.z), v3, c2);
            c3 = fma(vec4<f32>(u3.w), v3, c3);
        }
    }

    let row = row0 + 4u * ty;
    let col = col0 + 4u * tx;
    let at = split * params.out_len;
    store_row(row, at, z, col, c0);
    store_row(row + 1u, at, z, col, c1);
    store_row(row + 2u, at, z, col, c2);
    store_row(row + 3u, at, z, col, c3);
}
