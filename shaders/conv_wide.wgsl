// A product of a convolution with 128 by 128 tiles: for large ones on GPUs. As `gemm_wide.wgsl`, for the operands of
// `conv_tiled.wgsl`. A workgroup goes through the sum 8 terms at a time; a thread computes 8 rows by 8 columns, as four blocks
// that lie 64 apart.

// Neighbouring threads read neighbouring k, not neighbouring columns, of b. They always do of a.
override B_ALONG_K: bool = false;

const TILE_K: u32 = 8u;
// Quads in a row of a tile, and one more against bank conflicts.
const QUADS: u32 = 32u;
const PITCH: u32 = 33u;

// [k][4 rows] and [k][4 columns].
var<workgroup> sh_a: array<vec4<f32>, 264>;
var<workgroup> sh_b: array<vec4<f32>, 264>;

// Blocks of a thread by their row and column.
struct Blocks {
    xx: Block,
    xy: Block,
    yx: Block,
    yy: Block,
}

fn add_term(c: Blocks, ia: u32, ib: u32) -> Blocks {
    let u = sh_a[ia];
    let w = sh_a[ia + 16u];
    let v = sh_b[ib];
    let x = sh_b[ib + 16u];
    return Blocks(
        add_products(c.xx, u, v),
        add_products(c.xy, u, x),
        add_products(c.yx, w, v),
        add_products(c.yy, w, x),
    );
}

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
    let piece = piece_of(z);
    // Planes may have fewer columns than the largest.
    if (col0 >= piece.n_cols) {
        return;
    }
    let k_begin = split * params.split_len;
    let k_end = min(k_begin + params.split_len, piece.n_sum);

    // The quad of each operand that this thread brings in.
    let a_quad_ix = local / TILE_K;
    let a_k = local % TILE_K;
    let b_quad_ix = select(local % QUADS, local / TILE_K, B_ALONG_K);
    let b_k = select(local / QUADS, local % TILE_K, B_ALONG_K);
    let a_rows = rows(piece, row0 + 4u * a_quad_ix);
    let b_columns = columns(piece, col0 + 4u * b_quad_ix);
    let a_to = a_k * PITCH + a_quad_ix;
    let b_to = b_k * PITCH + b_quad_ix;

    var a = a_first(piece, k_begin + a_k);
    var b = b_first(piece, k_begin + b_k);
    var next_a = a_quad(a_rows, a, piece.a_last);
    var next_b = b_quad(b_columns, b);

    let tx = local % 16u;
    let ty = local / 16u;
    var c = Blocks();
    for (var k = k_begin; k < k_end; k += TILE_K) {
        let keep = b_kept(b_columns, b, k + b_k < k_end);
        workgroupBarrier();
        sh_a[a_to] = select(vec4<f32>(), a_wide(next_a, a_rows, a), k + a_k < k_end);
        sh_b[b_to] = select(vec4<f32>(), b_wide(next_b, b_columns, b), keep);
        workgroupBarrier();
        a = a_next(piece, a);
        b = b_next(piece, b);
        next_a = a_quad(a_rows, a, piece.a_last);
        next_b = b_quad(b_columns, b);
        for (var step = 0u; step < TILE_K; step += 4u) {
            let ia = step * PITCH + ty;
            let ib = step * PITCH + tx;
            c = add_term(c, ia, ib);
            c = add_term(c, ia + PITCH, ib + PITCH);
            c = add_term(c, ia + 2u * PITCH, ib + 2u * PITCH);
            c = add_term(c, ia + 3u * PITCH, ib + 3u * PITCH);
        }
    }

    let row = row0 + 4u * ty;
    let at = split * params.out_len;
    let low = places(piece, col0 + 4u * tx);
    let high = places(piece, col0 + 4u * tx + 64u);
    store_block(piece, row, at, low, c.xx);
    store_block(piece, row, at, high, c.xy);
    store_block(piece, row + 64u, at, low, c.yx);
    store_block(piece, row + 64u, at, high, c.yy);
}
