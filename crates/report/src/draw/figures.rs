//! Figures of a connection by time: windows, round trips, throughput.

use super::axis::{decades, of_bits, of_octets};
use super::frame::{Frame, series};
use super::{Entry, Figure, grouped, legend, octets, remark, time};
use crate::connection::{Connection, SPANS_MAX};
use core::time::Duration;
use std::fmt::Write as _;

const HEIGHT: f64 = 160.0;

/// cwnd and ssthresh, behind them when the sender was recovering; `None` when no window was told, or
/// there was no data that it could have held up.
pub(super) fn windows(connection: &Connection) -> Option<Figure> {
    let [sent, received] = &connection.sides;
    if sent.octets == 0 && received.octets > 0 {
        return None;
    }
    let points = connection.windows.kept();
    let largest = points.iter().map(|(_, cwnd, _)| *cwnd).max()?;
    let thresholds = || {
        points
            .iter()
            .filter(|(_, _, ssthresh)| *ssthresh != u64::MAX)
    };
    let threshold = thresholds().map(|(_, _, ssthresh)| *ssthresh).max();
    let max = largest.max(threshold.unwrap_or(0).min(largest * 2)) as f64 * 1.08;
    let frame = Frame::new(connection, HEIGHT, 0.0, max);
    let mut body = String::new();
    let (ticks, unit) = of_octets(max, 4.0);
    frame.open(&mut body, &ticks, &format!("window, {unit}"));
    let spans = recovery(&mut body, &frame, connection);
    let ssthresh = frame.stairs(thresholds().map(|(at, _, ssthresh)| (*at, *ssthresh as f64)));
    series(&mut body, "ssthresh", &ssthresh, thresholds().count());
    let cwnd = frame.stairs(points.iter().map(|(at, cwnd, _)| (*at, *cwnd as f64)));
    series(&mut body, "cwnd", &cwnd, points.len());
    frame.close(&mut body);
    let last = points.last().map_or(0, |(_, cwnd, _)| *cwnd);
    let mut entries: Vec<Entry> = vec![(
        "cwnd",
        format!(
            "cwnd: {} at the end, {} at most",
            octets(last),
            octets(largest)
        ),
    )];
    if let Some((_, _, ssthresh)) = thresholds().next_back() {
        entries.push(("ssthresh", format!("ssthresh: {}", octets(*ssthresh))));
    }
    if spans > 0 {
        entries.push(("recovery", format!("recovering: {spans}")));
    }
    legend(&mut body, frame.left(), 15.0, &entries);
    let mut remarks = Vec::new();
    remark(
        &mut remarks,
        "windows",
        connection.windows.seen(),
        connection.windows.stride(),
    );
    if connection.recovery_left_out > 0 {
        remarks.push(format!(
            "the first {SPANS_MAX} changes of loss recovery, not the {} after them",
            grouped(connection.recovery_left_out)
        ));
    }
    Some(Figure {
        kind: "windows",
        title: "Congestion window".into(),
        height: frame.total_height(),
        body,
        remarks,
    })
}

/// A shade for each time in which the sender was not in Open; how many there are.
fn recovery(out: &mut String, frame: &Frame, connection: &Connection) -> usize {
    let changes = &connection.recovery;
    let mut spans = 0;
    for (number, (begin, state)) in changes.iter().enumerate() {
        if *state == "Open" {
            continue;
        }
        let next = changes
            .get(number + 1)
            .map_or(connection.end, |next| next.0);
        let (from, to) = (frame.x(*begin), frame.x(next));
        spans += 1;
        let _ = write!(
            out,
            "<rect class=\"recovery\" x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{HEIGHT}\"><title>{state}, {}</title></rect>",
            frame.top(),
            (to - from).max(1.0),
            time(next.saturating_since(*begin))
        );
    }
    spans
}

/// RTT, SRTT and RTO; `None` when no round trip was measured.
pub(super) fn round_trips(connection: &Connection) -> Option<Figure> {
    let points = connection.round_trips.kept();
    let rtts = || points.iter().map(|point| point.rtt);
    let (shortest, longest) = (rtts().min()?, rtts().max()?);
    let rtos = || connection.time_outs.kept().iter();
    let rto = rtos().map(|(_, rto)| *rto).max().unwrap_or_default();
    let (low, high, ticks) = decades(shortest, longest.max(rto));
    let frame = Frame::new(connection, HEIGHT, f64::from(low), f64::from(high));
    let value = |time: Duration| time.as_secs_f64().max(1e-9).log10();
    let mut body = String::new();
    frame.open(&mut body, &ticks, "time, a decade a line");
    let mut dots = String::new();
    for point in points {
        let (x, y) = (frame.x(point.at), frame.y(value(point.rtt)));
        let _ = write!(dots, "M{x:.1} {y:.1}h.01");
    }
    let srtt = frame.stairs(points.iter().map(|point| (point.at, value(point.srtt))));
    let out = frame.stairs(rtos().map(|(at, rto)| (*at, value(*rto))));
    series(&mut body, "rto", &out, rtos().count());
    series(&mut body, "srtt", &srtt, points.len());
    series(&mut body, "rtt", &dots, points.len());
    frame.close(&mut body);
    let newest = points.last().map_or(Duration::ZERO, |point| point.srtt);
    let ran_out = match connection.timers_ran_out {
        0 => String::new(),
        count => format!(", ran out: {}", grouped(count)),
    };
    let entries: [Entry; 3] = [
        (
            "rtt",
            format!(
                "RTT: {} measured, {} to {}",
                grouped(connection.round_trips.seen()),
                time(shortest),
                time(longest)
            ),
        ),
        ("srtt", format!("SRTT: {} at the end", time(newest))),
        ("rto", format!("RTO{ran_out}")),
    ];
    legend(&mut body, frame.left(), 15.0, &entries);
    let mut remarks = Vec::new();
    remark(
        &mut remarks,
        "round trips",
        connection.round_trips.seen(),
        connection.round_trips.stride(),
    );
    Some(Figure {
        kind: "round-trips",
        title: "Round trip".into(),
        height: frame.total_height(),
        body,
        remarks,
    })
}

/// Data a second, both ways; `None` when there was none.
pub(super) fn throughput(connection: &Connection) -> Option<Figure> {
    let throughput = &connection.throughput;
    let rate = |count: u64| count as f64 * 8.0 / throughput.interval.as_secs_f64();
    let most = throughput
        .octets
        .iter()
        .flatten()
        .max()
        .filter(|n| **n > 0)?;
    let max = rate(*most) * 1.08;
    let frame = Frame::new(connection, HEIGHT, 0.0, max);
    let mut body = String::new();
    let (ticks, unit) = of_bits(max, 4.0);
    frame.open(&mut body, &ticks, unit);
    let mut entries: Vec<Entry> = Vec::new();
    for (way, class, name) in [(1, "received-area", "received"), (0, "sent-area", "sent")] {
        let total: u64 = throughput.octets.iter().map(|octets| octets[way]).sum();
        if total == 0 {
            continue;
        }
        let begin = throughput.begin;
        let mut path = format!("M{:.1} {:.1}", frame.x(begin), frame.y(0.0));
        for (number, octets) in (0..).zip(&throughput.octets) {
            let [from, to] =
                [number, number + 1].map(|n: u32| frame.x(begin + throughput.interval * n));
            let y = frame.y(rate(octets[way]));
            let _ = write!(path, "L{from:.1} {y:.1}H{to:.1}");
        }
        let _ = write!(path, "V{:.1}Z", frame.bottom());
        series(&mut body, class, &path, throughput.octets.len());
        entries.push((class, format!("{name}: {}", octets(total))));
    }
    frame.close(&mut body);
    legend(&mut body, frame.left(), 15.0, &entries);
    let interval = time(throughput.interval);
    Some(Figure {
        kind: "throughput",
        title: format!("Throughput of data, what was sent again included, each {interval}"),
        height: frame.total_height(),
        body,
        remarks: Vec::new(),
    })
}
