//! How a report looks: SVG, and a page around it.
//!
//! Every figure is [`WIDTH`] units wide. Colours are in [`STYLE`] alone, by class, for light and dark.
//! All text that comes from outside passes [`escaped`].

mod axis;
mod figures;
mod frame;
mod ladder;
mod page;
mod sequence;

pub(crate) use page::{page, picture};

use core::time::Duration;
use std::fmt::Write as _;

/// Units that each figure is wide.
const WIDTH: f64 = 960.0;

/// The look of figures; of the page there is more in `page`.
const STYLE: &str = include_str!("draw/figures.css");

/// A figure: what goes between `<svg>` and `</svg>`.
struct Figure {
    /// What it shows: a class of the page, too.
    kind: &'static str,
    title: String,
    height: f64,
    body: String,
    /// What of it is not drawn, in words; empty when all is.
    remarks: Vec<String>,
}

/// `text` as it may stand in HTML and XML, between tags and in quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
            // Neither XML nor HTML takes these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            // What turns the direction of text around would hide what follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `number` with one figure behind the point at most, and none where it is zero.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Octets with their unit, such as `14.6 kB`.
fn octets(count: u64) -> String {
    let count = count as f64;
    for (unit, size) in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        if count >= size {
            return format!("{} {unit}", short(count / size));
        }
    }
    format!("{count} B")
}

/// A time with its unit, such as `20.1 ms`.
fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    for (unit, size) in [("s", 1e9), ("ms", 1e6), ("µs", 1e3)] {
        if nanos >= size {
            return format!("{} {unit}", short(nanos / size));
        }
    }
    format!("{nanos} ns")
}

/// A moment with its unit, to a millisecond or finer.
fn moment(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.3} s"),
        seconds if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

/// One of a legend's entries: the class of what it names, a label.
type Entry = (&'static str, String);

/// A legend in one line, from the left at `x`, at the height `y`.
fn legend(out: &mut String, x: f64, y: f64, entries: &[Entry]) {
    let mut x = x;
    for (class, label) in entries {
        let _ = write!(
            out,
            "<path class=\"key {class}\" d=\"M{x:.0} {:.0}h16\"/><text class=\"label\" x=\"{:.0}\" y=\"{y:.0}\">{}</text>",
            y - 4.0,
            x + 21.0,
            escaped(label)
        );
        // Letters of this size are about so wide.
        x += 44.0 + 6.2 * label.chars().count() as f64;
    }
}

/// Says how much of a series is drawn, where that is not all.
fn remark(remarks: &mut Vec<String>, what: &str, seen: u64, stride: u64) {
    if stride > 1 {
        remarks.push(format!("every {} of {} {what}", nth(stride), grouped(seen)));
    }
}

/// `4th`; strides are powers of two.
fn nth(stride: u64) -> String {
    match stride % 10 {
        2 if stride % 100 != 12 => format!("{stride}nd"),
        _ => format!("{stride}th"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let text = "<script>alert('1')</script> & \"q\" \u{1b}[31m \u{202e}";
        let safe = escaped(text);
        assert_eq!(
            safe,
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;q&quot; \u{fffd}[31m \u{fffd}"
        );
    }

    #[test]
    fn figures_have_units() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(octets(999), "999 B");
        assert_eq!(octets(14_600), "14.6 kB");
        assert_eq!(time(Duration::from_micros(20_000)), "20 ms");
        assert_eq!(time(Duration::ZERO), "0 ns");
        assert_eq!(
            (nth(2), nth(32), nth(4)),
            ("2nd".into(), "32nd".into(), "4th".into())
        );
    }
}
