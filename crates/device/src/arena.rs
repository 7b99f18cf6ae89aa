//! [`Arena`]: temporary memory that many sequences of commands share, one after the other.
//!
//! WebGPU binds no buffer for reading and writing in one dispatch, so the arena is no single block: it is a list of buffers,
//! the largest first, and a user's n-th largest buffer is the n-th of the list. A buffer is replaced when somebody needs a
//! larger one in its place, so the list takes as much as the largest user of each place, and each user finds the same buffers
//! in every turn, and with them its bind groups. Whoever records holds the arena until the submission: the queue is ordered, so
//! the next user may overwrite what the GPU still has to read. Must not know what lies in it.
//!
//! ```text
//!  list        ████████  ██████  ████  █
//!  user A      ▓▓▓▓▓▓▓▓  ▓▓▓▓▓▓  ▓▓▓▓  ▓       the largest
//!  user B      ▒▒▒▒      ▒▒▒     ▒
//! ```

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::health::lock;
use crate::pool::{Owner, size_class};
use crate::shared::Shared;

/// Sizes of the buffers that a user takes from an arena: see [`crate::Gpu::needs`].
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// By place in the list: what each takes, the largest first.
    classes: Vec<u64>,
    /// The place of each buffer.
    places: Vec<usize>,
}

impl Needs {
    /// Buffers of so many bytes, on a device where one has at most `limit`.
    pub(crate) fn new(limit: u64, bytes: &[u64]) -> Result<Needs> {
        if let Some(&bytes) = bytes.iter().find(|&&bytes| bytes > limit) {
            return Err(Error::TooLarge {
                what: "a temporary buffer",
                bytes,
                limit,
            });
        }
        let mut order: Vec<usize> = (0..bytes.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(bytes[i]));
        let mut places = vec![0; bytes.len()];
        for (place, &i) in order.iter().enumerate() {
            places[i] = place;
        }
        Ok(Needs {
            classes: order.iter().map(|&i| size_class(bytes[i], limit)).collect(),
            places,
        })
    }

    /// How many buffers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What all of them take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The buffer with this place in the list.
    fn at(&self, place: usize) -> usize {
        let found = self.places.iter().position(|&p| p == place);
        found.unwrap_or_default()
    }
}

/// A list of buffers by place.
type List = Mutex<Vec<Buffer>>;

/// Temporary memory of one device, which many sequences of commands share: see [`crate::Gpu::arena`]. Gives it back when it is
/// dropped, and when the device runs out of memory while nobody records.
pub struct Arena {
    shared: Arc<Shared>,
    list: Arc<List>,
}

impl core::fmt::Debug for Arena {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Arena({} bytes)", self.bytes())
    }
}

/// Arenas of a device, to take their memory back.
#[derive(Default)]
pub(crate) struct Arenas(Mutex<Vec<Weak<List>>>);

/// Buffers that were not to be had.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// Which of the [`Needs`].
    pub buffer: usize,
    /// Why.
    pub error: Error,
}

/// Buffers for one recording, held until the submission.
#[derive(Debug)]
pub struct Lease<'a> {
    /// None where nothing is needed.
    list: Option<MutexGuard<'a, Vec<Buffer>>>,
    places: &'a [usize],
}

impl Lease<'_> {
    /// Buffer `i` of the needs.
    ///
    /// # Panics
    /// There are fewer.
    #[must_use]
    pub fn buffer(&self, i: usize) -> &Buffer {
        let list = self.list.as_ref().expect("a lease of something");
        &list[self.places[i]]
    }
}

impl Arena {
    /// An empty one.
    pub(crate) fn new(shared: &Arc<Shared>) -> Arena {
        let list = Arc::new(Mutex::default());
        shared.arenas.add(&list);
        Arena {
            shared: shared.clone(),
            list,
        }
    }

    /// The buffers of `needs`, with unspecified contents; waits while another thread records. Where memory is lacking the arena
    /// gives back all that it has and gets what is needed now.
    ///
    /// # Errors
    /// [`Lacking`], with the error of [`crate::Gpu::alloc`]; the arena is empty then.
    pub fn lease<'a>(&'a self, needs: &'a Needs) -> Result<Lease<'a>, Lacking> {
        let places = &needs.places[..];
        if needs.is_empty() {
            return Ok(Lease { list: None, places });
        }
        let mut list = lock(&self.list);
        if self.grow(&mut list, needs).is_err() {
            self.shared.discard(list.drain(..));
            if let Err((place, error)) = self.grow(&mut list, needs) {
                self.shared.discard(list.drain(..));
                let buffer = needs.at(place);
                return Err(Lacking { buffer, error });
            }
        }
        let list = Some(list);
        Ok(Lease { list, places })
    }

    /// Replaces what is too small; what it replaces is given back first.
    fn grow(&self, list: &mut Vec<Buffer>, needs: &Needs) -> Result<(), (usize, Error)> {
        let fits = |(buffer, &class): (&Buffer, &u64)| buffer.len() >= class;
        if list.len() >= needs.len() && list.iter().zip(&needs.classes).all(fits) {
            return Ok(());
        }
        let mut old: Vec<Option<Buffer>> = list.drain(..).map(Some).collect();
        let wanted = old.iter_mut().zip(&needs.classes);
        let small = wanted.filter_map(|(b, class)| b.take_if(|b| b.len() < *class));
        self.shared.discard(small);
        old.resize(old.len().max(needs.len()), None);
        for (place, kept) in old.into_iter().enumerate() {
            let new = match kept {
                Some(buffer) => Ok(buffer),
                None => self.shared.alloc(needs.classes[place], Owner::default()),
            };
            list.push(new.map_err(|error| (place, error))?);
        }
        Ok(())
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.list).iter().map(Buffer::capacity).sum()
    }

    /// By how many bytes it would grow for `needs`.
    #[must_use]
    pub fn growth(&self, needs: &Needs) -> u64 {
        let list = lock(&self.list);
        let held = list.iter().map(Buffer::capacity);
        let held = held.chain(std::iter::repeat(0));
        let grown = needs.classes.iter().zip(held);
        grown.map(|(class, held)| class.saturating_sub(held)).sum()
    }
}

impl Arenas {
    fn add(&self, list: &Arc<List>) {
        let mut arenas = lock(&self.0);
        arenas.retain(|arena| arena.strong_count() > 0);
        arenas.push(Arc::downgrade(list));
    }

    /// Takes what no thread is using.
    pub(crate) fn reclaim(&self) -> Vec<Buffer> {
        let arenas: Vec<Arc<List>> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let mut taken = Vec::new();
        for arena in &arenas {
            match arena.try_lock() {
                Ok(mut list) => taken.append(&mut list),
                Err(TryLockError::Poisoned(list)) => taken.append(&mut list.into_inner()),
                // Its user needs it.
                Err(TryLockError::WouldBlock) => {}
            }
        }
        taken
    }
}

impl Shared {
    /// Gives buffers back to the driver, those that nobody else holds.
    pub(crate) fn discard(&self, buffers: impl Iterator<Item = Buffer>) {
        let raws = buffers.filter_map(Buffer::into_raw).collect::<Vec<_>>();
        self.pool.forget(&raws);
        self.release(raws);
    }
}
