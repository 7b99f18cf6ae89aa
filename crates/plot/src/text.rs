//! Text in SVG: escaped, cleaned of what XML forbids, and measured without a font. Widths are those of DejaVu Sans, wider
//! than most, so that a text fits in whatever font the reader has. Must not know where the text goes.

use std::borrow::Cow;

/// Widths of the characters from space to tilde in thousandths of the font's size.
const WIDTHS: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

fn width_of(letter: char) -> f64 {
    let code = letter as usize;
    match code {
        0x20..0x7f => f64::from(WIDTHS[code - 0x20]) / 1000.0,
        // Combining marks, joiners, marks of direction.
        0x300..0x370 | 0x200b..0x2010 | 0xfe00..0xfe10 => 0.0,
        // Superscripts.
        0x2070..0x20a0 | 0xb2 | 0xb3 | 0xb9 => 0.42,
        // East Asian scripts and pictographs.
        0x1100..0x1200 | 0x2e80..0xa4d0 | 0xac00..0xd7b0 | 0xf900..0xfb00 | 0xff00..0xff61 => 1.0,
        0x1_f000.. => 1.3,
        _ => 0.68,
    }
}

/// The width in the unit of `size`.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(width_of).sum::<f64>() * size
}

/// The text, or as much of it as fits into `room`, with an ellipsis.
pub(crate) fn fit(text: &str, room: f64, size: f64) -> String {
    let text = clean(text);
    if width(&text, size) <= room {
        return text.into_owned();
    }
    let room = room - width("…", size);
    let mut used = 0.0;
    let mut kept = String::new();
    for letter in text.chars() {
        used += width_of(letter) * size;
        if used > room {
            break;
        }
        kept.push(letter);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// Control characters as spaces, and what XML cannot hold as U+FFFD.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let bad = |letter: char| letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}');
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let replace = |letter: char| match letter {
        '\t' | '\n' | '\r' => ' ',
        letter if bad(letter) => '\u{fffd}',
        letter => letter,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// Text as it stands between tags or within quotes of SVG and HTML; never a tag, whatever the text holds.
///
/// ```
/// assert_eq!(wgrad_plot::escape("a < \"b\" & c\u{0}"), "a &lt; &quot;b&quot; &amp; c\u{fffd}");
/// ```
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(fit("short", 100.0, 10.0), "short");
        let fitted = fit(&"long ".repeat(50), 100.0, 10.0);
        assert!(
            fitted.ends_with('…')
                && fitted.starts_with("long long")
                && width(&fitted, 10.0) <= 100.0,
            "{fitted}"
        );
        assert_eq!(fit("x", 0.0, 10.0), "…");
    }
}
