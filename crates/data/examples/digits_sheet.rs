//! Writes a contact sheet of the built-in digits as a PNG: one row for each digit.
//!
//! `cargo run -p wgrad-data --example digits_sheet -- digits.png [seed]`

use std::error::Error;

use wgrad_data::digits::{self, CLASSES, SIZE};

const COLUMNS: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "digits.png".to_owned());
    let seed = args.next().map_or(Ok(0), |seed| seed.parse())?;

    let set = digits::generate(CLASSES * COLUMNS * 3, seed);
    let mut sheet = image::GrayImage::new((COLUMNS * SIZE) as u32, (CLASSES * SIZE) as u32);
    let mut filled = [0; CLASSES];
    for (pixels, &label) in set.images().chunks_exact(SIZE * SIZE).zip(set.labels()) {
        let row = usize::from(label);
        if filled[row] < COLUMNS {
            paste(&mut sheet, pixels, filled[row] * SIZE, row * SIZE);
            filled[row] += 1;
        }
    }
    sheet.save(&path)?;
    println!("{path}: {CLASSES} rows of {COLUMNS} digits, seed {seed}");
    Ok(())
}

fn paste(sheet: &mut image::GrayImage, pixels: &[u8], left: usize, top: usize) {
    for (i, &pixel) in pixels.iter().enumerate() {
        let (x, y) = (left + i % SIZE, top + i / SIZE);
        sheet.put_pixel(x as u32, y as u32, image::Luma([pixel]));
    }
}
