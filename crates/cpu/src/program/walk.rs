//! Strided walks over a loop nest in linear order, and merging loop dimensions. Knows no data.

use crate::plan::View;
use crate::program::LANES;

/// A [`View`] over a merged loop nest.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// Offset of the first point.
    pub(crate) offset: i64,
    /// One stride for each dimension of the nest.
    pub(crate) strides: Vec<i64>,
    /// Whether linear position `p` has offset `offset + p`.
    pub(crate) flat: bool,
}

/// A loop nest of at least one dimension.
#[derive(Clone, Debug)]
pub(crate) struct Nest {
    /// Sizes, outermost first, none zero unless the nest is empty.
    pub(crate) shape: Vec<usize>,
    /// Product of the sizes.
    pub(crate) len: usize,
}

impl Nest {
    /// Merges the dimensions `order` of `shape` where every view allows it, and drops those of size 1.
    pub(crate) fn new(shape: &[usize], order: &[usize], views: &[&View]) -> (Nest, Vec<Walk>) {
        let mut walks: Vec<Walk> = views
            .iter()
            .map(|v| Walk {
                offset: v.offset,
                strides: Vec::with_capacity(4),
                flat: false,
            })
            .collect();
        let mut merged: Vec<usize> = Vec::with_capacity(4);
        for &d in order {
            let size = shape[d];
            if size == 1 {
                continue;
            }
            let joins = !merged.is_empty()
                && views
                    .iter()
                    .zip(&walks)
                    .all(|(v, w)| w.strides.last() == Some(&(v.strides[d] * size as i64)));
            for (view, walk) in views.iter().zip(&mut walks) {
                if joins {
                    walk.strides.pop();
                }
                walk.strides.push(view.strides[d]);
            }
            match merged.last_mut() {
                Some(last) if joins => *last *= size,
                _ => merged.push(size),
            }
        }
        if merged.is_empty() {
            merged.push(1);
            walks.iter_mut().for_each(|w| w.strides.push(1));
        }
        for walk in &mut walks {
            walk.flat = is_flat(&merged, &walk.strides);
        }
        let len = shape.iter().product();
        (Nest { shape: merged, len }, walks)
    }

    /// The size of the innermost dimension.
    pub(crate) fn row(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }

    /// Writes the loop indices of linear position `position`.
    pub(crate) fn index_of(&self, position: usize, index: &mut Vec<usize>) {
        index.resize(self.shape.len(), 0);
        let mut rest = position;
        for d in (1..self.shape.len()).rev() {
            index[d] = rest % self.shape[d];
            rest /= self.shape[d];
        }
        index[0] = rest;
    }

    /// Cuts the two innermost dimensions into tiles of a block each, where a walk runs across the rows: lines of
    /// the cache are then used whole before they are evicted.
    pub(crate) fn cut_tiles(&mut self, walks: &mut [Walk], lanes: usize) {
        const WIDTH: usize = 64;
        let Some(inner) = self.shape.len().checked_sub(2) else {
            return;
        };
        let height = lanes / WIDTH;
        let (rows, columns) = (self.shape[inner], self.shape[inner + 1]);
        let fits = columns.is_multiple_of(WIDTH)
            && rows.is_multiple_of(height)
            && rows * columns > lanes * 4;
        if !fits
            || !walks
                .iter()
                .any(|w| w.strides[inner] == 1 && w.step().abs() > 1)
        {
            return;
        }
        self.shape.truncate(inner);
        self.shape
            .extend([rows / height, columns / WIDTH, height, WIDTH]);
        for walk in walks {
            let (down, right) = (walk.strides[inner], walk.strides[inner + 1]);
            walk.strides.truncate(inner);
            walk.strides
                .extend([down * height as i64, right * WIDTH as i64, down, right]);
            walk.flat = is_flat(&self.shape, &walk.strides);
        }
    }

    /// The end of the block that starts at `start`: at most `lanes` away, not past `end`, and at the end of a
    /// row where rows are long, after whole rows where they are short.
    pub(crate) fn block_end(&self, start: usize, end: usize, lanes: usize) -> usize {
        let row = self.row();
        let stop = if self.shape.len() == 1 {
            start + lanes
        } else if row * 2 > lanes {
            (start + lanes).min((start / row + 1) * row)
        } else {
            (start / row + lanes / row) * row
        };
        stop.min(end)
    }
}

impl Walk {
    /// Calls `f(lane, n, offset)` for each stretch of the innermost dimension in the `len` points from loop
    /// indices `index` on: lanes `lane..lane + n` lie at `offset`, one innermost stride apart.
    #[inline]
    pub(crate) fn stretches(
        &self,
        nest: &Nest,
        index: &mut [usize],
        len: usize,
        mut f: impl FnMut(usize, usize, i64),
    ) {
        let last = nest.shape.len() - 1;
        let row = nest.shape[last];
        let mut offset = self.offset_at(index);
        let mut column = index[last];
        let mut lane = 0;
        loop {
            let n = (row - column).min(len - lane);
            f(lane, n, offset);
            lane += n;
            if lane == len {
                return;
            }
            offset -= column as i64 * self.strides[last];
            column = 0;
            offset += self.next(nest, index, last);
        }
    }

    /// Whether it stays on each of neighbouring elements for some lanes, of which a block has several times as many.
    pub(crate) fn repeats(&self, nest: &Nest) -> bool {
        const MOST: usize = LANES / 4;
        match self.strides[..] {
            [.., 1, 0] => (2..=MOST).contains(&nest.row()),
            _ => false,
        }
    }

    /// As [`Walk::stretches`] for a walk that repeats: a stretch is the two innermost dimensions, and `f` is told too how many lanes of
    /// its first element came before it.
    pub(crate) fn repeated(
        &self,
        nest: &Nest,
        index: &mut [usize],
        len: usize,
        mut f: impl FnMut(usize, usize, i64, usize),
    ) {
        let above = nest.shape.len() - 2;
        let times = nest.row();
        let stretch = nest.shape[above] * times;
        let mut offset = self.offset_at(index) - index[above] as i64;
        let mut column = index[above] * times + index[above + 1];
        let mut lane = 0;
        loop {
            let n = (stretch - column).min(len - lane);
            f(lane, n, offset + (column / times) as i64, column % times);
            lane += n;
            if lane == len {
                return;
            }
            column = 0;
            offset += self.next(nest, index, above);
        }
    }

    /// Moves on to the next indices of the dimensions before `last`; returns how far that is.
    fn next(&self, nest: &Nest, index: &mut [usize], last: usize) -> i64 {
        let mut moved = 0;
        for d in (0..last).rev() {
            index[d] += 1;
            moved += self.strides[d];
            if index[d] < nest.shape[d] {
                break;
            }
            moved -= self.strides[d] * nest.shape[d] as i64;
            index[d] = 0;
        }
        moved
    }

    /// The offset at loop indices `index`.
    pub(crate) fn offset_at(&self, index: &[usize]) -> i64 {
        self.offset
            + index
                .iter()
                .zip(&self.strides)
                .map(|(&i, &s)| i as i64 * s)
                .sum::<i64>()
    }

    /// Where the `len` points from loop indices `index` on are whole rows that neighbour in memory column by
    /// column: the number of rows.
    pub(crate) fn crosses(&self, nest: &Nest, index: &[usize], len: usize) -> Option<usize> {
        let last = nest.shape.len() - 1;
        if last == 0 || self.strides[last - 1] != 1 || (0..=1).contains(&self.strides[last]) {
            return None;
        }
        let rows = len / nest.row();
        // Short columns are no gain.
        let whole = rows >= 4 && index[last] == 0 && len.is_multiple_of(nest.row());
        (whole && index[last - 1] + rows <= nest.shape[last - 1]).then_some(rows)
    }

    /// The innermost stride.
    pub(crate) fn step(&self) -> i64 {
        self.strides[self.strides.len() - 1]
    }

    /// Whether every point has the same offset.
    pub(crate) fn is_still(&self, nest: &Nest) -> bool {
        self.strides
            .iter()
            .zip(&nest.shape)
            .all(|(&s, &n)| s == 0 || n == 1)
    }
}

fn is_flat(shape: &[usize], strides: &[i64]) -> bool {
    let mut step = 1;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 && stride != step {
            return false;
        }
        step *= size as i64;
    }
    true
}
