//! [`Arena`]: temporary buffers that all plans of an executor share. A run takes its buffers and gives them back at its end: its
//! largest is the arena's largest, its second largest the second, and so on, so that the arena takes as much as the largest run,
//! whatever number of plans there are. Runs take a long time here, so they never wait for each other: one that comes while
//! another has the buffers gets new ones, and of the two only the larger stay. What lies idle is given back where the host lacks
//! memory. Knows no plan.

use super::{HostBufferMut, class_bytes};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

/// Sizes of the buffers that a run takes.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    bytes: Vec<usize>,
    /// Where each stands among them, the largest first.
    places: Vec<usize>,
}

impl Needs {
    /// Buffers of so many bytes.
    pub fn new(bytes: Vec<usize>) -> Needs {
        let mut order: Vec<usize> = (0..bytes.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(bytes[i]));
        let mut places = vec![0; bytes.len()];
        for (place, i) in order.into_iter().enumerate() {
            places[i] = place;
        }
        Needs { bytes, places }
    }

    /// What all of them take.
    pub fn bytes(&self) -> u64 {
        self.bytes.iter().map(|&bytes| class_bytes(bytes)).sum()
    }
}

/// Buffers by place; none where a run has it.
type List = Mutex<Vec<Option<HostBufferMut>>>;

/// All arenas, for what they have idle.
static ARENAS: Mutex<Vec<Weak<List>>> = Mutex::new(Vec::new());

/// See the head of this module.
#[derive(Debug)]
pub struct Arena(Arc<List>);

/// What a run has taken, in the order of its needs.
#[derive(Debug)]
pub struct Taken {
    /// One for each need.
    pub buffers: Vec<Option<HostBufferMut>>,
    /// Whether they are larger than the run needs: where it then lacks memory, exact ones leave more.
    pub roomy: bool,
}

impl Default for Arena {
    fn default() -> Arena {
        Arena::new()
    }
}

impl Arena {
    /// One that holds nothing yet.
    pub fn new() -> Arena {
        let list = Arc::new(Mutex::default());
        let mut arenas = lock(&ARENAS);
        arenas.retain(|arena| arena.strong_count() > 0);
        arenas.push(Arc::downgrade(&list));
        Arena(list)
    }

    /// Takes buffers with arbitrary contents. Where memory is lacking the arena first gives back all that it has.
    ///
    /// # Errors
    /// Which of the needs there is no room for, and its bytes.
    pub fn take(&self, needs: &Needs) -> Result<Taken, (usize, usize)> {
        let mut taken = Taken {
            buffers: Vec::with_capacity(needs.bytes.len()),
            roomy: false,
        };
        if needs.bytes.is_empty() {
            return Ok(taken);
        }
        let mut list = lock(&self.0);
        let idle = |&place: &usize| list.get_mut(place).and_then(Option::take);
        taken.buffers.extend(needs.places.iter().map(idle));
        drop(list);
        for (buffer, &bytes) in taken.buffers.iter_mut().zip(&needs.bytes) {
            // What is too small goes before anything is allocated.
            *buffer = buffer.take().and_then(|b| b.fitted(bytes));
            taken.roomy |= buffer
                .as_ref()
                .is_some_and(|b| b.capacity() > class_bytes(bytes));
        }
        if taken.fill(needs).is_err() {
            taken.buffers.fill_with(|| None);
            taken.roomy = false;
            self.release();
            taken.fill(needs)?;
        }
        Ok(taken)
    }

    /// Takes back what a run had, in the order of its needs.
    pub fn give(&self, needs: &Needs, buffers: impl Iterator<Item = Option<HostBufferMut>>) {
        if needs.bytes.is_empty() {
            return;
        }
        let mut list = lock(&self.0);
        let least = list.len().max(needs.places.len());
        list.resize_with(least, || None);
        for (&place, buffer) in needs.places.iter().zip(buffers) {
            let kept = list[place].as_ref().map_or(0, HostBufferMut::capacity);
            if let Some(buffer) = buffer.filter(|b| b.capacity() > kept) {
                list[place] = Some(buffer);
            }
        }
    }

    /// Gives back all that no run has.
    pub fn release(&self) {
        let idle = std::mem::take(&mut *lock(&self.0));
        drop(idle);
    }

    /// By how many bytes it would grow if a run took this now.
    pub fn growth(&self, needs: &Needs) -> u64 {
        let list = lock(&self.0);
        let held = |&place: &usize| list.get(place)?.as_ref().map(HostBufferMut::capacity);
        let each = needs.places.iter().zip(&needs.bytes);
        each.map(|(place, &bytes)| class_bytes(bytes).saturating_sub(held(place).unwrap_or(0)))
            .sum()
    }
}

impl Taken {
    /// Allocates what is missing.
    fn fill(&mut self, needs: &Needs) -> Result<(), (usize, usize)> {
        for (i, (buffer, &bytes)) in self.buffers.iter_mut().zip(&needs.bytes).enumerate() {
            if buffer.is_none() {
                *buffer = Some(HostBufferMut::scratch(bytes).map_err(|bytes| (i, bytes))?);
            }
        }
        Ok(())
    }
}

/// Gives back what no run has, of all arenas.
pub(super) fn reclaim() {
    let arenas: Vec<Arc<List>> = lock(&ARENAS).iter().filter_map(Weak::upgrade).collect();
    for arena in &arenas {
        let idle = match arena.try_lock() {
            Ok(mut list) => std::mem::take(&mut *list),
            Err(TryLockError::Poisoned(list)) => std::mem::take(&mut *list.into_inner()),
            // Whoever has the lock takes or gives right now.
            Err(TryLockError::WouldBlock) => continue,
        };
        drop(idle);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arena: &Arena, bytes: &[usize]) {
        let needs = Needs::new(bytes.to_vec());
        let taken = arena.take(&needs).expect("room");
        for (buffer, &bytes) in taken.buffers.iter().zip(bytes) {
            assert_eq!(buffer.as_ref().expect("taken").len(), bytes);
        }
        arena.give(&needs, taken.buffers.into_iter());
        assert_eq!(arena.growth(&needs), 0);
    }

    fn held(arena: &Arena) -> u64 {
        let list = lock(&arena.0);
        list.iter().flatten().map(HostBufferMut::capacity).sum()
    }

    #[test]
    fn an_arena_takes_what_its_largest_user_does() {
        let arena = Arena::new();
        for scale in [3, 1, 8, 2, 5] {
            run(&arena, &[1024 * scale, 64 * scale, 4096 * scale]);
        }
        assert_eq!(held(&arena), Needs::new(vec![8192, 512, 32768]).bytes());
        // Another order, and more of the small ones.
        run(&arena, &[100, 30000, 100, 4000]);
        let most = Needs::new(vec![8192, 512, 32768, 100]);
        assert_eq!(held(&arena), most.bytes());
        arena.release();
        assert_eq!(held(&arena), 0);
    }

    #[test]
    fn of_two_at_once_the_larger_stay() {
        let arena = Arena::new();
        let (small, large) = (Needs::new(vec![640, 640]), Needs::new(vec![64, 6400]));
        let (a, b) = (arena.take(&small), arena.take(&large));
        let (a, b) = (a.expect("room"), b.expect("room"));
        arena.give(&large, b.buffers.into_iter());
        arena.give(&small, a.buffers.into_iter());
        assert_eq!(held(&arena), Needs::new(vec![6400, 640]).bytes());
    }

    #[test]
    fn what_is_idle_is_taken_back() {
        let arena = Arena::new();
        run(&arena, &[1 << 16, 1 << 10]);
        reclaim();
        assert_eq!(held(&arena), 0);
    }
}
