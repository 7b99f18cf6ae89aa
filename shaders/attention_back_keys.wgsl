// The gradients of keys and values of an attention: a workgroup goes through the queries for 32 of them. Not a module: see
// `attention_common.wgsl`.

// Which gradients are stored; the other's buffer is not touched.
override KEY: bool = true;
override VALUE: bool = true;

@group(0) @binding(0) var<storage, read> in_q: array<f32>;
@group(0) @binding(1) var<storage, read> in_k: array<f32>;
@group(0) @binding(2) var<storage, read> in_v: array<f32>;
@group(0) @binding(3) var<storage, read> in_upstream: array<f32>;
@group(0) @binding(4) var<storage, read> in_rows: array<f32>;
@group(0) @binding(5) var<storage, read_write> out_k: array<f32>;
@group(0) @binding(6) var<storage, read_write> out_v: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) num: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = wg.x + num.x * (wg.y + num.y * wg.z);
    let blocks = (params.keys + 31u) / 32u;
    let head = group / blocks;
    if (head >= params.n_heads) {
        return;
    }
    let first_key = (group - head * blocks) * 32u;
    let q_first = base(params.q, head);
    let k_first = base(params.k, head);
    let v_first = base(params.v, head);
    let u_first = base(params.upstream, head);
    let rows_first = base(params.rows, head);
    let mask_first = base(params.mask, head);
    let row = first_key + (local / 8u) * 4u;

    var of_key: array<vec4<f32>, 16>;
    var of_value: array<vec4<f32>, 16>;
    var first = params.first;
    if (params.causal != 0u) {
        // Earlier queries see none of these keys.
        first = max(first, first_key);
    }
    for (var first_query = first; first_query < params.end; first_query += 32u) {
        var tile = array<vec4<f32>, 4>();
        add_turned_scores(&tile, k_first, first_key, q_first, first_query, local);
        let query = first_query + local % 8u;
        let r0 = row_at(rows_first, query);
        let r1 = row_at(rows_first, query + 8u);
        let r2 = row_at(rows_first, query + 16u);
        let r3 = row_at(rows_first, query + 24u);
        for (var i = 0u; i < 4u; i++) {
            let x = tile[i];
            tile[i] = vec4<f32>(
                weight(settled(x.x, mask_first, query, row + i), r0),
                weight(settled(x.y, mask_first, query + 8u, row + i), r1),
                weight(settled(x.z, mask_first, query + 16u, row + i), r2),
                weight(settled(x.w, mask_first, query + 24u, row + i), r3),
            );
        }
        if (VALUE) {
            put(&tile, local);
            add_upstream(&of_value, u_first, first_query, local);
        }
        if (KEY) {
            var slopes = array<vec4<f32>, 4>();
            add_turned_slopes(&slopes, v_first, first_key, u_first, first_query, local);
            let delta = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
            for (var i = 0u; i < 4u; i++) {
                tile[i] = tile[i] * (slopes[i] - delta);
            }
            put(&tile, local);
            add_queries(&of_key, q_first, first_query, local);
        }
    }

    for (var i = 0u; i < 4u; i++) {
        if (row + i < params.keys) {
            let at = head * params.keys + row + i;
            if (KEY) {
                for (var c = 0u; c < PARTS; c++) {
                    store_key(at, 32u * c + 4u * (local % 8u), of_key[4u * c + i]);
                }
            }
            if (VALUE) {
                for (var c = 0u; c < VALUE_PARTS; c++) {
                    store_value(at, 32u * c + 4u * (local % 8u), of_value[4u * c + i]);
                }
            }
        }
    }
}

// Adds to a tile the products of 32 keys, its rows, and 32 queries.
fn add_turned_scores(tile: ptr<function, array<vec4<f32>, 4>>, k_first: u32, key: u32, q_first: u32, query: u32, local: u32) {
    for (var part = 0u; part < PARTS; part++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            let feature = 32u * part + 4u * (t % 8u);
            sh_left[t + t / 8u] = k_at(k_first, key + t / 8u, feature);
            sh_right[t + t / 8u] = q_at(q_first, query + t / 8u, feature);
        }
        workgroupBarrier();
        add_dots(tile, local);
        workgroupBarrier();
    }
}

// Adds to a tile the products of 32 values, its rows, and 32 upstream gradients.
fn add_turned_slopes(tile: ptr<function, array<vec4<f32>, 4>>, v_first: u32, key: u32, u_first: u32, query: u32, local: u32) {
    for (var part = 0u; part < VALUE_PARTS; part++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            let feature = 32u * part + 4u * (t % 8u);
            sh_left[t + t / 8u] = v_at(v_first, key + t / 8u, feature);
            sh_right[t + t / 8u] = upstream_at(u_first, query + t / 8u, feature);
        }
        workgroupBarrier();
        add_dots(tile, local);
        workgroupBarrier();
    }
}

// Adds the products of the tile and 32 upstream gradients.
fn add_upstream(sums: ptr<function, array<vec4<f32>, 16>>, u_first: u32, query: u32, local: u32) {
    for (var c = 0u; c < VALUE_PARTS; c++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            sh_right[t + t / 8u] = upstream_at(u_first, query + t / 8u, 32u * c + 4u * (t % 8u));
        }
        workgroupBarrier();
        add_rows(sums, c, local);
        workgroupBarrier();
    }
}

// Adds the products of the tile and 32 queries.
fn add_queries(sums: ptr<function, array<vec4<f32>, 16>>, q_first: u32, query: u32, local: u32) {
    for (var c = 0u; c < PARTS; c++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            sh_right[t + t / 8u] = q_at(q_first, query + t / 8u, 32u * c + 4u * (t % 8u));
        }
        workgroupBarrier();
        add_rows(sums, c, local);
        workgroupBarrier();
    }
}

fn store_key(row: u32, feature: u32, value: vec4<f32>) {
    let n = room(feature, params.features);
    let first = row * params.features + feature;
    for (var i = 0u; i < min(n, 4u); i++) {
        if (params.resumes != 0u) {
            out_k[first + i] += value[i];
        } else {
            out_k[first + i] = value[i];
        }
    }
}

fn store_value(row: u32, feature: u32, value: vec4<f32>) {
    let n = room(feature, params.value_features);
    let first = row * params.value_features + feature;
    for (var i = 0u; i < min(n, 4u); i++) {
        if (params.resumes != 0u) {
            out_v[first + i] += value[i];
        } else {
            out_v[first + i] = value[i];
        }
    }
}
