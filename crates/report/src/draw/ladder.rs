//! A sequence diagram: how a connection began and ended.

use super::{Figure, WIDTH, grouped, moment, octets, time};
use crate::connection::Connection;
use crate::ladder::Rung;
use core::time::Duration;
use sockeye_core::Instant;
use sockeye_wire::tcp;
use std::fmt::Write as _;

/// Where the lanes of the node and of the peer lie.
const NODE: f64 = 250.0;
const PEER: f64 = 790.0;
const HEAD: f64 = 34.0;
const SEGMENT: f64 = 36.0;
const STATE: f64 = 24.0;
const BETWEEN: f64 = 30.0;

/// `None` when there was neither a packet nor a change of state.
pub(super) fn figure(connection: &Connection) -> Option<Figure> {
    let rungs = &connection.ladder.rungs;
    if rungs.is_empty() {
        return None;
    }
    let height = |rung: &Rung| match rung {
        Rung::Segment { .. } => SEGMENT,
        Rung::State { .. } => STATE,
        Rung::Between { .. } => BETWEEN,
    };
    let total = HEAD + rungs.iter().map(height).sum::<f64>() + 14.0;
    let mut body = String::new();
    let _ = write!(
        body,
        "<rect class=\"plot\" x=\"0\" y=\"0\" width=\"{WIDTH}\" height=\"{total}\"/>\
         <text class=\"caption x\" x=\"{NODE}\" y=\"20\">{}</text>\
         <text class=\"caption x\" x=\"{PEER}\" y=\"20\">{}</text>\
         <path class=\"lane\" d=\"M{NODE} 28V{total}M{PEER} 28V{total}\"/>",
        connection.local, connection.remote
    );
    let mut y = HEAD;
    for rung in rungs {
        draw(&mut body, connection.begin, rung, y);
        y += height(rung);
    }
    Some(Figure {
        kind: "ladder",
        title: "Handshake and teardown".into(),
        height: total,
        body,
        remarks: Vec::new(),
    })
}

fn draw(out: &mut String, begin: Instant, rung: &Rung, y: f64) {
    let when = |at: Instant| moment(at.saturating_since(begin));
    match rung {
        Rung::Segment {
            at,
            way,
            header,
            seq,
            ack,
            text,
            again,
        } => {
            let line = y + 24.0;
            let label = label(header, *seq, *ack, *text, *again);
            let class = match (again, way) {
                (true, _) => "again-arrow",
                (false, 0) => "sent-arrow",
                (false, _) => "received-arrow",
            };
            let (from, to, back) = match way {
                0 => (NODE, PEER, -8.0),
                _ => (PEER, NODE, 8.0),
            };
            let _ = write!(
                out,
                "<g class=\"rung\"><path class=\"{class}\" d=\"M{from} {line}L{to} {tip}\"/>\
                 <path class=\"{class}\" d=\"M{to} {tip}l{back} -4.5v8z\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{}\">{}</text>\
                 <text class=\"mono\" x=\"{}\" y=\"{}\">{label}</text></g>",
                if *way == 0 { NODE - 10.0 } else { PEER + 120.0 },
                line + 4.0,
                when(*at),
                (NODE + PEER) / 2.0,
                line - 6.0,
                tip = line + 3.0,
            );
        }
        Rung::State { at, to } => {
            let _ = write!(
                out,
                "<rect class=\"chip\" x=\"{}\" y=\"{}\" width=\"124\" height=\"18\" rx=\"9\"><title>at {}</title></rect>\
                 <text class=\"state\" x=\"{}\" y=\"{}\">{to}</text>",
                NODE - 62.0,
                y + 4.0,
                when(*at),
                NODE,
                y + 17.0
            );
        }
        Rung::Between {
            from,
            to,
            segments,
            octets,
        } => {
            let _ = write!(
                out,
                "<text class=\"between\" x=\"{}\" y=\"{}\">{}</text>",
                (NODE + PEER) / 2.0,
                y + 19.0,
                between(to.saturating_since(*from), *segments, *octets)
            );
        }
    }
}

/// `1.2 s: 12 segments sent with 11 kB, 5 received`.
fn between(duration: Duration, segments: [u64; 2], bytes: [u64; 2]) -> String {
    let ways = ["sent", "received"].into_iter().enumerate();
    let words: Vec<String> = ways
        .filter(|(way, _)| segments[*way] > 0)
        .map(|(way, name)| {
            let count = match segments[way] {
                1 => "1 segment".into(),
                count => format!("{} segments", grouped(count)),
            };
            match bytes[way] {
                0 => format!("{count} {name}"),
                bytes => format!("{count} {name} with {}", octets(bytes)),
            }
        })
        .collect();
    match duration.is_zero() {
        true => words.join(", "),
        false => format!("{}: {}", time(duration), words.join(", ")),
    }
}

/// `SYN, ACK  seq 0  ack 1  win 65535  mss 1460`.
fn label(header: &tcp::Header, seq: u64, ack: Option<u64>, text: u32, again: bool) -> String {
    let names: Vec<String> = header
        .flags
        .iter_names()
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut label = format!("{}  seq {seq}", names.join(", "));
    if let Some(ack) = ack {
        let _ = write!(label, "  ack {ack}");
    }
    if text > 0 {
        let _ = write!(label, "  len {text}");
    }
    let _ = write!(label, "  win {}", header.window);
    if header.flags.contains(tcp::Flags::SYN) {
        let options = &header.options;
        if let Some(mss) = options.mss {
            let _ = write!(label, "  mss {mss}");
        }
        if let Some(shift) = options.window_scale {
            let _ = write!(label, "  ws {shift}");
        }
        for (has, name) in [
            (options.sack_permitted, "sack"),
            (options.timestamps.is_some(), "ts"),
            (options.fast_open.is_some(), "tfo"),
        ] {
            if has {
                let _ = write!(label, "  {name}");
            }
        }
    }
    if again {
        label.push_str("  (again)");
    }
    label
}
