//! The frame of a figure: its plot, axes and grid.

use super::WIDTH;
use super::axis::{Tick, of_time, seconds};
use crate::connection::Connection;
use sockeye_core::Instant;
use std::fmt::Write as _;

/// Room for what stands beside the plot.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 38.0;

/// From values to places in a figure.
pub(super) struct Frame {
    begin: Instant,
    seconds: f64,
    height: f64,
    from: f64,
    to: f64,
    /// Since when times are counted, in words.
    since: String,
}

impl Frame {
    /// All the time of `connection` across, `from` to `to` upwards in a plot of this height.
    pub(super) fn new(connection: &Connection, height: f64, from: f64, to: f64) -> Self {
        Self {
            begin: connection.begin,
            seconds: seconds(connection.begin, connection.end).max(1e-6),
            height,
            from,
            to: if to > from { to } else { from + 1.0 },
            since: "the connection began".into(),
        }
    }

    /// The time from `span.0` to `span.1` alone.
    pub(super) fn closer(
        connection: &Connection,
        span: (Instant, Instant),
        y: [f64; 2],
        height: f64,
    ) -> Self {
        let whole = Self::new(connection, height, y[0], y[1]);
        let after = super::moment(span.0.saturating_since(connection.begin));
        Self {
            begin: span.0,
            seconds: seconds(span.0, span.1).max(1e-6),
            since: format!("{after} after the connection began"),
            ..whole
        }
    }

    pub(super) fn total_height(&self) -> f64 {
        self.height + TOP + BOTTOM
    }

    pub(super) fn x(&self, at: Instant) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds(self.begin, at) / self.seconds
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let share = (value - self.from) / (self.to - self.from);
        // What is far outside is cut off by the plot's edge; no picture needs its place.
        TOP + self.height * (1.0 - share.clamp(-0.1, 1.1))
    }

    pub(super) const fn bottom(&self) -> f64 {
        TOP + self.height
    }

    pub(super) const fn top(&self) -> f64 {
        TOP
    }

    pub(super) const fn left(&self) -> f64 {
        LEFT
    }

    pub(super) const fn right(&self) -> f64 {
        WIDTH - RIGHT
    }

    /// Background, grid and labels; then what is drawn is cut at the plot's edges, until
    /// [`close`](Self::close).
    pub(super) fn open(&self, out: &mut String, ticks: &[Tick], what: &str) {
        let (left, width) = (LEFT, WIDTH - LEFT - RIGHT);
        let (right, bottom) = (left + width, self.bottom());
        let _ = write!(
            out,
            "<rect class=\"plot\" x=\"{left}\" y=\"{TOP}\" width=\"{width}\" height=\"{}\"/>",
            self.height
        );
        for (value, label) in ticks {
            let y = self.y(*value);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                left - 6.0,
                y + 4.0
            );
        }
        let (times, unit) = of_time(self.seconds, 9.0);
        for (value, label) in &times {
            let x = left + width * value / self.seconds;
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"x\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
                bottom + 14.0
            );
        }
        let middle = TOP + self.height / 2.0;
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{left} {TOP}V{bottom}H{right}\"/>\
             <text class=\"x\" x=\"{:.0}\" y=\"{}\">time since {}, {unit}</text>\
             <text class=\"x\" transform=\"translate(13 {middle}) rotate(-90)\">{what}</text>\
             <svg x=\"{left}\" y=\"{TOP}\" width=\"{width}\" height=\"{}\" viewBox=\"{left} {TOP} {width} {}\">",
            left + width / 2.0,
            bottom + 30.0,
            self.since,
            self.height,
            self.height,
        );
    }

    #[expect(clippy::unused_self, reason = "it closes what this frame has opened")]
    pub(super) fn close(&self, out: &mut String) {
        out.push_str("</svg>");
    }

    /// A line that stays level until the next point.
    pub(super) fn stairs(&self, points: impl Iterator<Item = (Instant, f64)>) -> String {
        let mut path = String::new();
        for (at, value) in points {
            let (x, y) = (self.x(at), self.y(value));
            let _ = match path.is_empty() {
                true => write!(path, "M{x:.1} {y:.1}"),
                false => write!(path, "H{x:.1}V{y:.1}"),
            };
        }
        if !path.is_empty() {
            let _ = write!(path, "H{:.1}", self.right());
        }
        path
    }
}

/// A series as one path: an element that says what it is, and how many points it has.
pub(super) fn series(out: &mut String, class: &str, path: &str, points: usize) {
    if points > 0 {
        let _ = write!(
            out,
            "<path class=\"{class}\" data-points=\"{points}\" d=\"{path}\"/>"
        );
    }
}
