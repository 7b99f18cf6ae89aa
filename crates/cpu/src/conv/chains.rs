//! Sums over maps that are short chains in f32, joined in f64. Knows no way that sums.

/// Room for the longest vector.
pub(crate) const LANES: usize = 16;

/// Vectors of products that are added in f32 before the sums move on to f64, so that no error grows with a map or a batch.
pub(crate) const CHAIN: usize = 1 << 10;

/// A map of so many lines and columns as blocks, `[first line, first column, lines, columns]`, of no more vectors than a chain has:
/// whole lines, or parts of one.
pub(crate) fn blocks([lines, columns]: [usize; 2]) -> impl Iterator<Item = [usize; 4]> {
    let width = columns.clamp(1, CHAIN * LANES);
    let height = (CHAIN / width.div_ceil(LANES)).max(1);
    let height = if width < columns { 1 } else { height };
    (0..lines).step_by(height).flat_map(move |line| {
        let of_line = move |column| {
            [
                line,
                column,
                height.min(lines - line),
                width.min(columns - column),
            ]
        };
        (0..columns).step_by(width).map(of_line)
    })
}

/// Adds the lanes of each sum to its total, and begins anew.
pub(crate) fn add_up(sums: &mut [f32], totals: &mut [f64]) {
    for (total, lanes) in totals.iter_mut().zip(sums.chunks_exact_mut(LANES)) {
        *total += lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
        lanes.fill(0.0);
    }
}
