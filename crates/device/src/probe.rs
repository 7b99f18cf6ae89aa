//! What an adapter does that its limits do not say. Asked for by whoever wants to know, never when a device is opened.

use crate::{Gpu, KernelSource, Result};

/// Rounds that the probe's loop asks for: three times what Mesa's llvmpipe counts.
const ROUNDS: u32 = 200_000;

/// The number of rounds is read from a buffer and each depends on the one before, so that no compiler does without
/// the loop.
const LOOP: &str = "
@group(0) @binding(0) var<storage, read> in_rounds: array<u32>;
@group(0) @binding(1) var<storage, read_write> out_count: array<u32>;

@compute @workgroup_size(1)
fn main() {
    var count = 0u;
    var x = in_rounds[0];
    for (var i = 0u; i < in_rounds[0]; i++) {
        x = x * 1664525u + 1013904223u;
        count++;
    }
    out_count[0] = count;
    out_count[1] = x;
}
";

impl Gpu {
    /// After how many rounds this device ends a loop without a word, if it does: software adapters count the rounds of
    /// all loops of an invocation (65,535 in Mesa's llvmpipe). `None` where a loop of 200,000 rounds ran to its end.
    ///
    /// # Errors
    /// Those of [`Gpu::kernel`], [`Gpu::run`] and [`Gpu::read`].
    ///
    /// ```no_run
    /// use wgrad_device::{Gpu, OpenOptions};
    ///
    /// # async fn probe() -> wgrad_device::Result<()> {
    /// let gpu = Gpu::open(OpenOptions::default()).await?;
    /// if let Some(rounds) = gpu.loop_limit().await? {
    ///     println!("a loop of more than {rounds} rounds is cut short");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn loop_limit(&self) -> Result<Option<u32>> {
        let kernel = self.kernel(KernelSource::new("loop probe", LOOP))?;
        let rounds = self.buffer_from(&[ROUNDS])?;
        let count = self.zeros::<u32>(2)?;
        self.run(&kernel, &[&rounds, &count], [1, 1, 1])?;
        let counted = count.read().await?;
        Ok(counted.first().copied().filter(|&n| n < ROUNDS))
    }

    /// Blocking twin of [`Gpu::loop_limit`].
    ///
    /// # Errors
    /// Those of [`Gpu::loop_limit`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn loop_limit_blocking(&self) -> Result<Option<u32>> {
        pollster::block_on(self.loop_limit())
    }
}
