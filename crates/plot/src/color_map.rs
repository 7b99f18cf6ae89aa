//! From numbers to colours in heat maps and surfaces. Must not know where the numbers come from.

/// Colours for numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMap {
    /// From dark violet to yellow, evenly bright for all readers (viridis).
    #[default]
    Viridis,
    /// Blue below zero, red above, pale at zero: for weights and correlations.
    Diverging,
    /// From black to white: for images.
    Grey,
}

const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

const DIVERGING: [[u8; 3]; 7] = [
    [33, 102, 172],
    [103, 169, 207],
    [209, 229, 240],
    [247, 247, 247],
    [253, 219, 199],
    [239, 138, 98],
    [178, 24, 43],
];

const GREY: [[u8; 3]; 2] = [[0, 0, 0], [255, 255, 255]];

impl ColorMap {
    /// The colour at `at`, from 0 to 1; beyond them the ends' colours.
    ///
    /// ```
    /// use wgrad_plot::ColorMap;
    /// assert_eq!(ColorMap::Grey.at(0.5), [128, 128, 128]);
    /// assert_eq!(ColorMap::Viridis.at(f64::NAN), ColorMap::Viridis.at(0.0));
    /// ```
    pub fn at(self, at: f64) -> [u8; 3] {
        let table: &[[u8; 3]] = match self {
            ColorMap::Viridis => &VIRIDIS,
            ColorMap::Diverging => &DIVERGING,
            ColorMap::Grey => &GREY,
        };
        let at = if at.is_nan() { 0.0 } else { at.clamp(0.0, 1.0) };
        let place = at * (table.len() - 1) as f64;
        let first = (place as usize).min(table.len() - 2);
        let part = place - first as f64;
        let (a, b) = (table[first], table[first + 1]);
        let mix = |i: usize| f64::from(a[i]) * (1.0 - part) + f64::from(b[i]) * part;
        [0, 1, 2].map(|i| mix(i).round() as u8)
    }

    /// The ends that the colours stand for, given those of the numbers.
    pub(crate) fn ends(self, (lo, hi): (f64, f64)) -> (f64, f64) {
        match self {
            ColorMap::Diverging => {
                let most = lo.abs().max(hi.abs());
                (-most, most)
            }
            _ => (lo, hi),
        }
    }
}
