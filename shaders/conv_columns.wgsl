// What `conv_direct.wgsl` and `conv_direct_weight_grad.wgsl` have of a line of the slid image: the columns that four neighbours of
// the output meet with the taps of a line. Where they are and whether they exist is found once for all lines; all are loaded, from
// places that exist.

// Taps of a line, if they lie side by side and are at most seven; else 0: they are taken one by one.
override UNROLLED: u32 = 0u;
// Of taps that are unrolled: neighbours of the output are two columns apart, not one.
override BY_TWO: bool = false;
// More than one plane in depth, anywhere, or windows beside the only one.
override DEEP: bool = false;

// What to add to the offset of a line, and whether it exists.
struct Column {
    at: i32,
    inside: bool,
}

struct Columns {
    c0: Column,
    c1: Column,
    c2: Column,
    c3: Column,
    c4: Column,
    c5: Column,
    c6: Column,
    c7: Column,
    c8: Column,
    c9: Column,
    c10: Column,
    c11: Column,
    c12: Column,
}

// Of a line.
struct Values {
    x: vec4<f32>,
    y: vec4<f32>,
    z: vec4<f32>,
    w: f32,
}

fn quotient_of(n: u32, d: u32) -> u32 {
    return quotient(n, d, 1.0 / f32(d));
}

fn column(w: i32, size: u32) -> Column {
    return Column(i32(min(u32(w), size - 1u)), u32(w) < size);
}

fn columns(w: i32, apart: i32, size: u32) -> Columns {
    return Columns(
        column(w, size),
        column(w + apart, size),
        column(w + 2 * apart, size),
        column(w + 3 * apart, size),
        column(w + 4 * apart, size),
        column(w + 5 * apart, size),
        column(w + 6 * apart, size),
        column(w + 7 * apart, size),
        column(w + 8 * apart, size),
        column(w + 9 * apart, size),
        column(w + 10 * apart, size),
        column(w + 11 * apart, size),
        column(w + 12 * apart, size),
    );
}

fn value(line: i32, inside: bool, c: Column) -> f32 {
    let x = load_b(line + c.at);
    return select(0.0, x, inside & c.inside);
}

// Column number `n`, if any tap meets it.
fn needed(n: u32, line: i32, inside: bool, c: Column) -> f32 {
    if (n >= select(3u, 6u, BY_TWO) + max(UNROLLED, 1u)) {
        return 0.0;
    }
    return value(line, inside, c);
}

fn values(line: i32, inside: bool, c: Columns) -> Values {
    var v: Values;
    v.x.x = value(line, inside, c.c0);
    v.x.y = value(line, inside, c.c1);
    v.x.z = value(line, inside, c.c2);
    v.x.w = value(line, inside, c.c3);
    v.y.x = needed(4u, line, inside, c.c4);
    v.y.y = needed(5u, line, inside, c.c5);
    v.y.z = needed(6u, line, inside, c.c6);
    v.y.w = needed(7u, line, inside, c.c7);
    v.z.x = needed(8u, line, inside, c.c8);
    v.z.y = needed(9u, line, inside, c.c9);
    v.z.z = needed(10u, line, inside, c.c10);
    v.z.w = needed(11u, line, inside, c.c11);
    v.w = needed(12u, line, inside, c.c12);
    return v;
}

// What the four meet with tap `t`, which is a constant.
fn met(v: Values, t: u32) -> vec4<f32> {
    if (BY_TWO) {
        switch t {
            case 0u: { return vec4<f32>(v.x.xz, v.y.xz); }
            case 1u: { return vec4<f32>(v.x.yw, v.y.yw); }
            case 2u: { return vec4<f32>(v.x.z, v.y.xz, v.z.x); }
            case 3u: { return vec4<f32>(v.x.w, v.y.yw, v.z.y); }
            case 4u: { return vec4<f32>(v.y.xz, v.z.xz); }
            case 5u: { return vec4<f32>(v.y.yw, v.z.yw); }
            default: { return vec4<f32>(v.y.z, v.z.xz, v.w); }
        }
    }
    switch t {
        case 0u: { return v.x; }
        case 1u: { return vec4<f32>(v.x.yzw, v.y.x); }
        case 2u: { return vec4<f32>(v.x.zw, v.y.xy); }
        case 3u: { return vec4<f32>(v.x.w, v.y.xyz); }
        case 4u: { return v.y; }
        case 5u: { return vec4<f32>(v.y.yzw, v.z.x); }
        default: { return vec4<f32>(v.y.zw, v.z.xy); }
    }
}
