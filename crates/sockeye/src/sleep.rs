//! Sleeping on a node's own clock, without any runtime: its driver wakes the sleepers.

use crate::shard::Shard;
use sockeye_core::Instant;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Ready when its time has come, or the node has been shut down.
pub(crate) struct Sleep {
    shard: Arc<Shard>,
    at: Instant,
    name: Option<u64>,
}

impl Sleep {
    pub(crate) fn new(shard: &Arc<Shard>, duration: Duration) -> Self {
        Self {
            shard: shard.clone(),
            at: shard.now() + duration,
            name: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (at, name) = (this.at, &mut this.name);
        if this.shard.check().is_err() {
            return Poll::Ready(());
        }
        let done = this.shard.with_state(|state, now| {
            if at <= now {
                return true;
            }
            let name = *name.get_or_insert_with(|| {
                state.sleepers_named += 1;
                state.sleepers_named
            });
            state.sleepers.insert((at, name), cx.waker().clone());
            false
        });
        if done {
            return Poll::Ready(());
        }
        // Whoever drives may have set his alarm for later.
        if at < this.shard.seat.deadline() {
            this.shard.seat.set_deadline(at);
        }
        this.shard.serve_task();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(name) = self.name
            && !self.shard.is_foreign()
        {
            let key = (self.at, name);
            let waker = self
                .shard
                .with_state(|state, _| state.sleepers.remove(&key));
            drop(waker);
        }
    }
}
