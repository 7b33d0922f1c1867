//! An OSPFv2 speaker over a raw socket of a node of its own (RFC 2328): it becomes fully adjacent to the designated router
//! of a network in area 0, says which networks lie behind it, and gives its node the routes that it learns.
//!
//! `cargo run -p sockeye --example ospf -- DEVICE ADDRESS/PREFIX ROUTER-ID [NETWORK/PREFIX...]` on a TAP device, until its
//! input ends. It is never designated, and the slave in each exchange: its router id has to be below the others'.

use sockeye::drivers::Tun;
use sockeye::link::{MacAddr, Medium};
use sockeye::net::RawSocket;
use sockeye::{Domain, IpNet, Ipv4Net, LinkConfig, Node};
use sockeye_wire::IpProtocol;
use sockeye_wire::ospf::*;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Of routing protocols (RFC 2328 §A.1): internetwork control.
const PRECEDENCE: u32 = 0xc0;
/// Seconds between hellos, and after which a silent neighbour is gone: all on a network have the same.
const HELLO_INTERVAL: u16 = 1;
const DEAD_INTERVAL: u32 = 4;
/// What it costs to send by our link.
const COST: u16 = 10;
/// How long an answer is waited for.
const RETRANSMIT: Duration = Duration::from_secs(2);
/// Our own advertisement goes again after this time (RFC 2328 §B, LSRefreshTime).
const REFRESH: Duration = Duration::from_secs(1800);
const NEIGHBOURS_MAX: usize = 64;
/// Advertisements that are kept: the headers of all fit one packet.
const DATABASE_MAX: usize = 64;

type Routes = BTreeMap<Ipv4Net, (Ipv4Addr, u32)>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Init,
    TwoWay,
    ExStart,
    Exchange,
    Loading,
    Full,
}

#[derive(Default)]
struct Neighbour {
    router: u32,
    heard: Duration,
    state: State,
    /// Our last description, which answers its description of this number.
    last: Vec<u8>,
    seq: u32,
    /// What it has that is news to us.
    requests: BTreeMap<Key, Header>,
    /// It has not acknowledged our advertisement.
    owes_ack: bool,
    repeat_at: Duration,
}

/// One router on one broadcast network (RFC 2328 §9, §10, §13): packets and time in, packets out.
struct Speaker {
    router: Ipv4Addr,
    own: Ipv4Net,
    /// What lies behind it.
    networks: Vec<Ipv4Net>,
    /// By their addresses on the network.
    neighbours: BTreeMap<Ipv4Addr, Neighbour>,
    /// Each advertisement with the time when it was installed.
    database: BTreeMap<Key, (Lsa, Duration)>,
    /// What we say; in it who is designated.
    hello: Hello,
    now: Duration,
    hello_at: Duration,
    seq: i32,
    /// Our own advertisement says that we are on a network with others.
    attached: bool,
    /// What is to be sent, and where to.
    out: Vec<(Ipv4Addr, Vec<u8>)>,
}

impl Speaker {
    fn new(router: Ipv4Addr, own: Ipv4Net, networks: Vec<Ipv4Net>) -> Self {
        let hello = Hello {
            mask: own.netmask(),
            interval: HELLO_INTERVAL,
            options: OPTION_E,
            priority: 0,
            dead: DEAD_INTERVAL,
            designated: Ipv4Addr::UNSPECIFIED,
            backup: Ipv4Addr::UNSPECIFIED,
        };
        Self {
            router,
            own,
            networks,
            hello,
            neighbours: BTreeMap::new(),
            database: BTreeMap::new(),
            now: Duration::ZERO,
            hello_at: Duration::ZERO,
            seq: i32::MIN,
            attached: false,
            out: Vec::new(),
        }
    }

    fn receive(&mut self, now: Duration, from: Ipv4Addr, octets: &[u8]) -> Option<()> {
        self.now = now;
        let Packet { router, kind, body } = Packet::parse(octets).ok()?;
        if router == self.router || !self.own.contains(&from) {
            return None;
        }
        match kind {
            Kind::Hello => self.on_hello(from, router, body)?,
            // The rest is for those who are becoming adjacent (RFC 2328 §8.2).
            _ if self.neighbours.get(&from)?.state < State::ExStart => {}
            Kind::Description => self.on_description(from, body)?,
            Kind::Request => list(body).try_for_each(|key| self.on_request(from, key))?,
            Kind::Update => self.on_update(from, body.get(4..)?),
            Kind::Acknowledgment => list(body).for_each(|header| self.on_ack(from, &header)),
        }
        self.renew();
        Some(())
    }

    /// Does what time asks for.
    fn tick(&mut self, now: Duration) {
        self.now = now;
        let dead = Duration::from_secs(DEAD_INTERVAL.into());
        self.neighbours.retain(|_, n| now < n.heard + dead);
        if now >= self.hello_at {
            self.hello_at = now + Duration::from_secs(HELLO_INTERVAL.into());
            self.say_hello();
        }
        let late = self.neighbours.iter().filter(|(_, n)| now >= n.repeat_at);
        for who in late.map(|(who, _)| *who).collect::<Vec<_>>() {
            self.repeat(who);
        }
        let age = |held: &(Lsa, Duration)| held.0.aged((now - held.1).as_secs()).header.age;
        self.database.retain(|_, held| age(held) < MAX_AGE);
        self.renew();
    }

    /// An advertisement that we have, as old as it is now.
    fn held(&self, key: &Key) -> Option<Lsa> {
        let (lsa, since) = self.database.get(key)?;
        Some(lsa.aged((self.now - *since).as_secs()))
    }

    fn say_hello(&mut self) {
        let known = self.neighbours.values().map(|n| &n.router);
        let body = [octets([&self.hello]), octets(known)].concat();
        self.send(ALL_ROUTERS, Kind::Hello, &body);
    }

    fn on_hello(&mut self, from: Ipv4Addr, router: Ipv4Addr, body: &[u8]) -> Option<()> {
        let (it, known_to_it) = Hello::split(body)?;
        let is_new = !self.neighbours.contains_key(&from);
        if !it.agrees_with(&self.hello) || is_new && self.neighbours.len() >= NEIGHBOURS_MAX {
            return None;
        }
        // Who says of itself that it is, is (RFC 2328 §9.4, without a candidacy of our own).
        if it.designated == from {
            (self.hello.designated, self.hello.backup) = (from, it.backup);
        }
        let neighbour = self.neighbours.entry(from).or_default();
        let hears_us = list::<Ipv4Addr>(known_to_it).any(|known| known == self.router);
        if !hears_us {
            *neighbour = Neighbour::default();
        }
        (neighbour.router, neighbour.heard) = (router.into(), self.now);
        if hears_us && neighbour.state < State::ExStart {
            neighbour.state = State::TwoWay;
            if from == self.hello.designated || from == self.hello.backup {
                self.start(from)?;
            }
        } else if is_new {
            self.say_hello(); // so that it need not wait for the next one
        }
        Some(())
    }

    /// It is to begin with its descriptions (RFC 2328 §10.3, ExStart).
    fn start(&mut self, who: Ipv4Addr) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&who)?;
        neighbour.state = State::ExStart;
        neighbour.seq = self.now.as_millis() as u32;
        self.describe(who, INIT | MORE | MASTER, &[])
    }

    fn describe(&mut self, who: Ipv4Addr, flags: u8, known: &[Header]) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&who)?;
        let fields = Description::new(1500, OPTION_E, flags, neighbour.seq);
        neighbour.last = [octets([&fields]), octets(known)].concat();
        self.say_again(who)
    }

    fn say_again(&mut self, who: Ipv4Addr) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&who)?;
        neighbour.repeat_at = self.now + RETRANSMIT;
        let last = neighbour.last.clone();
        self.send(who, Kind::Description, &last);
        Some(())
    }

    /// RFC 2328 §10.6 and §10.8, the slave's part.
    fn on_description(&mut self, who: Ipv4Addr, body: &[u8]) -> Option<()> {
        let (it, headers) = Description::split(body).filter(|(it, _)| it.flags & MASTER != 0)?;
        let (seq, first) = (it.seq, it.flags & INIT != 0);
        let neighbour = self.neighbours.get_mut(&who)?;
        if neighbour.state > State::ExStart && seq == neighbour.seq {
            return self.say_again(who); // it has not heard our answer
        }
        if first {
            neighbour.state = State::Exchange;
            neighbour.requests.clear();
        } else if neighbour.state != State::Exchange || seq != neighbour.seq.wrapping_add(1) {
            return self.start(who);
        }
        neighbour.seq = seq;
        let known = |key: &Key| self.database.get(key).map(|(lsa, _)| lsa.header);
        let is_news = |it: &Header| known(&it.key()).is_none_or(|known| it.is_newer(&known));
        let news = list(headers).filter(is_news).map(|it| (it.key(), it));
        neighbour.requests.extend(news.take(DATABASE_MAX));
        let all = self.database.values().map(|(lsa, _)| lsa.header);
        let ours: Vec<Header> = all.filter(|_| first).collect();
        self.describe(who, 0, &ours)?;
        match it.flags & MORE {
            0 => self.ask(who),
            _ => Some(()),
        }
    }

    /// All is described: asks for what is missing, or has it all.
    fn ask(&mut self, who: Ipv4Addr) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&who)?;
        let body = octets(neighbour.requests.keys().take(DATABASE_MAX));
        neighbour.repeat_at = self.now + RETRANSMIT;
        if body.is_empty() {
            neighbour.state = State::Full;
        } else {
            neighbour.state = State::Loading;
            self.send(who, Kind::Request, &body);
        }
        Some(())
    }

    fn on_request(&mut self, who: Ipv4Addr, key: Key) -> Option<()> {
        match self.held(&key) {
            Some(lsa) => self.update(who, &lsa),
            None => self.start(who)?, // it asks for what was never described
        }
        Some(())
    }

    /// RFC 2328 §13.
    fn on_update(&mut self, who: Ipv4Addr, mut body: &[u8]) {
        let mut heard: Vec<Header> = Vec::new();
        while let Some((lsa, rest)) = Lsa::split(body) {
            body = rest;
            let (header, key) = (lsa.header, lsa.header.key());
            if !lsa.is_intact() {
                continue;
            }
            self.on_ack(who, &header); // it has this one, whoever made it
            match self.held(&key) {
                Some(known) if known.header.is_newer(&header) => {
                    self.update(who, &known);
                    continue;
                }
                Some(known) if !header.is_newer(&known.header) => {}
                // Of a former life of ours: ours has to be newer (RFC 2328 §13.4).
                _ if header.by == self.router => {
                    self.seq = self.seq.max(header.seq);
                    self.originate();
                }
                _ if header.age >= MAX_AGE => drop(self.database.remove(&key)),
                known if known.is_some() || self.database.len() < DATABASE_MAX => {
                    self.database.insert(key, (lsa, self.now));
                }
                _ => {}
            }
            heard.push(header);
        }
        if !heard.is_empty() {
            self.send(DESIGNATED_ROUTERS, Kind::Acknowledgment, &octets(&heard));
        }
        let neighbour = &self.neighbours[&who];
        if neighbour.state == State::Loading && neighbour.requests.is_empty() {
            self.ask(who);
        }
    }

    /// The neighbour has this instance: it need not be asked for it, or told an older one.
    fn on_ack(&mut self, who: Ipv4Addr, header: &Header) {
        let key = header.key();
        let own = self.database.get(&key).map(|(own, _)| own.header);
        let is_own = own.is_some_and(|own| own.by == self.router && !own.is_newer(header));
        if let Some(neighbour) = self.neighbours.get_mut(&who) {
            neighbour.owes_ack &= !is_own;
            let requests = &mut neighbour.requests;
            requests.retain(|asked, which| *asked != key || which.is_newer(header));
        }
    }

    /// What was not answered goes again.
    fn repeat(&mut self, who: Ipv4Addr) -> Option<()> {
        let neighbour = self.neighbours.get_mut(&who)?;
        neighbour.repeat_at = self.now + RETRANSMIT;
        let owes_ack = neighbour.owes_ack;
        match neighbour.state {
            State::ExStart => self.start(who)?,
            State::Loading => self.ask(who)?,
            _ => {}
        }
        let own = self.held(&Key::of_router(self.router))?;
        if owes_ack {
            self.update(who, &own);
        }
        Some(())
    }

    /// Says anew what we are attached to, when that has changed or is long ago.
    fn renew(&mut self) {
        let designated = self.neighbours.get(&self.hello.designated);
        let attached = designated.is_some_and(|n| n.state == State::Full);
        let own = self.database.get(&Key::of_router(self.router));
        if attached != self.attached || own.is_none_or(|(_, since)| self.now >= *since + REFRESH) {
            self.attached = attached;
            self.originate();
        }
    }

    /// RFC 2328 §12.4.1, to all who are adjacent: the networks that we stand for, and the one that we share.
    fn originate(&mut self) {
        self.seq += 1;
        let link = |kind, id, data| Link::new(kind, (id, data), COST);
        let stub = |net: &Ipv4Net| link(STUB, net.network(), net.netmask());
        let mut links = vec![match self.attached {
            true => link(TRANSIT, self.hello.designated, self.own.addr()),
            false => stub(&self.own),
        }];
        links.extend(self.networks.iter().map(stub));
        let key = Key::of_router(self.router);
        let lsa = Lsa::of_links(Header::new(key, OPTION_E, self.seq), &links);
        self.database.insert(key, (lsa.clone(), self.now));
        let all = self.neighbours.values_mut();
        let adjacent = all.filter(|n| n.state >= State::Exchange);
        adjacent.for_each(|neighbour| neighbour.owes_ack = true);
        self.update(DESIGNATED_ROUTERS, &lsa);
    }

    fn update(&mut self, to: Ipv4Addr, lsa: &Lsa) {
        let body = [&1_u32.to_be_bytes()[..], &lsa.to_vec()].concat();
        self.send(to, Kind::Update, &body);
    }

    fn send(&mut self, to: Ipv4Addr, kind: Kind, body: &[u8]) {
        let router = self.router;
        self.out.push((to, Packet { router, kind, body }.to_vec()));
    }

    /// What an advertisement lists from some byte on.
    fn said<T: Fixed>(&self, key: &Key, at: usize) -> impl Iterator<Item = T> {
        let lsa = self.database.get(key).map(|(lsa, _)| &lsa.body);
        list(lsa.and_then(|body| body.get(at..)).unwrap_or_default())
    }

    /// The shortest ways over what all routers say (RFC 2328 §16.1): the other networks, each with its gateway and cost.
    fn routes(&self) -> Routes {
        let own = Key::of_router(self.router);
        // How far each router and network is, and which router on our own network leads there.
        let mut reached = BTreeMap::from([(own, (0, None))]);
        let (mut routes, mut queue) = (Routes::new(), vec![own]);
        while let Some(from) = queue.pop() {
            let (cost, hop) = reached[&from];
            let mut next = Vec::new();
            if from.kind == ROUTER.into() {
                for link in self.said::<Link>(&from, 4) {
                    let cost = cost + u32::from(link.metric);
                    let is_net = |key: &&Key| key.kind == NETWORK.into() && key.id == link.id;
                    let lists_it = |net: &&Key| self.said(net, 4).any(|id: Ipv4Addr| id == from.id);
                    let net = self.database.keys().find(is_net);
                    match (link.kind, net.filter(lists_it)) {
                        (TRANSIT, Some(net)) => next.push((*net, cost, hop)),
                        (STUB, _) => offer(&mut routes, (link.id, link.data), hop, cost),
                        _ => {}
                    }
                }
            } else {
                let mut said = self.said::<Ipv4Addr>(&from, 0);
                let mask = said.next().unwrap_or(Ipv4Addr::UNSPECIFIED);
                offer(&mut routes, (from.id, mask), hop, cost);
                for id in said {
                    let router = Key::of_router(id);
                    let mut links = self.said::<Link>(&router, 4);
                    let back = links.find(|link| link.kind == TRANSIT && link.id == from.id);
                    next.extend(back.map(|link| (router, cost, hop.or(Some(link.data)))));
                }
            }
            for (to, cost, hop) in next {
                if reached.get(&to).is_none_or(|(known, _)| cost < *known) {
                    reached.insert(to, (cost, hop));
                    queue.push(to);
                }
            }
        }
        routes.remove(&self.own.trunc());
        routes
    }
}

/// Takes a route by another router, if it is the best so far.
fn offer(routes: &mut Routes, net: (Ipv4Addr, Ipv4Addr), hop: Option<Ipv4Addr>, cost: u32) {
    if let (Some(hop), Ok(net)) = (hop, Ipv4Net::with_netmask(net.0, net.1)) {
        let best = routes.entry(net.trunc()).or_insert((hop, cost));
        if cost < best.1 {
            *best = (hop, cost);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "ospf DEVICE ADDRESS/PREFIX ROUTER-ID [NETWORK/PREFIX...]";
    let mut word = || words.next().ok_or(usage);
    let (device, own): (_, Ipv4Net) = (word()?, word()?.parse()?);
    let router: Ipv4Addr = word()?.parse()?;
    let networks = words.map(|net| net.parse()).collect::<Result<_, _>>()?;
    let [a, b, c, d] = router.octets();
    let link = Tun::open(&device, Medium::Ethernet(MacAddr([2, 0, a, b, c, d])))?;
    let config = LinkConfig::new().address(IpNet::V4(own));
    let node = Node::builder().link(&device, Box::new(link), config);
    let node = node.build()?;

    let socket = RawSocket::new_on(&node, Domain::IPV4, i32::from(IpProtocol::OSPF.0).into())?;
    let options = socket.as_socket();
    options.join_multicast_v4(&ALL_ROUTERS, &own.addr())?;
    options.set_multicast_loop_v4(false)?;
    options.set_ttl_v4(1)?;
    options.set_tos_v4(PRECEDENCE)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let ended = std::thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));

    let (begun, mut speaker) = (Instant::now(), Speaker::new(router, own, networks));
    let (mut states, mut routes) = (BTreeMap::new(), Routes::new());
    let mut buffer = [0; 65_536];
    while !ended.is_finished() {
        if let Ok((len, IpAddr::V4(from))) = socket.recv_from(&mut buffer) {
            let header = usize::from(buffer[0] & 0x0f) * 4;
            let packet = buffer[..len].get(header..).unwrap_or_default();
            speaker.receive(begun.elapsed(), from, packet);
        }
        speaker.tick(begun.elapsed());
        for (to, packet) in speaker.out.drain(..) {
            if let Err(error) = socket.send_to(&packet, to.into()) {
                eprintln!("to {to}: {error}");
            }
        }
        tell_states(&speaker, &mut states);
        use_routes(&node, &speaker, &mut routes)?;
    }
    Ok(())
}

fn tell_states(speaker: &Speaker, told: &mut BTreeMap<Ipv4Addr, State>) {
    let all = speaker.neighbours.values();
    let states: BTreeMap<_, _> = all.map(|n| (n.router.into(), n.state)).collect();
    for (router, state) in &states {
        if told.get(router) != Some(state) {
            println!("neighbour {router} {state:?}");
        }
    }
    for router in told.keys().filter(|router| !states.contains_key(router)) {
        println!("neighbour {router} Down");
    }
    *told = states;
}

/// Gives the node the routes that are new.
fn use_routes(node: &Node, speaker: &Speaker, used: &mut Routes) -> Result<(), Box<dyn Error>> {
    let routes = speaker.routes();
    let device = node.interfaces()?.last().ok_or("no interface")?.id;
    for (net, (gateway, cost)) in &routes {
        if used.get(net) != Some(&(*gateway, *cost)) {
            println!("route {net} via {gateway} cost {cost}");
            node.add_route(IpNet::V4(*net), Some(IpAddr::V4(*gateway)), device, *cost)?;
        }
    }
    for (net, (gateway, _)) in used.iter().filter(|(net, _)| !routes.contains_key(net)) {
        println!("route {net} gone");
        node.remove_route(IpNet::V4(*net), Some(IpAddr::V4(*gateway)), device)?;
    }
    *used = routes;
    Ok(())
}
