//! The words behind the options: which sockets are meant.

use crate::control::Row;
use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The states, as they are written and as they are shown.
const STATES: [(&str, &str); 12] = [
    ("established", "ESTAB"),
    ("syn-sent", "SYN-SENT"),
    ("syn-recv", "SYN-RECV"),
    ("fin-wait-1", "FIN-WAIT-1"),
    ("fin-wait-2", "FIN-WAIT-2"),
    ("time-wait", "TIME-WAIT"),
    ("close-wait", "CLOSE-WAIT"),
    ("last-ack", "LAST-ACK"),
    ("listening", "LISTEN"),
    ("listen", "LISTEN"),
    ("closing", "CLOSING"),
    ("unconnected", "UNCONN"),
];

/// Conditions that all have to hold; of states, one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// Those that are asked for; `None` is what the options say.
    states: Option<Vec<&'static str>>,
    excluded: Vec<&'static str>,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq)]
enum Condition {
    Address(End, Option<IpNet>, Option<u16>),
    Port(End, Comparison, u16),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Local,
    Peer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Unequal,
    AtLeast,
    AtMost,
}

impl Filter {
    pub(super) fn parse(words: &[String]) -> Result<Self> {
        let mut filter = Self::default();
        // What was quoted as one word is several.
        let mut words = words.iter().flat_map(|word| word.split_whitespace());
        while let Some(word) = words.next() {
            let mut next = || words.next().with_context(|| format!("'{word}' of what?"));
            match word {
                "and" | "&&" => {}
                "state" => filter
                    .states
                    .get_or_insert_default()
                    .extend(states(next()?)?),
                "exclude" => filter.excluded.extend(states(next()?)?),
                "src" | "dst" => {
                    let end = if word == "src" { End::Local } else { End::Peer };
                    let (net, port) = address(next()?)?;
                    filter.conditions.push(Condition::Address(end, net, port));
                }
                "sport" | "dport" => {
                    let end = if word == "sport" {
                        End::Local
                    } else {
                        End::Peer
                    };
                    let first = next()?;
                    let (comparison, port) = match comparison(first) {
                        Some(comparison) => (comparison, next()?),
                        None => (Comparison::Equal, first),
                    };
                    let number = port.trim_start_matches(':').parse();
                    let number =
                        number.with_context(|| format!("'{port}' is no port such as :80"))?;
                    filter
                        .conditions
                        .push(Condition::Port(end, comparison, number));
                }
                _ => bail!(
                    "'{word}' is no word of a filter; they are state NAME, exclude NAME, src ADDRESS, \
                     dst ADDRESS, sport = :PORT, dport = :PORT, and"
                ),
            }
        }
        Ok(filter)
    }

    /// Whether it says itself which states are meant.
    pub(super) const fn names_states(&self) -> bool {
        self.states.is_some()
    }

    pub(super) fn admits(&self, row: &Row) -> bool {
        let state = row.state.as_str();
        self.states
            .as_ref()
            .is_none_or(|states| states.contains(&state))
            && !self.excluded.contains(&state)
            && self.conditions.iter().all(|condition| condition.met(row))
    }
}

impl Condition {
    fn met(&self, row: &Row) -> bool {
        let of = |end: End| match end {
            End::Local => Some(row.local),
            End::Peer => row.peer,
        };
        match *self {
            Self::Address(end, net, port) => of(end).is_some_and(|address: SocketAddr| {
                net.is_none_or(|net| net.contains(&address.ip().to_canonical()))
                    && port.is_none_or(|port| port == address.port())
            }),
            Self::Port(end, comparison, port) => {
                let has = of(end).map_or(0, |address| address.port());
                match comparison {
                    Comparison::Equal => has == port,
                    Comparison::Unequal => has != port,
                    Comparison::AtLeast => has >= port,
                    Comparison::AtMost => has <= port,
                }
            }
        }
    }
}

fn comparison(word: &str) -> Option<Comparison> {
    Some(match word {
        "=" | "==" | "eq" => Comparison::Equal,
        "!=" | "ne" | "neq" => Comparison::Unequal,
        ">=" | "ge" | "geq" => Comparison::AtLeast,
        "<=" | "le" | "leq" => Comparison::AtMost,
        _ => return None,
    })
}

fn states(name: &str) -> Result<Vec<&'static str>> {
    let shown = |not: &[&str]| {
        let all = STATES.iter().map(|(_, shown)| *shown);
        all.filter(|shown| !not.contains(shown)).collect()
    };
    Ok(match name {
        "all" => shown(&[]),
        "connected" => shown(&["LISTEN", "UNCONN"]),
        "synchronized" => shown(&["LISTEN", "UNCONN", "SYN-SENT"]),
        _ => match STATES.iter().find(|(written, _)| *written == name) {
            Some((_, shown)) => vec![*shown],
            None => {
                let names: Vec<_> = STATES.iter().map(|(written, _)| *written).collect();
                bail!(
                    "'{name}' is no state; they are all, connected, synchronized, {}",
                    names.join(", ")
                );
            }
        },
    })
}

/// `10.0.2.2`, `10.0.2.0/24:80`, `[::1]:80`, `:80`.
fn address(text: &str) -> Result<(Option<IpNet>, Option<u16>)> {
    let wrong =
        || format!("'{text}' is no address such as 10.0.2.2, 10.0.2.0/24, 10.0.2.2:80 or [::1]:80");
    let net = |text: &str| -> Option<IpNet> {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| alone()).ok()
    };
    if let Some(net) = net(text) {
        return Ok((Some(net), None));
    }
    let (host, port) = text.rsplit_once(':').with_context(wrong)?;
    let port = port.parse().with_context(wrong)?;
    match host {
        "" | "*" => Ok((None, Some(port))),
        _ => Ok((Some(net(host).with_context(wrong)?), Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, local: &str, peer: Option<&str>) -> Row {
        Row {
            netid: "tcp".into(),
            state: state.into(),
            local: local.parse().unwrap(),
            peer: peer.map(|peer| peer.parse().unwrap()),
            recv_q: 0,
            send_q: 0,
            cookie: 1,
            tcp_info: None,
        }
    }

    fn admits(filter: &str, row: &Row) -> bool {
        Filter::parse(&[filter.to_owned()]).unwrap().admits(row)
    }

    #[test]
    fn each_word_tells_sockets_apart() {
        let row = row("ESTAB", "10.0.2.15:4000", Some("10.0.2.2:80"));
        for yes in [
            "",
            "state established",
            "state connected dport = :80",
            "dst 10.0.2.2",
            "dst 10.0.2.0/24:80 and src :4000",
            "sport >= 4000",
            "exclude time-wait",
            "dport 80",
        ] {
            assert!(admits(yes, &row), "{yes}");
        }
        for no in [
            "state listening",
            "exclude established",
            "dst 10.0.3.0/24",
            "dst 10.0.2.2:81",
            "dport != :80",
            "sport <= :3999",
            "src [fd00:2::15]:4000",
        ] {
            assert!(!admits(no, &row), "{no}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        let fault = |text: &str| format!("{:#}", Filter::parse(&[text.to_owned()]).unwrap_err());
        assert!(fault("stat all").contains("'stat' is no word of a filter"));
        assert!(fault("state open").contains("they are all, connected"));
        assert!(fault("dst nowhere").contains("'nowhere' is no address"));
        assert!(fault("dport = :x").contains("no port such as :80"));
        assert!(fault("state").contains("of what?"));
    }
}
