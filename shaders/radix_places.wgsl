// Third part of a pass of a radix sort: counts become the places where each tile's elements with a digit go. One thread
// for each row and digit. See `radix_count.wgsl`.

struct Params {
    rows: u32,
    tiles: u32,
}

@group(0) @binding(0) var<storage, read_write> counts: array<u32>;
@group(0) @binding(1) var<storage, read> totals: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    if (i >= params.rows * 256u) {
        return;
    }
    var place = 0u;
    for (var below = i / 256u * 256u; below < i; below++) {
        place += totals[below];
    }
    for (var tile = 0u; tile < params.tiles; tile++) {
        let count = counts[i * params.tiles + tile];
        counts[i * params.tiles + tile] = place;
        place += count;
    }
}
