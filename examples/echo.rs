//! Two network nodes in one process talk TCP over a cable in memory.
//!
//! Nothing of it is in the kernel: `cargo run -p sockeye --example echo`.

use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::net::{Shutdown, TcpListener, TcpStream};
use sockeye::{LinkConfig, Node};
use std::error::Error;
use std::io::{self, Read, Write};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let (one_end, other_end) = MemoryLink::pair_ip(MemoryConfig::default());
    let client = node(one_end, "10.0.0.1/24")?;
    let server = node(other_end, "10.0.0.2/24")?;

    let listener = TcpListener::bind_on(&server, "10.0.0.2:7")?;
    let echo = thread::spawn(move || -> io::Result<u64> {
        let (stream, peer) = listener.accept()?;
        println!("server: {peer} has connected");
        io::copy(&mut &stream, &mut &stream)
    });

    // From here on the thread's sockets are the client's, as with a tokio runtime.
    let _current = client.enter();
    let mut stream = TcpStream::connect("10.0.0.2:7")?;
    stream.write_all(b"Oncorhynchus nerka")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("client: {answer:?} came back");

    let echoed = echo.join().map_err(|_| "the server panicked")??;
    println!("server: echoed {echoed} bytes");
    Ok(())
}

fn node(link: MemoryLink, address: &str) -> Result<Node, Box<dyn Error>> {
    let config = LinkConfig::new().address(address.parse()?);
    Ok(Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?)
}
