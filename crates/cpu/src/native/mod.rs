//! Machine code that is made at run time, for x86-64 with AVX-512: `assembler` writes instructions, [`Code`] makes them a function.
//! A plan's loops over rows are compiled with it (`rows/compiled`). Knows no loop.

pub(crate) mod assembler;

use memmap2::{Mmap, MmapMut};

/// A function `fn(frame)` in memory that can be run and no longer be written.
#[derive(Debug)]
pub(crate) struct Code {
    memory: Mmap,
}

impl Code {
    /// The function that these instructions are; none where the system gives no memory that can be run.
    pub(crate) fn new(instructions: &[u8]) -> Option<Code> {
        let mut memory = MmapMut::map_anon(instructions.len().max(1)).ok()?;
        memory[..instructions.len()].copy_from_slice(instructions);
        let memory = memory.make_exec().ok()?;
        Some(Code { memory })
    }

    /// Runs it.
    ///
    /// # Safety
    /// The instructions are a function of the System V convention that takes one pointer, the processor has what they need, and
    /// what they read and write through the pointer is theirs.
    pub(crate) unsafe fn call(&self, frame: *mut u64) {
        // SAFETY: the memory begins with the function and is never written again.
        unsafe {
            let function: unsafe extern "sysv64" fn(*mut u64) =
                std::mem::transmute(self.memory.as_ptr());
            function(frame);
        }
    }
}
