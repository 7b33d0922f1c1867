//! The turn: the only code that touches a link.
//!
//! `recv_batch` of every link, then under the state's lock `handle_batch`, `handle_timeout`,
//! `poll_transmit` and the waiters, then `send_batch`. Whoever has work runs it: a thread that
//! wrote, one that waits, the background thread, a runtime's task. The token keeps turns one after
//! the other from `recv_batch` to `send_batch`, so that packets never change their order.
//!
//! A turn over a memory link gives work to the node at its other end. That node's turn is never
//! nested: it is put on the thread's work list, and run when the token is free again.

use crate::shard::{LinkSlot, Shard, lock};
use crate::token::Release;
use sockeye_core::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// Packets that one turn takes from one link.
const RX_BUDGET: usize = 64;
/// Packets that one turn has waiting for one link at most.
const TX_BUDGET: usize = 64;
/// Turns that one call runs on one node before it hands the rest on to the driver.
const TURNS_MAX: usize = 16;
/// Nodes that one call runs, counting one as often as it comes up, before it hands the rest on.
const WORK_MAX: usize = 64;
/// Nodes that a thread remembers to have run; when it waits it drives these as well.
const TOUCHED_MAX: usize = 8;

#[derive(Default)]
struct Work {
    /// This thread is in [`run`].
    active: bool,
    list: VecDeque<Arc<Shard>>,
    touched: VecDeque<Weak<Shard>>,
}

thread_local! {
    static WORK: RefCell<Work> = RefCell::default();
}

/// Runs what is to be done on `shard`, and then on the nodes that this gave work to.
pub(crate) fn run(shard: &Arc<Shard>) {
    if !begin(shard) {
        return;
    }
    let active = Active;
    turns(shard);
    let mut budget = WORK_MAX;
    while let Some(next) = next() {
        if budget == 0 {
            next.seat.kick();
            continue;
        }
        budget -= 1;
        turns(&next);
    }
    drop(active);
}

/// A link of `shard` has packets or room.
pub(crate) fn notified(shard: &Arc<Shard>) {
    let listed = WORK.try_with(|work| {
        let mut work = work.borrow_mut();
        if work.active {
            push(&mut work.list, shard);
        }
        work.active
    });
    // Called by a driver's own thread, or by the end of a link: somebody has to come.
    if !listed.unwrap_or(false) {
        shard.seat.kick();
    }
}

/// The nodes that this thread ran lately, besides `but`.
pub(crate) fn touched(but: &Arc<Shard>) -> Vec<Arc<Shard>> {
    let all = WORK.try_with(|work| {
        let mut work = work.borrow_mut();
        work.touched.retain(|shard| shard.strong_count() > 0);
        work.touched.iter().filter_map(Weak::upgrade).collect()
    });
    let mut all: Vec<_> = all.unwrap_or_default();
    all.retain(|shard| !Arc::ptr_eq(shard, but));
    all
}

/// Marks the thread as running turns. False when it is already: then `shard` is put on its list.
fn begin(shard: &Arc<Shard>) -> bool {
    let begun = WORK.try_with(|work| {
        let mut work = work.borrow_mut();
        if work.active {
            push(&mut work.list, shard);
            return false;
        }
        work.active = true;
        touch(&mut work.touched, shard);
        true
    });
    // Without its locals (the thread is ending) nothing can be listed: the driver is called.
    begun.unwrap_or_else(|_| {
        shard.seat.kick();
        false
    })
}

fn next() -> Option<Arc<Shard>> {
    WORK.with_borrow_mut(|work| {
        let next = work.list.pop_front()?;
        touch(&mut work.touched, &next);
        Some(next)
    })
}

fn push(list: &mut VecDeque<Arc<Shard>>, shard: &Arc<Shard>) {
    if !list.iter().any(|listed| Arc::ptr_eq(listed, shard)) {
        list.push_back(shard.clone());
    }
}

fn touch(touched: &mut VecDeque<Weak<Shard>>, shard: &Arc<Shard>) {
    if touched
        .iter()
        .any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(shard)))
    {
        return;
    }
    if touched.len() == TOUCHED_MAX {
        touched.pop_front();
    }
    touched.push_back(Arc::downgrade(shard));
}

/// Ends [`run`], also by a panic; what is left on the list then goes to the drivers.
struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        let left = WORK.with_borrow_mut(|work| {
            work.active = false;
            std::mem::take(&mut work.list)
        });
        for shard in left {
            shard.seat.kick();
        }
    }
}

/// Gives the token back when a turn panics: the node would never move again.
struct Holding<'a>(&'a Shard);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if self.0.token.hand_on() {
            self.0.seat.kick();
        }
    }
}

/// Turns of one node, until it has nothing to do or the budget is spent.
fn turns(shard: &Arc<Shard>) {
    if shard.is_foreign() || !shard.token.try_take() {
        return;
    }
    let holding = Holding(shard);
    for _ in 0..TURNS_MAX {
        if turn(shard) {
            continue;
        }
        if shard.token.release() == Release::Released {
            std::mem::forget(holding);
            return;
        }
    }
    drop(holding);
    shard.seat.kick();
}

/// One turn. True when there is more to do at once.
fn turn(shard: &Shard) -> bool {
    let mut slots = lock(&shard.links);
    let now = shard.now();
    let mut more = false;
    for slot in slots.iter_mut() {
        more |= slot.receive(now);
    }
    let (mut deadline, woken) = shard.with_turn(|node| {
        for slot in slots.iter_mut() {
            node.handle_batch(now, slot.interface, &mut slot.rx);
        }
        node.handle_timeout(now);
        for slot in slots.iter_mut() {
            slot.pull(node, now);
        }
    });
    woken.into_iter().for_each(Waker::wake);
    shard.turned.note();
    let mut blocked = false;
    for slot in slots.iter_mut() {
        more |= slot.send(now);
        blocked |= slot.blocks_anew();
        deadline = deadline.min(slot.link.deadline().unwrap_or(Instant::FAR));
    }
    if slots.iter().any(|slot| slot.failed) {
        shard.remove_failed(&mut slots);
        shard.turned.note();
    }
    drop(slots);
    shard.seat.set_deadline(deadline);
    if blocked {
        // Who waits for the devices has to wait for room in them from now on.
        shard.seat.kick();
    }
    more || deadline <= now
}

impl LinkSlot {
    /// Takes what came; true when there may be more.
    fn receive(&mut self, now: Instant) -> bool {
        match self.link.recv_batch(now, &mut self.rx, RX_BUDGET) {
            Ok(received) => received >= RX_BUDGET,
            Err(error) => self.fail(&error),
        }
    }

    /// Takes what the node has to send, as far as there is room for it here.
    fn pull(&mut self, node: &mut sockeye_node::Node, now: Instant) {
        let waiting = self.tx.len();
        let room = TX_BUDGET.saturating_sub(waiting);
        let more = node.poll_transmit(now, self.interface, &mut self.tx, room);
        // Who has more but sends nothing waits for something else than this turn; unless what waits
        // here left no room, and may be gone after it.
        self.more = more && (room == 0 || self.tx.len() > waiting);
    }

    /// Sends what waits. True when the node has more, and the link takes it; a full link says when
    /// it has room again.
    fn send(&mut self, now: Instant) -> bool {
        if !self.tx.is_empty()
            && let Err(error) = self.link.send_batch(now, &mut self.tx)
        {
            return self.fail(&error);
        }
        self.more && self.tx.is_empty()
    }

    /// Whether the device has become full: it was not, or nobody knew.
    fn blocks_anew(&self) -> bool {
        let blocked = !self.tx.is_empty();
        let watch = self.watch.as_ref();
        watch.is_some_and(|watch| !watch.want_write.swap(blocked, Ordering::AcqRel) && blocked)
    }

    fn fail(&mut self, error: &std::io::Error) -> bool {
        tracing::warn!(interface = self.interface.0, %error, "a link failed and is taken away");
        self.failed = true;
        self.tx.clear();
        false
    }
}
