// Scatter-add with one thread for each element of the result, which walks all indices of its row: for few rows
// and few targets.

alias Element = f32;

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
    let line = i / params.inner;
    let o = line / params.size;
    if (o >= params.outer) {
        return;
    }
    let target_ix = line - o * params.size;
    let n = i - line * params.inner;
    let index_first = o * params.index_outer + n * params.index_inner;
    let src_first = o * params.count * params.inner + n;
    var sum = Element();
    if (params.begin > 0u) {
        sum = out_y[i];
    }
    var bad = false;
    for (var j = params.begin; j < params.end; j++) {
        let d = bitcast<u32>(in_index[index_first + j * params.index_count]);
        if (d == target_ix) {
            sum += load_src(src_first + j * params.inner);
        }
        bad = bad || d >= params.size;
    }
    out_y[i] = sum;
    settle(i);
    if (bad && params.check != 0u) {
        report(params.check);
    }
}
