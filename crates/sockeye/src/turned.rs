//! Who wants to hear of the node's next turn: all that changes by itself changes in one.

use crate::shard::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// The turns so far, and who waits for another.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    count: AtomicU64,
    /// Somebody may wait: the others cost a turn nothing but this look.
    awaited: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Turned {
    /// A turn has ended.
    pub(crate) fn note(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) {
            let wakers = {
                let mut wakers = lock(&self.wakers);
                self.awaited.store(false, Ordering::SeqCst);
                std::mem::take(&mut *wakers)
            };
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Ready with the count when it is another than `seen`.
    pub(crate) fn poll(&self, seen: u64, cx: &Context<'_>) -> Poll<u64> {
        let look = || match self.count.load(Ordering::SeqCst) {
            count if count == seen => Poll::Pending,
            count => Poll::Ready(count),
        };
        if look().is_ready() {
            return look();
        }
        let mut wakers = lock(&self.wakers);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        self.awaited.store(true, Ordering::SeqCst);
        drop(wakers);
        // A turn that ended before it saw the wish is seen here.
        look()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_wait_ends_with_the_next_turn() {
        let turned = Turned::default();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        assert!(turned.poll(0, &cx).is_pending());
        assert!(turned.poll(0, &cx).is_pending(), "asked twice, woken once");
        turned.note();
        turned.note();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(turned.poll(0, &cx), Poll::Ready(2));
        assert!(turned.poll(2, &cx).is_pending());
        turned.note();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    }
}
