//! What drives a node while a runtime uses it.

use crate::common::pair;
use sockeye::tokio::TcpStream;
use sockeye::{Protocol, Scope};
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::timeout;

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A runtime of one thread runs its tasks inside `block_on` alone. The node's timers go on.
#[test]
fn a_runtime_that_is_left_does_not_stop_its_node() {
    let pair = pair();
    let mut intercept = pair.far.intercept(Protocol::TCP, Scope::Foreign).unwrap();
    let (runtime, node) = (runtime(), pair.near);
    let mut connecting =
        Box::pin(async move { TcpStream::connect_on(&node, "198.51.100.7:80").await });
    let begun =
        runtime.block_on(async { timeout(Duration::from_millis(10), &mut connecting).await });
    begun.unwrap_err();
    intercept.next_blocking().unwrap().ignore();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let again = intercept.next_blocking().unwrap();
        let _ = tell.send(again.accept().unwrap());
    });
    // One second later (RFC 6298 §2.1) the SYN comes again.
    let accepted = told.recv_timeout(Duration::from_secs(10)).unwrap();
    let near = runtime.block_on(connecting).unwrap();
    assert_eq!(accepted.peer_addr().unwrap(), near.local_addr().unwrap());
}
