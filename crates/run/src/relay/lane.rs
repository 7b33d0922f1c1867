//! Connections both of whose ends are in the run: their data goes from one end to the other, past the node.
//!
//! The node has the connection all the same: its handshake, its end, its reset and its names are the node's, and so is whatever
//! is written while no way past it is open. The receiving end counts the octets of the stream, by whichever way they come: what
//! the sending relay has read it gives to that end itself, if all before it is there and the receiving relay waits; what there
//! is no room for, or what has to wait for something on its way through the node, it leaves to that relay.
//!
//! All relays of a run are carried by one thread, and a relay hands over before it tells the node of the end; so the receiving
//! one looks here first, and need not ask which of the two ways was taken last.

use crate::buffers::Buffer;
use crate::descriptors::lock;
use rustix::net::{self, SendFlags};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

/// What waits to be given to an end.
struct Piece {
    /// How much of the stream is before it.
    place: u64,
    buffer: Buffer,
    range: Range<usize>,
}

/// The direction to one end, which has room for one piece.
struct Lane {
    /// The node's side of that end; `None` when nobody is there any more.
    end: Option<Arc<OwnedFd>>,
    piece: Option<Piece>,
    /// Octets that were given to the end, or are in the hands of its relay.
    received: u64,
    /// The relay of that end waits for more.
    waits: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end, as the other one sees it.
pub(super) struct Joint {
    inward: Mutex<Lane>,
    /// The other end, once it is known.
    other: OnceLock<Weak<Self>>,
    /// What both ends know of their connection, and no earlier one's end does.
    connection: [u32; 2],
}

impl Joint {
    fn new(end: Arc<OwnedFd>, connection: [u32; 2]) -> Self {
        Self {
            inward: Mutex::new(Lane {
                end: Some(end),
                piece: None,
                received: 0,
                waits: false,
                reader: None,
                writer: None,
            }),
            other: OnceLock::new(),
            connection,
        }
    }

    /// The other end, if they have met and it is still there.
    pub(super) fn other(&self) -> Option<Arc<Self>> {
        self.other.get()?.upgrade()
    }

    /// Waits until there is room, or nobody is there any more: then it says false.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut lane = lock(&self.inward);
        if lane.piece.is_some() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(lane.end.is_some())
    }

    /// Gives octets to this end that begin at `place`. They come back if nobody is there any more.
    pub(super) fn give(&self, place: u64, buffer: Buffer, len: usize) -> Result<(), Buffer> {
        let mut lane = lock(&self.inward);
        let Some(end) = lane.end.as_ref().filter(|_| lane.piece.is_none()) else {
            return Err(buffer);
        };
        let mut given = 0;
        if lane.waits && lane.received == place {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            // What fails is left to the relay, which finds out why.
            given = net::send(end, &buffer[..len], flags).unwrap_or(0);
            lane.received += given as u64;
        }
        if given == len {
            return Ok(());
        }
        lane.piece = Some(Piece {
            place: place + given as u64,
            buffer,
            range: given..len,
        });
        let reader = lane.reader.take();
        drop(lane);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// Takes what waits for this end, when all before it was received. Until then the relay waits.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<(Buffer, Range<usize>)> {
        let mut lane = lock(&self.inward);
        match lane.piece.take() {
            Some(piece) if piece.place == lane.received => {
                lane.received += piece.range.len() as u64;
                lane.waits = false;
                let writer = lane.writer.take();
                drop(lane);
                if let Some(writer) = writer {
                    writer.wake();
                }
                Poll::Ready((piece.buffer, piece.range))
            }
            later => {
                lane.piece = later;
                lane.waits = true;
                lane.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The relay of this end has received so much from the node, and waits no more.
    pub(super) fn received(&self, len: usize) {
        let mut lane = lock(&self.inward);
        lane.received += len as u64;
        lane.waits = false;
    }

    /// Whether there is something that was not taken.
    pub(super) fn holds(&self) -> bool {
        lock(&self.inward).piece.is_some()
    }

    fn close(&self) {
        let mut lane = lock(&self.inward);
        lane.end = None;
        lane.piece = None;
        let writer = lane.writer.take();
        drop(lane);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// The two addresses of a connection, as one end sees it.
type Names = ((IpAddr, u16), (IpAddr, u16));

/// The ends that are carried, by their own address and the peer's.
#[derive(Default)]
pub(crate) struct Joints {
    carried: Mutex<HashMap<Names, Arc<Joint>>>,
}

impl Joints {
    /// Enters an end, and joins it with the other one if that is here already. Of two with the same names only the first is
    /// entered: the end of an earlier connection may still be there.
    pub(super) fn enter(
        &self,
        own: SocketAddr,
        peer: SocketAddr,
        connection: [u32; 2],
        end: Arc<OwnedFd>,
    ) -> Option<Entered<'_>> {
        let (own, peer) = (plain(own)?, plain(peer)?);
        if own == peer {
            // A connection to itself has one end.
            return None;
        }
        let joint = Arc::new(Joint::new(end, connection));
        let mut carried = lock(&self.carried);
        let other = carried.get(&(peer, own)).cloned();
        match carried.entry((own, peer)) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => free.insert(joint.clone()),
        };
        drop(carried);
        if let Some(other) = other
            && other.connection == connection
            && other.other.set(Arc::downgrade(&joint)).is_ok()
        {
            let _ = joint.other.set(Arc::downgrade(&other));
        }
        Some(Entered {
            joints: self,
            names: (own, peer),
            joint,
        })
    }
}

/// An address without what does not tell a connection from others; none of a link alone, which two links may have.
fn plain(address: SocketAddr) -> Option<(IpAddr, u16)> {
    let ip = address.ip().to_canonical();
    let of_link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    (!of_link).then_some((ip, address.port()))
}

/// An end that is entered. Dropped, it takes nothing any more.
pub(super) struct Entered<'a> {
    joints: &'a Joints,
    names: Names,
    pub(super) joint: Arc<Joint>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        lock(&self.joints.carried).remove(&self.names);
        self.joint.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn end() -> Arc<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let (end, _) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        Arc::new(end)
    }

    /// A connection between the same ports as an earlier one, one of whose ends is still carried, though the other never was.
    #[test]
    fn the_end_of_an_earlier_connection_is_not_met() {
        let [a, b] = [1, 2].map(|port| SocketAddr::from(([10, 0, 2, 15], port)));
        let joints = Joints::default();
        let earlier = joints.enter(b, a, [1, 2], end()).unwrap();
        let client = joints.enter(a, b, [3, 4], end()).unwrap();
        assert!(client.joint.other().is_none() && earlier.joint.other().is_none());
        assert!(joints.enter(b, a, [3, 4], end()).is_none());
        drop(earlier);
        let server = joints.enter(b, a, [3, 4], end()).unwrap();
        assert!(client.joint.other().is_some() && server.joint.other().is_some());
        drop(client);
        assert!(server.joint.other().is_none());
    }
}
