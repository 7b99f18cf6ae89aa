//! The picture of a run: curves, confusion matrix, some digits and the worst mistakes.

use crate::evaluate::Evaluation;
use crate::{Result, Trainer};
use std::path::Path;
use wgrad::data::ImageDataset;
use wgrad::train::{Report, Tile};

/// Draws it as a PNG.
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
    let tile = |i: usize| {
        let (pixels, _) = test.get(i)?;
        Some(Tile {
            pixels,
            width: test.width(),
            height: test.height(),
            truth: result.truth[i].to_string(),
            predicted: result.predicted[i].to_string(),
            confidence: result.confidence[i],
        })
    };
    let mut wrong: Vec<usize> = (0..result.truth.len())
        .filter(|&i| result.truth[i] != result.predicted[i])
        .collect();
    wrong.sort_by(|&a, &b| result.losses[b].total_cmp(&result.losses[a]));
    let report = Report {
        title: format!(
            "wgrad: {} on digits, {:.2} % of test images right",
            trainer.options.model.name(),
            100.0 * result.accuracy()
        ),
        notes: vec![
            format!("data: {data}"),
            format!("device: {}, {rate:.0} samples/s", trainer.device),
        ],
        losses: &trainer.losses,
        epochs: &trainer.epochs,
        confusion: Some(&result.confusion),
        samples: (0..result.truth.len().min(35)).filter_map(tile).collect(),
        mistakes: wrong.into_iter().take(20).filter_map(tile).collect(),
    };
    report.render_png(path)?;
    Ok(())
}
