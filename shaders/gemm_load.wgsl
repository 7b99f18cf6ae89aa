// How the cores with workgroup memory load operands. Not a module: see `gemm_tiled.wgsl`.

// Loads stand behind no branch: where two ways meet, a compiler may wait for memory, and what is fetched ahead would arrive
// before the products instead of beside them. Terms past the end repeat the last one, and become zero where they are stored.

// Four rows of a at one term of the sum.
fn a_quad(r0: vec4<i32>, r1: vec4<i32>, r2: vec4<i32>, r3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    let c = a_col(min(k, k_end - 1u));
    return vec4<f32>(a_at(r0, c), a_at(r1, c), a_at(r2, c), a_at(r3, c));
}

// Four columns of b at one term of the sum.
fn b_quad(c0: vec4<i32>, c1: vec4<i32>, c2: vec4<i32>, c3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    let r = b_row(min(k, k_end - 1u));
    return vec4<f32>(b_at(r, c0), b_at(r, c1), b_at(r, c2), b_at(r, c3));
}

// What was fetched ahead, as elements: where it has to be widened, that waits until it is needed.
fn a_wide(q: vec4<f32>, r0: vec4<i32>, r1: vec4<i32>, r2: vec4<i32>, r3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return q;
}

fn b_wide(q: vec4<f32>, c0: vec4<i32>, c1: vec4<i32>, c2: vec4<i32>, c3: vec4<i32>, k: u32, k_end: u32) -> vec4<f32> {
    return q;
}
