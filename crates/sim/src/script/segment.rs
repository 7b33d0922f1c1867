//! A segment in a script's words, and on the wire.

use sockeye_wire::tcp::{self, Flags};
use sockeye_wire::tcp_options::{Options, SackBlock, Timestamps};
use sockeye_wire::{IpProtocol, SeqNum, checksum, ipv4};
use std::fmt;
use std::net::Ipv4Addr;

/// The node's address.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The peer's address.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const FLAGS: [(char, Flags); 8] = [
    ('S', Flags::SYN),
    ('F', Flags::FIN),
    ('R', Flags::RST),
    ('P', Flags::PSH),
    ('U', Flags::URG),
    ('E', Flags::ECE),
    ('W', Flags::CWR),
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
                _ => {
                    return Err(format!("'{name}' is none of seq, len, ack, win, up, port"));
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
                ("ts", [n]) => options.timestamp = Some(number(n)?),
                _ => {
                    return Err(format!(
                        "'{}' is none of mss N, wscale N, sackOK, sack A-B, ts N, none",
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
        words.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
        if !options.sack.is_empty() {
            let ranges = options.sack.iter().map(|(a, b)| format!(" {a}-{b}"));
            words.push(format!("sack{}", ranges.collect::<String>()));
        }
        words.extend(options.timestamp.map(|n| format!("ts {n}")));
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
    /// The last TSval that the node sent, echoed by what the peer sends.
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
        wire.timestamps = options.timestamp.map(|tsval| Timestamps {
            tsval,
            tsecr: base.node_timestamp,
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
    let mut bytes = vec![0; ipv4::HEADER_LEN + header.header_len()];
    let (ip, tail) = bytes.split_at_mut(ipv4::HEADER_LEN);
    header.emit(tail);
    // The text begins behind the SYN.
    let first = segment.seq + u32::from(segment.flags.contains(Flags::SYN));
    let text = (first..).take(segment.len as usize).map(text_byte);
    let segment_len = tail.len() + segment.len as usize;
    let segment_len = u16::try_from(segment_len).expect("a script's segment fits a packet");
    ipv4::Header::new(PEER, NODE, IpProtocol::TCP, segment_len).emit(ip);
    bytes.extend(text);
    let tail = &mut bytes[ipv4::HEADER_LEN..];
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
        }),
    };
    let wrong = (segment.seq..).zip(text).find(|(seq, byte)| {
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
            node_timestamp: 0,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "SP. seq 3 len 9 ack 1 win 1000 <mss 1460, wscale 7, sackOK, ts 5>";
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
