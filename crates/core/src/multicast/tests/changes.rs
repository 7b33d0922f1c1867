//! What routers are told of changes (RFC 3376 §5.1, RFC 3810 §6.1).

use super::*;

/// The table: old state, new state, State-Change Record sent.
#[test]
fn a_change_is_told_by_the_difference() {
    for family in FAMILIES {
        for (old, new, told) in [
            // INCLUDE (A), INCLUDE (B): ALLOW (B-A), BLOCK (A-B).
            ("IN a b", "IN b c", "ALLOW(c), BLOCK(a)"),
            ("IN a", "IN a b", "ALLOW(b)"),
            ("IN a b", "IN a", "BLOCK(b)"),
            // EXCLUDE (A), EXCLUDE (B): ALLOW (A-B), BLOCK (B-A).
            ("EX a b", "EX b c", "ALLOW(a), BLOCK(c)"),
            ("EX", "EX a", "BLOCK(a)"),
            ("EX a", "EX", "ALLOW(a)"),
            // INCLUDE (A), EXCLUDE (B): TO_EX (B).
            ("IN a b", "EX b c", "TO_EX(b c)"),
            ("IN a", "EX", "TO_EX()"),
            // EXCLUDE (A), INCLUDE (B): TO_IN (B).
            ("EX a", "IN b c", "TO_IN(b c)"),
            // What is not there is INCLUDE of nobody.
            ("", "IN a", "ALLOW(a)"),
            ("", "EX a", "TO_EX(a)"),
            ("", "EX", "TO_EX()"),
            ("IN a b", "", "BLOCK(a b)"),
            ("EX a", "", "TO_IN()"),
            ("EX", "", "TO_IN()"),
        ] {
            let mut host = Host::new(Config::default());
            let filter = |text: &str| (!text.is_empty()).then(|| family.filter(text));
            if let Some(old) = filter(old) {
                host.set(0, family.group(), Some(&old));
                assert_eq!(host.said_later().len(), 2);
            }
            host.set(0, family.group(), filter(new).as_ref());
            // The robustness variable is 2: at once, and once more.
            let said = host.said_later();
            assert_eq!(said, [told, told], "{family:?} {old:?} to {new:?}");
            let left = host.parts.inet.interface(host.link).unwrap().groups();
            assert_eq!(left.has(family.group()), !new.is_empty());
            assert_eq!(left.deadline(), None);
        }
    }
}

#[test]
fn a_report_is_repeated_within_the_unsolicited_report_interval() {
    for family in FAMILIES {
        let mut host = Host::new(Config {
            igmp_qrv: 4,
            mld_qrv: 4,
            ..Config::default()
        });
        host.join(0, family.group());
        let said = host.said_within(Duration::from_secs(60));
        let times: Vec<Duration> = said.iter().map(|(at, _)| *at).collect();
        assert!(said.iter().all(|(_, text)| text == "TO_EX()"));
        assert_eq!((times.len(), times[0]), (4, Duration::ZERO));
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap > Duration::ZERO && gap <= Duration::from_secs(1));
        }
    }
}

/// RFC 3376 §5.1: pending reports are merged with what comes between.
#[test]
fn changes_in_quick_succession_are_merged() {
    for family in FAMILIES {
        let group = family.group();
        let steps = |steps: &[&str]| {
            let mut host = Host::new(Config::default());
            let mut said = Vec::new();
            for step in steps {
                host.set(0, group, Some(&family.filter(step)));
                said.extend(host.said());
            }
            said.push("then".into());
            said.extend(host.said_later());
            said
        };
        // Each source is told of twice, as often as it changed.
        assert_eq!(
            steps(&["IN a", "IN a b"]),
            ["ALLOW(a)", "ALLOW(a b)", "then", "ALLOW(b)"]
        );
        assert_eq!(
            steps(&["IN a", "IN b"]),
            [
                "ALLOW(a)",
                "ALLOW(b), BLOCK(a)",
                "then",
                "ALLOW(b), BLOCK(a)"
            ]
        );
        // A change of mode is told twice, whatever changes meanwhile; then come the sources that
        // have not been told of twice.
        assert_eq!(
            steps(&["EX", "EX a"]),
            ["TO_EX()", "TO_EX(a)", "then", "BLOCK(a)"]
        );
        assert_eq!(
            steps(&["IN a", "EX b"]),
            ["ALLOW(a)", "TO_EX(b)", "then", "TO_EX(b)"]
        );
        assert_eq!(
            steps(&["EX", "IN a"]),
            ["TO_EX()", "TO_IN(a)", "then", "TO_IN(a)"]
        );
    }
}

#[test]
fn what_changes_in_one_moment_leaves_in_one_message() {
    for family in FAMILIES {
        let mut host = Host::new(Config::default());
        for n in 1..=3 {
            host.join(0, family.nth_group(n));
        }
        let [_, second, third] = [1, 2, 3].map(|n| family.nth_group(n));
        let all = format!("TO_EX(), {second} TO_EX(), {third} TO_EX()");
        assert_eq!(host.said(), [all]);
    }
}

/// RFC 3376 §3.2: what sockets want differently is merged before it is told.
#[test]
fn the_sockets_of_an_interface_are_told_as_one() {
    for family in FAMILIES {
        let group = family.group();
        let mut host = Host::new(Config::default());
        for (socket, filter, told) in [
            (0, Some("IN a b"), vec!["ALLOW(a b)"]),
            (1, Some("IN b c"), vec!["ALLOW(c)"]),
            (2, Some("EX a c d"), vec!["TO_EX(d)"]),
            (1, None, vec!["BLOCK(c)"]),
            (0, None, vec!["BLOCK(a)"]),
            (0, Some("EX"), vec!["ALLOW(a c d)"]),
            (1, Some("EX a"), vec![]),
            (0, None, vec!["BLOCK(a)"]),
            (2, None, vec![]),
            (1, None, vec!["TO_IN()"]),
        ] {
            host.set(socket, group, filter.map(|f| family.filter(f)).as_ref());
            let mut said = host.said_later();
            assert_eq!(said.len(), 2 * told.len(), "{family:?} {socket} {filter:?}");
            said.dedup();
            assert_eq!(said, told, "{family:?} {socket} {filter:?}");
        }
    }
}

#[test]
fn some_groups_are_never_told_of() {
    for (group, told) in [
        // RFC 3376 §5: all systems.
        ("224.0.0.1", false),
        ("224.0.0.2", true),
        ("239.255.255.255", true),
        // RFC 3810 §6: all nodes, and scopes 0 and 1.
        ("ff02::1", false),
        ("ff00::5", false),
        ("ff01::5", false),
        ("ff11::5", false),
        ("ff02::2", true),
        ("ff12::1", true),
    ] {
        let mut host = Host::new(Config::default());
        host.join(0, group.parse().unwrap());
        assert_eq!(host.said_later().len(), if told { 2 } else { 0 }, "{group}");
        host.query(&Query::general(Family::V4));
        host.query(&Query::general(Family::V6));
        assert_eq!(host.said_later().len(), usize::from(told), "{group}");
        host.set(0, group.parse().unwrap(), None);
        assert_eq!(host.said_later().len(), if told { 2 } else { 0 }, "{group}");
    }
    let mut host = Host::new(Config {
        igmp_link_local_mcast_reports: false,
        ..Config::default()
    });
    host.join(0, "224.0.0.251".parse().unwrap());
    host.join(0, "224.0.1.1".parse().unwrap());
    assert_eq!(host.said(), ["224.0.1.1 TO_EX()"]);
}

/// RFC 4604 §2.2.2: in the range of source-specific multicast no record excludes.
#[test]
fn source_specific_groups_are_told_by_source() {
    for group in ["232.1.1.1", "ff35::1"] {
        let mut host = Host::new(Config::default());
        let group: IpAddr = group.parse().unwrap();
        let family = match group {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        };
        host.join(0, group);
        assert_eq!(host.said_later(), [""; 0]);
        host.query(&Query::general(family));
        assert_eq!(host.said_later(), [""; 0]);
        host.set(0, group, Some(&family.filter("IN a")));
        let told = format!("{group} TO_IN(a)");
        assert_eq!(host.said_later(), [told.clone(), told]);
    }
}

/// RFC 3810 §5.2.13: without a link-local address reports come from nowhere, and once there is one
/// they are made anew; RFC 4862 §5.4.2: the solicited-node group is joined before the probe.
#[test]
fn solicited_node_groups_are_told_before_and_after_the_address_is_known_to_be_unique() {
    let mut host = Host::ethernet(&["fe80::ab:cdef/64"]);
    let told = "ff02::1:ffab:cdef TO_EX()";
    assert_eq!(host.said(), [format!(":: {told}")]);
    let said = host.said_within(Duration::from_secs(10));
    let said: Vec<&str> = said.iter().map(|(_, text)| text.as_str()).collect();
    let (before, after): (Vec<&str>, Vec<&str>) = said.iter().partition(|t| t.starts_with("::"));
    assert_eq!(before.len(), 1);
    assert_eq!(after, [told, told]);
    let link = host.link;
    let mut cx = host.parts.context(host.now);
    inet::remove_address(&mut cx, link, "fe80::ab:cdef/64".parse().unwrap());
    let gone = ":: ff02::1:ffab:cdef TO_IN()";
    assert_eq!(host.said_later(), [gone, gone]);
}

#[test]
fn what_does_not_fit_one_message_takes_more() {
    let mut host = Host::new(Config {
        igmp_max_msf: 1000,
        mld_max_msf: 1000,
        ..Config::default()
    });
    for family in FAMILIES {
        // Each with a letter at its end.
        let many = (0..500u16).map(|n| match (family, n / 20, n % 20 + 0x61) {
            (Family::V4, high, low) => IpAddr::from([10, 9, high as u8, low as u8]),
            (Family::V6, high, low) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, high, low]),
        });
        let mut filter = SourceFilter {
            mode: FilterMode::Include,
            sources: many.collect(),
        };
        let sources = |said: Vec<String>| -> Vec<usize> {
            said.iter().map(|t| t.split(' ').count()).collect()
        };
        host.set(0, family.group(), Some(&filter));
        // An MTU of 1500: 1460 bytes of sources, or 1424.
        let expected = match family {
            Family::V4 => vec![365, 135],
            Family::V6 => vec![89, 89, 89, 89, 89, 55],
        };
        assert_eq!(sources(host.said()), expected);
        host.said_later();
        filter.mode = FilterMode::Exclude;
        host.set(0, family.group(), Some(&filter));
        assert_eq!(sources(host.said()), expected[..1]);
        host.said_later();
    }
}

#[test]
fn a_link_that_comes_up_again_tells_everything_anew() {
    for family in FAMILIES {
        let mut host = Host::new(Config::default());
        host.set(0, family.group(), Some(&family.filter("EX a")));
        host.said_later();
        let link = host.link;
        inet::set_up(&mut host.parts.context(host.now), link, false);
        host.set(1, family.group(), Some(&family.filter("EX a b")));
        assert_eq!(host.said_later(), [""; 0]);
        inet::set_up(&mut host.parts.context(host.now), link, true);
        assert_eq!(host.said_later(), ["TO_EX(a)", "TO_EX(a)"]);
    }
}

#[test]
fn the_loopback_says_nothing() {
    let mut host = Host::new(Config::default());
    host.link = InterfaceId::LOOPBACK;
    host.join(0, Family::V4.group());
    assert_eq!(host.said_later(), [""; 0]);
    let lo = host.parts.inet.interface(InterfaceId::LOOPBACK).unwrap();
    assert!(lo.is_member(Family::V4.group()));
}
