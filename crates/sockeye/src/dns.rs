//! Names, through the node's own name servers: never the host's resolver.
//!
//! [`Lookup`] is one question in flight, without I/O: it says what to send where and until when to
//! wait, and is told what came. The std-shaped and the tokio-shaped faces each drive it with their
//! own sockets. Not here: search lists, a cache, DNSSEC.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// How long one server may take (RES_TIMEOUT is 5 s; the servers of a node are near).
pub(crate) const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// Rounds over all servers (RES_DFLRETRY).
pub(crate) const ATTEMPTS: usize = 2;
/// Servers that are asked (MAXNS).
pub(crate) const SERVERS_MAX: usize = 3;
/// Bytes of an answer over UDP that are read.
pub(crate) const DATAGRAM_MAX: usize = 4096;
/// Addresses that one answer may give; more are cut.
pub(crate) const ADDRESSES_MAX: usize = 64;
/// CNAMEs followed within one answer.
const ALIASES_MAX: usize = 16;

/// What the driver of a [`Lookup`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send these datagrams to `server`, each from a socket connected to it, then wait for
    /// [`SERVER_TIMEOUT`] and tell [`Lookup::on_timeout`] if it passes.
    Ask {
        /// Where to.
        server: SocketAddr,
        /// What: the questions for A and AAAA, as far as they are open.
        datagrams: Vec<Vec<u8>>,
    },
    /// An answer was cut: ask `server` the same over TCP (RFC 7766), each behind its length, and
    /// tell [`Lookup::on_answer`] what comes.
    AskStream {
        /// Where to.
        server: SocketAddr,
        /// The questions that are still open.
        messages: Vec<Vec<u8>>,
    },
    /// Wait on.
    Wait,
    /// The name's addresses, as the servers gave them, those of IPv6 first.
    Done(Vec<IpAddr>),
}

/// One name being looked up.
#[derive(Debug)]
pub(crate) struct Lookup {
    name: Name,
    servers: Vec<SocketAddr>,
    /// Which server is asked, over all attempts.
    turn: usize,
    questions: [Question; 2],
}

#[derive(Debug)]
struct Question {
    id: u16,
    kind: RecordType,
    answer: Option<Result<Vec<IpAddr>, ResponseCode>>,
    truncated: bool,
}

/// The addresses of a name that needs no server: an address itself, or `localhost` (RFC 6761 §6.3).
#[must_use]
pub(crate) fn without_server(name: &str) -> Option<Vec<IpAddr>> {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = bare.parse() {
        return Some(vec![address]);
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    local.then(|| vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()])
}

impl Lookup {
    /// A question for `name` to `servers`; `ids` are two random numbers (RFC 5452 §9.1).
    ///
    /// # Errors
    /// `InvalidInput` when `name` is no domain name, `NotFound` when there is no server to ask.
    pub(crate) fn new(name: &str, servers: &[IpAddr], ids: [u16; 2]) -> io::Result<Self> {
        let parsed = Name::from_str(name)
            .or_else(|_| Name::from_utf8(name))
            .map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{name:?} is no host name: {error}"),
                )
            })?;
        if servers.is_empty() {
            let message = format!(
                "{name:?} can't be looked up: the node has no name server (set one with `dns`)"
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut name = parsed;
        name.set_fqdn(true);
        let question = |id, kind| Question {
            id,
            kind,
            answer: None,
            truncated: false,
        };
        Ok(Self {
            name,
            servers: servers
                .iter()
                .take(SERVERS_MAX)
                .map(|ip| SocketAddr::new(*ip, 53))
                .collect(),
            turn: 0,
            questions: [
                question(ids[0], RecordType::AAAA),
                question(ids[1], RecordType::A),
            ],
        })
    }

    /// The first thing to do.
    ///
    /// # Errors
    /// See [`on_timeout`](Self::on_timeout).
    pub(crate) fn start(&self) -> io::Result<Action> {
        self.ask()
    }

    /// `message` came from the server that was asked.
    ///
    /// # Errors
    /// `NotFound` when the name does not exist or has no address.
    pub(crate) fn on_answer(&mut self, message: &[u8], stream: bool) -> io::Result<Action> {
        let Ok(message) = Message::from_vec(message) else {
            return Ok(Action::Wait);
        };
        let name = &self.name;
        let matching = self
            .questions
            .iter_mut()
            .find(|question| answers(&message, question, name));
        // Not an answer to what was asked: somebody else's, or a guess (RFC 5452 §9.1).
        let Some(question) = matching else {
            return Ok(Action::Wait);
        };
        if message.truncated() && !stream {
            question.truncated = true;
        } else {
            question.answer = Some(match message.response_code() {
                ResponseCode::NoError => Ok(addresses(&message, name)),
                code => Err(code),
            });
        }
        self.next()
    }

    /// The server did not answer in time, or can't be reached.
    ///
    /// # Errors
    /// `TimedOut` when no server answered in any attempt; else as [`on_answer`](Self::on_answer).
    pub(crate) fn on_timeout(&mut self) -> io::Result<Action> {
        self.turn += 1;
        self.questions
            .iter_mut()
            .for_each(|question| question.truncated = false);
        self.ask()
    }

    fn next(&mut self) -> io::Result<Action> {
        let failed =
            |q: &Question| matches!(q.answer, Some(Err(code)) if code != ResponseCode::NXDomain);
        if self.questions.iter().any(failed) {
            // SERVFAIL, REFUSED, …: another server may know.
            self.questions
                .iter_mut()
                .filter(|q| failed(q))
                .for_each(|q| q.answer = None);
            return self.on_timeout();
        }
        if self
            .questions
            .iter()
            .any(|q| q.answer.is_none() && !q.truncated)
        {
            return Ok(Action::Wait);
        }
        if self.questions.iter().any(|q| q.answer.is_none()) {
            return Ok(Action::AskStream {
                server: self.server(),
                messages: self.open_questions()?,
            });
        }
        self.finish()
    }

    fn ask(&self) -> io::Result<Action> {
        if self.turn >= self.servers.len() * ATTEMPTS {
            // What one family answered is better than nothing.
            return if self
                .questions
                .iter()
                .any(|q| matches!(&q.answer, Some(Ok(found)) if !found.is_empty()))
            {
                self.finish()
            } else {
                let message = format!("no name server answered for {}", self.name);
                Err(io::Error::new(io::ErrorKind::TimedOut, message))
            };
        }
        Ok(Action::Ask {
            server: self.server(),
            datagrams: self.open_questions()?,
        })
    }

    fn finish(&self) -> io::Result<Action> {
        let found = self
            .questions
            .iter()
            .filter_map(|q| q.answer.as_ref()?.as_ref().ok());
        let found: Vec<IpAddr> = found.flatten().copied().take(ADDRESSES_MAX).collect();
        if found.is_empty() {
            let message = format!(
                "no address of {} is known to the node's name servers",
                self.name
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Action::Done(found))
    }

    fn server(&self) -> SocketAddr {
        self.servers[self.turn % self.servers.len()]
    }

    fn open_questions(&self) -> io::Result<Vec<Vec<u8>>> {
        let open = self
            .questions
            .iter()
            .filter(|question| question.answer.is_none());
        open.map(|question| {
            let mut message = Message::new();
            message
                .set_id(question.id)
                .set_message_type(MessageType::Query)
                .set_op_code(OpCode::Query);
            message
                .set_recursion_desired(true)
                .add_query(Query::query(self.name.clone(), question.kind));
            message.to_vec().map_err(io::Error::other)
        })
        .collect()
    }
}

fn answers(message: &Message, question: &Question, name: &Name) -> bool {
    let asked = message.queries().first();
    question.answer.is_none()
        && message.message_type() == MessageType::Response
        && message.id() == question.id
        && asked.is_some_and(|asked| asked.query_type() == question.kind && asked.name() == name)
}

/// The addresses that the answer gives for `name`, over its aliases.
fn addresses(message: &Message, name: &Name) -> Vec<IpAddr> {
    let mut owner = name.clone();
    for _ in 0..ALIASES_MAX {
        let alias = message
            .answers()
            .iter()
            .find_map(|record| match record.data() {
                RData::CNAME(alias) if *record.name() == owner => Some(alias.0.clone()),
                _ => None,
            });
        let Some(alias) = alias else { break };
        owner = alias;
    }
    let records = message
        .answers()
        .iter()
        .filter(|record| *record.name() == owner);
    let found = records.filter_map(|record| record.data().ip_addr());
    found.take(ADDRESSES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    const SERVER: &str = "192.0.2.53";

    fn lookup(name: &str) -> Lookup {
        Lookup::new(
            name,
            &[SERVER.parse().unwrap(), "192.0.2.54".parse().unwrap()],
            [1, 2],
        )
        .unwrap()
    }

    fn answer(id: u16, name: &str, kind: RecordType, records: &[(&str, RData)]) -> Message {
        let mut message = Message::new();
        message
            .set_id(id)
            .set_message_type(MessageType::Response)
            .set_op_code(OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        for (owner, data) in records {
            message.add_answer(Record::from_rdata(
                Name::from_ascii(owner).unwrap(),
                60,
                data.clone(),
            ));
        }
        message
    }

    fn address(text: &str) -> RData {
        RData::A(A(text.parse().unwrap()))
    }

    #[test]
    fn both_families_are_asked_and_aliases_followed() {
        let mut lookup = lookup("www.example.com");
        let Action::Ask { server, datagrams } = lookup.start().unwrap() else {
            panic!("it asks first")
        };
        assert_eq!(
            (server.to_string().as_str(), datagrams.len()),
            ("192.0.2.53:53", 2)
        );
        let none = answer(1, "www.example.com.", RecordType::AAAA, &[]);
        assert_eq!(
            lookup.on_answer(&none.to_vec().unwrap(), false).unwrap(),
            Action::Wait
        );
        let alias = RData::CNAME(CNAME(Name::from_ascii("a.example.net.").unwrap()));
        let records = [
            ("www.example.com.", alias),
            ("a.example.net.", address("198.51.100.7")),
            ("evil.example.", address("203.0.113.66")),
        ];
        let found = answer(2, "www.example.com.", RecordType::A, &records);
        let done = lookup.on_answer(&found.to_vec().unwrap(), false).unwrap();
        assert_eq!(done, Action::Done(vec!["198.51.100.7".parse().unwrap()]));
    }

    #[test]
    fn answers_to_other_questions_are_not_believed() {
        let mut lookup = lookup("example.com");
        let record = [("example.com.", address("203.0.113.66"))];
        for wrong in [
            answer(9, "example.com.", RecordType::A, &record),
            answer(2, "example.org.", RecordType::A, &record),
            answer(1, "example.com.", RecordType::A, &record),
        ] {
            assert_eq!(
                lookup.on_answer(&wrong.to_vec().unwrap(), false).unwrap(),
                Action::Wait
            );
        }
        assert_eq!(lookup.on_answer(b"garbage", false).unwrap(), Action::Wait);
    }

    #[test]
    fn the_next_server_is_asked_and_in_the_end_it_times_out() {
        let mut lookup = lookup("example.com");
        let mut servers = Vec::new();
        let mut action = lookup.start();
        while let Ok(Action::Ask { server, .. }) = action {
            servers.push(server.ip().to_string());
            action = lookup.on_timeout();
        }
        assert_eq!(
            servers,
            ["192.0.2.53", "192.0.2.54", "192.0.2.53", "192.0.2.54"]
        );
        assert_eq!(action.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_cut_answer_is_asked_for_over_tcp() {
        let mut lookup = lookup("example.com");
        let none = answer(1, "example.com.", RecordType::AAAA, &[]);
        lookup.on_answer(&none.to_vec().unwrap(), false).unwrap();
        let mut cut = answer(2, "example.com.", RecordType::A, &[]);
        cut.set_truncated(true);
        let Action::AskStream { messages, .. } =
            lookup.on_answer(&cut.to_vec().unwrap(), false).unwrap()
        else {
            panic!("it asks over TCP")
        };
        assert_eq!(messages.len(), 1);
        let whole = answer(
            2,
            "example.com.",
            RecordType::A,
            &[("example.com.", address("198.51.100.7"))],
        );
        let done = lookup.on_answer(&whole.to_vec().unwrap(), true).unwrap();
        assert_eq!(done, Action::Done(vec!["198.51.100.7".parse().unwrap()]));
    }

    #[test]
    fn a_name_that_does_not_exist_is_not_found() {
        let mut lookup = lookup("nobody.internal");
        let mut last = Ok(Action::Wait);
        for (id, kind) in [(1, RecordType::AAAA), (2, RecordType::A)] {
            let mut no = answer(id, "nobody.internal.", kind, &[]);
            no.set_response_code(ResponseCode::NXDomain);
            last = lookup.on_answer(&no.to_vec().unwrap(), false);
        }
        assert_eq!(last.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn addresses_and_localhost_need_no_server() {
        assert_eq!(without_server("[::1]"), Some(vec!["::1".parse().unwrap()]));
        assert_eq!(
            without_server("192.0.2.1"),
            Some(vec!["192.0.2.1".parse().unwrap()])
        );
        assert_eq!(without_server("LocalHost.").map(|a| a.len()), Some(2));
        assert_eq!(without_server("example.com"), None);
        assert!(Lookup::new("example.com", &[], [0, 0]).is_err());
    }
}
