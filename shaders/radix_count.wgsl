// First part of a pass of a radix sort of positions, eight bits of the keys at a time: how often each digit occurs in each
// tile of a row. One thread for each tile, with counters of its own in workgroup memory, so that none waits for another:
// for software adapters, and for rows too long for the passes of `argsort_step.wgsl`. `kernels.rs` puts it behind a keys
// file.

// Elements are in their first order.
override FIRST: bool = false;

struct Params {
    rows: u32,
    length: u32,
    tiles: u32,
    tile: u32,
    shift: u32,
    descending: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read> in_order: array<u32>;
// [row][digit][tile]
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

var<workgroup> sh_counts: array<u32, 2048>;

fn digit(x: Element) -> u32 {
    var key = to_rank(x);
    if (params.descending != 0u) {
        key = ~key;
    }
    return (key >> params.shift) & 255u;
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 8u + local;
    let row = i / params.tiles;
    if (row >= params.rows) {
        return;
    }
    let tile = i - row * params.tiles;
    let first = row * params.length;
    let begin = tile * params.tile;
    let end = min(begin + params.tile, params.length);
    for (var d = 0u; d < 256u; d++) {
        sh_counts[d * 8u + local] = 0u;
    }
    for (var place = begin; place < end; place++) {
        var at = place;
        if (!FIRST) {
            at = in_order[first + place];
        }
        sh_counts[digit(load_x(first + at)) * 8u + local] += 1u;
    }
    for (var d = 0u; d < 256u; d++) {
        counts[(row * 256u + d) * params.tiles + tile] = sh_counts[d * 8u + local];
    }
}
