//! Older queriers (RFC 3376 §7.2.1, RFC 3810 §8.2.1), and how hosts of older versions behave
//! (RFC 1112, RFC 2236 §3, RFC 2710 §4).

use super::*;

/// IGMPv1, IGMPv2 and MLDv1, which is as IGMPv2.
const OLDER: [(Family, u8); 3] = [(Family::V4, 1), (Family::V4, 2), (Family::V6, 2)];

fn heard(family: Family, version: u8) -> Host {
    let mut host = Host::new(Config::default());
    host.query(&Query {
        version,
        ..Query::general(family)
    });
    host
}

fn report(family: Family, version: u8) -> String {
    let group = family.group();
    format!("{group}: v{version} {group}")
}

fn leave(family: Family) -> String {
    let routers = match family {
        Family::V4 => "224.0.0.2",
        Family::V6 => "ff02::2",
    };
    format!("{routers}: leave {}", family.group())
}

#[test]
fn joining_and_leaving_in_the_presence_of_older_queriers() {
    for (family, version) in OLDER {
        let mut host = heard(family, version);
        host.set(0, family.group(), Some(&family.filter("EX a")));
        let once = report(family, version);
        let said = host.said_within(Duration::from_secs(20));
        let texts: Vec<&String> = said.iter().map(|(_, text)| text).collect();
        assert_eq!(texts, [&once, &once]);
        // RFC 2236 §8.10: within 10 seconds.
        assert!(said[1].0 <= Duration::from_secs(10));
        // Sources are not told of.
        host.set(0, family.group(), Some(&family.filter("IN b")));
        assert_eq!(host.said_later(), [""; 0]);
        host.set(0, family.group(), None);
        let left: Vec<String> = (version > 1).then(|| leave(family)).into_iter().collect();
        assert_eq!(host.said_later(), left);
    }
}

#[test]
fn each_group_answers_for_itself() {
    for (family, version) in OLDER {
        let mut host = heard(family, version);
        for n in 1..=20 {
            host.join(0, family.nth_group(n));
        }
        host.said_later();
        host.query(&Query {
            version,
            ..Query::general(family)
        });
        let said = host.said_within(Duration::from_secs(10));
        let mut times: Vec<Duration> = said.iter().map(|(at, _)| *at).collect();
        times.dedup();
        assert_eq!((said.len(), times.len()), (20, 20));
        assert!(
            said.iter()
                .any(|(_, text)| *text == report(family, version))
        );
        // About one group.
        host.query(&Query {
            version: 2.max(version),
            group: Some(family.group()),
            response_ms: 1000,
            ..Query::general(family)
        });
        let said = host.said_within(Duration::from_secs(1));
        let texts: Vec<&String> = said.iter().map(|(_, text)| text).collect();
        assert_eq!(texts, [&report(family, version)]);
    }
}

/// RFC 2236 §3, §6: another's report is as good as ours, and whoever was not the last to report
/// leaves in silence.
#[test]
fn a_report_of_another_host_suppresses_ours() {
    for (family, version) in OLDER {
        let mut host = heard(family, version);
        host.join(0, family.group());
        host.said_later();
        host.query(&Query {
            version,
            ..Query::general(family)
        });
        let group = family.group().to_string();
        host.arrive(match family.group() {
            IpAddr::V4(address) => {
                let mut message = [0; 8];
                match version {
                    1 => igmp_wire::emit_report_v1(address, &mut message),
                    _ => igmp_wire::emit_report_v2(address, &mut message),
                }
                ipv4_packet("10.0.0.7", &group, 1, true, &message)
            }
            IpAddr::V6(address) => {
                let mut message = vec![0; 24];
                mld_wire::emit_report(address, &mut message);
                ipv6_packet("fe80::7", &group, 1, true, message)
            }
        });
        assert_eq!(host.said_later(), [""; 0]);
        host.set(0, family.group(), None);
        assert_eq!(host.said_later(), [""; 0]);
    }
}

/// RFC 3376 §8.12: an older querier counts as present for robustness × interval + response time.
#[test]
fn the_latest_version_returns_when_older_queriers_are_gone() {
    for (family, version) in OLDER {
        let mut host = heard(family, version);
        host.join(0, family.group());
        host.said_later();
        host.now += Duration::from_secs(2 * 125 + 10 - 60 - 1);
        let ask = |host: &mut Host, version| {
            host.query(&Query {
                version,
                response_ms: 100,
                ..Query::general(family)
            });
            host.said_within(Duration::from_millis(500))
                .pop()
                .map(|(_, text)| text)
        };
        // A newer query is answered in the older way.
        assert_eq!(ask(&mut host, 3), Some(report(family, version)));
        host.now += Duration::from_secs(1);
        assert_eq!(ask(&mut host, 3).as_deref(), Some("IS_EX()"));
    }
}

/// RFC 3376 §7.2.1: of both kinds of older queriers the oldest counts.
#[test]
fn version_1_before_version_2_before_version_3() {
    let family = Family::V4;
    let mut host = heard(family, 1);
    host.now += Duration::from_secs(100);
    host.query(&Query {
        version: 2,
        ..Query::general(family)
    });
    host.join(0, family.group());
    assert_eq!(host.said_later()[0], report(family, 1));
    host.now += Duration::from_secs(101);
    host.join(0, family.nth_group(2));
    let second = family.nth_group(2);
    assert_eq!(host.said_later()[0], format!("{second}: v2 {second}"));
    host.now += Duration::from_secs(100);
    host.join(0, family.nth_group(3));
    let third = format!("{} TO_EX()", family.nth_group(3));
    assert_eq!(host.said_later()[0], third);
}

/// RFC 3376 §7.2.1: a group-specific query of version 2 changes nothing (RFC 4604 §2.2.5: it is
/// processed); RFC 3810 §8.2.1: any of MLDv1 does.
#[test]
fn a_query_about_one_group_of_an_older_version() {
    for (family, answer) in [
        (Family::V4, "IS_EX()".into()),
        (Family::V6, report(Family::V6, 2)),
    ] {
        let mut host = Host::new(Config::default());
        host.join(0, family.group());
        host.said_later();
        host.query(&Query {
            version: 2,
            group: Some(family.group()),
            ..Query::general(family)
        });
        assert_eq!(host.said_later(), [answer]);
    }
}

/// RFC 3376 §7.2.1: whenever the mode changes, what is pending is cancelled.
#[test]
fn another_version_cancels_what_was_pending() {
    for family in FAMILIES {
        let mut host = Host::new(Config::default());
        host.join(0, family.group());
        assert_eq!(host.said().len(), 1);
        host.query(&Query::general(family));
        host.query(&Query {
            version: 2,
            ..Query::general(family)
        });
        // Neither the repetition nor the first answer.
        assert_eq!(host.said_later(), [report(family, 2)]);
    }
}

/// Linux's force_igmp_version and force_mld_version.
#[test]
fn a_version_may_be_forced() {
    let force = |igmp, mld| {
        let mut config = Config::default();
        let own = config.interfaces.get_mut("test0");
        (own.v4.force_version, own.v6.force_version) = (igmp, mld);
        config
    };
    for (config, family, told) in [
        (force(1, 0), Family::V4, report(Family::V4, 1)),
        (force(2, 0), Family::V4, report(Family::V4, 2)),
        (force(3, 0), Family::V4, "TO_EX()".into()),
        (force(0, 1), Family::V6, report(Family::V6, 2)),
        (force(0, 2), Family::V6, "TO_EX()".into()),
    ] {
        let mut host = Host::new(config);
        host.query(&Query {
            version: if told == "TO_EX()" { 2 } else { 3 },
            ..Query::general(family)
        });
        host.join(0, family.group());
        assert_eq!(host.said(), [told]);
    }
}

/// RFC 4604 §2.2.1: nobody's report suppresses one of a source-specific group.
#[test]
fn a_source_specific_group_is_always_reported() {
    let mut host = heard(Family::V4, 2);
    let group = Ipv4Addr::new(232, 1, 1, 1);
    host.set(0, group.into(), Some(&Family::V4.filter("IN a")));
    host.said_later();
    host.query(&Query {
        version: 2,
        ..Query::general(Family::V4)
    });
    let mut message = [0; 8];
    igmp_wire::emit_report_v2(group, &mut message);
    host.arrive(ipv4_packet("10.0.0.7", "232.1.1.1", 1, true, &message));
    assert_eq!(host.said_later(), ["232.1.1.1: v2 232.1.1.1"]);
}
