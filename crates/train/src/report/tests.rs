//! The whole picture: rendered, written, read back by `image`.

use image::RgbImage;

use super::*;

/// Noise of a fixed seed, 0 to 1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

fn losses(steps: usize) -> Vec<f32> {
    let mut noise = Noise(1);
    let loss = |i: usize, noise: f32| {
        (2.3 * (-(i as f32) / 120.0).exp() + 0.03) * (0.3 + 1.4 * noise * noise)
    };
    (0..steps).map(|i| loss(i, noise.next())).collect()
}

fn epochs() -> Vec<EpochRecord> {
    (1..=5)
        .map(|epoch| EpochRecord {
            epoch,
            step: epoch * 938,
            train_accuracy: Some(1.0 - 0.06 / epoch as f64),
            test_loss: Some(0.12 / epoch as f32 + 0.02),
            test_accuracy: Some(0.992 - 0.03 / epoch as f64),
            ..EpochRecord::default()
        })
        .collect()
}

fn confusion() -> ConfusionMatrix {
    let mut noise = Noise(2);
    let mut matrix = ConfusionMatrix::new(10);
    for i in 0..10_000 {
        let wrong = noise.next() < 0.02;
        let predicted = if wrong {
            (noise.next() * 10.0) as usize
        } else {
            i % 10
        };
        matrix.record(i % 10, predicted).unwrap();
    }
    matrix
}

/// A ring and a bar, 28 x 28: something to see.
fn picture(slant: f32) -> Vec<u8> {
    let shade = |x: f32, y: f32| {
        let ring = ((x - 14.0).hypot(y - 10.0) - 6.0).abs();
        let bar = (x - 18.0 + slant * (y - 14.0)).abs() + if y < 8.0 { 9.0 } else { 0.0 };
        (255.0 * (2.5 - ring.min(bar)).clamp(0.0, 1.0)) as u8
    };
    (0..28 * 24)
        .map(|i| shade((i % 28) as f32, (i / 28) as f32))
        .chain([0; 28 * 4])
        .collect()
}

fn tiles(pictures: &[Vec<u8>], wrong: bool) -> Vec<Tile<'_>> {
    pictures
        .iter()
        .enumerate()
        .map(|(i, pixels)| Tile {
            pixels,
            width: 28,
            height: 28,
            truth: (i % 10).to_string(),
            predicted: if wrong || i % 11 == 4 {
                ((i + 5) % 10).to_string()
            } else {
                (i % 10).to_string()
            },
            confidence: 1.0 - 0.04 * (i % 13) as f32,
        })
        .collect()
}

fn colors(image: &RgbImage) -> usize {
    image
        .pixels()
        .collect::<std::collections::HashSet<_>>()
        .len()
}

/// Set `WGRAD_KEEP_REPORT` to a path to look at the picture.
#[test]
fn a_full_report_is_written_and_decodes() {
    let (losses, epochs, matrix) = (losses(4690), epochs(), confusion());
    let pictures: Vec<_> = (0..35).map(|i| picture(i as f32 / 50.0 - 0.3)).collect();
    let report = Report {
        title: "MNIST, convolutional network".to_owned(),
        notes: [
            "test accuracy 98.60%",
            "81,000 samples/s",
            "device: llvmpipe",
            "5 epochs of 938 steps",
        ]
        .map(str::to_owned)
        .to_vec(),
        losses: &losses,
        epochs: &epochs,
        confusion: Some(&matrix),
        samples: tiles(&pictures, false),
        mistakes: tiles(&pictures[..22], true),
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.png");
    report.render_png(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(
        bytes,
        report.to_png().unwrap(),
        "the same input must give the same bytes"
    );
    let image = decode(&bytes);
    assert_eq!(image.width(), WIDTH);
    assert!((1400..3000).contains(&image.height()), "{}", image.height());
    assert!(colors(&image) > 200);
    for color in [
        panel::GREEN,
        panel::RED,
        panel::BLUE,
        panel::ORANGE,
        panel::INK,
    ] {
        assert!(
            image.pixels().any(|pixel| pixel.0 == color),
            "{color:?} is missing"
        );
    }
    if let Some(kept) = std::env::var_os("WGRAD_KEEP_REPORT") {
        std::fs::write(kept, bytes).unwrap();
    }
}

#[test]
fn an_empty_report_is_a_picture_too() {
    let image = decode(&Report::default().to_png().unwrap());
    assert_eq!(image.width(), WIDTH);
    assert!(colors(&image) > 10);
}

#[test]
fn losses_of_every_kind() {
    let long = losses(300_000);
    let cases: [&[f32]; 10] = [
        &[],
        &[1.0],
        &[0.0, 0.0],
        &[f32::NAN],
        &[1.0, f32::NAN, f32::INFINITY, 0.5, f32::NAN],
        &[f32::MAX, f32::MIN_POSITIVE, 1e-45],
        &[f32::MAX, f32::MIN],
        &[-3.0, 2.0],
        &[f32::NAN; 500],
        &long,
    ];
    for losses in cases {
        let png = Report {
            losses,
            ..Report::default()
        }
        .to_png()
        .unwrap();
        assert_eq!(decode(&png).width(), WIDTH);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_told() {
    let report = |losses| {
        Report {
            losses,
            ..Report::default()
        }
        .to_png()
        .unwrap()
    };
    let red = |png: &[u8]| {
        decode(png)
            .pixels()
            .filter(|pixel| pixel.0 == panel::RED)
            .count()
    };
    assert_eq!(red(&report(&[1.0, 0.5])), 0);
    assert!(red(&report(&[1.0, f32::NAN, 0.5])) > 50);
}

#[test]
fn accuracies_that_are_missing_or_wild() {
    let wild = [f64::NAN, f64::INFINITY, -4.0, 7.0, 1.0];
    let record = |epoch, accuracy| EpochRecord {
        epoch,
        train_accuracy: accuracy,
        ..EpochRecord::default()
    };
    let epochs: Vec<_> = wild
        .iter()
        .map(|&value| record(3, Some(value)))
        .chain([record(u64::MAX, None)])
        .collect();
    assert!(
        Report {
            epochs: &epochs,
            ..Report::default()
        }
        .to_png()
        .is_ok()
    );
}

#[test]
fn labels_of_any_script_and_length() {
    let label = |text: &str| text.repeat(9);
    let names = ["猫と犬", "кошка", "قط", "🐈\u{200d}⬛", "a\tb\n\0", ""]
        .map(label)
        .to_vec();
    let mut matrix = ConfusionMatrix::with_labels(names.clone());
    matrix.record(0, 1).unwrap();
    let pixels = [200; 12];
    let tile = |name: &String| Tile {
        pixels: &pixels,
        width: 2,
        height: 2,
        truth: name.clone(),
        predicted: names[0].clone(),
        confidence: f32::NAN,
    };
    let report = Report {
        title: label("テスト — naïve "),
        notes: names.iter().map(|name| name.repeat(20)).collect(),
        confusion: Some(&matrix),
        samples: names.iter().map(tile).collect(),
        mistakes: names.iter().map(tile).collect(),
        ..Report::default()
    };
    assert!(colors(&decode(&report.to_png().unwrap())) > 50);
}

#[test]
fn matrices_of_every_size() {
    for classes in [0, 1, 2, 31, 100, 200, 201] {
        let mut matrix = ConfusionMatrix::new(classes);
        (0..classes).for_each(|class| matrix.record(class, classes - 1 - class).unwrap());
        assert!(
            Report {
                confusion: Some(&matrix),
                ..Report::default()
            }
            .to_png()
            .is_ok()
        );
    }
}

#[test]
fn more_tiles_than_fit_are_left_out() {
    let pictures = vec![picture(0.0); 1000];
    let height = |count| {
        let report = Report {
            mistakes: tiles(&pictures[..count], true),
            ..Report::default()
        };
        decode(&report.to_png().unwrap()).height()
    };
    assert_eq!(height(1000), height(MAX_TILES));
}

#[test]
fn a_tile_that_does_not_fit_its_size_is_an_error() {
    let pixels = [0; 784];
    let tile = |width, height| {
        let (truth, predicted) = (String::new(), String::new());
        Tile {
            pixels: &pixels,
            width,
            height,
            truth,
            predicted,
            confidence: 0.5,
        }
    };
    for (width, height) in [(28, 27), (0, 0), (usize::MAX, 2), (0, 784)] {
        let report = Report {
            samples: vec![tile(28, 28), tile(width, height)],
            ..Report::default()
        };
        let error = report.to_png().unwrap_err();
        assert!(
            matches!(
                error,
                ReportError::Tile {
                    which: "samples",
                    index: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_path_that_cannot_be_written_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent/report.png");
    let error = Report::default().render_png(&path).unwrap_err();
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}
