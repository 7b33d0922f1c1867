//! One namespace for a run and a node: a name that a socket of the node has is taken in the run's namespace, too, and who
//! connects from one side to a name of the other is joined by a task that carries what comes.
//!
//! Descriptors that a program passes arrive in the node as objects of the type [`OwnedFd`], and such objects as descriptors.
//! Datagrams have no task between the sides on their way to a program: see `mailbox`.

mod mailbox;

use crate::descriptors::lock;
use crate::ends::{self, Watched};
use crate::runner::Shared;
use crate::sys;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, UCred, sockopt,
};
use sockeye::beyond::{Beyond, Inbox, Joined, Mailbox, Taken};
use sockeye::unix::{Credentials, Object, Shutdown, SocketAddr};
use sockeye::{Domain, MessageFlags, Socket, Type, UnixMessage, UnixSend};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;

/// Bytes of a stream that are carried at a time.
const CHUNK: usize = 64 * 1024;

/// Descriptors of one message (Linux: SCM_MAX_FD).
const DESCRIPTORS_MAX: usize = 253;

/// The names of a run, for a node.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) run: Arc<Shared>,
}

impl Bridge {
    fn socket(&self, ty: Type) -> io::Result<OwnedFd> {
        let names = self.run.names();
        let made = names.socket(ty.into(), true);
        made.unwrap_or_else(|| Err(names.refusal().unwrap_or(Errno::PERM)))
            .map_err(Into::into)
    }
}

impl Beyond for Bridge {
    fn bind(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Taken>> {
        let socket = self.socket(ty)?;
        net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
        Ok(Box::new(Name {
            socket: Arc::new(socket),
            name: SocketAddr::from_abstract_name(name)?,
            run: self.run.clone(),
            accepting: Mutex::default(),
        }))
    }

    fn connect(&self, ty: Type, name: &[u8]) -> io::Result<Box<dyn Joined>> {
        let socket = self.socket(ty)?;
        net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
        Ok(Box::new(Joint {
            socket,
            run: self.run.clone(),
        }))
    }

    fn mailbox(&self, inbox: Inbox) -> io::Result<Box<dyn Mailbox>> {
        let socket = self.socket(Type::DGRAM)?;
        let opened = mailbox::Letters::open(socket, inbox, self.run.clone())?;
        Ok(Box::new(opened))
    }
}

/// A name of the node, held in the run's namespace.
#[derive(Debug)]
struct Name {
    socket: Arc<OwnedFd>,
    name: SocketAddr,
    run: Arc<Shared>,
    accepting: Mutex<Option<AbortHandle>>,
}

impl Taken for Name {
    fn listen(&self, listener: &Socket, backlog: i32) -> io::Result<()> {
        net::listen(&self.socket, backlog)?;
        let mut accepting = lock(&self.accepting);
        if accepting.is_some() {
            return Ok(());
        }
        let (node, ty) = (listener.node().clone(), listener.r#type());
        let (socket, name, run) = (self.socket.clone(), self.name.clone(), self.run.clone());
        let task = self.run.runtime().spawn(async move {
            let Ok(listener) = ends::watch(socket) else {
                return;
            };
            while let Ok(mut ready) = listener.readable().await {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let Ok(accepted) =
                    ready.try_io(|fd| Ok(net::accept_with(fd.get_ref().as_fd(), flags)?))
                else {
                    continue;
                };
                let Ok(program) = accepted else {
                    continue;
                };
                let joined = Socket::new_on(&node, Domain::UNIX, ty, None).and_then(|own| {
                    own.set_nonblocking(true)?;
                    own.connect_unix_as(&name, whose(program.as_fd()))?;
                    Ok(own)
                });
                // Else the program's end closes, which it sees as a reset.
                if let Ok(own) = joined {
                    carry(&run, own, program);
                }
            }
        });
        *accepting = Some(task.abort_handle());
        Ok(())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.accepting).take() {
            task.abort();
        }
    }
}

/// A connection to a program.
struct Joint {
    socket: OwnedFd,
    run: Arc<Shared>,
}

impl Joined for Joint {
    fn credentials(&self) -> Credentials {
        whose(self.socket.as_fd())
    }

    fn carry(self: Box<Self>, stand_in: Socket) {
        // It is a fresh socket, whose mode nobody else sets.
        let _ = stand_in.set_nonblocking(true);
        carry(&self.run, stand_in, self.socket);
    }
}

fn whose(socket: BorrowedFd<'_>) -> Credentials {
    sockopt::socket_peercred(socket).map_or(Credentials::NOBODY, |peer| Credentials {
        pid: peer.pid.as_raw_nonzero().get(),
        uid: peer.uid.as_raw(),
        gid: peer.gid.as_raw(),
    })
}

/// Carries both ways until both have ended, or one side is gone.
fn carry(run: &Shared, node: Socket, program: OwnedFd) {
    run.runtime().spawn(async move {
        let Ok(program) = ends::watch(Arc::new(program)) else {
            return;
        };
        // What fails at one side ends at the other as both sockets are dropped.
        let _ = tokio::try_join!(to_node(&program, &node), to_program(&node, &program));
    });
}

async fn to_node(program: &Watched, node: &Socket) -> io::Result<()> {
    let whole = node.r#type() == Type::SEQPACKET;
    loop {
        let mut ready = program.readable().await?;
        let Ok(received) = ready.try_io(|fd| receive(fd.get_ref().as_fd(), whole)) else {
            continue;
        };
        let (data, objects) = received?;
        if data.is_empty() && objects.is_empty() {
            return node.shutdown(Shutdown::Write);
        }
        let mut message = UnixSend {
            data: data.into(),
            objects,
            ..UnixSend::default()
        };
        loop {
            let sent = node.send_unix_async(message.clone()).await?;
            message.objects.clear();
            let _ = message.data.split_to(sent);
            if message.data.is_empty() {
                break;
            }
        }
    }
}

async fn to_program(node: &Socket, program: &Watched) -> io::Result<()> {
    let most = match node.r#type() {
        Type::SEQPACKET => usize::MAX,
        _ => CHUNK,
    };
    loop {
        let message = node.recv_unix_async(most, MessageFlags::empty()).await?;
        if message.len == 0 && message.objects.is_empty() {
            return Ok(net::shutdown(program.get_ref(), net::Shutdown::Write)?);
        }
        let mut sent = 0;
        while sent == 0 || sent < message.len {
            let mut ready = program.writable().await?;
            let Ok(done) = ready.try_io(|fd| send(fd.get_ref().as_fd(), &message, sent)) else {
                continue;
            };
            sent += done?;
            if message.len == 0 {
                break;
            }
        }
    }
}

/// Receives a message, all of which is wanted where it is a `whole` one.
fn receive(program: BorrowedFd<'_>, whole: bool) -> io::Result<(Vec<u8>, Vec<Object>)> {
    let len = match whole {
        true => {
            let flags = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            net::recv(program, &mut [0; 0], flags)?.1
        }
        false => CHUNK,
    };
    let mut data = vec![0; len];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = net::recvmsg(
        program,
        &mut [IoSliceMut::new(&mut data)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    data.truncate(received.bytes);
    let mut objects: Vec<Object> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            objects.extend(passed.map(|fd| Arc::new(fd) as Object));
        }
    }
    Ok((data, objects))
}

/// Sends what is left of a message, and its descriptors with the first of it.
fn send(program: BorrowedFd<'_>, message: &UnixMessage, sent: usize) -> io::Result<usize> {
    let mut skip = sent;
    let mut pieces = Vec::with_capacity(message.data.len());
    for piece in &message.data {
        let rest = &piece[skip.min(piece.len())..];
        skip -= piece.len() - rest.len();
        pieces.push(IoSlice::new(rest));
    }
    let objects = if sent == 0 { &*message.objects } else { &[] };
    Ok(pass(program, None, &pieces, objects, None)?)
}

/// sendmsg(2): data, those of the objects that are descriptors, and what it says of its sender.
fn pass(
    socket: BorrowedFd<'_>,
    to: Option<&SocketAddrUnix>,
    pieces: &[IoSlice<'_>],
    objects: &[Object],
    credentials: Option<Credentials>,
) -> Result<usize, Errno> {
    let passed: Vec<BorrowedFd<'_>> = objects
        .iter()
        .filter_map(|object| Some(object.downcast_ref::<OwnedFd>()?.as_fd()))
        .collect();
    let mut space = vec![
        MaybeUninit::uninit();
        rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))
    ];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !passed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&passed));
    }
    if let Some(said) = credentials {
        control.push(SendAncillaryMessage::ScmCredentials(UCred {
            pid: sys::pid(said.pid)?,
            uid: Uid::from_raw(said.uid),
            gid: Gid::from_raw(said.gid),
        }));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match to {
        Some(to) => net::sendmsg_addr(socket, to, pieces, &mut control, flags),
        None => net::sendmsg(socket, pieces, &mut control, flags),
    }
}
