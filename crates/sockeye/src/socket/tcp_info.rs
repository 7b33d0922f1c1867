//! TCP_INFO as bytes: Linux's `struct tcp_info`, whose fields are written one after the other, and
//! the figures of memory that SO_MEMINFO tells.
//!
//! What a connection does not keep is zero there, as in a kernel that is older than the field.

use super::Socket;
use sockeye_core::{Error, SocketOption};
use sockeye_tcp::{CaState, FastOpenFailure, Info, State};
use std::io;
use std::time::Duration;

/// Of linux/tcp.h: `tcpi_options`.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_ECN: u8 = 8;
const OPT_ECN_SEEN: u8 = 16;
const OPT_SYN_DATA: u8 = 32;

/// What a slow start threshold without end is shown as (Linux: TCP_INFINITE_SSTHRESH).
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;
/// How long the structure is in Linux 6.18.
const LEN: usize = 280;

impl Socket {
    /// `struct tcp_info` of a stream in whatever state.
    pub(super) fn tcp_info_raw(&self) -> io::Result<Vec<u8>> {
        let (state, info) = self.call(|op| {
            let info = match op.info() {
                Ok(info) => Some(info),
                Err(Error::NotConnected) => None,
                Err(_) => return Err(Error::NoProtocolOption),
            };
            Ok((op.tcp_state()?, info))
        })?;
        Ok(match info {
            Some(info) => encode(&info),
            None => {
                let mut bytes = vec![0; LEN];
                bytes[0] = number(state);
                bytes
            }
        })
    }

    /// The `SK_MEMINFO_VARS` of SO_MEMINFO.
    pub(super) fn memory_info_raw(&self) -> io::Result<Vec<u8>> {
        let limit = |option| self.option(option)?.int().map_err(crate::error::to_io);
        // A listener has nothing queued, and of messages it is not counted.
        let queued = self.queued().unwrap_or_default();
        let written = clamp(queued.unsent + queued.unacknowledged);
        let mut out = Bytes::default();
        // Received and not read, its limit; sent and not freed, its limit.
        out.u32(clamp(queued.readable));
        out.u32(limit(SocketOption::ReceiveBuffer)?.cast_unsigned());
        out.u32(clamp(queued.unacknowledged));
        out.u32(limit(SocketOption::SendBuffer)?.cast_unsigned());
        // Forward allocation, what is queued for sending, options, backlog, drops.
        out.u32(0);
        out.u32(written);
        out.zeros(3 * 4);
        Ok(out.0)
    }
}

fn encode(info: &Info) -> Vec<u8> {
    let mut out = Bytes::default();
    head(&mut out, info);
    path(&mut out, info);
    sums(&mut out, info);
    accurate_ecn(&mut out, info);
    debug_assert!(out.0.len() == LEN, "the structure is {} bytes", out.0.len());
    out.0
}

/// The bytes at the front: state, recovery, options.
fn head(out: &mut Bytes, info: &Info) {
    let mut options = 0;
    let mut option = |on: bool, bit| options |= if on { bit } else { 0 };
    option(info.timestamps, OPT_TIMESTAMPS);
    option(info.sack, OPT_SACK);
    option(info.window_scale.is_some(), OPT_WSCALE);
    option(info.ecn, OPT_ECN);
    option(info.ecn_seen, OPT_ECN_SEEN);
    option(info.syn_text, OPT_SYN_DATA);
    let (snd_shift, rcv_shift) = info.window_scale.unwrap_or_default();
    let byte = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    out.u8(number(info.state));
    out.u8(match info.ca_state {
        CaState::Open => 0,
        CaState::Disorder => 1,
        CaState::Cwr => 2,
        CaState::Recovery => 3,
        CaState::Loss => 4,
    });
    out.u8(byte(info.retransmits));
    out.u8(byte(info.probes));
    out.u8(info.backoff);
    out.u8(options);
    out.u8((snd_shift & 0xf) | (rcv_shift << 4));
    let fast_open = match info.fast_open_failure {
        None => 0,
        Some(FastOpenFailure::NoCookie) => 1,
        Some(FastOpenFailure::NotAcknowledged) => 2,
        Some(FastOpenFailure::Retransmitted) => 3,
    };
    out.u8(u8::from(info.delivery_rate_app_limited) | fast_open << 1);
}

/// What is outstanding, when things last passed, and what is known of the path.
fn path(out: &mut Bytes, info: &Info) {
    let mss = u64::from(info.snd_mss.max(1));
    out.u32(micros(info.rto));
    out.u32(micros(info.ack_timeout));
    out.u32(info.snd_mss);
    out.u32(info.rcv_mss);
    out.u32(info.unacked);
    out.u32(info.sacked);
    out.u32(info.lost);
    out.u32(info.retrans);
    // fackets: nothing since Linux 4.15.
    out.u32(0);
    out.u32(millis(info.last_data_sent));
    // When an acknowledgment was last sent: Linux does not remember it either.
    out.u32(0);
    out.u32(millis(info.last_data_received));
    out.u32(millis(info.last_ack_received));
    out.u32(info.path_mtu);
    out.u32(info.rcv_wnd);
    out.u32(micros(info.srtt.unwrap_or_default()));
    out.u32(micros(info.rttvar));
    out.u32(match info.ssthresh {
        u64::MAX => INFINITE_SSTHRESH,
        bytes => u32::try_from(bytes / mss).unwrap_or(INFINITE_SSTHRESH),
    });
    out.u32(u32::try_from(info.cwnd / mss).unwrap_or(u32::MAX));
    out.u32(info.advertised_mss);
    out.u32(info.reordering);
    // rcv_rtt, rcv_space.
    out.u32(0);
    out.u32(info.rcv_wnd);
    out.u32(info.retransmitted);
}

/// What has passed so far.
fn sums(out: &mut Bytes, info: &Info) {
    let mss = u64::from(info.snd_mss.max(1));
    let segments = |bytes: u64| u32::try_from(bytes.div_ceil(mss)).unwrap_or(u32::MAX);
    out.u64(info.pacing_rate.unwrap_or(u64::MAX));
    // max_pacing_rate: without a limit.
    out.u64(u64::MAX);
    out.u64(info.bytes_acked);
    out.u64(info.bytes_received);
    out.u32(info.segs_out);
    out.u32(info.segs_in);
    out.u32(info.unsent);
    out.u32(info.rtt_min.map_or(u32::MAX, micros));
    out.u32(info.data_segs_in);
    out.u32(info.data_segs_out);
    out.u64(info.delivery_rate);
    for time in [info.busy_time, info.rwnd_limited, info.sndbuf_limited] {
        out.u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
    out.u32(info.delivered_segments);
    out.u32(match info.accurate_ecn {
        Some(counted) => counted.delivered_ce,
        None => segments(info.delivered_ce),
    });
    out.u64(info.bytes_sent);
    out.u64(info.bytes_retransmitted);
    out.u32(info.dsack_dups);
    out.u32(info.reordering_seen);
    out.u32(info.out_of_order_segments);
    out.u32(info.snd_wnd);
    out.u32(info.rcv_wnd);
    // rehash: a path is not changed by another flow label.
    out.u32(0);
    out.u16(u16::try_from(info.total_rto).unwrap_or(u16::MAX));
    out.u16(u16::try_from(info.total_rto_recoveries).unwrap_or(u16::MAX));
    // total_rto_time.
    out.u32(0);
}

/// What accurate ECN has counted (RFC 9768), bytes modulo 2^24.
fn accurate_ecn(out: &mut Bytes, info: &Info) {
    let counted = info.accurate_ecn.unwrap_or_default();
    out.u32(counted.received_ce);
    for [ce, ect0, ect1] in [counted.delivered_bytes, counted.received_bytes] {
        for bytes in [ect1, ect0, ce] {
            out.u32(bytes);
        }
    }
    // accecn_fail_mode, accecn_opt_seen.
    out.zeros(4);
}

/// The states as Linux numbers them.
const fn number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A structure in the making.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    fn zeros(&mut self, n: usize) {
        self.0.resize(self.0.len() + n, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn info() -> Info {
        Info {
            state: State::CloseWait,
            ca_state: CaState::Recovery,
            retransmits: 4,
            snd_mss: 1000,
            cwnd: 10_000,
            ssthresh: u64::MAX,
            congestion: "reno",
            snd_wnd: 6,
            rcv_wnd: 7,
            in_flight: 1001,
            unacked: 2,
            srtt: Some(Duration::from_millis(3)),
            rttvar: Duration::from_millis(1),
            rto: Duration::from_millis(203),
            backoff: 2,
            retransmitted: 5,
            bytes_acked: 1 << 40,
            unsent: 9,
            delivered: 2500,
            delivered_segments: 3,
            bytes_retransmitted: 77,
            total_rto: 3,
            timestamps: true,
            window_scale: Some((7, 8)),
            ..Info::default()
        }
    }

    /// The offsets are those of linux/tcp.h.
    #[test]
    fn fields_lie_where_linux_has_them() {
        let bytes = encode(&info());
        let at = |offset: usize| {
            let field = bytes[offset..].first_chunk().unwrap();
            u32::from_ne_bytes(*field)
        };
        assert_eq!(
            bytes[..8],
            [8, 3, 4, 0, 2, OPT_TIMESTAMPS | OPT_WSCALE, 0x87, 0]
        );
        assert_eq!(at(8), 203_000);
        assert_eq!(at(16), 1000);
        assert_eq!(at(24), 2);
        assert_eq!(at(68), 3000);
        assert_eq!(at(72), 1000);
        assert_eq!(at(76), INFINITE_SSTHRESH);
        assert_eq!(at(80), 10);
        assert_eq!(at(100), 5);
        assert_eq!(at(144), 9);
        assert_eq!(at(148), u32::MAX);
        assert_eq!((at(120), at(124)), (0, 1 << 8));
        assert_eq!((at(192), at(208)), (3, 77));
        assert_eq!((at(228), at(232)), (6, 7));
        assert_eq!(bytes[240..242], 3u16.to_ne_bytes());
        assert_eq!(bytes.len(), LEN);
    }
}
