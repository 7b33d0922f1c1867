//! Whether this process is the one that made a node: a forked copy of it must not touch the
//! parent's sockets, and finds locks that nobody will ever release.
#![expect(
    unsafe_code,
    reason = "pthread_atfork is the only way to hear of a fork"
)]

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// Forks that lie between the first process and this one, as far as it has heard.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTER: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The process's generation: it changes in a forked child.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// From here on, [`generation`] notices forks.
pub(crate) fn watch() {
    REGISTER.call_once(|| {
        // SAFETY: the handler is an `extern "C"` function of this program, which is never
        // unloaded; in the child it only adds to an atomic, which is async-signal-safe.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // It fails for want of a few bytes of memory only: then forks go unnoticed.
        if failed != 0 {
            tracing::warn!(errno = failed, "forks will not be noticed");
        }
    });
}
