// Operands of `gemm_lanes.wgsl` of any kind, through the functions of an operands file (see `gemm_tiled.wgsl`). What lies
// past the end repeats the last row or column, and is zero past the end of the sum.

struct ALane {
    r0: vec4<i32>,
    r1: vec4<i32>,
    r2: vec4<i32>,
    r3: vec4<i32>,
}

struct BLane {
    c0: vec4<i32>,
    c1: vec4<i32>,
    c2: vec4<i32>,
    c3: vec4<i32>,
}

fn a_lane(z: u32, row: u32) -> ALane {
    let last = params.n_rows - 1u;
    let r0 = a_row(z, min(row, last));
    if (A_ALONG_K) {
        return ALane(r0, r0, r0, r0);
    }
    return ALane(r0, a_row(z, min(row + 1u, last)), a_row(z, min(row + 2u, last)), a_row(z, min(row + 3u, last)));
}

fn a_four(a: ALane, k: u32, k_end: u32) -> vec4<f32> {
    let last = k_end - 1u;
    let c0 = a_col(min(k, last));
    if (A_ALONG_K) {
        let v = vec4<f32>(
            a_at(a.r0, c0),
            a_at(a.r0, a_col(min(k + 1u, last))),
            a_at(a.r0, a_col(min(k + 2u, last))),
            a_at(a.r0, a_col(min(k + 3u, last))),
        );
        return select(vec4<f32>(), v, vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(k_end));
    }
    let v = vec4<f32>(a_at(a.r0, c0), a_at(a.r1, c0), a_at(a.r2, c0), a_at(a.r3, c0));
    return select(vec4<f32>(), v, k < k_end);
}

fn b_lane(z: u32, col: u32) -> BLane {
    let last = n_cols() - 1u;
    return BLane(
        b_col(z, min(col, last)),
        b_col(z, min(col + 1u, last)),
        b_col(z, min(col + 2u, last)),
        b_col(z, min(col + 3u, last)),
    );
}

fn b_term(b: BLane, k: u32, k_end: u32) -> vec4<f32> {
    let r = b_row(min(k, k_end - 1u));
    let v = vec4<f32>(b_at(r, b.c0), b_at(r, b.c1), b_at(r, b.c2), b_at(r, b.c3));
    return select(vec4<f32>(), v, k < k_end);
}

// Four terms by four columns.
fn b_block(b: BLane, k: u32, k_end: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        b_term(b, k, k_end),
        b_term(b, k + 1u, k_end),
        b_term(b, k + 2u, k_end),
        b_term(b, k + 3u, k_end),
    );
}
