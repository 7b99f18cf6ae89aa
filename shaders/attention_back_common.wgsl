// What the backward kernels of attention have in common. Not a module: see `attention_common.wgsl`.

fn upstream_at(first: u32, row: u32, feature: u32) -> vec4<f32> {
    var x = vec4<f32>();
    let n = room(feature, params.value_features);
    if (row < params.queries && n > 0u) {
        let at = first + row * params.upstream.w + feature;
        x.x = in_upstream[at];
        if (n > 1u) {
            x.y = in_upstream[at + 1u];
        }
        if (n > 2u) {
            x.z = in_upstream[at + 2u];
        }
        if (n > 3u) {
            x.w = in_upstream[at + 3u];
        }
    }
    return x;
}

// A row's greatest score, the logarithm of the sum of exponentials below it, and the upstream gradient by the output.
fn row_at(first: u32, row: u32) -> vec3<f32> {
    if (row >= params.queries) {
        return vec3<f32>();
    }
    let at = first + row * params.rows.w;
    return vec3<f32>(in_rows[at], in_rows[at + 1u], in_rows[at + 2u]);
}

// The weight of a settled score.
fn weight(score: f32, row: vec3<f32>) -> f32 {
    // What saw nothing gives nothing; what lies beyond the matrix too.
    if (is_minus_infinity(score) && (params.hides != 0u || !w_is_nan(row.x))) {
        return 0.0;
    }
    return w_exp((score - row.x) - row.y);
}

// Adds to a tile the products of 32 upstream gradients, its rows, and 32 values.
fn add_slopes(tile: ptr<function, array<vec4<f32>, 4>>, u_first: u32, query: u32, v_first: u32, key: u32, local: u32) {
    for (var part = 0u; part < VALUE_PARTS; part++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            let feature = 32u * part + 4u * (t % 8u);
            sh_left[t + t / 8u] = upstream_at(u_first, query + t / 8u, feature);
            sh_right[t + t / 8u] = v_at(v_first, key + t / 8u, feature);
        }
        workgroupBarrier();
        add_dots(tile, local);
        workgroupBarrier();
    }
}
