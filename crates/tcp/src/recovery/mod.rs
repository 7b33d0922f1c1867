//! Loss recovery: *which* bytes are sent again. How many may be in flight is for congestion control
//! to say (`sockeye_core::congestion`), when they go is for the pacer.
//!
//! [`Recovery`] is what a connection keeps for it:
//!
//! - [`scoreboard`]: every piece that was sent and is not acknowledged, and what is known of it;
//! - [`sack`]: what the peer reports (RFC 2018, 2883), read into a [`report`] of the acknowledgment;
//! - [`rack`]: losses by time (RFC 8985 §6); without SACK, by three duplicates (RFC 5681, 6582);
//! - [`tlp`]: probes for the tail of a flight (RFC 8985 §7);
//! - [`alert`]: what an acknowledgment changes: Open, Disorder, CWR, Recovery, Loss, in order;
//! - [`timeout`]: the retransmission timer, and F-RTO (RFC 5682);
//! - [`prr`]: the window on its way down (RFC 6937);
//! - [`undo`]: back up, when nothing was lost (RFC 3522, 4015, 2883);
//! - [`delivery`]: what has arrived, and how fast.

pub(crate) mod alert;
pub(crate) mod delivery;
mod prr;
pub(crate) mod rack;
pub(crate) mod report;
pub(crate) mod sack;
pub(crate) mod scoreboard;
mod timeout;
pub(crate) mod tlp;
mod undo;

use core::time::Duration;
use delivery::Delivery;
use prr::Prr;
use rack::{Echo, Rack};
use report::Report;
use scoreboard::{Scoreboard, Tally};
use sockeye_core::Instant;
use sockeye_core::congestion::Phase;
use sockeye_wire::SeqNum;
use tlp::Tlp;
use undo::Undo;

/// RFC 5681 §3.2: duplicate acknowledgments that stand for a loss, while no reordering was seen.
pub(crate) const DUP_THRESH: u32 = 3;
/// Segments that reordering is taken to span at most (`net.ipv4.tcp_max_reordering`).
const REORDERING_MAX: u32 = 300;

/// What the sender is about, by the names of TCP_INFO's `tcpi_ca_state`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum CaState {
    /// Nothing is wrong.
    #[default]
    Open,
    /// Something arrived out of order; whether that is a loss is not known.
    Disorder,
    /// The window comes down, as the network or this host said that it is too large.
    Cwr,
    /// Losses that acknowledgments showed are repaired.
    Recovery,
    /// The timer ran out: what was outstanding is repaired.
    Loss,
}

impl CaState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Disorder => "Disorder",
            Self::Cwr => "CWR",
            Self::Recovery => "Recovery",
            Self::Loss => "Loss",
        }
    }
}

/// The state of loss recovery of one connection.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Recovery {
    pub(crate) board: Scoreboard,
    pub(crate) delivery: Delivery,
    state: CaState,
    /// RecoveryPoint (RFC 6675 §2), `recover` (RFC 6582): SND.NXT when the present state began.
    high_seq: SeqNum,
    rack: Rack,
    tlp: Tlp,
    /// The window on its way down; else it is what the controller says.
    prr: Option<Box<Prr>>,
    /// The window as an observer knows it, bytes; at most the largest number.
    told_window: u32,
    undo: Undo,
    /// RFC 5682: whether the time-out was in vain is not known yet.
    frto: bool,
    /// RFC 5682 §3.1 (2b): two new segments come before what would be sent again.
    new_first: bool,
    /// What is due goes whatever the window says, once (RFC 6582 §3.2 (3)).
    forced: bool,
    /// Segments that reordering spans, and how often it was seen.
    reordering: u32,
    reordering_seen: u32,
    /// Bytes that had been sent again when the recovery began.
    copied_before: u64,
    /// Segments that arrived twice, and were sent again, in all.
    dsacked: u32,
    sent_again: u32,
}

impl Recovery {
    /// RFC 6582 §3.2 (1): recover starts as the initial send sequence number.
    pub(crate) fn new(iss: SeqNum) -> Self {
        Self {
            board: Scoreboard::default(),
            delivery: Delivery::default(),
            state: CaState::Open,
            high_seq: iss,
            rack: Rack::default(),
            tlp: Tlp::default(),
            prr: None,
            told_window: 0,
            undo: Undo::default(),
            frto: false,
            new_first: false,
            forced: false,
            reordering: DUP_THRESH,
            reordering_seen: 0,
            copied_before: 0,
            dsacked: 0,
            sent_again: 0,
        }
    }

    pub(crate) fn state(&self) -> CaState {
        self.state
    }

    /// For congestion control.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            CaState::Open | CaState::Disorder => Phase::Open,
            CaState::Cwr => Phase::Reduced,
            CaState::Recovery => Phase::Recovery,
            CaState::Loss => Phase::Loss,
        }
    }

    /// The window while it comes down.
    pub(crate) fn window(&self) -> Option<u64> {
        self.prr.as_ref().map(|prr| prr.cwnd())
    }

    /// Bytes in flight.
    pub(crate) fn pipe(&self) -> u32 {
        self.board.pipe()
    }

    pub(crate) fn reordering(&self) -> u32 {
        self.reordering
    }

    pub(crate) fn reordering_seen(&self) -> u32 {
        self.reordering_seen
    }

    pub(crate) fn dsacked(&self) -> u32 {
        self.dsacked
    }

    /// An acknowledgment comes: what is due goes first again.
    pub(crate) fn next_acknowledgment(&mut self) {
        self.new_first = false;
    }

    /// Whether what is due goes whatever the window says.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced
    }

    /// What was due has gone.
    pub(crate) fn was_sent(&mut self) {
        self.forced = false;
    }

    /// Whether new text goes out before what is due to be sent again.
    pub(crate) fn wants_new_first(&self) -> bool {
        self.new_first
    }

    /// RFC 8985 §7.2: a probe is due after this time, where one may be sent at all.
    pub(crate) fn probe_after(&self, srtt: Option<Duration>, sack: bool) -> Option<Duration> {
        let out = self.board.out().segments;
        let calm = matches!(self.state, CaState::Open | CaState::Cwr);
        (sack && calm && out > 0).then(|| Tlp::pto(srtt, out))
    }

    /// Whether what was last taken for congestion may still turn out not to have been.
    pub(crate) fn is_undoable(&self) -> bool {
        self.undo.is_armed()
    }

    /// When the first of the copies that are outstanding was sent.
    pub(crate) fn first_copy_at(&self) -> Option<Instant> {
        self.undo.first_copy_at()
    }

    /// SND.UNA moved to `una`: takes off what is acknowledged, and learns from it.
    pub(crate) fn take_acknowledged(
        &mut self,
        now: Instant,
        una: SeqNum,
        sack: bool,
        rtt_min: Option<Duration>,
        echo: Option<Echo>,
        report: &mut Report,
    ) {
        let Self {
            board,
            delivery,
            rack,
            high_seq,
            ..
        } = self;
        let before = board.out().segments;
        board.acknowledge(una, |piece| {
            report.data_acked = true;
            if !piece.ever_again {
                report.largest = report.largest.max(piece.len().min(piece.mss));
            }
            if piece.ever_again {
                // Also where its copy is taken for lost: which of them arrived can't be told.
                report.copy_acked = true;
            } else if !piece.sacked {
                report::widen(&mut report.acked_at, piece.sent_at);
                if sack {
                    report.saw_late(piece.start);
                }
                report.original_arrived |= piece.end.before_or_eq(*high_seq);
            }
            if !piece.sacked {
                if sack {
                    delivery.count(piece.len(), piece.segments);
                    if !echo.is_some_and(|echo| echo.precedes(piece)) {
                        rack.arrived(now, piece, rtt_min);
                    }
                }
                delivery.sample(&mut report.sampling, piece);
            }
        });
        report.segments = before.saturating_sub(board.out().segments);
        if !sack && report.copy_acked {
            // RFC 5682 §2: whether the original or the copy arrived can't be told.
            report.original_arrived = false;
        }
    }

    /// See [`Rack::update_window`].
    pub(crate) fn update_reordering_window(&mut self, delivered_before: Option<u64>) {
        self.rack
            .update_window(delivered_before, self.delivery.delivered());
    }

    /// A piece leaves again now.
    pub(crate) fn snapshot(&mut self, now: Instant, mss: u32) -> delivery::Snapshot {
        let in_flight = self.pipe().saturating_add(mss);
        self.delivery.on_sent(now, false, in_flight)
    }

    /// `segments` were sent again, with the timestamp `tsval`.
    pub(crate) fn note_copy(&mut self, now: Instant, tsval: u32, segments: u32) {
        self.undo.sent_again(now, tsval, segments);
        self.sent_again = self.sent_again.saturating_add(segments);
    }

    /// What was sent again is acknowledged.
    pub(crate) fn forget_copies(&mut self) {
        self.undo.no_copies();
    }

    /// `bytes` left while the window comes down.
    pub(crate) fn reduction_sent(&mut self, bytes: u32) {
        if let Some(prr) = &mut self.prr {
            prr.on_sent(bytes);
        }
    }

    pub(crate) fn is_probe_under_way(&self) -> bool {
        self.tlp.is_under_way()
    }

    /// A tail loss probe was sent.
    pub(crate) fn probe_sent(&mut self, nxt: SeqNum, is_retrans: bool) {
        self.tlp.sent(nxt, is_retrans);
    }

    /// Everything outstanding goes again at once, as the path takes smaller packets only: no loss
    /// that says anything of congestion (RFC 1191 §6.5).
    pub(crate) fn take_back(&mut self, largest: u32) -> bool {
        let mut any = false;
        self.board.mark_all_lost(|piece| {
            let too_large = piece.mss > largest && piece.len() > largest;
            any |= too_large;
            too_large
        });
        any
    }

    /// Keeps `high_seq` near, so that comparisons with it never wrap.
    pub(crate) fn keep_near(&mut self, una: SeqNum) {
        if self.state == CaState::Open && self.high_seq.before(una - 1) {
            self.high_seq = una - 1;
        }
    }

    /// Without SACK: `segments` more duplicate acknowledgments came; each stands for a segment that
    /// arrived behind the first one outstanding. False when there were too many of them: then
    /// packets are reordered or doubled.
    fn assume_arrived(&mut self, segments: u32, mss: u32) {
        let before = self.board.sacked();
        let out = self.board.out().segments;
        let holes = self.board.lost().segments.max(1).min(out);
        let wanted = before.segments.saturating_add(segments);
        let possible = out.saturating_sub(holes);
        let now = wanted.min(possible);
        if wanted > possible && now > self.reordering {
            // RFC 5681 has no word for it: more duplicates than segments could have caused.
            self.reordering = now.min(REORDERING_MAX);
            self.reordering_seen = self.reordering_seen.saturating_add(1);
        }
        let bytes = now.saturating_mul(mss).min(self.board.out().bytes);
        self.board.set_assumed(Tally {
            bytes,
            segments: now,
        });
        let new = now.saturating_sub(before.segments);
        self.delivery.count(new.saturating_mul(mss), new);
    }

    /// Without SACK: `segments` were acknowledged: those that had been assumed come first.
    pub(crate) fn assumed_were_acknowledged(&mut self, segments: u32, mss: u32) {
        let assumed = self.board.sacked();
        if segments > 0 {
            // One of them filled the hole; the others had been counted.
            let new = segments.saturating_sub(assumed.segments).max(1);
            self.delivery.count(new.saturating_mul(mss), new);
            let left = assumed.segments.saturating_sub(segments.saturating_sub(1));
            let bytes = left.saturating_mul(mss).min(self.board.out().bytes);
            self.board.set_assumed(Tally {
                bytes,
                segments: left,
            });
        }
        let out = self.board.out().segments;
        let possible = out.saturating_sub(self.board.lost().segments.max(1).min(out));
        let assumed = self.board.sacked();
        if assumed.segments > possible {
            let bytes = possible.saturating_mul(mss).min(self.board.out().bytes);
            self.board.set_assumed(Tally {
                bytes,
                segments: possible,
            });
        }
    }

    fn forget_assumed(&mut self) {
        self.board.set_assumed(Tally::default());
    }
}
