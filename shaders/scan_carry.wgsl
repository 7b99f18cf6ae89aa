// Second part of a scan of long rows: what each part of a row comes to becomes what all before it come to. One thread for
// each row. See `scan_totals.wgsl`.

struct Params {
    outer: u32,
    length: u32,
    inner: u32,
    reverse: u32,
    n_parts: u32,
    part_len: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read_write> totals: array<State>;
@group(0) @binding(2) var<uniform> params: Params;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 8u + local;
    let rows = params.outer * params.inner;
    if (i >= rows) {
        return;
    }
    var before = totals[i];
    for (var part = 1u; part < params.n_parts; part++) {
        let at = part * rows + i;
        let own = totals[at];
        totals[at] = before;
        before = join(before, own);
    }
}
