//! Which loops can take four neighbouring points at once, and how each load then reads: software adapters load lane by
//! lane, and four elements cost them little more than one. Decides and writes no text.

use crate::plan::{Expr, Inst, View};

/// How a load reads four points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quad {
    /// The same element for all.
    Same,
    /// Four neighbours that begin at a multiple of four: one load.
    Whole,
    /// Elements this far apart, one by one.
    Each(i64),
}

/// An expression whose loop goes by fours along one dimension.
#[derive(Clone, Debug)]
pub(super) struct Wide {
    dim: usize,
    /// For each register how it is loaded; what is computed is [`Quad::Same`] or not.
    quads: Vec<Quad>,
    /// For each kernel input whether it is bound as fours.
    whole: Vec<bool>,
}

impl Wide {
    /// The loop `shape` by fours along `dim`, if that is worth while. `same_input` tells which inputs share a buffer.
    pub(super) fn of(
        expr: &Expr,
        same_input: &[usize],
        shape: &[usize],
        dim: usize,
    ) -> Option<Wide> {
        Wide::of_all(&[(expr, true)], same_input, shape, dim, &|_| false)?.pop()
    }

    /// The same for several expressions that share their inputs, each with whether it has this loop at all; `varies`
    /// tells it of the stages that they read.
    pub(super) fn of_all(
        exprs: &[(&Expr, bool)],
        same_input: &[usize],
        shape: &[usize],
        dim: usize,
        varies: &dyn Fn(usize) -> bool,
    ) -> Option<Vec<Wide>> {
        if !shape[dim].is_multiple_of(4) || shape.contains(&0) {
            return None;
        }
        let mut all = Vec::with_capacity(exprs.len());
        let mut whole = vec![true; same_input.len()];
        for &(expr, looped) in exprs {
            let mut quads = Vec::with_capacity(expr.insts.len());
            for inst in &expr.insts {
                let quad = if looped {
                    kind(expr, inst, &quads, shape, dim, varies)?
                } else {
                    Quad::Same
                };
                if let Inst::Load { input, .. } | Inst::Gather { input, .. } = inst
                    && quad != Quad::Whole
                {
                    whole[same_input[*input]] = false;
                }
                quads.push(quad);
            }
            all.push(quads);
        }
        let whole: Vec<bool> = same_input.iter().map(|&same| whole[same]).collect();
        let mut any = false;
        let wides = all.into_iter().zip(exprs).map(|(quads, (expr, _))| {
            let mut wide = Wide {
                dim,
                quads,
                whole: whole.clone(),
            };
            any |= wide.settle(expr);
            wide
        });
        let wides: Vec<Wide> = wides.collect();
        any.then_some(wides)
    }

    /// Whole loads of a buffer that is not bound as fours take elements one by one. Whether a whole one is left.
    fn settle(&mut self, expr: &Expr) -> bool {
        let mut any = false;
        for (reg, inst) in expr.insts.iter().enumerate() {
            let Inst::Load { input, .. } = inst else {
                continue;
            };
            if self.quads[reg] == Quad::Whole && !self.whole[*input] {
                self.quads[reg] = Quad::Each(1);
            }
            any |= self.quads[reg] == Quad::Whole;
        }
        any
    }

    /// How register `reg` is loaded.
    pub(super) fn quad(&self, reg: usize) -> Quad {
        self.quads[reg]
    }

    /// Whether the four points differ in register `reg`.
    pub(super) fn varies(&self, reg: usize) -> bool {
        self.quads[reg] != Quad::Same
    }

    /// Whether a kernel input is bound as fours.
    pub(super) fn is_whole(&self, input: usize) -> bool {
        self.whole[input]
    }

    /// The walk over the shortened loop whose values are the elements of the first of four points, or the numbers of
    /// the fours.
    pub(super) fn walk(&self, view: &View, quad: Quad) -> View {
        let mut view = view.clone();
        if let Some(stride) = view.strides.get_mut(self.dim) {
            *stride *= 4;
        }
        if quad == Quad::Whole {
            view.offset /= 4;
            view.strides.iter_mut().for_each(|stride| *stride /= 4);
        }
        view
    }
}

/// How an instruction of a loop reads four points; `before` are those of the registers before it. `None` where that is
/// not written by fours.
fn kind(
    expr: &Expr,
    inst: &Inst,
    before: &[Quad],
    shape: &[usize],
    dim: usize,
    varies: &dyn Fn(usize) -> bool,
) -> Option<Quad> {
    Some(match inst {
        Inst::Load { input, view } => {
            let dtype = expr.inputs[*input];
            quad(view, shape, dim, dtype.size() == 4 || dtype.is_half())
        }
        Inst::Index { view } => quad(view, shape, dim, false),
        Inst::Stage { stage, .. } if varies(*stage) => Quad::Each(1),
        Inst::Stage { .. } | Inst::Scalar { .. } | Inst::Literal { .. } => Quad::Same,
        Inst::Apply { args, .. } if args.iter().all(|&arg| before[arg] == Quad::Same) => Quad::Same,
        Inst::Apply { .. } => Quad::Each(1),
        Inst::Gather { .. } | Inst::Random { .. } => return None,
    })
}

/// How `view` reads four points along `dim`; `fours`: four elements can be loaded at once.
fn quad(view: &View, shape: &[usize], dim: usize, fours: bool) -> Quad {
    let even = |(d, &stride): (usize, &i64)| d == dim || shape[d] == 1 || stride % 4 == 0;
    match view.strides[dim] {
        0 => Quad::Same,
        1 if fours && view.offset % 4 == 0 && view.strides.iter().enumerate().all(even) => {
            Quad::Whole
        }
        stride => Quad::Each(stride),
    }
}

/// Whether stores at `view` can be fours along `dim`.
pub(super) fn stores_whole(view: &View, shape: &[usize], dim: usize) -> bool {
    quad(view, shape, dim, true) == Quad::Whole
}

/// `shape` with `dim` in fours.
pub(super) fn shortened(shape: &[usize], dim: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[dim] /= 4;
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn loads_are_whole_only_where_they_are_aligned() {
        let shape = [6, 8];
        let view = |offset: i64, strides: [i64; 2]| View {
            offset,
            strides: strides.to_vec(),
        };
        let of = |v: &View| quad(v, &shape, 1, true);
        assert_eq!(of(&view(0, [8, 1])), Quad::Whole);
        assert_eq!(of(&view(4, [12, 1])), Quad::Whole);
        assert_eq!(of(&view(0, [9, 1])), Quad::Each(1));
        assert_eq!(of(&view(2, [8, 1])), Quad::Each(1));
        assert_eq!(of(&view(0, [1, 6])), Quad::Each(6));
        assert_eq!(of(&view(0, [1, 0])), Quad::Same);
        assert_eq!(quad(&view(0, [8, 1]), &shape, 1, false), Quad::Each(1));
        let expr = Expr {
            inputs: vec![DType::F32; 2],
            insts: vec![
                Inst::Load {
                    input: 0,
                    view: view(0, [8, 1]),
                },
                Inst::Load {
                    input: 1,
                    view: view(1, [8, 1]),
                },
            ],
        };
        let apart = Wide::of(&expr, &[0, 1], &shape, 1).expect("one load is whole");
        assert_eq!((apart.quad(0), apart.quad(1)), (Quad::Whole, Quad::Each(1)));
        assert_eq!(apart.walk(&view(4, [12, 1]), Quad::Whole), view(1, [3, 1]));
        assert!(
            Wide::of(&expr, &[0, 0], &shape, 1).is_none(),
            "one buffer, read in both ways"
        );
        assert!(Wide::of(&expr, &[0, 1], &[6, 9], 1).is_none());
    }
}
