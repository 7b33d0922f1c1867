//! The state machine of RFC 2131 §4.4, figure 5.
//!
//! ```text
//!   INIT-REBOOT ── REQUEST ──▶ REBOOTING ── ACK ──▶ CHECKING
//!                                 │ NAK, or silence
//!    ┌────────────────────────────┘
//!    ▼
//!   INIT ── DISCOVER ──▶ SELECTING ── REQUEST ──▶ REQUESTING ── ACK ──▶ CHECKING ── unique ──▶ BOUND
//!    ▲                                   │ NAK, or silence │               │ in use             │ T1
//!    ├───────────────────────────────────┴─────────────────┘               │ DECLINE            ▼
//!    ├──────────────────────────────────── ten seconds ────────────────────┘    ACK ◀──── RENEWING
//!    │                                                                              │         │ T2
//!    └──────────────────────────── NAK, or the lease is over ─────────────────── REBINDING ◀──┘
//! ```

use crate::lease::{self, Lease};
use crate::message::{self, Draft};
use core::time::Duration;
use dhcproto::v4::MessageType;
use sockeye_core::{Instant, MacAddr, Rng};
use std::net::Ipv4Addr;

/// The longest wait before the first message. RFC 2131 §4.4.1 says one to ten seconds, for buildings
/// in which the power comes back; whoever waits for a single node does not like that.
const START_DELAY_MS: u32 = 1000;
/// RFC 2131 §4.1: the first wait for an answer, doubled each time up to the last; a second more or
/// less.
const RETRANSMIT_FIRST: Duration = Duration::from_secs(4);
const RETRANSMIT_LAST: Duration = Duration::from_secs(64);
/// Requests that a server may leave unanswered (RFC 2131 §3.1 (5): a minute in all).
const REQUESTS_MAX: u32 = 4;
/// RFC 2131 §3.2 (3): so many for an address from before, twelve seconds in all; there may be no server
/// left that knows of it.
const REBOOT_REQUESTS_MAX: u32 = 2;
/// RFC 2131 §3.1 (5): after a duplicate address.
const DECLINE_DELAY: Duration = Duration::from_secs(10);
/// RFC 5227 §1.1: MAX_CONFLICTS, after which RATE_LIMIT_INTERVAL lies between two attempts.
const CONFLICTS_MAX: u32 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
/// RFC 2131 §4.4.5: the shortest wait before a request for an old lease is repeated.
const RENEW_AGAIN_MIN: Duration = Duration::from_secs(60);

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits before it begins, with an address of former times perhaps (INIT-REBOOT).
    Init,
    /// It has asked whether it may have an address again.
    Rebooting,
    /// It has asked who is there.
    Selecting,
    /// It has asked one server for what that offered.
    Requesting,
    /// It has a lease, and looks whether somebody else has the address.
    Checking,
    /// It uses the lease.
    Bound,
    /// It uses it, and asks the server for more time.
    Renewing,
    /// It uses it, and asks anybody for more time.
    Rebinding,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this from port 68 to port 67: from `from`, or from nobody yet, to all or to a server.
    Send {
        /// The address that is in use.
        from: Option<Ipv4Addr>,
        /// The server.
        to: Option<Ipv4Addr>,
        /// The message.
        message: Vec<u8>,
    },
    /// Check the address of this lease, then use it; or use it with what it says now.
    Configure(Lease, Instant),
    /// Use it no longer.
    Unconfigure,
}

/// The client of an interface.
#[derive(Debug)]
pub struct Client {
    mac: MacAddr,
    state: State,
    /// When it began to ask.
    began: Instant,
    xid: u32,
    /// Messages sent since the last answer.
    sent: u32,
    next: Instant,
    /// The address that was offered, and by whom.
    offer: Option<(Ipv4Addr, Ipv4Addr)>,
    /// When what a server will answer was first sent.
    asked: Instant,
    lease: Option<Lease>,
    /// What it had before, or has: to be asked for first when it begins anew.
    remembered: Option<Ipv4Addr>,
    /// When T1, T2 and the lease are over.
    times: [Instant; 3],
    conflicts: u32,
}

impl Client {
    /// A client of the station `mac`, which begins in a moment.
    pub fn new(now: Instant, rng: &mut Rng, mac: MacAddr) -> Self {
        let mut client = Self {
            mac,
            state: State::Init,
            began: now,
            xid: 0,
            sent: 0,
            next: now,
            offer: None,
            asked: now,
            lease: None,
            remembered: None,
            times: [Instant::FAR; 3],
            conflicts: 0,
        };
        let delay = rng.below(START_DELAY_MS);
        client.begin_in(now, Duration::from_millis(delay.into()));
        client
    }

    /// It had `address` before it was started: that is asked for first (RFC 2131 §3.2).
    pub fn remember(&mut self, address: Ipv4Addr) {
        self.remembered = Some(address);
    }

    /// The link was down, and may be another one now (RFC 2131 §3.7): whether the address is still good
    /// is to be asked before it is used.
    pub fn reboot(&mut self, now: Instant) -> Vec<Action> {
        let leased = self.lease.is_some();
        self.begin_in(now, Duration::ZERO);
        leased.then_some(Action::Unconfigure).into_iter().collect()
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it has leased.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// Back to INIT, and on from there after `delay`.
    fn begin_in(&mut self, now: Instant, delay: Duration) {
        self.state = State::Init;
        self.offer = None;
        self.lease = None;
        self.sent = 0;
        self.next = now + delay;
    }

    /// Back to INIT, and never mind what was.
    fn begin_anew(&mut self, now: Instant) {
        self.remembered = None;
        self.begin_in(now, Duration::ZERO);
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, rng: &mut Rng) -> Vec<Action> {
        if now < self.next {
            return Vec::new();
        }
        match self.state {
            State::Init => {
                self.began = now;
                self.xid = rng.next_u32();
                if self.remembered.is_some() {
                    self.state = State::Rebooting;
                    return vec![self.request(now, rng)];
                }
                self.state = State::Selecting;
                vec![self.discover(now, rng)]
            }
            State::Rebooting if self.sent < REBOOT_REQUESTS_MAX => vec![self.request(now, rng)],
            State::Rebooting => {
                self.begin_anew(now);
                Vec::new()
            }
            State::Selecting => vec![self.discover(now, rng)],
            State::Requesting if self.sent < REQUESTS_MAX => vec![self.request(now, rng)],
            State::Requesting => {
                self.begin_in(now, Duration::ZERO);
                Vec::new()
            }
            // The interface says when the check is over.
            State::Checking => {
                self.next = Instant::FAR;
                Vec::new()
            }
            State::Bound | State::Renewing | State::Rebinding => self.renew(now, rng),
        }
    }

    fn discover(&mut self, now: Instant, rng: &mut Rng) -> Action {
        self.wait(now, rng);
        let draft = Draft {
            kind: MessageType::Discover,
            ..self.draft(now)
        };
        self.broadcast(&draft)
    }

    /// RFC 2131 §4.3.2: the request in SELECTING, and that in INIT-REBOOT, which names no server.
    fn request(&mut self, now: Instant, rng: &mut Rng) -> Action {
        if self.sent == 0 {
            self.asked = now;
        }
        self.wait(now, rng);
        let draft = Draft {
            requested: self
                .offer
                .map_or(self.remembered, |(address, _)| Some(address)),
            server: self.offer.map(|(_, server)| server),
            ..self.draft(now)
        };
        self.broadcast(&draft)
    }

    /// RFC 2131 §4.4.5: T1, T2, the end, and the requests between them.
    fn renew(&mut self, now: Instant, rng: &mut Rng) -> Vec<Action> {
        let [_, t2, end] = self.times;
        let Some(lease) = self.lease.clone().filter(|_| now < end) else {
            self.begin_anew(now);
            return vec![Action::Unconfigure];
        };
        let state = match now < t2 {
            true => State::Renewing,
            false => State::Rebinding,
        };
        if self.state != state {
            self.state = state;
            self.xid = rng.next_u32();
            self.began = now;
            self.asked = now;
        }
        let until = if state == State::Renewing { t2 } else { end };
        let half = until.saturating_since(now) / 2;
        self.next = (now + half.max(RENEW_AGAIN_MIN)).min(until);
        let own = lease.address.addr();
        let draft = Draft {
            ciaddr: own,
            ..self.draft(now)
        };
        vec![Action::Send {
            from: Some(own),
            to: (state == State::Renewing).then_some(lease.server),
            message: draft.write(self.mac),
        }]
    }

    /// A message came to our port.
    pub fn handle(&mut self, now: Instant, rng: &mut Rng, bytes: &[u8]) -> Vec<Action> {
        let Some((kind, message)) = message::read(bytes, self.mac) else {
            return Vec::new();
        };
        if message.xid() != self.xid {
            return Vec::new();
        }
        let server = lease::server(&message);
        match (self.state, kind) {
            (State::Selecting, MessageType::Offer) => {
                let (address, Some(server)) = (message.yiaddr(), server) else {
                    return Vec::new();
                };
                // The first will do.
                self.offer = Some((address, server));
                self.state = State::Requesting;
                self.sent = 0;
                vec![self.request(now, rng)]
            }
            (State::Requesting, MessageType::Ack | MessageType::Nak)
                if server != self.offer.map(|(_, server)| server) =>
            {
                Vec::new()
            }
            (State::Requesting | State::Rebooting, MessageType::Ack) => match Lease::read(&message)
            {
                Some(lease) => self.granted(lease),
                None => Vec::new(),
            },
            (State::Renewing | State::Rebinding, MessageType::Ack) => match Lease::read(&message) {
                Some(lease) => self.renewed(lease),
                None => Vec::new(),
            },
            (State::Requesting, MessageType::Nak) => {
                self.begin_in(now, self.retry_delay(Duration::from_secs(1)));
                Vec::new()
            }
            (State::Rebooting, MessageType::Nak) => {
                self.begin_anew(now);
                Vec::new()
            }
            (State::Renewing | State::Rebinding, MessageType::Nak) => {
                self.begin_anew(now);
                vec![Action::Unconfigure]
            }
            _ => Vec::new(),
        }
    }

    /// RFC 2131 §4.4.1: from the request on the lease counts.
    fn granted(&mut self, lease: Lease) -> Vec<Action> {
        self.state = State::Checking;
        self.next = Instant::FAR;
        self.take(lease)
    }

    /// More time, and perhaps another address.
    fn renewed(&mut self, lease: Lease) -> Vec<Action> {
        let same = self.lease.as_ref().map(|known| known.address) == Some(lease.address);
        if same {
            let actions = self.take(lease);
            self.bind();
            return actions;
        }
        let mut actions = vec![Action::Unconfigure];
        actions.extend(self.granted(lease));
        actions
    }

    fn take(&mut self, lease: Lease) -> Vec<Action> {
        let at = |after: Duration| self.asked + after;
        let (t1, t2) = lease.renewal;
        self.times = match lease.lifetime {
            Some(lifetime) => [at(t1), at(t2), at(lifetime)],
            None => [Instant::FAR; 3],
        };
        self.remembered = Some(lease.address.addr());
        self.lease = Some(lease.clone());
        vec![Action::Configure(lease, self.times[2])]
    }

    fn bind(&mut self) {
        self.state = State::Bound;
        self.next = self.times[0];
        self.sent = 0;
    }

    /// The address was found to be unique.
    pub fn confirmed(&mut self) {
        if self.state == State::Checking {
            self.conflicts = 0;
            self.bind();
        }
    }

    /// Somebody else has the address (RFC 2131 §3.1 (5), RFC 5227 §2.1.1).
    pub fn conflict(&mut self, now: Instant) -> Vec<Action> {
        let Some(lease) = self.lease.take() else {
            return Vec::new();
        };
        self.remembered = None;
        self.conflicts = self.conflicts.saturating_add(1);
        let draft = Draft {
            kind: MessageType::Decline,
            requested: Some(lease.address.addr()),
            server: Some(lease.server),
            secs: 0,
            ..self.draft(now)
        };
        let decline = self.broadcast(&draft);
        self.begin_in(now, self.retry_delay(DECLINE_DELAY));
        vec![Action::Unconfigure, decline]
    }

    /// The address is needed no longer (RFC 2131 §4.4.6). The client asks for none again.
    pub fn release(&mut self, now: Instant) -> Vec<Action> {
        let lease = self.lease.take();
        let in_use = matches!(
            self.state,
            State::Bound | State::Renewing | State::Rebinding
        );
        let draft = self.draft(now);
        self.begin_anew(now);
        self.next = Instant::FAR;
        let Some(lease) = lease else {
            return Vec::new();
        };
        if !in_use {
            return vec![Action::Unconfigure];
        }
        let own = lease.address.addr();
        let draft = Draft {
            kind: MessageType::Release,
            ciaddr: own,
            server: Some(lease.server),
            secs: 0,
            ..draft
        };
        let release = Action::Send {
            from: Some(own),
            to: Some(lease.server),
            message: draft.write(self.mac),
        };
        vec![release, Action::Unconfigure]
    }

    /// RFC 5227 §2.1.1: after many conflicts attempts become rare.
    fn retry_delay(&self, usual: Duration) -> Duration {
        match self.conflicts < CONFLICTS_MAX {
            true => usual,
            false => RATE_LIMIT_INTERVAL,
        }
    }

    /// RFC 2131 §4.1: 4, 8, 16, 32, 64 seconds, each a second more or less.
    fn wait(&mut self, now: Instant, rng: &mut Rng) {
        let doubled = RETRANSMIT_FIRST.saturating_mul(1 << self.sent.min(8));
        let base = doubled.min(RETRANSMIT_LAST) - Duration::from_secs(1);
        self.sent = self.sent.saturating_add(1);
        self.next = now + base + Duration::from_millis(rng.below(2000).into());
    }

    fn draft(&self, now: Instant) -> Draft {
        let secs = now.saturating_since(self.began).as_secs();
        Draft {
            kind: MessageType::Request,
            xid: self.xid,
            secs: u16::try_from(secs).unwrap_or(u16::MAX),
            ciaddr: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
        }
    }

    fn broadcast(&self, draft: &Draft) -> Action {
        Action::Send {
            from: None,
            to: None,
            message: draft.write(self.mac),
        }
    }
}
