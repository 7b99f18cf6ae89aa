//! A loop whose parts never meet, as the sequences of a batch: a thread takes a part through all rounds, and what a round leaves
//! is written where it belongs. It must not know what the body computes, nor find out whether parts meet.

use super::Run;
use super::memory::{Buffers, Leaf};
use super::segments::{Segment, Slots};
use crate::matmul::gemm::scratch::with_scratch;
use crate::plan::{Loop, LoopWrite, Place, SlotId};
use crate::storage::HostBufferMut;
use crate::threads::par::Par;

/// Bytes of an element.
const ELEMENT: usize = 4;

/// Where bytes begin, and how many there are.
type Bytes = (*mut u8, usize);

/// Where a slot of the body lies.
#[derive(Clone, Copy)]
enum Where {
    /// What does not change.
    Fixed(Bytes),
    /// A carry before the round, and after it: two buffers that take turns.
    Carry([Bytes; 2], usize),
    /// A row of what is given in slices or left by each round, so many bytes from the next.
    Row(Bytes, usize),
}

/// What is copied after a round: from a slot's place to a row.
struct Copied {
    from: Where,
    to: Where,
    /// Bytes of a unit of a part.
    len: usize,
}

/// What the threads share.
struct Shared {
    places: Vec<Where>,
    copies: Vec<Copied>,
}

// SAFETY: each thread touches its own parts of what is written.
unsafe impl Sync for Shared {}

impl Where {
    /// Where it is in round `round`, which is of row `row`.
    fn at(self, round: usize, row: usize) -> Bytes {
        match self {
            Where::Fixed(bytes) => bytes,
            Where::Carry(turns, first) => turns[(first + round) % 2],
            Where::Row((start, len), pitch) => {
                let from = (row * pitch).min(len);
                (start.wrapping_add(from), len - from)
            }
        }
    }
}

/// Runs all rounds of `l`, whose body is `segment`, with `inner` for its memory: what was the operand of a carry is there
/// afterwards what the last round has left.
pub(super) fn run(
    segment: &Segment,
    inner: &mut Buffers<'_>,
    l: &Loop,
    (inputs, outs): (&[&[u8]], &mut [Option<HostBufferMut>]),
    (run, par): (Run<'_>, Par<'_>),
) {
    if l.length == 0 {
        return;
    }
    segment.pack(&l.body, inner, par);
    let moves = |carry: usize| l.body.slots[l.body.outputs[carry]].place == Place::Output(carry);
    let places = Places::new(inner, l, inputs, outs);
    let shared = Shared {
        places: segment.slots.iter().map(|s| places.of(s.0)).collect(),
        copies: places.copies(segment.share.units),
    };
    let (buffers, shared) = (&*inner, &shared);
    par.for_each(segment.share.parts(), |part| {
        with_scratch(segment.local, |own| {
            let units = segment.units(part);
            let nothing = Slots::read(&[]);
            let mut slots = Slots::new(vec![nothing; shared.places.len()]);
            for round in 0..l.length {
                let row = l.row(round);
                for (number, place) in shared.places.iter().enumerate() {
                    slots.set(number, place.at(round, row));
                }
                // SAFETY: this thread alone works on the part, in all rounds.
                unsafe { segment.part(buffers, &slots, run, (part, own)) };
                for copy in &shared.copies {
                    let ((from, has), (to, room)) =
                        (copy.from.at(round, row), copy.to.at(round, row));
                    let (first, len) = (units.start * copy.len, units.len() * copy.len);
                    assert!(first + len <= has && first + len <= room, "a part of a row");
                    // SAFETY: both hold the part, and are different buffers.
                    unsafe { from.add(first).copy_to_nonoverlapping(to.add(first), len) };
                }
            }
        });
    });
    for carry in (0..l.carries.len()).filter(|&carry| moves(carry) && l.length % 2 == 1) {
        if let (Leaf::Own(old), Some(new)) = (&mut inner.leaves[carry], &mut inner.outputs[carry]) {
            std::mem::swap(old, new);
        }
    }
}

/// Finds where each slot lies.
struct Places<'a> {
    l: &'a Loop,
    /// The two buffers of each carry.
    carries: Vec<[Bytes; 2]>,
    inputs: &'a [&'a [u8]],
    /// Of each output of the step.
    outs: Vec<Bytes>,
    /// Of each output of the body.
    results: Vec<Bytes>,
}

impl<'a> Places<'a> {
    fn new(
        inner: &mut Buffers<'_>,
        l: &'a Loop,
        inputs: &'a [&'a [u8]],
        outs: &mut [Option<HostBufferMut>],
    ) -> Places<'a> {
        let bytes = |buffer: Option<&mut HostBufferMut>| match buffer {
            Some(buffer) => Slots::write(buffer.bytes_mut()),
            None => Slots::write(&mut []),
        };
        let nothing = Slots::write(&mut []);
        let outputs = inner.outputs.iter_mut();
        let results: Vec<Bytes> = outputs.map(|out| bytes(out.as_mut())).collect();
        let pair = |carry: usize| {
            let old = match &mut inner.leaves[carry] {
                Leaf::Own(buffer) => Some(buffer),
                _ => None,
            };
            [bytes(old), results.get(carry).copied().unwrap_or(nothing)]
        };
        Places {
            l,
            carries: (0..l.carries.len()).map(pair).collect(),
            inputs,
            results: results.clone(),
            outs: outs.iter_mut().map(|out| bytes(out.as_mut())).collect(),
        }
    }

    fn of(&self, slot: SlotId) -> Where {
        let (l, carries) = (self.l, self.l.carries.len());
        match l.body.slots[slot].place {
            Place::Leaf(i) if i < carries => match l.body.outputs[i] == slot {
                true => Where::Fixed(self.carries[i][0]),
                false => Where::Carry(self.carries[i], 0),
            },
            Place::Leaf(i) => {
                let bytes = Slots::read(self.inputs[i]);
                match l.pitches.get(i - carries) {
                    Some(pitch) => Where::Row(bytes, pitch * ELEMENT),
                    None => Where::Fixed(bytes),
                }
            }
            Place::Output(i) if i < carries => Where::Carry(self.carries[i], 1),
            Place::Output(i) => match self.rows_of(slot).next() {
                // It is made where it belongs.
                Some(row) => row,
                None => Where::Fixed(self.results[i]),
            },
            // There is no such slot in a body that runs so.
            Place::Temp(_) => Where::Fixed(Slots::write(&mut [])),
        }
    }

    /// Where a result is to lie row by row.
    fn rows_of(&self, slot: SlotId) -> impl Iterator<Item = Where> + '_ {
        let writes = self.l.writes.iter().zip(&self.outs);
        writes.filter_map(move |(write, &out)| match *write {
            LoopWrite::Each { result, pitch, .. } if self.l.body.outputs[result] == slot => {
                Some(Where::Row(out, pitch * ELEMENT))
            }
            _ => None,
        })
    }

    /// What has to be copied after a round: what is handed on too, and what lies in several rows.
    fn copies(&self, units: usize) -> Vec<Copied> {
        let body = &self.l.body;
        let mut slots = body.outputs.clone();
        slots.sort_unstable();
        slots.dedup();
        let of_slot = |slot: SlotId| {
            let is_made = match body.slots[slot].place {
                Place::Output(i) => i >= self.l.carries.len(),
                _ => false,
            };
            let rows = self.rows_of(slot).skip(usize::from(is_made));
            rows.map(move |to| Copied {
                from: self.of(slot),
                to,
                len: body.slots[slot].len / units * ELEMENT,
            })
        };
        slots.into_iter().flat_map(of_slot).collect()
    }
}
