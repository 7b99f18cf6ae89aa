//! Norms of gradients by layer, as scalars of a step.

use std::collections::BTreeMap;
use wgrad_graph::{DType, Tensor};
use wgrad_nn::Gradients;

/// `√Σ g²` over all gradients, named `grad_norm`, and over those of each layer (the part of a name before its last dot),
/// named `grad_norm.<layer>`: scalars for a step to give beside its loss, which then stand in the log and in the report.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Linear, Relu, Sequential, Context, gradients};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let mut net = Sequential::new().with("fc1", Linear::new(2, 3, rng, &device)).with("fc2", Linear::new(3, 1, rng, &device));
/// let x = rng.normal(&[4, 2], &device);
/// let loss = net.forward(&x, &mut Context::eval()).square().mean();
/// let norms = wgrad_train::gradient_norms(&gradients(&loss, &net)?);
/// let names: Vec<&str> = norms.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["grad_norm", "grad_norm.fc1", "grad_norm.fc2"]);
/// let squares = norms.iter().map(|(_, t)| t.item::<f32>().map(|n| n * n)).collect::<Result<Vec<_>, _>>()?;
/// assert!((squares[0] - squares[1] - squares[2]).abs() < 1e-4 * squares[0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn gradient_norms(gradients: &Gradients) -> Vec<(String, Tensor)> {
    let mut order: Vec<String> = Vec::new();
    let mut layers: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, g) in gradients.iter() {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let square = g.cast(DType::F32).square().sum();
        let sum = match layers.get(layer) {
            Some(sum) => sum + square,
            None => {
                order.push(layer.to_owned());
                square
            }
        };
        layers.insert(layer.to_owned(), sum);
    }
    let mut norms = vec![("grad_norm".to_string(), gradients.global_norm())];
    norms.extend(
        order
            .into_iter()
            .filter(|l| !l.is_empty())
            .filter_map(|layer| {
                let sum = layers.get(&layer)?;
                Some((format!("grad_norm.{layer}"), sum.sqrt()))
            }),
    );
    norms
}
