//! Fast Open of a client (RFC 7413 §4.1.3, §4.2.1): SEND before there is a connection, text on the
//! first SYN, and what its answer says of it.
//!
//! What the SYN carries is queued like any text. What the answer does not acknowledge goes again at
//! once. SYNs that are sent again have neither text nor option.

use super::Failure;
use super::cache::{Entry, Learned, Tried, cookie_in};
use crate::SendFlags;
use crate::Tcp;
use crate::recovery::report::Report;
use crate::segment::Segment;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, options};
use sockeye_core::demux::Flow;
use sockeye_core::{Context, Counter, Error, FastOpenMode, Instant, Payload, Route, SocketId};
use sockeye_wire::tcp_options::{FastOpen as FastOpenOption, OPTIONS_LEN_MAX, Options};
use std::io::IoSlice;
use std::net::SocketAddr;

/// What became of [`Tcp::send_open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The connection stands already: SEND.
    Stands,
    /// An attempt has begun, with so many bytes taken.
    Begun(usize),
}

/// What the first SYN of a connection may say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    option: Option<FastOpenOption>,
    /// Text may go with it: so many bytes; `None` for none.
    text_max: Option<u32>,
}

impl Plan {
    /// Whether the connection can wait for text to begin with.
    pub(crate) fn takes_text(&self) -> bool {
        self.text_max.is_some()
    }
}

impl Tcp {
    /// OPEN, active, and SEND at once: sendto(2) with MSG_FASTOPEN. Of `data` as much is taken as
    /// goes with the SYN, or with `all` as there is room for; none where the peer has given no
    /// cookie, and then the SYN asks for one.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the node forbids it; [`Error::InProgress`] when it has begun
    /// and nothing was taken, though not with `all`; those of [`connect`](Self::connect).
    pub fn send_open(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        to: Option<SocketAddr>,
        data: &[IoSlice<'_>],
        all: bool,
    ) -> Result<Opened, Error> {
        if !cx.config.tcp_fast_open.contains(FastOpenMode::CLIENT) {
            return Err(Error::NotSupported);
        }
        if let Some(tcb) = self.held_mut(id)?.tcb_mut()
            && tcb.state != State::Closed
            && !tcb.marks.deferred
        {
            return match tcb.state {
                State::SynSent | State::SynReceived => Err(Error::Already),
                // Who has not been told yet that the attempt succeeded, is told by success.
                _ if core::mem::take(&mut tcb.marks.untold) => Ok(Opened::Stands),
                _ => Err(Error::IsConnected),
            };
        }
        if !self.connects_on_send(id) {
            self.open_connection(cx, id, to.ok_or(Error::Invalid)?)?;
        }
        let Some(Socket::Connection(tcb)) = self.sockets.get(id) else {
            return Err(Error::Invalid);
        };
        let (flow, settings) = (tcb.flow, tcb.settings.clone());
        let route = tcb.route.ok_or(Error::NetworkUnreachable)?;
        let plan = self.plan_fast_open(cx, &flow, &settings, &route);
        let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id) else {
            return Err(Error::Invalid);
        };
        let on_syn = plan.text_max.unwrap_or(0);
        let room = match all {
            true => tcb.send_room(data.iter().map(|slice| slice.len()).sum()),
            false => on_syn as usize,
        };
        let taken = tcb.take(data, room, SendFlags::default());
        tcb.open_with(cx.now, &plan);
        let on_syn = on_syn.min(tcb.queue.len());
        tcb.fast_open_mut().text = on_syn;
        self.settle(cx, id);
        match taken {
            0 if !all => Err(Error::InProgress),
            taken => Ok(Opened::Begun(taken)),
        }
    }

    /// tcp(7), TCP_FASTOPEN_CONNECT: whether connect(2) has left it to the first SEND to send the
    /// SYN.
    #[must_use]
    pub fn connects_on_send(&self, id: SocketId) -> bool {
        let tcb = self.sockets.get(id).and_then(Socket::tcb);
        tcb.is_some_and(|tcb| tcb.marks.deferred)
    }

    /// Forgets the cookies of all servers.
    pub fn forget_fast_open_cookies(&mut self) {
        self.fast_open_cache.clear();
    }

    /// What the SYN of a connection may say and carry.
    pub(crate) fn plan_fast_open(
        &self,
        cx: &Context<'_>,
        flow: &Flow,
        settings: &Settings,
        route: &Route,
    ) -> Plan {
        let known = self.fast_open_cache.get(flow);
        let pause = cx.config.tcp_fast_open_pause;
        if self.fast_open_cache.is_paused(cx.now, pause) {
            return Plan::default();
        }
        let mode = cx.config.tcp_fast_open;
        let without =
            mode.contains(FastOpenMode::CLIENT_WITHOUT_COOKIE) || settings.fast_open_no_cookie;
        let option = (!without).then(|| known.option());
        let text_max =
            (without || known.has_cookie()).then(|| text_max(&known, flow, settings, route));
        Plan { option, text_max }
    }
}

/// RFC 7413 §4.1.3: the text of a SYN is as long as the MSS that the peer said last allows, and the
/// path. Room for all options is kept free: middleboxes add some (Linux: tcp_send_syn_data).
fn text_max(known: &Entry, flow: &Flow, settings: &Settings, route: &Route) -> u32 {
    let mut mss = options::mss_for(route.mtu, flow.remote.ip);
    mss = mss.min(known.mss.unwrap_or(u16::MAX));
    if settings.max_segment > 0 {
        mss = mss.min(settings.max_segment);
    }
    u32::from(mss).saturating_sub(OPTIONS_LEN_MAX as u32)
}

impl Tcb {
    /// The SYN goes out now, by `plan`.
    pub(crate) fn open_with(&mut self, now: Instant, plan: &Plan) {
        self.sent_at = now;
        self.marks.deferred = false;
        self.marks.syn_due = true;
        let open = self.fast_open_mut();
        open.option = plan.option;
        if plan.text_max.is_none() {
            open.failure = Some(Failure::NoCookie);
        }
    }

    /// What Fast Open puts on the first SYN: an option, and the text to go with it.
    pub(crate) fn syn_text(&mut self, options: &mut Options) -> (Payload, u32) {
        let first = self.snd.iss + 1;
        let Some(open) = &mut self.fast_open else {
            return (Payload::new(), 0);
        };
        let option = open.option.take();
        let len = core::mem::take(&mut open.text);
        if let Some(option) = option {
            let before = options.emitted_len();
            options.fast_open = Some(option);
            if options.emitted_len() == before {
                // There is no room for the option, and so no right to send text.
                options.fast_open = None;
                return (Payload::new(), 0);
            }
            open.requested = true;
            open.experimental = option.experimental;
        }
        if len == 0 {
            return (Payload::new(), 0);
        }
        open.sent = true;
        (self.queue.slice(first, len), len)
    }

    /// Our SYN was acknowledged: what of its text was, and what the answer says of its sender.
    pub(crate) fn syn_acknowledged(&mut self, cx: &mut Context<'_>, answer: &Segment) {
        self.queue.acknowledge(self.snd.una);
        self.end_zero_copies(cx);
        let mut report = Report::nothing(self.snd.iss);
        let rtt_min = self.rtt.min();
        self.recovery.take_acknowledged(
            cx.now,
            self.snd.una,
            self.marks.sack,
            rtt_min,
            None,
            &mut report,
        );
        let retransmitted = self.marks.syn_retransmitted;
        let missing = self.snd.una.before(self.snd.nxt);
        if missing {
            // It goes again at once, and nothing was congested.
            self.recovery.board.mark_all_lost(|_| true);
        }
        // As in Linux, a SYN counts as a segment, and with its text as one.
        let alone = missing || !self.fast_open.as_ref().is_some_and(|open| open.sent);
        self.recovery.delivery.count(0, alone.into());
        let Some(open) = &mut self.fast_open else {
            return;
        };
        if !open.requested && !open.sent {
            return;
        }
        // A cookie that we did not ask for is not one for us.
        let cookie = cookie_in(answer.options.fast_open).filter(|_| open.requested);
        let tried = match open.experimental {
            _ if retransmitted || answer.options.fast_open.is_some() || open.sent => Tried::Nothing,
            false => Tried::Standard,
            true => Tried::Both,
        };
        let mss = self.peer_mss;
        open.learned = Some(Learned { mss, cookie, tried });
        if missing {
            open.failure = Some(match retransmitted {
                true => Failure::Retransmitted,
                false => Failure::NotAcknowledged,
            });
            cx.counters.add(Counter::TcpExtTCPFastOpenActiveFail);
        } else if open.sent {
            open.accepted = true;
            cx.counters.add(Counter::TcpExtTCPFastOpenActive);
        }
    }

    /// The retransmission timer ran out; `over`: for the last time. The third time in a row, or the
    /// end, says that boxes on the way drop Fast Open, or what follows it (Linux:
    /// tcp_fastopen_active_detect_blackhole).
    pub(crate) fn fast_open_timeout(&mut self, cx: &mut Context<'_>, over: bool) {
        let retries = self.retries;
        if let Some(open) = &mut self.fast_open
            && (open.requested || open.sent)
            && (retries == 2 || (retries < 2 && over))
        {
            open.dropped = true;
            cx.counters.add(Counter::TcpExtTCPFastOpenActiveFail);
            cx.counters.add(Counter::TcpExtTCPFastOpenBlackhole);
        }
    }
}
