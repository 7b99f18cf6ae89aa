// Attention, forward: a workgroup goes through the keys for 32 queries, with a running greatest score and sum. Not a module: see
// `attention_common.wgsl`.

// Which results are stored; the other's buffer is not touched unless the keys take several dispatches.
override OUT: bool = true;
override NORMALIZER: bool = true;

@group(0) @binding(0) var<storage, read> in_q: array<f32>;
@group(0) @binding(1) var<storage, read> in_k: array<f32>;
@group(0) @binding(2) var<storage, read> in_v: array<f32>;
@group(0) @binding(3) var<storage, read_write> out_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> out_rows: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> sh_rows: array<f32, 256>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = wg.x + num.x * (wg.y + num.y * wg.z);
    let blocks = (params.queries + 31u) / 32u;
    let head = group / blocks;
    if (head >= params.n_heads) {
        return;
    }
    let first_query = (group - head * blocks) * 32u;
    let q_first = base(params.q, head);
    let k_first = base(params.k, head);
    let v_first = base(params.v, head);
    let mask_first = base(params.mask, head);
    let row = first_query + (local / 8u) * 4u;

    var sums: array<vec4<f32>, 16>;
    var most = vec4<f32>(params.minus_infinity);
    // Of the keys of this thread alone, until the end.
    var total = vec4<f32>();
    if (params.resumes != 0u) {
        for (var i = 0u; i < 4u; i++) {
            if (row + i < params.queries) {
                let at = head * params.queries + row + i;
                most[i] = out_rows[2u * at];
                let below = out_rows[2u * at + 1u];
                let sum = select(w_exp(below), 0.0, is_minus_infinity(most[i]) && below == 0.0);
                total[i] = select(0.0, sum, local % 8u == 0u);
                for (var c = 0u; c < VALUE_PARTS; c++) {
                    sums[4u * c + i] = stored(at, c, local) * sum;
                }
            }
        }
    }

    var end = params.end;
    if (params.causal != 0u) {
        end = min(end, first_query + 32u);
    }
    for (var first_key = params.first; first_key < end; first_key += 32u) {
        var tile = array<vec4<f32>, 4>();
        add_scores(&tile, q_first, first_query, k_first, first_key, local);
        settle(&tile, mask_first, row, first_key + local % 8u, most, local);
        workgroupBarrier();
        for (var i = 0u; i < 4u; i++) {
            var greatest = most[i];
            let at = ((local / 8u) * 4u + i) * 8u;
            for (var j = 0u; j < 8u; j++) {
                let other = sh_rows[at + j];
                greatest = select(greatest, other, other > greatest);
            }
            // Where all is minus infinity nothing is subtracted, so that exponentials are 0.
            let below = select(greatest, 0.0, is_minus_infinity(greatest));
            let factor = w_exp(most[i] - below);
            most[i] = greatest;
            let x = tile[i];
            let p = vec4<f32>(w_exp(x.x - below), w_exp(x.y - below), w_exp(x.z - below), w_exp(x.w - below));
            tile[i] = p;
            total[i] = total[i] * factor + ((p.x + p.y) + (p.z + p.w));
            for (var c = 0u; c < VALUE_PARTS; c++) {
                sums[4u * c + i] *= factor;
            }
        }
        put(&tile, local);
        add_values(&sums, v_first, first_key, local);
    }

    for (var i = 0u; i < 4u; i++) {
        sh_rows[((local / 8u) * 4u + i) * 8u + local % 8u] = total[i];
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
        if (row + i < params.queries) {
            let sum = all_of(((local / 8u) * 4u + i) * 8u);
            store(head * params.queries + row + i, i, most[i], sum, local, &sums);
        }
    }
}

// The sum of eight threads' parts.
fn all_of(at: u32) -> f32 {
    var sum = 0.0;
    for (var j = 0u; j < 8u; j++) {
        sum += sh_rows[at + j];
    }
    return sum;
}

// Settles the scores of a tile, and notes the greatest of each row that this thread has.
fn settle(tile: ptr<function, array<vec4<f32>, 4>>, mask_first: u32, row: u32, key: u32, most: vec4<f32>, local: u32) {
    for (var i = 0u; i < 4u; i++) {
        let x = (*tile)[i];
        let y = vec4<f32>(
            settled(x.x, mask_first, row + i, key),
            settled(x.y, mask_first, row + i, key + 8u),
            settled(x.z, mask_first, row + i, key + 16u),
            settled(x.w, mask_first, row + i, key + 24u),
        );
        (*tile)[i] = y;
        var greatest = most[i];
        greatest = select(greatest, y.x, y.x > greatest);
        greatest = select(greatest, y.y, y.y > greatest);
        greatest = select(greatest, y.z, y.z > greatest);
        greatest = select(greatest, y.w, y.w > greatest);
        sh_rows[((local / 8u) * 4u + i) * 8u + local % 8u] = greatest;
    }
}

// Adds the products of the tile and 32 values. After it every thread has read what was noted in `sh_rows`.
fn add_values(sums: ptr<function, array<vec4<f32>, 16>>, v_first: u32, key: u32, local: u32) {
    if (VALUE_PARTS == 0u) {
        workgroupBarrier();
    }
    for (var c = 0u; c < VALUE_PARTS; c++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            sh_right[t + t / 8u] = v_at(v_first, key + t / 8u, 32u * c + 4u * (t % 8u));
        }
        workgroupBarrier();
        add_rows(sums, c, local);
        workgroupBarrier();
    }
}

// Four numbers of a row of the result that an earlier dispatch has stored.
fn stored(row: u32, part: u32, local: u32) -> vec4<f32> {
    var x = vec4<f32>();
    let feature = 32u * part + 4u * (local % 8u);
    let n = room(feature, params.value_features);
    let at = row * params.value_features + feature;
    if (n > 0u) {
        x.x = out_y[at];
    }
    if (n > 1u) {
        x.y = out_y[at + 1u];
    }
    if (n > 2u) {
        x.z = out_y[at + 2u];
    }
    if (n > 3u) {
        x.w = out_y[at + 3u];
    }
    return x;
}

// Stores this thread's part of row `row`, the `i`-th of its rows, divided by the sum.
fn store(row: u32, i: u32, most: f32, sum: f32, local: u32, sums: ptr<function, array<vec4<f32>, 16>>) {
    let nothing = sum == 0.0;
    let bad = params.hides == 0u && params.end == params.keys;
    let of_nothing = select(0.0, params.not_a_number, bad);
    if (NORMALIZER && local % 8u == 0u) {
        out_rows[2u * row] = select(most, params.not_a_number, nothing && bad);
        out_rows[2u * row + 1u] = select(w_log(sum), 0.0, nothing);
    }
    if (!OUT) {
        return;
    }
    for (var c = 0u; c < VALUE_PARTS; c++) {
        var y = (*sums)[4u * c + i] / sum;
        y = select(y, vec4<f32>(of_nothing), nothing);
        let feature = 32u * c + 4u * (local % 8u);
        let n = room(feature, params.value_features);
        let at = row * params.value_features + feature;
        if (n > 0u) {
            out_y[at] = y.x;
        }
        if (n > 1u) {
            out_y[at + 1u] = y.y;
        }
        if (n > 2u) {
            out_y[at + 2u] = y.z;
        }
        if (n > 3u) {
            out_y[at + 3u] = y.w;
        }
    }
}
