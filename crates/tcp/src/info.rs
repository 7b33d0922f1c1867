//! What a connection tells of itself, like TCP_INFO.

use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::{Error, SocketId};

/// A connection's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its state.
    pub state: State,
    /// Eff.snd.MSS, bytes.
    pub snd_mss: u32,
    /// The congestion window, bytes.
    pub cwnd: u64,
    /// The slow start threshold, bytes; `u64::MAX` before the first congestion.
    pub ssthresh: u64,
    /// The name of the congestion controller.
    pub congestion: &'static str,
    /// SND.WND, bytes.
    pub snd_wnd: u32,
    /// RCV.WND, bytes.
    pub rcv_wnd: u32,
    /// Bytes in flight.
    pub in_flight: u32,
    /// SRTT, once measured.
    pub srtt: Option<Duration>,
    /// RTTVAR.
    pub rttvar: Duration,
    /// The smallest round-trip time seen.
    pub rtt_min: Option<Duration>,
    /// The retransmission time-out now.
    pub rto: Duration,
    /// Doublings of it.
    pub backoff: u8,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Bytes received and not read.
    pub readable: usize,
    /// Bytes received out of order.
    pub out_of_order: u64,
    /// The limit of the receive buffer, bytes of memory.
    pub receive_buffer: usize,
    /// The limit of the send buffer, bytes.
    pub send_buffer: usize,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// The peer takes SACK options.
    pub sack: bool,
    /// Snd.Wind.Shift and Rcv.Wind.Shift.
    pub window_scale: (u8, u8),
}

impl Tcp {
    /// The figures of a connection.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the socket is none.
    pub fn info(&self, id: SocketId) -> Result<Info, Error> {
        let tcb = self.held(id)?.tcb().ok_or(Error::NotConnected)?;
        Ok(Info {
            state: self.state(id)?,
            snd_mss: tcb.mss,
            cwnd: tcb.congestion.cwnd(),
            ssthresh: tcb.congestion.ssthresh(),
            congestion: tcb.congestion.name(),
            snd_wnd: tcb.snd.wnd,
            rcv_wnd: tcb.rcv.wnd(),
            in_flight: tcb.pipe(),
            srtt: tcb.rtt.srtt(),
            rttvar: tcb.rtt.rttvar(),
            rtt_min: tcb.rtt.min(),
            rto: tcb.rtt.rto(),
            backoff: tcb.rtt.backoff(),
            retransmitted: tcb.retransmitted,
            readable: tcb.waiting(),
            out_of_order: tcb.reassembly.len(),
            receive_buffer: tcb.rcv.buffer,
            send_buffer: tcb.send_buffer,
            timestamps: tcb.timestamps.is_some(),
            sack: tcb.marks.sack,
            window_scale: (tcb.snd.shift, tcb.rcv.shift),
        })
    }
}
