//! Status words of runs: four bytes on the device for each run whose outcome somebody may ask for. A run works on a word of
//! its plan and leaves it here at its end. Must not know what a code stands for.

use std::sync::{Arc, Mutex, PoisonError};
use wgrad_device::{Buffer, Commands, Download, Error, Gpu};

/// What a run writes that failed because one before it had failed.
pub const INHERITED: u32 = u32::MAX;

/// Words of a block.
const BLOCK: u32 = 1024;

/// All status words of a device.
#[derive(Debug)]
pub struct Words {
    gpu: Gpu,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blocks: Vec<Buffer>,
    free: Vec<u32>,
}

/// A status word; given back when dropped.
#[derive(Debug)]
pub struct Word {
    words: Arc<Words>,
    number: u32,
}

impl Words {
    pub(super) fn new(gpu: Gpu) -> Arc<Words> {
        Arc::new(Words {
            gpu,
            state: Mutex::default(),
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A word that nobody uses, and one block more where all are used.
    pub(super) fn take(self: &Arc<Self>) -> Result<Word, Error> {
        let mut state = self.state();
        if state.free.is_empty() {
            let block = self.gpu.alloc_zeroed(4 * u64::from(BLOCK))?;
            let first = BLOCK * state.blocks.len() as u32;
            state.blocks.push(block);
            state.free.extend((first..first + BLOCK).rev());
        }
        let number = state.free.pop().unwrap_or_default();
        Ok(Word {
            words: self.clone(),
            number,
        })
    }

    /// Block `at`.
    pub(super) fn block(&self, at: usize) -> Option<Buffer> {
        self.state().blocks.get(at).cloned()
    }

    /// Records the reading of all words.
    pub fn download(&self, commands: &mut Commands) -> Result<Vec<Download>, Error> {
        let blocks = self.state().blocks.clone();
        let all = blocks.iter();
        all.map(|block| commands.download(block, 0, block.len()))
            .collect()
    }
}

impl Word {
    /// The block that it lies in, and which of that block's words it is.
    pub(super) fn place(&self) -> (usize, u32) {
        ((self.number / BLOCK) as usize, self.number % BLOCK)
    }

    /// Its contents among those of all blocks.
    pub fn of(&self, blocks: &[Vec<u8>]) -> u32 {
        let (block, at) = self.place();
        let words: &[u8] = blocks.get(block).map_or(&[], Vec::as_slice);
        let bytes = words.get(4 * at as usize..).and_then(|w| w.first_chunk());
        bytes.copied().map_or(0, u32::from_le_bytes)
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        self.words.state().free.push(self.number);
    }
}
