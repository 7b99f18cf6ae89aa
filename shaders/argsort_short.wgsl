// Stable argsort of rows of up to 1024 elements, a workgroup each: bitonic sort of (key, position) in workgroup
// memory. Positions break ties, which makes it stable. `kernels.rs` puts it behind a keys file.

struct Params {
    rows: u32,
    length: u32,
    // Smallest power of two that holds a row, at least 2.
    padded: u32,
    descending: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out_ix: array<i32>;
@group(0) @binding(2) var<uniform> params: Params;

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
    let row = wg.x + num.x * (wg.y + num.y * wg.z);
    if (row >= params.rows) {
        return;
    }
    let first = row * params.length;
    for (var i = local; i < params.padded; i += 256u) {
        // Padding comes after everything: its positions are past the end.
        var key = 0xffffffffu;
        if (i < params.length) {
            key = to_rank(load_x(first + i));
            if (params.descending != 0u) {
                key = ~key;
            }
        }
        sh_pairs[i] = vec2<u32>(key, i);
    }
    workgroupBarrier();
    for (var size = 2u; size <= params.padded; size *= 2u) {
        for (var reach = size / 2u; reach > 0u; reach /= 2u) {
            for (var t = local; t < params.padded / 2u; t += 256u) {
                let low = (t / reach) * 2u * reach + t % reach;
                let high = low + reach;
                let a = sh_pairs[low];
                let b = sh_pairs[high];
                let ascending = (low & size) == 0u;
                if (after(a, b) == ascending) {
                    sh_pairs[low] = b;
                    sh_pairs[high] = a;
                }
            }
            workgroupBarrier();
        }
    }
    for (var i = local; i < params.length; i += 256u) {
        out_ix[first + i] = i32(sh_pairs[i].y);
    }
}
