// Scatter-add where one index moves a whole line of `inner` elements (the gradient of an embedding): a
// workgroup for each line of the result finds the indices that name it, 256 at a time, and adds their lines in
// order. The stride of the index over `inner` is 0.

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

// One bit for each index of the block of 256.
var<workgroup> sh_hits: array<atomic<u32>, 8>;

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

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let line = wg.x + num.x * (wg.y + num.y * wg.z);
    let o = line / params.size;
    if (o >= params.outer) {
        return;
    }
    let target_ix = line - o * params.size;
    let first = line * params.inner;
    if (params.begin == 0u) {
        for (var n = local; n < params.inner; n += 256u) {
            out_y[first + n] = Element();
        }
    }
    for (var block = params.begin; block < params.end; block += 256u) {
        if (local < 8u) {
            atomicStore(&sh_hits[local], 0u);
        }
        workgroupBarrier();
        let j = block + local;
        if (j < params.end) {
            let d = bitcast<u32>(in_index[o * params.index_outer + j * params.index_count]);
            if (d == target_ix) {
                atomicOr(&sh_hits[local / 32u], 1u << (local % 32u));
            }
            if (d >= params.size && params.check != 0u) {
                report(params.check);
            }
        }
        workgroupBarrier();
        for (var word = 0u; word < 8u; word++) {
            var hits = atomicLoad(&sh_hits[word]);
            while (hits != 0u) {
                let hit = block + word * 32u + firstTrailingBit(hits);
                hits &= hits - 1u;
                let from_ix = (o * params.count + hit) * params.inner;
                // Each element belongs to one thread, so additions need no barrier.
                for (var n = local; n < params.inner; n += 256u) {
                    out_y[first + n] += load_src(from_ix + n);
                }
            }
        }
        workgroupBarrier();
    }
    for (var n = local; n < params.inner; n += 256u) {
        settle(first + n);
    }
}
