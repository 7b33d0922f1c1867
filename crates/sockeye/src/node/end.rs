//! The end of a node, and of its sockets.

use super::{Inner, Node};
use crate::clock::ManualClock;
use crate::driver::block_on;
use crate::error::to_io;
use crate::shard::{Closing, State, lock};
use sockeye_core::{Error, Handle, Instant, TransportId};
use std::io;
use std::task::Poll;
use std::time::Duration;

/// How long the end of a node waits for what was written to arrive.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it waits then for the ends of the peers, which it has to acknowledge.
const GRACE: Duration = Duration::from_millis(200);

impl Node {
    /// Ends the node: closes all its sockets, waits up to `timeout` until what was written has
    /// arrived and resets what has not. Calls on it fail with ESHUTDOWN from then on. Where nobody
    /// is left at the other end of its links, there is nothing to wait for.
    ///
    /// # Errors
    /// ETIMEDOUT when something had to be reset. A node that was shut down before has nothing left
    /// to deliver.
    pub fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        self.0.shutdown(timeout)
    }
}

impl Inner {
    fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        let shard = &self.shard;
        if shard.check().is_err() {
            return Ok(());
        }
        // Nobody else may be left to move it.
        let _driving = shard.clock.manual().map(ManualClock::drive);
        shard.close();
        shard.with_state(State::close_all);
        shard.run();
        let deadline = shard.clock.after(timeout);
        let wait = |closing, deadline| {
            let shards = || vec![shard.clone()];
            block_on(shards, deadline, |cx| {
                if !shard.has_carrier() {
                    return Poll::Ready(());
                }
                shard.with_state(|state, _| state.poll_closing(closing, cx.waker()))
            })
        };
        let delivered = wait(Closing::Delivered, deadline);
        if delivered.is_some() {
            // Peers that end as well get their acknowledgement; who does not is left.
            let grace = shard.clock.after(timeout.min(GRACE));
            wait(Closing::Quiet, grace);
        } else {
            shard.with_state(|state, now| {
                let (tcp, mut cx) = state.node.tcp(now);
                tcp.abort_closed(&mut cx);
                let (sctp, mut cx) = state.node.sctp(now);
                sctp.abort_closed(&mut cx);
                let (dccp, mut cx) = state.node.dccp(now);
                dccp.abort_closed(&mut cx);
            });
            shard.run();
        }
        // RFC 2131 §4.4.6: what is used no longer is given back.
        shard.with_state(|state, now| state.node.release_leases(now));
        shard.run();
        let links = std::mem::take(&mut *lock(&shard.links));
        shard.set_watches(&[]);
        drop(links);
        shard.seat.kick();
        delivered.ok_or_else(|| to_io(Error::TimedOut))
    }
}

impl State {
    /// Closes every socket that a face holds, and wakes all who wait.
    fn close_all(&mut self, now: Instant) {
        for handle in std::mem::take(&mut self.open) {
            self.close(handle, now);
        }
        self.waiters.everybody(&mut self.woken);
    }

    /// Closes a socket, whatever its transport.
    pub(crate) fn close(&mut self, handle: Handle, now: Instant) {
        self.open.remove(&handle);
        // A socket that is gone already is as closed as it can be.
        let _ = match handle.transport {
            TransportId::TCP => {
                let (tcp, mut cx) = self.node.tcp(now);
                tcp.close(&mut cx, handle.id)
            }
            TransportId::UDP => {
                let (udp, mut cx) = self.node.udp(now);
                udp.close(&mut cx, handle.id)
            }
            TransportId::UDPLITE => {
                let (udp, mut cx) = self.node.udp_lite(now);
                udp.close(&mut cx, handle.id)
            }
            TransportId::SCTP => {
                let (sctp, mut cx) = self.node.sctp(now);
                sctp.close(&mut cx, handle.id)
            }
            TransportId::DCCP => {
                let (dccp, mut cx) = self.node.dccp(now);
                dccp.close(&mut cx, handle.id)
            }
            TransportId::PING => {
                let (ping, mut cx) = self.node.ping(now);
                ping.close(&mut cx, handle.id)
            }
            TransportId::RAW => {
                let (raw, mut cx) = self.node.raw(now);
                raw.close(&mut cx, handle.id)
            }
            TransportId::UNIX => {
                let (unix, mut cx) = self.node.unix(now);
                unix.close(&mut cx, handle.id)
            }
            TransportId::PACKET => {
                let (packets, mut cx) = self.node.packets(now);
                packets.close(&mut cx, handle.id)
            }
            _ => Err(Error::NotSupported),
        };
        self.waiters.all(handle, &mut self.woken);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What could not be delivered was reset; there is nobody left to tell.
        let _ = self.shutdown(SHUTDOWN_TIMEOUT);
    }
}
