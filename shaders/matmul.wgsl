// Operands of a batched matrix product with any strides. Plane z is the batch.

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

@group(0) @binding(0) var<storage, read> in_a: array<f32>;
@group(0) @binding(1) var<storage, read> in_b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_c: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// Other elements have other functions of these names.
fn load_a(at: i32) -> f32 {
    return in_a[at];
}

fn load_b(at: i32) -> f32 {
    return in_b[at];
}

fn first_only(x: u32) -> vec4<i32> {
    return vec4<i32>(i32(x), 0, 0, 0);
}

fn a_row(z: u32, row: u32) -> vec4<i32> {
    return first_only(params.a_offset + z * params.a_batch + row * params.a_row);
}

fn a_col(k: u32) -> vec4<i32> {
    return first_only(k * params.a_col);
}

fn a_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_a(r.x + c.x);
}

fn b_row(k: u32) -> vec4<i32> {
    return first_only(k * params.b_row);
}

fn b_col(z: u32, col: u32) -> vec4<i32> {
    return first_only(params.b_offset + z * params.b_batch + col * params.b_col);
}

fn b_at(r: vec4<i32>, c: vec4<i32>) -> f32 {
    return load_b(r.x + c.x);
}

fn out_row(z: u32, row: u32) -> u32 {
    return (z * params.n_rows + row) * params.n_cols;
}

fn out_col(z: u32, col: u32) -> u32 {
    return col;
}
