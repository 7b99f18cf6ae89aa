// Scatter-add where one index moves a whole line of `inner` elements (the gradient of an embedding), with the order that
// sorts the indices: a thread for each element of the result finds the part of the order that names its line, and adds
// up the elements there. The sort is stable, so they come in their order. The stride of the index over `inner` is 0.

alias Element = f32;

struct Params {
    outer: u32,
    count: u32,
    size: u32,
    inner: u32,
    check: u32,
    // Which of the elements that a line gets are added now: the output holds the sums of those before.
    begin: u32,
    end: u32,
}

@group(0) @binding(0) var<storage, read> in_src: array<Element>;
@group(0) @binding(1) var<storage, read> in_index: array<i32>;
@group(0) @binding(2) var<storage, read> in_order: array<i32>;
@group(0) @binding(3) var<storage, read_write> out_y: array<Element>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> status: atomic<u32>;

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

// The index at a place of the order of row `o`.
fn sorted(o: u32, place: u32) -> i32 {
    let first = o * params.count;
    return in_index[first + bitcast<u32>(in_order[first + place])];
}

// The first place of the order with an index of at least `d`.
fn place_of(o: u32, d: i32) -> u32 {
    var low = 0u;
    var high = params.count;
    while (low < high) {
        let middle = low + (high - low) / 2u;
        if (sorted(o, middle) < d) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
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
    if (params.check != 0u && params.begin == 0u && target_ix == 0u && n == 0u) {
        // What is out of range comes first or last.
        if (sorted(o, 0u) < 0 || bitcast<u32>(sorted(o, params.count - 1u)) >= params.size) {
            report(params.check);
        }
    }
    let first = place_of(o, i32(target_ix));
    let last = place_of(o, i32(target_ix) + 1);
    let begin = first + min(params.begin, last - first);
    let end = first + min(params.end, last - first);
    var sum = Element();
    if (params.begin > 0u) {
        if (begin == end) {
            settle(i);
            return;
        }
        sum = out_y[i];
    }
    for (var place = begin; place < end; place++) {
        let j = bitcast<u32>(in_order[o * params.count + place]);
        sum += load_src((o * params.count + j) * params.inner + n);
    }
    out_y[i] = sum;
    settle(i);
}
