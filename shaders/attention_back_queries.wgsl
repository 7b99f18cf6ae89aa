// The gradient of the queries of an attention: a workgroup goes through the keys for 32 of them. Not a module: see
// `attention_common.wgsl`.

@group(0) @binding(0) var<storage, read> in_q: array<f32>;
@group(0) @binding(1) var<storage, read> in_k: array<f32>;
@group(0) @binding(2) var<storage, read> in_v: array<f32>;
@group(0) @binding(3) var<storage, read> in_upstream: array<f32>;
@group(0) @binding(4) var<storage, read> in_rows: array<f32>;
@group(0) @binding(5) var<storage, read_write> out_q: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

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
    let u_first = base(params.upstream, head);
    let rows_first = base(params.rows, head);
    let mask_first = base(params.mask, head);
    let row = first_query + (local / 8u) * 4u;

    var sums: array<vec4<f32>, 16>;
    var end = params.end;
    if (params.causal != 0u) {
        end = min(end, first_query + 32u);
    }
    for (var first_key = params.first; first_key < end; first_key += 32u) {
        var tile = array<vec4<f32>, 4>();
        add_scores(&tile, q_first, first_query, k_first, first_key, local);
        var slopes = array<vec4<f32>, 4>();
        add_slopes(&slopes, u_first, first_query, v_first, first_key, local);
        for (var i = 0u; i < 4u; i++) {
            let key = first_key + local % 8u;
            let known = row_at(rows_first, row + i);
            let x = tile[i];
            let p = vec4<f32>(
                weight(settled(x.x, mask_first, row + i, key), known),
                weight(settled(x.y, mask_first, row + i, key + 8u), known),
                weight(settled(x.z, mask_first, row + i, key + 16u), known),
                weight(settled(x.w, mask_first, row + i, key + 24u), known),
            );
            tile[i] = p * (slopes[i] - known.z) * params.scale;
        }
        put(&tile, local);
        for (var c = 0u; c < PARTS; c++) {
            for (var i = 0u; i < 4u; i++) {
                let t = local + 64u * i;
                sh_right[t + t / 8u] = k_at(k_first, first_key + t / 8u, 32u * c + 4u * (t % 8u));
            }
            workgroupBarrier();
            add_rows(&sums, c, local);
            workgroupBarrier();
        }
    }

    for (var i = 0u; i < 4u; i++) {
        if (row + i < params.queries) {
            for (var c = 0u; c < PARTS; c++) {
                let y = sums[4u * c + i];
                let feature = 32u * c + 4u * (local % 8u);
                let n = room(feature, params.features);
                let at = (head * params.queries + row + i) * params.features + feature;
                if (n > 0u) {
                    store(at, y.x);
                }
                if (n > 1u) {
                    store(at + 1u, y.y);
                }
                if (n > 2u) {
                    store(at + 2u, y.z);
                }
                if (n > 3u) {
                    store(at + 3u, y.w);
                }
            }
        }
    }
}

fn store(at: u32, value: f32) {
    if (params.resumes != 0u) {
        out_q[at] += value;
    } else {
        out_q[at] = value;
    }
}
