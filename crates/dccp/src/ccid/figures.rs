//! The figures of CCID 3 that a socket tells (Linux: linux/tfrc.h).

use core::time::Duration;

/// Of the sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderFigures {
    /// X, bytes a second.
    pub(crate) rate: f64,
    /// X_recv, bytes a second.
    pub(crate) received: f64,
    /// X_Bps by the equation, bytes a second; 0 before any loss.
    pub(crate) equation: f64,
    pub(crate) rtt: Duration,
    /// p
    pub(crate) loss: f64,
    /// The nofeedback timer.
    pub(crate) no_feedback: Duration,
    /// t_ipi: between packets.
    pub(crate) interval: Duration,
}

/// Of the receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverFigures {
    /// X_recv, bytes a second.
    pub(crate) rate: u32,
    pub(crate) rtt: Duration,
    /// p
    pub(crate) loss: f64,
}

impl SenderFigures {
    /// struct tfrc_tx_info: X and X_recv in 64ths of a byte a second, X_Bps in bytes, times in
    /// microseconds, p in millionths, and padding.
    pub(crate) fn to_bytes(self) -> [u8; 40] {
        let mut out = [0; 40];
        let wide = [self.rate, self.received].map(|rate| (rate * 64.0) as u64);
        let narrow = [
            self.equation as u32,
            micros(self.rtt),
            millionths(self.loss),
            micros(self.no_feedback),
            micros(self.interval),
        ];
        let bytes = wide.into_iter().flat_map(u64::to_ne_bytes);
        let bytes = bytes.chain(narrow.into_iter().flat_map(u32::to_ne_bytes));
        out.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        out
    }
}

impl ReceiverFigures {
    /// struct tfrc_rx_info: bytes a second, microseconds, millionths.
    pub(crate) fn to_bytes(self) -> [u8; 12] {
        let mut out = [0; 12];
        let words = [self.rate, micros(self.rtt), millionths(self.loss)];
        let bytes = words.into_iter().flat_map(u32::to_ne_bytes);
        out.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        out
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn millionths(p: f64) -> u32 {
    (p * 1e6) as u32
}
