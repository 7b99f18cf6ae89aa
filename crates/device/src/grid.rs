//! Folding a long one-dimensional grid into three dimensions.
//!
//! Pure arithmetic; must not touch a device.

/// Folds `n` workgroups into a grid with at most `max` groups in each dimension.
///
/// The grid holds at least `n` groups and seldom more than `n + max`. A kernel gets its
/// linear group back as
/// `wg.x + num.x * (wg.y + num.y * wg.z)` from `@builtin(workgroup_id) wg` and
/// `@builtin(num_workgroups) num`, and must return where that is `n` or more.
/// More than `max^3` groups saturate at `[max; 3]`.
///
/// ```
/// assert_eq!(wgrad_device::fold_groups(10, 65_535), [10, 1, 1]);
/// assert_eq!(wgrad_device::fold_groups(65_536, 65_535), [32_768, 2, 1]);
/// assert_eq!(wgrad_device::fold_groups(0, 65_535), [0, 1, 1]);
/// ```
#[must_use]
pub fn fold_groups(n: u64, max: u32) -> [u32; 3] {
    let max = u64::from(max.max(1));
    let z = n.div_ceil(max * max).clamp(1, max);
    let y = n.div_ceil(max).div_ceil(z).clamp(1, max);
    let x = n.div_ceil(y * z).min(max);
    // Each is at most `max`, which came from a u32.
    [x as u32, y as u32, z as u32]
}

#[cfg(test)]
mod tests {
    use super::fold_groups;

    #[test]
    fn covers_and_stays_within_the_limit() {
        for max in [1_u32, 2, 7, 65_535] {
            let cube = u64::from(max).pow(3);
            for n in [
                0,
                1,
                2,
                6,
                7,
                8,
                48,
                49,
                50,
                65_535,
                65_536,
                1 << 20,
                1 << 33,
            ] {
                let grid = fold_groups(n, max);
                let total: u64 = grid.iter().map(|&g| u64::from(g)).product();
                assert!(grid.iter().all(|&g| g <= max), "{n} {max} {grid:?}");
                assert!(total >= n.min(cube), "{n} {max} {grid:?}");
                assert_eq!(total == 0, n == 0);
            }
        }
    }

    #[test]
    fn wastes_little() {
        for n in [65_536_u64, 100_000, 65_535 * 65_535, 65_535 * 65_535 + 1] {
            let total: u64 = fold_groups(n, 65_535)
                .iter()
                .map(|&g| u64::from(g))
                .product();
            assert!(total - n < 2 * 65_535, "{n}: {total}");
        }
    }
}
