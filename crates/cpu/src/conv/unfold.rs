//! Unfolding (im2col) a slab of planes into the matrix a convolution multiplies, and folding it back (col2im), for
//! a range of output positions at a time.

use crate::plan::Conv;
use crate::simd::simd_fn;
use std::ops::Range;

/// How output positions and taps map to input positions, for each spatial dimension:
/// `input = output * stride + tap * dilation - padding`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfold {
    pub(crate) input: [usize; 3],
    pub(crate) output: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    pub(crate) dilation: [usize; 3],
    /// May be negative.
    pub(crate) padding: [i64; 3],
}

/// Consecutive output positions of one line: `depth, height, first column, count`, and where in the tile.
struct Line {
    depth: usize,
    height: usize,
    column: usize,
    count: usize,
    at: usize,
}

/// Positions `at..at + count` of a tile, and where in the plane a tap reads for the first of them; from one to the
/// next it moves by the innermost stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) at: usize,
    pub(crate) count: usize,
    pub(crate) source: usize,
}

/// What a tap reads for a range of output positions.
struct Reads {
    /// The positions whose source lies inside the input, with some gaps between, so that there are few and long
    /// ones: a plane as wide as its output is one run.
    runs: Vec<Piece>,
    /// The positions whose source lies outside: `(at, count)`.
    gaps: Vec<(usize, usize)>,
}

/// A range of output positions, and what every tap reads for it.
pub(crate) struct Tile {
    pub(crate) start: usize,
    pub(crate) len: usize,
    plane: usize,
    step: usize,
    taps: Vec<Reads>,
}

impl Unfold {
    /// Those of a convolution.
    pub(crate) fn of(conv: &Conv) -> Unfold {
        // A single position has no next one: what is made for each step of a stride stays small.
        let stride = [0, 1, 2].map(|d| {
            if conv.output[d] == 1 {
                1
            } else {
                conv.stride[d]
            }
        });
        Unfold {
            input: conv.input,
            output: conv.output,
            kernel: conv.kernel,
            stride,
            dilation: conv.dilation,
            padding: conv.padding.map(|p| p as i64),
        }
    }

    /// Elements of an input plane.
    pub(crate) fn plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of output positions.
    pub(crate) fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Number of taps.
    pub(crate) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Whether the unfolded matrix is the slab itself.
    pub(crate) fn is_identity(&self) -> bool {
        self.kernel == [1; 3]
            && self.stride == [1; 3]
            && self.padding == [0; 3]
            && self.input == self.output
    }

    /// What every tap reads for the output positions `range`.
    pub(crate) fn tile(&self, range: Range<usize>) -> Tile {
        let (start, len, step) = (range.start, range.len(), self.stride[2]);
        let mut taps = Vec::with_capacity(self.taps());
        self.each_tap(range, |pieces| taps.push(Reads::new(pieces, len, step)));
        Tile {
            start,
            len,
            plane: self.plane(),
            step,
            taps,
        }
    }

    /// Calls `f` for every tap, in order, with the positions of `range` whose source lies inside the input.
    pub(crate) fn each_tap(&self, range: Range<usize>, mut f: impl FnMut(&[Piece])) {
        let lines = self.lines(range);
        let mut pieces = Vec::with_capacity(lines.len());
        for t in 0..self.taps() {
            let tap = self.tap(t);
            pieces.clear();
            pieces.extend(lines.iter().filter_map(|line| self.piece(line, tap)));
            f(&pieces);
        }
    }

    fn tap(&self, t: usize) -> [usize; 3] {
        let [_, kh, kw] = self.kernel;
        [t / (kh * kw), t / kw % kh, t % kw]
    }

    fn lines(&self, range: Range<usize>) -> Vec<Line> {
        let [_, height, width] = self.output;
        let mut lines = Vec::with_capacity(range.len() / width + 2);
        let mut p = range.start;
        while p < range.end {
            let column = p % width;
            let count = (width - column).min(range.end - p);
            let row = p / width;
            lines.push(Line {
                depth: row / height,
                height: row % height,
                column,
                count,
                at: p - range.start,
            });
            p += count;
        }
        lines
    }

    fn piece(&self, line: &Line, tap: [usize; 3]) -> Option<Piece> {
        let depth = self.inside(0, line.depth, tap[0])?;
        let height = self.inside(1, line.height, tap[1])?;
        // Columns o with 0 <= o * stride + shift < width.
        let shift = (tap[2] * self.dilation[2]) as i64 - self.padding[2];
        let (step, width) = (self.stride[2] as i64, self.input[2] as i64);
        let low = if shift >= 0 {
            0
        } else {
            (-shift + step - 1) / step
        };
        let high = if shift >= width {
            0
        } else {
            (width - 1 - shift) / step + 1
        };
        let from = low.max(line.column as i64);
        let to = high.min((line.column + line.count) as i64);
        if from >= to {
            return None;
        }
        let source =
            (depth * self.input[1] + height) * self.input[2] + (from * step + shift) as usize;
        Some(Piece {
            at: line.at + from as usize - line.column,
            count: (to - from) as usize,
            source,
        })
    }

    fn inside(&self, d: usize, output: usize, tap: usize) -> Option<usize> {
        let at = (output * self.stride[d] + tap * self.dilation[d]) as i64 - self.padding[d];
        (0..self.input[d] as i64)
            .contains(&at)
            .then_some(at as usize)
    }
}

impl Tile {
    /// `col[(c * taps + t) * len + i]` = plane `c` of `x` where tap `t` reads for output position `start + i`, zero
    /// outside.
    pub(crate) fn unfold(&self, x: &[f32], col: &mut [f32]) {
        self.unfold_rows(x, col, self.len);
    }

    /// As [`Tile::unfold`], with `row` floats from one row of `col` to the next.
    pub(crate) fn unfold_rows(&self, x: &[f32], col: &mut [f32], row: usize) {
        let rows = (0..).step_by(row);
        let mut rows = rows.take(x.len() / self.plane * self.taps.len());
        for x in x.chunks_exact(self.plane) {
            for (reads, at) in self.taps.iter().zip(rows.by_ref()) {
                let col = &mut col[at..at + self.len];
                for run in &reads.runs {
                    let out = &mut col[run.at..run.at + run.count];
                    if self.step == 1 {
                        out.copy_from_slice(&x[run.source..run.source + run.count]);
                    } else {
                        let x = x[run.source..].iter().step_by(self.step);
                        out.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
                    }
                }
                clear(col, &reads.gaps);
            }
        }
    }

    /// The adjoint of [`Tile::unfold_rows`]: adds `col` to the planes of `x`. Clears what of `col` is outside.
    pub(crate) fn fold_rows(&self, col: &mut [f32], row: usize, x: &mut [f32]) {
        let rows = (0..).step_by(row);
        let mut rows = rows.take(x.len() / self.plane * self.taps.len());
        for x in x.chunks_exact_mut(self.plane) {
            for (reads, at) in self.taps.iter().zip(rows.by_ref()) {
                let col = &mut col[at..at + self.len];
                clear(col, &reads.gaps);
                for run in &reads.runs {
                    let col = &col[run.at..run.at + run.count];
                    if self.step == 1 {
                        add(&mut x[run.source..run.source + run.count], col);
                    } else {
                        let x = x[run.source..].iter_mut().step_by(self.step);
                        x.zip(col).for_each(|(x, &c)| *x += c);
                    }
                }
            }
        }
    }
}

impl Reads {
    fn new(pieces: &[Piece], n: usize, step: usize) -> Reads {
        let mut reads = Reads {
            runs: Vec::new(),
            gaps: Vec::new(),
        };
        let mut end = 0;
        for &piece in pieces {
            if piece.at > end {
                reads.gaps.push((end, piece.at - end));
            }
            end = piece.at + piece.count;
            match reads.runs.last_mut() {
                // Everything between the first and the last source is inside the plane too.
                Some(run) if piece.source == run.source + (piece.at - run.at) * step => {
                    run.count = end - run.at
                }
                _ => reads.runs.push(piece),
            }
        }
        if n > end {
            reads.gaps.push((end, n - end));
        }
        reads
    }
}

fn clear(col: &mut [f32], gaps: &[(usize, usize)]) {
    for &(at, count) in gaps {
        match count {
            1 => col[at] = 0.0,
            _ => col[at..at + count].fill(0.0),
        }
    }
}

simd_fn! {
    fn add(x: &mut [f32], col: &[f32]) {
        for (x, &c) in x.iter_mut().zip(col) {
            *x += c;
        }
    }
}
