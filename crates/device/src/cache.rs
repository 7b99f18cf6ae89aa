//! A bounded map for things that are cheap to make again.
//!
//! Two generations: when the young one is full it becomes the old one and the old one
//! is dropped, so what is used stays and every operation is constant time. Must hold
//! nothing whose loss would change a result.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Bounded map; keeps at least the `half` most recently used entries.
pub(crate) struct Bounded<K, V> {
    half: usize,
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Bounded<K, V> {
    pub(crate) fn new(half: usize) -> Self {
        Self {
            half,
            young: FxHashMap::default(),
            old: FxHashMap::default(),
        }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.young.retain(|_, value| keep(value));
        self.old.retain(|_, value| keep(value));
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn keeps_what_is_used_and_stays_bounded() {
        let mut cache = Bounded::new(4);
        cache.insert(0, "kept");
        for i in 1..100 {
            cache.insert(i, "other");
            assert_eq!(cache.get(&0), Some(&"kept"));
            assert!(cache.len() <= 8);
        }
        assert_eq!(cache.get(&1), None);
        cache.retain(|value| *value != "kept");
        assert_eq!(cache.get(&0), None);
    }
}
