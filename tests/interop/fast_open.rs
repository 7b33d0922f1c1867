//! Fast Open against the kernel's, over TAP (RFC 7413).

use crate::run::{PYTHON, need};
use crate::tap::{self, KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6};
use sockeye::link::{Batch, Capabilities, Instant, Link, Notify, Packet};
use sockeye::{Counter, MessageFlags, Node, SendMessage, Socket, Type};
use sockeye_tests::{Outcome, Program, Result, Test, check, have, ignore, in_namespace, tests};
use sockeye_wire::tcp::{Flags, Header};
use sockeye_wire::{ethernet, ipv4};
use std::io::{IoSlice, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const TESTS: &[Test] = tests![
    to_the_kernel,
    from_the_kernel,
    where_text_of_syns_is_dropped,
];

/// Lets the kernel of this namespace do Fast Open both ways.
fn kernel_fast_open() -> Result<()> {
    Ok(std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3")?)
}

/// sendto(2) with MSG_FASTOPEN on a fresh socket of the node.
fn send_open(node: &Node, to: SocketAddr, data: &[u8]) -> Result<Socket> {
    let socket = Socket::new_on(node, sockeye::Domain::for_address(to), Type::STREAM, None)?;
    let sent = socket.sendmsg(&SendMessage {
        to: Some(to),
        data: &[IoSlice::new(data)],
        flags: MessageFlags::FAST_OPEN,
        ..SendMessage::default()
    })?;
    check!(
        sent == data.len(),
        "{sent} of {} bytes were taken",
        data.len()
    );
    Ok(socket)
}

/// Connections of the node to a listener of the kernel's at `kernel`, one after the other: of which
/// the text of the SYN is taken.
fn ask_kernel(node: &Node, kernel: &str, taken: &[bool]) -> Result<()> {
    let serve = format!(
        "import socket\n\
         f = socket.AF_INET6 if ':' in '{kernel}' else socket.AF_INET\n\
         s = socket.socket(f); s.bind(('{kernel}', 7000))\n\
         s.setsockopt(6, 23, 5); s.listen(5); print('up', flush=True)\n\
         for _ in range({}):\n    c, a = s.accept(); c.sendall(c.recv(5)[::-1]); c.close()",
        taken.len()
    );
    let mut server = Program::new(PYTHON).args(["-c", &serve]);
    server.command().stdout(std::process::Stdio::piped());
    let mut server = server.start()?;
    let mut up = [0; 3];
    let output = server.0.stdout.as_mut().ok_or("a pipe")?;
    output.read_exact(&mut up)?;
    let to = SocketAddr::new(kernel.parse()?, 7000);
    for (n, &taken) in taken.iter().enumerate() {
        let socket = send_open(node, to, b"hello")?;
        let mut back = [0; 5];
        let got = socket.recv_with(&mut back, MessageFlags::WAIT_ALL)?;
        check!(&back[..got] == b"olleh", "{:?} came back", &back[..got]);
        let text = socket.tcp_info()?.syn_text;
        check!(
            text == taken,
            "connection {n} to {kernel}: syn_text is {text}"
        );
    }
    check!(server.0.wait()?.success(), "the kernel's server failed");
    Ok(())
}

/// Connections of the kernel to a listener of the node's at `ours`, likewise.
fn serve_kernel(node: &Node, ours: &str, taken: &[bool]) -> Result<()> {
    let address = SocketAddr::new(ours.parse()?, 7000);
    let domain = sockeye::Domain::for_address(address);
    let listener = Socket::new_on(node, domain, Type::STREAM, None)?;
    listener.bind(address)?;
    let limit = 5_i32.to_ne_bytes();
    listener.set_option_raw(libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &limit)?;
    listener.listen(5)?;
    let ask = format!(
        "import socket\n\
         f = socket.AF_INET6 if ':' in '{ours}' else socket.AF_INET\n\
         for _ in range({}):\n    c = socket.socket(f)\n    \
         c.sendto(b'hello', socket.MSG_FASTOPEN, ('{ours}', 7000))\n    \
         assert c.recv(5) == b'olleh'\n    c.close()",
        taken.len()
    );
    let mut client = Program::new(PYTHON).args(["-c", &ask]).start()?;
    for &taken in taken {
        let (accepted, _) = listener.accept()?;
        let mut bytes = [0; 5];
        accepted.recv_with(&mut bytes, MessageFlags::WAIT_ALL)?;
        let text = accepted.tcp_info()?.syn_text;
        check!(text == taken, "from {ours}: syn_text is {text}");
        bytes.reverse();
        accepted.send(&bytes)?;
    }
    check!(client.0.wait()?.success(), "the kernel's client failed");
    Ok(())
}

/// The kernel's listener gives its cookie, and takes the text of the second SYN.
fn to_the_kernel() -> Result {
    in_namespace("interop::fast_open::to_the_kernel", LIMIT, || {
        need!(PYTHON);
        let node = tap::node!(|tap| Box::new(tap));
        kernel_fast_open()?;
        for kernel in [KERNEL_V4, KERNEL_V6] {
            ask_kernel(&node, kernel, &[false, true, true])?;
        }
        Ok(Outcome::Passed)
    })
}

/// The kernel gets the node's cookie, and its second SYN makes a connection at once.
fn from_the_kernel() -> Result {
    in_namespace("interop::fast_open::from_the_kernel", LIMIT, || {
        need!(PYTHON);
        let node = tap::node!(|tap| Box::new(tap));
        kernel_fast_open()?;
        for (n, ours) in [NODE_V4, NODE_V6].into_iter().enumerate() {
            serve_kernel(&node, ours, &[false, true])?;
            let passive = node.counters()?.get(Counter::TcpExtTCPFastOpenPassive);
            check!(
                passive == n as u64 + 1,
                "{passive} connections were made by SYNs"
            );
        }
        Ok(Outcome::Passed)
    })
}

/// A path on which SYNs with text vanish, both ways; it counts them, the node's first.
struct NoSynText<L>(L, Arc<[AtomicU32; 2]>);

fn drop_syn_text(packets: &mut Batch, from: usize, dropped: &AtomicU32) {
    let mut at = 0;
    packets.retain(|packet| {
        at += 1;
        let drops = at > from && is_syn_with_text(packet).unwrap_or(false);
        dropped.fetch_add(drops.into(), Ordering::Relaxed);
        !drops
    });
}

/// Of a frame with TCP over IPv4.
fn is_syn_with_text(packet: &Packet) -> Option<bool> {
    let frame = packet.to_vec();
    let bytes = frame.get(ethernet::HEADER_LEN..)?;
    let ip = ipv4::Header::parse(bytes).ok()?;
    let segment = bytes.get(ip.header_len()..usize::from(ip.total_len))?;
    let (header, text_at) = Header::parse_fixed(segment).ok()?;
    let flags = header.flags & (Flags::SYN | Flags::ACK);
    Some(flags == Flags::SYN && segment.len() > text_at)
}

impl<L: Link> Link for NoSynText<L> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn recv_batch(&mut self, now: Instant, rx: &mut Batch, max: usize) -> std::io::Result<usize> {
        let before = rx.len();
        self.0.recv_batch(now, rx, max)?;
        drop_syn_text(rx, before, &self.1[1]);
        Ok(rx.len() - before)
    }

    fn send_batch(&mut self, now: Instant, tx: &mut Batch) -> std::io::Result<usize> {
        let before = tx.len();
        drop_syn_text(tx, 0, &self.1[0]);
        self.0.send_batch(now, tx)?;
        Ok(before - tx.len())
    }

    fn as_raw_fd(&self) -> Option<std::os::fd::RawFd> {
        self.0.as_raw_fd()
    }

    fn set_notify(&mut self, notify: Notify) {
        self.0.set_notify(notify);
    }
}

/// RFC 7413 §4.1.3: the SYN goes again without text and cookie, and the text follows the handshake.
fn where_text_of_syns_is_dropped() -> Result {
    in_namespace(
        "interop::fast_open::where_text_of_syns_is_dropped",
        LIMIT,
        || {
            need!(PYTHON);
            let dropped = Arc::new([const { AtomicU32::new(0) }; 2]);
            let node = tap::node!(|tap| Box::new(NoSynText(tap, dropped.clone())));
            kernel_fast_open()?;
            ask_kernel(&node, KERNEL_V4, &[false, false])?;
            serve_kernel(&node, NODE_V4, &[false, false])?;
            let passive = node.counters()?.get(Counter::TcpExtTCPFastOpenPassive);
            check!(passive == 0, "{passive} connections were made by SYNs");
            let dropped = dropped.each_ref().map(|n| n.load(Ordering::Relaxed));
            check!(dropped == [1, 1], "{dropped:?} SYNs had text");
            Ok(Outcome::Passed)
        },
    )
}
