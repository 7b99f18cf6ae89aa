// Last part of a scan of long rows: each part is scanned by itself and joined to what all before it come to. One thread
// for each row and part. See `scan_totals.wgsl`.

struct Params {
    outer: u32,
    length: u32,
    inner: u32,
    reverse: u32,
    n_parts: u32,
    part_len: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out_y: array<Element>;
@group(0) @binding(2) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> totals: array<State>;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

fn store_y(at: u32, value: Element) {
    out_y[at] = value;
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 8u + local;
    let rows = params.outer * params.inner;
    let part = i / rows;
    if (part >= params.n_parts) {
        return;
    }
    let row = i - part * rows;
    let o = row / params.inner;
    let first = o * params.length * params.inner + (row - o * params.inner);
    let begin = part * params.part_len;
    let end = min(begin + params.part_len, params.length);
    var state = State();
    for (var step = begin; step < end; step++) {
        var j = step;
        if (params.reverse != 0u) {
            j = params.length - 1u - step;
        }
        let at = first + j * params.inner;
        let here = state_at(at);
        if (step == begin) {
            state = here;
        } else {
            state = join(state, here);
        }
        var whole = state;
        if (part > 0u) {
            whole = join(totals[i], state);
        }
        store_y(at, lower(whole));
    }
}
