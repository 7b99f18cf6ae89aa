//! TensorBoard's event files: scalars, images and histograms, as `tensorboard --logdir` reads them. The few messages of
//! protocol buffers that they need are written here. Must not decide what is logged.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::ReportError;
use crate::run::Run;

/// Writes one event file.
///
/// ```
/// use wgrad_report::TensorBoard;
/// let folder = std::env::temp_dir().join(format!("wgrad-tensorboard-{}", std::process::id()));
/// let mut board = TensorBoard::create(&folder)?;
/// board.scalar("loss", 1, 2.3)?;
/// board.image("digit", 1, 2, 1, &[0, 255])?;
/// board.histogram("fc1.weight", 1, &[0.1, -0.2, 0.3])?;
/// board.flush()?;
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), wgrad_report::ReportError>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    out: BufWriter<File>,
    path: PathBuf,
}

impl TensorBoard {
    /// A new file in the folder, which is made if it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(folder: impl AsRef<Path>) -> Result<TensorBoard, ReportError> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(ReportError::at(folder, "create the folder"))?;
        let seconds = now() as u64;
        let process = std::process::id();
        // Of two files made in one second the second has a higher number.
        for number in 0.. {
            let path = folder.join(format!(
                "events.out.tfevents.{seconds:010}.wgrad.{process}.{number}"
            ));
            match File::create_new(&path) {
                Ok(file) => {
                    let mut board = TensorBoard {
                        out: BufWriter::new(file),
                        path,
                    };
                    let version = field_bytes(3, b"brain.Event:2");
                    board.record(&[field_double(1, now()), version].concat())?;
                    return Ok(board);
                }
                Err(error)
                    if error.kind() == std::io::ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(ReportError::at(&path, "create it")(error)),
            }
        }
        Err(ReportError::Input(format!(
            "{}: no name is free for an event file",
            folder.display()
        )))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number; TensorBoard keeps it as `f32`.
    ///
    /// # Errors
    /// The file system's.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<(), ReportError> {
        self.value(tag, step, "scalars", field_float(2, value as f32))
    }

    /// Bytes `[height, width]` grey or `[height, width, 3]` RGB.
    ///
    /// # Errors
    /// Bytes that do not fit the size, and the file system's.
    pub fn image(
        &mut self,
        tag: &str,
        step: u64,
        width: usize,
        height: usize,
        bytes: &[u8],
    ) -> Result<(), ReportError> {
        let (png, channels) = encode(width, height, bytes)
            .map_err(|reason| ReportError::Input(format!("TensorBoard image {tag:?}: {reason}")))?;
        let image = [
            field_varint(1, height as u64),
            field_varint(2, width as u64),
            field_varint(3, channels),
            field_bytes(4, &png),
        ];
        self.value(tag, step, "images", field_bytes(4, &image.concat()))
    }

    /// Values as a histogram of 64 bins over their range; what is not finite is left out.
    ///
    /// # Errors
    /// The file system's.
    pub fn histogram(&mut self, tag: &str, step: u64, values: &[f64]) -> Result<(), ReportError> {
        self.value(tag, step, "histograms", field_bytes(5, &histogram(values)))
    }

    /// Passes everything on.
    ///
    /// # Errors
    /// The file system's.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.out
            .flush()
            .map_err(ReportError::at(&self.path, "write it"))
    }

    fn value(
        &mut self,
        tag: &str,
        step: u64,
        plugin: &str,
        content: Vec<u8>,
    ) -> Result<(), ReportError> {
        let plugin = field_bytes(1, &field_bytes(1, plugin.as_bytes()));
        let value = [
            field_bytes(1, tag.as_bytes()),
            content,
            field_bytes(9, &plugin),
        ]
        .concat();
        let summary = field_bytes(5, &field_bytes(1, &value));
        self.record(&[field_double(1, now()), field_varint(2, step), summary].concat())
    }

    /// A record: length, its checksum, content, its checksum.
    fn record(&mut self, content: &[u8]) -> Result<(), ReportError> {
        let length = (content.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [
            &length,
            &masked_crc(&length).to_le_bytes(),
            content,
            &masked_crc(content).to_le_bytes(),
        ];
        let bytes = parts.concat();
        self.out
            .write_all(&bytes)
            .map_err(ReportError::at(&self.path, "write it"))
    }
}

impl Run {
    /// The run's curves as a TensorBoard event file in `folder`; returns its path.
    ///
    /// # Errors
    /// The file system's.
    pub fn write_tensorboard(&self, folder: impl AsRef<Path>) -> Result<PathBuf, ReportError> {
        let mut board = TensorBoard::create(folder)?;
        for curve in &self.curves {
            for (x, y) in curve.xs.iter().zip(&curve.ys) {
                board.scalar(&curve.name, *x as u64, *y)?;
            }
        }
        board.flush()?;
        Ok(board.path().to_owned())
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

fn encode(width: usize, height: usize, bytes: &[u8]) -> Result<(Vec<u8>, u64), String> {
    let area = width.checked_mul(height).filter(|&area| area > 0);
    let (color, channels) = match area {
        Some(area) if bytes.len() == area => (png::ColorType::Grayscale, 1),
        Some(area) if Some(bytes.len()) == area.checked_mul(3) => (png::ColorType::Rgb, 3),
        _ => {
            return Err(format!(
                "{} bytes are no image of {height} x {width}",
                bytes.len()
            ));
        }
    };
    let side = |side: usize| u32::try_from(side).map_err(|_| format!("{side} pixels in a row"));
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side(width)?, side(height)?);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer
        .write_image_data(bytes)
        .map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok((out, channels))
}

/// The message `HistogramProto`: extremes, sums, and the upper ends and counts of 64 bins.
fn histogram(values: &[f64]) -> Vec<u8> {
    const BINS: usize = 64;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (lo, hi) = finite().fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return Vec::new();
    }
    let half = hi / 2.0 - lo / 2.0;
    let mut counts = vec![0.0; if half > 0.0 { BINS } else { 1 }];
    let last = counts.len() - 1;
    for value in finite() {
        let at = if half > 0.0 {
            (value / 2.0 - lo / 2.0) / half * BINS as f64
        } else {
            0.0
        };
        counts[(at as usize).min(last)] += 1.0;
    }
    let width = half / counts.len() as f64 * 2.0;
    let limits: Vec<f64> = (0..=last)
        .map(|at| {
            if at == last {
                hi
            } else {
                lo + width * (at + 1) as f64
            }
        })
        .collect();
    let packed = |number: u64, values: &[f64]| {
        field_bytes(
            number,
            &values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<u8>>(),
        )
    };
    [
        field_double(1, lo),
        field_double(2, hi),
        field_double(3, counts.iter().sum()),
        field_double(4, finite().sum()),
        field_double(5, finite().map(|value| value * value).sum()),
        packed(6, &limits),
        packed(7, &counts),
    ]
    .concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field_varint(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn field_double(number: u64, value: f64) -> Vec<u8> {
    [&varint(number << 3 | 1)[..], &value.to_le_bytes()].concat()
}

fn field_float(number: u64, value: f32) -> Vec<u8> {
    [&varint(number << 3 | 5)[..], &value.to_le_bytes()].concat()
}

fn field_bytes(number: u64, bytes: &[u8]) -> Vec<u8> {
    [
        &varint(number << 3 | 2)[..],
        &varint(bytes.len() as u64),
        bytes,
    ]
    .concat()
}

/// CRC-32C (Castagnoli), rotated and shifted as the record format asks.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0u32, |crc, &byte| {
        TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn messages_are_those_of_protocol_buffers() {
        assert_eq!(field_varint(1, 150), [0x08, 0x96, 0x01]);
        assert_eq!(field_bytes(2, b"testing"), *b"\x12\x07testing");
    }

    #[test]
    fn histograms_count_what_is_finite() {
        assert!(histogram(&[f64::NAN]).is_empty());
        for values in [
            vec![3.0],
            vec![1.0, 2.0, f64::INFINITY],
            vec![-1e308, 1e308],
        ] {
            assert!(!histogram(&values).is_empty());
        }
    }
}
