// A product of a convolution, tiled through workgroup memory: for GPUs. As `gemm_tiled.wgsl`, for operands of
// `conv_walk.wgsl`: a workgroup computes 1024 / TX rows by 4 TX columns, 16 terms of the sum at a time, a thread 4 by 4 of it.
//
// Not a module: `kernels.rs` joins it with an operands file, which says of each plane of the result
//   piece_of(plane): how many columns and terms it has, and what else depends on it
//   a_row(piece, row), a_first(piece, k), a_next(piece, spot)    b_col(piece, col), b_first(piece, k), b_next(piece, spot)
//   out_row(piece, row), out_col(piece, col)

// 16 (tile of 64 by 64) or 32 (tile of 32 by 128).
override TX: u32 = 16u;
// Neighbouring threads read neighbouring k, not neighbouring columns, of b. They always do of a.
override B_ALONG_K: bool = false;

const TILE_K: u32 = 16u;

// [k][4 rows] and [k][4 columns], one more than a row of them, against bank conflicts.
var<workgroup> sh_a: array<vec4<f32>, 272>;
var<workgroup> sh_b: array<vec4<f32>, 528>;

// What a thread brings in of b at a term of the sum.
struct Quads {
    low: vec4<AheadB>,
    high: vec4<AheadB>,
}

fn quads(low: Columns, high: Columns, s: Spot) -> Quads {
    if (TX == 16u) {
        return Quads(b_quad(low, s), vec4<AheadB>());
    }
    return Quads(b_quad(low, s), b_quad(high, s));
}

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
    let tile_row = in_plane / params.tile_cols;
    let row0 = tile_row * (4u * ty_count);
    let col0 = (in_plane - tile_row * params.tile_cols) * (4u * TX);
    let piece = piece_of(z);
    // Planes may have fewer columns than the largest.
    if (col0 >= piece.n_cols) {
        return;
    }
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, piece.n_sum);

    // What this thread brings in: one quad of a, TX / 16 quads of b, 64 columns apart. With tiles of 32 rows only half of the
    // threads have a quad of a; the others load what another has, and store nothing.
    let a_quad_ix = local / TILE_K;
    let a_k = local % TILE_K;
    let a_stores = a_quad_ix < ty_count;
    let b_quad_ix = select(local % 16u, local / TILE_K, B_ALONG_K);
    let b_k = select(local / 16u, local % TILE_K, B_ALONG_K);
    let a_rows = rows(piece, row0 + 4u * a_quad_ix);
    let b_low = columns(piece, col0 + 4u * b_quad_ix);
    var b_high = b_low;
    if (TX == 32u) {
        b_high = columns(piece, col0 + 4u * b_quad_ix + 64u);
    }
    let a_to = a_k * (ty_count + 1u) + a_quad_ix;
    let b_to = b_k * (TX + 1u) + b_quad_ix;

    var a = a_first(piece, k_begin + a_k);
    var b = b_first(piece, k_begin + b_k);
    var next_a = a_quad(a_rows, a, piece.a_last);
    var next_b = quads(b_low, b_high, b);

    let tx = local % TX;
    let ty = local / TX;
    var c = Block();
    for (var k = k_begin; k < k_end; k += TILE_K) {
        let in_sum = k + b_k < k_end;
        let keep_low = b_kept(b_low, b, in_sum);
        let keep_high = b_kept(b_high, b, in_sum);
        workgroupBarrier();
        if (a_stores) {
            sh_a[a_to] = select(vec4<f32>(), a_wide(next_a, a_rows, a), k + a_k < k_end);
        }
        sh_b[b_to] = select(vec4<f32>(), b_wide(next_b.low, b_low, b), keep_low);
        if (TX == 32u) {
            sh_b[b_to + 16u] = select(vec4<f32>(), b_wide(next_b.high, b_high, b), keep_high);
        }
        workgroupBarrier();
        a = a_next(piece, a);
        b = b_next(piece, b);
        next_a = a_quad(a_rows, a, piece.a_last);
        next_b = quads(b_low, b_high, b);
        for (var step = 0u; step < TILE_K; step += 4u) {
            let ia = step * (ty_count + 1u) + ty;
            let ib = step * (TX + 1u) + tx;
            c = add_products(c, sh_a[ia], sh_b[ib]);
            c = add_products(c, sh_a[ia + (ty_count + 1u)], sh_b[ib + (TX + 1u)]);
            c = add_products(c, sh_a[ia + 2u * (ty_count + 1u)], sh_b[ib + 2u * (TX + 1u)]);
            c = add_products(c, sh_a[ia + 3u * (ty_count + 1u)], sh_b[ib + 3u * (TX + 1u)]);
        }
    }

    let to = places(piece, col0 + 4u * tx);
    store_block(piece, row0 + 4u * ty, split * params.out_len, to, c);
}
