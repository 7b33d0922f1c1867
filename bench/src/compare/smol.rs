//! smoltcp: two interfaces in one thread, joined by two queues of packets whose buffers are used
//! again.

use anyhow::{Result, anyhow, ensure};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as Clock;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Packets that may wait in one direction.
const QUEUE: usize = 256;
const PORT: u16 = 7000;
/// Rounds in which a handshake or its end must be done.
const PATIENCE: u32 = 10_000;

/// How the link is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) mtu: usize,
    pub(crate) checksums: bool,
    /// Bytes of a socket's buffer, of each of its two.
    pub(crate) buffer: usize,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

type Shared = Rc<RefCell<Queue>>;

struct Link {
    from: Shared,
    to: Shared,
    setting: Setting,
}

struct Arrived(Vec<u8>, Shared);
struct Leaving(Shared);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().spare.push(self.0);
        result
    }
}

impl TxToken for Leaving {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.0.borrow_mut().spare.pop().unwrap_or_default();
        packet.resize(len, 0);
        let result = f(&mut packet);
        self.0.borrow_mut().packets.push_back(packet);
        result
    }
}

impl Device for Link {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving;

    fn receive(&mut self, _: Clock) -> Option<(Arrived, Leaving)> {
        let packet = self.from.borrow_mut().packets.pop_front()?;
        Some((Arrived(packet, self.from.clone()), Leaving(self.to.clone())))
    }

    fn transmit(&mut self, _: Clock) -> Option<Leaving> {
        let room = self.to.borrow().packets.len() < QUEUE;
        room.then(|| Leaving(self.to.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.setting.mtu;
        if !self.setting.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }
}

/// One interface and its one socket.
struct End {
    link: Link,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

impl End {
    fn new(number: u8, from: Shared, to: Shared, setting: Setting) -> Result<Self> {
        let mut link = Link { from, to, setting };
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut link, Clock::now());
        let address = IpCidr::new(IpAddress::v4(192, 0, 2, number), 24);
        let mut added = Ok(());
        interface.update_ip_addrs(|addresses| added = addresses.push(address));
        added.map_err(|_| anyhow!("smoltcp has no room for an address"))?;
        let buffer = || tcp::SocketBuffer::new(vec![0; setting.buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        Ok(Self {
            link,
            interface,
            sockets,
            socket,
        })
    }

    fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    fn poll(&mut self) {
        self.interface
            .poll(Clock::now(), &mut self.link, &mut self.sockets);
    }
}

struct Pair {
    client: End,
    server: End,
    next: u16,
}

impl Pair {
    fn new(setting: Setting) -> Result<Self> {
        let (there, back): (Shared, Shared) = Default::default();
        Ok(Self {
            client: End::new(1, back.clone(), there.clone(), setting)?,
            server: End::new(2, there, back, setting)?,
            next: 10_000,
        })
    }

    fn poll(&mut self) {
        self.client.poll();
        self.server.poll();
    }

    fn connect(&mut self) -> Result<()> {
        self.server.tcp().listen(PORT)?;
        self.next = 10_000 + (self.next - 9_999) % 50_000;
        let End {
            interface,
            sockets,
            socket,
            ..
        } = &mut self.client;
        let remote = (IpAddress::v4(192, 0, 2, 2), PORT);
        sockets
            .get_mut::<tcp::Socket>(*socket)
            .connect(interface.context(), remote, self.next)?;
        self.until("connects", |pair| {
            pair.client.tcp().may_send() && pair.server.tcp().may_send()
        })
    }

    /// Both ends close; the client's TIME-WAIT is cut short, since its socket is used again.
    fn close(&mut self) -> Result<()> {
        self.client.tcp().close();
        self.until("hears of the end", |pair| {
            pair.server.tcp().state() == tcp::State::CloseWait
        })?;
        self.server.tcp().close();
        self.until("closes", |pair| !pair.server.tcp().is_open())?;
        self.client.tcp().abort();
        self.poll();
        Ok(())
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Result<()> {
        for _ in 0..PATIENCE {
            self.poll();
            if done(self) {
                return Ok(());
            }
        }
        Err(anyhow!("smoltcp never {what}"))
    }
}

/// Gigabits a second, one flow. What is sent is written, and what arrives is copied out.
pub(crate) fn bulk(setting: Setting, time: Duration) -> Result<f64> {
    let mut pair = Pair::new(setting)?;
    pair.connect()?;
    let data = vec![0x5a; setting.buffer];
    let mut out = vec![0; setting.buffer];
    let (start, mut total) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        for _ in 0..64 {
            if pair.client.tcp().can_send() {
                pair.client.tcp().send_slice(&data)?;
            }
            pair.poll();
            while pair.server.tcp().can_recv() {
                total += pair.server.tcp().recv_slice(&mut out)? as u64;
            }
        }
    }
    Ok(total as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// Round trips of one byte a second.
pub(crate) fn round_trips(setting: Setting, time: Duration) -> Result<f64> {
    let mut pair = Pair::new(setting)?;
    pair.connect()?;
    let (start, mut trips) = (Instant::now(), 0_u64);
    let mut byte = [7];
    while start.elapsed() < time {
        for _ in 0..64 {
            ensure!(pair.client.tcp().send_slice(&byte)? == 1, "a byte fits");
            pair.until("takes a byte", |pair| pair.server.tcp().can_recv())?;
            pair.server.tcp().recv_slice(&mut byte)?;
            ensure!(pair.server.tcp().send_slice(&byte)? == 1, "a byte fits");
            pair.until("answers", |pair| pair.client.tcp().can_recv())?;
            pair.client.tcp().recv_slice(&mut byte)?;
        }
        trips += 64;
    }
    Ok(trips as f64 / start.elapsed().as_secs_f64())
}

/// Connections a second that are opened, accepted and closed, with sockets that are used again.
pub(crate) fn connections(setting: Setting, time: Duration) -> Result<f64> {
    let mut pair = Pair::new(setting)?;
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        pair.connect()?;
        pair.close()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
