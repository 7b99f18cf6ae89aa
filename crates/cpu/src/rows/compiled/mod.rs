//! Rows as machine code: all stages of a row in as few loops over its points as reductions ask for, values in registers between
//! them. What a loop does for a point is then one load for each operand and one store for each result, where the stages one by
//! one store and load each value in between. For x86-64 with AVX-512; what it does not know runs stage by stage.
//!
//! ```text
//!   rows ──► schedule     which loop computes what       streams     how operands lie in memory
//!              └──► emit  loops and sums                 body, emitter   values in registers, functions of several instructions
//!                    └──► native                         bytes, memory that can be run
//! ```

mod body;
mod emit;
mod emitter;
mod frame;
mod functions;
mod schedule;
mod streams;
#[cfg(test)]
mod tests;

use crate::call::Context;
use crate::native::Code;
use crate::plan::{Held, Rows};
use crate::rows::outputs::Shared;
use crate::simd::{self, Level};
use crate::threads::scratch::Scratch;
use frame::Frame;
use schedule::{One, Sink};
use std::ops::Range;
use streams::{Sizes, Source, Stream};

/// Rows that are compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    code: Code,
    /// As `code`, with the results of some streams past the caches.
    past: Option<Code>,
    passing: Vec<usize>,
    frame: Frame,
    sizes: Sizes,
    streams: Vec<Stream>,
    /// Words that the source of each stream has at least.
    ends: Vec<usize>,
    /// Rows at one distance in all streams.
    together: usize,
    /// Rows of values of its own.
    own: usize,
}

#[cfg(test)]
thread_local! {
    /// Nothing is compiled, for tests of what runs instead.
    static OFF: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Calls `f`, in which this thread compiles nothing.
#[cfg(test)]
pub(super) fn without<R>(f: impl FnOnce() -> R) -> R {
    OFF.set(true);
    let result = f();
    OFF.set(false);
    result
}

/// The least points of a row: shorter ones take less many at a time.
const SHORTEST: usize = 8;

/// The least points of a run, of several.
const SHORTEST_RUN: usize = 4;

impl Compiled {
    /// `rows` as machine code, if this processor and its system can run it and all in it is known. Results of stages that are
    /// `streamed` go past the caches.
    pub(super) fn of(rows: &Rows, held: &[Held], streamed: &[bool]) -> Option<Compiled> {
        #[cfg(test)]
        OFF.get().eq(&false).then_some(())?;
        let inner: usize = rows.inner.iter().product();
        let usable = simd::level() == Level::Avx512 && !rows.outer.contains(&0);
        (usable && inner >= SHORTEST).then_some(())?;
        let schedule = schedule::schedule(rows, held, streamed)?;
        let sizes = &schedule.sizes;
        (sizes.run >= SHORTEST_RUN || sizes.runs() == 1).then_some(())?;
        let parts = schedule.parts.iter().flat_map(|(_, points)| &points.sinks);
        let passing = parts.filter_map(|(_, sink)| match sink {
            Sink::Stream(stream) => Some(*stream),
            _ => None,
        });
        let passing = passing.collect();
        let (together, pitches) = schedule.sizes.together(&schedule.streams);
        let (code, frame) = emit::emit(&schedule, &pitches, false)?;
        let past = match streamed.contains(&true) {
            true => Some(Code::new(&emit::emit(&schedule, &pitches, true)?.0)?),
            false => None,
        };
        let ends = schedule.streams.iter().map(|s| s.end(&schedule.sizes));
        Some(Compiled {
            code: Code::new(&code)?,
            past,
            passing,
            frame,
            ends: ends.collect(),
            together,
            own: schedule.own,
            streams: schedule.streams,
            sizes: schedule.sizes,
        })
    }

    /// Computes `rows`. Sums over rows are added to `across`, one after the other.
    ///
    /// # Safety
    /// Nobody else computes these rows.
    pub(super) unsafe fn run(
        &self,
        context: &Context<'_>,
        outs: &Shared<'_>,
        across: &mut [f32],
        rows: Range<usize>,
    ) {
        let mut frame = Scratch::filled(self.frame.words(), 0u64);
        let mut own = Scratch::filled(self.own * self.sizes.inner, 0f32);
        let first = self.frame.first_number();
        let numbers: &mut [u32] = bytemuck::cast_slice_mut(&mut frame);
        for (to, one) in numbers[first..].iter_mut().zip(&self.frame.numbers) {
            *to = match *one {
                One::Constant(bits) => bits,
                One::Scalar(scalar) => context.scalars[scalar],
                One::Stage(_) | One::Row(_) => 0,
            };
        }
        let mut bases = Scratch::filled(self.streams.len(), 0u64);
        for ((base, stream), &end) in bases.iter_mut().zip(&self.streams).zip(&self.ends) {
            *base = self.base(stream, end, context, outs, (across, &mut own)) as u64;
        }
        let aligned = |&stream: &usize| {
            let (base, stream) = (bases[stream], &self.streams[stream]);
            let strides = stream.outer.iter().chain([&stream.offset, &stream.apart]);
            let whole = strides
                .chain([&self.sizes.run])
                .all(|s| s.is_multiple_of(16));
            base.is_multiple_of(64) && whole
        };
        let code = match &self.past {
            Some(past) if self.passing.iter().all(aligned) => past,
            _ => &self.code,
        };
        let mut row = rows.start;
        while row < rows.end {
            let n = (self.together - row % self.together).min(rows.end - row);
            frame[0] = n as u64;
            for (s, (stream, base)) in self.streams.iter().zip(&bases[..]).enumerate() {
                let at = stream.row(&self.sizes.outer, row);
                frame[self.frame.stream(s)] = base + 4 * at as u64;
            }
            // SAFETY: the code is a function of a frame, made for this level of instructions; streams lie in their sources, as
            // `base` has asserted, and those that are written are this caller's alone.
            unsafe { code.call(frame.as_mut_ptr()) };
            row += n;
        }
    }

    /// Where the source of a stream begins, which is as long as the stream needs.
    fn base(
        &self,
        stream: &Stream,
        end: usize,
        context: &Context<'_>,
        outs: &Shared<'_>,
        (across, own): (&mut [f32], &mut [f32]),
    ) -> *mut u32 {
        let inner = self.sizes.inner;
        let (start, len) = match stream.source {
            Source::Input(input) => {
                let words = context.words(input);
                (words.as_ptr().cast_mut(), words.len())
            }
            Source::Output(output) => outs.outs[output],
            Source::Own(n) => {
                let own = &mut own[n * inner..][..inner];
                (own.as_mut_ptr().cast(), inner)
            }
            Source::Across(n) => {
                let across = &mut across[n * inner..][..inner];
                (across.as_mut_ptr().cast(), inner)
            }
        };
        assert!(end <= len, "rows do not fit their operands");
        start
    }
}
