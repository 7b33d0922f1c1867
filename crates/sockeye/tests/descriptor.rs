//! Links that have a descriptor: who drives the node waits for it in poll(2) or in a reactor.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sockeye::link::{Batch, Capabilities, GsoKinds, Instant, Link, Medium, Packet};
use sockeye::net::{TcpListener, TcpStream, UdpSocket};
use sockeye::{LinkConfig, Node};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

/// A cable between two processes, or two nodes of one: a pair of datagram sockets.
struct Cable(UnixDatagram);

impl Link for Cable {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ip,
            mtu: 1500,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        }
    }

    fn recv_batch(&mut self, _: Instant, rx: &mut Batch, max: usize) -> io::Result<usize> {
        for taken in 0..max {
            let mut buffer = vec![0; 2048];
            match self.0.recv(&mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    rx.push_back(Packet::from_vec(buffer));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
        Ok(max)
    }

    fn send_batch(&mut self, _: Instant, tx: &mut Batch) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(packet) = tx.front() {
            match self.0.send(&packet.to_vec()) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The other end is gone: a cable that is plugged in nowhere.
                Err(_) => {}
            }
            tx.pop_front();
        }
        Ok(sent)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

fn pair() -> (Node, Node) {
    let (a, b) = UnixDatagram::pair().unwrap();
    let node = |cable: UnixDatagram, address: &str| {
        cable.set_nonblocking(true).unwrap();
        let config = LinkConfig::new().address(address.parse().unwrap());
        let builder = Node::builder().link("tun0", Box::new(Cable(cable)), config);
        builder.build().unwrap()
    };
    (node(a, "10.0.0.1/24"), node(b, "10.0.0.2/24"))
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn one_byte_to_and_fro() {
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        io::copy(&mut &stream, &mut &stream).unwrap();
    });
    let mut stream = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    for _ in 0..2000 {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    drop(stream);
    server.join().unwrap();
}

#[test]
fn megabytes_both_ways() {
    const LEN: usize = 4 << 20;
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        io::copy(&mut &stream, &mut &stream).unwrap();
    });
    let (mut read, mut write) = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap().split();
    let writer = thread::spawn(move || write.write_all(&data(LEN)).unwrap());
    let mut back = Vec::new();
    read.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    server.join().unwrap();
    assert!(back == data(LEN));
}

/// Threads come and go in the driver's seat, and each is served.
#[test]
fn many_threads_share_the_link() {
    let (a, b) = pair();
    let server = UdpSocket::bind_on(&b, "10.0.0.2:7").unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((len, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..len], from).unwrap();
        }
    });
    let clients: Vec<_> = (0..8_u32)
        .map(|n| {
            let a = a.clone();
            thread::spawn(move || {
                let socket = UdpSocket::bind_on(&a, "10.0.0.1:0").unwrap();
                socket.connect("10.0.0.2:7").unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .unwrap();
                for round in 0..200_u32 {
                    let said = (n << 16 | round).to_be_bytes();
                    socket.send(&said).unwrap();
                    let mut heard = [0; 4];
                    socket.recv(&mut heard).unwrap();
                    assert_eq!(heard, said);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|t| t.join().unwrap());
}

/// Packets are answered while no thread is in a call.
#[test]
fn the_background_thread_answers() {
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    for _ in 0..20 {
        // Nobody accepts: the handshakes are the node's own business.
        TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    }
    listener.set_nonblocking(true).unwrap();
    (0..20).for_each(|_| drop(listener.accept().unwrap()));
}

/// A peer that only exits its process: what it had written arrives.
#[test]
fn data_of_a_node_that_ends_arrives() {
    let (a, b) = pair();
    let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
    let mut client = TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        all
    });
    client.write_all(&data(1 << 20)).unwrap();
    drop((client, a));
    assert!(reader.join().unwrap() == data(1 << 20));
}

#[cfg(feature = "tokio")]
mod runtime {
    use super::{data, pair};
    use sockeye::net::{TcpListener, TcpStream};
    use sockeye::{Domain, Socket, Type};
    use std::net::Shutdown;
    use std::sync::Arc;
    use std::time::Duration;

    async fn echo(listener: Socket) {
        let (stream, _) = listener.accept_async().await.unwrap();
        let mut buffer = vec![0; 65_536];
        loop {
            let n = stream.recv_async(&mut buffer).await.unwrap();
            let mut sent = 0;
            while sent < n {
                sent += stream.send_async(&buffer[sent..n]).await.unwrap();
            }
            if n == 0 {
                return stream.shutdown(Shutdown::Write).unwrap();
            }
        }
    }

    async fn exchange(len: usize) {
        let (a, b) = pair();
        let address = "10.0.0.2:7".parse().unwrap();
        let listener = Socket::new_on(&b, Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(address).unwrap();
        listener.listen(1).unwrap();
        let server = tokio::spawn(echo(listener));
        let stream = Arc::new(Socket::new_on(&a, Domain::IPV4, Type::STREAM, None).unwrap());
        stream.connect_async(address).await.unwrap();
        let writer = tokio::spawn({
            let stream = stream.clone();
            async move {
                let (data, mut sent) = (data(len), 0);
                while sent < len {
                    sent += stream.send_async(&data[sent..]).await.unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        let (mut back, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            match stream.recv_async(&mut buffer).await.unwrap() {
                0 => break,
                n => back.extend_from_slice(&buffer[..n]),
            }
        }
        writer.await.unwrap();
        server.await.unwrap();
        assert!(back == data(len));
    }

    #[tokio::test]
    async fn echo_in_one_thread() {
        exchange(2 << 20).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn echo_in_several_threads() {
        exchange(2 << 20).await;
    }

    /// A runtime of one thread runs its tasks inside `block_on` alone.
    #[test]
    fn a_runtime_that_is_left_still_answers() {
        let (a, b) = pair();
        let listener = TcpListener::bind_on(&b, "10.0.0.2:7").unwrap();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let brief = Duration::from_millis(5);
        let nobody = runtime.block_on(async {
            tokio::time::timeout(brief, listener.as_socket().accept_async()).await
        });
        nobody.unwrap_err();
        for _ in 0..20 {
            TcpStream::connect_on(&a, "10.0.0.2:7").unwrap();
        }
        // It comes back, and finds all that happened meanwhile.
        runtime.block_on(async {
            for _ in 0..20 {
                listener.as_socket().accept_async().await.unwrap();
            }
        });
    }
}
