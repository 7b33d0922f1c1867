//! Names, resolved by the node itself: questions to its own name servers over its own sockets.
//! The host's resolver is never asked.
//!
//! A stub resolver (RFC 1034 §5.3.1, RFC 1035, RFC 7766): recursion is the server's business, and
//! nothing is kept. An answer counts only if it comes from the server that was asked, to the port,
//! with the number and the question of the query (RFC 5452 §9.1).
//!
//! Not here: caches, search lists, DNSSEC.

use crate::driver::block_on;
use crate::node::Node;
use crate::sleep::Sleep;
use crate::socket::{Domain, Protocol, Socket, Type};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use sockeye_core::RouteQuery;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// How long a server may take over a question (resolv.conf(5): `timeout`).
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often each server is asked (resolv.conf(5): `attempts`).
const ATTEMPTS: usize = 2;
/// Servers that are asked (resolv.conf(5): MAXNS).
const SERVERS_MAX: usize = 3;
/// Bytes of an answer by datagram that fit any path (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
/// Aliases (CNAME) that are followed.
const ALIASES_MAX: usize = 16;
/// Addresses of a name that are used.
const ADDRESSES_MAX: usize = 64;
/// The port of name servers.
const PORT: u16 = 53;

/// The addresses of `host`, those that the node can reach first, of these IPv6 first.
///
/// # Errors
/// `NotFound` when there is no such name, or it has no address; `TimedOut` when no server
/// answered; `InvalidInput` for what is no name.
pub(crate) async fn lookup(node: &Node, host: &str) -> io::Result<Vec<IpAddr>> {
    if let Some(own) = own_name(host) {
        return Ok(own);
    }
    let name = Name::from_utf8(host).map_err(|error| {
        let text = format!("{host:?} is neither an address nor a host name: {error}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let servers = node.dns();
    if servers.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{host:?} can't be resolved: the node has no name server"),
        ));
    }
    let v6 = ask_all(node, &servers, &name, RecordType::AAAA);
    let v4 = ask_all(node, &servers, &name, RecordType::A);
    let (v6, v4) = both(v6, v4).await;
    let mut addresses = Vec::new();
    let mut failure = None;
    for answer in [v6, v4] {
        match answer {
            Ok(found) => addresses.extend(found),
            Err(error) => failure = Some(error),
        }
    }
    if addresses.is_empty() {
        return Err(failure.unwrap_or_else(|| not_found(&name, "it has no address")));
    }
    addresses.truncate(ADDRESSES_MAX);
    // RFC 6724 §6, rule 1: those that can't be reached come last; the sort keeps the rest.
    let reachable = |address: &IpAddr| {
        let query = RouteQuery {
            destination: *address,
            source: None,
            interface: None,
            foreign_source: false,
        };
        node.with(|node, now| node.context(now).route(&query))
            .is_ok()
    };
    addresses.sort_by_key(|address| !reachable(address));
    Ok(addresses)
}

/// [`lookup`] for a thread that may wait.
pub(crate) fn lookup_blocking(node: &Node, host: &str) -> io::Result<Vec<IpAddr>> {
    let mut lookup = pin!(lookup(node, host));
    let shards = || vec![node.shard().clone()];
    let looked_up = block_on(shards, None, |cx| lookup.as_mut().poll(cx));
    looked_up.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// An address written out, and localhost (RFC 6761 §6.3), which no server is asked for.
fn own_name(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// Asks one server after the other, until one knows.
async fn ask_all(
    node: &Node,
    servers: &[IpAddr],
    name: &Name,
    kind: RecordType,
) -> io::Result<Vec<IpAddr>> {
    let mut failure = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..ATTEMPTS {
        for server in servers.iter().take(SERVERS_MAX) {
            match within(node, ask(node, *server, name, kind)).await {
                Ok(message) => match message.response_code() {
                    ResponseCode::NoError => return Ok(addresses(&message, name, kind)),
                    ResponseCode::NXDomain => return Err(not_found(name, "there is no such name")),
                    code => {
                        let text = format!("the name server {server} answered: {code}");
                        failure = io::Error::other(text);
                    }
                },
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// One question to one server: by datagram, and again by stream when the answer was cut.
async fn ask(node: &Node, server: IpAddr, name: &Name, kind: RecordType) -> io::Result<Message> {
    let id = node.with(|node, now| Ok(node.context(now).rng.next_u32()))?;
    let id = u16::try_from(id >> 16).unwrap_or_default();
    let mut query = Message::new();
    query
        .set_id(id)
        .set_message_type(MessageType::Query)
        .set_op_code(OpCode::Query)
        .set_recursion_desired(true)
        .add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    query.set_edns(edns);
    let bytes = query.to_vec().map_err(io::Error::other)?;
    let server = SocketAddr::new(server, PORT);
    let answer = ask_datagram(node, server, &query, &bytes).await?;
    if !answer.truncated() {
        return Ok(answer);
    }
    ask_stream(node, server, &query, &bytes).await
}

async fn ask_datagram(
    node: &Node,
    server: SocketAddr,
    query: &Message,
    bytes: &[u8],
) -> io::Result<Message> {
    let domain = Domain::for_address(server);
    let socket = Socket::new_on(node, domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.connect_start(server)?;
    socket.send_async(bytes).await?;
    let mut buffer = vec![0; usize::from(UDP_PAYLOAD)];
    loop {
        let received = socket.recv_from_async(&mut buffer).await?;
        if let Some(answer) = parse(&buffer[..received.len], query) {
            return Ok(answer);
        }
    }
}

async fn ask_stream(
    node: &Node,
    server: SocketAddr,
    query: &Message,
    bytes: &[u8],
) -> io::Result<Message> {
    let domain = Domain::for_address(server);
    let socket = Socket::new_on(node, domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.connect_async(server).await?;
    let len = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let framed = [&len.to_be_bytes()[..], bytes].concat();
    let mut sent = 0;
    while sent < framed.len() {
        sent += socket.send_async(&framed[sent..]).await?;
    }
    let mut len = [0; 2];
    read_exact(&socket, &mut len).await?;
    let mut buffer = vec![0; usize::from(u16::from_be_bytes(len))];
    read_exact(&socket, &mut buffer).await?;
    let wrong = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the name server's answer is none",
        )
    };
    parse(&buffer, query).ok_or_else(wrong)
}

async fn read_exact(socket: &Socket, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match socket.recv_async(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok(())
}

/// The message, if it answers `query`.
fn parse(bytes: &[u8], query: &Message) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let asked = answer.queries().first()?;
    let wanted = query.queries().first()?;
    let same = answer.id() == query.id()
        && answer.message_type() == MessageType::Response
        && asked.name() == wanted.name()
        && asked.query_type() == wanted.query_type();
    same.then_some(answer)
}

/// The addresses of `name` in an answer, its aliases followed.
fn addresses(message: &Message, name: &Name, kind: RecordType) -> Vec<IpAddr> {
    let mut name = name.clone();
    for _ in 0..ALIASES_MAX {
        let of_name = message.answers().iter().filter(|r| *r.name() == name);
        let found: Vec<IpAddr> = of_name
            .clone()
            .filter_map(|record| match (kind, record.data()) {
                (RecordType::A, RData::A(a)) => Some(IpAddr::V4(a.0)),
                (RecordType::AAAA, RData::AAAA(a)) => Some(IpAddr::V6(a.0)),
                _ => None,
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
        let alias = of_name.clone().find_map(|record| match record.data() {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(alias) => name = alias,
            None => break,
        }
    }
    Vec::new()
}

fn not_found(name: &Name, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{name} can't be resolved: {why}"),
    )
}

/// `work`, if it ends in time.
async fn within<T>(node: &Node, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut work = pin!(work);
    let mut sleep = Sleep::new(node.shard(), TIMEOUT);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        Pin::new(&mut sleep)
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// Both at once.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_done, mut b_done) = (None, None);
    poll_fn(|cx| {
        if a_done.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(cx)
        {
            a_done = Some(done);
        }
        if b_done.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(cx)
        {
            b_done = Some(done);
        }
        if a_done.is_none() || b_done.is_none() {
            return Poll::Pending;
        }
        match (a_done.take(), b_done.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            _ => Poll::Pending,
        }
    })
    .await
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn answer(records: &[(&str, RData)]) -> Message {
        let mut message = Message::new();
        for (owner, data) in records {
            message.add_answer(Record::from_rdata(name(owner), 60, data.clone()));
        }
        message
    }

    #[test]
    fn aliases_are_followed_and_strangers_left_out() {
        let a = |last| RData::A(A(Ipv4Addr::new(10, 0, 0, last)));
        let message = answer(&[
            ("evil.test.", a(66)),
            ("www.test.", RData::CNAME(CNAME(name("web.test.")))),
            ("web.test.", a(1)),
            ("web.test.", a(2)),
        ]);
        let found = addresses(&message, &name("WWW.test."), RecordType::A);
        assert_eq!(found, [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from));
        assert!(addresses(&message, &name("www.test."), RecordType::AAAA).is_empty());
        let circle = answer(&[
            ("a.test.", RData::CNAME(CNAME(name("b.test.")))),
            ("b.test.", RData::CNAME(CNAME(name("a.test.")))),
        ]);
        assert!(addresses(&circle, &name("a.test."), RecordType::A).is_empty());
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let mut query = Message::new();
        query
            .set_id(7)
            .add_query(Query::query(name("a.test."), RecordType::A));
        let mut reply = query.clone();
        reply.set_message_type(MessageType::Response);
        assert!(parse(&reply.to_vec().unwrap(), &query).is_some());
        assert!(parse(&query.to_vec().unwrap(), &query).is_none(), "a query");
        reply.set_id(8);
        assert!(
            parse(&reply.to_vec().unwrap(), &query).is_none(),
            "another id"
        );
        let mut other = Message::new();
        other
            .set_id(7)
            .set_message_type(MessageType::Response)
            .add_query(Query::query(name("b.test."), RecordType::A));
        assert!(
            parse(&other.to_vec().unwrap(), &query).is_none(),
            "another name"
        );
        assert!(parse(b"garbage", &query).is_none());
    }

    #[test]
    fn localhost_and_addresses_need_no_server() {
        assert_eq!(
            own_name("10.0.0.1"),
            Some(vec![IpAddr::from([10, 0, 0, 1])])
        );
        assert_eq!(own_name("x.LocalHost.").unwrap().len(), 2);
        assert_eq!(own_name("example.com"), None);
    }
}
