//! The time-sequence graph of one direction: what one side sent, and what the other said of it.

use super::axis::{octets_between, of_octets};
use super::frame::{Frame, series};
use super::{Entry, Figure, grouped, legend, moment, remark};
use crate::Way;
use crate::connection::{Connection, Range};
use sockeye_core::Instant;
use std::fmt::Write as _;

const HEIGHT: f64 = 300.0;

/// Segments of a transfer that is looked at more closely.
const CLOSER_FROM: u64 = 100;

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
    let (kind, title) = match way {
        Way::Sent => ("sequence-sent", "Sent by this node"),
        Way::Received => ("sequence-received", "Received from the peer"),
    };
    let mut body = String::new();
    let (ticks, unit) = of_octets(max, 6.0);
    frame.open(&mut body, &ticks, &format!("sequence number, {unit}"));
    draw(
        &mut body,
        &frame,
        connection,
        way,
        (connection.begin, connection.end),
    );
    frame.close(&mut body);
    let remarks = explain(&mut body, &frame, connection, way);
    Some(Figure {
        kind,
        title: title.into(),
        height: frame.total_height(),
        body,
        remarks,
    })
}

/// The first loss of a long transfer, some round trips before and after it; `None` when nothing was
/// sent again.
pub(super) fn closer(connection: &Connection, way: Way) -> Option<Figure> {
    let sender = &connection.sides[way.index()];
    if sender.text.seen() < CLOSER_FROM {
        return None;
    }
    let first = sender.again.kept().first()?;
    let trips = connection.round_trips.kept();
    let trip = trips
        .iter()
        .rfind(|trip| trip.at <= first.at)
        .or(trips.first())?;
    let end = (first.at + trip.srtt * 3).min(connection.end);
    let reach = first
        .at
        .saturating_since(connection.begin)
        .min(trip.srtt * 2);
    let span = (first.at - reach, end);
    let shown = || {
        let all = sender.text.kept().iter().chain(sender.again.kept());
        all.filter(|range| (span.0..=span.1).contains(&range.at))
    };
    let low = shown().map(|range| range.from).min()? as f64;
    let high = shown().map(|range| range.to).max()? as f64;
    let room = (high - low) * 0.04;
    let (low, high) = ((low - room).max(0.0), high + room);
    let frame = Frame::closer(connection, span, [low, high], HEIGHT);
    let (kind, title) = match way {
        Way::Sent => ("closer-sent", "Sent by this node: around the first loss"),
        Way::Received => (
            "closer-received",
            "Received from the peer: around the first loss",
        ),
    };
    let mut body = String::new();
    let (ticks, unit) = octets_between(low, high, 6.0);
    frame.open(&mut body, &ticks, &format!("sequence number, {unit}"));
    draw(&mut body, &frame, connection, way, span);
    frame.close(&mut body);
    Some(Figure {
        kind,
        title: title.into(),
        height: frame.total_height(),
        body,
        remarks: Vec::new(),
    })
}

/// What was sent between two moments, and what the other side said of it.
fn draw(
    body: &mut String,
    frame: &Frame,
    connection: &Connection,
    way: Way,
    span: (Instant, Instant),
) {
    let sender = &connection.sides[way.index()];
    let receiver = &connection.sides[1 - way.index()];
    let inside = |at: Instant| (span.0..=span.1).contains(&at);
    let acks = receiver.acks.kept();
    // What was said before goes on at the edge.
    let begin = acks
        .partition_point(|edges| edges.at < span.0)
        .saturating_sub(1);
    let end = acks.partition_point(|edges| edges.at <= span.1).max(begin);
    let acks = &acks[begin..end];
    let windows = frame.stairs(acks.iter().map(|edges| (edges.at, edges.window as f64)));
    series(body, "window", &windows, acks.len());
    let acked = frame.stairs(acks.iter().map(|edges| (edges.at, edges.ack as f64)));
    series(body, "ack", &acked, acks.len());
    let mut ticks = String::new();
    let mut count = 0;
    for edges in receiver
        .repeated
        .kept()
        .iter()
        .filter(|edges| inside(edges.at))
    {
        let (x, y) = (frame.x(edges.at), frame.y(edges.ack as f64));
        let _ = write!(ticks, "M{:.1} {y:.1}h6", x - 3.0);
        count += 1;
    }
    series(body, "repeated", &ticks, count);
    let ranges = |all: &[Range]| -> Vec<Range> {
        all.iter()
            .filter(|range| inside(range.at))
            .copied()
            .collect()
    };
    bars(body, frame, text_class(way), &ranges(sender.text.kept()));
    bars(body, frame, "sack", &ranges(receiver.sacks.kept()));
    for range in ranges(sender.again.kept()) {
        let _ = write!(
            body,
            "<path class=\"again\" d=\"{}\"><title>{} octets from {} again, at {}</title></path>",
            bar(frame, &range),
            range.to - range.from,
            grouped(range.from),
            moment(range.at.saturating_since(connection.begin))
        );
    }
}

const fn text_class(way: Way) -> &'static str {
    match way {
        Way::Sent => "sent-text",
        Way::Received => "received-text",
    }
}

/// The legend; returns what of the series is not drawn.
fn explain(body: &mut String, frame: &Frame, connection: &Connection, way: Way) -> Vec<String> {
    let sender = &connection.sides[way.index()];
    let receiver = &connection.sides[1 - way.index()];
    let all: [(&str, &'static str, u64, u64); 5] = [
        (
            "data",
            text_class(way),
            sender.text.seen(),
            sender.text.stride(),
        ),
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
    legend(body, frame.left(), 15.0, &entries);
    remarks
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
