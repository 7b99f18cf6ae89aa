// Gradient of the weight, for the cores of `conv_walk.wgsl`: rows are output channels, columns (input channel, tap), the sum
// runs over (image, output position). a is the gradient of the output, b the input.

const SIGN: i32 = 1;

struct Piece {
    z: u32,
    n_cols: u32,
    n_sum: u32,
    a_last: u32,
    // What TILE_K terms add to the offset in a, and to the position in its plane; what comes to the offset with a new image.
    a_step: i32,
    a_by: i32,
    a_turn: i32,
    b: Gear,
}

fn slid() -> vec3<i32> {
    return vec3<i32>(i32(params.in_d), i32(params.in_h), i32(params.in_w));
}

fn positions() -> vec3<u32> {
    return vec3<u32>(params.out_d, params.out_h, params.out_w);
}

// What an image and a position further along each side add to an offset in b.
fn along() -> vec4<i32> {
    let s = stride();
    let line = i32(params.in_w);
    let image = i32(params.n_planes * params.in_channels * params.size_in);
    return vec4<i32>(image, s.x * i32(params.in_h) * line, s.y * line, s.z);
}

// Elements of an image of a.
fn a_image() -> u32 {
    return params.n_planes * params.out_channels * params.size_out;
}

fn piece_of(plane: u32) -> Piece {
    let images = TILE_K / params.size_out;
    let by = TILE_K - images * params.size_out;
    return Piece(
        plane,
        params.n_cols,
        params.n_sum,
        (params.batch - 1u) * a_image() + params.size_out - 1u,
        i32(images * a_image() + by),
        i32(by),
        i32(a_image() - params.size_out),
        gear(TILE_K, positions(), stride(), along()),
    );
}

fn a_row(piece: Piece, row: u32) -> i32 {
    return i32((piece.z * params.out_channels + row) * params.size_out);
}

fn a_first(piece: Piece, k: u32) -> Spot {
    let image = quotient(k, params.size_out, params.per_size_out);
    let p = k - image * params.size_out;
    return Spot(i32(image * a_image() + p), 0, 0, i32(p));
}

fn a_next(piece: Piece, s: Spot) -> Spot {
    let p = s.w + piece.a_by;
    let ends = p >= i32(params.size_out);
    let at = s.at + piece.a_step + select(0, piece.a_turn, ends);
    return Spot(at, 0, 0, p - select(0, i32(params.size_out), ends));
}

fn b_first(piece: Piece, k: u32) -> Spot {
    return spot(k, positions(), stride(), along());
}

fn b_next(piece: Piece, s: Spot) -> Spot {
    return next(s, piece.b);
}

fn b_col(piece: Piece, col: u32) -> Spot {
    let channel = quotient(col, params.taps, params.per_taps);
    let plane = (piece.z * params.in_channels + channel) * params.size_in;
    return column(plane, tap_at(col - channel * params.taps) - padding());
}

fn out_row(piece: Piece, row: u32) -> u32 {
    return (piece.z * params.out_channels + row) * params.n_cols;
}

fn out_col(piece: Piece, col: u32) -> u32 {
    return col;
}
