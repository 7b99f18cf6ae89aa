//! Attention: a workgroup for 32 queries, or backward also for 32 keys, that goes through all rows of the other side with tiles of
//! scores in workgroup memory. What is too long for one dispatch goes on in the next, from what the one before has stored.

use super::call::{Arg, Call, Grid, Lowered, MAX_ITERATIONS, Words};
use super::source::with_prelude;
use super::step::StepView;
use crate::dtype::DType;
use crate::plan::{Attention, AttentionResult, Heads};
use wgrad_device::Error;
use wgrad_shaders::kernels;

/// Rows of a tile, and features that are staged at once.
const TILE: usize = 32;

pub(super) fn lower(view: &StepView<'_>, attention: &Attention) -> Result<Lowered, Error> {
    let lowering = Lowering { view, attention };
    let mut lowered = Lowered::default();
    match attention.is_backward() {
        true => {
            lowering.queries(&mut lowered)?;
            lowering.keys(&mut lowered)?;
        }
        false => lowering.forward(&mut lowered)?,
    }
    Ok(lowered)
}

/// An attention while its dispatches are made.
struct Lowering<'a> {
    view: &'a StepView<'a>,
    attention: &'a Attention,
}

/// One of its kernels.
struct Kernel<'a> {
    label: &'static str,
    wgsl: &'a str,
    args: Vec<Arg>,
    constants: Vec<(&'static str, f64)>,
    /// Rows that workgroups share, and those that each goes through.
    rows: usize,
    through: usize,
    /// Rounds for each tile.
    rounds: usize,
}

impl Lowering<'_> {
    /// Parts of features, of values too.
    fn parts(&self) -> [usize; 2] {
        let a = self.attention;
        [a.features, a.value_features].map(|n| n.div_ceil(TILE))
    }

    /// The buffer of a result; scratch, if nobody asks for it.
    fn result(&self, name: AttentionResult) -> (Arg, bool) {
        match self.attention.results.iter().position(|&r| r == name) {
            Some(0) => (Arg::Output, true),
            Some(more) => (Arg::More(more - 1), true),
            None => (Arg::Scratch(0), false),
        }
    }

    fn texts(&self) -> kernels::AttentionKernels {
        match self.attention.mask {
            true => kernels::ATTENTION_MASKED,
            false => kernels::ATTENTION,
        }
    }

    fn forward(&self, lowered: &mut Lowered) -> Result<(), Error> {
        let a = self.attention;
        let (out, wants_out) = self.result(AttentionResult::Out);
        let (rows, wants_rows) = self.result(AttentionResult::Normalizer);
        let [d, e] = self.parts();
        let rounds = 48 + 13 * d + 18 * e;
        // What several dispatches need is kept in any case.
        let several = piece(rounds) < a.keys;
        let bytes = match several && !wants_rows {
            true => 8 * a.batch[0] * a.batch[1] * a.queries,
            false => 16,
        };
        if !wants_out || !wants_rows {
            lowered.scratch.push(bytes as u64);
        }
        let flag = |on: bool| f64::from(u8::from(on));
        self.calls(
            lowered,
            Kernel {
                label: "attention",
                wgsl: self.texts().forward,
                args: vec![
                    Arg::Input(0),
                    Arg::Input(1),
                    Arg::Input(2),
                    out,
                    rows,
                    Arg::Params,
                ],
                constants: vec![
                    ("OUT", flag(wants_out)),
                    ("NORMALIZER", flag(wants_rows || several)),
                ],
                rows: a.queries,
                through: a.keys,
                rounds,
            },
        )
    }

    fn inputs(&self) -> Vec<Arg> {
        (0..5).map(Arg::Input).collect()
    }

    fn queries(&self, lowered: &mut Lowered) -> Result<(), Error> {
        let (out, wanted) = self.result(AttentionResult::Query);
        if !wanted {
            return Ok(());
        }
        let [d, e] = self.parts();
        let kernel = Kernel {
            label: "attention queries",
            wgsl: self.texts().queries,
            args: [self.inputs(), vec![out, Arg::Params]].concat(),
            constants: Vec::new(),
            rows: self.attention.queries,
            through: self.attention.keys,
            rounds: 16 + 26 * d + 13 * e,
        };
        self.calls(lowered, kernel)
    }

    fn keys(&self, lowered: &mut Lowered) -> Result<(), Error> {
        let (key, wants_key) = self.result(AttentionResult::Key);
        let (value, wants_value) = self.result(AttentionResult::Value);
        if !wants_key && !wants_value {
            return Ok(());
        }
        if !wants_key || !wants_value {
            lowered.scratch.push(16);
        }
        let [d, e] = self.parts();
        let flag = |on: bool| f64::from(u8::from(on));
        let kernel = Kernel {
            label: "attention keys",
            wgsl: self.texts().keys,
            args: [self.inputs(), vec![key, value, Arg::Params]].concat(),
            constants: vec![("KEY", flag(wants_key)), ("VALUE", flag(wants_value))],
            rows: self.attention.keys,
            through: self.attention.queries,
            rounds: 20 + 26 * (d + e),
        };
        self.calls(lowered, kernel)
    }

    /// The dispatches of a kernel, as many as its rounds ask for.
    fn calls(&self, lowered: &mut Lowered, kernel: Kernel<'_>) -> Result<(), Error> {
        let a = self.attention;
        let [d, e] = self.parts();
        let mut args = kernel.args;
        let mut text = kernel.wgsl.to_owned();
        if a.mask {
            text = kernels::with_mask(&text, args.len());
            args.push(Arg::Input(a.inputs.len() - 1));
        }
        let text = with_prelude(kernel.label, text)?;
        let mut constants = kernel.constants;
        constants.extend([("PARTS", d as f64), ("VALUE_PARTS", e as f64)]);
        let groups = a.batch[0] * a.batch[1] * kernel.rows.div_ceil(TILE);
        if groups == 0 {
            return Ok(());
        }
        let size = piece(kernel.rounds);
        for first in (0..kernel.through.max(1)).step_by(size) {
            let end = kernel.through.min(first + size);
            let call = Call {
                label: kernel.label,
                wgsl: text.clone().into(),
                constants: constants.clone(),
                args: args.clone(),
                params: self.params(first, end),
                grid: Grid::Groups(groups as u64),
                iterations: rounds_of(end - first, kernel.rounds),
            };
            lowered.work.push(call.into());
        }
        Ok(())
    }

    /// The numbers of `attention_common.wgsl`, in its order.
    fn params(&self, first: usize, end: usize) -> Words {
        let a = self.attention;
        let mut params = Words::default();
        let sizes = [
            a.batch[1],
            a.batch[0] * a.batch[1],
            a.queries,
            a.keys,
            a.features,
            a.value_features,
        ];
        for n in sizes {
            params.push(n);
        }
        params.push_word(a.scale);
        params.push(usize::from(a.causal));
        params.push(usize::from(a.hides()));
        params.push_word(f32::NEG_INFINITY.to_bits());
        params.push_word(f32::NAN.to_bits());
        params.push(first);
        params.push(end);
        params.push(usize::from(first > 0));
        // Vectors begin at multiples of sixteen bytes.
        params.push(0);
        params.push(0);
        let plain = a.inputs.len() - usize::from(a.mask);
        let nothing = Heads::default();
        let place = |i: usize| a.inputs[..plain].get(i).unwrap_or(&nothing);
        let mask = if a.mask { a.inputs[plain] } else { nothing };
        for heads in (0..5).map(place).chain([&mask]) {
            for n in [heads.offset, heads.batch[0], heads.batch[1], heads.row] {
                params.push(n);
            }
        }
        params.push(mask.col);
        let truth = a.mask && self.view.input_dtypes[plain] == DType::Bool;
        params.push(usize::from(truth));
        params
    }
}

/// Rows that one dispatch goes through, at most.
fn piece(rounds: usize) -> usize {
    let tiles = (MAX_ITERATIONS as usize - 128) / rounds;
    tiles.max(1) * TILE
}

fn rounds_of(rows: usize, rounds: usize) -> u64 {
    (128 + rows.div_ceil(TILE) * rounds) as u64
}
