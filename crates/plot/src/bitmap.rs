//! Pixels as PNG, within SVG as a data URI. Must not know what the pixels show.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Pixels, the top row first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bitmap {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) kind: Kind,
    /// One, three or four bytes a pixel.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grey,
    Rgb,
    Rgba,
}

impl Kind {
    fn png(self) -> png::ColorType {
        match self {
            Kind::Grey => png::ColorType::Grayscale,
            Kind::Rgb => png::ColorType::Rgb,
            Kind::Rgba => png::ColorType::Rgba,
        }
    }
}

impl Bitmap {
    /// The file's bytes.
    pub(crate) fn png(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width, self.height);
        encoder.set_color(self.kind.png());
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
        writer
            .write_image_data(&self.bytes)
            .map_err(|e| e.to_string())?;
        writer.finish().map_err(|e| e.to_string())?;
        Ok(out)
    }

    /// As `data:image/png;base64,…`.
    pub(crate) fn uri(&self) -> Result<String, String> {
        Ok(format!(
            "data:image/png;base64,{}",
            STANDARD.encode(self.png()?)
        ))
    }
}

/// Bytes of pixels as a PNG file: one byte a pixel for grey, three for RGB, the top row first.
///
/// # Errors
/// The bytes do not fit the size, as text.
///
/// ```
/// let png = wgrad_plot::png_bytes(2, 1, &[0, 255])?;
/// assert!(png.starts_with(b"\x89PNG"));
/// assert!(wgrad_plot::png_bytes(2, 1, &[0]).is_err());
/// # Ok::<(), String>(())
/// ```
pub fn png_bytes(width: usize, height: usize, bytes: &[u8]) -> Result<Vec<u8>, String> {
    from_bytes(width, height, bytes)?.png()
}

/// Grey or RGB by the number of bytes.
pub(crate) fn from_bytes(width: usize, height: usize, bytes: &[u8]) -> Result<Bitmap, String> {
    let wrong = || {
        format!(
            "{} bytes are neither {height} x {width} grey nor {height} x {width} x 3 RGB",
            bytes.len()
        )
    };
    let area = width
        .checked_mul(height)
        .filter(|&area| area > 0)
        .ok_or_else(wrong)?;
    let kind = match bytes.len() {
        len if len == area => Kind::Grey,
        len if Some(len) == area.checked_mul(3) => Kind::Rgb,
        _ => return Err(wrong()),
    };
    let side = |side: usize| u32::try_from(side).map_err(|_| wrong());
    Ok(Bitmap {
        width: side(width)?,
        height: side(height)?,
        kind,
        bytes: bytes.to_vec(),
    })
}
