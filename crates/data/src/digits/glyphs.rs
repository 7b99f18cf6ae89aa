//! The skeletons of the ten digits: how people write them, as strokes in a unit box.

/// A point that a stroke passes through; x points right, y down, both about 0 to 1.
pub(super) struct Knot {
    pub(super) x: f32,
    pub(super) y: f32,
    /// Whether the stroke may turn sharply here; between two corners it is straight.
    pub(super) corner: bool,
}

/// What the pen draws without being lifted.
pub(super) type Stroke = &'static [Knot];
/// One way to write a digit.
pub(super) type Glyph = &'static [Stroke];

/// A smooth knot.
const fn s(x: f32, y: f32) -> Knot {
    Knot {
        x,
        y,
        corner: false,
    }
}

/// A corner.
const fn k(x: f32, y: f32) -> Knot {
    Knot { x, y, corner: true }
}

/// The ways to write `digit`, at least one; those of 9 for anything above 9.
pub(super) fn variants(digit: u8) -> &'static [Glyph] {
    DIGITS[usize::from(digit).min(DIGITS.len() - 1)]
}

const DIGITS: [&[Glyph]; 10] = [ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, NINE];

#[rustfmt::skip]
const ZERO: &[Glyph] = &[
    &[&[s(0.52, 0.02), s(0.30, 0.14), s(0.20, 0.50), s(0.29, 0.86), s(0.50, 0.98),
        s(0.71, 0.86), s(0.80, 0.50), s(0.71, 0.14), s(0.49, 0.02)]],
    // narrow, begun at the upper right, ends crossing its start
    &[&[s(0.66, 0.12), s(0.46, 0.02), s(0.30, 0.28), s(0.28, 0.70), s(0.45, 0.98),
        s(0.66, 0.78), s(0.72, 0.38), s(0.58, 0.06), s(0.44, 0.04)]],
    // wide and low, not quite closed
    &[&[s(0.56, 0.10), s(0.30, 0.16), s(0.12, 0.50), s(0.26, 0.84), s(0.54, 0.92),
        s(0.82, 0.76), s(0.87, 0.44), s(0.72, 0.16), s(0.52, 0.14)]],
];

#[rustfmt::skip]
const ONE: &[Glyph] = &[
    &[&[k(0.50, 0.01), k(0.50, 0.99)]],
    // with a flag
    &[&[k(0.37, 0.26), k(0.54, 0.02), k(0.53, 0.99)]],
    // with a flag and a foot
    &[&[k(0.36, 0.25), k(0.53, 0.03), k(0.52, 0.97)], &[k(0.27, 0.97), k(0.78, 0.96)]],
];

#[rustfmt::skip]
const TWO: &[Glyph] = &[
    &[&[s(0.22, 0.26), s(0.34, 0.07), s(0.57, 0.02), s(0.75, 0.20), s(0.67, 0.46),
        s(0.44, 0.73), k(0.19, 0.97), k(0.82, 0.95)]],
    // with a loop at the foot
    &[&[s(0.24, 0.20), s(0.48, 0.02), s(0.73, 0.20), s(0.63, 0.52), s(0.38, 0.84),
        s(0.20, 0.93), s(0.19, 0.79), s(0.38, 0.78), s(0.60, 0.93), s(0.84, 0.90)]],
    // with a wavy foot
    &[&[s(0.26, 0.16), s(0.46, 0.03), s(0.70, 0.10), s(0.70, 0.36), s(0.48, 0.66),
        k(0.20, 0.94), s(0.40, 0.86), s(0.62, 0.97), s(0.84, 0.88)]],
];

#[rustfmt::skip]
const THREE: &[Glyph] = &[
    &[&[s(0.24, 0.15), s(0.48, 0.02), s(0.72, 0.18), s(0.63, 0.39), k(0.41, 0.47),
        s(0.67, 0.56), s(0.76, 0.78), s(0.52, 0.98), s(0.22, 0.87)]],
    // with a flat top
    &[&[k(0.24, 0.04), k(0.74, 0.04), k(0.45, 0.41), s(0.70, 0.51), s(0.75, 0.80),
        s(0.49, 0.98), s(0.21, 0.89)]],
    // with a small loop in the middle
    &[&[s(0.28, 0.10), s(0.54, 0.02), s(0.72, 0.20), s(0.56, 0.42), s(0.40, 0.50),
        s(0.44, 0.42), s(0.66, 0.52), s(0.74, 0.76), s(0.50, 0.97), s(0.24, 0.92)]],
];

#[rustfmt::skip]
const FOUR: &[Glyph] = &[
    // open, in two strokes
    &[&[k(0.30, 0.04), k(0.20, 0.58), k(0.82, 0.55)], &[k(0.68, 0.06), k(0.65, 0.99)]],
    // closed, without lifting the pen
    &[&[k(0.60, 0.99), k(0.62, 0.01), k(0.16, 0.64), k(0.86, 0.63)]],
    // open and round
    &[&[s(0.26, 0.05), s(0.20, 0.36), s(0.38, 0.53), k(0.74, 0.46)], &[k(0.76, 0.02), k(0.70, 0.99)]],
];

#[rustfmt::skip]
const FIVE: &[Glyph] = &[
    &[&[k(0.75, 0.04), k(0.34, 0.05), k(0.28, 0.46), s(0.50, 0.38), s(0.74, 0.56),
        s(0.71, 0.84), s(0.47, 0.98), s(0.21, 0.88)]],
    // the bar drawn last
    &[&[k(0.33, 0.08), k(0.28, 0.47), s(0.53, 0.41), s(0.73, 0.62), s(0.64, 0.90),
        s(0.40, 0.98), s(0.20, 0.90)], &[k(0.32, 0.07), k(0.82, 0.03)]],
    // round, like an S
    &[&[s(0.74, 0.08), s(0.46, 0.04), s(0.30, 0.24), s(0.42, 0.42), s(0.66, 0.54),
        s(0.72, 0.80), s(0.46, 0.98), s(0.20, 0.88)]],
];

#[rustfmt::skip]
const SIX: &[Glyph] = &[
    &[&[s(0.66, 0.03), s(0.40, 0.20), s(0.26, 0.52), s(0.27, 0.82), s(0.48, 0.98),
        s(0.71, 0.85), s(0.69, 0.61), s(0.48, 0.52), s(0.27, 0.70)]],
    // with a straight back
    &[&[s(0.56, 0.00), s(0.36, 0.34), s(0.24, 0.72), s(0.37, 0.96), s(0.60, 0.96),
        s(0.74, 0.77), s(0.58, 0.60), s(0.28, 0.74)]],
    // with a hooked top and a wide bowl
    &[&[s(0.74, 0.14), s(0.54, 0.03), s(0.28, 0.26), s(0.20, 0.64), s(0.36, 0.95),
        s(0.68, 0.94), s(0.80, 0.70), s(0.58, 0.48), s(0.24, 0.64)]],
];

#[rustfmt::skip]
const SEVEN: &[Glyph] = &[
    &[&[k(0.20, 0.06), k(0.80, 0.05), k(0.42, 0.99)]],
    // with a bar
    &[&[k(0.20, 0.05), k(0.80, 0.05), k(0.44, 0.99)], &[k(0.34, 0.53), k(0.76, 0.50)]],
    // with a serif and a bent leg
    &[&[k(0.19, 0.20), k(0.22, 0.05), k(0.80, 0.06), s(0.58, 0.42), s(0.46, 0.99)]],
];

#[rustfmt::skip]
const EIGHT: &[Glyph] = &[
    // one crossing stroke
    &[&[s(0.70, 0.16), s(0.48, 0.02), s(0.28, 0.20), s(0.48, 0.45), s(0.72, 0.68),
        s(0.68, 0.91), s(0.46, 0.98), s(0.26, 0.87), s(0.30, 0.66), s(0.54, 0.45),
        s(0.73, 0.24), s(0.64, 0.08)]],
    // two rings
    &[&[s(0.52, 0.02), s(0.32, 0.10), s(0.32, 0.36), s(0.52, 0.46), s(0.70, 0.34),
        s(0.69, 0.10), s(0.50, 0.02)],
      &[s(0.50, 0.46), s(0.27, 0.58), s(0.26, 0.88), s(0.52, 0.98), s(0.76, 0.86),
        s(0.74, 0.58), s(0.52, 0.46)]],
    // begun at the top, small head
    &[&[s(0.52, 0.03), s(0.34, 0.14), s(0.42, 0.36), s(0.66, 0.58), s(0.74, 0.82),
        s(0.50, 0.98), s(0.25, 0.82), s(0.34, 0.58), s(0.60, 0.34), s(0.66, 0.14),
        s(0.50, 0.03)]],
];

#[rustfmt::skip]
const NINE: &[Glyph] = &[
    &[&[s(0.72, 0.20), s(0.53, 0.03), s(0.30, 0.14), s(0.27, 0.38), s(0.47, 0.50),
        s(0.70, 0.34), k(0.74, 0.12), s(0.70, 0.58), s(0.58, 0.99)]],
    // with a straight leg
    &[&[s(0.70, 0.12), s(0.46, 0.02), s(0.26, 0.20), s(0.34, 0.44), s(0.58, 0.42),
        k(0.72, 0.10), k(0.70, 0.99)]],
    // with a hooked tail
    &[&[s(0.70, 0.16), s(0.48, 0.02), s(0.26, 0.20), s(0.32, 0.46), s(0.56, 0.46),
        k(0.72, 0.14), s(0.73, 0.60), s(0.60, 0.93), s(0.36, 0.97), s(0.24, 0.86)]],
];
