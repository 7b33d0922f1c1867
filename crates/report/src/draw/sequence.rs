//! The time-sequence graph of one direction: what one side sent, and what the other said of it.

use super::axis::of_octets;
use super::frame::{Frame, series};
use super::{Entry, Figure, grouped, legend, remark, time};
use crate::Way;
use crate::connection::{Connection, Range};
use std::fmt::Write as _;

const HEIGHT: f64 = 300.0;

/// `None` when that side has sent no data.
pub(super) fn figure(connection: &Connection, way: Way) -> Option<Figure> {
    let sender = &connection.sides[way.index()];
    let receiver = &connection.sides[1 - way.index()];
    if sender.octets == 0 {
        return None;
    }
    let top = sender.top as f64;
    let edge = receiver.acks.kept().iter().map(|edges| edges.window).max();
    // The window's edge may be far away; half of the plot is not for it.
    let max = edge
        .map_or(top, |edge| (edge as f64).min(top * 1.4))
        .max(top)
        * 1.03;
    let frame = Frame::new(connection, HEIGHT, 0.0, max);
    let (kind, class, title) = match way {
        Way::Sent => ("sequence-sent", "sent-text", "Sent by this node"),
        Way::Received => (
            "sequence-received",
            "received-text",
            "Received from the peer",
        ),
    };
    let mut body = String::new();
    let (ticks, unit) = of_octets(max, 6.0);
    frame.open(&mut body, &ticks, &format!("sequence number, {unit}"));
    let acks = || receiver.acks.kept().iter();
    let windows = frame.stairs(acks().map(|edges| (edges.at, edges.window as f64)));
    series(&mut body, "window", &windows, receiver.acks.kept().len());
    let acked = frame.stairs(acks().map(|edges| (edges.at, edges.ack as f64)));
    series(&mut body, "ack", &acked, receiver.acks.kept().len());
    let mut ticks = String::new();
    for edges in receiver.repeated.kept() {
        let (x, y) = (frame.x(edges.at), frame.y(edges.ack as f64));
        let _ = write!(ticks, "M{:.1} {y:.1}h6", x - 3.0);
    }
    series(
        &mut body,
        "repeated",
        &ticks,
        receiver.repeated.kept().len(),
    );
    bars(&mut body, &frame, class, sender.text.kept());
    bars(&mut body, &frame, "sack", receiver.sacks.kept());
    for range in sender.again.kept() {
        let _ = write!(
            body,
            "<path class=\"again\" d=\"{}\"><title>{} octets from {} again, at {}</title></path>",
            bar(&frame, range),
            range.to - range.from,
            grouped(range.from),
            time(range.at.saturating_since(connection.begin))
        );
    }
    frame.close(&mut body);
    let all: [(&str, &'static str, u64, u64); 5] = [
        ("data", class, sender.text.seen(), sender.text.stride()),
        (
            "sent again",
            "again",
            sender.again.seen(),
            sender.again.stride(),
        ),
        (
            "acknowledged",
            "ack",
            receiver.acks.seen(),
            receiver.acks.stride(),
        ),
        (
            "repeated ACKs",
            "repeated",
            receiver.repeated.seen(),
            receiver.repeated.stride(),
        ),
        (
            "SACK blocks",
            "sack",
            receiver.sacks.seen(),
            receiver.sacks.stride(),
        ),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    let mut remarks = Vec::new();
    for (label, class, seen, stride) in all {
        if seen > 0 {
            entries.push((class, format!("{label}: {}", grouped(seen))));
        }
        remark(&mut remarks, label, seen, stride);
    }
    entries.push(("window", "edge of the window".into()));
    legend(&mut body, frame.left(), 15.0, &entries);
    Some(Figure {
        kind,
        title: title.into(),
        height: frame.total_height(),
        body,
        remarks,
    })
}

fn bar(frame: &Frame, range: &Range) -> String {
    let x = frame.x(range.at);
    let [from, to] = [range.from, range.to].map(|n| frame.y(n as f64));
    format!("M{x:.1} {from:.1}V{to:.1}")
}

/// A bar for each range, in one element.
fn bars(out: &mut String, frame: &Frame, class: &str, ranges: &[Range]) {
    let path: String = ranges.iter().map(|range| bar(frame, range)).collect();
    series(out, class, &path, ranges.len());
}
