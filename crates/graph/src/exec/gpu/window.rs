//! Window sums and argmaxes: one kernel, one flag.

use super::call::{Arg, Call, Grid, Lowered};
use crate::plan::{Window, WindowKind};
use wgrad_shaders::kernels;

pub(super) fn lower(window: &Window) -> Lowered {
    let n_outputs = window.planes * window.output.iter().product::<usize>();
    let params = [
        window.input,
        window.output,
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
    ];
    Lowered::one(Call {
        label: "window",
        wgsl: kernels::WINDOW.into(),
        constants: vec![(
            "ARGMAX",
            f64::from(u8::from(window.kind == WindowKind::ArgMax)),
        )],
        args: vec![Arg::Input(0), Arg::Output, Arg::Params],
        params: std::iter::once(window.planes)
            .chain(params.into_iter().flatten())
            .collect(),
        grid: Grid::Threads(n_outputs as u64),
    })
}
