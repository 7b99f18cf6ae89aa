//! The table of a model's layers: name, kind, output shape, parameters, bytes.
//!
//! Takes rows of plain data; must not know a module or a tensor.

use std::fmt;

use crate::table::{Align, thousands, write_table};

/// One layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryRow {
    /// Path of the layer in the model, such as `features.0`.
    pub name: String,
    /// What it is, such as `Conv2d`.
    pub kind: String,
    /// Shape of its output, batch first; empty where it is not known.
    pub output_shape: Vec<usize>,
    /// Elements of its own parameters.
    pub parameters: u64,
    /// Bytes of its own parameters.
    pub bytes: u64,
}

/// A model's layers in order; `Display` gives the aligned table with totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// One row a layer.
    pub rows: Vec<SummaryRow>,
}

impl Summary {
    /// Elements of all parameters.
    pub fn parameters(&self) -> u64 {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// Bytes of all parameters.
    pub fn bytes(&self) -> u64 {
        self.rows.iter().map(|row| row.bytes).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["layer", "kind", "output", "parameters", "bytes"]
            .map(str::to_owned)
            .to_vec();
        let mut rows = vec![Some(head), None];
        rows.extend(self.rows.iter().map(|row| Some(cells(row))));
        rows.push(None);
        let total = [
            "total".to_owned(),
            String::new(),
            String::new(),
            thousands(self.parameters()),
            size(self.bytes()),
        ];
        rows.push(Some(total.to_vec()));
        let align = [
            Align::Left,
            Align::Left,
            Align::Left,
            Align::Right,
            Align::Right,
        ];
        write_table(f, &align, &rows)
    }
}

fn cells(row: &SummaryRow) -> Vec<String> {
    let shape = if row.output_shape.is_empty() {
        "-".to_owned()
    } else {
        format!("{:?}", row.output_shape)
    };
    vec![
        row.name.clone(),
        row.kind.clone(),
        shape,
        thousands(row.parameters),
        size(row.bytes),
    ]
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, kind: &str, shape: &[usize], parameters: u64) -> SummaryRow {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        SummaryRow {
            name,
            kind,
            output_shape: shape.to_vec(),
            parameters,
            bytes: 4 * parameters,
        }
    }

    #[test]
    fn the_table_is_aligned_and_totals_are_right() {
        let summary = Summary {
            rows: vec![
                row("conv1", "Conv2d", &[64, 8, 28, 28], 80),
                row("relu", "ReLU", &[], 0),
                row("fc", "Linear", &[64, 10], 62730),
            ],
        };
        let expected = "\
layer  kind    output           parameters      bytes
-----------------------------------------------------
conv1  Conv2d  [64, 8, 28, 28]          80      320 B
relu   ReLU    -                         0        0 B
fc     Linear  [64, 10]             62,730  245.0 KiB
-----------------------------------------------------
total                               62,810  245.4 KiB";
        assert_eq!(summary.to_string(), expected);
    }

    #[test]
    fn an_empty_model_has_a_table() {
        assert!(Summary::default().to_string().contains("total"));
    }

    #[test]
    fn sizes() {
        let cases = [
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
