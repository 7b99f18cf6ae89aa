//! Aligned plain text, for every table that metrics, training and statistics print.
//!
//! Must not know what the cells mean. Widths are counted in `char`s.

use std::fmt;

/// Which side of its column a cell stands on.
#[derive(Clone, Copy)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Writes `rows` with two spaces between columns; `None` is a rule across the table.
pub fn write_table(
    f: &mut fmt::Formatter<'_>,
    align: &[Align],
    rows: &[Option<Vec<String>>],
) -> fmt::Result {
    let widths: Vec<usize> = (0..align.len())
        .map(|column| {
            rows.iter()
                .flatten()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            f.write_str("\n")?;
        }
        match row {
            None => f.write_str(&rule)?,
            Some(cells) => f.write_str(line(cells, align, &widths).trim_end())?,
        }
    }
    Ok(())
}

fn line(cells: &[String], align: &[Align], widths: &[usize]) -> String {
    let padded = cells
        .iter()
        .zip(align)
        .zip(widths)
        .map(|((cell, align), &width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
    padded.collect::<Vec<_>>().join("  ")
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn groups_of_three() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }
}
