//! What connections cost: bytes of heap, counted by the allocator, in virtual time. No figure depends
//! on the machine, but for the width of its words.

use sockeye_cost::crowd::Crowd;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that are out, and allocations that were made.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);
/// One test counts at a time.
static COUNTING: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: every call goes to `System` unchanged; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        MADE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// Waits for its turn; a test that failed leaves it to the others.
fn alone() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// By so many bytes the heap grows while `what` is done.
fn grown(what: impl FnOnce()) -> usize {
    let before = live();
    what();
    live().saturating_sub(before)
}

#[test]
fn an_idle_connection_takes_little() {
    let _alone = alone();
    let mut crowd = Crowd::new(2000);
    // From 2,000 to 20,000 the tables double thrice: what they have to spare is counted, too.
    let bytes = grown(|| crowd.grow(20_000)) / (2 * 18_000);
    println!("{bytes} bytes for each end of an idle connection");
    assert!(bytes <= 416, "{bytes} bytes for each end");
}

#[test]
fn a_connection_in_time_wait_takes_little() {
    let _alone = alone();
    let mut crowd = Crowd::new(10);
    // The tables grow to their size, and these are gone after a minute.
    crowd.grow(4010);
    crowd.close();
    crowd.skip(Duration::from_secs(120));
    let before = live();
    crowd.grow(4010);
    crowd.close();
    // Beside its places in the tables, whose bytes the types say.
    let bytes = live().saturating_sub(before) / 4000;
    println!("{bytes} bytes for a connection in TIME-WAIT");
    assert!(bytes <= 136, "{bytes} bytes");
}

#[test]
fn a_syn_answered_with_a_cookie_takes_nothing() {
    let _alone = alone();
    let mut crowd = Crowd::new(10);
    // The table of half-open connections is full after these.
    crowd.flood(2000);
    let bytes = grown(|| crowd.flood(2000));
    assert_eq!(bytes, 0, "2,000 SYNs leave nothing behind");
}

#[test]
fn an_exchange_allocates_as_much_among_many() {
    let _alone = alone();
    let mut crowd = Crowd::new(10);
    let mut made = |count| {
        crowd.grow(count);
        crowd.exchange(20);
        let before = MADE.load(Ordering::Relaxed);
        crowd.exchange(500);
        MADE.load(Ordering::Relaxed) - before
    };
    assert_eq!(made(10), made(5000));
}
