//! The options of a SYN: what we say of ourselves and what we take from the peer's. MSS (RFC 9293
//! §3.7.1 (MUST-14), RFC 6691), window scale and timestamps (RFC 7323 §2.2, §3.2), SACK (RFC 2018 §2).

use crate::isn::timestamp;
use crate::tcb::{Tcb, Timestamping};
use crate::window::{SHIFT_MAX, shift_for};
use sockeye_core::{Config, Instant, Route};
use sockeye_wire::tcp::HEADER_LEN;
use sockeye_wire::tcp_options::{Options, Timestamps};
use sockeye_wire::{ipv4, ipv6};
use std::net::IpAddr;

/// RFC 9293 §3.7.1 (MUST-15): SendMSS where the peer says nothing, over IPv4.
const DEFAULT_MSS_V4: u16 = 536;
/// The same over IPv6.
const DEFAULT_MSS_V6: u16 = 1220;
/// The least that we believe: a peer that says less wants us to send headers only (Linux:
/// TCP_MIN_SND_MSS).
const MSS_MIN: u16 = 48;
/// Bytes that timestamps take in every segment.
const TIMESTAMPS_LEN: u32 = 12;

/// SendMSS where the peer says nothing.
pub(crate) fn default_mss(remote: IpAddr) -> u16 {
    match remote {
        IpAddr::V4(_) => DEFAULT_MSS_V4,
        IpAddr::V6(_) => DEFAULT_MSS_V6,
    }
}

/// Bytes of an IP header without options.
pub(crate) fn ip_header_len(remote: IpAddr) -> u32 {
    // Both are a few dozen.
    (match remote {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    }) as u32
}

/// RFC 6691 §2: the MSS that fits `mtu`, options not subtracted.
pub(crate) fn mss_for(mtu: u32, remote: IpAddr) -> u16 {
    let headers = ip_header_len(remote) + HEADER_LEN as u32;
    u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX)
}

/// What a SYN said, and what may be used therefore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    /// The peer's shift; `None`: no scaling in either direction (RFC 7323 §2.2).
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    /// TSval, where timestamps may be used.
    pub(crate) timestamp: Option<u32>,
}

impl Offer {
    /// What of the peer's `options` this node makes use of.
    pub(crate) fn read(options: &Options, remote: IpAddr, config: &Config) -> Self {
        Self {
            mss: options.mss.unwrap_or(default_mss(remote)).max(MSS_MIN),
            window_scale: options
                .window_scale
                .filter(|_| config.tcp_window_scaling)
                .map(|shift| shift.min(SHIFT_MAX)),
            sack: options.sack_permitted && config.tcp_sack,
            timestamp: options
                .timestamps
                .filter(|_| config.tcp_timestamps)
                .map(|ts| ts.tsval),
        }
    }
}

/// The shift that this node offers: its buffers may grow to `tcp_rmem`'s maximum.
pub(crate) fn own_shift(config: &Config, receive_buffer: usize) -> u8 {
    if config.tcp_window_scaling {
        shift_for(config.tcp_rmem.2.max(receive_buffer))
    } else {
        0
    }
}

/// The options of a SYN, or of a SYN and ACK that answers `offer`: RFC 7323 §2.2, §3.2 and
/// RFC 2018 §2: then only those that the peer has offered. MSS is in every SYN and in nothing else
/// (RFC 9293 §3.7.1, SHLD-5, MAY-3, MUST-65).
pub(crate) fn syn_options(
    config: &Config,
    mss: u16,
    shift: u8,
    tsval: u32,
    offer: Option<&Offer>,
) -> Options {
    let tsecr = offer.map_or(Some(0), |o| o.timestamp);
    Options {
        mss: Some(mss),
        window_scale: (config.tcp_window_scaling && offer.is_none_or(|o| o.window_scale.is_some()))
            .then_some(shift),
        sack_permitted: config.tcp_sack && offer.is_none_or(|o| o.sack),
        timestamps: tsecr
            .filter(|_| config.tcp_timestamps)
            .map(|tsecr| Timestamps { tsval, tsecr }),
        ..Options::default()
    }
}

impl Tcb {
    /// Takes over what both ends can do.
    pub(crate) fn negotiated(&mut self, offer: &Offer, now: Instant, config: &Config) {
        self.peer_mss = offer.mss;
        self.marks.sack = offer.sack;
        self.congestion.set_selective(offer.sack);
        self.marks.scaled = offer.window_scale.is_some();
        match offer.window_scale {
            Some(shift) => {
                self.snd.shift = shift;
                self.rcv.shift = own_shift(config, self.rcv.buffer);
            }
            None => {
                self.snd.shift = 0;
                self.rcv.shift = 0;
            }
        }
        self.timestamps = offer.timestamp.map(|recent| Timestamping {
            recent,
            recent_at: now,
        });
        if let Some(route) = self.route {
            self.update_mss(&route);
        }
    }

    /// RFC 9293 §3.7.1 (MUST-16): Eff.snd.MSS = min (SendMSS + 20, MMS_S) - TCPhdrsize -
    /// IPoptionsize; RFC 6691 §2: options of every segment are taken off here. Asked anew when the
    /// path's MTU changes (§3.7.3, SHLD-6).
    pub(crate) fn update_mss(&mut self, route: &Route) {
        let mtu = self
            .searched_mtu()
            .map_or(route.mtu, |mtu| mtu.min(route.mtu));
        let mut mss = u32::from(self.peer_mss.min(mss_for(mtu, self.flow.remote.ip)));
        if self.settings.max_segment > 0 {
            mss = mss.min(self.settings.max_segment.into());
        }
        let mss = mss.saturating_sub(self.options_len() + self.extras_len());
        let mss = mss.min(self.half_of_window());
        let mss = mss.max(u32::from(MSS_MIN) - TIMESTAMPS_LEN);
        if mss != self.mss {
            self.mss = mss;
            self.congestion.set_smss(mss);
        }
    }

    /// What a segment may have of the largest window that the peer has offered, so that one can be on
    /// the way while another one is acknowledged: half of it, as in Linux, where that is no crumb
    /// (RFC 9293 §3.8.6.2.1, Fs). A loopback interface carries more than a small window holds.
    fn half_of_window(&self) -> u32 {
        match self.snd.max_wnd {
            0 => u32::MAX,
            small @ ..=536 => small,
            window => window / 2,
        }
    }

    /// Bytes of the options that every segment has.
    pub(crate) fn options_len(&self) -> u32 {
        let timestamps = if self.timestamps.is_some() {
            TIMESTAMPS_LEN
        } else {
            0
        };
        timestamps + self.signature_len()
    }

    /// Bytes between the IP header and TCP's: IP options, extension headers.
    pub(crate) fn extras_len(&self) -> u32 {
        let extras = self.settings.common.internet.extras();
        let (before, behind) = extras.map_or((0, 0), |e| e.len(self.flow.remote.ip.is_ipv4()));
        u32::try_from(before + behind).unwrap_or(u32::MAX)
    }

    /// The MSS that we say: what the interface carries (RFC 9293 §3.7.1, MUST-67), or TCP_MAXSEG.
    pub(crate) fn own_mss(&self, route: &Route) -> u16 {
        let mss = mss_for(route.mtu, self.flow.remote.ip);
        match self.settings.max_segment {
            0 => mss,
            limit => mss.min(limit),
        }
    }

    /// TSval and TSecr of a segment that leaves now.
    pub(crate) fn current_timestamps(&self, now: Instant) -> Option<Timestamps> {
        self.timestamps.map(|ts| Timestamps {
            tsval: timestamp(now, self.timestamp_offset),
            tsecr: ts.recent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    /// RFC 9293 §3.7.1 (MUST-15).
    #[test]
    fn a_peer_that_says_nothing_gets_the_defaults() {
        let offer = Offer::read(&Options::default(), V4, &Config::default());
        assert_eq!(
            offer,
            Offer {
                mss: 536,
                window_scale: None,
                sack: false,
                timestamp: None
            }
        );
        let v6 = Offer::read(&Options::default(), V6, &Config::default());
        assert_eq!(v6.mss, 1220);
        let answer = syn_options(&Config::default(), 1460, 7, 1, Some(&offer));
        assert_eq!(answer.mss, Some(1460));
        assert_eq!(answer.window_scale, None);
        assert_eq!(answer.timestamps, None);
        assert!(!answer.sack_permitted);
    }

    #[test]
    fn absurd_values_are_bounded() {
        let options = Options {
            mss: Some(0),
            window_scale: Some(200),
            ..Options::default()
        };
        let offer = Offer::read(&options, V4, &Config::default());
        assert_eq!((offer.mss, offer.window_scale), (MSS_MIN, Some(14)));
        assert_eq!(mss_for(1500, V4), 1460);
        assert_eq!(mss_for(0, V4), 0);
        assert_eq!(mss_for(u32::MAX, V4), u16::MAX);
    }
}
