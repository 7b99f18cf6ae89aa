// out[i] = sum over parts of in[part, i], in order: the second pass of a split sum.

struct Params {
    len: u32,
    n_parts: u32,
}

@group(0) @binding(0) var<storage, read> in_parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_sum: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Results of an invocation; two of two bytes share a word.
const PER_WORD: u32 = 1u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = ((wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local) * PER_WORD;
    if (i < params.len) {
        store_pair(i);
    }
}

// Stores what an invocation computes.
fn store_pair(at: u32) {
    out_sum[at] = result(at);
}

fn result(i: u32) -> f32 {
    if (i >= params.len) {
        return 0.0;
    }
    // Four sums side by side: shorter chains of additions are faster and more accurate.
    var sum = vec4<f32>();
    var part = 0u;
    for (; part + 4u <= params.n_parts; part += 4u) {
        let at = part * params.len + i;
        sum += vec4<f32>(
            in_parts[at],
            in_parts[at + params.len],
            in_parts[at + 2u * params.len],
            in_parts[at + 3u * params.len],
        );
    }
    for (; part < params.n_parts; part++) {
        sum.x += in_parts[part * params.len + i];
    }
    return finish((sum.x + sum.y) + (sum.z + sum.w), i);
}
