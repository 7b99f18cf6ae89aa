// Inclusive scan of [outer, length, inner] along the middle with one thread for each row: for many rows or
// short ones. `kernels.rs` puts it behind an operation: Element, State, state_at, join, lower.

struct Params {
    outer: u32,
    length: u32,
    inner: u32,
    reverse: u32,
}

@group(0) @binding(0) var<storage, read> in_x: array<Element>;
@group(0) @binding(1) var<storage, read_write> out_y: array<Element>;
@group(0) @binding(2) var<uniform> params: Params;

fn load_x(at: u32) -> Element {
    return in_x[at];
}

fn store_y(at: u32, value: Element) {
    out_y[at] = value;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (wg.x + num.x * (wg.y + num.y * wg.z)) * 64u + local;
    let o = i / params.inner;
    if (o >= params.outer) {
        return;
    }
    let first = o * params.length * params.inner + (i - o * params.inner);
    var state = State();
    for (var step = 0u; step < params.length; step++) {
        var j = step;
        if (params.reverse != 0u) {
            j = params.length - 1u - step;
        }
        let at = first + j * params.inner;
        let here = state_at(at);
        if (step == 0u) {
            state = here;
        } else {
            state = join(state, here);
        }
        store_y(at, lower(state));
    }
}
