//! Whether a device's built-in widens halves as `w_f16_to_f32` does, found by trying all of them on it, and the texts that rely on
//! it. WGSL lets `unpack2x16float` flush subnormals, so nothing but a trial tells. Bits are the same either way but for those of
//! a NaN, so that it is no matter when the answer comes. Must not know a kernel.

use super::call::{Lowered, Work};
use crate::dtype::DType;
use crate::plan::{Kernel as PlanKernel, Plan};
use std::sync::{Mutex, PoisonError};
use wgrad_device::{Download, Error, Gpu, KernelSource};
use wgrad_plan::math;
use wgrad_shaders::math::with_builtin_halves;

/// Patterns of two bytes.
const PATTERNS: u32 = 1 << 16;

/// Each pattern as the low half of a word, then as the high half of one; the other half is another pattern.
const TRIAL: &str = "
@group(0) @binding(0) var<storage, read_write> out_bits: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let h = id.x;
    let other = h ^ 0x5a5au;
    out_bits[2u * h] = bitcast<u32>(unpack2x16float(h | (other << 16u)).x);
    out_bits[2u * h + 1u] = bitcast<u32>(unpack2x16float(other | (h << 16u)).y);
}
";

/// What is known of a device. Nothing is tried before a plan has halves.
#[derive(Debug, Default)]
pub(super) struct Exact(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Untried,
    /// Submitted; the answer is on its way.
    Tried(Download),
    Known(bool),
}

impl Exact {
    /// Of a device that has answered so.
    #[cfg(test)]
    pub(super) fn answered(bytes: &[u8]) -> Exact {
        Exact(Mutex::new(State::Known(exact(bytes))))
    }

    /// Whether texts of this plan may widen halves by the built-in. Where a thread may wait, it waits for the trial; elsewhere
    /// the answer is no until it is there. Where the trial cannot be made it is no too, and the next plan tries again: whoever
    /// prepares the plan meets the same error and tells of it.
    pub(super) fn of(&self, gpu: &Gpu, plan: &Plan) -> bool {
        if !has_halves(plan) {
            return false;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Untried)
            && let Ok(download) = tried(gpu)
        {
            *state = State::Tried(download);
        }
        if let State::Tried(download) = &mut *state
            && (cfg!(not(target_arch = "wasm32")) || download.is_ready())
            && let State::Tried(download) = std::mem::take(&mut *state)
            && let Ok(bytes) = answer(download)
        {
            *state = State::Known(exact(&bytes));
        }
        matches!(*state, State::Known(true))
    }
}

/// Whether a plan reads or writes halves, loops' bodies included.
fn has_halves(plan: &Plan) -> bool {
    let in_loop = |kernel: &PlanKernel| match kernel {
        PlanKernel::Loop(l) => has_halves(&l.body),
        _ => false,
    };
    plan.slots.iter().any(|slot| slot.dtype == DType::F16)
        || plan.steps.iter().any(|step| in_loop(&step.kernel))
}

/// Submits the trial.
fn tried(gpu: &Gpu) -> Result<Download, Error> {
    let kernel = gpu.kernel(KernelSource::new("halves tried", TRIAL))?;
    let bits = gpu.alloc(8 * u64::from(PATTERNS))?;
    let mut commands = gpu.commands();
    commands.dispatch(&kernel, &[(&bits).into()], [PATTERNS / 256, 1, 1])?;
    let download = commands.download(&bits, 0, bits.len())?;
    commands.submit()?;
    Ok(download)
}

/// What has come, or comes.
#[cfg(not(target_arch = "wasm32"))]
fn answer(download: Download) -> Result<Vec<u8>, Error> {
    download.bytes_blocking()
}

/// What has come.
#[cfg(target_arch = "wasm32")]
fn answer(download: Download) -> Result<Vec<u8>, Error> {
    download.bytes_now()
}

/// Whether these are the numbers of all patterns, twice each. Bits of a NaN may be others: nothing here says what they are.
pub(super) fn exact(bytes: &[u8]) -> bool {
    let words = bytes.as_chunks().0;
    let same = |(&got, want): (&[u8; 4], f32)| {
        let got = f32::from_bits(u32::from_le_bytes(got));
        got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
    };
    let patterns = (0..=u16::MAX).map(math::f16_to_f32);
    words.len() == 2 * PATTERNS as usize
        && words.iter().zip(patterns.flat_map(|x| [x, x])).all(same)
}

/// Texts that widen halves by the built-in.
pub(super) fn widen(lowered: &mut Lowered) {
    for work in &mut lowered.work {
        if let Work::Call(call) = work
            && call.wgsl.contains("fn w_f16_to_f32(")
        {
            call.wgsl = with_builtin_halves(&call.wgsl).into();
        }
    }
}
