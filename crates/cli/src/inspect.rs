//! `wgrad inspect`: what a file of weights or data holds: names, shapes, element types and statistics. Must not change it.

use crate::Result;
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wgrad::data::Idx;
use wgrad::train::{Array, DType, Weights};

/// Options of `wgrad inspect`.
#[derive(Args, Debug)]
pub struct Options {
    /// A checkpoint, a safetensors or PyTorch file, or an IDX file of data, plain or gzip
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Show only what has this in its name
    #[arg(long, default_value = "")]
    pub filter: String,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<()> {
    for file in &options.files {
        out!("{}", describe(file, &options.filter)?);
    }
    Ok(())
}

fn describe(path: &Path, filter: &str) -> Result<String> {
    let mut out = format!("{}\n", path.display());
    if is_idx(path)? {
        let idx = Idx::read(path)?;
        let array = Array {
            dtype: DType::U8,
            shape: idx.shape,
            bytes: idx.data,
        };
        out.push_str(&table(&[("data".to_owned(), &array)]));
        return Ok(out);
    }
    let weights = Weights::read(path)?;
    for (key, value) in &weights.metadata {
        let value: String = value
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(200)
            .collect();
        let _ = writeln!(out, "  {}: {value}", clean(key));
    }
    let shown = weights
        .arrays
        .iter()
        .filter(|(name, _)| name.contains(filter));
    let shown: Vec<(String, &Array)> = shown.map(|(name, array)| (clean(name), array)).collect();
    out.push_str(&table(&shown));
    let elements: usize = shown
        .iter()
        .map(|(_, array)| array.bytes.len() / array.dtype.size())
        .sum();
    let bytes: usize = shown.iter().map(|(_, array)| array.bytes.len()).sum();
    let of = weights.arrays.len();
    let _ = writeln!(
        out,
        "{} of {of} arrays, {elements} elements, {bytes} bytes",
        shown.len()
    );
    Ok(out)
}

/// Names come from files; none of them may move the cursor.
fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// By the first bytes: an IDX header of bytes, or gzip, which no file of weights is.
fn is_idx(path: &Path) -> Result<bool> {
    use std::io::Read;
    let at = |error: std::io::Error| format!("{}: cannot read: {error}", path.display());
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(at)?.is_file() {
        return Err(format!("{}: not a regular file", path.display()).into());
    }
    let mut first = Vec::new();
    std::fs::File::open(path)
        .map_err(at)?
        .take(4)
        .read_to_end(&mut first)
        .map_err(at)?;
    Ok(first.starts_with(&[0x1f, 0x8b]) || matches!(first[..], [0, 0, 8, 1..=4]))
}

/// What the elements of an array are like; counts and sums of those that are finite.
#[derive(Clone, Debug, Default, PartialEq)]
struct Statistics {
    mean: f64,
    deviation: f64,
    least: f64,
    greatest: f64,
    zeros: usize,
    not_finite: usize,
    finite: usize,
}

fn values(array: &Array) -> Vec<f64> {
    let words = |size: usize| array.bytes.chunks_exact(size);
    let four = |word: &[u8]| [word[0], word[1], word[2], word[3]];
    match array.dtype {
        DType::F32 => words(4)
            .map(|word| f64::from(f32::from_le_bytes(four(word))))
            .collect(),
        DType::I32 => words(4)
            .map(|word| f64::from(i32::from_le_bytes(four(word))))
            .collect(),
        DType::U32 => words(4)
            .map(|word| f64::from(u32::from_le_bytes(four(word))))
            .collect(),
        DType::F16 => words(2)
            .map(|word| half::f16::from_le_bytes([word[0], word[1]]).to_f64())
            .collect(),
        DType::BF16 => words(2)
            .map(|word| half::bf16::from_le_bytes([word[0], word[1]]).to_f64())
            .collect(),
        DType::U8 | DType::Bool => array.bytes.iter().map(|&byte| f64::from(byte)).collect(),
    }
}

fn statistics(values: &[f64]) -> Statistics {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let count = finite().count();
    let mean = finite().sum::<f64>() / count as f64;
    let square = finite().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
    Statistics {
        mean,
        deviation: square.sqrt(),
        least: finite().fold(f64::NAN, f64::min),
        greatest: finite().fold(f64::NAN, f64::max),
        zeros: values.iter().filter(|value| **value == 0.0).count(),
        not_finite: values.len() - count,
        finite: count,
    }
}

fn table(arrays: &[(String, &Array)]) -> String {
    let head = [
        "name",
        "type",
        "shape",
        "mean",
        "deviation",
        "least",
        "greatest",
        "zeros",
        "not finite",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for (name, array) in arrays {
        let found = statistics(&values(array));
        let number = |value: f64| {
            if found.finite == 0 {
                "-".to_owned()
            } else {
                format!("{value:.4}")
            }
        };
        let shape: Vec<String> = array.shape.iter().map(usize::to_string).collect();
        rows.push(vec![
            name.clone(),
            array.dtype.to_string(),
            format!("[{}]", shape.join(", ")),
            number(found.mean),
            number(found.deviation),
            number(found.least),
            number(found.greatest),
            found.zeros.to_string(),
            found.not_finite.to_string(),
        ]);
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            rows.iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| match at {
                0..3 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("wgrad-cli-inspect-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn array(values: &[f32]) -> Array {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Array {
            dtype: DType::F32,
            shape: vec![values.len()],
            bytes,
        }
    }

    #[test]
    fn arrays_are_listed_with_their_statistics() {
        let mut weights = Weights::default();
        weights
            .arrays
            .insert("fc.weight".into(), array(&[1.0, 2.0, 3.0, f32::NAN, 0.0]));
        weights.arrays.insert("fc.bias".into(), array(&[]));
        weights.metadata.insert("epoch".into(), "3\u{1b}[2J".into());
        for (name, bytes) in [
            ("a.safetensors", weights.to_safetensors().unwrap()),
            ("a.pth", weights.to_pth().unwrap()),
        ] {
            let path = file(name, &bytes);
            let text = describe(&path, "").unwrap();
            let row = text
                .lines()
                .find(|line| line.contains("fc.weight"))
                .unwrap();
            let cells: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(
                cells,
                [
                    "fc.weight",
                    "F32",
                    "[5]",
                    "1.5000",
                    "1.1180",
                    "0.0000",
                    "3.0000",
                    "1",
                    "1"
                ]
            );
            assert!(
                text.contains("2 of 2 arrays, 5 elements, 20 bytes") && !text.contains('\u{1b}')
            );
            assert!(describe(&path, "bias").unwrap().contains("1 of 2 arrays"));
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn data_files_are_known_by_their_first_bytes() {
        let path = file("idx", &[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255]);
        let text = describe(&path, "").unwrap();
        assert!(
            text.contains("[1, 2]") && text.contains("255.0000"),
            "{text}"
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_none_of_these_is_an_error_that_names_the_file() {
        for (name, bytes) in [
            ("empty", &b""[..]),
            ("text", b"hello"),
            ("zip", b"PK\x03\x04"),
            ("gzip", b"\x1f\x8bxx"),
        ] {
            let path = file(name, bytes);
            assert!(describe(&path, "").unwrap_err().to_string().contains(name));
            std::fs::remove_file(path).unwrap();
        }
        assert!(
            describe(&std::env::temp_dir(), "")
                .unwrap_err()
                .to_string()
                .contains("regular file")
        );
    }
}
