//! The picture of a run: curves, confusion matrix, some digits and the worst mistakes.

use crate::evaluate::Evaluation;
use crate::{Result, Trainer};
use std::path::Path;
use wgrad::data::ImageDataset;
use wgrad::plot::{Figure, Grid, Picture};

/// Draws it as an SVG.
pub fn draw(
    path: &Path,
    trainer: &Trainer,
    result: &Evaluation,
    test: &ImageDataset,
    data: &str,
    rate: f64,
) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let picture = |i: usize| {
        let (pixels, _) = test.get(i)?;
        let (truth, predicted) = (result.truth[i], result.predicted[i]);
        let sure = 100.0 * result.confidence[i];
        let caption = match truth == predicted {
            true => format!("{truth}, {sure:.0} %"),
            false => format!("{truth}, not {predicted}"),
        };
        let picture = Picture::grey(test.width(), test.height(), pixels).caption(caption);
        Some(picture.right(truth == predicted))
    };
    let mut wrong: Vec<usize> = (0..result.truth.len())
        .filter(|&i| result.truth[i] != result.predicted[i])
        .collect();
    wrong.sort_by(|&a, &b| result.losses[b].total_cmp(&result.losses[a]));
    let samples: Vec<Picture> = (0..result.truth.len().min(30))
        .filter_map(picture)
        .collect();
    let mistakes: Vec<Picture> = wrong.into_iter().take(20).filter_map(picture).collect();
    let classes = result.confusion.classes();
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let counts: Vec<u64> = (0..classes * classes)
        .map(|at| result.confusion.count(at / classes, at % classes))
        .collect();
    let (loss, accuracy) = curves(trainer, result, data, rate);
    Grid::new(2)
        .figure(loss.size(640, 400))
        .figure(accuracy.size(640, 400))
        .figure(
            Figure::new("Test images")
                .confusion(&names, &counts)
                .size(640, 500),
        )
        .figure(
            Figure::new("Samples")
                .image_grid(6, &samples)
                .size(640, 500),
        )
        .figure(
            Figure::new("Worst mistakes")
                .image_grid(10, &mistakes)
                .size(1280, 380),
        )
        .save(path)?;
    Ok(())
}

/// Losses, and the shares of images that are right.
fn curves(trainer: &Trainer, result: &Evaluation, data: &str, rate: f64) -> (Figure, Figure) {
    let steps: Vec<usize> = (1..=trainer.losses.len()).collect();
    let epochs = &trainer.epochs;
    let ends: Vec<u64> = epochs.iter().map(|epoch| epoch.step).collect();
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let test_losses: Vec<f64> = epochs
        .iter()
        .map(|e| number(e.test_loss.map(f64::from)))
        .collect();
    let train_hits: Vec<f64> = epochs.iter().map(|e| number(e.train_accuracy)).collect();
    let test_hits: Vec<f64> = epochs.iter().map(|e| number(e.test_accuracy)).collect();
    let loss = Figure::new(format!("{} on digits", trainer.options.model.name()))
        .note(format!(
            "{:.2} % of test images right",
            100.0 * result.accuracy()
        ))
        .note(format!("{data}; {}, {rate:.0} samples/s", trainer.device))
        .x("step")
        .y("cross-entropy")
        .log_y()
        .smoothed("train", &steps, &trainer.losses, 0.98)
        .dotted_line("test", &ends, &test_losses);
    let accuracy = Figure::new("Accuracy")
        .x("step")
        .percent_y()
        .dotted_line("train", &ends, &train_hits)
        .dotted_line("test", &ends, &test_hits);
    (loss, accuracy)
}
