//! A segment in a script's words, and on the wire.

use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::tcp_options::{AccEcn, FastOpen, FastOpenCookie, Options, SackBlock, Timestamps};
use sockeye_wire::{Bounded, IpProtocol, SeqNum, checksum, icmpv4, ipv4};
use std::fmt;
use std::net::Ipv4Addr;

/// The node's address.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The peer's address.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const FLAGS: [(char, Flags); 9] = [
    ('S', Flags::SYN),
    ('F', Flags::FIN),
    ('R', Flags::RST),
    ('P', Flags::PSH),
    ('U', Flags::URG),
    ('E', Flags::ECE),
    ('W', Flags::CWR),
    ('A', Flags::AE),
    ('.', Flags::ACK),
];

/// A segment, its numbers as in the script: counted from each side's initial sequence number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Segment {
    pub(crate) flags: Flags,
    pub(crate) seq: u32,
    pub(crate) len: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) window: Option<u16>,
    pub(crate) urgent: Option<u16>,
    pub(crate) port: Option<u16>,
    /// Fields of the IP header: type of service, time to live, bytes of options (all No Operation).
    pub(crate) tos: Option<u8>,
    pub(crate) ttl: Option<u8>,
    pub(crate) ip_options: Option<u8>,
    pub(crate) options: Option<ScriptOptions>,
}

/// The options that scripts speak of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ScriptOptions {
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// Ranges, first and one past the last.
    pub(crate) sack: Vec<(u32, u32)>,
    /// TSval of what the peer sends, TSecr of what the node sends.
    pub(crate) timestamp: Option<u32>,
    /// TSecr of what the peer sends, from the node's first TSval on; else the node's last is echoed.
    pub(crate) echo: Option<u32>,
    /// A Fast Open cookie, or the request for one.
    pub(crate) fast_open: Option<FastOpen>,
    /// The counters of an accurate ECN option: EE0B, ECEB, EE1B.
    pub(crate) accecn: Option<[u32; 3]>,
}

impl Segment {
    /// Reads the words after `<` or `>`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (text, options) = match text.split_once('<') {
            Some((before, after)) => {
                let inside = after.strip_suffix('>').ok_or("the options lack a '>'")?;
                (before, Some(ScriptOptions::parse(inside)?))
            }
            None => (text, None),
        };
        let mut words = text.split_whitespace();
        let mut segment = Self {
            flags: parse_flags(words.next().ok_or("a segment starts with its flags")?)?,
            options,
            ..Self::default()
        };
        let mut seq = None;
        while let Some(name) = words.next() {
            let word = words.next().ok_or(format!("'{name}' lacks a number"))?;
            match name {
                "seq" => seq = Some(number(word)?),
                "len" => segment.len = number(word)?,
                "ack" => segment.ack = Some(number(word)?),
                "win" => segment.window = Some(number(word)?),
                "up" => segment.urgent = Some(number(word)?),
                "port" => segment.port = Some(number(word)?),
                "tos" => segment.tos = Some(number(word)?),
                "ttl" => segment.ttl = Some(number(word)?),
                "ipopts" => segment.ip_options = Some(number(word)?),
                _ => {
                    return Err(format!(
                        "'{name}' is none of seq, len, ack, win, up, port, tos, ttl, ipopts"
                    ));
                }
            }
        }
        segment.seq = seq.ok_or("a segment has a 'seq'")?;
        if segment.flags.contains(Flags::ACK) != segment.ack.is_some() {
            return Err("'ack' is there exactly with the flag '.'".into());
        }
        Ok(segment)
    }

    /// Whether `sent` is what this one, as expected by a script, allows.
    pub(crate) fn allows(&self, sent: &Self) -> bool {
        let Self {
            flags,
            seq,
            len,
            ack,
            window,
            urgent,
            port,
            tos,
            ttl,
            ip_options,
            options,
        } = self;
        // RFC 9293 §3.9.1.2: where a push is marked is the sender's choice; it may be expected.
        let choice = Flags::PSH - *flags;
        *flags == sent.flags - choice
            && *seq == sent.seq
            && *len == sent.len
            && *ack == sent.ack
            && (window.is_none() || *window == sent.window)
            && (urgent.is_none() || *urgent == sent.urgent)
            && (port.is_none() || *port == sent.port)
            && (tos.is_none() || *tos == sent.tos)
            && (ttl.is_none() || *ttl == sent.ttl)
            && (ip_options.is_none() || *ip_options == sent.ip_options)
            && (options.is_none() || *options == sent.options)
    }
}

impl ScriptOptions {
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for option in text.split(',') {
            let mut words = option.split_whitespace();
            let name = words.next().ok_or("an option is empty")?;
            let rest: Vec<&str> = words.collect();
            match (name, &rest[..]) {
                ("none", []) => {}
                ("mss", [n]) => options.mss = Some(number(n)?),
                ("wscale", [n]) => options.window_scale = Some(number(n)?),
                ("sackOK", []) => options.sack_permitted = true,
                ("sack", ranges) => {
                    for range in ranges {
                        let (start, end) = range
                            .split_once('-')
                            .ok_or(format!("'{range}' is no range like 1-1001"))?;
                        options.sack.push((number(start)?, number(end)?));
                    }
                }
                ("fo" | "foexp", [] | [_]) => {
                    options.fast_open = Some(FastOpen {
                        cookie: cookie(rest.first().copied().unwrap_or_default())?,
                        experimental: name == "foexp",
                    });
                }
                ("ts", [n]) => options.timestamp = Some(number(n)?),
                ("accecn", [e0b, ceb, e1b]) => {
                    options.accecn = Some([number(e0b)?, number(ceb)?, number(e1b)?]);
                }
                ("ts", [n, "ecr", echo]) => {
                    options.timestamp = Some(number(n)?);
                    options.echo = Some(number(echo)?);
                }
                _ => {
                    return Err(format!(
                        "'{}' is none of mss N, wscale N, sackOK, sack A-B, ts N [ecr N], \
                         accecn E0B CEB E1B, fo COOKIE, foexp COOKIE, none",
                        option.trim()
                    ));
                }
            }
        }
        Ok(options)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, flag) in FLAGS {
            if self.flags.contains(flag) {
                write!(f, "{letter}")?;
            }
        }
        write!(f, " seq {}", self.seq)?;
        if self.len > 0 {
            write!(f, " len {}", self.len)?;
        }
        let fields = [
            ("ack", self.ack),
            ("win", self.window.map(u32::from)),
            ("up", self.urgent.map(u32::from)),
            ("port", self.port.map(u32::from)),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        let Some(options) = &self.options else {
            return Ok(());
        };
        let mut words = Vec::new();
        words.extend(options.mss.map(|n| format!("mss {n}")));
        words.extend(options.window_scale.map(|n| format!("wscale {n}")));
        words.extend(
            options
                .accecn
                .map(|[a, b, c]| format!("accecn {a} {b} {c}")),
        );
        words.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
        if !options.sack.is_empty() {
            let ranges = options.sack.iter().map(|(a, b)| format!(" {a}-{b}"));
            words.push(format!("sack{}", ranges.collect::<String>()));
        }
        words.extend(options.timestamp.map(|n| format!("ts {n}")));
        words.extend(options.fast_open.map(|open| {
            let name = if open.experimental { "foexp" } else { "fo" };
            let cookie: String = open.cookie.iter().map(|b| format!("{b:02x}")).collect();
            format!("{name} {cookie}").trim_end().to_owned()
        }));
        if !words.is_empty() {
            write!(f, " <{}>", words.join(", "))?;
        }
        Ok(())
    }
}

fn parse_flags(word: &str) -> Result<Flags, String> {
    word.chars()
        .map(|letter| {
            let known = FLAGS.iter().find(|(l, _)| *l == letter);
            known
                .map(|(_, flag)| *flag)
                .ok_or(format!("'{letter}' is no flag; they are S F R P U E W ."))
        })
        .collect()
}

/// A cookie in hexadecimal.
fn cookie(word: &str) -> Result<FastOpenCookie, String> {
    let wrong = || format!("'{word}' is no cookie like 0123abcd");
    let pairs = word.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok();
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    let bytes = pairs.collect::<Option<Vec<u8>>>().ok_or_else(wrong)?;
    FastOpenCookie::from_slice(&bytes).ok_or_else(wrong)
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("'{word}' is no number that fits here"))
}

/// One connection's numbers: what a script's own count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    pub(crate) node_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) node_iss: SeqNum,
    pub(crate) peer_iss: SeqNum,
    /// The first TSval that the node sent, and the last, which what the peer sends echoes.
    pub(crate) first_timestamp: Option<u32>,
    pub(crate) node_timestamp: u32,
}

/// The byte of a stream's text at the place `seq` counts to.
pub(crate) fn text_byte(seq: u32) -> u8 {
    // Neither a period of a power of two nor of a segment's length.
    (seq % 251) as u8
}

/// The packet that the peer sends.
pub(crate) fn emit(segment: &Segment, base: &Base) -> Vec<u8> {
    let options = segment.options.as_ref();
    let mut wire = Options::default();
    if let Some(options) = options {
        wire.mss = options.mss;
        wire.window_scale = options.window_scale;
        wire.sack_permitted = options.sack_permitted;
        for &(start, end) in &options.sack {
            wire.sack.push(SackBlock {
                start: base.node_iss + start,
                end: base.node_iss + end,
            });
        }
        wire.fast_open = options.fast_open;
        wire.accecn = options.accecn.map(|counters| {
            let mut option = AccEcn {
                reversed: false,
                counters: Bounded::new(),
            };
            for byte in counters
                .iter()
                .flat_map(|n| n.to_be_bytes().into_iter().skip(1))
            {
                option.counters.push(byte);
            }
            option
        });
        wire.timestamps = options.timestamp.map(|tsval| Timestamps {
            tsval,
            tsecr: match (options.echo, base.first_timestamp) {
                (Some(echo), Some(first)) => first.wrapping_add(echo),
                _ => base.node_timestamp,
            },
        });
    }
    let header = tcp::Header {
        source_port: base.peer_port,
        destination_port: base.node_port,
        seq: base.peer_iss + segment.seq,
        ack: segment.ack.map_or(SeqNum(0), |ack| base.node_iss + ack),
        flags: segment.flags,
        window: segment.window.unwrap_or(0),
        checksum: 0,
        urgent_pointer: segment.urgent.unwrap_or(0),
        options: wire,
    };
    let noops = [1; ipv4::OPTIONS_LEN_MAX];
    let noops = &noops[..usize::from(segment.ip_options.unwrap_or(0))];
    let ip_len = ipv4::HEADER_LEN + noops.len().next_multiple_of(4);
    let mut bytes = vec![0; ip_len + header.header_len()];
    let (ip, tail) = bytes.split_at_mut(ip_len);
    header.emit(tail);
    // The text begins behind the SYN.
    let first = segment.seq + u32::from(segment.flags.contains(Flags::SYN));
    let text = (first..).take(segment.len as usize).map(text_byte);
    let segment_len = tail.len() + segment.len as usize;
    let segment_len = u16::try_from(segment_len).expect("a script's segment fits a packet");
    let mut ip_header = ipv4::Header::new(PEER, NODE, IpProtocol::TCP, segment_len);
    ip_header.tos = segment.tos.unwrap_or(0);
    ip_header.ttl = segment.ttl.unwrap_or(ip_header.ttl);
    ip_header.options = ipv4::RawOptions::from_slice(noops).expect("they fit");
    ip_header.total_len = u16::try_from(ip_len).expect("a header") + segment_len;
    ip_header.emit(ip);
    bytes.extend(text);
    let tail = &mut bytes[ip_len..];
    let sum = checksum::transport(
        PEER.into(),
        NODE.into(),
        IpProtocol::TCP,
        u32::from(segment_len),
        [&*tail],
    );
    tcp::set_checksum(tail, sum.finish());
    bytes
}

/// The packet in which a router whose next hop takes `mtu` bytes quotes the node's segment at `seq` (RFC 1191
/// §4): its IP header and 8 bytes.
pub(crate) fn too_big(mtu: u16, seq: u32, base: &Base) -> Vec<u8> {
    const QUOTED: usize = 8;
    /// Of the packet that is quoted, as if it had filled an Ethernet frame.
    const PAYLOAD: u16 = 1480;
    let message = icmpv4::Header::DestinationUnreachable {
        code: icmpv4::UnreachableCode::FRAGMENTATION_NEEDED,
        length: 0,
        next_hop_mtu: mtu,
    };
    let quote_at = ipv4::HEADER_LEN + message.header_len();
    let mut bytes = vec![0; quote_at + ipv4::HEADER_LEN + QUOTED];
    let len = |from: usize, to: usize| u16::try_from(to - from).expect("a short packet");
    let behind = len(ipv4::HEADER_LEN, bytes.len());
    ipv4::Header::new(PEER, NODE, IpProtocol::ICMP, behind).emit(&mut bytes);
    message.emit(&mut bytes[ipv4::HEADER_LEN..]);
    let mut quoted = ipv4::Header::new(NODE, PEER, IpProtocol::TCP, PAYLOAD);
    quoted.dont_fragment = true;
    quoted.emit(&mut bytes[quote_at..]);
    let segment = &mut bytes[quote_at + ipv4::HEADER_LEN..];
    segment[..2].copy_from_slice(&base.node_port.to_be_bytes());
    segment[2..4].copy_from_slice(&base.peer_port.to_be_bytes());
    segment[4..].copy_from_slice(&(base.node_iss + seq).0.to_be_bytes());
    icmpv4::fill_checksum(&mut bytes[ipv4::HEADER_LEN..]);
    bytes
}

/// Reads what the node sent: the segment and its header. `base` is asked for with the ports, the
/// node's first and then the peer's, once they are known.
pub(crate) fn read(
    bytes: &[u8],
    base: impl FnOnce(&tcp::Header) -> Base,
) -> Result<Segment, String> {
    let broken = |e: sockeye_wire::ParseError| e.to_string();
    let ip = ipv4::Header::parse(bytes).map_err(broken)?;
    ip.check_len(bytes.len()).map_err(broken)?;
    if ip.protocol != IpProtocol::TCP || (ip.source, ip.destination) != (NODE, PEER) {
        return Err(format!(
            "a packet of protocol {} from {} to {}",
            ip.protocol.0, ip.source, ip.destination
        ));
    }
    let tail = &bytes[ip.header_len()..usize::from(ip.total_len)];
    let len = u32::try_from(tail.len()).unwrap_or(u32::MAX);
    let sum = checksum::transport(NODE.into(), PEER.into(), IpProtocol::TCP, len, [tail]);
    if !sum.is_valid() {
        return Err("a segment with a wrong checksum".into());
    }
    let header = tcp::Header::parse(tail).map_err(broken)?;
    let (_, data_offset) = tcp::Header::parse_fixed(tail).map_err(broken)?;
    let text = &tail[data_offset..];
    let base = base(&header);
    let segment = Segment {
        flags: header.flags,
        seq: header.seq.0.wrapping_sub(base.node_iss.0),
        len: u32::try_from(text.len()).unwrap_or(u32::MAX),
        ack: header
            .flags
            .contains(Flags::ACK)
            .then(|| header.ack.0.wrapping_sub(base.peer_iss.0)),
        window: Some(header.window),
        urgent: header
            .flags
            .contains(Flags::URG)
            .then_some(header.urgent_pointer),
        port: Some(header.destination_port),
        tos: Some(bytes[1]),
        ttl: Some(ip.ttl),
        ip_options: u8::try_from(ip.header_len() - ipv4::HEADER_LEN).ok(),
        options: Some(ScriptOptions {
            mss: header.options.mss,
            window_scale: header.options.window_scale,
            sack_permitted: header.options.sack_permitted,
            sack: header
                .options
                .sack
                .iter()
                .map(|block| {
                    let relative = |seq: SeqNum| seq.0.wrapping_sub(base.peer_iss.0);
                    (relative(block.start), relative(block.end))
                })
                .collect(),
            timestamp: header.options.timestamps.map(|t| t.tsecr),
            echo: None,
            fast_open: header.options.fast_open,
            accecn: header.options.accecn.map(|option| {
                let mut counters = [0; 3];
                for (counter, bytes) in counters.iter_mut().zip(option.counters.chunks(3)) {
                    *counter = bytes
                        .iter()
                        .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                }
                counters
            }),
        }),
    };
    // The text begins behind the SYN.
    let first = segment.seq + u32::from(segment.flags.contains(Flags::SYN));
    let wrong = (first..).zip(text).find(|(seq, byte)| {
        // A zero-window probe may repeat a byte that was acknowledged, with any value.
        segment.len > 1 && text_byte(*seq) != **byte
    });
    match wrong {
        Some((seq, byte)) => Err(format!(
            "{segment}: the byte at {seq} is {byte}, not {}",
            text_byte(seq)
        )),
        None => Ok(segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            node_port: 80,
            peer_port: 4000,
            node_iss: SeqNum(0xffff_fff0),
            peer_iss: SeqNum(7),
            first_timestamp: None,
            node_timestamp: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "SP. seq 3 len 9 ack 1 win 1000 <mss 1460, wscale 7, sackOK, ts 5, fo 0123abcd>";
        let segment = Segment::parse(text).unwrap();
        assert_eq!(segment.flags, Flags::SYN | Flags::PSH | Flags::ACK);
        assert_eq!((segment.seq, segment.len, segment.ack), (3, 9, Some(1)));
        assert_eq!(segment.to_string(), text);
    }

    #[test]
    fn mistakes_are_named() {
        let fault = |text| Segment::parse(text).unwrap_err();
        assert!(fault("X seq 1").contains("'X' is no flag"));
        assert!(fault("S seq 1 wnd 5").contains("none of seq"));
        assert!(fault(". seq 1").contains("'ack' is there"));
        assert!(fault("S seq 70000 win 70000").contains("'70000'"));
        assert!(fault("S seq 1 <mss>").contains("none of mss"));
    }

    #[test]
    fn only_what_is_written_has_to_agree() {
        let expected = Segment::parse(". seq 1 ack 1").unwrap();
        let sent = Segment::parse(". seq 1 ack 1 win 50 port 4000 <ts 1>").unwrap();
        assert!(expected.allows(&sent));
        let expected = Segment::parse(". seq 1 ack 1 <none>").unwrap();
        assert!(!expected.allows(&sent));
    }

    /// RFC 7323 §3.2: what was sent last is echoed, unless a script wants something older.
    #[test]
    fn a_peer_echoes_what_it_is_told_to() {
        let base = Base {
            first_timestamp: Some(100),
            node_timestamp: 900,
            ..base()
        };
        let echo = |text| {
            let bytes = emit(&Segment::parse(text).unwrap(), &base);
            let header = tcp::Header::parse(&bytes[ipv4::HEADER_LEN..]).unwrap();
            header.options.timestamps.unwrap().tsecr
        };
        assert_eq!(echo(". seq 1 ack 1 <ts 5>"), 900);
        assert_eq!(echo(". seq 1 ack 1 <ts 5 ecr 20>"), 120);
    }

    #[test]
    fn packets_are_well_formed() {
        let segment = Segment::parse("P. seq 1 len 5 ack 20 win 8").unwrap();
        let mut bytes = emit(&segment, &base());
        let ip = ipv4::Header::parse(&bytes).unwrap();
        assert_eq!(usize::from(ip.total_len), bytes.len());
        // Turned around it is one that the node might have sent.
        bytes[12..20].rotate_left(4);
        let read = read(&bytes, |_| Base {
            node_iss: SeqNum(7),
            peer_iss: SeqNum(0xffff_fff0),
            ..base()
        });
        let read = read.unwrap();
        assert_eq!((read.seq, read.len, read.ack), (1, 5, Some(20)));
    }
}
