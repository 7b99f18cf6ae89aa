//! Lines, or columns, of a convolution or of the gradient of its input: which taps a result is a sum of, and what they read. With a
//! stride, results of the gradient fall into as many phases, each a sum of every so-manieth tap; those of the convolution read
//! every so-manieth place, so there the places fall into parts. Knows no images and no channels.

use crate::conv::unfold::Unfold;
use std::ops::Range;

/// One dimension.
pub(super) struct Axis {
    /// Results of a phase are so far apart.
    pub(super) step: usize,
    pub(super) phases: Vec<Phase>,
    /// What is read lies in so many parts: place `i` is in part `i % parts`.
    pub(super) parts: usize,
}

/// Results `phase`, `phase + step` …
pub(super) struct Phase {
    /// How many there are.
    pub(super) count: usize,
    /// In an order in which those that read inside the source for a result are neighbours.
    pub(super) taps: Vec<Tap>,
}

/// A tap reads, for result `q` of its phase, place `q + shift` of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) tap: usize,
    pub(super) part: usize,
    pub(super) shift: i64,
}

impl Axis {
    /// Dimension `d` of `shape`, or of its adjoint.
    pub(super) fn new(shape: &Unfold, d: usize, adjoint: bool) -> Axis {
        let (kernel, stride) = (shape.kernel[d], shape.stride[d]);
        let steps = stride as i64;
        let reach = |tap: usize| (tap * shape.dilation[d]) as i64 - shape.padding[d];
        if !adjoint {
            let taps = (0..kernel).map(|tap| Tap {
                tap,
                part: reach(tap).rem_euclid(steps) as usize,
                shift: reach(tap).div_euclid(steps),
            });
            return Axis {
                step: 1,
                phases: vec![Phase {
                    count: shape.output[d],
                    taps: taps.collect(),
                }],
                parts: stride,
            };
        }
        let size = shape.input[d];
        let phase = |first: usize| {
            let shift = |tap: usize| first as i64 - reach(tap);
            let taps = (0..kernel).filter(|&tap| shift(tap).rem_euclid(steps) == 0);
            let tap = |tap: usize| Tap {
                tap,
                part: 0,
                shift: shift(tap).div_euclid(steps),
            };
            Phase {
                // None, if there are fewer results than phases; the taps are steps of the weight all the same.
                count: size.saturating_sub(first).div_ceil(stride),
                taps: taps.map(tap).collect(),
            }
        };
        Axis {
            step: stride,
            phases: (0..stride).map(phase).collect(),
            parts: 1,
        }
    }
}

impl Phase {
    /// The taps that read one of `size` places for result `q`.
    pub(super) fn inside(&self, q: usize, parts: usize, size: usize) -> Range<usize> {
        let place = |tap: &Tap| (q as i64 + tap.shift) * parts as i64 + tap.part as i64;
        let is_inside = |tap: &Tap| (0..size as i64).contains(&place(tap));
        let first = self.taps.iter().position(is_inside);
        let last = self.taps.iter().rposition(is_inside);
        first
            .zip(last)
            .map_or(0..0, |(first, last)| first..last + 1)
    }
}
