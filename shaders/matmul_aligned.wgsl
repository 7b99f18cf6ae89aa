// Operands of `gemm_tiled.wgsl` and `gemm_wide.wgsl` for a batched matrix product whose lines begin at multiples of four elements
// and are multiples of four long, along the direction in which each operand is loaded: what a thread brings in is one load,
// of four terms of a line along the sum, or of four lines at one term. The sum, and each split of it, is a multiple of four
// too. Plane z is the batch.

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

// Four elements. What lies beyond an end is loaded from the last four.
fn a_quad(r0: vec4<i32>, r1: vec4<i32>, r2: vec4<i32>, r3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return in_a[u32(r0.x + a_col(min(k, k_end - 1u)).x) / 4u];
}

fn b_quad(c0: vec4<i32>, c1: vec4<i32>, c2: vec4<i32>, c3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return in_b[u32(c0.x + b_row(min(k, k_end - 1u)).x) / 4u];
}

// What was fetched ahead, as elements: see `gemm_load.wgsl`.
fn a_wide(q: vec4<f32>, r0: vec4<i32>, r1: vec4<i32>, r2: vec4<i32>, r3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return q;
}

fn b_wide(q: vec4<f32>, c0: vec4<i32>, c1: vec4<i32>, c2: vec4<i32>, c3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return q;
}

fn first_only(x: u32) -> vec4<i32> {
    return vec4<i32>(i32(x), 0, 0, 0);
}

fn a_row(z: u32, row: u32) -> vec4<i32> {
    return first_only(params.a_offset + z * params.a_batch + row * params.a_row);
}

// Terms of a line lie together: a product less in the loop, which takes as long as four multiply-adds.
fn a_col(k: u32) -> vec4<i32> {
    if (A_FOURS) {
        return first_only(k);
    }
    return first_only(k * params.a_col);
}

fn b_row(k: u32) -> vec4<i32> {
    if (B_FOURS) {
        return first_only(k);
    }
    return first_only(k * params.b_row);
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    return first_only(params.b_offset + z * params.b_batch + col * params.b_col);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.n_rows + row) * params.n_cols;
}

fn out_col(z: u32, col: u32) -> u32 {
    return col;
}
