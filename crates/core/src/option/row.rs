//! What the list says of an option.

use super::SocketOption;
use crate::{Error, OptionValue};
use core::time::Duration;

/// One option under one level and number.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The man page that describes it.
    pub page: &'static str,
    /// The level of setsockopt(2).
    pub level: i32,
    /// Its C name.
    pub name: &'static str,
    /// Its number, as all architectures that follow asm-generic have it.
    pub number: i32,
    /// What it does, in a few words; of a refused one, why it is.
    pub about: &'static str,
    /// How it stands.
    pub standing: Standing,
}

/// How an option stands.
#[derive(Clone, Copy, Debug)]
pub enum Standing {
    /// It works.
    Works {
        /// Its typed name.
        option: SocketOption,
        /// Whether it can be set and read.
        access: Access,
        /// How its bytes are read and written.
        layout: Layout,
        /// What it takes.
        takes: Takes,
        /// The test of its effect: file and name. All values of all options are compared with a
        /// kernel's beside.
        test: Option<(&'static str, &'static str)>,
    },
    /// It is refused, always with the same errors.
    Refused {
        /// What setsockopt(2) fails with.
        set: Error,
        /// What getsockopt(2) fails with.
        get: Error,
    },
}

/// Whether an option can be set and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Both.
    ReadWrite,
    /// It can't be set: ENOPROTOOPT.
    ReadOnly,
    /// It can't be read: ENOPROTOOPT.
    WriteOnly,
}

/// How an option's bytes are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// An int that is on or off.
    Flag,
    /// An int that is on or off; what is too short for one is off.
    LooseFlag,
    /// An int.
    Int,
    /// An int that has to have four bytes, neither fewer nor more.
    Word,
    /// An int of seconds.
    Seconds,
    /// An int of seconds; below zero means none, and none reads as -1.
    SecondsOrNone,
    /// An int of seconds; zero and below mean none, and none reads as 0.
    SecondsOrZero,
    /// An int of milliseconds.
    Millis,
    /// An int of microseconds.
    Micros,
    /// struct linger.
    Linger,
    /// struct timeval.
    Timeval,
    /// An unsigned int or, where there is room, an unsigned long.
    Rate,
    /// 64 bits, never cut.
    Cookie,
    /// The name of a congestion control.
    Name,
    /// The name of a device.
    Device,
    /// struct in_addr, ip_mreq or ip_mreqn.
    MulticastDevice,
    /// struct ip_mreq, ip_mreqn, ipv6_mreq, or one of RFC 3678's.
    Membership,
    /// This many bytes: a mask, of which the rest stays as it is when fewer are given.
    Mask(usize),
    /// Keys, one after the other.
    Keys,
    /// A structure: this many bytes at the most, cut to what fits.
    Struct(usize),
    /// A structure of so many bytes, never cut.
    Exact(usize),
}

/// Which values an option takes; others are EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Whatever its layout can say.
    Any,
    /// From the first to the second, in the unit of its layout.
    Range(i32, i32),
    /// Any number, but the values below the first and above the second count as these.
    Held(i32, i32),
    /// What the words say: the transport checks it.
    Said(&'static str),
}

impl Row {
    /// The row under `level` and `number`.
    #[must_use]
    pub fn find(level: i32, number: i32) -> Option<&'static Self> {
        let mut rows = super::ROWS.iter();
        rows.find(|row| row.level == level && row.number == number)
    }
}

impl SocketOption {
    /// Its row.
    #[must_use]
    pub fn row(self) -> Option<&'static Row> {
        let mut rows = super::ROWS.iter();
        rows.find(|row| matches!(row.standing, Standing::Works { option, .. } if option == self))
    }

    /// What the list says that it takes.
    #[must_use]
    pub fn takes(self) -> Takes {
        match self.row().map(|row| row.standing) {
            Some(Standing::Works { takes, .. }) => takes,
            _ => Takes::Any,
        }
    }

    /// `value` as a number that the option takes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none, or out of range.
    pub fn number(self, value: &OptionValue) -> Result<i32, Error> {
        let n = value.int()?;
        match self.takes() {
            Takes::Range(low, high) if !(low..=high).contains(&n) => Err(Error::Invalid),
            Takes::Held(low, high) => Ok(n.clamp(low, high)),
            _ => Ok(n),
        }
    }

    /// `value` as a time that the option takes, where the list counts it in `unit`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none, or out of range.
    pub fn time(self, value: &OptionValue, unit: Duration) -> Result<Duration, Error> {
        let time = value.time()?.ok_or(Error::Invalid)?;
        let bound = |n: i32| unit.saturating_mul(n.unsigned_abs());
        match self.takes() {
            Takes::Range(low, high) if time < bound(low) || time > bound(high) => {
                Err(Error::Invalid)
            }
            _ => Ok(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::option::ROWS;

    #[test]
    fn rows_are_unique() {
        for (i, a) in ROWS.iter().enumerate() {
            let mut others = ROWS[i + 1..].iter();
            let same = others.find(|b| (a.level, a.number) == (b.level, b.number));
            assert!(same.is_none(), "{} and {}", a.name, same.unwrap().name);
        }
    }

    /// The numbers of Linux 6.18; those left out are of control messages only.
    #[test]
    fn none_is_forgotten() {
        let socket = (1..=84).filter(|n| ![54, 58, 81].contains(n));
        let udp = [1, 100, 101, 102, 103, 104].map(|n| (17, n));
        let lite = [10, 11].map(|n| (136, n));
        let ip = (1..=26).chain(32..=52).map(|n| (0, n));
        // These numbers were never given, or are of raw sockets (7).
        let not = |n: &i32| ![7, 12, 13, 14, 15, 63, 64, 65, 68, 69, 71].contains(n);
        let ipv6 = (1..=36).chain(42..=78).filter(not).map(|n| (41, n));
        let all = socket.map(|n| (1, n)).chain((1..=46).map(|n| (6, n)));
        let sctp = (0..=37).chain(100..=102).chain(107..=133);
        let all = all.chain(sctp.map(|n| (132, n)));
        let all = all.chain(udp).chain(lite).chain(ip).chain(ipv6);
        for (level, number) in all {
            assert!(Row::find(level, number).is_some(), "{level} {number}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let count = |n| SocketOption::KeepCount.number(&OptionValue::Int(n));
        assert_eq!([count(0), count(128)], [Err(Error::Invalid); 2]);
        assert_eq!((count(1), count(127)), (Ok(1), Ok(127)));
        let idle = |s| {
            let time = Duration::from_secs(s);
            SocketOption::KeepIdle.time(&OptionValue::Time(Some(time)), Duration::from_secs(1))
        };
        assert_eq!([idle(0), idle(32_768)], [Err(Error::Invalid); 2]);
        assert_eq!(idle(32_767), Ok(Duration::from_secs(32_767)));
    }
}
