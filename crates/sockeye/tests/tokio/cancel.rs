//! Futures that are dropped before they are done lose nothing.

use crate::common::{pair, pattern, soon};
use sockeye::tokio::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn reads_that_time_out_lose_no_byte() {
    let pair = pair();
    let (mut near, mut far) = pair.connection().await;
    let sent = pattern(40_000);
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            for (n, piece) in sent.chunks(999).enumerate() {
                far.write_all(piece).await.unwrap();
                if n % 4 == 0 {
                    sleep(Duration::from_millis(2)).await;
                }
            }
            far.shutdown().await.unwrap();
            far
        }
    });
    let (mut came, mut missed) = (Vec::new(), 0);
    let reading = async {
        let mut buf = vec![0; 500];
        loop {
            match timeout(Duration::from_micros(300), near.read(&mut buf)).await {
                Ok(Ok(0)) => break,
                Ok(Ok(len)) => came.extend_from_slice(&buf[..len]),
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => missed += 1,
            }
        }
    };
    soon(reading).await;
    drop(near);
    writing.await.unwrap();
    assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
    assert!(missed > 0, "no read was ever given up: this shows nothing");
}

#[tokio::test]
async fn accepts_that_are_given_up_lose_no_connection() {
    const MANY: usize = 50;
    let pair = pair();
    let listener = TcpListener::bind_on(&pair.far, "10.0.0.2:80")
        .await
        .unwrap();
    let listener = std::sync::Arc::new(listener);
    // They wait in front of the one that is served, and go.
    let fickle: Vec<_> = (0..8)
        .map(|_| {
            let listener = listener.clone();
            tokio::spawn(async move {
                // Whoever does get one gives it back to be counted.
                timeout(Duration::from_millis(10), listener.accept())
                    .await
                    .ok()
            })
        })
        .collect();
    let connecting = tokio::spawn({
        let node = pair.near.clone();
        async move {
            let mut streams = Vec::new();
            for _ in 0..MANY {
                streams.push(TcpStream::connect_on(&node, "10.0.0.2:80").await.unwrap());
                sleep(Duration::from_millis(1)).await;
            }
            streams
        }
    });
    let mut accepted = 0;
    for task in fickle {
        accepted += usize::from(soon(task).await.unwrap().is_some());
    }
    while accepted < MANY {
        let brief = timeout(Duration::from_micros(500), listener.accept());
        if let Ok(result) = soon(brief).await {
            result.unwrap();
            accepted += 1;
        }
    }
    assert_eq!(soon(connecting).await.unwrap().len(), MANY);
}

#[tokio::test]
async fn datagrams_outlive_the_receive_that_was_given_up() {
    let pair = pair();
    let far = UdpSocket::bind_on(&pair.far, "10.0.0.2:53").await.unwrap();
    let near = UdpSocket::bind_on(&pair.near, "10.0.0.1:0").await.unwrap();
    for n in 0..20_u8 {
        let given_up = timeout(Duration::from_micros(200), far.recv(&mut [0; 8])).await;
        given_up.unwrap_err();
        near.send_to(&[n], "10.0.0.2:53").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(soon(far.recv(&mut buf)).await.unwrap(), 1);
        assert_eq!(buf[0], n);
    }
}

#[tokio::test]
async fn a_connect_that_is_given_up_closes_its_socket() {
    let pair = pair();
    // Nobody answers for this address: the SYN is lost.
    let connecting = TcpStream::connect_on(&pair.near, "10.0.0.77:80");
    timeout(Duration::from_millis(5), connecting)
        .await
        .unwrap_err();
    assert!(pair.near.sockets().unwrap().is_empty());
}
