//! An Ethernet switch between processes: nodes that name one directory share one network.
//!
//! There is no process in the middle that could end. Each member has a Unix socket in the directory,
//! named after its Ethernet address, and a connection to each other member; a frame goes straight to
//! the member behind whose connection its station was last seen, or to all. Who may write to the
//! directory, and connect to the sockets in it, may be a member: it is the cable.
//!
//! A message is a frame with the header of `vnet` before it, so that super-segments and partial
//! checksums cross as over a TAP device. Members are believed no more than hosts on a wire. One that
//! is slow loses frames when its queue here is full, and holds up nobody else. One that ends, or is
//! killed, takes its connections with it; the name it leaves behind is taken away by the next that
//! joins.

mod join;

pub use join::{JoinError, MEMBERS_MAX};

use crate::queue::{MemoryConfig, Queue};
use crate::stations::Stations;
use crate::vnet;
use join::{Membership, join, widen};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags};
use smallvec::SmallVec;
use sockeye_link::{
    Batch, Capabilities, GsoKinds, Instant, Link, MacAddr, Medium, Packet, offload,
};
use sockeye_wire::ethernet;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;

/// The longest message: a super-segment of 64 KiB, its link header and the header before it.
const MESSAGE_MAX: usize = vnet::LEN + ethernet::HEADER_LEN + 65_536;
/// Most slices that one message is sent from (`UIO_MAXIOV`), without the two headers.
const SLICES_MAX: usize = 1024 - 2;
/// Messages and events that one call looks at; what is left shows at the next one.
const LOOKS_MAX: usize = 1024;
/// What the listener's events say; members have numbers of 32 bits.
const LISTENER: u64 = u64::MAX;

/// A member of a switch between processes: the link of one node.
#[derive(Debug)]
pub struct SharedSwitch {
    membership: Membership,
    /// Readable when a member has sent, or has room again that was missed, or somebody joins.
    epoll: OwnedFd,
    members: BTreeMap<u32, Member>,
    /// The number of the next member; numbers are not used twice.
    next_member: u32,
    stations: Stations,
    capabilities: Capabilities,
    config: MemoryConfig,
    /// Empty between calls, with capacity unless the last packet took it.
    buffer: Vec<u8>,
    counters: SharedSwitchCounters,
}

/// Another member.
#[derive(Debug)]
struct Member {
    connection: OwnedFd,
    /// What it has no room for now.
    queue: Queue,
}

/// What a member counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedSwitchCounters {
    /// Frames sent to one member.
    pub forwarded: u64,
    /// Frames sent to all members.
    pub flooded: u64,
    /// Copies dropped because a member's queue was full, or the system out of memory.
    pub dropped: u64,
    /// Received messages dropped: too long or short, from a group address, or with a header that
    /// contradicts itself or the frame.
    pub rx_malformed: u64,
    /// Sent packets that were no frame, or contradicted their metadata.
    pub tx_refused: u64,
    /// Stations not learnt because the table was full.
    pub table_full: u64,
    /// Members that were not accepted because there were [`MEMBERS_MAX`].
    pub members_refused: u64,
}

/// What became of a message.
enum Outcome {
    Sent,
    Full,
    Dropped,
    Gone,
}

impl SharedSwitch {
    /// Joins the switch in the directory `path`, which is made where there is none, as the station
    /// `address`. Dropping it leaves the switch; the directory stays.
    ///
    /// # Errors
    /// The directory can't be made or written to, it has a member of that address or no room for
    /// another, or one of its members can't be reached.
    pub fn join(path: &Path, address: MacAddr) -> Result<Self, JoinError> {
        let (membership, connections) = join(path, address)?;
        Self::assemble(membership, connections, address)
            .map_err(|errno| JoinError::system(path, errno))
    }

    fn assemble(
        membership: Membership,
        connections: Vec<OwnedFd>,
        address: MacAddr,
    ) -> rustix::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, &membership.listener, data, epoll::EventFlags::IN)?;
        let mut switch = Self {
            membership,
            epoll,
            members: BTreeMap::new(),
            next_member: 0,
            stations: Stations::default(),
            capabilities: Capabilities {
                medium: Medium::Ethernet(address),
                mtu: 1500,
                tx_checksum: true,
                gso: GsoKinds::ALL,
                gso_max: 65_535,
                queues: 1,
            },
            config: MemoryConfig::default(),
            buffer: Vec::new(),
            counters: SharedSwitchCounters::default(),
        };
        for connection in connections {
            switch.add(connection)?;
        }
        Ok(switch)
    }

    /// What was counted since it joined.
    #[must_use]
    pub fn counters(&self) -> SharedSwitchCounters {
        self.counters
    }

    /// Other members that are known to be there.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    fn add(&mut self, connection: OwnedFd) -> rustix::io::Result<()> {
        widen(&connection)?;
        let number = self.next_member;
        let data = epoll::EventData::new_u64(number.into());
        epoll::add(&self.epoll, &connection, data, epoll::EventFlags::IN)?;
        self.next_member = self.next_member.wrapping_add(1);
        let queue = Queue::default();
        self.members.insert(number, Member { connection, queue });
        Ok(())
    }

    /// Nothing more comes from a member, or goes to it.
    fn remove(&mut self, number: u32) {
        if let Some(member) = self.members.remove(&number) {
            // A process that was forked may hold the connection, and it would stay.
            let _ = net::shutdown(&member.connection, Shutdown::Both);
            self.stations.forget(number);
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..=MEMBERS_MAX {
            let Ok(connection) = net::accept_with(&self.membership.listener, flags) else {
                return;
            };
            if self.members.len() >= MEMBERS_MAX || self.add(connection).is_err() {
                self.counters.members_refused += 1;
            }
        }
    }

    /// Receives up to `max` frames of a member into `rx`; how many messages were looked at.
    fn receive(&mut self, now: Instant, number: u32, rx: &mut Batch, max: usize) -> usize {
        for looks in 0..max {
            let Some(member) = self.members.get(&number) else {
                return looks;
            };
            self.buffer.clear();
            self.buffer.reserve_exact(MESSAGE_MAX);
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let room = spare_capacity(&mut self.buffer);
            match net::recv(&member.connection, room, flags) {
                // The end: no message is empty.
                Ok((_, 0)) => self.remove(number),
                Ok((_, len)) => match self.packet(now, number, len) {
                    Some(packet) => rx.push_back(packet),
                    None => self.counters.rx_malformed += 1,
                },
                Err(Errno::AGAIN) => return looks,
                Err(Errno::INTR) => {}
                Err(_) => self.remove(number),
            }
        }
        max
    }

    /// The packet in the buffer, whose message had `len` bytes; its station is learnt.
    fn packet(&mut self, now: Instant, number: u32, len: usize) -> Option<Packet> {
        let header = self.buffer.first_chunk::<{ vnet::LEN }>()?;
        let frame = &self.buffer[vnet::LEN..];
        if len > MESSAGE_MAX {
            return None;
        }
        let ethernet = ethernet::Header::parse(frame).ok()?;
        let (checksum, gso) = vnet::parse(header, frame.len())?;
        if ethernet.source.is_multicast() {
            return None;
        }
        if !self.stations.learn(now, ethernet.source, number) {
            self.counters.table_full += 1;
        }
        let mut packet = if self.buffer.len() > MESSAGE_MAX / 4 {
            Packet::from_vec_at(std::mem::take(&mut self.buffer), vnet::LEN)
        } else {
            Packet::from_vec(frame.to_vec())
        };
        packet.meta.checksum = checksum;
        packet.meta.gso = gso;
        Some(packet)
    }

    fn send(&mut self, mut packet: Packet) {
        let medium = self.capabilities.medium;
        if packet.meta.gso.is_some() && offload::leave_checksum(&mut packet, medium).is_err()
            || packet.len() > MESSAGE_MAX - vnet::LEN
            || !packet.pull_up(ethernet::HEADER_LEN)
        {
            self.counters.tx_refused += 1;
            return;
        }
        let Ok(header) = ethernet::Header::parse(packet.head()) else {
            self.counters.tx_refused += 1;
            return;
        };
        if packet.payload().len() > SLICES_MAX {
            packet.linearize();
        }
        if let Some(number) = self.stations.port(header.destination) {
            self.counters.forwarded += 1;
            self.offer(number, &packet);
            return;
        }
        self.counters.flooded += 1;
        let all: SmallVec<[u32; 8]> = self.members.keys().copied().collect();
        for number in all {
            self.offer(number, &packet);
        }
    }

    /// Sends a packet to a member, or has it wait.
    fn offer(&mut self, number: u32, packet: &Packet) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let outcome = match member.queue.len() {
            0 => member.write(packet),
            _ => Outcome::Full,
        };
        match outcome {
            Outcome::Sent => {}
            Outcome::Dropped => self.counters.dropped += 1,
            Outcome::Gone => self.remove(number),
            Outcome::Full => {
                let was_empty = member.queue.len() == 0;
                if !member.queue.offer(packet.clone(), &self.config) {
                    self.counters.dropped += 1;
                } else if was_empty {
                    self.watch_room(number, true);
                }
            }
        }
    }

    /// Sends what waits for a member, as far as it has room.
    fn flush(&mut self, number: u32) {
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        while let Some(packet) = member.queue.front() {
            match member.write(packet) {
                Outcome::Sent => {}
                Outcome::Dropped => self.counters.dropped += 1,
                Outcome::Gone => return self.remove(number),
                Outcome::Full => return,
            }
            member.queue.pop();
        }
        self.watch_room(number, false);
    }

    /// Whether it is to be told when a member has room.
    fn watch_room(&mut self, number: u32, on: bool) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, on);
        let data = epoll::EventData::new_u64(number.into());
        if epoll::modify(&self.epoll, &member.connection, data, flags).is_err() {
            self.remove(number);
        }
    }
}

impl Member {
    fn write(&self, packet: &Packet) -> Outcome {
        let header = vnet::emit(packet);
        let mut slices = SmallVec::<[IoSlice<'_>; 20]>::new();
        slices.push(IoSlice::new(&header));
        slices.extend(packet.chunks().map(IoSlice::new));
        let mut control = SendAncillaryBuffer::default();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            return match net::sendmsg(&self.connection, &slices, &mut control, flags) {
                Ok(_) => Outcome::Sent,
                Err(Errno::AGAIN) => Outcome::Full,
                Err(Errno::INTR) => continue,
                // MSGSIZE: longer than the system's least send buffer.
                Err(Errno::MSGSIZE | Errno::NOMEM | Errno::NOBUFS) => Outcome::Dropped,
                Err(_) => Outcome::Gone,
            };
        }
    }
}

impl Link for SharedSwitch {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        let before = rx.len();
        let mut looks = 0;
        let mut events = Vec::with_capacity(MEMBERS_MAX + 1);
        while looks < LOOKS_MAX && rx.len() - before < max {
            events.clear();
            let at_once = Timespec::default();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            for event in &events {
                looks += 1;
                let (flags, data) = (event.flags, event.data.u64());
                let Ok(number) = u32::try_from(data) else {
                    self.accept();
                    continue;
                };
                if flags.contains(epoll::EventFlags::OUT) {
                    self.flush(number);
                }
                // Each has its share, so that one who sends much does not hold up the others.
                let room = max - (rx.len() - before);
                let share = room.min((max / events.len()).max(1));
                looks += self.receive(now, number, rx, share);
            }
        }
        Ok(rx.len() - before)
    }

    fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
        let taken = tx.len();
        tx.drain(..).for_each(|packet| self.send(packet));
        Ok(taken)
    }

    fn has_carrier(&self) -> bool {
        !self.members.is_empty()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.epoll.as_raw_fd())
    }
}

impl Drop for SharedSwitch {
    fn drop(&mut self) {
        // What waits is lost, as it is when a cable is pulled.
        let all: Vec<u32> = self.members.keys().copied().collect();
        all.into_iter().for_each(|number| self.remove(number));
    }
}

#[cfg(test)]
mod tests;
