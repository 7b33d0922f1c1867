//! What a program's netlink socket is: one side of a datagram pair, in which answers lie until they are read.

use super::events::{Event, GROUPS};
use super::{Asker, Family, answer};
use crate::backend::Errno;
use crate::descriptors::lock;
use crate::ends::{Ends, Name};
use rustix::net::{self, RecvFlags, SendFlags};
use sockeye::Node;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

/// The longest request, octets.
pub(crate) const REQUEST_MAX: usize = 65_536;

/// Answers that wait beside a full end; more are lost, which the next receive is told (`ENOBUFS`).
const WAITING_MAX: usize = 65_536;

/// Events that wait beside a full end; more are lost, as answers are.
const EVENTS_MAX: usize = 1024;

/// Netlink sockets that a run may have.
const SOCKETS_MAX: usize = 4096;

/// The last group of routing events: `RTNLGRP_MAX`.
const GROUP_MAX: u32 = 36;

/// `sizeof(struct sockaddr_nl)`.
pub(crate) const ADDRESS: usize = 12;

/// A `struct sockaddr_nl` of the kernel's, or of nobody.
///
/// Of what was told in a group it names that one ([`mask`]).
pub(crate) fn address(port: u32, groups: u32) -> Vec<u8> {
    let mut octets = Vec::with_capacity(ADDRESS);
    octets.extend((libc::AF_NETLINK as u16).to_ne_bytes());
    octets.extend([0; 2]);
    octets.extend(port.to_ne_bytes());
    octets.extend(groups.to_ne_bytes());
    octets
}

/// The bit of a group: an address has none for those beyond the 32nd.
pub(crate) fn mask(group: u32) -> u32 {
    let bit = group.checked_sub(1);
    bit.and_then(|bit| 1_u32.checked_shl(bit)).unwrap_or(0)
}

/// The port and the groups in a `struct sockaddr_nl`.
pub(crate) fn parse(octets: &[u8]) -> Result<(u32, u32), Errno> {
    let octets = octets.first_chunk::<ADDRESS>().ok_or(Errno::INVAL)?;
    let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| octets[at + i]));
    if u16::from_ne_bytes([octets[0], octets[1]]) != libc::AF_NETLINK as u16 {
        return Err(Errno::INVAL);
    }
    Ok((word(4), word(8)))
}

/// A netlink socket of the program.
#[derive(Debug)]
pub(crate) struct Netlink {
    /// Its file's, by which its descriptors are known.
    pub(crate) cookie: u64,
    pub(crate) name: Name,
    pub(crate) ty: i32,
    pub(crate) family: Family,
    pub(crate) node_end: Arc<OwnedFd>,
    pub(crate) state: Mutex<State>,
    /// The thread that made the last call on it.
    pub(crate) caller: AtomicI32,
    /// Woken when an answer has come.
    pub(crate) arrived: Notify,
    /// Held while an answer is taken, so that nobody overtakes.
    pub(crate) turn: Mutex<()>,
    closed: watch::Sender<bool>,
}

/// What changes of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The address, once it has one.
    pub(crate) port: Option<u32>,
    /// Groups whose events it wants, a bit each.
    pub(crate) groups: u64,
    /// Whom connect(2) named.
    pub(crate) peer: (u32, u32),
    /// Options of `SOL_NETLINK` that are on, a bit each.
    pub(crate) options: u32,
    /// Answers for which the end has no room.
    waiting: VecDeque<Vec<u8>>,
    /// Answers or events were lost.
    pub(crate) lost: bool,
}

/// `NETLINK_*` of `SOL_NETLINK`.
pub(crate) mod option {
    pub(crate) const ADD_MEMBERSHIP: i32 = 1;
    pub(crate) const DROP_MEMBERSHIP: i32 = 2;
    pub(crate) const PKTINFO: i32 = 3;
    pub(crate) const BROADCAST_ERROR: i32 = 4;
    pub(crate) const NO_ENOBUFS: i32 = 5;
    pub(crate) const LIST_MEMBERSHIPS: i32 = 9;
    pub(crate) const CAP_ACK: i32 = 10;
    pub(crate) const EXT_ACK: i32 = 11;
    pub(crate) const GET_STRICT_CHK: i32 = 12;
    /// Those that are on or off.
    pub(crate) const SWITCHES: [i32; 6] = [
        PKTINFO,
        BROADCAST_ERROR,
        NO_ENOBUFS,
        CAP_ACK,
        EXT_ACK,
        GET_STRICT_CHK,
    ];
}

impl State {
    pub(crate) fn is_on(&self, option: i32) -> bool {
        self.options & (1 << option) != 0
    }

    pub(crate) fn set(&mut self, option: i32, on: bool) {
        self.options = self.options & !(1 << option) | u32::from(on) << option;
    }

    /// Joins or leaves a group.
    pub(crate) fn join(&mut self, group: u32, joins: bool) -> Result<(), Errno> {
        if !(1..=GROUP_MAX).contains(&group) {
            return Err(Errno::INVAL);
        }
        let bit = 1_u64 << (group - 1);
        self.groups = if joins {
            self.groups | bit
        } else {
            self.groups & !bit
        };
        Ok(())
    }

    /// The groups that an address can name.
    pub(crate) fn low_groups(&self) -> u32 {
        self.groups as u32
    }
}

impl Netlink {
    pub(crate) fn new(
        cookie: u64,
        name: Name,
        (ty, family): (i32, Family),
        node_end: OwnedFd,
    ) -> Self {
        Self {
            cookie,
            name,
            ty,
            family,
            node_end: Arc::new(node_end),
            state: Mutex::default(),
            caller: AtomicI32::new(0),
            arrived: Notify::new(),
            turn: Mutex::default(),
            closed: watch::Sender::new(false),
        }
    }

    /// Waits until the program has no descriptor of it any more.
    pub(crate) async fn closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Answers what was sent to the kernel.
    pub(crate) fn ask(&self, sockets: &Sockets, node: &Node, octets: &[u8]) -> Result<(), Errno> {
        let port = sockets.port_of(self)?;
        let mut state = lock(&self.state);
        let asker = Asker {
            family: self.family,
            port,
            capped: state.is_on(option::CAP_ACK),
            dumping: !state.waiting.is_empty(),
        };
        for datagram in answer(node, asker, octets) {
            match state.waiting.len() < WAITING_MAX {
                true => state.waiting.push_back(datagram),
                false => state.lost = true,
            }
        }
        drop(state);
        self.push();
        Ok(())
    }

    /// Answers what the program has written without an address.
    pub(crate) fn ask_written(&self, sockets: &Sockets, node: &Node) {
        let mut buffer = crate::buffers::Buffer::take();
        while let Ok((len, _)) = net::recv(&self.node_end, &mut buffer[..], RecvFlags::DONTWAIT) {
            if let Some(octets) = buffer
                .get(..len)
                .filter(|octets| octets.len() <= REQUEST_MAX)
            {
                let _ = self.ask(sockets, node, octets);
            }
        }
    }

    /// Tells what has happened in its groups.
    fn tell(&self, events: &[Event]) {
        let mut state = lock(&self.state);
        let groups = state.groups;
        let joined = |event: &&Event| groups & 1 << (event.group - 1) != 0;
        for event in events.iter().filter(joined) {
            match state.waiting.len() < EVENTS_MAX {
                true => state.waiting.push_back(event.octets.clone()),
                false => state.lost = true,
            }
        }
        drop(state);
        self.push();
    }

    fn wants_events(&self) -> bool {
        self.family == Family::Route && lock(&self.state).groups & GROUPS != 0
    }

    /// Moves answers to the program's end, as far as there is room.
    pub(crate) fn push(&self) {
        let mut state = lock(&self.state);
        while let Some(datagram) = state.waiting.front() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match net::send(&self.node_end, datagram, flags) {
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => break,
                // Sent, or there is nobody to read it.
                _ => drop(state.waiting.pop_front()),
            }
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !lock(&self.state).waiting.is_empty()
    }

    /// What goes along with an answer, or with what is told in a group, as far as the program has asked for it.
    pub(crate) fn pieces(&self, credentials: bool, group: u32) -> Vec<crate::backend::Control> {
        const SOL_NETLINK: i32 = 270;
        let mut pieces = Vec::new();
        if credentials {
            // The kernel's own: process 0, of root.
            pieces.push((libc::SOL_SOCKET, libc::SCM_CREDENTIALS, vec![0; 12]));
        }
        if lock(&self.state).is_on(option::PKTINFO) {
            pieces.push((SOL_NETLINK, option::PKTINFO, group.to_ne_bytes().to_vec()));
        }
        pieces
    }
}

/// The netlink sockets of a run.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    all: Mutex<BTreeMap<u64, Arc<Netlink>>>,
    /// Somebody looks for events.
    pub(crate) watching: Mutex<bool>,
    /// Woken when there may be nobody left who wants them.
    pub(crate) left: Notify,
}

impl Sockets {
    pub(crate) fn insert(&self, socket: Arc<Netlink>) -> Result<(), Errno> {
        let mut sockets = lock(&self.all);
        if sockets.len() >= SOCKETS_MAX {
            return Err(Errno::NFILE);
        }
        sockets.insert(socket.cookie, socket);
        Ok(())
    }

    pub(crate) fn find(&self, cookie: u64) -> Option<Arc<Netlink>> {
        lock(&self.all).get(&cookie).cloned()
    }

    pub(crate) fn remove(&self, cookie: u64) {
        if let Some(socket) = lock(&self.all).remove(&cookie) {
            socket.closed.send_replace(true);
            self.left.notify_one();
        }
    }

    pub(crate) fn clear(&self) {
        for socket in std::mem::take(&mut *lock(&self.all)).into_values() {
            socket.closed.send_replace(true);
        }
        self.left.notify_one();
    }

    /// Whether anybody wants to hear what happens.
    pub(crate) fn want_events(&self) -> bool {
        lock(&self.all).values().any(|socket| socket.wants_events())
    }

    /// Tells everybody what has happened in its groups.
    pub(crate) fn tell(&self, events: &[Event]) {
        let all: Vec<_> = lock(&self.all).values().cloned().collect();
        for socket in all.iter().filter(|socket| socket.wants_events()) {
            socket.tell(events);
        }
    }

    /// Removes those that nobody holds any more; says how many, and how many are left.
    pub(crate) fn sweep(&self, ends: &Ends) -> (usize, usize) {
        let all: Vec<_> = lock(&self.all).values().cloned().collect();
        let gone: Vec<_> = all.iter().filter(|socket| ends.gone(socket.name)).collect();
        for socket in &gone {
            self.remove(socket.cookie);
        }
        (gone.len(), all.len() - gone.len())
    }

    /// Gives a socket a port: the one asked for, or, for 0, its process's number, or another if that is taken.
    pub(crate) fn bind(&self, socket: &Netlink, asked: u32) -> Result<u32, Errno> {
        let sockets = lock(&self.all);
        let taken = |port: u32| {
            sockets.values().any(|other| {
                other.cookie != socket.cookie
                    && other.family == socket.family
                    && lock(&other.state).port == Some(port)
            })
        };
        let mut state = lock(&socket.state);
        let port = match (state.port, asked) {
            (Some(port), 0) => return Ok(port),
            (Some(port), asked) if port == asked => return Ok(port),
            (Some(_), _) => return Err(Errno::INVAL),
            (None, 0) => {
                drop(state);
                let own = crate::sys::thread_group(socket.caller.load(Ordering::Relaxed));
                // As the kernel does: beyond all processes' numbers, downwards.
                let others = (0..=SOCKETS_MAX as u32).map(|n| u32::MAX - 4096 - n);
                let mut all = own.into_iter().map(i32::cast_unsigned).chain(others);
                let port = all.find(|port| !taken(*port)).ok_or(Errno::ADDRINUSE)?;
                state = lock(&socket.state);
                port
            }
            (None, asked) => {
                drop(state);
                if taken(asked) {
                    return Err(Errno::ADDRINUSE);
                }
                state = lock(&socket.state);
                asked
            }
        };
        state.port = Some(port);
        Ok(port)
    }

    fn port_of(&self, socket: &Netlink) -> Result<u32, Errno> {
        self.bind(socket, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_laid_out() {
        assert_eq!(parse(&address(7, 0x11)), Ok((7, 0x11)));
        assert_eq!(parse(&address(7, 0)[..11]), Err(Errno::INVAL));
        assert_eq!(parse(&[0; 12]), Err(Errno::INVAL));
    }

    #[test]
    fn groups_have_bits_as_far_as_there_are() {
        assert_eq!([0, 1, 11, 32, 33].map(mask), [0, 1, 1 << 10, 1 << 31, 0]);
    }

    #[test]
    fn groups_have_an_end() {
        let mut state = State::default();
        assert_eq!(state.join(0, true), Err(Errno::INVAL));
        assert_eq!(state.join(GROUP_MAX + 1, true), Err(Errno::INVAL));
        state.join(33, true).unwrap();
        state.join(1, true).unwrap();
        assert_eq!((state.groups, state.low_groups()), (1 << 32 | 1, 1));
        state.join(1, false).unwrap();
        assert_eq!(state.low_groups(), 0);
    }

    /// A socket with its program's end.
    fn joined(ends: &Ends, cookie: u64, groups: u64) -> (Arc<Netlink>, OwnedFd) {
        let (end, node_end, name) = ends.datagram(true).unwrap();
        let kind = (libc::SOCK_RAW, Family::Route);
        let socket = Arc::new(Netlink::new(cookie, name, kind, node_end));
        lock(&socket.state).groups = groups;
        (socket, end)
    }

    fn event(group: u32) -> Event {
        Event {
            group,
            octets: vec![7; 32],
        }
    }

    fn read(end: &OwnedFd) -> usize {
        let mut octets = [0; 64];
        std::iter::from_fn(|| net::recv(end, &mut octets, RecvFlags::DONTWAIT).ok()).count()
    }

    #[test]
    fn events_are_told_to_those_who_joined() {
        let (ends, sockets) = (Ends::new().unwrap(), Sockets::default());
        assert!(!sockets.want_events());
        let (links, links_end) = joined(&ends, 1, 1);
        let (routes, routes_end) = joined(&ends, 2, 1 << 6 | 1 << 10);
        // Group 20 is one in which nothing happens.
        let (nobody, nobody_end) = joined(&ends, 3, 1 << 19);
        sockets.insert(nobody).unwrap();
        assert!(!sockets.want_events());
        sockets.insert(links).unwrap();
        sockets.insert(routes).unwrap();
        assert!(sockets.want_events());
        sockets.tell(&[event(1), event(7), event(11), event(3)]);
        let told = [&links_end, &routes_end, &nobody_end].map(read);
        assert_eq!(told, [1, 2, 0]);
        sockets.remove(1);
        sockets.remove(2);
        assert!(!sockets.want_events());
    }

    #[test]
    fn who_does_not_read_has_a_bounded_queue_and_is_told_of_the_loss() {
        let (ends, sockets) = (Ends::new().unwrap(), Sockets::default());
        let (socket, end) = joined(&ends, 1, 1);
        sockets.insert(socket.clone()).unwrap();
        let mut told = 0;
        while !lock(&socket.state).lost {
            sockets.tell(&[event(1)]);
            told += 1;
            assert!(told < 1_000_000, "a queue without an end");
        }
        assert_eq!(lock(&socket.state).waiting.len(), EVENTS_MAX);
        let mut got = 0;
        loop {
            let some = read(&end);
            socket.push();
            got += some;
            if some == 0 {
                break;
            }
        }
        assert_eq!(got, told - 1, "all but the last one");
    }
}
