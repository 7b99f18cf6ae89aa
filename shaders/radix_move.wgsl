// Last part of a pass of a radix sort: the positions of each tile go to their places, in order, so that the sort is stable.
// One thread for each tile. See `radix_count.wgsl`.

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
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> out_order: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

var<workgroup> sh_places: array<u32, 2048>;

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
        sh_places[d * 8u + local] = places[(row * 256u + d) * params.tiles + tile];
    }
    for (var place = begin; place < end; place++) {
        var at = place;
        if (!FIRST) {
            at = in_order[first + place];
        }
        let to = digit(load_x(first + at)) * 8u + local;
        out_order[first + sh_places[to]] = at;
        sh_places[to] += 1u;
    }
}
