//! Stopping work that runs on another thread.
//!
//! Whoever starts work gives its thread a [`Token`] ([`running`]); long work asks now and then whether it should go on ([`check`]).
use crate::{Error, ErrorKind, Result};
use std::{
    cell::RefCell,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc,
    },
};

/// What work is stopped with; clones are the same token.
#[derive(Debug, Clone, Default)]
pub struct Token {
    asked: Arc<AtomicBool>,
    above: Option<Arc<Token>>,
}

impl Token {
    /// A token that is also cancelled when this one is.
    #[must_use]
    pub fn below(&self) -> Self {
        Self { asked: Arc::default(), above: Some(Arc::new(self.clone())) }
    }
    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.asked.store(true, Relaxed);
    }
    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.asked.load(Relaxed) || self.above.as_ref().is_some_and(|t| t.is_cancelled())
    }
    /// An error if the work should stop.
    ///
    /// # Errors
    /// `Aborted`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Aborted, "the work was cancelled"));
        }
        Ok(())
    }
}

thread_local!(static RUNNING: RefCell<Option<Token>> = const { RefCell::new(None) });

/// Runs `f` with `token` as what [`check`] looks at on this thread.
pub fn running<T>(token: &Token, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Token>);
    impl Drop for Restore {
        fn drop(&mut self) {
            RUNNING.set(self.0.take());
        }
    }
    let _restore = Restore(RUNNING.replace(Some(token.clone())));
    f()
}

/// Runs `f` to its end, whatever is cancelled meanwhile: for what must not stop half-way.
pub fn shielded<T>(f: impl FnOnce() -> T) -> T {
    running(&Token::default(), f)
}

/// The token of the work that runs on this thread, to hand on to threads that it starts.
pub fn current() -> Option<Token> {
    RUNNING.with_borrow(Clone::clone)
}

/// An error if the work that runs on this thread should stop.
///
/// # Errors
/// `Aborted`.
pub fn check() -> Result<()> {
    RUNNING.with_borrow(|token| token.as_ref().map_or(Ok(()), Token::check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_running_work_is_stopped() {
        let (all, other) = (Token::default(), Token::default());
        let one = all.below();
        other.cancel();
        running(&one, || {
            assert!(check().is_ok());
            running(&other, || assert_eq!(check().unwrap_err().kind(), ErrorKind::Aborted));
            assert!(check().is_ok());
            all.cancel();
            assert!(shielded(check).is_ok());
            assert!(current().is_some_and(|t| t.is_cancelled()));
            assert!(check().is_err());
        });
        assert!(check().is_ok() && current().is_none());
    }
}
