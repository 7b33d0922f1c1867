//! A pair of UDP sockets of the kernel, over which whole batches of packets go: segmented on the way
//! out (UDP_SEGMENT), coalesced on the way in (UDP_GRO).

use anyhow::{Context, Result, ensure};
use bytes::{Buf as _, Bytes};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sockeye_link::{Batch, Packet};
use std::io::{Error, ErrorKind};
use std::mem::size_of;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// Bytes of one call.
const CALL: usize = 60_000;

/// Bytes of headers: of IPv4, of SCTP and of a DATA chunk.
const HEADERS: usize = 20 + 12 + 16;

/// Two connected sockets.
pub(crate) struct Loopback {
    ends: [UdpSocket; 2],
    /// What one call sends.
    buffer: Vec<u8>,
}

impl Loopback {
    pub(crate) fn new() -> Result<Self> {
        let ends = [0; 2].map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let [one, other] = ends;
        let ends = [one?, other?];
        for (end, peer) in [(0, 1), (1, 0)] {
            ends[end].connect(ends[peer].local_addr()?)?;
            ends[end].set_nonblocking(true)?;
            socket2::SockRef::from(&ends[end]).set_recv_buffer_size(4 << 20)?;
            set(&ends[end], libc::UDP_GRO, 1)?;
        }
        let buffer = vec![0; 1 << 16];
        Ok(Self { ends, buffer })
    }

    /// Sends what is in `batch`: packets of one length, and a shorter one behind them, go together.
    pub(crate) fn send(&mut self, from: usize, batch: &mut Batch) -> Result<()> {
        let (mut used, mut size, mut last) = (0, 0, 0);
        for packet in batch.drain(..) {
            let len = packet.len();
            if used > 0 && (last < size || len > size || used + len > CALL) {
                self.send_run(from, used, size)?;
                used = 0;
            }
            if used == 0 {
                size = len;
            }
            for chunk in packet.chunks() {
                self.buffer[used..used + chunk.len()].copy_from_slice(chunk);
                used += chunk.len();
            }
            last = len;
        }
        match used {
            0 => Ok(()),
            _ => self.send_run(from, used, size),
        }
    }

    fn send_run(&self, from: usize, used: usize, size: usize) -> Result<()> {
        set(&self.ends[from], libc::UDP_SEGMENT, size.try_into()?)?;
        match self.ends[from].send(&self.buffer[..used]) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                Err(error).context("sending packets in UDP")
            }
            // What there is no room for is lost, as on any network.
            _ => Ok(()),
        }
    }

    /// Takes what has come. IP packets say themselves how long they are.
    pub(crate) fn receive(&mut self, to: usize, batch: &mut Batch) -> Result<()> {
        loop {
            let mut buffer = Vec::with_capacity(1 << 16);
            match recv(
                &self.ends[to],
                spare_capacity(&mut buffer),
                RecvFlags::empty(),
            ) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error).context("receiving packets in UDP"),
            }
            let mut rest = Bytes::from(buffer);
            while rest.len() >= 20 {
                let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                ensure!((20..=rest.len()).contains(&len), "a packet was cut");
                batch.push_back(split_header(rest.split_to(len)));
            }
        }
    }
}

/// A packet with its headers in the head, as network cards split them off that can.
fn split_header(mut bytes: Bytes) -> Packet {
    let len = HEADERS.min(bytes.len());
    let head = bytes[..len].to_vec();
    bytes.advance(len);
    let behind = (!bytes.is_empty()).then_some(bytes);
    Packet::from_parts(head, behind.into_iter().collect())
}

fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> Result<()> {
    // SAFETY: the value lives until the call returns, and its size is said.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    ensure!(done == 0, "an option of UDP: {}", Error::last_os_error());
    Ok(())
}
