//! The three products of a convolution: the text of each, as a matrix product or directly. Tiles and splits are `gemm`'s.

use super::call::{Lowered, Work};
use super::conv_direct;
use super::conv_shape::{deep, params, plain, product, slid, small_quotients};
use super::cores::Core;
use super::gemm::{Extra, Product};
use super::step::StepView;
use super::target::Target;
use crate::plan::{Conv, ConvKind};
use wgrad_shaders::kernels;

/// Rounds that finding a phase takes where quotients are large: see `conv_phase.wgsl`.
const OF_PHASES: u64 = 96;

pub(super) fn lower(view: &StepView<'_>, conv: &Conv) -> Lowered {
    let conv = &plain(conv);
    let product = product(conv);
    if product.sum == 0 || slid(conv).contains(&0) {
        return Lowered::zeros();
    }
    let quick = small_quotients(conv);
    let flag = |set: bool| f64::from(u8::from(set));
    let mut extra = Extra {
        view,
        // As the text has them: images and what slides over them.
        names: ["b", "a"],
        params: params(conv),
        constants: vec![("QUICK", flag(quick))],
    };
    if conv.kind == ConvKind::InputGrad {
        let dense = conv.stride == [1; 3];
        extra.constants.push(("DENSE", flag(dense)));
    }
    if conv_direct::fits(&product, conv, view.target) {
        extra.constants.push(("DEEP", flag(deep(conv))));
        return conv_direct::lower(&product, conv, extra);
    }
    let tiling = product.tiling(view.target, view.choices);
    let walks = matches!(tiling.core, Core::Tiled { .. } | Core::Wide);
    if walks {
        extra.constants.push(("DEEP", flag(deep(conv))));
    }
    let (label, wgsl) = match conv.kind {
        ConvKind::Forward => tiling.core.pick([
            ("conv register", kernels::CONV_FORWARD_REGISTER),
            ("conv tiled", kernels::CONV_FORWARD_TILED),
            ("conv wide", kernels::CONV_FORWARD_WIDE),
            ("conv lanes", kernels::CONV_FORWARD_LANES),
        ]),
        ConvKind::InputGrad => tiling.core.pick([
            (
                "conv input grad register",
                kernels::CONV_INPUT_GRAD_REGISTER,
            ),
            ("conv input grad tiled", kernels::CONV_INPUT_GRAD_TILED),
            ("conv input grad wide", kernels::CONV_INPUT_GRAD_WIDE),
            ("conv input grad lanes", kernels::CONV_INPUT_GRAD_LANES),
        ]),
        ConvKind::WeightGrad => tiling.core.pick([
            (
                "conv weight grad register",
                kernels::CONV_WEIGHT_GRAD_REGISTER,
            ),
            ("conv weight grad tiled", kernels::CONV_WEIGHT_GRAD_TILED),
            ("conv weight grad wide", kernels::CONV_WEIGHT_GRAD_WIDE),
            ("conv weight grad lanes", kernels::CONV_WEIGHT_GRAD_LANES),
        ]),
    };
    let mut lowered = product.lowered(&tiling, label, wgsl, extra);
    if let Some(Work::Call(call)) = lowered.work.first_mut() {
        // Texts that walk through their operands take a along the sum, always.
        call.constants
            .retain(|(name, _)| !walks || *name != "A_ALONG_K");
        if conv.kind == ConvKind::InputGrad && !quick {
            call.iterations += OF_PHASES;
        }
    }
    lowered
}

/// The product, where it is computed as one.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn tiled(conv: &Conv, target: Target) -> Option<Product> {
    let conv = &plain(conv);
    let product = product(conv);
    (!conv_direct::fits(&product, conv, target)).then_some(product)
}
