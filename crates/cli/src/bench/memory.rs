//! `wgrad bench --memory`: whether live memory stays flat over many training steps, by every count there is: the
//! device's pool, wgpu's own allocator, and what the operating system says of the process.

use super::case::Env;
use super::training::Trainer;
use crate::processor::resident;
use crate::{Result, model};
use wgrad::{Generator, Tensor};

/// Steps taken, and how often they are looked at.
const STEPS: usize = 10_000;
const EVERY: usize = 1_000;
/// What the process may grow by: allocators keep some of what was freed.
const MAY_GROW: u64 = 2 << 20;

/// Bytes held at one moment; `None` where nobody counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Held {
    live: u64,
    pooled: u64,
    driver: Option<u64>,
    resident: Option<u64>,
}

impl Held {
    fn now(env: &Env) -> Result<Held> {
        // What is still in flight holds its buffers.
        env.wait()?;
        let gpu = env.device.as_gpu();
        let memory = env.device.memory();
        Ok(Held {
            live: memory.live_bytes,
            pooled: memory.pooled_bytes,
            driver: gpu
                .and_then(|gpu| gpu.driver_memory())
                .map(|m| m.allocated_bytes),
            resident: resident(),
        })
    }

    fn columns(&self) -> [Option<u64>; 4] {
        [
            Some(self.live),
            Some(self.pooled),
            self.driver,
            self.resident,
        ]
    }

    /// What grew since `first` beyond what is allowed.
    fn grown_since(&self, first: &Held) -> Vec<&'static str> {
        let exact = [
            ("live bytes", Some(first.live), Some(self.live)),
            ("pooled bytes", Some(first.pooled), Some(self.pooled)),
            ("wgpu's bytes", first.driver, self.driver),
        ];
        let grown = exact.into_iter().filter(|(_, before, now)| before < now);
        let mut names: Vec<&str> = grown.map(|(name, ..)| name).collect();
        if self.resident > first.resident.map(|r| r + MAY_GROW) {
            names.push("the process");
        }
        names
    }
}

/// Trains, prints a line every thousand steps, and fails if anything grew.
pub fn run(env: &Env) -> Result<()> {
    let mut rng = Generator::new(3);
    let mut trainer = Trainer::new(model::small(&mut rng, env.device));
    // A full batch and a short last one, in turn.
    let batches = [16, 7].map(|n| {
        let x = rng.uniform(&[n, 16], env.device);
        (x, Tensor::new(&vec![1i32; n], env.device))
    });
    outln!(
        "10,000 training steps of a small network on {}: bytes",
        env.device
    );
    outln!(
        "{:>8} {:>14} {:>14} {:>14} {:>14}",
        "step",
        "live",
        "pooled",
        "wgpu",
        "process"
    );
    let mut first = None;
    for step in 0..=STEPS + EVERY {
        let (x, y) = &batches[usize::from(step % 10 == 9)];
        let loss = trainer.step(&[x, y])?;
        if step % EVERY != 0 || step == 0 {
            continue;
        }
        drop(loss);
        let held = Held::now(env)?;
        // The first thousand warm up: plans, pools, the allocator.
        let first = first.get_or_insert(held);
        let cells = held
            .columns()
            .map(|c| c.map_or("-".to_string(), |bytes| bytes.to_string()));
        let [live, pooled, driver, process] = cells;
        outln!(
            "{:>8} {live:>14} {pooled:>14} {driver:>14} {process:>14}",
            step - EVERY
        );
        let grown = held.grown_since(first);
        if !grown.is_empty() {
            return Err(format!("memory grew: {}", grown.join(", ")).into());
        }
    }
    outln!("flat");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_is_found_and_a_little_of_the_process_is_not() {
        let held = |live, resident| Held {
            live,
            resident: Some(resident),
            ..Held::default()
        };
        let first = held(100, 1 << 30);
        assert_eq!(held(100, (1 << 30) + MAY_GROW).grown_since(&first), [""; 0]);
        assert_eq!(held(101, 1 << 30).grown_since(&first), ["live bytes"]);
        let much = held(100, (1 << 30) + MAY_GROW + 1);
        assert_eq!(much.grown_since(&first), ["the process"]);
    }
}
