//! Colours: one palette with a light and a dark form, and how a colour of the theme travels through `plotters`. Series
//! colours are those of Okabe and Ito, which colour-blind readers tell apart, lightened for the dark form. Must not know
//! what is drawn.

use plotters::style::RGBAColor;

/// The colours that a figure is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Light, and dark where the reader's system prefers it (`prefers-color-scheme`).
    #[default]
    Auto,
    /// Light always.
    Light,
    /// Dark always.
    Dark,
}

/// Colours of series, two more than Okabe and Ito have, for the ten classes that many datasets have; later ones begin again, dashed.
pub(crate) const SERIES: usize = 10;

/// A colour by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Page,
    Text,
    Muted,
    Grid,
    Good,
    Bad,
    Series(usize),
    Rgb(u8, u8, u8),
}

/// Red and green of the colours that stand for an ink; blue is its number.
const MARK: (u8, u8) = (1, 2);

const NAMED: [Ink; 6] = [
    Ink::Page,
    Ink::Text,
    Ink::Muted,
    Ink::Grid,
    Ink::Good,
    Ink::Bad,
];

const LIGHT: [&str; 16] = [
    "#ffffff", "#1c2127", "#5b6570", "#e1e5e9", "#00795a", "#c2410c", "#0072b2", "#d55e00",
    "#009e73", "#b5559b", "#c98500", "#3f9fdc", "#7a6a00", "#6b7280", "#8b1e3f", "#4b3fb5",
];

const DARK: [&str; 16] = [
    "#14181d", "#e6e9ec", "#9ba6b2", "#2c343c", "#3ecf9c", "#ff8a4c", "#5ab4f0", "#ff9248",
    "#2fcf9f", "#e29acb", "#f2bd3a", "#a5d8ff", "#d6c75a", "#b4bcc6", "#ff6f7d", "#9d8cff",
];

impl Ink {
    /// Its number among the colours of a theme; `None` for a literal colour.
    pub(crate) fn number(self) -> Option<usize> {
        match self {
            Ink::Rgb(..) => None,
            Ink::Series(series) => Some(NAMED.len() + series % SERIES),
            named => NAMED.iter().position(|ink| *ink == named),
        }
    }

    /// The colour as `plotters` carries it.
    pub(crate) fn color(self, alpha: f64) -> RGBAColor {
        match (self, self.number()) {
            // A literal colour must not look like a mark.
            (Ink::Rgb(r, g, b), _) if (r, g) == MARK => RGBAColor(2, g, b, alpha),
            (Ink::Rgb(r, g, b), _) => RGBAColor(r, g, b, alpha),
            (_, number) => RGBAColor(MARK.0, MARK.1, number.unwrap_or(1) as u8, alpha),
        }
    }

    /// The ink that a colour of `plotters` stands for.
    pub(crate) fn of((r, g, b): (u8, u8, u8)) -> Ink {
        let number = usize::from(b);
        match (r, g) == MARK && number < LIGHT.len() {
            true if number < NAMED.len() => NAMED[number],
            true => Ink::Series(number - NAMED.len()),
            false => Ink::Rgb(r, g, b),
        }
    }

    /// As `#rrggbb`.
    pub(crate) fn hex(self, dark: bool) -> String {
        match (self, self.number()) {
            (Ink::Rgb(r, g, b), _) => format!("#{r:02x}{g:02x}{b:02x}"),
            (_, number) => {
                let table = if dark { &DARK } else { &LIGHT };
                table[number.unwrap_or(1)].to_owned()
            }
        }
    }
}

/// Rules that give every figure below `scope` (a CSS selector, `""` for all) its light or dark colours. A page that has a
/// switch of its own puts them behind its selector; [`Theme::Auto`] figures hold the dark ones behind
/// `prefers-color-scheme` already.
///
/// ```
/// let rules = wgrad_plot::theme_rules(":root[data-theme=dark] ", true);
/// assert!(rules.contains(":root[data-theme=dark] .wgrad-plot .wf0{fill:"));
/// ```
pub fn theme_rules(scope: &str, dark: bool) -> String {
    let table = if dark { &DARK } else { &LIGHT };
    let rule = |(number, color): (usize, &&str)| {
        format!(
            "{scope}.wgrad-plot .wf{number}{{fill:{color}}}{scope}.wgrad-plot .ws{number}{{stroke:{color}}}"
        )
    };
    table.iter().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_survive_the_way_through_plotters() {
        let literal = [Ink::Rgb(0, 0, 0), Ink::Rgb(255, 3, 9), Ink::Rgb(2, 1, 0)];
        let series = (0..SERIES).map(Ink::Series);
        for ink in NAMED.into_iter().chain(series).chain(literal) {
            let RGBAColor(r, g, b, _) = ink.color(1.0);
            assert_eq!(Ink::of((r, g, b)), ink);
        }
        let RGBAColor(r, g, b, _) = Ink::Rgb(1, 2, 3).color(1.0);
        assert_eq!(Ink::of((r, g, b)), Ink::Rgb(2, 2, 3));
    }

    /// Contrast by WCAG 2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                match value <= 0.04045 {
                    true => value / 12.92,
                    false => ((value + 0.055) / 1.055).powf(2.4),
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_series_stand_out_from_the_page() {
        for table in [LIGHT, DARK] {
            for text in &table[1..3] {
                assert!(contrast(text, table[0]) > 4.5, "{text}");
            }
            for series in &table[4..] {
                assert!(contrast(series, table[0]) > 2.7, "{series}");
            }
        }
    }
}
