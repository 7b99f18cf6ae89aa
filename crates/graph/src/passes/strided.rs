//! Strided views of dense buffers and how movements change them.

use crate::ops::Movement;
use crate::plan::View;

/// A view with its sizes: element `i` is `offset + Σ strides[d] * i[d]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strided {
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<i64>,
    pub(crate) offset: i64,
}

impl Strided {
    /// All of a dense row-major buffer.
    pub(crate) fn dense(shape: &[usize]) -> Strided {
        Strided {
            shape: shape.to_vec(),
            strides: View::contiguous(shape).strides,
            offset: 0,
        }
    }

    /// Whether it visits elements 0, 1, 2, … in order.
    pub(crate) fn is_dense(&self) -> bool {
        self.shape.contains(&0) || self.view().is_contiguous(&self.shape)
    }

    /// Without the sizes.
    pub(crate) fn view(&self) -> View {
        View {
            offset: self.offset,
            strides: self.strides.clone(),
        }
    }

    /// The view after a movement; `None` where a reshape would have to copy.
    pub(crate) fn moved(mut self, m: &Movement) -> Option<Strided> {
        match m {
            Movement::Permute(perm) => {
                self.shape = perm.iter().map(|&d| self.shape[d]).collect();
                self.strides = perm.iter().map(|&d| self.strides[d]).collect();
            }
            Movement::Expand(shape) => {
                for d in 0..shape.len() {
                    if self.shape[d] != shape[d] {
                        self.strides[d] = 0;
                    }
                }
                self.shape.clone_from(shape);
            }
            Movement::Slice { start, step, size } => {
                for d in 0..size.len() {
                    self.offset += self.strides[d] * start[d] as i64;
                    self.strides[d] *= step[d] as i64;
                }
                self.shape.clone_from(size);
            }
            Movement::Reshape(shape) => return self.reshaped(shape),
        }
        Some(self)
    }

    fn reshaped(self, shape: &[usize]) -> Option<Strided> {
        if self.shape.contains(&0) {
            return Some(Strided {
                offset: 0,
                ..Strided::dense(shape)
            });
        }
        // Runs of old dimensions that walk memory evenly: (size, innermost stride).
        let mut runs: Vec<(usize, i64)> = Vec::new();
        for (&n, &s) in self.shape.iter().zip(&self.strides) {
            match runs.last_mut() {
                _ if n == 1 => {}
                Some((size, stride)) if *stride == s * n as i64 => {
                    (*size, *stride) = (*size * n, s)
                }
                _ => runs.push((n, s)),
            }
        }
        // Every run must be filled exactly by consecutive new dimensions, innermost first.
        let mut strides = vec![0; shape.len()];
        let mut d = shape.len();
        for &(size, stride) in runs.iter().rev() {
            let mut done = 1;
            while done < size {
                d = d.checked_sub(1)?;
                strides[d] = stride * done as i64;
                done *= shape[d];
            }
            if done != size {
                return None;
            }
        }
        Some(Strided {
            shape: shape.to_vec(),
            strides,
            offset: self.offset,
        })
    }
}

/// Drops dimensions of size 1 and merges neighbours that every view walks evenly. Dimensions `d` and `d + 1` with
/// `d + 1` in `barriers` stay apart.
pub(crate) fn merge(
    shape: &mut Vec<usize>,
    views: &mut [&mut View],
    barrier: Option<usize>,
) -> Option<usize> {
    let mut kept: Vec<usize> = Vec::new();
    let mut outer = 0;
    let old = shape.clone();
    for d in 0..old.len() {
        if barrier == Some(d) {
            outer = kept.len();
        }
        if old[d] == 1 {
            continue;
        }
        let at_barrier = barrier.is_some_and(|b| d >= b) && kept.len() == outer;
        let last = kept.last().copied().filter(|_| !at_barrier);
        let joins = last.is_some_and(|l| {
            views
                .iter()
                .all(|v| v.strides[l] == v.strides[d] * old[d] as i64)
        });
        match last {
            Some(l) if joins => {
                shape[d] = shape[l] * old[d];
                *kept.last_mut()? = d;
            }
            _ => kept.push(d),
        }
    }
    if barrier.is_some_and(|b| b >= old.len()) {
        outer = kept.len();
    }
    for v in views {
        v.strides = kept.iter().map(|&d| v.strides[d]).collect();
    }
    *shape = kept.iter().map(|&d| shape[d]).collect();
    barrier.map(|_| outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(shape: &[usize], moves: &[Movement]) -> Option<Strided> {
        moves
            .iter()
            .try_fold(Strided::dense(shape), |s, m| s.moved(m))
    }

    #[test]
    fn reshape_of_a_permuted_view_copies_only_where_it_must() {
        let t = Movement::Permute(vec![1, 0]);
        assert_eq!(
            moved(&[2, 3], &[t.clone(), Movement::Reshape(vec![6])]),
            None
        );
        let s = moved(&[2, 3], &[t, Movement::Reshape(vec![3, 1, 2])]).unwrap();
        // The stride of a single element does not matter.
        assert_eq!((s.strides[0], s.strides[2]), (1, 3));
        let s = moved(&[4, 6], &[Movement::Reshape(vec![2, 2, 3, 2])]).unwrap();
        assert_eq!(s.strides, [12, 6, 2, 1]);
        assert!(s.is_dense());
    }

    #[test]
    fn slices_flip_and_expand() {
        let flip = Movement::Slice {
            start: vec![4],
            step: vec![-2],
            size: vec![3],
        };
        let s = moved(&[5], &[flip]).unwrap();
        assert_eq!((s.offset, s.strides.as_slice()), (4, &[-2][..]));
        let e = moved(&[3, 1], &[Movement::Expand(vec![3, 7])]).unwrap();
        assert_eq!(e.strides, [1, 0]);
    }

    #[test]
    fn even_dimensions_merge() {
        let mut shape = vec![2, 1, 3, 4];
        let mut a = View::contiguous(&shape);
        let mut b = View {
            offset: 0,
            strides: vec![4, 0, 0, 1],
        };
        assert_eq!(merge(&mut shape, &mut [&mut a], None), None);
        assert_eq!(
            (shape.as_slice(), a.strides.as_slice()),
            (&[24][..], &[1][..])
        );
        let mut shape = vec![2, 1, 3, 4];
        let mut a = View::contiguous(&shape);
        merge(&mut shape, &mut [&mut a, &mut b], None);
        assert_eq!(shape, [2, 3, 4]);
        let mut shape = vec![2, 3, 4];
        let mut a = View::contiguous(&shape);
        assert_eq!(merge(&mut shape, &mut [&mut a], Some(1)), Some(1));
        assert_eq!(shape, [2, 12]);
    }
}
