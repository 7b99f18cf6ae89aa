// Stages of a bitonic argsort of long rows that stay within 1024 neighbours, in workgroup memory. Pairs
// (key, position) of all rows lie in `pairs`, `padded` for each row. `kernels.rs` puts it behind a keys file.

// Makes the pairs and sorts blocks of 1024; else finishes the stage `size`, from a reach of 512 down.
override FIRST: bool = false;
// Writes the positions instead of the pairs.
override LAST: bool = false;

struct Params {
    rows: u32,
    length: u32,
    padded: u32,
    descending: u32,
    size: u32,
    // First of the rows that `pairs` holds now.
    first_row: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out_ix: array<i32>;
@group(0) @binding(2) var<storage, read_write> pairs: array<vec2<u32>>;
@group(0) @binding(3) var<uniform> params: Params;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

var<workgroup> sh_pairs: array<vec2<u32>, 1024>;

fn after(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y > b.y);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let block = wg.x + num.x * (wg.y + num.y * wg.z);
    let blocks = params.padded / 1024u;
    let row = block / blocks;
    if (row >= params.rows) {
        return;
    }
    // Position of the block in its row.
    let begin = (block - row * blocks) * 1024u;
    let first = row * params.padded + begin;
    let line = (params.first_row + row) * params.length + begin;
    for (var i = local; i < 1024u; i += 256u) {
        if (FIRST) {
            // Padding comes after everything: its positions are past the end.
            var key = 0xffffffffu;
            if (begin + i < params.length) {
                key = to_rank(load_x(line + i));
                if (params.descending != 0u) {
                    key = ~key;
                }
            }
            sh_pairs[i] = vec2<u32>(key, begin + i);
        } else {
            sh_pairs[i] = pairs[first + i];
        }
    }
    workgroupBarrier();
    var size = params.size;
    if (FIRST) {
        size = 2u;
    }
    for (; size <= params.size; size *= 2u) {
        for (var reach = min(size / 2u, 512u); reach > 0u; reach /= 2u) {
            for (var t = local; t < 512u; t += 256u) {
                let low = (t / reach) * 2u * reach + t % reach;
                let high = low + reach;
                let a = sh_pairs[low];
                let b = sh_pairs[high];
                let ascending = ((begin + low) & size) == 0u;
                if (after(a, b) == ascending) {
                    sh_pairs[low] = b;
                    sh_pairs[high] = a;
                }
            }
            workgroupBarrier();
        }
    }
    for (var i = local; i < 1024u; i += 256u) {
        if (!LAST) {
            pairs[first + i] = sh_pairs[i];
        } else if (begin + i < params.length) {
            out_ix[line + i] = i32(sh_pairs[i].y);
        }
    }
}
