//! Names: the virtual LAN's own are answered here, all others are passed on to the host's servers.
//!
//! The question is parsed only to see whether it asks for a name of ours; a query that is passed on
//! and its answer cross unchanged. Every passed-on query has a socket, and so a source port, of its
//! own (RFC 5452 §9.2), connected to the server that was asked.

use super::{DNS_V4, DNS_V6, GATEWAY_V4, GATEWAY_V6, NODE_V4, NODE_V6, UserConfig};
use hickory_proto::op::{Header, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long one server may take over one query.
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// Each server is asked so often.
const ATTEMPTS: usize = 2;
/// Servers of the host that are asked, as in resolv.conf(5) (MAXNS).
const SERVERS_MAX: usize = 3;
/// Queries that may be under way at once; more are dropped, and the client asks again.
const QUERIES_MAX: usize = 512;
/// Bytes of an answer over UDP (EDNS).
const UDP_ANSWER_MAX: usize = 65_535;
/// Seconds that the LAN's own names may be cached.
const TTL_SECONDS: u32 = 60;
/// A connection without a query for so long is closed (RFC 7766 §6.2.3).
const TCP_IDLE: Duration = Duration::from_secs(10);

/// The names of the virtual LAN. `.internal` is the top-level domain that ICANN reserved for
/// private use.
const NAMES: &[(&str, Ipv4Addr, Ipv6Addr)] = &[
    ("gateway.internal.", GATEWAY_V4, GATEWAY_V6),
    ("host.internal.", GATEWAY_V4, GATEWAY_V6),
    ("dns.internal.", DNS_V4, DNS_V6),
    ("node.internal.", NODE_V4, NODE_V6),
];

/// Answers queries.
#[derive(Debug)]
pub(super) struct Dns {
    servers: Vec<SocketAddr>,
    queries: tokio::sync::Semaphore,
}

impl Dns {
    pub(super) fn new(config: &UserConfig) -> Self {
        let servers = config
            .host_nameservers
            .iter()
            .take(SERVERS_MAX)
            .map(|ip| SocketAddr::new(*ip, 53));
        Self {
            servers: servers.collect(),
            queries: tokio::sync::Semaphore::new(QUERIES_MAX),
        }
    }

    /// The answer to `query`; none where it is no query or too many are under way.
    pub(super) async fn answer(&self, query: &[u8], stream: bool) -> Option<Vec<u8>> {
        let _permit = self.queries.try_acquire().ok()?;
        let message = Message::from_vec(query).ok()?;
        if message.message_type() != MessageType::Query {
            return None;
        }
        if let Some(answer) = answer_own(&message) {
            return answer.to_vec().ok();
        }
        for server in self
            .servers
            .iter()
            .cycle()
            .take(self.servers.len() * ATTEMPTS)
        {
            let asked = async {
                if stream {
                    ask_stream(*server, query).await
                } else {
                    ask_datagram(*server, query).await
                }
            };
            if let Ok(Ok(answer)) = tokio::time::timeout(SERVER_TIMEOUT, asked).await {
                return Some(answer);
            }
        }
        reply(&message, ResponseCode::ServFail).to_vec().ok()
    }

    /// Serves queries to `address` of `node`, by datagram and by stream.
    pub(super) async fn serve_on(
        self: Rc<Self>,
        node: &sockeye::Node,
        address: SocketAddr,
    ) -> io::Result<()> {
        let socket = sockeye::tokio::UdpSocket::bind_on(node, address).await?;
        let listener = sockeye::tokio::TcpListener::bind_on(node, address).await?;
        let streams = self.clone();
        tokio::task::spawn_local(self.serve_datagrams(Rc::new(socket)));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(streams.clone().serve_stream(stream));
            }
        });
        Ok(())
    }

    /// Serves queries that come by datagram.
    pub(super) async fn serve_datagrams(
        self: Rc<Self>,
        socket: Rc<sockeye::tokio::UdpSocket>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; UDP_ANSWER_MAX];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await?;
            let (this, socket, query) = (self.clone(), socket.clone(), buffer[..len].to_vec());
            tokio::task::spawn_local(async move {
                if let Some(answer) = this.answer(&query, false).await {
                    // An answer that can't be sent now is one that was lost: the client asks again.
                    let _ = socket.send_to(&answer, from).await;
                }
            });
        }
    }

    /// Serves queries that come by one connection (RFC 7766): in order, each behind its length.
    pub(super) async fn serve_stream(
        self: Rc<Self>,
        mut stream: sockeye::tokio::TcpStream,
    ) -> io::Result<()> {
        while let Ok(Ok(len)) = tokio::time::timeout(TCP_IDLE, stream.read_u16()).await {
            let mut query = vec![0; usize::from(len)];
            stream.read_exact(&mut query).await?;
            let Some(answer) = self.answer(&query, true).await else {
                break;
            };
            let Ok(len) = u16::try_from(answer.len()) else {
                break;
            };
            stream
                .write_all(&[&len.to_be_bytes()[..], &answer].concat())
                .await?;
        }
        stream.shutdown().await
    }
}

async fn ask_datagram(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = tokio::net::UdpSocket::bind(unspecified(server)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; UDP_ANSWER_MAX];
    loop {
        let len = socket.recv(&mut answer).await?;
        // Only an answer with the query's id counts (RFC 5452 §9.1).
        if len >= 12 && answer[..2] == query[..2] {
            answer.truncate(len);
            return Ok(answer);
        }
    }
}

async fn ask_stream(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = tokio::net::TcpStream::connect(server).await?;
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&len.to_be_bytes()[..], query].concat())
        .await?;
    let len = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn unspecified(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The answer to a question about a name or an address of the LAN; `None` for all others.
fn answer_own(query: &Message) -> Option<Message> {
    let question = query.queries().first()?;
    if query.op_code() != OpCode::Query || question.query_class() != DNSClass::IN {
        return None;
    }
    let name = question.name().to_lowercase();
    let record = |data| Record::from_rdata(question.name().clone(), TTL_SECONDS, data);
    if let Ok(net) = name.parse_arpa_name() {
        let (_, own, ..) = own_name(net.addr())?;
        let mut answer = reply(query, ResponseCode::NoError);
        if question.query_type() == RecordType::PTR {
            answer.add_answer(record(RData::PTR(PTR(own))));
        }
        return Some(answer);
    }
    let text = name.to_ascii();
    let text = if text.ends_with('.') {
        text
    } else {
        text + "."
    };
    let Some((_, v4, v6)) = NAMES.iter().find(|(known, ..)| *known == text) else {
        // The LAN is the authority for `.internal`: nothing of it is asked outside.
        return text
            .ends_with(".internal.")
            .then(|| reply(query, ResponseCode::NXDomain));
    };
    let mut answer = reply(query, ResponseCode::NoError);
    match question.query_type() {
        RecordType::A => drop(answer.add_answer(record(RData::A(A(*v4))))),
        RecordType::AAAA => drop(answer.add_answer(record(RData::AAAA(AAAA(*v6))))),
        // The name exists; it has no such records (RFC 2308 §2.2, NODATA).
        _ => {}
    }
    Some(answer)
}

fn own_name(address: IpAddr) -> Option<(IpAddr, Name)> {
    let (name, ..) = NAMES
        .iter()
        .find(|(_, v4, v6)| address == IpAddr::V4(*v4) || address == IpAddr::V6(*v6))?;
    Some((address, Name::from_ascii(name).ok()?))
}

fn reply(query: &Message, code: ResponseCode) -> Message {
    let mut header = Header::response_from_request(query.header());
    header
        .set_response_code(code)
        .set_recursion_available(true)
        .set_authoritative(false);
    let mut answer = Message::new();
    answer
        .set_header(header)
        .add_queries(query.queries().iter().cloned());
    answer
}

/// The `nameserver` lines of a resolv.conf(5).
#[must_use]
pub fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    let words = lines.filter_map(|rest| rest.split_whitespace().next());
    // A scope (`fe80::1%eth0`) names an interface of the host: such a server is left out.
    words
        .filter_map(|word| word.parse().ok())
        .take(SERVERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    fn ask(name: &str, kind: RecordType) -> Option<Message> {
        let mut query = Message::new();
        query
            .set_id(7)
            .set_message_type(MessageType::Query)
            .set_op_code(OpCode::Query);
        query.set_recursion_desired(true);
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        answer_own(&query)
    }

    #[test]
    fn names_of_the_lan_are_answered_in_either_case() {
        let answer = ask("Gateway.Internal.", RecordType::A).unwrap();
        assert_eq!(answer.id(), 7);
        assert_eq!(answer.answers()[0].data(), &RData::A(A(GATEWAY_V4)));
        let answer = ask("dns.internal.", RecordType::AAAA).unwrap();
        assert_eq!(answer.answers()[0].data(), &RData::AAAA(AAAA(DNS_V6)));
    }

    #[test]
    fn a_name_without_records_of_the_type_exists_all_the_same() {
        let answer = ask("gateway.internal.", RecordType::MX).unwrap();
        assert_eq!(
            (answer.response_code(), answer.answers().len()),
            (ResponseCode::NoError, 0)
        );
        let answer = ask("nobody.internal.", RecordType::A).unwrap();
        assert_eq!(answer.response_code(), ResponseCode::NXDomain);
    }

    #[test]
    fn addresses_of_the_lan_have_names_and_others_are_not_ours() {
        let answer = ask("2.2.0.10.in-addr.arpa.", RecordType::PTR).unwrap();
        assert_eq!(answer.answers()[0].data().to_string(), "gateway.internal.");
        assert!(ask("1.0.0.127.in-addr.arpa.", RecordType::PTR).is_none());
        assert!(ask("example.com.", RecordType::A).is_none());
    }

    #[test]
    fn resolv_conf_is_read_as_the_resolver_reads_it() {
        let text = "# no\nnameserver 127.0.0.53\nsearch x\n nameserver ::1 # local\nnameserver fe80::1%eth0\noptions edns0\n";
        assert_eq!(
            nameservers(text),
            [
                "127.0.0.53".parse::<IpAddr>().unwrap(),
                "::1".parse().unwrap()
            ]
        );
    }
}
