//! A forked copy of a process must not touch the parent's nodes. Alone in its process: the fork
//! copies one thread.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::{TcpListener, TcpStream};
use sockeye::{LinkConfig, Node};
use std::io::{Read, Write};

fn node(link: MemoryLink, address: &str) -> Node {
    let config = LinkConfig::new().address(address.parse().unwrap());
    let builder = Node::builder().link("eth0", Box::new(link), config);
    builder.build().unwrap()
}

#[test]
fn a_forked_copy_gets_an_error() {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let (a, b) = (node(a, "10.0.0.1/24"), node(b, "10.0.0.2/24"));
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let mut client = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    let (mut server, _) = listener.accept().unwrap();

    // SAFETY: the child calls into the library, which has to fail before it takes a lock or
    // allocates, and then _exit, which is async-signal-safe.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    if child == 0 {
        let denied = |error: std::io::Error| error.raw_os_error() == Some(libc::ESHUTDOWN);
        let read = client.read(&mut [0; 8]).is_err_and(denied);
        let written = client.write_all(b"from the child").is_err_and(denied);
        // The end of the copies says nothing to the peer either.
        drop((client, server, listener, a, b));
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(i32::from(!(read && written))) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for an int, and the child is this process's.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));

    client.write_all(b"from the parent").unwrap();
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the parent");
}
