//! What kernels are chosen by, for each class of device. Numbers only: how they are used is the families' matter.
//!
//! Where they come from:
//! - **Software** was measured on llvmpipe (Mesa 22.3, LLVM 15, AVX2, two cores) with `wgrad bench`. Kernels over rows:
//!   softmax of 4096x1024 1.6 GB/s against 1.2, a layer norm with its gradient 1.3 against 0.9, attention with its
//!   gradient 10.7 GFLOP/s against 9.0. For loops of less than 2^14 points, compiling the longer text costs more than it
//!   saves. 256 threads or 16 subgroups keep it busy: more pieces of a sum gained nothing, and their sum costs a pass. By
//!   `wgrad tune`, a subgroup's piece has to be long to be worth that: 32x64x512 is 1.3 times as fast in one piece as in
//!   four, 128x10x256 1.2 times as in two, 16x16x4096 1.1 times as in sixteen.
//!   Products that go on with bias and rectifier train the MLP of the MNIST example at 15,900 to 17,600 samples/s instead
//!   of 12,200 to 13,200, but another kernel's compilation makes the first step take 2.3 seconds instead of 1.2.
//! - **Discrete** was reasoned, not measured: two workgroups for each of the 132 multiprocessors of the largest GPU there
//!   is; large tiles once there is one for each of them, as a large tile reads workgroup memory half as often. Loops of 2^16
//!   points go by fours: loads of sixteen bytes, of which a quarter as many have to be under way. A kernel over rows reads a row once where separate kernels read it three to five times, and is one dispatch.
//! - **Integrated**, likewise: two workgroups for each of 40 cores.
//! - **Unknown** is what browsers say: as discrete, whose choices cost a small GPU little.

use crate::DeviceClass;
use wgrad_device::{AdapterKind, Gpu};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether a product goes on with the element-wise work on its result.
    pub epilogues: bool,
    /// Points from which a loop goes by fours.
    pub(super) wide_from: u64,
    /// Workgroups, threads of `gemm_register` or subgroups of `gemm_lanes` that keep it busy: sums are split until there are
    /// as many.
    pub(super) groups: usize,
    /// Tiles of 128 by 128 from which products have such.
    pub(super) wide_tiles: usize,
    pub(super) threads: usize,
    pub(super) subgroups: usize,
    /// A piece of a split sum is at least so long, in `gemm_lanes` and elsewhere.
    pub(super) subgroup_piece: usize,
    pub(super) piece: usize,
}

/// The class of an adapter.
pub fn class_of(gpu: &Gpu) -> DeviceClass {
    match gpu.info().kind {
        AdapterKind::Cpu => DeviceClass::Software,
        AdapterKind::Integrated => DeviceClass::Integrated,
        AdapterKind::Discrete | AdapterKind::Virtual => DeviceClass::Discrete,
        _ => DeviceClass::Unknown,
    }
}

/// The row of a class.
pub const fn config(class: DeviceClass) -> Config {
    let discrete = Config {
        epilogues: true,
        wide_from: 1 << 16,
        groups: 264,
        wide_tiles: 132,
        threads: 256,
        subgroups: 16,
        subgroup_piece: 1024,
        piece: 128,
    };
    match class {
        DeviceClass::Software => Config {
            epilogues: false,
            wide_from: 1 << 14,
            ..discrete
        },
        DeviceClass::Integrated => Config {
            groups: 80,
            wide_tiles: 40,
            ..discrete
        },
        _ => discrete,
    }
}
