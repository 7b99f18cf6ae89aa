// Inclusive scan of [outer, length, inner] along the middle with one workgroup for each row, which goes through
// it in blocks of 1024: for few long rows. `kernels.rs` puts it behind an operation: Element, State, state_at,
// join, lower. Of a block a thread scans four neighbours, then the threads' totals are scanned by doubling.

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

var<workgroup> sh_totals: array<State, 256>;

fn place(first: u32, step: u32) -> u32 {
    if (params.reverse != 0u) {
        return first + (params.length - 1u - step) * params.inner;
    }
    return first + step * params.inner;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = wg.x + num.x * (wg.y + num.y * wg.z);
    let o = row / params.inner;
    if (o >= params.outer) {
        return;
    }
    let first = o * params.length * params.inner + (row - o * params.inner);
    var carry = State();
    for (var block = 0u; block < params.length; block += 1024u) {
        // What lies past the end repeats the last element; its sums are not stored and reach no one.
        let last = params.length - 1u;
        let step = block + 4u * local;
        let s0 = state_at(place(first, min(step, last)));
        let s1 = join(s0, state_at(place(first, min(step + 1u, last))));
        let s2 = join(s1, state_at(place(first, min(step + 2u, last))));
        let s3 = join(s2, state_at(place(first, min(step + 3u, last))));
        var total = s3;
        sh_totals[local] = total;
        workgroupBarrier();
        for (var reach = 1u; reach < 256u; reach *= 2u) {
            if (local >= reach) {
                total = join(sh_totals[local - reach], total);
            }
            workgroupBarrier();
            sh_totals[local] = total;
            workgroupBarrier();
        }
        var before = carry;
        var some = block > 0u;
        if (local > 0u) {
            let left = sh_totals[local - 1u];
            if (some) {
                before = join(carry, left);
            } else {
                before = left;
            }
            some = true;
        }
        store(first, step, before, some, s0);
        store(first, step + 1u, before, some, s1);
        store(first, step + 2u, before, some, s2);
        store(first, step + 3u, before, some, s3);
        let all_of_it = sh_totals[255];
        if (block > 0u) {
            carry = join(carry, all_of_it);
        } else {
            carry = all_of_it;
        }
        workgroupBarrier();
    }
}

fn store(first: u32, step: u32, before: State, some: bool, own: State) {
    if (step >= params.length) {
        return;
    }
    var state = own;
    if (some) {
        state = join(before, own);
    }
    store_y(place(first, step), lower(state));
}
