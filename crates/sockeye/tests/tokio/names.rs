//! Names through the node's own name server.

use crate::common::{Pair, pair, soon};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use sockeye::tokio::{TcpListener, TcpStream, UdpSocket, lookup_host_on};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `far.test` is 10.0.0.2, `both.test` is fd00::2 as well, `long.test` has many addresses, and there
/// is nothing else.
fn answer(query: &[u8], stream: bool) -> Vec<u8> {
    let query = Message::from_vec(query).unwrap();
    let question = query.queries()[0].clone();
    let mut answer = Message::new();
    answer
        .set_id(query.id())
        .set_message_type(MessageType::Response);
    answer.add_query(question.clone());
    let addresses = match question.name().to_ascii().as_str() {
        "far.test." | "both.test." => 1,
        "long.test." => 40,
        _ => {
            answer.set_response_code(ResponseCode::NXDomain);
            0
        }
    };
    if question.query_type() == RecordType::A {
        if addresses > 1 && !stream {
            answer.set_truncated(true);
            return answer.to_vec().unwrap();
        }
        for n in 0..addresses {
            let data = RData::A(A(Ipv4Addr::new(10, 0, 0, 2 + n)));
            answer.add_answer(Record::from_rdata(question.name().clone(), 60, data));
        }
    }
    if question.query_type() == RecordType::AAAA && question.name().to_ascii() == "both.test." {
        let data = RData::AAAA(AAAA("fd00::2".parse().unwrap()));
        answer.add_answer(Record::from_rdata(question.name().clone(), 60, data));
    }
    answer.to_vec().unwrap()
}

async fn serve(pair: &Pair) {
    let socket = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (len, from) = socket.recv_from(&mut query).await.unwrap();
            let answer = answer(&query[..len], false);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:53")
        .await
        .unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Ok(len) = stream.read_u16().await {
                let mut query = vec![0; usize::from(len)];
                stream.read_exact(&mut query).await.unwrap();
                let answer = answer(&query, true);
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
}

#[tokio::test]
async fn connects_by_name() {
    let pair = pair();
    serve(&pair).await;
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let stream = soon(TcpStream::connect_on(&pair.near, "far.test:80"))
        .await
        .unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    let socket = UdpSocket::bind_on(&pair.near, "0.0.0.0:0").await.unwrap();
    soon(socket.connect(("far.test", 53))).await.unwrap();
}

/// RFC 6724 §6, §10.6: an address of somebody's own network comes last, unless it is ours.
#[tokio::test]
async fn addresses_come_in_the_order_of_the_policy() {
    let pair = pair();
    serve(&pair).await;
    let found = async || {
        let found = soon(lookup_host_on(&pair.near, "both.test:1")).await;
        let found: Vec<String> = found.unwrap().map(|a| a.ip().to_string()).collect();
        // The std-shaped face says the same.
        let near = pair.near.clone();
        let blocking = move || sockeye::net::lookup_host(&near, "both.test").unwrap();
        let same = tokio::task::spawn_blocking(blocking).await.unwrap();
        let same: Vec<String> = same.iter().map(ToString::to_string).collect();
        assert_eq!(found, same);
        found
    };
    assert_eq!(found().await, ["10.0.0.2", "fd00::2"]);
    let mut config = pair.near.config().unwrap();
    let policy = format!("{}fd00::/64 45 14", sockeye::AddressPolicy::DEFAULT);
    config.address_policy = policy.parse().unwrap();
    pair.near.set_config(config).unwrap();
    assert_eq!(found().await, ["fd00::2", "10.0.0.2"]);
}

#[tokio::test]
async fn a_long_answer_comes_by_tcp() {
    let pair = pair();
    serve(&pair).await;
    let found = soon(lookup_host_on(&pair.near, "long.test:1"))
        .await
        .unwrap();
    assert_eq!(found.count(), 40);
    // The server sees the end, and ends as well.
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn names_that_nobody_knows() {
    let pair = pair();
    serve(&pair).await;
    let error = soon(TcpStream::connect_on(&pair.near, "nobody.test:80")).await;
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    let error = soon(TcpStream::connect_on(&pair.far, "far.test:80")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("no name server"), "{error}");
}
