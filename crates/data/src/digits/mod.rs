//! Handwritten-looking digits drawn by code: grey 28x28 images of 0 to 9 for examples and tests
//! that must run without a file or a network, harder than they look to a linear model.
//!
//! Each image is a function of `(seed, stream, index)` alone: asking for more images changes none,
//! and training and test sets come from different streams. Only IEEE additions, multiplications,
//! divisions and square roots are used (never the platform's sine), so the bytes are the same on
//! every machine. The bytes of a seed are part of the crate's promise: a change of the drawing is a
//! change that users see.
//!
//! How an image comes about: a skeleton of strokes (`glyphs`) is chosen; its control points are
//! displaced by a smooth random wave and a little each; slant, scale, rotation and shift follow
//! (`warp`); the strokes are drawn by distance, with a pen that grows or thins along the stroke
//! (`raster`); then come blur, specks, contrast and noise.

mod glyphs;
mod raster;
mod warp;

use crate::ImageDataset;
use crate::rng::Rng;
use raster::{Canvas, Pen};
use warp::Warp;

/// Rows and columns of an image.
pub const SIZE: usize = 28;
/// The digits 0 to 9.
pub const CLASSES: usize = 10;

const PIXELS: usize = SIZE * SIZE;
const TRAIN_STREAM: u64 = 0x4449_4749; // "DIGI"
const TEST_STREAM: u64 = 0x4449_4754; // "DIGT"

/// `n` labelled digits, `[n, 28, 28]`; every label equally likely.
///
/// The same for the same `seed` on every machine, and the first `n` of any longer set.
#[must_use]
pub fn generate(n: usize, seed: u64) -> ImageDataset {
    generate_stream("digits", n, seed, TRAIN_STREAM)
}

/// A training set, equal to `generate(n_train, seed)`, and a test set from a stream of its own.
#[must_use]
pub fn train_test(n_train: usize, n_test: usize, seed: u64) -> (ImageDataset, ImageDataset) {
    let train = generate_stream("digits train", n_train, seed, TRAIN_STREAM);
    (
        train,
        generate_stream("digits test", n_test, seed, TEST_STREAM),
    )
}

fn generate_stream(name: &str, n: usize, seed: u64, stream: u64) -> ImageDataset {
    let mut images = vec![0; n * PIXELS];
    let mut canvas = Canvas::new();
    let mut labels = Vec::with_capacity(n);
    for (index, out) in images.chunks_exact_mut(PIXELS).enumerate() {
        let mut rng = Rng::new(seed, stream, index as u64);
        let label = rng.below(CLASSES as u32) as u8;
        draw(&mut rng, label, &mut canvas, out);
        labels.push(label);
    }
    ImageDataset::new(name, images, labels, (SIZE, SIZE), CLASSES)
        .expect("one label below CLASSES was pushed for each image")
}

/// Draws one digit into `out`, `[28, 28]`.
fn draw(rng: &mut Rng, label: u8, canvas: &mut Canvas, out: &mut [u8]) {
    canvas.clear();
    let warp = Warp::random(rng);
    let radius = rng.range(0.8, 1.5);
    let variants = glyphs::variants(label);
    let glyph = variants[rng.below(variants.len() as u32) as usize];
    for stroke in glyph {
        let pen = Pen::random(rng, radius);
        warp.draw_stroke(rng, stroke, pen, canvas);
    }
    if rng.chance(0.5) {
        canvas.blur(rng.range(0.05, 0.18));
    }
    add_specks(rng, canvas);
    let ink = rng.range(165.0, 255.0);
    let noise = if rng.chance(0.6) {
        rng.range(0.0, 20.0)
    } else {
        0.0
    };
    canvas.write(rng, ink, noise, out);
    add_salt(rng, out);
}

/// Now and then a dot or a dash that belongs to no digit.
fn add_specks(rng: &mut Rng, canvas: &mut Canvas) {
    if !rng.chance(0.2) {
        return;
    }
    for _ in 0..=rng.below(2) {
        let size = SIZE as f32;
        let start = [rng.range(0.0, size), rng.range(0.0, size)];
        let end = [
            start[0] + rng.range(-3.0, 3.0),
            start[1] + rng.range(-3.0, 3.0),
        ];
        let radius = rng.range(0.2, 0.7);
        canvas.segment(start, end, radius, radius);
    }
}

/// A few single pixels of any grey.
fn add_salt(rng: &mut Rng, out: &mut [u8]) {
    if !rng.chance(0.3) {
        return;
    }
    for _ in 0..=rng.below(6) {
        let pixel = rng.below(PIXELS as u32) as usize;
        out[pixel] = out[pixel].max(rng.below(256) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, 64 bits.
    fn hash(bytes: &[u8]) -> u64 {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    #[test]
    fn bytes_of_a_seed_never_change() {
        let set = generate(500, 42);
        assert_eq!((hash(set.images()), hash(set.labels())), PINNED);
    }

    const PINNED: (u64, u64) = (0xe30c_66dd_bef6_9ee7, 0x8f00_2b8d_88e1_0b2e);

    #[test]
    fn an_image_does_not_depend_on_how_many_are_asked() {
        assert_eq!(generate(50, 7).truncated(20), generate(20, 7));
        let (train, _) = train_test(20, 5, 7);
        assert_eq!(train.images(), generate(20, 7).images());
    }

    #[test]
    fn seeds_and_streams_are_disjoint() {
        let (train, test) = train_test(300, 300, 1);
        let other = generate(300, 2);
        let mut all: Vec<&[u8]> = vec![];
        for set in [&train, &test, &other] {
            all.extend(set.images().chunks_exact(PIXELS));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 900);
    }

    #[test]
    fn labels_are_balanced() {
        let set = generate(5000, 3);
        let mut counts = [0; CLASSES];
        for &label in set.labels() {
            counts[usize::from(label)] += 1;
        }
        assert!(counts.iter().all(|c| (400..600).contains(c)), "{counts:?}");
    }

    #[test]
    fn every_image_has_ink_and_background() {
        let set = generate(2000, 11);
        for i in 0..set.len() {
            let (pixels, label) = set.get(i).unwrap();
            let ink = pixels.iter().filter(|&&p| p > 110).count();
            assert!(
                (12..420).contains(&ink),
                "image {i} of a {label} has {ink} dark pixels"
            );
        }
        let (mean, std) = set.mean_std();
        assert!(
            (0.08..0.25).contains(&mean) && (0.2..0.4).contains(&std),
            "{mean} {std}"
        );
    }

    /// The strokes themselves stay inside the image: the border holds noise and specks only.
    #[test]
    fn digits_are_not_cut_off() {
        let set = generate(2000, 12);
        let edge = |at: usize| at == 0 || at == SIZE - 1;
        let on_border = |i: usize| edge(i / SIZE) || edge(i % SIZE);
        let (mut dark, mut total) = (0, 0);
        for image in set.images().chunks_exact(PIXELS) {
            let border = (0..PIXELS).filter(|&i| on_border(i)).map(|i| image[i]);
            dark += border.clone().filter(|&p| p > 110).count();
            total += border.count();
        }
        assert!(
            dark * 100 < total,
            "{dark} of {total} border pixels are dark"
        );
    }
}
