// Four rows by four columns of a result, for `conv_tiled.wgsl` and `conv_wide.wgsl`, and how they are stored.

struct Block {
    x: vec4<f32>,
    y: vec4<f32>,
    z: vec4<f32>,
    w: vec4<f32>,
}

// One more term: rows of a by columns of b.
fn add_products(c: Block, a: vec4<f32>, b: vec4<f32>) -> Block {
    return Block(
        fma(vec4<f32>(a.x), b, c.x),
        fma(vec4<f32>(a.y), b, c.y),
        fma(vec4<f32>(a.z), b, c.z),
        fma(vec4<f32>(a.w), b, c.w),
    );
}

// Where four neighbouring columns lie, and how many of them exist.
struct Places {
    at: vec4<u32>,
    count: u32,
}

fn places(piece: Piece, col: u32) -> Places {
    let last = piece.n_cols - 1u;
    let at = vec4<u32>(
        out_col(piece, min(col, last)),
        out_col(piece, min(col + 1u, last)),
        out_col(piece, min(col + 2u, last)),
        out_col(piece, min(col + 3u, last)),
    );
    return Places(at, select(0u, piece.n_cols - col, col < piece.n_cols));
}

// `first` is where the row begins.
fn store_four(first: u32, to: Places, v: vec4<f32>) {
    if (to.count > 0u) {
        out_c[first + to.at.x] = finish(v.x, first + to.at.x);
    }
    if (to.count > 1u) {
        out_c[first + to.at.y] = finish(v.y, first + to.at.y);
    }
    if (to.count > 2u) {
        out_c[first + to.at.z] = finish(v.z, first + to.at.z);
    }
    if (to.count > 3u) {
        out_c[first + to.at.w] = finish(v.w, first + to.at.w);
    }
}

// Four neighbouring rows, as far as they exist; `at` is where their split begins.
fn store_block(piece: Piece, row: u32, at: u32, to: Places, c: Block) {
    if (row < params.n_rows) {
        store_four(at + out_row(piece, row), to, c.x);
    }
    if (row + 1u < params.n_rows) {
        store_four(at + out_row(piece, row + 1u), to, c.y);
    }
    if (row + 2u < params.n_rows) {
        store_four(at + out_row(piece, row + 2u), to, c.z);
    }
    if (row + 3u < params.n_rows) {
        store_four(at + out_row(piece, row + 3u), to, c.w);
    }
}
