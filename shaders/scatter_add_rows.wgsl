// Scatter-add with one thread for each row (outer, inner), which walks the row's elements in order: for many
// rows. No two threads write one element, so runs repeat to the bit. Long rows are set to zero before.

alias Element = f32;

// Sums are complete when all elements of this dispatch are added, and have another place then.
override SETTLES: bool = false;

struct Params {
    outer: u32,
    count: u32,
    size: u32,
    inner: u32,
    index_outer: u32,
    index_count: u32,
    index_inner: u32,
    check: u32,
    // Which elements of each row are added now: the output holds the sums of those before.
    begin: u32,
    end: u32,
    // Set the row to zero first.
    zero: u32,
}

@group(0) @binding(0) var<storage, read> in_src: array<Element>;
@group(0) @binding(1) var<storage, read> in_index: array<i32>;
@group(0) @binding(2) var<storage, read_write> out_y: array<Element>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> status: atomic<u32>;

fn load_src(at: u32) -> Element {
    return in_src[at];
}

// Called when a sum is complete: what has two bytes is rounded now.
fn settle(at: u32) {
}

// The first to fail keeps the word; the exchange may fail without a reason.
fn report(check: u32) {
    loop {
        let r = atomicCompareExchangeWeak(&status, 0u, check);
        if (r.exchanged || r.old_value != 0u) {
            break;
        }
    }
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
    let n = i - o * params.inner;
    let first = o * params.size * params.inner + n;
    if (params.zero != 0u) {
        for (var d = 0u; d < params.size; d++) {
            out_y[first + d * params.inner] = Element();
        }
    }
    var bad = false;
    let index_first = o * params.index_outer + n * params.index_inner;
    let src_first = o * params.count * params.inner + n;
    for (var j = params.begin; j < params.end; j++) {
        let d = bitcast<u32>(in_index[index_first + j * params.index_count]);
        if (d < params.size) {
            out_y[first + d * params.inner] += load_src(src_first + j * params.inner);
        } else {
            bad = true;
        }
    }
    if (SETTLES) {
        for (var d = 0u; d < params.size; d++) {
            settle(first + d * params.inner);
        }
    }
    if (bad && params.check != 0u) {
        report(params.check);
    }
}
