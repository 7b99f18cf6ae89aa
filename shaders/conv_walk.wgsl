// How `conv_tiled.wgsl` and `conv_wide.wgsl` go through the terms of a convolution's sum: positions in a box (channels of taps,
// images of positions) are counted up and not divided out, and what they add to an offset is counted along.
//
// An element of b is an offset of its column and one of its term. It is zero where the sum of their positions lies outside the
// slid image: tested once for each side, unsigned. All loads stand behind no branch, at offsets that exist; what is to be zero
// becomes so where it is stored in workgroup memory.

// More than one plane in depth, anywhere, or windows beside the only one.
override DEEP: bool = false;

// A term or a column: what it adds to the offset, and to the position.
struct Spot {
    at: i32,
    d: i32,
    h: i32,
    w: i32,
}

// A box of positions, the last side fastest, which is gone through so many at a time.
struct Gear {
    // What comes to a spot with each step.
    step: Spot,
    // Where sides end, and what a turn of the next faster one adds to a side.
    end: Spot,
    unit: Spot,
    // What comes to the offset where a side begins anew.
    turn_d: i32,
    turn_h: i32,
    turn_w: i32,
}

// `unit` is what one further along a side adds to a position, and `at` to the offset, that of a whole box first.
fn gear(terms: u32, size: vec3<u32>, unit: vec3<i32>, at: vec4<i32>) -> Gear {
    let line = terms / size.z;
    let plane = line / size.y;
    let box = select(plane, plane / size.x, DEEP);
    let by = vec3<i32>(vec3<u32>(plane - box * size.x, line - plane * size.y, terms - line * size.z));
    let n = vec3<i32>(size);
    let all = i32(box) * at.x + select(0, by.x * at.y, DEEP) + by.y * at.z + by.z * at.w;
    return Gear(
        Spot(all, by.x * unit.x, by.y * unit.y, by.z * unit.z),
        Spot(0, n.x * unit.x, n.y * unit.y, n.z * unit.z),
        Spot(0, unit.x, unit.y, unit.z),
        at.x - n.x * at.y,
        select(at.x, at.y, DEEP) - n.y * at.z,
        at.z - n.z * at.w,
    );
}

// The spot of term k.
fn spot(k: u32, size: vec3<u32>, unit: vec3<i32>, at: vec4<i32>) -> Spot {
    let n = size.x * size.y * size.z;
    let box = quotient(k, n, 1.0 / f32(n));
    let by = unfold(k - box * n, size.y, size.z, 1.0 / f32(size.y), 1.0 / f32(size.z));
    let all = i32(box) * at.x + select(0, by.x * at.y, DEEP) + by.y * at.z + by.z * at.w;
    return Spot(all, by.x * unit.x, by.y * unit.y, by.z * unit.z);
}

fn next(before: Spot, g: Gear) -> Spot {
    var s = Spot(before.at + g.step.at, before.d, before.h + g.step.h, before.w + g.step.w);
    let row_ends = s.w >= g.end.w;
    s.w -= select(0, g.end.w, row_ends);
    s.h += select(0, g.unit.h, row_ends);
    s.at += select(0, g.turn_w, row_ends);
    let plane_ends = s.h >= g.end.h;
    s.h -= select(0, g.end.h, plane_ends);
    s.at += select(0, g.turn_h, plane_ends);
    if (DEEP) {
        s.d += g.step.d + select(0, g.unit.d, plane_ends);
        let box_ends = s.d >= g.end.d;
        s.d -= select(0, g.end.d, box_ends);
        s.at += select(0, g.turn_d, box_ends);
    }
    return s;
}

// The column of b at a position of the slid image, whose planes begin at `plane`.
fn column(plane: u32, at: vec3<i32>) -> Spot {
    let size = slid();
    return Spot(i32(plane) + (at.x * size.y + at.y) * size.z + at.z, at.x, at.y, at.z);
}

fn inside(c: Spot, s: Spot) -> bool {
    let size = vec3<u32>(slid());
    let flat = (u32(c.h + SIGN * s.h) < size.y) & (u32(c.w + SIGN * s.w) < size.z);
    return flat & (!DEEP | (u32(c.d + SIGN * s.d) < size.x));
}

// An element as it is fetched ahead: what has to be widened stays as it lies until it is needed.
alias AheadA = f32;
alias AheadB = f32;

fn ahead_a(at: i32) -> AheadA {
    return load_a(at);
}

fn ahead_b(at: i32) -> AheadB {
    return load_b(at);
}

// Four rows of a at a term of the sum, or at the last one.
fn a_quad(rows: vec4<i32>, s: Spot, last: u32) -> vec4<AheadA> {
    let at = rows + vec4<i32>(i32(min(u32(s.at), last)));
    return vec4<AheadA>(ahead_a(at.x), ahead_a(at.y), ahead_a(at.z), ahead_a(at.w));
}

// The same once it is needed; garbage past the end.
fn a_wide(q: vec4<AheadA>, rows: vec4<i32>, s: Spot) -> vec4<f32> {
    return q;
}

struct Columns {
    x: Spot,
    y: Spot,
    z: Spot,
    w: Spot,
}

fn b_one(c: Spot, s: Spot) -> AheadB {
    return ahead_b(i32(min(u32(c.at + s.at), params.last_b)));
}

// Four columns of b at a term of the sum; garbage outside.
fn b_quad(c: Columns, s: Spot) -> vec4<AheadB> {
    return vec4<AheadB>(b_one(c.x, s), b_one(c.y, s), b_one(c.z, s), b_one(c.w, s));
}

// The same once it is needed.
fn b_wide(q: vec4<AheadB>, c: Columns, s: Spot) -> vec4<f32> {
    return q;
}

// Which of them are no garbage.
fn b_kept(c: Columns, s: Spot, in_sum: bool) -> vec4<bool> {
    let kept = vec4<bool>(inside(c.x, s), inside(c.y, s), inside(c.z, s), inside(c.w, s));
    return kept & vec4<bool>(in_sum);
}

// Four neighbouring columns; those past the end repeat the last one.
fn columns(piece: Piece, col: u32) -> Columns {
    let last = piece.n_cols - 1u;
    return Columns(
        b_col(piece, min(col, last)),
        b_col(piece, min(col + 1u, last)),
        b_col(piece, min(col + 2u, last)),
        b_col(piece, min(col + 3u, last)),
    );
}

// Four neighbouring rows, likewise.
fn rows(piece: Piece, row: u32) -> vec4<i32> {
    let last = params.n_rows - 1u;
    return vec4<i32>(
        a_row(piece, min(row, last)),
        a_row(piece, min(row + 1u, last)),
        a_row(piece, min(row + 2u, last)),
        a_row(piece, min(row + 3u, last)),
    );
}
