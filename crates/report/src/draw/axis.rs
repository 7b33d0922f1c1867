//! Where ticks lie, and what stands beside them.

use super::short;
use core::time::Duration;
use sockeye_core::Instant;

/// A tick: its value, its label.
pub(super) type Tick = (f64, String);

/// 1, 2 or 5 times a power of ten: `span` has about `count` of it.
fn step(span: f64, count: f64) -> f64 {
    let rough = (span / count).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power)
}

/// Ticks of a scale from 0 to `max`, labelled in the unit that suits `max`: the ticks, the unit's name.
fn linear(max: f64, count: f64, units: &[(&'static str, f64)]) -> (Vec<Tick>, &'static str) {
    between(0.0, max, count, units)
}

/// Ticks of a scale from `min` to `max`, labelled in the unit that suits the difference.
fn between(
    min: f64,
    max: f64,
    count: f64,
    units: &[(&'static str, f64)],
) -> (Vec<Tick>, &'static str) {
    let span = max - min;
    let fits = units.iter().find(|(_, size)| span >= 2.0 * size);
    let (unit, size) = *fits.or(units.last()).unwrap_or(&("", 1.0));
    let step = step(span, count);
    let (first, last) = ((min / step).ceil(), (max / step + 1e-9).floor());
    let label = |value: f64| {
        let scaled = value / size;
        match step / size < 0.0999 && value > 0.0 {
            true => format!("{scaled:.2}"),
            false => short(scaled),
        }
    };
    let ticks = (first as i64..=last as i64).map(|i| i as f64 * step);
    (ticks.map(|value| (value, label(value))).collect(), unit)
}

/// A scale of octets from 0 on.
pub(super) fn of_octets(max: f64, count: f64) -> (Vec<Tick>, &'static str) {
    octets_between(0.0, max, count)
}

/// A scale of octets.
pub(super) fn octets_between(min: f64, max: f64, count: f64) -> (Vec<Tick>, &'static str) {
    between(
        min,
        max,
        count,
        &[("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)],
    )
}

/// A scale of bits a second.
pub(super) fn of_bits(max: f64, count: f64) -> (Vec<Tick>, &'static str) {
    linear(
        max,
        count,
        &[
            ("Gbit/s", 1e9),
            ("Mbit/s", 1e6),
            ("kbit/s", 1e3),
            ("bit/s", 1.0),
        ],
    )
}

/// A scale of seconds since something.
pub(super) fn of_time(max: f64, count: f64) -> (Vec<Tick>, &'static str) {
    linear(
        max,
        count,
        &[("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)],
    )
}

/// Powers of ten from below `min` to above `max`, both in seconds; the exponents of the ends.
pub(super) fn decades(min: Duration, max: Duration) -> (i32, i32, Vec<Tick>) {
    let exponent = |time: Duration| time.as_secs_f64().max(1e-7).log10();
    let low = exponent(min).floor() as i32;
    let high = (exponent(max).ceil() as i32).max(low + 1);
    let name = |exponent: i32| match exponent {
        -9..=-7 => format!("{} ns", 10_i32.pow((exponent + 9) as u32)),
        -6..=-4 => format!("{} µs", 10_i32.pow((exponent + 6) as u32)),
        -3..=-1 => format!("{} ms", 10_i32.pow((exponent + 3) as u32)),
        _ => format!("{} s", 10_i32.pow(exponent.clamp(0, 9) as u32)),
    };
    let ticks = (low..=high).map(|e| (f64::from(e), name(e))).collect();
    (low, high, ticks)
}

/// Seconds from one instant to another.
pub(super) fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |ticks: (Vec<Tick>, &str)| {
            let labels: Vec<String> = ticks.0.into_iter().map(|tick| tick.1).collect();
            format!("{} {}", labels.join(" "), ticks.1)
        };
        assert_eq!(labels(of_octets(14_600.0, 5.0)), "0 5 10 kB");
        assert_eq!(labels(of_octets(1400.0, 5.0)), "0 500 1000 B");
        assert_eq!(labels(of_time(0.05, 5.0)), "0 10 20 30 40 50 ms");
        assert_eq!(labels(of_time(12.0, 5.0)), "0 5 10 s");
        assert_eq!(labels(of_bits(0.0, 5.0)), "0 bit/s");
        let (low, high, ticks) = decades(Duration::from_micros(300), Duration::from_millis(200));
        assert_eq!((low, high, ticks.len()), (-4, 0, 5));
        assert_eq!(ticks[0].1, "100 µs");
        assert_eq!(ticks[4].1, "1 s");
    }
}
