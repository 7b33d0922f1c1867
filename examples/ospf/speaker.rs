//! One router on one broadcast network in area 0 (RFC 2328 §9, §10, §13): packets and time in, packets out.
//!
//! Its priority is 0: another router is the designated one, and it becomes adjacent to that one and its backup.

use crate::packet::*;
use crate::routes;
use sockeye::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

pub(crate) const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
const DESIGNATED_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 6);
/// How long an answer is waited for.
const RETRANSMIT: Duration = Duration::from_secs(2);
/// Our own advertisement goes again after this time (RFC 2328 §B, LSRefreshTime).
const REFRESH: Duration = Duration::from_secs(1800);
const NEIGHBOURS_MAX: usize = 64;
const DATABASE_MAX: usize = 4096;
/// Headers or keys in one packet, within 1500 octets.
const AT_ONCE: usize = 70;

pub(crate) struct Settings {
    pub(crate) router: Ip,
    pub(crate) address: Ipv4Net,
    pub(crate) networks: Vec<Ipv4Net>,
    pub(crate) hello: u16,
    pub(crate) dead: u32,
    pub(crate) cost: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    #[default]
    Init,
    TwoWay,
    ExStart,
    Exchange,
    Loading,
    Full,
}

#[derive(Default)]
pub(crate) struct Neighbour {
    pub(crate) address: Ip,
    pub(crate) state: State,
    heard: Duration,
    we_are_master: bool,
    seq: u32,
    /// Our last description, and whether there is more to come from us, and from it.
    last: Vec<u8>,
    to_describe: Vec<Header>,
    we_have_more: bool,
    they_have_more: bool,
    requests: BTreeMap<Key, Header>,
    /// It has not acknowledged our advertisement.
    owes_ack: bool,
    repeat_at: Duration,
}

pub(crate) struct Speaker {
    pub(crate) settings: Settings,
    pub(crate) neighbours: BTreeMap<Ip, Neighbour>,
    /// Each advertisement with the time when it was installed.
    pub(crate) database: BTreeMap<Key, (Lsa, Duration)>,
    designated: Ip,
    backup: Ip,
    hello_at: Duration,
    seq: i32,
    /// What is to be sent, and where to.
    pub(crate) out: Vec<(Ipv4Addr, Vec<u8>)>,
}

impl Speaker {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut speaker = Self {
            settings,
            neighbours: BTreeMap::new(),
            database: BTreeMap::new(),
            designated: Ip::default(),
            backup: Ip::default(),
            hello_at: Duration::ZERO,
            seq: i32::MIN,
            out: Vec::new(),
        };
        speaker.originate(Duration::ZERO);
        speaker
    }

    /// Whether there is a designated router that we are fully adjacent to.
    fn is_attached(&self) -> bool {
        let mut all = self.neighbours.values();
        all.any(|n| n.state == State::Full && n.address == self.designated)
    }

    pub(crate) fn receive(&mut self, now: Duration, from: Ipv4Addr, octets: &[u8]) -> Option<()> {
        let (router, kind, body) = open(octets)?;
        if router == self.settings.router || !self.settings.address.contains(&from) {
            return None;
        }
        let was_attached = self.is_attached();
        if kind == HELLO {
            self.on_hello(now, from.into(), router, body)?;
        } else if self.neighbours.get(&router)?.state >= State::ExStart {
            // The rest is for those who are becoming adjacent (RFC 2328 §8.2).
            match kind {
                DESCRIPTION => self.on_description(now, router, body)?,
                REQUEST => list(body)
                    .take(AT_ONCE)
                    .try_for_each(|key| self.on_request(now, router, key))?,
                UPDATE => self.on_update(now, router, body.get(4..)?),
                ACK => list::<Header>(body).for_each(|header| self.on_ack(router, &header)),
                _ => {}
            }
        }
        if self.is_attached() != was_attached {
            self.originate(now);
        }
        Some(())
    }

    /// Does what time asks for.
    pub(crate) fn tick(&mut self, now: Duration) {
        let was_attached = self.is_attached();
        let dead = Duration::from_secs(self.settings.dead.into());
        self.neighbours.retain(|_, n| now < n.heard + dead);
        if now >= self.hello_at {
            self.hello_at = now + Duration::from_secs(self.settings.hello.into());
            self.say_hello();
        }
        let late = self.neighbours.iter().filter(|(_, n)| now >= n.repeat_at);
        for router in late.map(|(router, _)| *router).collect::<Vec<_>>() {
            self.repeat(now, router);
        }
        self.database
            .retain(|_, (lsa, since)| aged(lsa, now - *since).header.age.get() < MAX_AGE);
        let own = self.database.get(&self.own().key());
        if self.is_attached() != was_attached
            || own.is_none_or(|(_, since)| now >= *since + REFRESH)
        {
            self.originate(now);
        }
    }

    fn say_hello(&mut self) {
        let Settings {
            address,
            hello,
            dead,
            ..
        } = self.settings;
        let fields = Hello {
            mask: u32::from(address.netmask()).into(),
            interval: hello.into(),
            options: OPTION_E,
            priority: 0,
            dead: dead.into(),
            designated: self.designated,
            backup: self.backup,
        };
        let mut body = fields.as_bytes().to_vec();
        self.neighbours
            .keys()
            .for_each(|router| body.extend(router.octets));
        self.send(ALL_ROUTERS, HELLO, &body);
    }

    fn on_hello(&mut self, now: Duration, from: Ip, router: Ip, body: &[u8]) -> Option<()> {
        let (hello, known_to_it) = Hello::read_from_prefix(body).ok()?;
        let Settings {
            address,
            hello: interval,
            dead,
            router: us,
            ..
        } = self.settings;
        let theirs = (hello.mask.get(), hello.interval.get(), hello.dead.get());
        let is_new = !self.neighbours.contains_key(&router);
        if theirs != (address.netmask().into(), interval, dead)
            || is_new && self.neighbours.len() >= NEIGHBOURS_MAX
        {
            return None;
        }
        // Who says of itself that it is, is (RFC 2328 §9.4, without a candidacy of our own).
        if hello.designated == from {
            (self.designated, self.backup) = (from, hello.backup);
        }
        let adjacent = from == self.designated || from == self.backup;
        let neighbour = self.neighbours.entry(router).or_default();
        (neighbour.address, neighbour.heard) = (from, now);
        if !list::<Ip>(known_to_it).any(|known| known == us) {
            *neighbour = Neighbour {
                address: from,
                heard: now,
                ..Neighbour::default()
            };
            if is_new {
                self.say_hello(); // so that it need not wait for the next one
            }
        } else if neighbour.state < State::ExStart {
            neighbour.state = State::TwoWay;
            if adjacent {
                self.start(now, router)?;
            }
        }
        Some(())
    }

    /// Who is master is to be found out (RFC 2328 §10.3, ExStart).
    fn start(&mut self, now: Duration, router: Ip) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&router)?;
        let seq = neighbour.seq.max(now.as_millis() as u32).wrapping_add(1);
        let Neighbour { address, heard, .. } = *neighbour;
        *neighbour = Neighbour {
            address,
            heard,
            seq,
            state: State::ExStart,
            we_are_master: true,
            ..Neighbour::default()
        };
        self.describe(now, router, INIT | MORE | MASTER, &[])
    }

    fn describe(&mut self, now: Duration, router: Ip, flags: u8, headers: &[Header]) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&router)?;
        let fields = Description {
            mtu: 1500.into(),
            options: OPTION_E,
            flags,
            seq: neighbour.seq.into(),
        };
        neighbour.last = [fields.as_bytes(), headers.as_bytes()].concat();
        neighbour.we_have_more = flags & MORE != 0;
        neighbour.repeat_at = now + RETRANSMIT;
        let (to, body) = (neighbour.address, neighbour.last.clone());
        self.send(to.into(), DESCRIPTION, &body);
        Some(())
    }

    /// RFC 2328 §10.6 and §10.8.
    fn on_description(&mut self, now: Duration, router: Ip, body: &[u8]) -> Option<()> {
        let (it, headers) = Description::read_from_prefix(body).ok()?;
        let (seq, they_lead) = (it.seq.get(), router > self.settings.router);
        let neighbour = self.neighbours.get_mut(&router)?;
        if neighbour.state == State::ExStart {
            if it.flags == INIT | MORE | MASTER && they_lead {
                (neighbour.we_are_master, neighbour.seq) = (false, seq);
            } else if they_lead || it.flags & (INIT | MASTER) != 0 || seq != neighbour.seq {
                return None;
            }
            neighbour.state = State::Exchange;
            neighbour.to_describe = self.database.values().map(|(lsa, _)| lsa.header).collect();
        } else {
            let of_the_right_side = (it.flags & MASTER != 0) != neighbour.we_are_master;
            let expected = neighbour
                .seq
                .wrapping_add(u32::from(!neighbour.we_are_master));
            if of_the_right_side && seq == expected.wrapping_sub(1) {
                // It has not heard our last one. A master waits for the answer instead.
                let (to, last) = (neighbour.address, neighbour.last.clone());
                if !neighbour.we_are_master {
                    self.send(to.into(), DESCRIPTION, &last);
                }
                return None;
            }
            let fits = of_the_right_side && seq == expected && it.flags & INIT == 0;
            if neighbour.state != State::Exchange || !fits {
                return self.start(now, router);
            }
        }
        let database = &self.database;
        let is_news = |it: &Header| {
            database
                .get(&it.key())
                .is_none_or(|(lsa, _)| it.is_newer(&lsa.header))
        };
        let news = list(headers)
            .filter(is_news)
            .map(|it: Header| (it.key(), it));
        neighbour
            .requests
            .extend(news.take(DATABASE_MAX - DATABASE_MAX.min(neighbour.requests.len())));
        neighbour.they_have_more = it.flags & MORE != 0;
        if neighbour.we_are_master && !neighbour.we_have_more && !neighbour.they_have_more {
            return self.ask(now, router);
        }
        neighbour.seq = if neighbour.we_are_master {
            seq.wrapping_add(1)
        } else {
            seq
        };
        let count = AT_ONCE.min(neighbour.to_describe.len());
        let headers: Vec<Header> = neighbour.to_describe.drain(..count).collect();
        let more = if neighbour.to_describe.is_empty() {
            0
        } else {
            MORE
        };
        let master = if neighbour.we_are_master { MASTER } else { 0 };
        let all_said = master == 0 && more == 0 && !neighbour.they_have_more;
        self.describe(now, router, master | more, &headers)?;
        if all_said {
            self.ask(now, router)
        } else {
            Some(())
        }
    }

    /// All is described: asks for what is missing, or has it all.
    fn ask(&mut self, now: Duration, router: Ip) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&router)?;
        neighbour.repeat_at = now + RETRANSMIT;
        neighbour.state = if neighbour.requests.is_empty() {
            State::Full
        } else {
            State::Loading
        };
        let keys: Vec<Key> = neighbour.requests.keys().take(AT_ONCE).copied().collect();
        let to = neighbour.address.into();
        if !keys.is_empty() {
            self.send(to, REQUEST, keys.as_bytes());
        }
        Some(())
    }

    fn on_request(&mut self, now: Duration, router: Ip, key: Key) -> Option<()> {
        let to = self.neighbours.get(&router)?.address;
        match self.database.get(&key) {
            Some((lsa, since)) => self.update(to.into(), &aged(lsa, now - *since)),
            None => self.start(now, router)?, // it asks for what was never described
        }
        Some(())
    }

    /// RFC 2328 §13.
    fn on_update(&mut self, now: Duration, router: Ip, mut octets: &[u8]) {
        let mut heard: Vec<Header> = Vec::new();
        while let Some((lsa, rest)) = Lsa::read(octets) {
            octets = rest;
            let (header, key) = (lsa.header, lsa.header.key());
            if header.checksum.get() != lsa.checksum() {
                continue;
            }
            let known = self
                .database
                .get(&key)
                .map(|(known, since)| aged(known, now - *since));
            self.on_ack(router, &header); // it has this one, whoever made it
            match known {
                Some(known) if known.header.is_newer(&header) => {
                    let to = self.neighbours[&router].address;
                    self.update(to.into(), &known);
                    continue;
                }
                Some(known) if !header.is_newer(&known.header) => {}
                // Of a former life of ours: ours has to be newer (RFC 2328 §13.4).
                _ if header.by == self.settings.router => {
                    self.seq = self.seq.max(header.seq.get());
                    self.originate(now);
                }
                _ if header.age.get() >= MAX_AGE => drop(self.database.remove(&key)),
                known if known.is_some() || self.database.len() < DATABASE_MAX => {
                    self.database.insert(key, (lsa, now));
                }
                _ => {}
            }
            heard.push(header);
        }
        if !heard.is_empty() {
            self.send(DESIGNATED_ROUTERS, ACK, heard.as_bytes());
        }
        let neighbour = &self.neighbours[&router];
        if neighbour.state == State::Loading && neighbour.requests.is_empty() {
            self.ask(now, router);
        }
    }

    /// The neighbour has this instance: it need not be asked for it, or told an older one.
    fn on_ack(&mut self, router: Ip, header: &Header) {
        let (own, key) = (self.database.get(&self.own().key()), header.key());
        let is_own =
            own.is_some_and(|(own, _)| own.header.key() == key && !own.header.is_newer(header));
        let Some(neighbour) = self.neighbours.get_mut(&router) else {
            return;
        };
        neighbour.owes_ack &= !is_own;
        if neighbour
            .requests
            .get(&key)
            .is_some_and(|asked| !asked.is_newer(header))
        {
            neighbour.requests.remove(&key);
        }
    }

    /// What was not answered goes again.
    fn repeat(&mut self, now: Duration, router: Ip) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&router)?;
        neighbour.repeat_at = now + RETRANSMIT;
        let (to, owes_ack) = (neighbour.address, neighbour.owes_ack);
        match neighbour.state {
            State::ExStart | State::Exchange if neighbour.we_are_master => {
                let last = neighbour.last.clone();
                self.send(to.into(), DESCRIPTION, &last);
            }
            State::Loading => self.ask(now, router)?,
            _ => {}
        }
        let (own, since) = self.database.get(&self.own().key())?;
        if owes_ack {
            self.update(to.into(), &aged(own, now - *since));
        }
        Some(())
    }

    fn own(&self) -> Header {
        let router = self.settings.router;
        Header {
            options: OPTION_E,
            kind: ROUTER,
            id: router,
            by: router,
            seq: self.seq.into(),
            ..Header::default()
        }
    }

    /// Says anew what we are attached to (RFC 2328 §12.4.1), to all who are adjacent.
    fn originate(&mut self, now: Duration) {
        self.seq += 1;
        let body = routes::describe(
            &self.settings,
            self.is_attached().then_some(self.designated),
        );
        let lsa = Lsa::new(self.own(), body);
        self.database.insert(lsa.header.key(), (lsa.clone(), now));
        let mut adjacent = self
            .neighbours
            .values_mut()
            .filter(|n| n.state >= State::Exchange)
            .peekable();
        if adjacent.peek().is_some() {
            adjacent.for_each(|n| n.owes_ack = true);
            self.update(DESIGNATED_ROUTERS, &lsa);
        }
    }

    fn update(&mut self, to: Ipv4Addr, lsa: &Lsa) {
        let body = [&1_u32.to_be_bytes(), lsa.header.as_bytes(), &lsa.body].concat();
        self.send(to, UPDATE, &body);
    }

    fn send(&mut self, to: Ipv4Addr, kind: u8, body: &[u8]) {
        self.out
            .push((to, packet(self.settings.router, kind, body)));
    }
}

/// An advertisement as old as it is now, and a second older for the way (RFC 2328 §13.3).
fn aged(lsa: &Lsa, held: Duration) -> Lsa {
    let mut lsa = lsa.clone();
    let age = u64::from(lsa.header.age.get()) + held.as_secs() + 1;
    lsa.header.age = (age.min(MAX_AGE.into()) as u16).into();
    lsa
}
