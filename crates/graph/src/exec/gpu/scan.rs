//! Scan: a thread or a workgroup for each row, and which operation.

use super::call::{Arg, Call, Grid, Lowered};
use super::lower::StepView;
use super::source::{keys, memory, with_prelude};
use crate::plan::{Scan, ScanKind};
use wgrad_device::Error;
use wgrad_shaders::kernels;

pub(super) fn lower(view: &StepView<'_>, scan: &Scan) -> Result<Lowered, Error> {
    let rows = (scan.outer * scan.inner) as u64;
    let serial = scan.length <= 64 || rows >= 4096 || (view.target.software && rows >= 16);
    let core = match (scan.kind, serial) {
        (ScanKind::Sum, true) => kernels::SCAN_SUM_SERIAL,
        (ScanKind::Sum, false) => kernels::SCAN_SUM_BLOCKED,
        (ScanKind::Prod, true) => kernels::SCAN_PROD_SERIAL,
        (ScanKind::Prod, false) => kernels::SCAN_PROD_BLOCKED,
        (ScanKind::Max, true) => kernels::SCAN_MAX_SERIAL,
        (ScanKind::Max, false) => kernels::SCAN_MAX_BLOCKED,
        (ScanKind::LogSumExp, true) => kernels::SCAN_LOGSUMEXP_SERIAL,
        (ScanKind::LogSumExp, false) => kernels::SCAN_LOGSUMEXP_BLOCKED,
    };
    let label = if serial {
        "scan serial"
    } else {
        "scan blocked"
    };
    let text = match scan.kind {
        ScanKind::Max => [keys(view.output_dtype.class()), core].concat(),
        _ => kernels::with_element(core, memory(view.output_dtype)),
    };
    Ok(Lowered::one(Call {
        label,
        wgsl: with_prelude(label, text)?.into(),
        constants: Vec::new(),
        args: vec![Arg::Input(0), Arg::Output, Arg::Params],
        params: [
            scan.outer,
            scan.length,
            scan.inner,
            usize::from(scan.reverse),
        ]
        .into_iter()
        .collect(),
        grid: if serial {
            Grid::Threads(rows)
        } else {
            Grid::Groups(rows)
        },
    }))
}
