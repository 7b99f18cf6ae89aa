//! Scan: a thread or a workgroup for each row, or, where rows are too long for either, three passes over parts of them.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Work};
use super::lower::StepView;
use super::source::{keys, memory, with_prelude};
use crate::plan::{Scan, ScanKind};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Rows from which a thread takes one, on any device and on a software adapter.
const MANY: u64 = 4096;
const MANY_FOR_SOFTWARE: u64 = 16;

/// Terms of a linear recurrence that one thread adds up one after the other, at most: of an f32, that is.
const LINEAR: usize = 1024;

/// How the rows of a scan are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A thread for each.
    Serial,
    /// A workgroup for each.
    Blocked,
    /// In parts of so many elements.
    Parts(usize),
}

fn way(scan: &Scan, software: bool) -> Way {
    let Scan { length, .. } = *scan;
    let rows = (scan.outer * scan.inner) as u64;
    let many = rows >= MANY || (software && rows >= MANY_FOR_SOFTWARE);
    let long = scan.kind == ScanKind::Linear && length > LINEAR;
    if length <= 64 || many {
        let fits = length as u64 <= MAX_ITERATIONS && !long;
        return if fits {
            Way::Serial
        } else {
            Way::Parts(part(length))
        };
    }
    match blocked_rounds(length) <= MAX_ITERATIONS {
        true => Way::Blocked,
        false => Way::Parts(part(length)),
    }
}

/// Rounds of a workgroup that scans so many elements in blocks of 1024.
fn blocked_rounds(length: usize) -> u64 {
    9 * length.div_ceil(1024) as u64
}

/// Elements of a part: about as many as there are parts, as both are gone through by one thread.
fn part(length: usize) -> usize {
    let root = (length.max(1).ilog2() / 2 + 1).clamp(6, 14);
    (1 << root).max(length.div_ceil(MAX_ITERATIONS as usize))
}

pub(super) fn lower(view: &StepView<'_>, scan: &Scan) -> Result<Lowered, Error> {
    let kernels = match scan.kind {
        ScanKind::Sum => kernels::SCAN_SUM,
        ScanKind::Prod => kernels::SCAN_PROD,
        ScanKind::Max => kernels::SCAN_MAX,
        ScanKind::LogSumExp => kernels::SCAN_LOGSUMEXP,
        ScanKind::Linear => kernels::SCAN_LINEAR,
    };
    let rows = scan.outer * scan.inner;
    let numbers = [
        scan.outer,
        scan.length,
        scan.inner,
        usize::from(scan.reverse),
    ];
    let text = |label: &'static str, core: &str| {
        let text = match scan.kind {
            ScanKind::Max => [keys(view.output_dtype.class()), core].concat(),
            _ => kernels::with_element(core, memory(view.output_dtype)),
        };
        with_prelude(label, text)
    };
    // The factors of a recurrence are its first operand and bound last.
    let (x, factors) = match scan.kind {
        ScanKind::Linear => (Arg::Input(1), Some(Arg::Input(0))),
        _ => (Arg::Input(0), None),
    };
    let whole = |label: &'static str, core: &str, grid: Grid, iterations: u64| {
        Ok(Lowered::one(Call {
            label,
            wgsl: text(label, core)?.into(),
            constants: Vec::new(),
            args: [x, Arg::Output, Arg::Params]
                .into_iter()
                .chain(factors)
                .collect(),
            params: numbers.into_iter().collect(),
            grid,
            iterations,
        }))
    };
    let part = match way(scan, view.target.software) {
        Way::Serial => {
            let grid = Grid::Threads(rows as u64);
            return whole("scan serial", kernels.serial, grid, scan.length as u64);
        }
        Way::Blocked => {
            let grid = Grid::Groups(rows as u64);
            return whole(
                "scan blocked",
                kernels.blocked,
                grid,
                blocked_rounds(scan.length),
            );
        }
        Way::Parts(part) => part,
    };
    let parts = scan.length.div_ceil(part);
    let totals = Arg::Scratch(0);
    let pass = |label: &'static str, core: &str, args: Vec<Arg>, threads: usize, rounds: usize| {
        Ok::<Work, Error>(
            Call {
                label,
                wgsl: text(label, core)?.into(),
                constants: Vec::new(),
                args,
                params: numbers.into_iter().chain([parts, part]).collect(),
                grid: Grid::Threads(threads as u64),
                iterations: rounds as u64,
            }
            .into(),
        )
    };
    let with_factors = |args: &[Arg]| args.iter().copied().chain(factors).collect::<Vec<Arg>>();
    let words = match scan.kind {
        ScanKind::LogSumExp | ScanKind::Linear => 2,
        _ => 1,
    };
    Ok(Lowered {
        work: vec![
            pass(
                "scan totals",
                kernels.totals,
                with_factors(&[x, totals, Arg::Params]),
                rows * parts,
                part,
            )?,
            pass(
                "scan carry",
                kernels.carry,
                with_factors(&[x, totals, Arg::Params]),
                rows,
                parts,
            )?,
            pass(
                "scan parts",
                kernels.parts,
                with_factors(&[x, Arg::Output, Arg::Params, totals]),
                rows * parts,
                part,
            )?,
        ],
        scratch: vec![(4 * words * rows * parts) as u64],
    })
}
