//! Answers to queries (RFC 3376 §5.2, RFC 3810 §6.2, §6.3).

use super::*;

/// A host that has said what there is to say of its group.
fn settled(family: Family, filter: &str) -> Host {
    let mut host = Host::new(Config::default());
    host.set(0, family.group(), Some(&family.filter(filter)));
    host.said_later();
    host
}

fn of_group(family: Family, sources: &'static str) -> Query<'static> {
    Query {
        group: Some(family.group()),
        sources,
        ..Query::general(family)
    }
}

/// What the state and a query come to.
#[test]
fn a_query_is_answered_by_the_current_state() {
    for family in FAMILIES {
        for (state, asked, answer) in [
            ("EX", None, "IS_EX()"),
            ("EX a", None, "IS_EX(a)"),
            ("IN a b", None, "IS_IN(a b)"),
            ("EX a", Some(""), "IS_EX(a)"),
            ("IN a b", Some(""), "IS_IN(a b)"),
            // INCLUDE (A), asked for B: IS_IN (A*B).
            ("IN a b", Some("b c"), "IS_IN(b)"),
            ("IN a b", Some("c"), ""),
            // EXCLUDE (A), asked for B: IS_IN (B-A).
            ("EX a", Some("a b"), "IS_IN(b)"),
            ("EX a", Some("a"), ""),
        ] {
            let mut host = settled(family, state);
            let query = match asked {
                None => Query::general(family),
                Some(sources) => of_group(family, sources),
            };
            host.query(&query);
            let said = host.said_later();
            let expected: Vec<&str> = Some(answer).filter(|a| !a.is_empty()).into_iter().collect();
            assert_eq!(said, expected, "{family:?} {state} {asked:?}");
        }
    }
}

#[test]
fn an_answer_comes_at_random_within_the_response_time() {
    for family in FAMILIES {
        let mut host = settled(family, "EX");
        let mut times = Vec::new();
        for _ in 0..50 {
            host.query(&Query::general(family));
            let said = host.said_within(Duration::from_secs(10));
            assert_eq!(said.len(), 1);
            times.push(said[0].0);
        }
        let early = times.iter().filter(|at| **at < Duration::from_secs(5));
        assert!((10..40).contains(&early.count()), "{times:?}");
        assert!(times.iter().all(|at| *at > Duration::ZERO));
    }
}

/// Nothing is known of a group that nobody has joined; nothing is said of it.
#[test]
fn who_has_nothing_to_say_says_nothing() {
    for family in FAMILIES {
        let mut host = Host::new(Config::default());
        host.query(&Query::general(family));
        assert_eq!(host.parts.timers.next(), None);
        let mut host = settled(family, "EX");
        host.query(&Query {
            group: Some(family.nth_group(2)),
            ..Query::general(family)
        });
        assert_eq!(host.parts.timers.next(), None);
    }
}

/// Rules 1 to 5: how a query joins an answer that is pending. Response times are such that the later
/// query is answered later, unless it says otherwise.
#[test]
fn pending_answers_are_combined() {
    const SOON: u32 = 100;
    const LATE: u32 = 10_000;
    let every = [
        // Rule 1: a general answer that comes sooner is enough.
        ((None, SOON), (Some("a"), LATE), &["IS_EX(z)"][..]),
        ((None, SOON), (None, LATE), &["IS_EX(z)"]),
        // Rule 2: a general query that is to be answered sooner replaces the one before.
        ((None, LATE), (None, SOON), &["IS_EX(z)"]),
        // Rule 3: one group's timer runs beside a general one that is later.
        ((None, LATE), (Some("a"), SOON), &["IS_IN(a)", "IS_EX(z)"]),
        // Rule 4: the whole group, when one of both asks for it.
        ((Some(""), SOON), (Some("a"), LATE), &["IS_EX(z)"]),
        ((Some("a"), SOON), (Some(""), LATE), &["IS_EX(z)"]),
        // Rule 5: the sources of both.
        ((Some("a"), SOON), (Some("b"), LATE), &["IS_IN(a b)"]),
        ((Some("a"), LATE), (Some("b"), SOON), &["IS_IN(a b)"]),
    ];
    for family in FAMILIES {
        for ((first, first_ms), (second, second_ms), answers) in every {
            let query = |asked: Option<&'static str>, response_ms| Query {
                response_ms,
                ..match asked {
                    None => Query::general(family),
                    Some(sources) => of_group(family, sources),
                }
            };
            let mut host = settled(family, "EX z");
            host.query(&query(first, first_ms));
            host.query(&query(second, second_ms));
            let said = host.said_within(Duration::from_secs(60));
            let texts: Vec<&str> = said.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, answers, "{family:?} {first:?} {second:?}");
            // The earliest of both times.
            assert!(said[0].0 <= Duration::from_millis(100));
        }
    }
}

#[test]
fn many_groups_answer_in_one_message() {
    for family in FAMILIES {
        let mut host = settled(family, "EX");
        host.join(0, family.nth_group(2));
        host.said_later();
        host.query(&Query::general(family));
        let both = format!("IS_EX(), {} IS_EX()", family.nth_group(2));
        assert_eq!(host.said_later(), [both]);
    }
}

/// RFC 3376 §4, §4.1.12, §9.1; RFC 3810 §5.1.14, §6.2: which queries are believed.
#[test]
fn queries_that_are_not_believed() {
    for family in FAMILIES {
        let good = Query::general(family);
        let v4 = family == Family::V4;
        let ours = if v4 { "10.0.0.1" } else { "fe80::1" };
        let groups_own = family.group().to_string();
        let unicast = Query { to: ours, ..good };
        let specific = of_group(family, "");
        for (what, query, believed) in [
            ("as it should be", good, true),
            (
                "of the group, to the group",
                Query {
                    to: &groups_own,
                    ..specific
                },
                true,
            ),
            ("of the group, to all", specific, true),
            // RFC 3376 §4.1.12: to any of the addresses of the interface.
            ("to one", unicast, true),
            ("with another TTL", Query { ttl: 2, ..good }, false),
            (
                "without a router alert",
                Query {
                    alert: false,
                    ..good
                },
                false,
            ),
            (
                "general, to a group",
                Query {
                    to: &groups_own,
                    ..good
                },
                false,
            ),
            (
                "general, of sources",
                Query {
                    sources: "a",
                    ..good
                },
                false,
            ),
            (
                "of what is no group",
                Query {
                    group: Some(family.source("a")),
                    ..good
                },
                false,
            ),
            // RFC 3376 lets IPv4 queriers have no address; RFC 3810 asks for a link-local one.
            (
                "from nowhere",
                Query {
                    from: if v4 { "0.0.0.0" } else { "::" },
                    ..good
                },
                v4,
            ),
            (
                "from elsewhere",
                Query {
                    from: if v4 { "192.0.2.1" } else { "2001:db8::1" },
                    ..good
                },
                v4,
            ),
        ] {
            let mut host = settled(family, "EX");
            host.query(&query);
            assert_eq!(
                host.said_later().len(),
                usize::from(believed),
                "{family:?} {what}"
            );
            let (queries, errors) = match family {
                Family::V4 => (Counter::IgmpInQueries, Counter::IgmpInErrors),
                Family::V6 => (Counter::Icmp6InGroupMembQueries, Counter::IcmpInErrors),
            };
            assert_eq!(
                host.count(queries),
                u64::from(believed),
                "{family:?} {what}"
            );
            assert_eq!(
                host.count(errors),
                u64::from(!believed),
                "{family:?} {what}"
            );
        }
    }
}

/// RFC 3376 §4.1.2: a wrong checksum, and RFC 3376 §7.1: a length that no version has.
#[test]
fn messages_that_are_malformed() {
    let mut host = settled(Family::V4, "EX");
    let mut packet = Query::general(Family::V4).packet();
    packet.head_mut()[24 + 3] ^= 1;
    host.arrive(packet);
    let mut packet = Query::general(Family::V6).packet();
    packet.head_mut()[48 + 3] ^= 1;
    host.arrive(packet);
    host.arrive(ipv4_packet(
        "10.0.0.9",
        "224.0.0.1",
        1,
        true,
        &[0x11, 0, 0xee, 0xff, 0, 0, 0, 0, 0, 0],
    ));
    assert_eq!(host.said_later(), [""; 0]);
    assert_eq!(host.count(Counter::IgmpInErrors), 2);
    assert_eq!(host.count(Counter::IcmpInErrors), 1);
}

/// RFC 3376 §4.1.6: the querier's robustness variable becomes ours, unless it is zero.
#[test]
fn the_queriers_robustness_counts() {
    for family in FAMILIES {
        for (robustness, reports) in [(1, 1), (5, 5), (0, 2)] {
            let mut host = Host::new(Config::default());
            host.query(&Query {
                robustness,
                ..Query::general(family)
            });
            host.join(0, family.group());
            assert_eq!(host.said_later().len(), reports);
        }
    }
}
