//! The turn token of a shard: one holder at a time, and no request for a turn is ever lost.

use crate::sync::atomic::{AtomicU8, Ordering};

/// Nobody runs a turn.
const FREE: u8 = 0;
/// Somebody does.
const HELD: u8 = 1;
/// Somebody does, and there is work that he may not have seen.
const AGAIN: u8 = 2;

/// A try-lock with a memory: a failed attempt tells the holder to look again before he goes.
#[derive(Debug)]
pub(crate) struct Token(AtomicU8);

/// What became of a [`Token::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The token is free.
    Released,
    /// Work came in meanwhile: the token is still held, and its holder runs another turn.
    Again,
}

impl Token {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(FREE))
    }

    /// Takes the token, or asks its holder to look again. Work must be visible (queued under its
    /// lock) before this is called.
    #[must_use]
    pub(crate) fn try_take(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let next = if seen == FREE { HELD } else { AGAIN };
            // AGAIN is written over AGAIN, too: it is this write that publishes the caller's work.
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return seen == FREE,
                Err(other) => seen = other,
            }
        }
    }

    /// Gives the token back, unless somebody asked for another turn.
    pub(crate) fn release(&self) -> Release {
        match self
            .0
            .compare_exchange(HELD, FREE, Ordering::Release, Ordering::Relaxed)
        {
            Ok(_) => Release::Released,
            Err(_) => {
                self.0.swap(HELD, Ordering::AcqRel);
                Release::Again
            }
        }
    }

    /// Gives the token back in any case; true when somebody asked for another turn, which the
    /// caller now has to see to.
    pub(crate) fn hand_on(&self) -> bool {
        self.0.swap(FREE, Ordering::AcqRel) == AGAIN
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_makes_the_holder_look_again() {
        let token = Token::new();
        assert!(token.try_take());
        assert!(!token.try_take());
        assert!(!token.try_take());
        assert_eq!(token.release(), Release::Again);
        assert_eq!(token.release(), Release::Released);
        assert!(token.try_take());
        assert!(!token.hand_on());
        assert!(token.try_take());
        assert!(!token.try_take());
        assert!(token.hand_on());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::{Arc, Mutex};

    /// Whoever queues work and calls for a turn finds it done when all are gone: nothing is left
    /// behind between a holder's last look and his release.
    #[test]
    fn no_work_is_left_behind() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((Token::new(), Mutex::new(0), Mutex::new(0)));
            let work = |shared: &(Token, Mutex<u32>, Mutex<u32>)| {
                let (token, queue, done) = shared;
                *queue.lock().unwrap() += 1;
                if !token.try_take() {
                    return;
                }
                loop {
                    let taken = std::mem::take(&mut *queue.lock().unwrap());
                    *done.lock().unwrap() += taken;
                    if token.release() == Release::Released {
                        return;
                    }
                }
            };
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    loom::thread::spawn(move || work(&shared))
                })
                .collect();
            work(&shared);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(*shared.1.lock().unwrap(), 0);
            assert_eq!(*shared.2.lock().unwrap(), 3);
        });
    }

    /// At most one thread is inside a turn.
    #[test]
    fn one_holder_at_a_time() {
        loom::model(|| {
            let shared = Arc::new((Token::new(), AtomicU8::new(0)));
            let turn = |shared: &(Token, AtomicU8)| {
                if shared.0.try_take() {
                    loop {
                        assert_eq!(shared.1.fetch_add(1, Ordering::Relaxed), 0);
                        shared.1.fetch_sub(1, Ordering::Relaxed);
                        if shared.0.release() == Release::Released {
                            break;
                        }
                    }
                }
            };
            let other = {
                let shared = shared.clone();
                loom::thread::spawn(move || turn(&shared))
            };
            turn(&shared);
            other.join().unwrap();
        });
    }
}
