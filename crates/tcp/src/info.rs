//! What a connection tells of itself, like TCP_INFO.

use crate::ecn::Mode;
use crate::recovery::CaState;
use crate::{FastOpenFailure, State, Tcp};
use core::time::Duration;
use sockeye_core::{Error, Instant, SocketId};

/// A connection's figures. Segments are counted as they are on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Its state.
    pub state: State,
    /// ISS and IRS (RFC 9293 §3.3.1), which tell it from earlier connections between the same ports.
    pub initial_numbers: (u32, u32),
    /// Where its loss recovery stands.
    pub ca_state: CaState,
    /// Time-outs in a row.
    pub retransmits: u32,
    /// Probes in a row without an answer.
    pub probes: u32,
    /// Doublings of the retransmission time-out, or of the interval between window probes.
    pub backoff: u8,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// The peer takes SACK options.
    pub sack: bool,
    /// Snd.Wind.Shift and Rcv.Wind.Shift, where windows are scaled.
    pub window_scale: Option<(u8, u8)>,
    /// Of the last rate that was measured the application was the limit.
    pub delivery_rate_app_limited: bool,
    /// The retransmission time-out now.
    pub rto: Duration,
    /// The delay of acknowledgments.
    pub ack_timeout: Duration,
    /// Eff.snd.MSS, bytes.
    pub snd_mss: u32,
    /// The largest segment that the peer is taken to send, bytes.
    pub rcv_mss: u32,
    /// The MSS that this side offers, bytes.
    pub advertised_mss: u32,
    /// Segments outstanding, reported by the peer, taken for lost, and sent again and in flight.
    pub unacked: u32,
    /// See [`unacked`](Self::unacked).
    pub sacked: u32,
    /// See [`unacked`](Self::unacked).
    pub lost: u32,
    /// See [`unacked`](Self::unacked).
    pub retrans: u32,
    /// Since text was last sent, text and an acknowledgment last came.
    pub last_data_sent: Duration,
    /// See [`last_data_sent`](Self::last_data_sent).
    pub last_data_received: Duration,
    /// See [`last_data_sent`](Self::last_data_sent).
    pub last_ack_received: Duration,
    /// The largest packet that the path takes, bytes.
    pub path_mtu: u32,
    /// SRTT, once measured.
    pub srtt: Option<Duration>,
    /// RTTVAR.
    pub rttvar: Duration,
    /// The shortest round trip of the last minutes.
    pub rtt_min: Option<Duration>,
    /// The newest measurement of a round trip.
    pub rtt_latest: Option<Duration>,
    /// The slow start threshold, bytes; `u64::MAX` before the first congestion.
    pub ssthresh: u64,
    /// The congestion window, bytes.
    pub cwnd: u64,
    /// Bytes in flight.
    pub in_flight: u32,
    /// The name of the congestion controller.
    pub congestion: &'static str,
    /// Segments that reordering is taken to span, and how often it was seen.
    pub reordering: u32,
    /// See [`reordering`](Self::reordering).
    pub reordering_seen: u32,
    /// Bytes a second that may leave, where a pacer says when.
    pub pacing_rate: Option<u64>,
    /// Bytes a second that arrived when it was last measured.
    pub delivery_rate: u64,
    /// SND.WND, bytes.
    pub snd_wnd: u32,
    /// RCV.WND, bytes.
    pub rcv_wnd: u32,
    /// Segments sent again in all, and bytes.
    pub retransmitted: u32,
    /// See [`retransmitted`](Self::retransmitted).
    pub bytes_retransmitted: u64,
    /// Bytes of text that the peer has acknowledged.
    pub bytes_acked: u64,
    /// Bytes of text received in order.
    pub bytes_received: u64,
    /// Bytes of text sent, each time that they were.
    pub bytes_sent: u64,
    /// Segments received and sent; those with text.
    pub segs_in: u32,
    /// See [`segs_in`](Self::segs_in).
    pub segs_out: u32,
    /// See [`segs_in`](Self::segs_in).
    pub data_segs_in: u32,
    /// See [`segs_in`](Self::segs_in).
    pub data_segs_out: u32,
    /// Bytes that have reached the peer, reported ones among them.
    pub delivered: u64,
    /// The segments of these, and our SYN.
    pub delivered_segments: u32,
    /// Of these, bytes that arrived marked with CE.
    pub delivered_ce: u64,
    /// ECN is spoken; text of the peer came ECN-capable.
    pub ecn: bool,
    /// See [`ecn`](Self::ecn).
    pub ecn_seen: bool,
    /// Accurate ECN is spoken (RFC 9768); what it has counted.
    pub accurate_ecn: Option<AccurateEcn>,
    /// Segments that the peer reported to have twice.
    pub dsack_dups: u32,
    /// Segments that came out of order.
    pub out_of_order_segments: u32,
    /// Time-outs in all, and rows of them.
    pub total_rto: u32,
    /// See [`total_rto`](Self::total_rto).
    pub total_rto_recoveries: u32,
    /// How long there was something to send; of that, the peer's window, and the send buffer, held it
    /// up.
    pub busy_time: Duration,
    /// See [`busy_time`](Self::busy_time).
    pub rwnd_limited: Duration,
    /// See [`busy_time`](Self::busy_time).
    pub sndbuf_limited: Duration,
    /// Bytes written and not sent.
    pub unsent: u32,
    /// Bytes received and not read.
    pub readable: usize,
    /// Bytes received out of order.
    pub out_of_order: u64,
    /// The limit of the receive buffer, bytes of memory.
    pub receive_buffer: usize,
    /// The limit of the send buffer, bytes.
    pub send_buffer: usize,
    /// The text of a SYN was taken: of ours by the peer, or of the peer's by us (RFC 7413).
    pub syn_text: bool,
    /// Why Fast Open was of no use.
    pub fast_open_failure: Option<FastOpenFailure>,
    /// What it waits for, by the name that ss(8) has for the timer, and how long still: `on`
    /// (something may go again), `persist` (a closed window is probed), `keepalive`.
    pub timer: Option<(&'static str, Duration)>,
}

/// What accurate ECN has counted; bytes are of text, modulo 2^24, in the order CE, ECT(0), ECT(1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccurateEcn {
    /// Packets that arrived marked with CE.
    pub received_ce: u32,
    /// Packets of ours that did, as far as the peer told.
    pub delivered_ce: u32,
    /// What arrived.
    pub received_bytes: [u32; 3],
    /// What of ours has arrived, as far as the peer told.
    pub delivered_bytes: [u32; 3],
}

impl Tcp {
    /// The figures of a connection at `now`.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the socket is none.
    pub fn info(&self, now: Instant, id: SocketId) -> Result<Info, Error> {
        let tcb = self.held(id)?.tcb().ok_or(Error::NotConnected)?;
        let board = &tcb.recovery.board;
        let (delivery_rate, delivery_rate_app_limited) = tcb.recovery.delivery.rate();
        let totals = &tcb.totals;
        let [busy_time, rwnd_limited, sndbuf_limited] = totals.chronograph.times(now);
        let bytes_acked = tcb.queue.position();
        let sent_once = bytes_acked + u64::from(tcb.queue.len() - tcb.unsent());
        Ok(Info {
            state: self.state(id)?,
            initial_numbers: (tcb.snd.iss.0, tcb.rcv.irs.0),
            ca_state: tcb.recovery.state(),
            retransmits: tcb.retries,
            probes: tcb.probes,
            backoff: tcb.rtt.backoff().max(tcb.probe_backoff),
            timestamps: tcb.timestamps.is_some(),
            sack: tcb.marks.sack,
            window_scale: tcb.marks.scaled.then_some((tcb.snd.shift, tcb.rcv.shift)),
            delivery_rate_app_limited,
            rto: tcb.rtt.rto(),
            ack_timeout: crate::output::ACK_DELAY,
            snd_mss: tcb.mss,
            rcv_mss: tcb.rcv_mss(),
            advertised_mss: tcb
                .route
                .map_or(tcb.mss, |route| tcb.own_mss(&route).into()),
            unacked: board.out().segments,
            sacked: board.sacked().segments,
            lost: board.lost().segments,
            retrans: board.again().segments,
            last_data_sent: now - tcb.sent_at,
            last_data_received: now - totals.text_heard_at,
            last_ack_received: now - tcb.heard_at,
            path_mtu: tcb.route.map_or(0, |route| route.mtu),
            srtt: tcb.rtt.srtt(),
            rttvar: tcb.rtt.rttvar(),
            rtt_min: tcb.rtt.min(),
            rtt_latest: tcb.rtt.latest(),
            ssthresh: tcb.congestion.ssthresh(),
            cwnd: tcb.cwnd(),
            in_flight: tcb.pipe(),
            congestion: tcb.congestion.name(),
            reordering: tcb.recovery.reordering(),
            reordering_seen: tcb.recovery.reordering_seen(),
            pacing_rate: tcb.pacing_rate(),
            delivery_rate,
            snd_wnd: tcb.snd.wnd,
            rcv_wnd: tcb.rcv.wnd(),
            retransmitted: totals.retransmitted,
            bytes_retransmitted: totals.bytes_retransmitted,
            bytes_acked,
            bytes_received: tcb.rcv.position,
            bytes_sent: sent_once + totals.bytes_retransmitted,
            segs_in: totals.segs_in,
            segs_out: totals.segs_out,
            data_segs_in: totals.data_segs_in,
            data_segs_out: totals.data_segs_out,
            delivered: tcb.recovery.delivery.delivered(),
            delivered_segments: tcb.recovery.delivery.segments(),
            delivered_ce: tcb.recovery.delivery.marked(),
            ecn: matches!(tcb.ecn.mode, Mode::Classic | Mode::Accurate),
            ecn_seen: tcb.ecn.ect_seen(),
            accurate_ecn: tcb.ecn.accurate.as_deref().map(|accurate| AccurateEcn {
                received_ce: accurate.received_ce(),
                delivered_ce: accurate.delivered_ce(),
                received_bytes: accurate.received_bytes(),
                delivered_bytes: accurate.delivered_bytes(),
            }),
            dsack_dups: tcb.recovery.dsacked(),
            out_of_order_segments: totals.out_of_order,
            total_rto: totals.timeouts,
            total_rto_recoveries: totals.timeout_episodes,
            busy_time,
            rwnd_limited,
            sndbuf_limited,
            unsent: tcb.unsent(),
            readable: tcb.waiting(),
            out_of_order: tcb.reassembly.len(),
            receive_buffer: tcb.rcv.buffer,
            send_buffer: tcb.send_buffer,
            syn_text: tcb.syn_text_accepted(),
            fast_open_failure: tcb.fast_open.as_ref().and_then(|open| open.failure),
            timer: tcb.deadlines.shown(now),
        })
    }
}
