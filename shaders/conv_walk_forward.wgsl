// y = conv(x, weight), for the cores of `conv_walk.wgsl`: rows are output channels, columns (image, output position), the sum
// runs over (input channel, tap). a is the weight, b the input.

const SIGN: i32 = 1;

struct Piece {
    z: u32,
    n_cols: u32,
    n_sum: u32,
    a_last: u32,
    b: Gear,
}

fn slid() -> vec3<i32> {
    return vec3<i32>(i32(params.in_d), i32(params.in_h), i32(params.in_w));
}

fn taps() -> vec3<u32> {
    return vec3<u32>(params.kernel_d, params.kernel_h, params.kernel_w);
}

fn dilation() -> vec3<i32> {
    return vec3<i32>(i32(params.dilation_d), i32(params.dilation_h), i32(params.dilation_w));
}

// What a channel and a tap further along each side add to an offset.
fn along() -> vec4<i32> {
    let d = dilation();
    let line = i32(params.in_w);
    return vec4<i32>(i32(params.size_in), d.x * i32(params.in_h) * line, d.y * line, d.z);
}

fn piece_of(plane: u32) -> Piece {
    let b = gear(TILE_K, taps(), dilation(), along());
    return Piece(plane, params.n_cols, params.n_sum, params.n_sum - 1u, b);
}

fn a_row(piece: Piece, row: u32) -> i32 {
    return i32((piece.z * params.out_channels + row) * params.n_sum);
}

fn a_first(piece: Piece, k: u32) -> Spot {
    return Spot(i32(k), 0, 0, 0);
}

fn a_next(piece: Piece, s: Spot) -> Spot {
    return Spot(s.at + i32(TILE_K), 0, 0, 0);
}

fn b_first(piece: Piece, k: u32) -> Spot {
    return spot(k, taps(), dilation(), along());
}

fn b_next(piece: Piece, s: Spot) -> Spot {
    return next(s, piece.b);
}

fn b_col(piece: Piece, col: u32) -> Spot {
    let image = quotient(col, params.size_out, params.per_size_out);
    let plane = (image * params.n_planes + piece.z) * params.in_channels * params.size_in;
    return column(plane, corner_of(col - image * params.size_out));
}

fn out_row(piece: Piece, row: u32) -> u32 {
    return (piece.z * params.out_channels + row) * params.size_out;
}

fn out_col(piece: Piece, col: u32) -> u32 {
    let image = quotient(col, params.size_out, params.per_size_out);
    let p = col - image * params.size_out;
    return image * params.n_planes * params.out_channels * params.size_out + p;
}
