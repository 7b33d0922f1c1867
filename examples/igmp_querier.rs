//! The router's side of IGMPv3 (RFC 3376 §6) over a raw socket of a node: it asks who listens to
//! what, keeps for each group what its members want, and asks again when somebody leaves.
//!
//! `cargo run -p sockeye --example igmp_querier` shows it with two hosts on a switch in memory.
//! Hosts of older versions, which report to the group itself, are not heard; nothing is forwarded.

use sockeye::drivers::switch::Switch;
use sockeye::drivers::{MemoryConfig, local_address};
use sockeye::net::{RawSocket, UdpSocket};
use sockeye::{Domain, LinkConfig, Node, Protocol};
use sockeye_wire::igmp::{Message, Query, REPORT_V3_GROUP, Version};
use sockeye_wire::multicast::RecordKind;
use sockeye_wire::{IpProtocol, ipv4, ipv4_options};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const IGMP: i32 = 2;
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Groups that are kept, and sources of each: reports of more are not believed.
const GROUPS_MAX: usize = 1024;
const SOURCES_MAX: usize = 1024;

/// RFC 3376 §8.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many queries and reports may be lost, less one.
    pub robustness: u8,
    /// Between general queries.
    pub query_interval: Duration,
    /// Within which these are answered.
    pub query_response_interval: Duration,
    /// Between queries about what somebody has left.
    pub last_member_query_interval: Duration,
}

impl Settings {
    /// RFC 3376 §8.4.
    fn group_membership_interval(&self) -> Duration {
        self.query_interval * self.robustness.into() + self.query_response_interval
    }

    /// RFC 3376 §8.10, with as many queries as the robustness variable says.
    fn last_member_query_time(&self) -> Duration {
        self.last_member_query_interval * self.robustness.into()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            robustness: 2,
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_secs(10),
            last_member_query_interval: Duration::from_secs(1),
        }
    }
}

/// A querier on one link.
pub struct Querier {
    socket: RawSocket,
    own: Ipv4Addr,
    settings: Settings,
    groups: BTreeMap<Ipv4Addr, Group>,
    /// General queries: when the next one is due, and how many of those at the start are left.
    next_query: Instant,
    startup_left: u8,
    /// RFC 3376 §6.6.2: somebody with a lower address asks.
    other_until: Option<Instant>,
}

/// RFC 3376 §6.2: what is known of a group. With the group timer running the filter mode is EXCLUDE.
#[derive(Debug, Default)]
struct Group {
    timer: Option<Instant>,
    /// Each with its timer; in EXCLUDE mode those without one are not wanted by anybody.
    sources: BTreeMap<Ipv4Addr, Option<Instant>>,
    /// Queries that are still to be sent.
    asking: Vec<Asking>,
}

/// RFC 3376 §6.6.3: a specific query that is repeated.
#[derive(Debug)]
struct Asking {
    sources: BTreeSet<Ipv4Addr>,
    next: Instant,
    left: u8,
}

type Set = BTreeSet<Ipv4Addr>;

impl Querier {
    /// A querier at `own`, an address of `node`.
    ///
    /// # Errors
    /// The node has no raw sockets, or no such address.
    pub fn new(node: &Node, own: Ipv4Addr, settings: Settings) -> io::Result<Self> {
        let socket = RawSocket::new_on(node, Domain::IPV4, Protocol::from(IGMP))?;
        // The router alert is an option of the IP header: it is written here.
        socket.set_header_included(true)?;
        let berkeley = socket.as_socket();
        berkeley.set_multicast_if_v4(&own)?;
        berkeley.set_multicast_loop_v4(false)?;
        berkeley.join_multicast_v4(&REPORT_V3_GROUP, &own)?;
        Ok(Self {
            socket,
            own,
            settings,
            groups: BTreeMap::new(),
            next_query: Instant::now(),
            startup_left: settings.robustness,
            other_until: None,
        })
    }

    /// Asks, listens and lets time pass until `end`, or until `done` says so of the table.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn run_until(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut packet = [0; 65_535];
        while !done(self) && Instant::now() < end {
            let next = self.on_time(Instant::now())?.min(end);
            let wait = next.saturating_duration_since(Instant::now());
            let wait = wait.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait))?;
            match self.socket.recv_from(&mut packet) {
                Ok((len, _)) => self.on_packet(Instant::now(), &packet[..len])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A packet with its IP header.
    fn on_packet(&mut self, now: Instant, packet: &[u8]) -> io::Result<()> {
        let Ok(header) = ipv4::Header::parse(packet) else {
            return Ok(());
        };
        // RFC 3376 §4: what has crossed a router is not from this link.
        if header.ttl != 1 {
            return Ok(());
        }
        match Message::parse(&packet[header.header_len()..]) {
            Ok(Message::Query(_)) => {
                // RFC 3376 §6.6.2: of several queriers the lowest address asks.
                if header.source < self.own && !header.source.is_unspecified() {
                    let Settings {
                        query_response_interval,
                        ..
                    } = self.settings;
                    let span =
                        self.settings.group_membership_interval() - query_response_interval / 2;
                    self.other_until = Some(now + span);
                }
                Ok(())
            }
            Ok(Message::ReportV3(records)) => {
                for record in records {
                    let sources = record.sources.iter().map(|s| Ipv4Addr::from(*s)).collect();
                    self.reported(now, record.group.into(), record.kind, &sources)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// RFC 3376 §6.4: the tables.
    fn reported(
        &mut self,
        now: Instant,
        group: Ipv4Addr,
        kind: RecordKind,
        reported: &Set,
    ) -> io::Result<()> {
        let too_many = self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group);
        if !group.is_multicast() || group == ALL_SYSTEMS || too_many {
            return Ok(());
        }
        let gmi = now + self.settings.group_membership_interval();
        let entry = self.groups.entry(group).or_default();
        if entry.sources.len() + reported.len() > SOURCES_MAX {
            return Ok(());
        }
        let (wanted, unwanted) = entry.split();
        let included = entry.timer.is_none();
        let mut ask = Vec::new();
        match kind {
            RecordKind::ModeIsInclude | RecordKind::AllowNewSources => entry.want(reported, gmi),
            RecordKind::ChangeToInclude => {
                entry.want(reported, gmi);
                ask.push(&wanted - reported);
                // EXCLUDE (X,Y): Q(G) too.
                ask.extend((!included).then(Set::new));
            }
            RecordKind::BlockOldSources if included => ask.push(&wanted & reported),
            RecordKind::BlockOldSources => {
                let new = &(reported - &wanted) - &unwanted;
                let timer = entry.timer.unwrap_or(gmi);
                entry.want(&new, timer);
                ask.push(reported - &unwanted);
            }
            RecordKind::ModeIsExclude | RecordKind::ChangeToExclude => {
                let change = kind == RecordKind::ChangeToExclude;
                let timer = if change {
                    entry.timer.unwrap_or(gmi)
                } else {
                    gmi
                };
                entry.sources.retain(|source, _| reported.contains(source));
                match included {
                    // INCLUDE (A) becomes EXCLUDE (A*B,B-A).
                    true => entry.refuse(&(reported - &wanted)),
                    // EXCLUDE (X,Y) becomes EXCLUDE (A-Y,Y*A).
                    false => entry.want(&(&(reported - &wanted) - &unwanted), timer),
                }
                entry.timer = Some(gmi);
                let asked = if included {
                    &wanted & reported
                } else {
                    reported - &unwanted
                };
                ask.extend(change.then_some(asked));
            }
        }
        // A query about no sources but meant for some is none.
        let whole = kind == RecordKind::ChangeToInclude && !included;
        for sources in ask {
            if !sources.is_empty() || whole {
                self.ask(now, group, sources);
            }
        }
        self.groups.retain(|_, group| !group.is_over());
        Ok(())
    }

    /// RFC 3376 §6.6.3: begins to ask about a group, or some of its sources, and lowers their timers.
    fn ask(&mut self, now: Instant, group: Ipv4Addr, sources: Set) {
        let until = now + self.settings.last_member_query_time();
        let left = self.settings.robustness;
        let not_ours = self.other_until.is_some_and(|until| now < until);
        let Some(entry) = self.groups.get_mut(&group).filter(|_| !not_ours) else {
            return;
        };
        if sources.is_empty() {
            entry.timer = entry.timer.map(|timer| timer.min(until));
        }
        for source in &sources {
            if let Some(Some(timer)) = entry.sources.get_mut(source) {
                *timer = (*timer).min(until);
            }
        }
        // Who is asked about anew is asked about by one query.
        entry
            .asking
            .retain(|asking| asking.sources.is_empty() != sources.is_empty());
        entry.asking.push(Asking {
            sources,
            next: now,
            left,
        });
    }

    /// Lets timers run out and sends what is due. Says when there is something to do again.
    fn on_time(&mut self, now: Instant) -> io::Result<Instant> {
        let Settings {
            query_interval,
            query_response_interval,
            ..
        } = self.settings;
        self.other_until = self.other_until.filter(|until| now < *until);
        if now >= self.next_query {
            if self.other_until.is_none() {
                self.send(None, &Set::new(), query_response_interval)?;
            }
            // RFC 3376 §8.6: at the start four times as fast.
            let starting = self.startup_left > 1;
            self.startup_left = self.startup_left.saturating_sub(1);
            self.next_query = now
                + if starting {
                    query_interval / 4
                } else {
                    query_interval
                };
        }
        let mut due = Vec::new();
        for (address, group) in &mut self.groups {
            group.expire(now);
            for asking in group.asking.iter_mut().filter(|asking| asking.next <= now) {
                asking.next = now + self.settings.last_member_query_interval;
                asking.left -= 1;
                due.push((*address, asking.sources.clone()));
            }
            group.asking.retain(|asking| asking.left > 0);
        }
        self.groups.retain(|_, group| !group.is_over());
        for (group, sources) in due {
            self.send(
                Some(group),
                &sources,
                self.settings.last_member_query_interval,
            )?;
        }
        let timers = self.groups.values().flat_map(Group::deadlines);
        Ok(timers
            .chain([self.next_query])
            .min()
            .unwrap_or(self.next_query))
    }

    /// Sends a query: about everything, a group, or sources of a group.
    fn send(&self, group: Option<Ipv4Addr>, sources: &Set, response: Duration) -> io::Result<()> {
        let sources: Vec<[u8; 4]> = sources.iter().map(|s| s.octets()).collect();
        let tenths = response.as_millis() / 100;
        let query = Query {
            version: Version::V3,
            // Codes from 128 on mean more than they say: not needed here.
            max_resp_code: u8::try_from(tenths.clamp(1, 127)).unwrap_or(127),
            group: group.unwrap_or(Ipv4Addr::UNSPECIFIED),
            suppress: false,
            robustness: self.settings.robustness,
            query_interval_code: self.settings.query_interval.as_secs().min(127) as u8,
            sources: &sources,
        };
        let mut message = vec![0; query.emitted_len()];
        query.emit(&mut message);
        let to = group.unwrap_or(ALL_SYSTEMS);
        let len = u16::try_from(message.len() + 4).map_err(io::Error::other)?;
        let mut header = ipv4::Header::new(self.own, to, IpProtocol::IGMP, len);
        header.tos = 0xc0;
        header.ttl = 1;
        header.options = ipv4::RawOptions::from_slice(&ipv4_options::ROUTER_ALERT_OPTION)
            .ok_or_else(|| io::Error::other("the option is too long"))?;
        let mut packet = vec![0; header.header_len()];
        header.emit(&mut packet);
        packet.extend_from_slice(&message);
        self.socket.send_to(&packet, IpAddr::V4(to)).map(|_| ())
    }

    /// What is known of `group`, as the RFC writes it; `None` when nobody listens to it.
    pub fn state(&self, group: Ipv4Addr) -> Option<String> {
        self.groups.get(&group).map(ToString::to_string)
    }
}

impl Group {
    /// The sources that are to be forwarded (A, or X) and, in EXCLUDE mode, those that are not (Y).
    fn split(&self) -> (Set, Set) {
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            self.sources.iter().partition(|(_, timer)| timer.is_some());
        let keys = |of: Vec<(&Ipv4Addr, _)>| of.into_iter().map(|(source, _)| *source).collect();
        (keys(wanted), keys(unwanted))
    }

    fn want(&mut self, sources: &Set, until: Instant) {
        let wanted = sources.iter().map(|source| (*source, Some(until)));
        self.sources.extend(wanted);
    }

    fn refuse(&mut self, sources: &Set) {
        self.sources
            .extend(sources.iter().map(|source| (*source, None)));
    }

    /// RFC 3376 §6.3, §6.5: timers that have run out.
    fn expire(&mut self, now: Instant) {
        let excluded = self.timer.is_some();
        for timer in self.sources.values_mut() {
            *timer = timer.filter(|at| now < *at);
        }
        self.timer = self.timer.filter(|at| now < *at);
        // In INCLUDE mode, and on the way there, only who is wanted is kept.
        if !excluded || self.timer.is_none() {
            self.sources.retain(|_, timer| timer.is_some());
        }
    }

    fn is_over(&self) -> bool {
        self.timer.is_none() && self.sources.is_empty()
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let sources = self.sources.values().copied().flatten();
        let asking = self.asking.iter().map(|asking| asking.next);
        sources.chain(self.timer).chain(asking)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, unwanted) = self.split();
        let list = |set: &Set| {
            let sources: Vec<String> = set.iter().map(ToString::to_string).collect();
            format!("{{{}}}", sources.join(", "))
        };
        match self.timer {
            None => write!(f, "INCLUDE {}", list(&wanted)),
            Some(_) => write!(f, "EXCLUDE {} {}", list(&wanted), list(&unwanted)),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    let shown = demonstrate(&mut text);
    print!("{text}");
    shown
}

/// Two hosts join and leave; `out` gets what the querier knows after each step.
///
/// # Errors
/// A step did not have the effect that it should have had.
pub fn demonstrate(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let switch = Switch::new(MemoryConfig::default());
    let node = |n: u8| -> Result<Node, Box<dyn Error>> {
        let port = switch.port(local_address(&[n; 32], 0));
        let config = LinkConfig::new().address(format!("10.0.0.{n}/24").parse()?);
        Ok(Node::builder()
            .link("eth0", Box::new(port), config)
            .build()?)
    };
    let (router, one, two) = (node(1)?, node(2)?, node(3)?);
    let settings = Settings {
        query_interval: Duration::from_secs(4),
        query_response_interval: Duration::from_millis(500),
        last_member_query_interval: Duration::from_millis(100),
        ..Settings::default()
    };
    let mut querier = Querier::new(&router, Ipv4Addr::new(10, 0, 0, 1), settings)?;
    let group = Ipv4Addr::new(239, 1, 1, 1);
    let [a, b] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    let any = Ipv4Addr::UNSPECIFIED;
    let first = UdpSocket::bind_on(&one, "0.0.0.0:5000")?;
    let second = UdpSocket::bind_on(&two, "0.0.0.0:5000")?;

    let mut step = |what: &str, wanted: Option<&str>| -> Result<(), Box<dyn Error>> {
        let end = Instant::now() + Duration::from_secs(10);
        querier.run_until(end, |querier| querier.state(group).as_deref() == wanted)?;
        let state = querier.state(group);
        writeln!(
            out,
            "{what}: {group} {}",
            state.as_deref().unwrap_or("is over")
        )?;
        match state.as_deref() == wanted {
            true => Ok(()),
            false => Err(format!("{what}: {wanted:?} was to be expected").into()),
        }
    };
    first.join_ssm_v4(&a, &group, &any)?;
    step(
        "the first host wants one source",
        Some("INCLUDE {192.0.2.1}"),
    )?;
    second.join_ssm_v4(&b, &group, &any)?;
    step(
        "the second wants another",
        Some("INCLUDE {192.0.2.1, 192.0.2.2}"),
    )?;
    first.leave_ssm_v4(&a, &group, &any)?;
    // Asked about it, nobody wants it any more.
    step("the first leaves", Some("INCLUDE {192.0.2.2}"))?;
    first.join_multicast_v4(&group, &any)?;
    step("the first wants everything", Some("EXCLUDE {} {}"))?;
    first.leave_multicast_v4(&group, &any)?;
    step("the first leaves again", Some("INCLUDE {192.0.2.2}"))?;
    drop(second);
    step("the second is gone", None)
}
