//! How many bytes the weights and state held between calls take, told to whoever has to know.
use crate::Tree;
use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicI64, Ordering::Relaxed},
        Arc,
    },
};
use tallow_tensor::Tensor;

/// The bytes that layers came to hold since it was last asked; below zero where they gave more up.
#[derive(Debug, Default)]
pub struct Account(AtomicI64);

impl Account {
    /// The bytes since the last call of this.
    pub fn take(&self) -> i64 {
        match self.0.load(Relaxed) {
            0 => 0,
            _ => self.0.swap(0, Relaxed),
        }
    }
}

thread_local!(static CURRENT: RefCell<Option<Arc<Account>>> = const { RefCell::new(None) });

/// Runs `f`; what layers made in it ever hold goes to `account`.
pub fn charging<R>(account: &Arc<Account>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<Account>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(account.clone())));
    f()
}

/// Weights or state held between calls.
#[derive(Debug)]
pub(crate) struct Holding {
    tree: Option<Arc<Tree<Tensor>>>,
    bytes: i64,
    account: Option<Arc<Account>>,
}

impl Default for Holding {
    fn default() -> Self {
        Self { tree: None, bytes: 0, account: CURRENT.with_borrow(Clone::clone) }
    }
}

impl Holding {
    /// Holds `tree` from the start.
    pub(crate) fn of(tree: Option<Arc<Tree<Tensor>>>) -> Self {
        let mut holding = Self::default();
        drop(holding.set(tree));
        holding
    }
    pub(crate) fn get(&self) -> Option<&Arc<Tree<Tensor>>> {
        self.tree.as_ref()
    }
    /// Holds `tree`; gives what it held before.
    pub(crate) fn set(&mut self, tree: Option<Arc<Tree<Tensor>>>) -> Option<Arc<Tree<Tensor>>> {
        self.charge(tree.as_ref().map_or(0, |tree| tree.bytes() as i64));
        std::mem::replace(&mut self.tree, tree)
    }
    fn charge(&mut self, bytes: i64) {
        if let Some(account) = self.account.as_ref().filter(|_| bytes != self.bytes) {
            account.0.fetch_add(bytes - self.bytes, Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.charge(0);
    }
}
