//! The size of packets that the path takes: learnt from ICMP errors as far as they can be believed
//! (RFC 1191, RFC 8201, RFC 5927 §7), and without them by packetization layer path MTU discovery
//! (RFC 4821), which also finds black holes: paths that lose what is large and say nothing.

use crate::State;
use crate::options::{ip_header_len, mss_for};
use crate::recovery::CaState;
use crate::tcb::Tcb;
use core::time::Duration;
use sockeye_core::{Config, Context, Counter, Instant};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::HEADER_LEN;

/// Segments that have to follow a probe, so that its loss shows by acknowledgments (RFC 4821 §7.4),
/// and segments that the window has to hold.
const WINDOW_SEGMENTS_MIN: u64 = 11;
/// RFC 4821 §7.6.3: a probe whose loss the timer found makes the pause so many times as long.
const TIMEOUT_PAUSES: u32 = 5;
/// No pause is longer, whatever round trip and window a peer makes us believe in.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// A black hole is thought of after so many time-outs in a row (`net.ipv4.tcp_retries1`).
const BLACK_HOLE_RETRIES: u32 = 3;
/// No path of ours is narrower: every IPv4 host takes so much (RFC 791 §3.2).
const FLOOR_V4: u32 = 576;
/// The same for IPv6 (RFC 8200 §5).
const FLOOR_V6: u32 = 1280;

/// RFC 4821's search: sizes are those of whole IP packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// The largest that is known to arrive, or assumed to.
    low: u32,
    /// The largest that may.
    high: u32,
    /// The probe that is under way: its size and the text that it carries.
    probe: Option<(u32, SeqNum, SeqNum)>,
    /// When it last learnt something, or began.
    since: Instant,
    /// The pause after a probe that failed ends.
    resumes_at: Instant,
    /// Sizes no further apart than this need no probe between them (`net.ipv4.tcp_probe_threshold`).
    threshold: u32,
}

impl Search {
    /// Nothing is left to be found between the two sizes.
    fn is_over(&self) -> bool {
        self.high.saturating_sub(self.low) < self.threshold
    }

    /// The probe of `size` is lost. RFC 4821 §7.6.2: the next one waits for `pause`, so that such losses,
    /// which the window does not answer, are rarer than those that it does.
    fn failed(&mut self, now: Instant, size: u32, pause: Duration) {
        self.high = size.saturating_sub(1).max(self.low);
        self.since = now;
        self.resumes_at = now + pause;
    }
}

impl Tcb {
    /// Bytes of an IP packet beside the text, options of every segment and every packet counted.
    fn overhead(&self) -> u32 {
        let full = u32::from(mss_for(u32::from(u16::MAX), self.flow.remote.ip));
        let headers = u32::from(u16::MAX).saturating_sub(full);
        headers + self.options_len() + self.extras_len()
    }

    /// At the start of a connection: `net.ipv4.tcp_mtu_probing` 2 searches from a size that every path
    /// takes.
    pub(crate) fn begin_search(&mut self, config: &Config, now: Instant) {
        if config.tcp_mtu_probing >= 2 && self.search.is_none() {
            self.search = Some(Box::new(self.new_search(config, config.tcp_base_mss, now)));
            if let Some(route) = self.route {
                self.update_mss(&route);
            }
        }
    }

    /// A search from `base`, an MSS, up to what interface and peer take.
    fn new_search(&self, config: &Config, base: u32, now: Instant) -> Search {
        let headers = ip_header_len(self.flow.remote.ip) + HEADER_LEN as u32;
        let high = self.mss + self.overhead();
        Search {
            low: base.saturating_add(headers).min(high),
            high,
            probe: None,
            since: now,
            resumes_at: now,
            threshold: config.tcp_probe_threshold.max(1),
        }
    }

    /// The largest packet that the search has found to arrive.
    pub(crate) fn searched_mtu(&self) -> Option<u32> {
        self.search.as_ref().map(|search| search.low)
    }

    /// Bytes of text of a probe that is due now (RFC 4821 §7.3, §7.4).
    pub(crate) fn mtu_probe(&self, now: Instant) -> Option<u32> {
        let search = self.search.as_ref()?;
        let board = &self.recovery.board;
        let calm = self.recovery.state() == CaState::Open && board.sacked().segments == 0;
        if search.probe.is_some() || !calm || self.is_corked() {
            return None;
        }
        if search.is_over() || now < search.resumes_at {
            return None;
        }
        let size = search.low.midpoint(search.high) - self.overhead();
        let behind = (self.recovery.reordering() + 1).saturating_mul(self.mss);
        let needed = size.saturating_add(behind);
        let fits = self.unsent_record() >= needed
            && self.usable_window() >= needed
            && u64::from(self.mss) * WINDOW_SEGMENTS_MIN <= self.cwnd()
            && self.cwnd_room() >= size.saturating_add(self.mss);
        (fits && size > self.mss).then_some(size)
    }

    /// A probe that carries the text from `seq` on was sent.
    pub(crate) fn mtu_probe_sent(&mut self, cx: &mut Context<'_>, seq: SeqNum, len: u32) {
        let size = len + self.overhead();
        if let Some(search) = &mut self.search {
            search.probe = Some((size, seq, seq + len));
            cx.counters.add(Counter::TcpExtTCPMTUPProbes);
        }
    }

    /// SND.UNA has moved: a probe that it covers has arrived (RFC 4821 §7.6.1).
    pub(crate) fn mtu_probe_acknowledged(&mut self, cx: &mut Context<'_>) {
        let una = self.snd.una;
        let Some(search) = &mut self.search else {
            return;
        };
        if search.is_over() && cx.now - search.since > cx.config.tcp_probe_interval {
            // RFC 8899 §5.1.1, PMTU_RAISE_TIMER: perhaps the path takes more by now.
            let (low, resumes_at) = (search.low, search.resumes_at);
            let mut anew = self.new_search(cx.config, 0, cx.now);
            anew.low = low;
            anew.resumes_at = resumes_at;
            if let Some(route) = self.route {
                let mtu = route.mtu.min(u32::from(self.peer_mss) + self.overhead());
                anew.high = mtu.max(low);
            }
            self.search = Some(Box::new(anew));
            return;
        }
        let Some((size, _, end)) = search.probe else {
            return;
        };
        if una.before(end) {
            return;
        }
        search.probe = None;
        search.low = search.low.max(size);
        search.since = cx.now;
        cx.counters.add(Counter::TcpExtTCPMTUPSuccess);
        if let Some(route) = self.route {
            self.update_mss(&route);
        }
    }

    /// Whether what is lost is a probe alone: then the path is too narrow, not full (RFC 4821 §7.6.2).
    pub(crate) fn mtu_probe_is_lost(&self) -> bool {
        let first = self.recovery.board.first();
        let probe = self.search.as_ref().and_then(|search| search.probe);
        match (probe, first) {
            (Some((_, start, _)), Some(first)) => first.start == start && first.lost,
            _ => false,
        }
    }

    /// The probe is lost: its text goes again, cut small, and that is all.
    pub(crate) fn mtu_probe_failed(&mut self, cx: &mut Context<'_>) {
        let pause = self.pause_after_probe();
        if let Some(search) = &mut self.search
            && let Some((size, _, _)) = search.probe.take()
        {
            search.failed(cx.now, size, pause);
            cx.counters.add(Counter::TcpExtTCPMTUPFail);
        }
        self.resend_without_congestion(cx);
    }

    /// RFC 4821 §7.6.2: in a window of n segments congestion is to be expected after n round trips.
    fn pause_after_probe(&self) -> Duration {
        let segments = self.cwnd() / u64::from(self.mss.max(1));
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        let srtt = self.rtt.srtt().unwrap_or_default();
        srtt.saturating_mul(segments.max(1)).min(PAUSE_MAX)
    }

    /// The timer ran out. RFC 4821 §7.6.3: a probe that is the first outstanding has failed, and the
    /// next one waits for longer; the window comes down as after any time-out.
    pub(crate) fn mtu_probe_timed_out(&mut self, cx: &mut Context<'_>) {
        let pause = self.pause_after_probe() * TIMEOUT_PAUSES;
        let una = self.snd.una;
        if let Some(search) = &mut self.search
            && let Some((size, start, _)) = search.probe.take()
            && start == una
        {
            search.failed(cx.now, size, pause);
            cx.counters.add(Counter::TcpExtTCPMTUPFail);
        }
    }

    /// Something is sent again while a probe is under way. RFC 4821 §7.6.4: what becomes of the probe
    /// tells nothing; it is made again when nothing is lost.
    pub(crate) fn mtu_probe_is_inconclusive(&mut self) {
        if let Some(search) = &mut self.search {
            search.probe = None;
        }
    }

    /// A time-out: a black hole, perhaps, after several in a row (RFC 4821 §7.7; RFC 8899 §4.3). Smaller segments
    /// are tried.
    pub(crate) fn suspect_black_hole(&mut self, cx: &Context<'_>) {
        if cx.config.tcp_mtu_probing == 0 || self.retries < BLACK_HOLE_RETRIES {
            return;
        }
        let floor = if self.flow.remote.ip.is_ipv4() {
            FLOOR_V4
        } else {
            FLOOR_V6
        };
        match &mut self.search {
            // First back to what passes nearly everywhere; once something arrives, larger sizes are tried
            // from there.
            None => {
                let mut search = self.new_search(cx.config, cx.config.tcp_base_mss, cx.now);
                search.low = search.low.max(floor).min(search.high);
                self.search = Some(Box::new(search));
            }
            Some(search) => {
                search.low = (search.low / 2).max(floor).min(search.low);
                search.probe = None;
            }
        }
        if let Some(route) = self.route {
            self.update_mss(&route);
        }
    }

    /// A segment with `text` bytes of text has arrived whole.
    pub(crate) fn note_arrived(&mut self, text: u32) {
        if text > 0 {
            let size = text + self.overhead();
            let size = u16::try_from(size).unwrap_or(u16::MAX);
            self.largest_acked = self.largest_acked.max(size);
        }
    }

    /// RFC 5927 §7.2: whether an error that says a packet was too large for a hop that takes `mtu` is
    /// believed: not while larger packets are known to arrive and nothing has timed out since.
    pub(crate) fn believes_mtu(&self, mtu: u32) -> bool {
        self.retries > 0 || mtu == 0 || u64::from(mtu) >= u64::from(self.largest_acked)
    }

    /// RFC 1191 §6.5, RFC 8201 §5.4: what was too large is sent again at once, cut anew, and that
    /// is no congestion. The route brings the new size.
    pub(crate) fn too_big(&mut self, cx: &mut Context<'_>) {
        let before = self.mss;
        let _ = self.route(cx);
        if self.state == State::SynSent {
            // Without its text the SYN is not too large.
            self.marks.syn_due = true;
        } else if self.mss < before {
            self.largest_acked = 0;
            self.resend_without_congestion(cx);
        }
    }
}
