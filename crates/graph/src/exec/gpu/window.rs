//! Window sums and argmaxima: one kernel with a thread for each window, or, where a thread would go through too many
//! elements, one dimension after the other.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS};
use crate::plan::{Window, WindowKind};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Elements of a window from which its dimensions are taken one after the other.
const LARGE: u64 = 4096;

/// Elements of a line that one thread goes through, at most.
const PART: usize = 1 << 14;

/// Bytes that states between dimensions may take, unless a single plane takes more.
const STATES: usize = 32 << 20;

pub(super) fn lower(window: &Window) -> Result<Lowered, Error> {
    let [d, h, w] = window.kernel.map(|n| n as u64);
    let rounds = d.saturating_mul(1 + h.saturating_mul(1 + w));
    let flat = d * h == 1 && rounds <= MAX_ITERATIONS;
    match flat || rounds <= LARGE {
        true => Ok(Lowered::one(whole(window, rounds))),
        false => lines(window),
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

fn whole(window: &Window, iterations: u64) -> Call {
    let n_outputs = window.planes * window.output.iter().product::<usize>();
    let params = [
        window.input,
        window.output,
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
    ];
    Call {
        label: "window",
        wgsl: kernels::WINDOW.into(),
        constants: vec![("ARGMAX", flag(window.kind == WindowKind::ArgMax))],
        args: vec![Arg::Input(0), Arg::Output, Arg::Params],
        params: std::iter::once(window.planes)
            .chain(params.into_iter().flatten())
            .collect(),
        grid: Grid::Threads(n_outputs as u64),
        iterations,
    }
}

/// One dimension of a window, or the joining of its parts: see `window_line.wgsl`.
#[derive(Clone, Copy)]
struct Line {
    planes: usize,
    n_in: usize,
    n_out: usize,
    inner: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Line {
    fn results(&self) -> usize {
        self.planes * self.n_out * self.inner
    }

    /// Results and parts of results that its threads write.
    fn written(&self) -> usize {
        self.results() * parts(self)
    }
}

/// The dimensions of the window, one after the other, for as many planes at a time as the states leave room for.
fn lines(window: &Window) -> Result<Lowered, Error> {
    let plane: usize = window.input.iter().product();
    let result: usize = window.output.iter().product();
    let words = match window.kind {
        WindowKind::Sum => 1,
        WindowKind::ArgMax => 2,
    };
    let most = steps(window, 1).iter().map(Line::written).max();
    let most = most.unwrap_or(0).max(1);
    let at_once = (STATES / (4 * words * most)).clamp(1, window.planes.max(1));
    let mut lowered = Lowered::default();
    let mut first = 0;
    while first < window.planes {
        let planes = at_once.min(window.planes - first);
        let steps = steps(window, planes);
        for (s, line) in steps.iter().enumerate() {
            let call = Call {
                label: "window line",
                wgsl: kernels::WINDOW_LINE.into(),
                constants: vec![
                    ("ARGMAX", flag(window.kind == WindowKind::ArgMax)),
                    ("FIRST", flag(s == 0)),
                    ("LAST", flag(s + 1 == steps.len())),
                ],
                args: vec![
                    if s == 0 {
                        Arg::Input(0)
                    } else {
                        Arg::Scratch((s + 1) % 2)
                    },
                    if s + 1 == steps.len() {
                        Arg::Output
                    } else {
                        Arg::Scratch(s % 2)
                    },
                    Arg::Params,
                ],
                params: numbers(line, [plane, first * plane, first * result]),
                grid: Grid::Threads(line.written() as u64),
                iterations: line.kernel.min(PART) as u64,
            };
            lowered.work.push(call.into());
        }
        first += planes;
    }
    let bytes = (4 * words * most * at_once) as u64;
    lowered.scratch = vec![bytes; 2];
    Ok(lowered)
}

/// Pieces that a line's window is cut into.
fn parts(line: &Line) -> usize {
    line.kernel.div_ceil(PART)
}

fn numbers(line: &Line, [plane, in_first, out_first]: [usize; 3]) -> super::call::Words {
    let Line {
        planes,
        n_in,
        n_out,
        inner,
        kernel,
        stride,
        pad,
        dilation,
    } = *line;
    [
        planes,
        n_in,
        n_out,
        inner,
        kernel,
        stride,
        pad,
        dilation,
        plane,
        parts(line),
        PART,
        in_first,
        out_first,
    ]
    .into_iter()
    .collect()
}

/// The lines for so many planes: width, height, depth, as far as the window extends there, each with what joins its
/// parts.
fn steps(window: &Window, planes: usize) -> Vec<Line> {
    let mut sizes = window.input;
    let mut steps = Vec::new();
    for d in (0..3).rev() {
        let trivial = (window.kernel[d], window.stride[d], window.padding[d]) == (1, 1, 0);
        if trivial && !(d == 2 && window.kernel == [1; 3]) {
            continue;
        }
        let line = Line {
            planes: planes * sizes[..d].iter().product::<usize>(),
            n_in: sizes[d],
            n_out: window.output[d],
            inner: sizes[d + 1..].iter().product(),
            kernel: window.kernel[d],
            stride: window.stride[d],
            pad: window.padding[d],
            dilation: window.dilation[d],
        };
        sizes[d] = window.output[d];
        steps.push(line);
        let mut cut = parts(&line);
        while cut > 1 {
            let join = Line {
                planes: 1,
                n_in: cut,
                n_out: 1,
                inner: line.results(),
                kernel: cut,
                stride: 1,
                pad: 0,
                dilation: 1,
            };
            steps.push(join);
            cut = parts(&join);
        }
    }
    steps
}
