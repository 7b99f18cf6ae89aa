// Operands of `gemm_lanes.wgsl` for a batched matrix product whose lines begin at multiples of four elements and are
// multiples of four long, along the direction in which each operand is loaded, so that four elements are one load. The
// sum, and each split of it, is a multiple of four too.

struct Params {
    n_rows: u32,
    n_cols: u32,
    n_sum: u32,
    n_planes: u32,
    n_splits: u32,
    split_len: u32,
    tile_rows: u32,
    tile_cols: u32,
    out_len: u32,
    a_offset: u32,
    a_batch: u32,
    a_row: u32,
    a_col: u32,
    b_offset: u32,
    b_batch: u32,
    b_row: u32,
    b_col: u32,
}

@group(0) @binding(0) var<storage, read> in_a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> in_b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out_c: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// Four elements. Others have other functions of these names.
fn load_a(at: u32) -> vec4<f32> {
    return in_a[at];
}

fn load_b(at: u32) -> vec4<f32> {
    return in_b[at];
}

fn a_lane(z: u32, row: u32) -> u32 {
    let last = params.n_rows - select(4u, 1u, A_ALONG_K);
    return params.a_offset + z * params.a_batch + min(row, last) * params.a_row;
}

fn a_four(a: u32, k: u32, k_end: u32) -> vec4<f32> {
    return load_a((a + min(k, k_end - 1u) * params.a_col) / 4u);
}

fn b_lane(z: u32, col: u32) -> vec4<u32> {
    let first = params.b_offset + z * params.b_batch;
    if (B_ALONG_K) {
        let cols = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(params.n_cols - 1u));
        return vec4<u32>(first) + cols * params.b_col;
    }
    return vec4<u32>(first + min(col, params.n_cols - 4u) * params.b_col);
}

// Four terms by four columns.
fn b_block(b: vec4<u32>, k: u32, k_end: u32) -> mat4x4<f32> {
    if (B_ALONG_K) {
        let at = (b + vec4<u32>(k * params.b_row)) / vec4<u32>(4u);
        return transpose(mat4x4<f32>(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w)));
    }
    let at = (b.x + k * params.b_row) / 4u;
    let step = params.b_row / 4u;
    return mat4x4<f32>(load_b(at), load_b(at + step), load_b(at + 2u * step), load_b(at + 3u * step));
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.n_rows + row) * params.n_cols;
}

fn out_col(z: u32, col: u32) -> u32 {
    return col;
}
