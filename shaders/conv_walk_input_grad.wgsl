// Gradient of the input, for the cores of `conv_walk.wgsl`: rows are input channels, columns (image, position of a phase), the
// sum runs over (output channel, tap of the phase). a is the weight, b the gradient of the output. A plane is a phase and a group.

const SIGN: i32 = -1;

struct Piece {
    z: u32,
    n_cols: u32,
    n_sum: u32,
    a_last: u32,
    phase: Phase,
    a: Gear,
    b: Gear,
}

fn slid() -> vec3<i32> {
    return vec3<i32>(i32(params.out_d), i32(params.out_h), i32(params.out_w));
}

// Taps of a phase, at least one: where there is none, there is no sum.
fn taps(phase: Phase) -> vec3<u32> {
    return max(vec3<u32>(phase.d.taps, phase.h.taps, phase.w.taps), vec3<u32>(1u));
}

// How far apart they lie in the output.
fn reach() -> vec3<i32> {
    return vec3<i32>(i32(params.reach_d), i32(params.reach_h), i32(params.reach_w));
}

// What an output channel and a tap of the phase further along each side add to an offset, in a and b.
fn along_a() -> vec4<i32> {
    let line = params.kernel_w;
    let d = params.step_d * params.kernel_h * line;
    return vec4<i32>(vec4<u32>(params.in_channels * params.taps, d, params.step_h * line, params.step_w));
}

fn along_b() -> vec4<i32> {
    let line = i32(params.out_w);
    let r = reach();
    return vec4<i32>(i32(params.size_out), -r.x * i32(params.out_h) * line, -r.y * line, -r.z);
}

fn piece_of(plane: u32) -> Piece {
    let index = plane / params.groups;
    let phase = phase_at(index);
    let n = taps(phase);
    let a = along_a();
    let last = i32(params.out_channels - 1u) * a.x + dot(vec3<i32>(n) - vec3<i32>(1), a.yzw);
    return Piece(
        plane - index * params.groups,
        params.batch * positions(phase),
        params.out_channels * taps_of(phase),
        u32(last),
        phase,
        gear(TILE_K, n, vec3<i32>(1), a),
        gear(TILE_K, n, reach(), along_b()),
    );
}

fn a_row(piece: Piece, row: u32) -> i32 {
    let p = piece.phase;
    let tap = (p.d.tap * params.kernel_h + p.h.tap) * params.kernel_w + p.w.tap;
    return i32((piece.z * params.out_channels * params.in_channels + row) * params.taps + tap);
}

fn a_first(piece: Piece, k: u32) -> Spot {
    return spot(k, taps(piece.phase), vec3<i32>(1), along_a());
}

fn a_next(piece: Piece, s: Spot) -> Spot {
    return next(s, piece.a);
}

fn b_first(piece: Piece, k: u32) -> Spot {
    return spot(k, taps(piece.phase), reach(), along_b());
}

fn b_next(piece: Piece, s: Spot) -> Spot {
    return next(s, piece.b);
}

// Image, and position of the phase.
fn at_col(piece: Piece, col: u32) -> vec4<i32> {
    let p = piece.phase;
    let n = positions(p);
    let image = quotient(col, n, 1.0 / f32(n));
    let at = unfold(col - image * n, p.h.count, p.w.count, 1.0 / f32(p.h.count), 1.0 / f32(p.w.count));
    return vec4<i32>(i32(image), at);
}

fn b_col(piece: Piece, col: u32) -> Spot {
    let p = piece.phase;
    let at = at_col(piece, col);
    let plane = (u32(at.x) * params.groups + piece.z) * params.out_channels * params.size_out;
    return column(plane, at.yzw + vec3<i32>(p.d.base, p.h.base, p.w.base));
}

fn out_row(piece: Piece, row: u32) -> u32 {
    return (piece.z * params.in_channels + row) * params.size_in;
}

fn out_col(piece: Piece, col: u32) -> u32 {
    let p = piece.phase;
    let at = at_col(piece, col);
    let to = vec3<i32>(vec3<u32>(p.d.first, p.h.first, p.w.first)) + at.yzw * stride();
    return u32(at.x) * params.groups * params.in_channels * params.size_in + u32(in_offset(to));
}
