//! Shapes and the rules of NumPy broadcasting. Pure functions on sizes.

/// The most elements of a tensor: 2^31 − 1, as indices are of 32 bits; where an address has as many, so many that all their bytes can be
/// counted.
const MOST: usize = {
    let in_bytes = isize::MAX as usize / 4;
    if in_bytes < i32::MAX as usize {
        in_bytes
    } else {
        i32::MAX as usize
    }
};

/// Number of elements, or `None` if there are more than a tensor may have. Where there are none, the other sizes are held to the same
/// limit: strides and positions are computed from them.
pub fn checked_numel(shape: &[usize]) -> Option<usize> {
    let span = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))?;
    let n = if shape.contains(&0) { 0 } else { span };
    (span <= MOST).then_some(n)
}

/// Number of elements; of an invalid tensor's absurd shape as many as `usize` holds.
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
}

/// The shape two operands broadcast to: sizes are aligned from the right; a 1 stretches.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], d: usize| {
        if d + s.len() < rank {
            1
        } else {
            s[d + s.len() - rank]
        }
    };
    (0..rank)
        .map(|d| match (size(a, d), size(b, d)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            (x, y) => Err(format!(
                "sizes {x} and {y} do not broadcast in dimension {d} of {rank}"
            )),
        })
        .collect()
}

/// A dimension that may count from the end, made absolute.
pub fn dim(d: isize, rank: usize) -> Result<usize, String> {
    let r = rank.max(1) as isize;
    if d < -r || d >= r {
        return Err(format!(
            "dimension {d} does not exist in a tensor of rank {rank}"
        ));
    }
    Ok(if d < 0 { (d + r) as usize } else { d as usize })
}

/// Several dimensions made absolute, sorted; a repeated one is an error. None means all of them.
pub fn dims(list: &[isize], rank: usize) -> Result<Vec<usize>, String> {
    let mut out = list
        .iter()
        .map(|&d| dim(d, rank))
        .collect::<Result<Vec<_>, _>>()?;
    out.sort_unstable();
    if out.windows(2).any(|w| w[0] == w[1]) {
        return Err(format!("dimensions {list:?} repeat one"));
    }
    if rank == 0 {
        out.clear();
    }
    Ok(out)
}

/// Calls `f` with every index of `shape` in row-major order.
pub fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let n = numel(shape);
    let mut index = vec![0; shape.len()];
    for _ in 0..n {
        f(&index);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        assert_eq!(broadcast(&[3, 1, 5], &[4, 1]), Ok(vec![3, 4, 5]));
        assert_eq!(broadcast(&[0], &[1]), Ok(vec![0]));
        assert!(broadcast(&[3], &[4]).is_err());
        assert_eq!(broadcast(&[], &[2]), Ok(vec![2]));
    }

    #[test]
    fn dims_count_from_the_end() {
        assert_eq!(dim(-1, 3), Ok(2));
        assert!(dim(3, 3).is_err());
        assert_eq!(dim(0, 0), Ok(0));
        assert!(dims(&[0, -3], 3).is_err());
        assert_eq!(checked_numel(&[1 << 20, 1 << 20]), None);
        assert_eq!(checked_numel(&[1 << 15, 1 << 15, 0]), Some(0));
        assert_eq!(checked_numel(&[1 << 40, 1 << 40, 0]), None);
    }
}
