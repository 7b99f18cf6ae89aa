// Elements as words that hold two of two bytes each, where no kernel before could round them.

struct Params {
    len: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
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
    out_y[at] = result(at);
}

fn result(i: u32) -> f32 {
    if (i >= params.len) {
        return 0.0;
    }
    return in_x[i];
}
