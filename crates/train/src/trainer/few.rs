//! The first batches of a loader again and again, for learning them by heart.

use super::error::Result;
use super::validate::next_batch;
use wgrad_data::{Batch, Batches, LoaderState};

/// The first batches of a loader, again and again.
pub(super) struct Few<B> {
    batches: Vec<B>,
    epoch: u64,
    position: usize,
}

impl<B: Batch> Few<B> {
    pub(super) fn new(loader: &mut dyn Batches<Item = B>, n: usize) -> Result<Few<B>> {
        let mut batches = Vec::new();
        while batches.len() < n {
            match next_batch(loader, 0, batches.len() as u64)? {
                Some(batch) => batches.push(batch),
                None => break,
            }
        }
        Ok(Few {
            batches,
            epoch: 0,
            position: 0,
        })
    }
}

impl<B: Batch> Batches for Few<B> {
    type Item = B;

    fn next(&mut self) -> wgrad_data::Result<Option<B>> {
        let Some(batch) = self.batches.get(self.position) else {
            (self.epoch, self.position) = (self.epoch + 1, 0);
            return Ok(None);
        };
        self.position += 1;
        Ok(Some(B::from_tensors(&batch.tensors())))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.batches.len())
    }

    fn state(&self) -> LoaderState {
        let fields = [("epoch", self.epoch), ("position", self.position as u64)];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn set_state(&mut self, state: LoaderState) -> wgrad_data::Result<()> {
        let number = |name: &str| state.get(name).copied().unwrap_or(0);
        self.epoch = number("epoch");
        self.position = (number("position") as usize).min(self.batches.len());
        Ok(())
    }
}
