//! The cores of matrix products, one for each `gemm_*.wgsl` and its like for convolutions: what a device must have to run each,
//! and the tile of each. It must not know a product.

use super::call::MAX_ITERATIONS;
use super::target::Target;

/// Which `gemm_*.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    /// `gemm_register.wgsl`: 8 by 4 for each thread.
    Register,
    /// `gemm_tiled.wgsl`, of convolutions `conv_tiled.wgsl`: a workgroup with so many threads across 4 columns each.
    Tiled { tx: usize },
    /// `gemm_wide.wgsl`, of convolutions `conv_wide.wgsl`: 128 by 128 for each workgroup.
    Wide,
    /// `gemm_lanes.wgsl`: 16 by 32 for each subgroup of 8.
    Lanes,
}

impl Core {
    /// All that there are.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) const ALL: [Core; 5] = [
        Core::Register,
        Core::Tiled { tx: 16 },
        Core::Tiled { tx: 32 },
        Core::Wide,
        Core::Lanes,
    ];

    /// As it is called in files and reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Core::Register => "register",
            Core::Tiled { tx: 16 } => "tiled 16",
            Core::Tiled { .. } => "tiled 32",
            Core::Wide => "wide",
            Core::Lanes => "lanes",
        }
    }

    /// Whether a device can run it, for a right operand that lies so.
    pub(super) fn runs(self, target: Target, b_along_sum: bool) -> bool {
        match self {
            Core::Lanes => target.lanes,
            Core::Tiled { tx } => tx == 16 || !b_along_sum,
            Core::Register | Core::Wide => true,
        }
    }

    /// Tiles that keep a device busy.
    pub(super) fn busy(self, target: Target) -> usize {
        match self {
            Core::Register => target.config.threads,
            Core::Lanes => target.config.subgroups,
            _ => target.config.groups,
        }
    }

    /// Rows and columns of a tile.
    pub(super) fn tile(self) -> (usize, usize) {
        match self {
            Core::Register => (8, 4),
            Core::Tiled { tx } => (1024 / tx, 4 * tx),
            Core::Wide => (128, 128),
            Core::Lanes => (16, 32),
        }
    }

    /// Elements of the result that a thread stores, at most.
    pub(super) fn stores(self) -> usize {
        let (rows, cols) = self.tile();
        let threads = match self {
            Core::Register => 1,
            Core::Lanes => 8,
            Core::Tiled { .. } | Core::Wide => 256,
        };
        rows * cols / threads
    }

    /// Terms of the sum that a thread goes through in a round of its outer loop, and the rounds that this counts for.
    pub(super) fn step(self) -> (usize, usize) {
        match self {
            Core::Register => (1, 1),
            Core::Tiled { .. } => (16, 5),
            Core::Wide => (8, 3),
            Core::Lanes => (4, 1),
        }
    }

    /// Terms that it may go through, with rounds left for what stands in front of the sum.
    pub(super) fn longest(self) -> usize {
        let (terms, rounds) = self.step();
        let most = (MAX_ITERATIONS as usize - 128) / rounds * terms;
        most / 16 * 16
    }

    /// Of a kernel in four versions.
    pub(super) fn pick<T>(self, [register, tiled, wide, lanes]: [T; 4]) -> T {
        match self {
            Core::Lanes => lanes,
            Core::Register => register,
            Core::Tiled { .. } => tiled,
            Core::Wide => wide,
        }
    }
}
