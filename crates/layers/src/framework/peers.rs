//! The keys that replicas of a layer draw from, in step.
//!
//! A key follows from the call's key and the place of a layer, never from data. So a replica knows the keys of all the others
//! at the same place, and need not wait for them.
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tallow_tensor::random::Key;

/// For each key that a replica has come to, those of all replicas at its place, in the order of the devices.
#[derive(Debug)]
pub(crate) struct Peers(Mutex<HashMap<Key, Arc<[Key]>>>);

impl Peers {
    /// Replicas whose calls begin with these keys.
    pub(crate) fn new(keys: &[Key]) -> Arc<Self> {
        let peers = Self(Mutex::default());
        peers.insert(keys.into());
        Arc::new(peers)
    }
    fn insert(&self, keys: Arc<[Key]>) {
        let mut known = self.0.lock();
        keys.iter().for_each(|key| drop(known.insert(*key, keys.clone())));
    }
    /// Remembers the keys that `derive` makes of the keys of all replicas, one of which is `key`.
    pub(crate) fn follow(&self, key: Key, derive: impl Fn(Key) -> Vec<Key>) {
        let Some(keys) = self.0.lock().get(&key).cloned() else { return };
        let derived: Vec<Vec<Key>> = keys.iter().map(|&key| derive(key)).collect();
        for place in 0..derived[0].len() {
            self.insert(derived.iter().map(|keys| keys[place]).collect());
        }
    }
    /// The sum of the keys of all replicas, word by word; `None` for a key that does not follow from theirs.
    pub(crate) fn sum(&self, key: Key) -> Option<Key> {
        let keys = self.0.lock().get(&key).cloned()?;
        Some(keys.iter().fold(Key([0, 0]), |a, b| Key([a.0[0].wrapping_add(b.0[0]), a.0[1].wrapping_add(b.0[1])])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_comes_to_the_same_sum() {
        let keys = [Key([1, u32::MAX]), Key([5, 2])];
        let peers = Peers::new(&keys);
        assert_eq!(keys.map(|k| peers.sum(k)), [Some(Key([6, 1])); 2]);
        peers.follow(keys[1], |k| k.split(3));
        let [a, b] = keys.map(|k| k.split(3)[2]);
        let sum = Key([a.0[0].wrapping_add(b.0[0]), a.0[1].wrapping_add(b.0[1])]);
        assert_eq!([a, b].map(|k| peers.sum(k)), [Some(sum); 2]);
        peers.follow(Key::new(9), |k| k.split(2));
        assert_eq!(peers.sum(Key::new(9).split(2)[0]), None);
    }
}
