// What the kernels of attention have in common: a workgroup of 8 by 8 threads computes tiles of 32 rows by 32 columns, four by four
// for each thread, from operands staged in workgroup memory in parts of 32 features. Not a module: `kernels.rs` puts it before
// a kernel, and one of `attention_plain.wgsl` and `attention_masked.wgsl` behind it.

struct Params {
    inner_batch: u32,
    n_heads: u32,
    queries: u32,
    keys: u32,
    features: u32,
    value_features: u32,
    scale: f32,
    causal: u32,
    // Whether a row may see nothing, and then gives zeros.
    hides: u32,
    minus_infinity: f32,
    not_a_number: f32,
    // The columns that this dispatch goes through, and whether it goes on with what an earlier one has stored.
    first: u32,
    end: u32,
    resumes: u32,
    // Offset, strides of the batch, stride of rows.
    q: vec4<u32>,
    k: vec4<u32>,
    v: vec4<u32>,
    upstream: vec4<u32>,
    rows: vec4<u32>,
    mask: vec4<u32>,
    mask_column: u32,
    mask_is_truth: u32,
}

// Parts of 32 features of queries and keys, and of values.
override PARTS: u32 = 1u;
override VALUE_PARTS: u32 = 1u;

// 32 rows of 8 vectors, a vector apart, so that rows lie in different banks.
var<workgroup> sh_left: array<vec4<f32>, 288>;
var<workgroup> sh_right: array<vec4<f32>, 288>;
// 32 rows of 32 numbers, four apart.
var<workgroup> sh_tile: array<f32, 1152>;

// Where a head's matrix begins.
fn base(place: vec4<u32>, head: u32) -> u32 {
    let outer = head / params.inner_batch;
    return place.x + outer * place.y + (head - outer * params.inner_batch) * place.z;
}

// How many of four features from `at` on there are.
fn room(at: u32, features: u32) -> u32 {
    return select(0u, features - at, at < features);
}

fn q_at(first: u32, row: u32, feature: u32) -> vec4<f32> {
    var x = vec4<f32>();
    let n = room(feature, params.features);
    if (row < params.queries && n > 0u) {
        let at = first + row * params.q.w + feature;
        x.x = in_q[at];
        if (n > 1u) {
            x.y = in_q[at + 1u];
        }
        if (n > 2u) {
            x.z = in_q[at + 2u];
        }
        if (n > 3u) {
            x.w = in_q[at + 3u];
        }
    }
    return x * params.scale;
}

fn k_at(first: u32, row: u32, feature: u32) -> vec4<f32> {
    var x = vec4<f32>();
    let n = room(feature, params.features);
    if (row < params.keys && n > 0u) {
        let at = first + row * params.k.w + feature;
        x.x = in_k[at];
        if (n > 1u) {
            x.y = in_k[at + 1u];
        }
        if (n > 2u) {
            x.z = in_k[at + 2u];
        }
        if (n > 3u) {
            x.w = in_k[at + 3u];
        }
    }
    return x;
}

fn v_at(first: u32, row: u32, feature: u32) -> vec4<f32> {
    var x = vec4<f32>();
    let n = room(feature, params.value_features);
    if (row < params.keys && n > 0u) {
        let at = first + row * params.v.w + feature;
        x.x = in_v[at];
        if (n > 1u) {
            x.y = in_v[at + 1u];
        }
        if (n > 2u) {
            x.z = in_v[at + 2u];
        }
        if (n > 3u) {
            x.w = in_v[at + 3u];
        }
    }
    return x;
}

// A score as mask and causality leave it, minus infinity beyond the matrix.
fn settled(score: f32, mask_first: u32, query: u32, key: u32) -> f32 {
    if (query >= params.queries || key >= params.keys || (params.causal != 0u && key > query)) {
        return params.minus_infinity;
    }
    return masked(score, mask_first, query, key);
}

fn is_minus_infinity(x: f32) -> bool {
    return bitcast<u32>(x) == 0xff800000u;
}

// Adds the products of four staged rows of the left and four of the right, 8 apart, over 32 features.
fn add_dots(tile: ptr<function, array<vec4<f32>, 4>>, local: u32) {
    let left = (local / 8u) * 36u;
    let right = (local % 8u) * 9u;
    for (var d = 0u; d < 8u; d++) {
        let y0 = sh_right[right + d];
        let y1 = sh_right[right + 72u + d];
        let y2 = sh_right[right + 144u + d];
        let y3 = sh_right[right + 216u + d];
        let x0 = sh_left[left + d];
        let x1 = sh_left[left + 9u + d];
        let x2 = sh_left[left + 18u + d];
        let x3 = sh_left[left + 27u + d];
        (*tile)[0] += vec4<f32>(dot(x0, y0), dot(x0, y1), dot(x0, y2), dot(x0, y3));
        (*tile)[1] += vec4<f32>(dot(x1, y0), dot(x1, y1), dot(x1, y2), dot(x1, y3));
        (*tile)[2] += vec4<f32>(dot(x2, y0), dot(x2, y1), dot(x2, y2), dot(x2, y3));
        (*tile)[3] += vec4<f32>(dot(x3, y0), dot(x3, y1), dot(x3, y2), dot(x3, y3));
    }
}

// Puts a thread's part of a tile into workgroup memory.
fn put(tile: ptr<function, array<vec4<f32>, 4>>, local: u32) {
    let at = (local / 8u) * 144u + local % 8u;
    for (var i = 0u; i < 4u; i++) {
        let x = (*tile)[i];
        sh_tile[at + 36u * i] = x.x;
        sh_tile[at + 36u * i + 8u] = x.y;
        sh_tile[at + 36u * i + 16u] = x.z;
        sh_tile[at + 36u * i + 24u] = x.w;
    }
}

// Adds the products of four rows of the tile and the 32 staged rows of the right to the sums of part `part`.
fn add_rows(sums: ptr<function, array<vec4<f32>, 16>>, part: u32, local: u32) {
    let tile = (local / 8u) * 144u;
    let right = local % 8u;
    var s0 = (*sums)[4u * part];
    var s1 = (*sums)[4u * part + 1u];
    var s2 = (*sums)[4u * part + 2u];
    var s3 = (*sums)[4u * part + 3u];
    for (var j = 0u; j < 32u; j += 4u) {
        let y0 = sh_right[right + 9u * j];
        let y1 = sh_right[right + 9u * j + 9u];
        let y2 = sh_right[right + 9u * j + 18u];
        let y3 = sh_right[right + 9u * j + 27u];
        let x0 = tile + j;
        s0 += sh_tile[x0] * y0 + sh_tile[x0 + 1u] * y1 + sh_tile[x0 + 2u] * y2 + sh_tile[x0 + 3u] * y3;
        let x1 = x0 + 36u;
        s1 += sh_tile[x1] * y0 + sh_tile[x1 + 1u] * y1 + sh_tile[x1 + 2u] * y2 + sh_tile[x1 + 3u] * y3;
        let x2 = x1 + 36u;
        s2 += sh_tile[x2] * y0 + sh_tile[x2 + 1u] * y1 + sh_tile[x2 + 2u] * y2 + sh_tile[x2 + 3u] * y3;
        let x3 = x2 + 36u;
        s3 += sh_tile[x3] * y0 + sh_tile[x3 + 1u] * y1 + sh_tile[x3 + 2u] * y2 + sh_tile[x3 + 3u] * y3;
    }
    (*sums)[4u * part] = s0;
    (*sums)[4u * part + 1u] = s1;
    (*sums)[4u * part + 2u] = s2;
    (*sums)[4u * part + 3u] = s3;
}

// Adds to a tile the products of 32 queries, its rows, and 32 keys.
fn add_scores(tile: ptr<function, array<vec4<f32>, 4>>, q_first: u32, query: u32, k_first: u32, key: u32, local: u32) {
    for (var part = 0u; part < PARTS; part++) {
        for (var i = 0u; i < 4u; i++) {
            let t = local + 64u * i;
            let feature = 32u * part + 4u * (t % 8u);
            sh_left[t + t / 8u] = q_at(q_first, query + t / 8u, feature);
            sh_right[t + t / 8u] = k_at(k_first, key + t / 8u, feature);
        }
        workgroupBarrier();
        add_dots(tile, local);
        workgroupBarrier();
    }
}
