// One dimension of a window: of [planes, n_in, inner], sums or first greatest elements of `kernel` elements of the middle
// that lie `dilation` apart. A large window is taken one dimension after the other, the last first. One thread for each
// result and part of the window.

override ARGMAX: bool = false;
// Reads elements, not states.
override FIRST: bool = false;
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
    n_parts: u32,
    part_len: u32,
    in_first: u32,
    out_first: u32,
}

// A sum's state is a word, the other's two: order and position.
@group(0) @binding(0) var<storage, read> in_x: array<u32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

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

fn load(at: u32) -> vec2<u32> {
    if (ARGMAX && FIRST) {
        let x = params.in_first + at;
        return vec2<u32>(order(in_x[x]), x % params.plane);
    }
    if (ARGMAX) {
        return vec2<u32>(in_x[2u * at], in_x[2u * at + 1u]);
    }
    return vec2<u32>(in_x[select(at, params.in_first + at, FIRST)], 0u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    let len = params.planes * params.n_out * params.inner;
    let part = i / len;
    if (part >= params.n_parts) {
        return;
    }
    let o = i - part * len;
    let line = o / params.inner;
    let n = o - line * params.inner;
    let plane = line / params.n_out;
    // Signed: a window may begin before the plane.
    let corner = i32((line - plane * params.n_out) * params.stride) - i32(params.pad);
    let first = plane * params.n_in * params.inner + n;
    let end = min((part + 1u) * params.part_len, params.kernel);
    var sum = 0.0;
    // No element has order 0, so the first one is always taken.
    var best = vec2<u32>();
    for (var t = part * params.part_len; t < end; t++) {
        let at = corner + i32(t * params.dilation);
        if (at >= 0 && at < i32(params.n_in)) {
            let state = load(first + u32(at) * params.inner);
            if (ARGMAX) {
                if (state.x > best.x) {
                    best = state;
                }
            } else {
                sum += bitcast<f32>(state.x);
            }
        }
    }
    if (!ARGMAX) {
        out_y[select(i, params.out_first + i, LAST)] = bitcast<u32>(sum);
    } else if (LAST) {
        out_y[params.out_first + i] = best.y;
    } else {
        out_y[2u * i] = best.x;
        out_y[2u * i + 1u] = best.y;
    }
}
