//! A loop on a GPU: the dispatches of its body, recorded round by round, where each round binds other parts of the same
//! buffers. Carries lie in two buffers that take turns, so that no dispatch reads what it writes. A long loop is submitted in
//! pieces. Temporaries and carries are buffers of the arena. It must not know what the body computes.
//!
//! ```text
//!  round      0                   1                   2 (the last)
//!  carry      operand ─► buf 0    buf 0 ─► buf 1      buf 1 ─► the step's output
//!  slices     row 0               row 1               row 2
//!  results    row 0               row 1               row 2
//! ```

use super::prepared::{Action, At, bound, slot_bytes};
use super::run::{Buffers, Span};
use crate::plan::{Loop, LoopWrite};
use wgrad_device::{Commands, Error};

/// Dispatches of one submission, about: encoders of many thousands take memory, and a card that is busy for seconds may be
/// taken for one that hangs.
const SUBMIT: u64 = 1 << 12;

/// A loop made ready.
pub(super) struct Rounds {
    pub(super) actions: Vec<Action>,
    pub(super) length: usize,
    l: Loop,
    /// The step's inputs, and its outputs with their bytes, in terms of the plan around.
    inputs: Vec<At>,
    outputs: Vec<(At, u64)>,
    /// Which buffers of the arena the body's temporaries are.
    temps: Vec<usize>,
    carries: Vec<[usize; 2]>,
    /// Bytes of each result of the body.
    results: Vec<u64>,
}

/// Bytes of the buffers that a loop needs of the arena: the body's temporaries, then two for each carry.
pub(super) fn needs(l: &Loop) -> Vec<u64> {
    let temps = l.body.temps.iter().map(|&bytes| bytes as u64);
    let carries = l.body.outputs[..l.carries.len()].iter();
    let carries = carries.flat_map(|&slot| [slot_bytes(&l.body, slot); 2]);
    temps.chain(carries).map(bound).collect()
}

impl Rounds {
    /// `arena` are the buffers of the arena for its [`needs`].
    pub(super) fn new(
        l: &Loop,
        actions: Vec<Action>,
        inputs: Vec<At>,
        outputs: Vec<(At, u64)>,
        arena: &[usize],
    ) -> Rounds {
        let results = l.body.outputs.iter().map(|&slot| slot_bytes(&l.body, slot));
        let (temps, carries) = arena.split_at(l.body.temps.len());
        Rounds {
            actions,
            length: l.length,
            l: l.clone(),
            inputs,
            outputs,
            temps: temps.to_vec(),
            carries: carries.chunks_exact(2).map(|c| [c[0], c[1]]).collect(),
            results: results.collect(),
        }
    }

    /// The output that a carry is written to after the last round.
    fn last(&self, carry: usize) -> Option<usize> {
        let writes = |w: &LoopWrite| matches!(w, LoopWrite::Last { carry: c } if *c == carry);
        self.l.writes.iter().position(writes)
    }

    /// Records all rounds in terms of the buffers around.
    pub(super) fn record(
        &self,
        around: &Buffers<'_>,
        commands: &mut Commands,
    ) -> Result<(), Error> {
        let inputs: Vec<Span<'_>> = self.inputs.iter().map(|&at| around.at(at)).collect();
        let outputs: Vec<Span<'_>> = self.outputs.iter().map(|&(at, _)| around.at(at)).collect();
        self.clear(&outputs, commands)?;
        if self.length == 0 {
            return self.unchanged(&inputs, &outputs, commands);
        }
        let l = &self.l;
        let carries = l.carries.len();
        let slices = carries..carries + l.pitches.len();
        for round in 0..self.length {
            let row = l.row(round);
            let mut leaves = inputs.clone();
            for (i, leaf) in leaves.iter_mut().enumerate() {
                if slices.contains(&i) {
                    *leaf = leaf.row(row, l.pitches[i - carries]);
                } else if i < carries && round > 0 {
                    let before = around.of_arena(self.carries[i][(round + 1) % 2]);
                    *leaf = before.or(around, self.results[i]);
                }
            }
            let mut results: Vec<Span<'_>> = Vec::with_capacity(self.results.len());
            for carry in 0..carries {
                let turn = self.carries[carry][round % 2];
                let own = || around.of_arena(turn).or(around, self.results[carry]);
                let last = self.last(carry).filter(|_| round + 1 == self.length);
                results.push(last.map_or_else(own, |o| outputs[o]));
            }
            results.resize(self.results.len(), around.nothing());
            for (write, output) in l.writes.iter().zip(&outputs) {
                if let LoopWrite::Each { result, pitch, .. } = *write {
                    results[result] = output.row(row, pitch);
                }
            }
            let frame = around.within(&leaves, &results, &self.temps);
            for action in &self.actions {
                frame.record_once(commands, action)?;
            }
            commands.flush_beyond(SUBMIT)?;
        }
        Ok(())
    }

    /// Rows that are longer than what is written into them have zeros at their ends.
    fn clear(&self, outputs: &[Span<'_>], commands: &mut Commands) -> Result<(), Error> {
        for ((write, output), (_, bytes)) in self.l.writes.iter().zip(outputs).zip(&self.outputs) {
            if let LoopWrite::Each { len, pitch, .. } = *write
                && pitch != len
                && *bytes > 0
            {
                commands.clear(output.buffer, output.offset..output.offset + bytes)?;
            }
        }
        Ok(())
    }

    /// Without rounds the carries are what they were.
    fn unchanged(
        &self,
        inputs: &[Span<'_>],
        outputs: &[Span<'_>],
        commands: &mut Commands,
    ) -> Result<(), Error> {
        for (write, to) in self.l.writes.iter().zip(outputs) {
            if let LoopWrite::Last { carry } = *write
                && self.results[carry] > 0
            {
                let from = inputs[carry];
                let bytes = self.results[carry];
                commands.copy(from.buffer, from.offset, to.buffer, to.offset, bytes)?;
            }
        }
        Ok(())
    }
}
