//! Storms and forgeries: what they make a host keep and say is bounded, and it goes on serving.

use super::query::QUERIED_SOURCES_MAX;
use super::*;
use proptest::prelude::*;

/// RFC 3376 §9.1: large source lists, to be kept for long.
#[test]
fn no_more_sources_are_kept_than_one_query_names() {
    for family in FAMILIES {
        let mut host = Host::new(Config::default());
        host.join(0, family.group());
        host.said_later();
        let nth = |n: u16| match family {
            Family::V4 => IpAddr::from([10, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]]),
            Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]),
        };
        for round in 0..100u16 {
            let sources: Vec<IpAddr> = (0..80).map(|n| nth(round * 80 + n)).collect();
            let query = Query {
                group: Some(family.group()),
                ..Query::general(family)
            };
            host.arrive(query.packet_with(&sources));
            let inner = host.parts.inet.interface(host.link).unwrap().groups();
            let answer = &inner.of(family.group()).groups[&family.group()].answer;
            assert!(answer.as_ref().unwrap().sources.len() <= QUERIED_SOURCES_MAX);
        }
        assert_eq!(host.count(Counter::MulticastSourcesOverflow), 1);
        // The whole group is told of instead.
        assert_eq!(host.said_later(), ["IS_EX()"]);
    }
}

/// Queries that ask for an answer at once, as fast as they come.
#[test]
fn a_storm_of_queries_is_answered_ten_times_a_second_at_most() {
    for family in FAMILIES {
        for version in [2, 3] {
            let mut host = Host::new(Config::default());
            let groups = 5;
            for n in 1..=groups {
                host.join(0, family.nth_group(n));
            }
            host.query(&Query {
                version,
                ..Query::general(family)
            });
            host.said_later();
            let mut answers = 0;
            for round in 0..2000 {
                let group = (round % 3 > 0).then(|| family.nth_group(1 + round % groups));
                host.query(&Query {
                    version,
                    group,
                    // 0 would be a query of version 1.
                    response_ms: 100,
                    ..Query::general(family)
                });
                answers += host.said_within(Duration::from_millis(1)).len();
            }
            let bound = match version {
                3 => 21,
                _ => 21 * usize::from(groups),
            };
            assert!(
                (10..=bound).contains(&answers),
                "{family:?} {version}: {answers}"
            );
            // It still serves who asks.
            host.said_later();
            host.set(0, family.group(), Some(&family.filter("IN a")));
            host.set(0, family.group(), None);
            host.query(&Query {
                version,
                ..Query::general(family)
            });
            assert!(!host.said_later().is_empty());
        }
    }
}

#[test]
fn joining_has_limits_with_names() {
    let mut host = Host::new(Config {
        igmp_max_memberships: 10_000,
        ..Config::default()
    });
    let link = host.link;
    let mut results = Vec::new();
    for n in 0..=GROUPS_MAX {
        let n = u16::try_from(n).unwrap();
        let mut cx = host.parts.context(host.now);
        results.push(join(&mut cx, link, Family::V4.nth_group(n)));
    }
    assert_eq!(results.pop(), Some(Err(Error::NoBufferSpace)));
    assert!(results.iter().all(Result::is_ok));
    // One that is there takes more listeners.
    host.join(1, Family::V4.group());
    let [mut said, mut groups] = [0; 2];
    for text in host.said() {
        said += 1;
        groups += text.matches("TO_EX").count();
    }
    assert_eq!((said, groups), (GROUPS_MAX.div_ceil(183), GROUPS_MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever sockets do and whoever asks what: every answer is whole, and in the end nothing is
    /// left of it.
    #[test]
    fn whatever_happens_nothing_is_left(
        steps in prop::collection::vec((0..7u8, 0..3usize, 1..4u16, "(IN|EX)( [a-d]){0,3}", 0..20_000u32), 1..60),
    ) {
        for family in FAMILIES {
            let mut host = Host::new(Config::default());
            for (what, socket, group, filter, ms) in &steps {
                let group = family.nth_group(*group);
                let filter = family.filter(filter);
                let joined = host.sockets[*socket].groups().any(|(_, g)| g == group);
                match what {
                    0..=2 if !filter.is_nobody() => host.set(*socket, group, Some(&filter)),
                    3 if joined => host.set(*socket, group, None),
                    4 | 5 => host.query(&Query {
                        version: 1 + (ms % 3) as u8,
                        group: (ms % 2 == 0).then_some(group),
                        sources: if *what == 4 && ms % 2 == 0 { "a b" } else { "" },
                        ..Query::general(family)
                    }),
                    _ => {
                        host.said_within(Duration::from_millis((*ms).into()));
                    }
                }
                for n in 1..4 {
                    let group = family.nth_group(n);
                    let inner = host.parts.inet.interface(host.link).unwrap().groups();
                    let members = host.sockets.iter().filter(|s| s.groups().any(|(_, g)| g == group));
                    prop_assert_eq!(inner.has(group), members.count() > 0);
                }
            }
            for mut socket in std::mem::take(&mut host.sockets) {
                socket.leave_all(&mut host.parts.context(host.now));
            }
            host.said_within(Duration::from_secs(600));
            let inner = host.parts.inet.interface(host.link).unwrap().groups();
            prop_assert!(inner.of(family.group()).groups.is_empty());
            prop_assert_eq!(host.parts.timers.next(), None);
        }
    }
}
