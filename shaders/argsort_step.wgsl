// One step of a bitonic argsort of long rows: compares pairs (key, position) that lie `reach` >= 1024 apart.
// A thread owns both members of a pair.

struct Params {
    n_pairs: u32,
    padded: u32,
    size: u32,
    reach: u32,
}

@group(0) @binding(0) var<storage, read_write> pairs: array<vec2<u32>>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let t = (wg.x + num.x * (wg.y + num.y * wg.z)) * 256u + local;
    if (t >= params.n_pairs) {
        return;
    }
    // Rows are powers of two, so pairs never straddle them.
    let low = (t / params.reach) * 2u * params.reach + t % params.reach;
    let high = low + params.reach;
    let a = pairs[low];
    let b = pairs[high];
    let after = a.x > b.x || (a.x == b.x && a.y > b.y);
    let ascending = ((low & (params.padded - 1u)) & params.size) == 0u;
    if (after == ascending) {
        pairs[low] = b;
        pairs[high] = a;
    }
}
