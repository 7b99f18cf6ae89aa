//! Window sums and argmaxima: one kernel with a thread for each window, or, where a thread would go through too many
//! elements, one dimension after the other.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Work};
use super::halves;
use super::step::StepView;
use crate::dtype::DType;
use crate::plan::{Window, WindowKind};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// The kernel with a thread for each window.
const WHOLE: &str = "window";

/// Elements of a window from which its dimensions are taken one after the other.
const LARGE: u64 = 4096;

/// Elements of a line from which blocks may pay.
const LONG: usize = 256;

/// Bytes that states between dimensions may take, unless a single plane takes more.
const STATES: usize = 32 << 20;

pub(super) fn lower(view: &StepView<'_>, window: &Window) -> Result<Lowered, Error> {
    let mut lowered = of(window);
    let from = view.input_dtypes.first().copied().unwrap_or(DType::F32);
    for work in &mut lowered.work {
        if let Work::Call(call) = work {
            narrow(call, from, view.output_dtype);
        }
    }
    halves::complete(&mut lowered)?;
    Ok(lowered)
}

/// The same call where elements, or results, have two bytes.
fn narrow(call: &mut Call, from: DType, to: DType) {
    let mut text = call.wgsl.to_string();
    for (name, arg) in [("x", 0), ("rest", 1)] {
        if call.args[arg] == Arg::Input(0) {
            text = halves::with_loads(&text, name, from);
        }
    }
    let whole = call.label == WHOLE;
    if whole && to.is_half() {
        text = halves::with_pairs(&text, "y", to);
        call.grid = call.grid.halved();
        call.iterations *= 2;
    } else if call.args.contains(&Arg::Output) {
        text = halves::with_stores(&text, "y", to);
    }
    call.wgsl = text.into();
}

/// Dispatches for elements and results of four bytes.
fn of(window: &Window) -> Lowered {
    let [d, h, w] = window.kernel.map(|n| n as u64);
    let rounds = d.saturating_mul(1 + h.saturating_mul(1 + w));
    match rounds <= LARGE {
        true => Lowered::one(whole(window, rounds)),
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
        label: WHOLE,
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

/// One dimension of a window: see `window_line.wgsl`.
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

    /// The length of a block, if the line is computed in blocks: where that is less work, or the line too long for a
    /// thread.
    fn block(&self) -> Option<usize> {
        let block = (self.kernel as f64).sqrt().ceil() as usize;
        let with = self.blocks(block).n_out * block + self.n_out * 2 * block;
        let less = self.kernel >= LONG && 2 * with < self.n_out * self.kernel;
        (less || self.kernel as u64 > MAX_ITERATIONS / 2).then_some(block)
    }

    /// The line that computes blocks of so many elements, wherever a window has one.
    fn blocks(&self, block: usize) -> Line {
        let whole = (self.kernel / block).max(1);
        Line {
            n_out: (self.n_out - 1) * self.stride + (whole - 1) * block * self.dilation + 1,
            kernel: block,
            stride: 1,
            ..*self
        }
    }
}

/// One dispatch: where it reads and writes.
struct Pass {
    line: Line,
    /// What is left beyond blocks: the line, and how many elements before the corner it begins, modulo 2^32.
    rest: Option<(Line, u32)>,
    from: Arg,
    rest_from: Arg,
    to: Arg,
}

/// The dimensions of the window, one after the other, for as many planes at a time as the states leave room for.
fn lines(window: &Window) -> Lowered {
    let plane: usize = window.input.iter().product();
    let result: usize = window.output.iter().product();
    let words = match window.kind {
        WindowKind::Sum => 1,
        WindowKind::ArgMax => 2,
    };
    let written = passes(window, 1)
        .iter()
        .map(|pass| pass.line.results())
        .max();
    let most = written.unwrap_or(0).max(1);
    let at_once = (STATES / (4 * words * most)).clamp(1, window.planes.max(1));
    let mut lowered = Lowered::default();
    for first in (0..window.planes).step_by(at_once) {
        let planes = at_once.min(window.planes - first);
        for pass in passes(window, planes) {
            let call = pass.call(window.kind, [plane, first * plane, first * result]);
            lowered.work.push(call.into());
        }
    }
    let bytes = (4 * words * most * at_once) as u64;
    lowered.scratch = vec![bytes; 3];
    lowered
}

/// The passes for so many planes: along width, height, depth, as far as the window extends there.
fn passes(window: &Window, planes: usize) -> Vec<Pass> {
    let mut sizes = window.input;
    let trivial = |d: usize| (window.kernel[d], window.stride[d], window.padding[d]) == (1, 1, 0);
    let along: Vec<usize> = (0..3).rev().filter(|&d| !trivial(d)).collect();
    let mut passes = Vec::new();
    let mut from = Arg::Input(0);
    for (nth, &d) in along.iter().enumerate() {
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
        let free = |taken: &[Arg]| {
            let all = [0, 1, 2].map(Arg::Scratch);
            all.into_iter()
                .find(|arg| !taken.contains(arg))
                .unwrap_or(all[0])
        };
        let last = nth + 1 == along.len();
        let Some(block) = line.block() else {
            let to = if last { Arg::Output } else { free(&[from]) };
            passes.push(Pass {
                line,
                rest: None,
                from,
                rest_from: from,
                to,
            });
            from = to;
            continue;
        };
        let blocks = line.blocks(block);
        let between = free(&[from]);
        passes.push(Pass {
            line: blocks,
            rest: None,
            from,
            rest_from: from,
            to: between,
        });
        let whole = line.kernel / block;
        let joined = Line {
            n_in: blocks.n_out,
            kernel: whole,
            pad: 0,
            dilation: block * line.dilation,
            ..line
        };
        let rest = Line {
            kernel: line.kernel - whole * block,
            ..line
        };
        let before = (line.pad as u32).wrapping_sub((whole * block * line.dilation) as u32);
        let to = if last {
            Arg::Output
        } else {
            free(&[from, between])
        };
        passes.push(Pass {
            line: joined,
            rest: Some((rest, before)),
            from: between,
            rest_from: from,
            to,
        });
        from = to;
    }
    passes
}

impl Pass {
    fn call(&self, kind: WindowKind, [plane, in_first, out_first]: [usize; 3]) -> Call {
        let Line {
            planes,
            n_in,
            n_out,
            inner,
            kernel,
            stride,
            pad,
            dilation,
        } = self.line;
        let (rest, before) = match self.rest {
            Some((rest, before)) => (rest, before),
            None => (
                Line {
                    kernel: 0,
                    ..self.line
                },
                0,
            ),
        };
        let numbers = [planes, n_in, n_out, inner, kernel, stride, pad, dilation];
        let places = [plane, in_first, out_first];
        let rests = [rest.n_in, rest.kernel, before as usize, rest.dilation];
        Call {
            label: "window line",
            wgsl: kernels::WINDOW_LINE.into(),
            constants: vec![
                ("ARGMAX", flag(kind == WindowKind::ArgMax)),
                ("FIRST", flag(self.from == Arg::Input(0))),
                ("REST_FIRST", flag(self.rest_from == Arg::Input(0))),
                ("LAST", flag(self.to == Arg::Output)),
            ],
            args: vec![self.from, self.rest_from, self.to, Arg::Params],
            params: numbers.into_iter().chain(places).chain(rests).collect(),
            grid: Grid::Threads(self.line.results() as u64),
            iterations: (kernel + rest.kernel) as u64 + 2,
        }
    }
}
