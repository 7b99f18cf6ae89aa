//! Where a program's values are while it runs: lane buffers that a thread keeps from worker to worker, and what is fetched
//! ahead. It must not compute.

use crate::program::{LANES, Program};
use crate::simd::Upcoming;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// One cache line of lanes.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u32; 16]);

/// Where the value of a register is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In a lane buffer.
    Lanes(usize),
    /// In a lane buffer's first lane, for all lanes.
    One(usize),
    /// In an input, from this word on.
    Input(usize, usize),
    /// In an input's word, for all lanes.
    InputOne(usize, usize),
    /// In the values of an earlier stage, from this word on.
    Stage(usize, usize),
    /// In an earlier stage's word, for all lanes.
    StageOne(usize, usize),
}

/// A [`Place`] in one word. It is read right after it was written: a processor hands one stored word on, but waits where it has to
/// put two together.
#[derive(Clone, Copy)]
pub(super) struct Held(u64);

impl Held {
    const BITS: u32 = 48;

    #[inline(always)]
    pub(super) fn at(place: Place) -> Held {
        let (kind, of, at) = match place {
            Place::Lanes(buffer) => (0, buffer, 0),
            Place::One(buffer) => (1, buffer, 0),
            Place::Input(input, at) => (2, input, at),
            Place::InputOne(input, at) => (3, input, at),
            Place::Stage(stage, at) => (4, stage, at),
            Place::StageOne(stage, at) => (5, stage, at),
        };
        debug_assert!(of < 1 << 13 && at < 1 << Held::BITS);
        Held(kind << 61 | (of as u64) << Held::BITS | at as u64)
    }

    #[inline(always)]
    pub(super) fn place(self) -> Place {
        let of = (self.0 << 3 >> (Held::BITS + 3)) as usize;
        let at = (self.0 & ((1 << Held::BITS) - 1)) as usize;
        match self.0 >> 61 {
            0 => Place::Lanes(of),
            1 => Place::One(of),
            2 => Place::Input(of, at),
            3 => Place::InputOne(of, at),
            4 => Place::Stage(of, at),
            _ => Place::StageOne(of, at),
        }
    }
}

/// What a worker writes to. Contents are arbitrary between workers.
#[derive(Default)]
pub(crate) struct Contents {
    pub(super) lanes: Vec<Vec<Line>>,
    pub(super) held: Vec<Held>,
    /// Lanes that the buffer of a load of the same points in every row holds, from the begin of a row on.
    pub(super) rows_held: Vec<usize>,
    /// Loop indices of the block's first point.
    pub(super) index: Vec<usize>,
    pub(super) odometer: Vec<usize>,
    /// What to fetch meanwhile.
    pub(crate) ahead: Ahead,
}

/// Memory that will be read next, fetched little by little: a memory that is asked for much at once makes everybody wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    lines: [Option<Upcoming>; Ahead::MOST],
    /// Words that are left of each, and how many to fetch with each block.
    left: usize,
    step: usize,
}

impl Ahead {
    /// The most places that are fetched from.
    pub(crate) const MOST: usize = 4;

    /// The next `len` words of each of these places, read in `blocks` blocks for each block of theirs.
    pub(crate) fn new(lines: [Option<Upcoming>; Ahead::MOST], len: usize, blocks: usize) -> Ahead {
        Ahead {
            lines,
            left: len,
            step: (LANES / blocks.max(1)).next_multiple_of(16),
        }
    }

    pub(super) fn fetch(&mut self) {
        if self.left == 0 {
            return;
        }
        let step = self.step.min(self.left);
        self.left -= step;
        for line in self.lines.iter_mut().flatten() {
            line.fetch(step);
        }
    }
}

thread_local! {
    /// Memory that no worker of this thread uses. A stack: while one worker waits for another thread, its own may
    /// start the next.
    #[allow(clippy::vec_box, reason = "what is handed from worker to worker is a pointer")]
    static IDLE: RefCell<Vec<Box<Contents>>> = const { RefCell::new(Vec::new()) };
}

/// Memory of this thread, which gets it back when it is dropped.
pub(crate) struct Memory(ManuallyDrop<Box<Contents>>);

impl Deref for Memory {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.0
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut Contents {
        &mut self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nothing is used after a drop.
        let contents = unsafe { ManuallyDrop::take(&mut self.0) };
        // A panic leaves it in pieces: lanes are taken out while they are computed.
        if std::thread::panicking() {
            return;
        }
        // A thread that ends has no use for it.
        let _ = IDLE.try_with(|idle| idle.borrow_mut().push(contents));
    }
}

impl Memory {
    /// Memory of this thread's.
    pub(crate) fn take() -> Memory {
        let idle = IDLE.with(|idle| idle.borrow_mut().pop());
        let mut contents = idle.unwrap_or_default();
        contents.ahead = Ahead::default();
        Memory(ManuallyDrop::new(contents))
    }

    pub(super) fn fit(&mut self, program: &Program) {
        while self.lanes.len() < program.n_buffers {
            self.lanes.push(vec![Line([0; 16]); LANES / 16]);
        }
        self.held.clear();
        let one = program.buffer.iter().map(|&b| Held::at(Place::One(b)));
        self.held.extend(one);
        self.rows_held.clear();
        self.rows_held.resize(program.buffer.len(), 0);
    }
}
