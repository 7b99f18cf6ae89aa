//! Scan: a thread or a workgroup for each row, or, where rows are too long for either, three passes over parts of them.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Work};
use super::halves::{with_loads, with_stores};
use super::source::{keys, memory, with_prelude};
use super::step::StepView;
use crate::plan::{Scan, ScanKind};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Rows from which a thread takes one, on any device and on a software adapter.
const MANY: u64 = 4096;
const MANY_FOR_SOFTWARE: u64 = 16;

/// Elements from which a card's workgroup takes a row however many there are, if they lie together: threads that each go along
/// a row of their own read memory that lies rows apart, one element at a time. A block of threads has as many.
const LONG: usize = 256;

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
    let coalesced = scan.inner > 1 || length < LONG;
    let many = match software {
        true => rows >= MANY_FOR_SOFTWARE,
        false => rows >= MANY && coalesced,
    };
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
    let texts = match scan.kind {
        ScanKind::Sum => kernels::SCAN_SUM,
        ScanKind::Prod => kernels::SCAN_PROD,
        ScanKind::Max => kernels::SCAN_MAX,
        ScanKind::LogSumExp => kernels::SCAN_LOGSUMEXP,
        ScanKind::Linear => kernels::SCAN_LINEAR,
    };
    let lowering = Lowering { view, scan };
    let rows = scan.outer * scan.inner;
    match way(scan, view.target.software) {
        Way::Serial => {
            let grid = Grid::Threads(rows as u64);
            lowering.whole("scan serial", texts.serial, grid, scan.length as u64)
        }
        Way::Blocked => {
            let (grid, rounds) = (Grid::Groups(rows as u64), blocked_rounds(scan.length));
            lowering.whole("scan blocked", texts.blocked, grid, rounds)
        }
        Way::Parts(part) => lowering.parts([texts.totals, texts.carry, texts.parts], part),
    }
}

/// A scan while its dispatches are made.
struct Lowering<'a> {
    view: &'a StepView<'a>,
    scan: &'a Scan,
}

impl Lowering<'_> {
    /// What every text's parameters begin with.
    fn numbers(&self) -> [usize; 4] {
        let Scan {
            outer,
            length,
            inner,
            reverse,
            ..
        } = *self.scan;
        [outer, length, inner, usize::from(reverse)]
    }

    /// The operand, and the factors of a recurrence, which are its first operand and bound last.
    fn operands(&self) -> (Arg, Option<Arg>) {
        match self.scan.kind {
            ScanKind::Linear => (Arg::Input(1), Some(Arg::Input(0))),
            _ => (Arg::Input(0), None),
        }
    }

    fn call(
        &self,
        label: &'static str,
        core: &str,
        args: &[Arg],
        grid: Grid,
        iterations: u64,
    ) -> Result<Call, Error> {
        let dtype = self.view.output_dtype;
        let text = match self.scan.kind {
            ScanKind::Max => [keys(dtype.class()), core].concat(),
            _ => kernels::with_element(core, memory(dtype.widened())),
        };
        let mut text = with_stores(&text, "y", dtype);
        let inputs = match self.scan.kind {
            ScanKind::Linear => &["factor", "x"][..],
            _ => &["x"],
        };
        for (name, &dtype) in inputs.iter().zip(&self.view.input_dtypes) {
            text = with_loads(&text, name, dtype);
        }
        let (_, factors) = self.operands();
        Ok(Call {
            label,
            wgsl: with_prelude(label, text)?.into(),
            constants: Vec::new(),
            args: args.iter().copied().chain(factors).collect(),
            params: self.numbers().into_iter().collect(),
            grid,
            iterations,
        })
    }

    /// One dispatch for whole rows.
    fn whole(
        &self,
        label: &'static str,
        core: &str,
        grid: Grid,
        iterations: u64,
    ) -> Result<Lowered, Error> {
        let (x, _) = self.operands();
        let args = [x, Arg::Output, Arg::Params];
        Ok(Lowered::one(
            self.call(label, core, &args, grid, iterations)?,
        ))
    }

    /// The totals of the parts, what each part begins with, and the parts.
    fn parts(&self, [totals, carry, each]: [&str; 3], part: usize) -> Result<Lowered, Error> {
        let rows = self.scan.outer * self.scan.inner;
        let parts = self.scan.length.div_ceil(part);
        let ((x, _), scratch) = (self.operands(), Arg::Scratch(0));
        let pass = |label, core, args: &[Arg], threads: usize, rounds: usize| {
            let grid = Grid::Threads(threads as u64);
            let mut call = self.call(label, core, args, grid, rounds as u64)?;
            call.params = self.numbers().into_iter().chain([parts, part]).collect();
            Ok::<Work, Error>(call.into())
        };
        let words = match self.scan.kind {
            ScanKind::LogSumExp | ScanKind::Linear => 2,
            _ => 1,
        };
        let sums = [x, scratch, Arg::Params];
        let all = [x, Arg::Output, Arg::Params, scratch];
        Ok(Lowered {
            work: vec![
                pass("scan totals", totals, &sums, rows * parts, part)?,
                pass("scan carry", carry, &sums, rows, parts)?,
                pass("scan parts", each, &all, rows * parts, part)?,
            ],
            scratch: vec![(4 * words * rows * parts) as u64],
            ..Lowered::default()
        })
    }
}
