use crate::common::{pair, pattern, soon};
use sockeye::{OptionValue, SocketOption};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};

#[tokio::test]
async fn priority_is_urgent_data_alone() {
    let pair = pair();
    let (mut near, far) = pair.connection().await;
    near.write_all(b"ordinary").await.unwrap();
    soon(far.readable()).await.unwrap();
    let short = Duration::from_millis(50);
    let early = tokio::time::timeout(short, far.ready(Interest::PRIORITY)).await;
    assert!(early.is_err(), "ordinary data is no priority");
    let urgent = tokio::spawn(async move {
        let ready = far.ready(Interest::PRIORITY).await.unwrap();
        (far, ready)
    });
    assert_eq!(near.send_oob(b"and!").await.unwrap(), 4);
    let (mut far, ready) = soon(urgent).await.unwrap();
    assert_eq!(ready, Ready::PRIORITY);
    let mut octet = [0];
    assert_eq!(far.recv_oob(&mut octet).unwrap(), 1);
    assert_eq!(octet, *b"!");
    let error = far.recv_oob(&mut octet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    near.write_all(b"behind").await.unwrap();
    let mut buf = [0; 64];
    assert_eq!(soon(far.read(&mut buf)).await.unwrap(), 11);
    assert!(far.at_mark().unwrap());
    drop(near);
    let mut rest = Vec::new();
    soon(far.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"behind");
}

/// Large reads take whole slices; they stop at the mark nevertheless.
#[tokio::test]
async fn a_large_read_stops_at_the_mark() {
    let pair = pair();
    for inline in [false, true] {
        let (near, mut far) = pair.connection().await;
        far.set_oob_inline(inline).unwrap();
        assert_eq!(far.oob_inline().unwrap(), inline);
        let size = OptionValue::Int(1 << 20);
        let socket = far.as_socket();
        socket
            .set_option(SocketOption::ReceiveBuffer, size)
            .unwrap();
        let sent = pattern(100_000);
        let writer = tokio::spawn(async move {
            let mut near = near;
            near.write_all(&sent[..60_000]).await.unwrap();
            let mut from = 60_000;
            while from < 60_001 {
                from += near.send_oob(&sent[from..60_001]).await.unwrap();
            }
            near.write_all(&sent[60_001..]).await.unwrap();
            near.shutdown().await.unwrap();
        });
        soon(writer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut buf = vec![0; 200_000];
        let mut got = 0;
        while got < 60_000 {
            got += soon(far.read(&mut buf[got..])).await.unwrap();
        }
        assert_eq!(got, 60_000);
        assert!(far.at_mark().unwrap());
        let mut rest = Vec::new();
        soon(far.read_to_end(&mut rest)).await.unwrap();
        let from = 60_000 + usize::from(!inline);
        assert!(rest == pattern(100_000)[from..], "inline {inline}");
    }
}
