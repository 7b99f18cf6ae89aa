// Bindings and sizes of a convolution, in front of the operands of each of its three products.
// Spatial triples are depth, height, width. Plane z of the product is the group.

struct Params {
    n_rows: u32,
    n_cols: u32,
    n_sum: u32,
    n_planes: u32,
    n_splits: u32,
    split_len: u32,
    tile_rows: u32,
    tile_cols: u32,
    out_len: u32,
    in_channels: u32,
    out_channels: u32,
    taps: u32,
    size_in: u32,
    size_out: u32,
    in_d: u32,
    in_h: u32,
    in_w: u32,
    out_h: u32,
    out_w: u32,
    out_d: u32,
    kernel_d: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_d: u32,
    stride_h: u32,
    stride_w: u32,
    pad_d: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_d: u32,
    dilation_h: u32,
    dilation_w: u32,
    batch: u32,
    groups: u32,
    // The last element of the images or of what slides over them; what b is.
    last_b: u32,
    // Phases of a gradient of the input: see `conv_phase.wgsl`.
    phases_d: u32,
    phases_h: u32,
    phases_w: u32,
    step_d: u32,
    step_h: u32,
    step_w: u32,
    reach_d: u32,
    reach_h: u32,
    reach_w: u32,
    inverse_d: u32,
    inverse_h: u32,
    inverse_w: u32,
    // Reciprocals of the divisors.
    per_taps: f32,
    per_size_in: f32,
    per_size_out: f32,
    per_in_h: f32,
    per_in_w: f32,
    per_out_h: f32,
    per_out_w: f32,
    per_kernel_h: f32,
    per_kernel_w: f32,
}

// No quotient reaches 2^21.
override QUICK: bool = false;

@group(0) @binding(0) var<storage, read> in_b: array<f32>;
@group(0) @binding(1) var<storage, read> in_a: array<f32>;
@group(0) @binding(2) var<storage, read_write> out_c: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// Other elements have other functions of these names.
fn load_a(at: i32) -> f32 {
    return in_a[at];
}

fn load_b(at: i32) -> f32 {
    return in_b[at];
}

fn first_only(x: u32) -> vec4<i32> {
    return vec4<i32>(i32(x), 0, 0, 0);
}

// n / d. Integers are divided slowly by GPUs, and lane by lane by software adapters; the product with the
// reciprocal, which may itself be off by a few units of the last place, is off by at most one as long as the quotient is below
// 2^21.
fn quotient(n: u32, d: u32, per_d: f32) -> u32 {
    if (!QUICK) {
        return n / d;
    }
    let guess = u32(f32(n) * per_d);
    let rest = i32(n - guess * d);
    return select(select(guess, guess + 1u, rest >= i32(d)), guess - 1u, rest < 0);
}

// Flat position to depth, height, width.
fn unfold(p: u32, h: u32, w: u32, per_h: f32, per_w: f32) -> vec3<i32> {
    let line = quotient(p, w, per_w);
    let z = quotient(line, h, per_h);
    return vec3<i32>(i32(z), i32(line - z * h), i32(p - line * w));
}

fn stride() -> vec3<i32> {
    return vec3<i32>(i32(params.stride_d), i32(params.stride_h), i32(params.stride_w));
}

fn padding() -> vec3<i32> {
    return vec3<i32>(i32(params.pad_d), i32(params.pad_h), i32(params.pad_w));
}

// Where a tap lies from the corner of its window.
fn tap_at(tap: u32) -> vec3<i32> {
    let d = vec3<i32>(i32(params.dilation_d), i32(params.dilation_h), i32(params.dilation_w));
    return unfold(tap, params.kernel_h, params.kernel_w, params.per_kernel_h, params.per_kernel_w) * d;
}

// Where the window of output position p has its corner in the input; may lie outside.
fn corner_of(p: u32) -> vec3<i32> {
    let at = unfold(p, params.out_h, params.out_w, params.per_out_h, params.per_out_w);
    return at * stride() - padding();
}

// Offset in an input plane, linear, so that offsets of corners and taps add up.
fn in_offset(at: vec3<i32>) -> i32 {
    return (at.x * i32(params.in_h) + at.y) * i32(params.in_w) + at.z;
}
