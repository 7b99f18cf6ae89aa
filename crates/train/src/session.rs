//! A training run as a checkpoint: parameters, buffers, moments, the random stream and counters, so that a resumed run
//! goes on to the bit. Knows modules and optimisers only through their traits.

use crate::checkpoint::{Array, Checkpoint, CheckpointError, DType};
use std::collections::BTreeMap;
use wgrad_graph::{Device, Generator, Tensor};
use wgrad_nn::{Context, Module, Optimizer};

/// Why a run could not be saved or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Reading or placing a tensor failed, or the model does not fit the checkpoint.
    #[error(transparent)]
    Tensor(#[from] wgrad_graph::Error),
    /// The file is no sound checkpoint, or could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint lacks an entry, or holds what is no number there.
    #[error("the checkpoint's entry {0:?} is missing or is no number")]
    Entry(String),
}

/// Counters of the caller's own that belong to the run: step, epoch, position in the epoch.
pub type Counters = BTreeMap<String, u64>;

/// The run as a checkpoint. `counters` are kept as they are.
///
/// # Errors
/// A tensor cannot be computed or read.
pub async fn capture(
    model: &dyn Module,
    optimizer: &dyn Optimizer,
    context: &Context,
    device: &Device,
    counters: &Counters,
) -> Result<Checkpoint, SessionError> {
    let mut checkpoint = Checkpoint::default();
    for (name, tensor) in model.state() {
        checkpoint
            .arrays
            .insert(format!("model.{name}"), to_array(&tensor).await?);
    }
    for (name, tensor) in optimizer.state() {
        checkpoint
            .arrays
            .insert(format!("optimizer.{name}"), to_array(&tensor).await?);
    }
    let mut number = |name: &str, value: u64| {
        checkpoint
            .metadata
            .insert(name.to_string(), value.to_string())
    };
    number("optimizer.steps", optimizer.steps());
    for (name, word) in ["rng.seed", "rng.step", "rng.draws"]
        .iter()
        .zip(context.rng.state())
    {
        number(name, word);
    }
    for (name, value) in counters {
        number(&format!("counter.{name}"), *value);
    }
    checkpoint
        .metadata
        .insert("device".into(), device.to_string());
    checkpoint
        .metadata
        .insert("wgrad.version".into(), env!("CARGO_PKG_VERSION").into());
    Ok(checkpoint)
}

/// Puts a checkpoint's run into a model and an optimiser of the same form; returns the counters, and a warning if
/// the run began on another device or version, where it will not go on to the bit.
///
/// # Errors
/// The checkpoint lacks something or does not fit. The model may have been loaded when the optimiser does not fit.
pub fn restore(
    checkpoint: &Checkpoint,
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    context: &mut Context,
    device: &Device,
) -> Result<(Counters, Option<String>), SessionError> {
    let number = |name: &str| {
        let text = checkpoint.metadata.get(name);
        text.and_then(|t| t.parse::<u64>().ok())
            .ok_or_else(|| SessionError::Entry(name.to_string()))
    };
    let rng = [
        number("rng.seed")?,
        number("rng.step")?,
        number("rng.draws")?,
    ];
    let steps = number("optimizer.steps")?;
    model.load_state(&section(checkpoint, "model.", device))?;
    optimizer.load_moments(&section(checkpoint, "optimizer.", device), steps)?;
    context.rng = Generator::from_state(rng);
    let mut counters = Counters::new();
    for name in checkpoint.metadata.keys() {
        if let Some(short) = name.strip_prefix("counter.") {
            counters.insert(short.to_string(), number(name)?);
        }
    }
    Ok((counters, foreign(checkpoint, device)))
}

/// Where the run began, if that was elsewhere.
fn foreign(checkpoint: &Checkpoint, device: &Device) -> Option<String> {
    let entry = |name: &str| {
        checkpoint
            .metadata
            .get(name)
            .map_or("unknown", String::as_str)
    };
    let (then, now) = (entry("device"), device.to_string());
    let (version, current) = (entry("wgrad.version"), env!("CARGO_PKG_VERSION"));
    (then != now || version != current).then(|| {
        format!("the run began on {then} with wgrad {version} and goes on on {now} with {current}: not to the bit")
    })
}

/// The tensors whose names begin with `prefix`, without it.
fn section(checkpoint: &Checkpoint, prefix: &str, device: &Device) -> Vec<(String, Tensor)> {
    let named = |(name, array): (&String, &Array)| {
        Some((
            name.strip_prefix(prefix)?.to_string(),
            to_tensor(array, device),
        ))
    };
    checkpoint.arrays.iter().filter_map(named).collect()
}

/// A tensor's contents as a file holds them.
///
/// # Errors
/// The tensor cannot be computed or read.
pub async fn to_array(tensor: &Tensor) -> wgrad_graph::Result<Array> {
    let bytes = match tensor.dtype() {
        wgrad_graph::DType::Bool => tensor
            .to_vec_async::<bool>()
            .await?
            .into_iter()
            .map(u8::from)
            .collect(),
        _ => tensor.to_bytes_async().await?,
    };
    let dtype = match tensor.dtype() {
        wgrad_graph::DType::F32 => DType::F32,
        wgrad_graph::DType::F16 => DType::F16,
        wgrad_graph::DType::BF16 => DType::BF16,
        wgrad_graph::DType::I32 => DType::I32,
        wgrad_graph::DType::U32 => DType::U32,
        wgrad_graph::DType::U8 => DType::U8,
        wgrad_graph::DType::Bool => DType::Bool,
    };
    Ok(Array {
        dtype,
        shape: tensor.shape().to_vec(),
        bytes,
    })
}

/// A file's array as a tensor on a device; invalid if its size is not what its shape says.
pub fn to_tensor(array: &Array, device: &Device) -> Tensor {
    let dtype = match array.dtype {
        DType::F32 => wgrad_graph::DType::F32,
        DType::F16 => wgrad_graph::DType::F16,
        DType::BF16 => wgrad_graph::DType::BF16,
        DType::I32 => wgrad_graph::DType::I32,
        DType::U32 => wgrad_graph::DType::U32,
        DType::U8 => wgrad_graph::DType::U8,
        DType::Bool => {
            let flags: Vec<bool> = array.bytes.iter().map(|&b| b != 0).collect();
            return Tensor::from_slice(&flags, &array.shape, device);
        }
    };
    Tensor::from_bytes(&array.bytes, &array.shape, dtype, device)
}
