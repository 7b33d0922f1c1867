//! The Berkeley socket over memory links, in tasks of a runtime and without one.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{Domain, LinkConfig, Node, Socket, Type};
use std::sync::Arc;
use std::time::Duration;

fn pair() -> (Node, Node) {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link, address: &str| {
        let config = LinkConfig::new().address(address.parse().unwrap());
        // Without the background thread, only the runtime's own task can drive.
        let builder = Node::builder().background(false);
        builder
            .link("eth0", Box::new(link), config)
            .build()
            .unwrap()
    };
    (node(a, "10.0.0.1/24"), node(b, "10.0.0.2/24"))
}

async fn echo(node: Node) {
    let listener = Socket::new_on(&node, Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind("10.0.0.2:7".parse().unwrap()).unwrap();
    listener.listen(16).unwrap();
    let (stream, _) = listener.accept_async().await.unwrap();
    let mut buffer = vec![0; 65_536];
    loop {
        match stream.recv_async(&mut buffer).await.unwrap() {
            0 => return,
            n => {
                let mut sent = 0;
                while sent < n {
                    sent += stream.send_async(&buffer[sent..n]).await.unwrap();
                }
            }
        }
    }
}

async fn exchange(len: usize) {
    let (a, b) = pair();
    // The node outlives its server, so that what is on its way when that ends still arrives.
    let server = tokio::spawn(echo(b.clone()));
    // Until it listens.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let stream = Socket::new_on(&a, Domain::IPV4, Type::STREAM, None).unwrap();
    stream
        .connect_async("10.0.0.2:7".parse().unwrap())
        .await
        .unwrap();
    let stream = Arc::new(stream);
    let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let writer = tokio::spawn({
        let (stream, data) = (stream.clone(), data.clone());
        async move {
            let mut sent = 0;
            while sent < data.len() {
                sent += stream.send_async(&data[sent..]).await.unwrap();
            }
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    let mut back = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        match stream.recv_async(&mut buffer).await.unwrap() {
            0 => break,
            n => back.extend_from_slice(&buffer[..n]),
        }
    }
    writer.await.unwrap();
    server.await.unwrap();
    assert!(back == data);
}

#[tokio::test]
async fn echo_in_one_thread() {
    exchange(4 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_in_several_threads() {
    exchange(4 << 20).await;
}
