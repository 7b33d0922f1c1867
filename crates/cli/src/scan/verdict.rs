//! What answers say of a port, in nmap's words.

use serde::Serialize;
use sockeye::ExtendedError;
use std::fmt;

/// The state of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum State {
    /// Somebody is there.
    #[serde(rename = "open")]
    Open,
    /// No answer to a datagram: somebody may be there who has nothing to say.
    #[serde(rename = "open|filtered")]
    OpenOrFiltered,
    /// It is reached, open or closed (an ACK tells no more).
    #[serde(rename = "unfiltered")]
    Unfiltered,
    /// Nobody is there, says the host.
    #[serde(rename = "closed")]
    Closed,
    /// Something on the way or the host keeps it from being known.
    #[serde(rename = "filtered")]
    Filtered,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::OpenOrFiltered => "open|filtered",
            Self::Unfiltered => "unfiltered",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
        })
    }
}

/// Why it is thought to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    SynAck,
    /// A SYN crossed ours (RFC 9293 §3.5, figure 7).
    Syn,
    Reset,
    /// connect(2) succeeded.
    Connected,
    ConnRefused,
    UdpResponse,
    InitAck,
    Abort,
    Response,
    BadService,
    TooBusy,
    EchoReply,
    PortUnreach,
    ProtoUnreach,
    HostUnreach,
    NetUnreach,
    AdminProhibited,
    TimeExceeded,
    NoResponse,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SynAck | Self::Connected => "syn-ack",
            Self::Syn => "split-handshake-syn",
            Self::Reset => "reset",
            Self::ConnRefused => "conn-refused",
            Self::UdpResponse => "udp-response",
            Self::InitAck => "init-ack",
            Self::Abort => "abort",
            Self::Response => "response",
            Self::BadService => "bad-service",
            Self::TooBusy => "too-busy",
            Self::EchoReply => "echo-reply",
            Self::PortUnreach => "port-unreach",
            Self::ProtoUnreach => "proto-unreach",
            Self::HostUnreach => "host-unreach",
            Self::NetUnreach => "net-unreach",
            Self::AdminProhibited => "admin-prohibited",
            Self::TimeExceeded => "time-exceeded",
            Self::NoResponse => "no-response",
        })
    }
}

/// How ports are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Syn,
    Ack,
    Connect,
    Udp,
    /// By a bare INIT.
    Sctp,
    /// By a bare Request.
    Dccp,
    /// No port: an echo request.
    Echo,
}

impl Method {
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
            Self::Syn | Self::Ack | Self::Connect | Self::Echo => "tcp",
        }
    }

    /// What silence means.
    pub(super) fn of_silence(self) -> State {
        match self {
            Self::Udp => State::OpenOrFiltered,
            Self::Syn | Self::Ack | Self::Connect | Self::Sctp | Self::Dccp | Self::Echo => {
                State::Filtered
            }
        }
    }

    /// What an ICMP error means; none if it means nothing.
    pub(super) fn of_error(self, error: &ExtendedError) -> Option<(State, Reason)> {
        let v6 = error.offender.is_some_and(|from| from.is_ipv6());
        let reason = of_icmp(v6, error.icmp_type, error.code)?;
        // The host itself says that nobody has the port; of TCP no host says so, but a filter.
        let state = match (self, reason) {
            (Self::Udp, Reason::PortUnreach) => State::Closed,
            _ => State::Filtered,
        };
        Some((state, reason))
    }

    /// What the first chunk of an SCTP packet says that answers an INIT.
    pub(super) fn of_chunk(kind: u8) -> Option<(State, Reason)> {
        // RFC 9260 §3.2: INIT ACK, ABORT.
        match kind {
            2 => Some((State::Open, Reason::InitAck)),
            6 => Some((State::Closed, Reason::Abort)),
            _ => None,
        }
    }

    /// What a DCCP packet of a type says that answers a Request; a Reset by its code.
    pub(super) fn of_dccp(kind: u8, code: u8) -> Option<(State, Reason)> {
        // RFC 4340 §5.1, §5.6: who listens for another service, or has no room, listens.
        match (kind, code) {
            (1, _) => Some((State::Open, Reason::Response)),
            (7, 7) => Some((State::Closed, Reason::ConnRefused)),
            (7, 8) => Some((State::Open, Reason::BadService)),
            (7, 9) => Some((State::Open, Reason::TooBusy)),
            (7, _) => Some((State::Closed, Reason::Reset)),
            _ => None,
        }
    }

    /// What a TCP segment says that answers our probe.
    pub(super) fn of_segment(self, flags: u8) -> Option<(State, Reason)> {
        match (self, flags & (SYN | RST | ACK)) {
            (Self::Ack, flags) if flags & RST != 0 => Some((State::Unfiltered, Reason::Reset)),
            (Self::Syn, flags) if flags & RST != 0 => Some((State::Closed, Reason::Reset)),
            (Self::Syn, flags) if flags == SYN | ACK => Some((State::Open, Reason::SynAck)),
            (Self::Syn, SYN) => Some((State::Open, Reason::Syn)),
            _ => None,
        }
    }
}

/// Bits of a TCP header.
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const ACK: u8 = 0x10;

/// What an ICMP or ICMPv6 error says of the packet that it quotes.
fn of_icmp(v6: bool, icmp_type: u8, code: u8) -> Option<Reason> {
    // RFC 792, RFC 1812 §5.2.7.1; RFC 4443 §3.
    Some(match (v6, icmp_type, code) {
        (false, 3, 0 | 6 | 8 | 11) | (true, 1, 0) => Reason::NetUnreach,
        (false, 3, 2) | (true, 4, 1) => Reason::ProtoUnreach,
        (false, 3, 3) | (true, 1, 4) => Reason::PortUnreach,
        (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Reason::AdminProhibited,
        // Too long, which no probe is.
        (false, 3, 4) => return None,
        (false, 3, _) | (true, 1, _) => Reason::HostUnreach,
        (false, 11, 0) | (true, 3, 0) => Reason::TimeExceeded,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_say_what_they_say_to_nmap() {
        use {Method as M, Reason as R, State as S};
        for (method, flags, said) in [
            (M::Syn, SYN | ACK, Some((S::Open, R::SynAck))),
            (M::Syn, RST | ACK, Some((S::Closed, R::Reset))),
            (M::Syn, RST, Some((S::Closed, R::Reset))),
            (M::Syn, SYN, Some((S::Open, R::Syn))),
            (M::Syn, ACK, None),
            (M::Ack, RST, Some((S::Unfiltered, R::Reset))),
            (M::Ack, SYN | ACK, None),
            (M::Connect, SYN | ACK, None),
        ] {
            assert_eq!(method.of_segment(flags), said, "{method:?} {flags:#x}");
        }
    }

    #[test]
    fn chunks_say_what_they_say_to_nmap() {
        let said = [1, 2, 6].map(Method::of_chunk);
        let open = Some((State::Open, Reason::InitAck));
        let closed = Some((State::Closed, Reason::Abort));
        assert_eq!(said, [None, open, closed]);
    }

    #[test]
    fn packets_of_dccp_say_who_listens() {
        let said = [(1, 0), (7, 7), (7, 8), (7, 9), (7, 3), (0, 0)];
        let said = said.map(|(kind, code)| Method::of_dccp(kind, code));
        let expected = [
            Some((State::Open, Reason::Response)),
            Some((State::Closed, Reason::ConnRefused)),
            Some((State::Open, Reason::BadService)),
            Some((State::Open, Reason::TooBusy)),
            Some((State::Closed, Reason::Reset)),
            None,
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn errors_say_what_they_say_to_nmap() {
        use {Method as M, Reason as R, State as S};
        let error = |from: &str, icmp_type, code| ExtendedError {
            icmp_type,
            code,
            offender: Some(from.parse().unwrap()),
            ..ExtendedError::default()
        };
        for (method, icmp_type, code, said) in [
            (M::Udp, 3, 3, Some((S::Closed, R::PortUnreach))),
            (M::Syn, 3, 3, Some((S::Filtered, R::PortUnreach))),
            (M::Udp, 3, 13, Some((S::Filtered, R::AdminProhibited))),
            (M::Udp, 3, 2, Some((S::Filtered, R::ProtoUnreach))),
            (M::Syn, 3, 1, Some((S::Filtered, R::HostUnreach))),
            (M::Syn, 3, 0, Some((S::Filtered, R::NetUnreach))),
            (M::Syn, 3, 4, None),
            (M::Syn, 12, 0, None),
        ] {
            let said_by = method.of_error(&error("192.0.2.1", icmp_type, code));
            assert_eq!(said_by, said, "{method:?} {icmp_type}/{code}");
        }
        let v6 = M::Udp.of_error(&error("2001:db8::1", 1, 4));
        assert_eq!(v6, Some((S::Closed, R::PortUnreach)));
        let v6 = M::Syn.of_error(&error("2001:db8::1", 1, 1));
        assert_eq!(v6, Some((S::Filtered, R::AdminProhibited)));
    }
}
