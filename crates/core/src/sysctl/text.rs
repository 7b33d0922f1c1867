//! What settings are as text: how each kind is read, shown and described, a module a kind.

use crate::congestion;
use core::time::Duration;

/// An integer, as Linux reads it: decimal, `0x` or `0`-octal.
pub(super) mod number {
    pub(in crate::sysctl) fn read<T: TryFrom<u64>>(text: &str) -> Option<T> {
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
            None => (text, 10),
        };
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        let number = u64::from_str_radix(digits, radix).ok().filter(|_| plain)?;
        T::try_from(number).ok()
    }

    pub(in crate::sysctl) fn show<T: ToString>(value: &T) -> String {
        value.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a whole number, decimal, 0x hexadecimal or 0 octal, in its range".into()
    }
}

/// 0 is off, another number on.
pub(super) mod flag {
    pub(in crate::sysctl) fn read(text: &str) -> Option<bool> {
        super::number::read(text).map(|number: u64| number != 0)
    }

    pub(in crate::sysctl) fn show(value: &bool) -> String {
        u8::from(*value).to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0 or 1".into()
    }
}

/// The bits of Fast Open; those that mean nothing here stay.
pub(super) mod fast_open {
    use crate::FastOpenMode;

    pub(in crate::sysctl) fn read(text: &str) -> Option<FastOpenMode> {
        super::number::read(text).map(FastOpenMode::from_bits_retain)
    }

    pub(in crate::sysctl) fn show(value: &FastOpenMode) -> String {
        value.bits().to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a number, the sum of the bits of tcp_fastopen in Linux's ip-sysctl".into()
    }
}

/// One key of Fast Open or two: `x-x-x-x`, four words in hexadecimal, the low byte of each first in
/// the key.
pub(super) mod keys {
    pub(in crate::sysctl) fn read(text: &str) -> Option<Vec<[u8; 16]>> {
        let keys: Option<Vec<_>> = text.split(',').map(key).collect();
        keys.filter(|keys| keys.len() <= 2)
    }

    fn key(text: &str) -> Option<[u8; 16]> {
        let mut key = [0; 16];
        let mut words = text.trim().split('-');
        for bytes in key.as_chunks_mut::<4>().0 {
            *bytes = u32::from_str_radix(words.next()?, 16).ok()?.to_le_bytes();
        }
        words.next().is_none().then_some(key)
    }

    /// Without a key of its own a node shows what Linux shows before there is one.
    pub(in crate::sysctl) fn show(keys: &[[u8; 16]]) -> String {
        let show = |key: &[u8; 16]| {
            let words = key.as_chunks::<4>().0.iter();
            let words: Vec<String> = words
                .map(|word| format!("{:08x}", u32::from_le_bytes(*word)))
                .collect();
            words.join("-")
        };
        match keys {
            [] => show(&[0; 16]),
            keys => keys.iter().map(show).collect::<Vec<_>>().join(","),
        }
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a key x-x-x-x of four words in hexadecimal, or two with a comma between".into()
    }
}

/// 0, 1 or 2.
pub(super) mod syn_cookies {
    use crate::SynCookies;

    pub(in crate::sysctl) fn read(text: &str) -> Option<SynCookies> {
        Some(match super::number::read(text)? {
            0_u32 => SynCookies::Never,
            1 => SynCookies::WhenFull,
            2 => SynCookies::Always,
            _ => return None,
        })
    }

    pub(in crate::sysctl) fn show(value: &SynCookies) -> String {
        let number = match value {
            SynCookies::Never => 0,
            SynCookies::WhenFull => 1,
            SynCookies::Always => 2,
        };
        number.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0, 1 or 2".into()
    }
}

/// Whole seconds.
pub(super) mod seconds {
    use super::Duration;

    pub(in crate::sysctl) fn read(text: &str) -> Option<Duration> {
        super::number::read(text).map(Duration::from_secs)
    }

    pub(in crate::sysctl) fn show(value: &Duration) -> String {
        value.as_secs().to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a number of seconds".into()
    }
}

/// A whole number of milliseconds.
pub(super) mod millis {
    use core::time::Duration;

    pub(in crate::sysctl) fn read(text: &str) -> Option<Duration> {
        super::number::read(text).map(|ms: u32| Duration::from_millis(ms.into()))
    }

    pub(in crate::sysctl) fn show(value: &Duration) -> String {
        value.as_millis().to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a number of milliseconds".into()
    }
}

/// A whole number of milliseconds, 5000 at least, or 0.
pub(super) mod probe_interval {
    use crate::config::SctpConfig;
    use core::time::Duration;

    pub(in crate::sysctl) fn read(text: &str) -> Option<Duration> {
        super::millis::read(text)
            .filter(|time| time.is_zero() || *time >= SctpConfig::PROBE_INTERVAL_MIN)
    }

    pub(in crate::sysctl) fn show(value: &Duration) -> String {
        super::millis::show(value)
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0, or a number of milliseconds from 5000 on".into()
    }
}

/// What is told of potentially failed paths.
pub(super) mod pf_expose {
    pub(in crate::sysctl) fn read(text: &str) -> Option<u32> {
        super::number::read(text).filter(|exposure| *exposure <= 2)
    }

    pub(in crate::sysctl) fn show(value: &u32) -> String {
        value.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0, 1 or 2".into()
    }
}

/// 0, 1 or 2.
pub(super) mod reverse_path {
    use crate::config::ReversePath;

    pub(in crate::sysctl) fn read(text: &str) -> Option<ReversePath> {
        Some(match super::number::read(text)? {
            0_u32 => ReversePath::Off,
            1 => ReversePath::Strict,
            2 => ReversePath::Loose,
            _ => return None,
        })
    }

    pub(in crate::sysctl) fn show(value: &ReversePath) -> String {
        let number = match value {
            ReversePath::Off => 0,
            ReversePath::Strict => 1,
            ReversePath::Loose => 2,
        };
        number.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0, 1 (strict) or 2 (loose)".into()
    }
}

/// A number within bounds, each kind a module of its own.
macro_rules! bounded {
    ($($name:ident $low:literal to $high:literal;)*) => {$(
        pub(super) mod $name {
            pub(in crate::sysctl) fn read(text: &str) -> Option<u8> {
                super::number::read(text).filter(|n| ($low..=$high).contains(n))
            }

            pub(in crate::sysctl) fn show(value: &u8) -> String {
                value.to_string()
            }

            pub(in crate::sysctl) fn takes() -> String {
                concat!($low, " to ", $high).into()
            }
        }
    )*};
}

bounded! {
    igmp_version 0 to 3;
    mld_version 0 to 2;
    robustness 1 to 7;
}

/// Two numbers, the first not above the second.
pub(super) mod pair {
    pub(in crate::sysctl) fn read<T: TryFrom<u64> + PartialOrd>(text: &str) -> Option<(T, T)> {
        let mut words = text.split_ascii_whitespace().map(super::number::read);
        match (words.next()??, words.next()??, words.next()) {
            (low, high, None) if low <= high => Some((low, high)),
            _ => None,
        }
    }

    pub(in crate::sysctl) fn show<T: ToString>((low, high): &(T, T)) -> String {
        format!("{}\t{}", low.to_string(), high.to_string())
    }

    pub(in crate::sysctl) fn takes() -> String {
        "two numbers, the first not above the second".into()
    }
}

/// Three numbers: least, at first, most. Linux keeps what the text does not reach; here all three
/// are wanted.
pub(super) mod triple {
    pub(in crate::sysctl) fn read<T: TryFrom<u64>>(text: &str) -> Option<(T, T, T)> {
        let mut words = text.split_ascii_whitespace().map(super::number::read);
        let three = (words.next()??, words.next()??, words.next()??);
        words.next().is_none().then_some(three)
    }

    pub(in crate::sysctl) fn show<T: ToString>((least, first, most): &(T, T, T)) -> String {
        let [least, first, most] = [least, first, most].map(ToString::to_string);
        format!("{least}\t{first}\t{most}")
    }

    pub(in crate::sysctl) fn takes() -> String {
        "three numbers: least, at first, most".into()
    }
}

/// 0 to 5.
pub(super) mod ecn {
    pub(in crate::sysctl) fn read(text: &str) -> Option<u8> {
        super::number::read(text).filter(|mode| *mode <= 5)
    }

    pub(in crate::sysctl) fn show(value: &u8) -> String {
        value.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0 to 5".into()
    }
}

/// How many, or a negative number for no end.
pub(super) mod count {
    pub(in crate::sysctl) fn read(text: &str) -> Option<i32> {
        match text.strip_prefix('-') {
            Some(digits) => super::number::read(digits).map(|n: u32| if n == 0 { 0 } else { -1 }),
            None => super::number::read(text),
        }
    }

    pub(in crate::sysctl) fn show(value: &i32) -> String {
        value.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a whole number, or -1 for no end".into()
    }
}

/// 0 to 3.
pub(super) mod addr_gen_mode {
    use crate::AddrGenMode;

    pub(in crate::sysctl) fn read(text: &str) -> Option<AddrGenMode> {
        Some(match super::number::read(text)? {
            0_u32 => AddrGenMode::Eui64,
            1 => AddrGenMode::NoLinkLocal,
            2 => AddrGenMode::StablePrivacy,
            3 => AddrGenMode::Random,
            _ => return None,
        })
    }

    pub(in crate::sysctl) fn show(value: &AddrGenMode) -> String {
        let number = match value {
            AddrGenMode::Eui64 => 0,
            AddrGenMode::NoLinkLocal => 1,
            AddrGenMode::StablePrivacy => 2,
            AddrGenMode::Random => 3,
        };
        number.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0 to 3".into()
    }
}

/// 128 bits, written as an IPv6 address. Linux can't show one that was not set; here it is empty.
pub(super) mod secret {
    use std::net::Ipv6Addr;

    pub(in crate::sysctl) fn read(text: &str) -> Option<Option<Ipv6Addr>> {
        match text {
            "" => Some(None),
            _ => text.parse().ok().map(Some),
        }
    }

    pub(in crate::sysctl) fn show(value: &Option<Ipv6Addr>) -> String {
        value.map_or_else(String::new, |secret| secret.to_string())
    }

    pub(in crate::sysctl) fn takes() -> String {
        "a secret of 128 bits, written as an IPv6 address".into()
    }
}

/// 0 to 2; Linux takes what is below for 0 and what is above for 2.
pub(super) mod temporary {
    pub(in crate::sysctl) fn read(text: &str) -> Option<u8> {
        super::count::read(text).map(|mode| mode.clamp(0, 2) as u8)
    }

    pub(in crate::sysctl) fn show(value: &u8) -> String {
        value.to_string()
    }

    pub(in crate::sysctl) fn takes() -> String {
        "0, 1 or 2".into()
    }
}

/// The name of a congestion control that there is.
pub(super) mod congestion_control {
    use super::congestion;

    pub(in crate::sysctl) fn read(text: &str) -> Option<String> {
        congestion::NAMES.contains(&text).then(|| text.to_owned())
    }

    pub(in crate::sysctl) fn show(value: &str) -> String {
        value.to_owned()
    }

    pub(in crate::sysctl) fn takes() -> String {
        congestion::NAMES.join(", ")
    }
}
