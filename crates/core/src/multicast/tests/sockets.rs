//! What the calls of RFC 3678 do to a socket's filters, with Linux's errors.

use super::membership::SourceChange::{self, Block, Join, Leave, Unblock};
use super::*;

/// One call about the group.
#[derive(Clone, Copy, Debug)]
enum Call {
    JoinGroup,
    LeaveGroup,
    Change(SourceChange, &'static str),
    Filter(&'static str),
}
use Call::{Change, Filter, JoinGroup, LeaveGroup};

fn call(host: &mut Host, family: Family, call: Call) -> Result<(), Error> {
    let (group, link) = (family.group(), Some(host.link));
    let cx = &mut host.parts.context(host.now);
    let socket = &mut host.sockets[0];
    match call {
        JoinGroup => socket.join(cx, group, link),
        LeaveGroup => socket.leave(cx, group, link),
        Change(change, source) => socket.change(cx, group, link, change, family.source(source)),
        Filter(text) => socket.set_filter(cx, group, link, family.filter(text)),
    }
}

/// Calls in turn, what the last returns, and the filter after it.
type Row = (&'static [Call], Result<(), Error>, Option<&'static str>);

#[test]
fn calls_and_what_they_return() {
    use Error::{AddressInUse, AddressNotAvailable, Invalid};
    let table: &[Row] = &[
        (&[JoinGroup], Ok(()), Some("EX")),
        (&[JoinGroup, JoinGroup], Err(AddressInUse), Some("EX")),
        (&[JoinGroup, LeaveGroup], Ok(()), None),
        (&[LeaveGroup], Err(AddressNotAvailable), None),
        // RFC 3678 §4.1.1: all sources but some.
        (&[JoinGroup, Change(Block, "a")], Ok(()), Some("EX a")),
        (&[Change(Block, "a")], Err(Invalid), None),
        (
            &[JoinGroup, Change(Block, "a"), Change(Block, "a")],
            Err(AddressNotAvailable),
            Some("EX a"),
        ),
        (
            &[JoinGroup, Change(Unblock, "a")],
            Err(AddressNotAvailable),
            Some("EX"),
        ),
        (
            &[JoinGroup, Change(Block, "a"), Change(Unblock, "a")],
            Ok(()),
            Some("EX"),
        ),
        (
            &[JoinGroup, Change(Block, "a"), Change(Join, "b")],
            Err(Invalid),
            Some("EX a"),
        ),
        (&[JoinGroup, Change(Block, "a"), LeaveGroup], Ok(()), None),
        // RFC 3678 §4.1.2: some sources.
        (&[Change(Join, "a")], Ok(()), Some("IN a")),
        (
            &[Change(Join, "a"), Change(Join, "b")],
            Ok(()),
            Some("IN a b"),
        ),
        (
            &[Change(Join, "a"), Change(Join, "a")],
            Err(AddressNotAvailable),
            Some("IN a"),
        ),
        (
            &[Change(Join, "a"), JoinGroup],
            Err(AddressInUse),
            Some("IN a"),
        ),
        (
            &[Change(Join, "a"), Change(Block, "a")],
            Err(Invalid),
            Some("IN a"),
        ),
        (&[Change(Leave, "a")], Err(Invalid), None),
        (
            &[Change(Join, "a"), Change(Leave, "b")],
            Err(AddressNotAvailable),
            Some("IN a"),
        ),
        (&[Change(Join, "a"), Change(Leave, "a")], Ok(()), None),
        (
            &[Change(Join, "a"), Change(Join, "b"), LeaveGroup],
            Ok(()),
            None,
        ),
        // As on Linux the meaning may change as long as nobody was listed.
        (&[JoinGroup, Change(Join, "a")], Ok(()), Some("IN a")),
        // RFC 3678 §4.2: all at once.
        (&[JoinGroup, Filter("IN a b")], Ok(()), Some("IN a b")),
        (&[JoinGroup, Filter("EX c")], Ok(()), Some("EX c")),
        (&[JoinGroup, Filter("IN")], Ok(()), None),
        (&[Filter("IN a")], Err(Invalid), None),
        (&[Filter("IN")], Err(AddressNotAvailable), None),
    ];
    for family in FAMILIES {
        for (calls, result, filter) in table {
            let mut host = Host::new(Config::default());
            let results: Vec<_> = calls.iter().map(|c| call(&mut host, family, *c)).collect();
            assert_eq!(results.last(), Some(result), "{family:?} {calls:?}");
            let cx = host.parts.context(host.now);
            let now = host.sockets[0].filter(&cx, family.group(), Some(host.link));
            let expected = filter.map(|text| family.filter(text));
            assert_eq!(now.ok(), expected.as_ref(), "{family:?} {calls:?}");
        }
    }
}

#[test]
fn no_more_sources_than_the_sysctl_says() {
    let mut host = Host::new(Config {
        igmp_max_msf: 3,
        mld_max_msf: 3,
        ..Config::default()
    });
    for family in FAMILIES {
        for source in ["a", "b", "c"] {
            assert_eq!(call(&mut host, family, Change(Join, source)), Ok(()));
        }
        let none = Err(Error::NoBufferSpace);
        assert_eq!(call(&mut host, family, Change(Join, "d")), none);
        assert_eq!(call(&mut host, family, Filter("EX a b c d")), none);
    }
}

#[test]
fn no_more_groups_than_the_sysctl_says() {
    let mut host = Host::new(Config::default());
    let link = Some(host.link);
    let cx = &mut host.parts.context(host.now);
    for n in 0..=20 {
        let joined = host.sockets[0].join(cx, Family::V4.nth_group(n), link);
        assert_eq!(joined.is_ok(), n < 20);
    }
    let source = Family::V4.source("a");
    let group = Family::V4.nth_group(30);
    let joined = host.sockets[0].change(cx, group, link, Join, source);
    assert_eq!(joined, Err(Error::NoBufferSpace));
}

#[test]
fn what_a_call_names_must_be_there() {
    let mut host = Host::new(Config::default());
    let cx = &mut host.parts.context(host.now);
    let socket = &mut host.sockets[0];
    let nowhere = Some(InterfaceId(9));
    for family in FAMILIES {
        let (group, host) = (family.group(), family.source("a"));
        assert_eq!(socket.join(cx, group, nowhere), Err(Error::NoDevice));
        assert_eq!(socket.join(cx, host, None), Err(Error::Invalid));
        let change = socket.change(cx, host, None, Join, host);
        assert_eq!(change, Err(Error::Invalid));
        let change = socket.change(cx, group, nowhere, Join, host);
        assert_eq!(change, Err(Error::NoDevice));
    }
    let (v4, v6) = (Family::V4.group(), Family::V6.source("a"));
    assert_eq!(socket.change(cx, v4, None, Join, v6), Err(Error::Invalid));
}

/// ip(7), IP_MULTICAST_ALL: who hears what.
#[test]
fn a_filter_decides_where_there_is_one() {
    for family in FAMILIES {
        let [group, other] = [family.group(), family.nth_group(2)];
        let [a, b] = ["a", "b"].map(|s| family.source(s));
        let mut host = Host::new(Config::default());
        host.set(0, group, Some(&family.filter("IN a")));
        let (socket, link) = (&host.sockets[0], host.link);
        for all in [true, false] {
            assert!(socket.hear(group, a, link, all));
            assert!(!socket.hear(group, b, link, all));
            assert_eq!(socket.hear(other, a, link, all), all);
            // As on Linux, an IPv6 filter holds on every interface.
            let elsewhere = InterfaceId(7);
            let v4 = family == Family::V4;
            assert_eq!(socket.hear(group, b, elsewhere, all), v4 && all);
        }
    }
}
