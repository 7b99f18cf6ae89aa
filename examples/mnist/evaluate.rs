//! Accuracy, losses and predictions on the test images.

use crate::Result;
use wgrad::data::DeviceDataset;
use wgrad::nn::{Context, Sequential};
use wgrad::train::ConfusionMatrix;
use wgrad::{Reduction, Tensor, eval};

/// What a network says of every test image.
pub struct Evaluation {
    pub confusion: ConfusionMatrix,
    pub truth: Vec<i32>,
    pub predicted: Vec<i32>,
    /// Probability of the predicted class.
    pub confidence: Vec<f32>,
    /// Cross-entropy of each image.
    pub losses: Vec<f32>,
    /// Their mean.
    pub loss: f64,
}

impl Evaluation {
    pub fn accuracy(&self) -> f64 {
        self.confusion.accuracy().unwrap_or(0.0)
    }
}

/// Runs the network on all images, in batches.
pub fn evaluate(model: &mut Sequential, test: &DeviceDataset) -> Result<Evaluation> {
    let mut context = Context::eval();
    let mut parts: [Vec<Tensor>; 4] = Default::default();
    let indices: Vec<u32> = (0..test.len() as u32).collect();
    for batch in indices.chunks(500) {
        let (x, y) = test.batch(batch);
        let logits = model.forward(&x, &mut context);
        let outputs = [
            y.clone(),
            logits.argmax(1, false),
            logits.softmax(1).amax_dims(&[1], false),
            logits.cross_entropy(&y, Reduction::None),
        ];
        eval(&outputs.iter().collect::<Vec<_>>())?;
        for (part, output) in parts.iter_mut().zip(outputs) {
            part.push(output.detach()?);
        }
    }
    let [truth, predicted, confidence, losses] =
        parts.map(|p| Tensor::cat(&p.iter().collect::<Vec<_>>(), 0));
    let (truth, predicted) = (truth.to_vec::<i32>()?, predicted.to_vec::<i32>()?);
    let losses = losses.to_vec::<f32>()?;
    let mut confusion = ConfusionMatrix::new(10);
    confusion.record_all(&truth, &predicted)?;
    let loss = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / losses.len().max(1) as f64;
    Ok(Evaluation {
        confusion,
        truth,
        predicted,
        confidence: confidence.to_vec::<f32>()?,
        losses,
        loss,
    })
}
