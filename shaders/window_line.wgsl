// One dimension of a window: of [planes, n_in, inner], sums or first greatest elements of `kernel` elements of the middle
// that lie `dilation` apart. A large window is taken one dimension after the other, the last first; a long line of it in
// blocks, and then blocks and the elements that are left. One thread for each result.

override ARGMAX: bool = false;
// `in_x` are elements, not states; likewise `in_rest`.
override FIRST: bool = false;
override REST_FIRST: bool = false;
// Writes results, not states.
override LAST: bool = false;

struct Params {
    planes: u32,
    n_in: u32,
    n_out: u32,
    inner: u32,
    kernel: u32,
    stride: u32,
    pad: u32,
    dilation: u32,
    // Elements of a plane of the input, which positions are counted in.
    plane: u32,
    in_first: u32,
    out_first: u32,
    // What a window has beyond its whole blocks, if `in_x` are blocks: as `n_in`, `kernel`, `pad` and `dilation`.
    rest_n: u32,
    rest_kernel: u32,
    rest_pad: u32,
    rest_dilation: u32,
}

// A sum's state is a word, the other's two: order and position.
@group(0) @binding(0) var<storage, read> in_x: array<u32>;
@group(0) @binding(1) var<storage, read> in_rest: array<u32>;
@group(0) @binding(2) var<storage, read_write> out_y: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

fn order(x: u32) -> u32 {
    let magnitude = x & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xffffffffu;
    }
    if (magnitude == 0u) {
        return 0x80000000u;
    }
    return select(x | 0x80000000u, ~x, (x >> 31u) == 1u);
}

// Elements of the input, as bits.
fn load_x(at: u32) -> u32 {
    return in_x[at];
}

fn load_rest(at: u32) -> u32 {
    return in_rest[at];
}

fn store_y(at: u32, value: u32) {
    out_y[at] = value;
}

// An element of the input as a state.
fn lifted(at: u32, x: u32) -> vec2<u32> {
    if (ARGMAX) {
        return vec2<u32>(order(x), at % params.plane);
    }
    return vec2<u32>(x, 0u);
}

fn state_of(at: u32) -> vec2<u32> {
    if (FIRST) {
        return lifted(params.in_first + at, load_x(params.in_first + at));
    }
    if (ARGMAX) {
        return vec2<u32>(in_x[2u * at], in_x[2u * at + 1u]);
    }
    return vec2<u32>(in_x[at], 0u);
}

fn state_of_rest(at: u32) -> vec2<u32> {
    if (REST_FIRST) {
        return lifted(params.in_first + at, load_rest(params.in_first + at));
    }
    if (ARGMAX) {
        return vec2<u32>(in_rest[2u * at], in_rest[2u * at + 1u]);
    }
    return vec2<u32>(in_rest[at], 0u);
}

// No element has order 0, so the first one is always taken.
fn join(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (ARGMAX) {
        return select(a, b, b.x > a.x);
    }
    return vec2<u32>(bitcast<u32>(bitcast<f32>(a.x) + bitcast<f32>(b.x)), 0u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    let line = i / params.inner;
    let n = i - line * params.inner;
    let plane = line / params.n_out;
    if (plane >= params.planes) {
        return;
    }
    // Signed: a window may begin before the plane.
    let corner = i32((line - plane * params.n_out) * params.stride);
    var state = vec2<u32>();
    let first = plane * params.n_in * params.inner + n;
    for (var t = 0u; t < params.kernel; t++) {
        let at = corner + i32(t * params.dilation) - i32(params.pad);
        if (at >= 0 && at < i32(params.n_in)) {
            state = join(state, state_of(first + u32(at) * params.inner));
        }
    }
    let rest_first = plane * params.rest_n * params.inner + n;
    for (var t = 0u; t < params.rest_kernel; t++) {
        let at = corner + i32(t * params.rest_dilation) - bitcast<i32>(params.rest_pad);
        if (at >= 0 && at < i32(params.rest_n)) {
            state = join(state, state_of_rest(rest_first + u32(at) * params.inner));
        }
    }
    if (LAST) {
        store_y(params.out_first + i, select(state.x, state.y, ARGMAX));
    } else if (ARGMAX) {
        store_y(2u * i, state.x);
        store_y(2u * i + 1u, state.y);
    } else {
        store_y(i, state.x);
    }
}
