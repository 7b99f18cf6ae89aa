// Windows slid over planes of depth by height by width: their sum, or where their first greatest element is
// (NaN counts as greatest). One thread for each window.

override ARGMAX: bool = false;

struct Params {
    planes: u32,
    in_d: u32,
    in_h: u32,
    in_w: u32,
    out_d: u32,
    out_h: u32,
    out_w: u32,
    kernel_d: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_d: u32,
    stride_h: u32,
    stride_w: u32,
    pad_d: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_d: u32,
    dilation_h: u32,
    dilation_w: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<f32>;
// f32 sums or i32 positions, as bits.
@group(0) @binding(1) var<storage, read_write> out_y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

fn order(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xffffffffu;
    }
    if (magnitude == 0u) {
        return 0x80000000u;
    }
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// Results of an invocation; two of two bytes share a word.
const PER_WORD: u32 = 1u;

fn load_x(at: u32) -> f32 {
    return in_x[at];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = ((wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local) * PER_WORD;
    if (i / (params.out_w * params.out_h * params.out_d) < params.planes) {
        store_pair(i);
    }
}

// Stores what an invocation computes.
fn store_pair(at: u32) {
    out_y[at] = result(at);
}

// Of window `i`, as bits.
fn result(i: u32) -> u32 {
    let line = i / params.out_w;
    let slice = line / params.out_h;
    let plane = slice / params.out_d;
    if (plane >= params.planes) {
        return 0u;
    }
    // Signed: a window may begin before the plane.
    let z0 = i32((slice - plane * params.out_d) * params.stride_d) - i32(params.pad_d);
    let y0 = i32((line - slice * params.out_h) * params.stride_h) - i32(params.pad_h);
    let x0 = i32((i - line * params.out_w) * params.stride_w) - i32(params.pad_w);
    let first = plane * params.in_d * params.in_h * params.in_w;
    var sum = 0.0;
    var best = 0u;
    var best_ix = 0u;
    for (var kz = 0u; kz < params.kernel_d; kz++) {
        let z = z0 + i32(kz * params.dilation_d);
        if (z < 0 || z >= i32(params.in_d)) {
            continue;
        }
        for (var ky = 0u; ky < params.kernel_h; ky++) {
            let y = y0 + i32(ky * params.dilation_h);
            if (y < 0 || y >= i32(params.in_h)) {
                continue;
            }
            let row = (u32(z) * params.in_h + u32(y)) * params.in_w;
            for (var kx = 0u; kx < params.kernel_w; kx++) {
                let x = x0 + i32(kx * params.dilation_w);
                if (x < 0 || x >= i32(params.in_w)) {
                    continue;
                }
                let at = row + u32(x);
                let v = load_x(first + at);
                if (ARGMAX) {
                    // No element has order 0, so the first one is always taken.
                    let key = order(v);
                    if (key > best) {
                        best = key;
                        best_ix = at;
                    }
                } else {
                    sum += v;
                }
            }
        }
    }
    if (ARGMAX) {
        return best_ix;
    }
    return bitcast<u32>(sum);
}
