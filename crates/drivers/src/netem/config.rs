//! The words of netem: what is done to packets, and how it is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The words that [`NetemConfig::set`] knows, in the order of [`NetemConfig`]'s fields.
pub const NETEM_KEYS: &[&str] = &[
    "delay",
    "jitter",
    "loss",
    "duplicate",
    "reorder",
    "gap",
    "corrupt",
    "rate",
    "limit",
    "ecn",
    "ce_threshold",
];

/// The longest delay and jitter.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);
/// The largest [`NetemConfig::limit`].
pub const LIMIT_MAX: usize = 1_000_000;

/// What is done to packets of one direction, with the meaning that tc-netem(8) gives the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetemConfig {
    /// How long each packet is held back.
    pub delay: Duration,
    /// How much the delay varies: evenly between `delay - jitter` and `delay + jitter`. Packets
    /// that overtake others thereby arrive out of order.
    pub jitter: Duration,
    /// Which packets vanish.
    pub loss: Loss,
    /// How many packets arrive twice.
    pub duplicate: Probability,
    /// How many packets are sent at once instead of after the delay; the others' order stays.
    pub reorder: Probability,
    /// Only each `gap`-th packet is sent at once, with the probability `reorder`.
    pub gap: u32,
    /// How many packets have one random bit flipped.
    pub corrupt: Probability,
    /// Bits per second of wire packets, link header included.
    pub rate: Option<u64>,
    /// Packets held at most; further ones are dropped. At least 1.
    pub limit: usize,
    /// What chance would lose is marked with CE instead where its sender speaks ECN (RFC 3168 §5).
    pub ecn: bool,
    /// What waits longer than this for packets before it, under [`rate`](Self::rate), is marked with
    /// CE where its sender speaks ECN: the word of tc-fq_codel(8).
    pub ce_threshold: Option<Duration>,
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself.
    Random(Probability),
    /// The Gilbert-Elliott model: a good and a bad state, with bursts of losses in the bad one.
    /// Each packet first loses or not, by the state, and moves the state, independently.
    Gemodel {
        /// From good to bad (p).
        to_bad: Probability,
        /// From bad to good (r).
        to_good: Probability,
        /// Loss in the bad state (1-h).
        in_bad: Probability,
        /// Loss in the good state (1-k).
        in_good: Probability,
    },
}

/// A probability, exact to 2^-32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1 << 32);

    /// `percent` of all cases; below 0 is never, above 100 always.
    #[must_use]
    pub fn percent(percent: f64) -> Self {
        let parts = percent.clamp(0.0, 100.0) / 100.0 * Self::ALWAYS.0 as f64;
        // A float turned into an integer saturates.
        Self((parts.round() as u64).min(Self::ALWAYS.0))
    }

    /// Whether a random number says that it happens.
    #[must_use]
    pub(super) fn hits(self, random: u32) -> bool {
        u64::from(random) < self.0
    }
}

impl Default for NetemConfig {
    /// Nothing is done. The limit is 1000 packets, as in tc-netem(8).
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::Random(Probability::NEVER),
            duplicate: Probability::NEVER,
            reorder: Probability::NEVER,
            gap: 1,
            corrupt: Probability::NEVER,
            rate: None,
            limit: 1000,
            ecn: false,
            ce_threshold: None,
        }
    }
}

impl NetemConfig {
    /// Sets one word, as in `delay=10ms`:
    ///
    /// * `delay`, `jitter`, `ce_threshold`: a time with its unit, `s`, `ms`, `us` or `ns`, up to an hour
    /// * `loss`: a percentage (`0.1%`), or `gemodel:P:R:1-H:1-K` in percentages, of which those
    ///   behind P may be left out (then 100%-P, 100%, 0%)
    /// * `duplicate`, `reorder`, `corrupt`: a percentage
    /// * `gap`, `limit`: a number from 1
    /// * `rate`: with its unit, `bit`, `kbit`, `mbit`, `gbit` or `tbit` per second (powers of
    ///   1000; `kibit` and so on: of 1024), `bps`, `kbps`, `mbps` or `gbps` (bytes, as in tc(8))
    /// * `ecn`: nothing, the word is enough
    ///
    /// # Errors
    /// The word is none of these, or its value is not in the form given here: the error says which.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), NetemError> {
        let bad = |expected| NetemError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        };
        let time = || parse_time(value).ok_or_else(|| bad(TIME));
        let percentage = || parse_percentage(value).ok_or_else(|| bad(PERCENTAGE));
        match key {
            "delay" => self.delay = time()?,
            "jitter" => self.jitter = time()?,
            "loss" => self.loss = parse_loss(value).ok_or_else(|| bad(LOSS))?,
            "duplicate" => self.duplicate = percentage()?,
            "reorder" => self.reorder = percentage()?,
            "gap" => {
                let gap = value.parse().ok().filter(|&gap| gap > 0);
                self.gap = gap.ok_or_else(|| bad("a number of packets from 1"))?;
            }
            "corrupt" => self.corrupt = percentage()?,
            "rate" => self.rate = Some(parse_rate(value).ok_or_else(|| bad(RATE))?),
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                self.limit = limit.ok_or_else(|| bad("a number of packets from 1 to 1000000"))?;
            }
            "ecn" if value.is_empty() => self.ecn = true,
            "ecn" => return Err(bad("a word without a value")),
            "ce_threshold" => self.ce_threshold = Some(time()?),
            _ => return Err(NetemError::Key(key.to_owned())),
        }
        Ok(())
    }

    /// Checks the words against each other.
    ///
    /// # Errors
    /// A word has no effect without another one that is missing.
    pub fn check(&self) -> Result<(), NetemError> {
        let late = self.delay > Duration::ZERO || self.jitter > Duration::ZERO;
        if self.reorder > Probability::NEVER && !late {
            return Err(NetemError::Needs("reorder", "delay"));
        }
        if self.gap > 1 && self.reorder == Probability::NEVER {
            return Err(NetemError::Needs("gap", "reorder"));
        }
        if self.ecn && self.loss == Loss::Random(Probability::NEVER) {
            return Err(NetemError::Needs("ecn", "loss"));
        }
        if self.ce_threshold.is_some() && self.rate.is_none() {
            return Err(NetemError::Needs("ce_threshold", "rate"));
        }
        Ok(())
    }

    /// Whether packets pass as they are.
    #[must_use]
    pub fn is_transparent(&self) -> bool {
        let limit = self.limit;
        *self
            == Self {
                limit,
                ..Self::default()
            }
    }
}

impl FromStr for NetemConfig {
    type Err = NetemError;

    /// Reads words with commas or spaces between them: `delay=10ms,loss=1%`.
    fn from_str(text: &str) -> Result<Self, NetemError> {
        let mut config = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            config.set(key, value)?;
        }
        config.check()?;
        Ok(config)
    }
}

/// What is wrong with the words of netem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetemError {
    /// There is no such word.
    Key(String),
    /// A word's value is not in its form.
    Value {
        /// The word.
        key: String,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The first word has no effect without the second.
    Needs(&'static str, &'static str),
}

impl fmt::Display for NetemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                write!(
                    f,
                    "netem knows no {key:?}; it knows {}",
                    NETEM_KEYS.join(", ")
                )
            }
            Self::Value {
                key,
                value,
                expected,
            } => write!(f, "{key}={value} is wrong: {key} is {expected}"),
            Self::Needs(word, other) => {
                write!(f, "{word} has no effect without {other}: give {other} too")
            }
        }
    }
}

impl std::error::Error for NetemError {}

const TIME: &str = "a time with its unit (s, ms, us, ns) up to an hour, as in 10ms";
const PERCENTAGE: &str = "a percentage from 0% to 100%, as in 0.1%";
const LOSS: &str =
    "a percentage from 0% to 100%, as in 0.1%, or gemodel:P:R:1-H:1-K in percentages";
const RATE: &str = "a rate above 0 with its unit (bit, kbit, mbit, gbit, tbit; kibit, mibit, gibit; bytes: bps, kbps, mbps, gbps), as in 100mbit";

const TIME_UNITS: &[(&str, u64)] = &[
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const RATE_UNITS: &[(&str, u64)] = &[
    ("bit", 1),
    ("kbit", 1_000),
    ("mbit", 1_000_000),
    ("gbit", 1_000_000_000),
    ("tbit", 1_000_000_000_000),
    ("kibit", 1 << 10),
    ("mibit", 1 << 20),
    ("gibit", 1 << 30),
    ("bps", 8),
    ("kbps", 8_000),
    ("mbps", 8_000_000),
    ("gbps", 8_000_000_000),
];

fn parse_time(text: &str) -> Option<Duration> {
    let nanos = parse_quantity(text, TIME_UNITS)?;
    Some(Duration::from_nanos(nanos)).filter(|&time| time <= DELAY_MAX)
}

fn parse_rate(text: &str) -> Option<u64> {
    parse_quantity(text, RATE_UNITS).filter(|&rate| rate > 0)
}

fn parse_percentage(text: &str) -> Option<Probability> {
    // In millionths of a percent, rounded to the nearest part of 2^32.
    let millionths = parse_quantity(text, &[("%", 1_000_000)])?;
    const WHOLE: u64 = 100 * 1_000_000;
    let parts = (u128::from(millionths) * u128::from(Probability::ALWAYS.0)
        + u128::from(WHOLE / 2))
        / u128::from(WHOLE);
    u64::try_from(parts)
        .ok()
        .map(Probability)
        .filter(|_| millionths <= WHOLE)
}

fn parse_loss(text: &str) -> Option<Loss> {
    let Some(states) = text.strip_prefix("gemodel:") else {
        return parse_percentage(text).map(Loss::Random);
    };
    let mut values = states.split(':').map(parse_percentage);
    let to_bad = values.next()??;
    // What is left out takes tc-netem's default; what is there must be right.
    let mut next = |default| values.next().unwrap_or(Some(default));
    let loss = Loss::Gemodel {
        to_bad,
        to_good: next(Probability(Probability::ALWAYS.0 - to_bad.0))?,
        in_bad: next(Probability::ALWAYS)?,
        in_good: next(Probability::NEVER)?,
    };
    values.next().is_none().then_some(loss)
}

/// A decimal number followed by one of `units`, in the unit whose factor is 1, rounded down.
fn parse_quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let number_len = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(number_len);
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // 18 digits behind the point are finer than anything here, and fit.
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?) * u128::from(factor);
    let scale = 10_u128.pow(fraction.len() as u32);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / scale;
    u64::try_from(whole + part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(key: &str, value: &str) -> Result<NetemConfig, String> {
        let mut config = NetemConfig::default();
        match config.set(key, value) {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn words_are_read() {
        let delay = |text| set("delay", text).unwrap().delay;
        assert_eq!(delay("10ms"), Duration::from_millis(10));
        assert_eq!(delay("1.5s"), Duration::from_millis(1500));
        assert_eq!(delay("0.25us"), Duration::from_nanos(250));
        let loss = |text| set("loss", text).unwrap().loss;
        let percent = Probability::percent;
        assert_eq!(loss("1%"), Loss::Random(percent(1.0)));
        assert_eq!(loss("100%"), Loss::Random(Probability::ALWAYS));
        assert_eq!(
            loss("gemodel:1%:20%:90%:0.1%"),
            Loss::Gemodel {
                to_bad: percent(1.0),
                to_good: percent(20.0),
                in_bad: percent(90.0),
                in_good: percent(0.1),
            }
        );
        assert_eq!(loss("gemodel:25%"), loss("gemodel:25%:75%:100%:0%"));
        let rate = |text| set("rate", text).unwrap().rate;
        assert_eq!(rate("100mbit"), Some(100_000_000));
        assert_eq!(rate("1.5kibit"), Some(1536));
        assert_eq!(rate("2mbps"), Some(16_000_000));
        assert_eq!(set("limit", "7").unwrap().limit, 7);
        assert_eq!(set("gap", "5").unwrap().gap, 5);
        let all: NetemConfig = "delay=10ms,jitter=1ms loss=1%,duplicate=2%,reorder=3%,gap=4,corrupt=5%,rate=6gbit,limit=7,ecn,ce_threshold=1ms"
            .parse()
            .unwrap();
        assert!(all.ecn);
        assert_eq!(all.ce_threshold, Some(Duration::from_millis(1)));
        assert_eq!(all.reorder, percent(3.0));
        assert_eq!(all.corrupt, percent(5.0));
        assert_eq!(all.jitter, Duration::from_millis(1));
        assert!("".parse::<NetemConfig>().unwrap().is_transparent());
        assert!("limit=5".parse::<NetemConfig>().unwrap().is_transparent());
        assert!(!all.is_transparent());
    }

    #[test]
    fn a_mistake_is_named_with_what_would_be_right() {
        let error = |key, value| set(key, value).unwrap_err();
        assert_eq!(
            error("delay", "10"),
            "delay=10 is wrong: delay is a time with its unit (s, ms, us, ns) up to an hour, as in 10ms"
        );
        assert!(error("loss", "1").contains("as in 0.1%"));
        assert!(error("lag", "1ms").starts_with("netem knows no \"lag\"; it knows delay, jitter"));
        for (key, value) in [
            ("delay", "3601s"),
            ("delay", "-1ms"),
            ("delay", "1.ms"),
            ("delay", ".5ms"),
            ("delay", "ms"),
            ("delay", ""),
            ("delay", "99999999999999999999s"),
            ("loss", "100.1%"),
            ("loss", "gemodel"),
            ("loss", "gemodel:1%:x"),
            ("loss", "gemodel:1%:1%:1%:1%:1%"),
            ("rate", "0bit"),
            ("rate", "100"),
            ("rate", "9999999999tbit"),
            ("gap", "0"),
            ("limit", "0"),
            ("limit", "1000001"),
            ("ecn", "yes"),
            ("ce_threshold", "1"),
        ] {
            assert!(set(key, value).is_err(), "{key}={value}");
        }
        let together = |text: &str| text.parse::<NetemConfig>().unwrap_err().to_string();
        assert_eq!(
            together("reorder=25%"),
            "reorder has no effect without delay: give delay too"
        );
        assert!(together("delay=1ms,gap=5").contains("without reorder"));
        assert!(together("delay").contains("delay= is wrong"));
        assert!(together("ecn").contains("without loss"));
        assert!(together("ce_threshold=1ms").contains("without rate"));
    }

    #[test]
    fn probabilities_are_exact_at_their_ends() {
        assert!(Probability::ALWAYS.hits(u32::MAX));
        assert!(!Probability::NEVER.hits(0));
        assert_eq!(Probability::percent(1e9), Probability::ALWAYS);
        assert_eq!(Probability::percent(f64::NAN), Probability::NEVER);
        assert_eq!(parse_percentage("50%"), Some(Probability(1 << 31)));
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_a_config(text in ".{0,40}", key in 0..NETEM_KEYS.len()) {
            let _ = text.parse::<NetemConfig>();
            let _ = set(NETEM_KEYS[key], &text);
        }
    }
}
