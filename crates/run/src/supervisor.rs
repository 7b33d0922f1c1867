//! The supervisor: what a run shares between the thread that takes trapped calls and the tasks that carry data.
//!
//! A call is answered at once if it can be; one that must wait is *held*: a task answers it later. A thread makes one call at a
//! time, so whatever was held for it ends when its next call comes: that is how a call that a signal interrupted is noticed.
//! An effect is committed once. A held call commits together with its answer, or puts back what it took; a call whose answer did
//! not arrive, but whose effect stands, finds the same answer when it is repeated ([`Supervisor::remember`]).

use crate::backend::{Backend, Errno};
use crate::calls::associations::Deed;
use crate::calls::datagram::errors;
use crate::descriptors::{Found, Swept, Table, lock};
use crate::ends::{self, Ends};
use crate::filter::PLAIN;
use crate::memory::Memory;
use crate::relay::lane::Joints;
use crate::sys::{Call, Listener};
use crate::threads::Threads;
use crate::waiting;
use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

/// How often it is looked whether unwatched sockets still have descriptors, and held calls still wait.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a thread that does not sleep is waited for before it is answered nevertheless: longer than a thread that
/// was woken waits for a core of a busy machine.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers that did not arrive and may be asked for again.
const REMEMBERED_MAX: usize = 1024;

/// Calls that change something each time they are made.
const NOT_IDEMPOTENT: [i64; 5] = [
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_shutdown,
];

/// Calls that must not overtake the datagrams that were written before.
const BEHIND_WHAT_WAS_WRITTEN: [i64; 8] = [
    libc::SYS_connect,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
];

/// What comes of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It returns this.
    Return(i64),
    /// The kernel carries it out.
    Continue,
    /// A task will answer it.
    Held,
    /// It has been answered.
    Answered,
    /// A signal ends it before it has had any effect; it may be made again by the kernel, or fails with `EINTR`.
    Interrupted { restarts: bool },
}

/// What a call returns, or its errno. `EINTR` says that it was interrupted before it had any effect.
pub(crate) type Answer = Result<Outcome, Errno>;

/// An answer that did not arrive.
struct Remembered {
    nr: i64,
    args: [u64; 6],
    instruction_pointer: u64,
    /// Of the data the call sent, if it sends.
    digest: u64,
    result: Result<i64, Errno>,
}

/// While one of these is held, the end of the run waits.
pub(crate) type Share = mpsc::Sender<()>;

pub(crate) struct Supervisor<B: Backend> {
    pub(crate) backend: B,
    pub(crate) listener: Listener,
    pub(crate) table: Table<B::Socket>,
    pub(crate) ends: Ends,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Becomes true when the program has ended and what it wrote must go.
    pub(crate) ending: watch::Receiver<bool>,
    /// Held by everything that still has data of the program; `None` at the end.
    carrying: Mutex<Option<Share>>,
    held: Mutex<BTreeMap<i32, (u64, AbortHandle)>>,
    remembered: Mutex<BTreeMap<i32, Remembered>>,
    sweep_wanted: Notify,
    /// Where the two ends of a connection within the run find each other, if they are to.
    pub(crate) joints: Option<Joints>,
}

/// Whether a call names no address and tells nothing beside the data: the kernel serves it, but for sockets with messages.
fn is_plain(call: &Call) -> bool {
    let addressed = matches!(call.nr, libc::SYS_sendto | libc::SYS_recvfrom) && call.args[4] != 0;
    let plain =
        [libc::SYS_sendto, libc::SYS_recvfrom].contains(&call.nr) || PLAIN.contains(&call.nr);
    plain && !addressed
}

impl<B: Backend> Supervisor<B> {
    pub(crate) fn new(
        backend: B,
        listener: Listener,
        threads: Threads,
        ends: Ends,
        runtime: tokio::runtime::Handle,
        ending: watch::Receiver<bool>,
        carrying: Share,
    ) -> Self {
        Self {
            backend,
            listener,
            table: Table::new(threads),
            ends,
            runtime,
            ending,
            carrying: Mutex::new(Some(carrying)),
            held: Mutex::default(),
            remembered: Mutex::default(),
            sweep_wanted: Notify::new(),
            joints: None,
        }
    }

    /// Serves one trapped call.
    pub(crate) fn serve(self: &Arc<Self>, call: &Call) {
        if let Some((_, task)) = lock(&self.held).remove(&call.tid) {
            task.abort();
        }
        let sends = matches!(
            call.nr,
            libc::SYS_write
                | libc::SYS_writev
                | libc::SYS_sendto
                | libc::SYS_sendmsg
                | libc::SYS_sendmmsg
        );
        if !sends && let Some(result) = self.recall(call, || 0) {
            self.finish(call, result.map(Outcome::Return));
            return;
        }
        let answer = self.dispatch(call);
        tracing::trace!(tid = call.tid, nr = call.nr, args = ?call.args, ?answer, "trapped call");
        self.finish(call, answer);
    }

    fn dispatch(self: &Arc<Self>, call: &Call) -> Answer {
        if call.nr == libc::SYS_socket {
            return match call.args[0] as i32 {
                libc::AF_UNIX => self.unix_socket(call),
                libc::AF_NETLINK => self.netlink_socket(call),
                _ => self.socket(call),
            };
        }
        if call.nr == libc::SYS_ioctl {
            return self.interface_ioctl(call);
        }
        let plain = is_plain(call);
        let (sock, end) = match self.table.find(call)? {
            Found::Foreign if plain => return Ok(Outcome::Continue),
            Found::Ours(sock, _) if plain && !sock.has_messages() && !sock.is_sctp() => {
                return Ok(Outcome::Continue);
            }
            Found::Ours(sock, end) => (sock, end),
            Found::Netlink(socket, end) => return self.on_netlink(call, &socket, end),
            Found::Foreign if call.nr == libc::SYS_connect => return self.connect_foreign(call),
            Found::Foreign => return self.on_foreign(call),
        };
        let mut state = lock(&sock.state);
        if std::mem::take(&mut state.small) {
            ends::size(end.as_fd(), state.buffers.send);
        }
        drop(state);
        sock.caller.store(call.tid, Ordering::Relaxed);
        errors::hide(&sock, &end);
        if BEHIND_WHAT_WAS_WRITTEN.contains(&call.nr) {
            self.flush(&sock);
        }
        match call.nr {
            libc::SYS_bind => self.bind(call, &sock),
            libc::SYS_connect => self.connect(call, &sock, end),
            libc::SYS_listen => self.listen(call, &sock, end),
            libc::SYS_accept => self.accept(call, &sock, end, 0),
            libc::SYS_accept4 => self.accept(call, &sock, end, call.args[3] as i32),
            libc::SYS_getsockname => self.getsockname(call, &sock),
            libc::SYS_getpeername => self.getpeername(call, &sock),
            libc::SYS_getsockopt | libc::SYS_setsockopt => match Deed::of(call, &sock) {
                Some(deed) => self.do_deed(call, &sock, end, deed),
                None if call.nr == libc::SYS_getsockopt => self.getsockopt(call, &sock, &end),
                None => self.setsockopt(call, &sock, &end),
            },
            libc::SYS_shutdown => self.shutdown(call, &sock, &end),
            libc::SYS_read | libc::SYS_readv => self.read(call, &sock, end),
            libc::SYS_write | libc::SYS_writev => self.write(call, &sock, &end),
            libc::SYS_sendto => self.sendto(call, &sock, end),
            libc::SYS_recvfrom => self.recvfrom(call, &sock, end),
            libc::SYS_sendmsg => self.sendmsg(call, &sock, end),
            libc::SYS_recvmsg => self.recvmsg(call, &sock, end),
            libc::SYS_sendmmsg => self.sendmmsg(call, &sock, &end),
            libc::SYS_recvmmsg => self.recvmmsg(call, &sock, end),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Ends a call with what came of it.
    pub(crate) fn finish(&self, call: &Call, answer: Answer) {
        let result = match answer {
            Ok(Outcome::Held | Outcome::Answered) => return,
            Ok(Outcome::Continue) => {
                // An interrupted call is repeated, and comes here again.
                let _ = self.listener.carry_on(call.id);
                return;
            }
            Ok(Outcome::Interrupted { restarts }) => {
                let _ = self.listener.interrupt(call.id, restarts);
                return;
            }
            Ok(Outcome::Return(value)) => Ok(value),
            Err(error) => Err(error),
        };
        if !NOT_IDEMPOTENT.contains(&call.nr) || result == Err(Errno::INTR) {
            let _ = self.listener.answer(call.id, result);
        } else if !self.reply(call, result) {
            self.remember(call, result, 0);
        }
    }

    /// Ends a call with a result that must not get lost. False says that the call was interrupted, and that the program has
    /// not got the answer.
    ///
    /// Without [`Waiting::Firmly`] the kernel has a gap here: a thread that a signal has woken, but that has not yet taken itself
    /// off the list, can be answered with success, and does not heed the answer. So the answer is given to a thread that sleeps;
    /// what is left of the gap under [`Waiting::Lightly`] is the moment between the look and the answer.
    pub(crate) fn reply(&self, call: &Call, result: Result<i64, Errno>) -> bool {
        let begun = Instant::now();
        while !self.table.threads.heeds(call.tid) && begun.elapsed() < PATIENCE {
            if !self.listener.waits(call.id) {
                return false;
            }
            std::thread::yield_now();
        }
        self.listener.answer(call.id, result).is_ok()
    }

    /// Keeps an answer that did not arrive for the same call made again.
    pub(crate) fn remember(&self, call: &Call, result: Result<i64, Errno>, digest: u64) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        let Call {
            id: _,
            tid,
            nr,
            args,
            instruction_pointer,
        } = *call;
        remembered.insert(
            tid,
            Remembered {
                nr,
                args,
                instruction_pointer,
                digest,
                result,
            },
        );
    }

    /// The answer to this very call, if it was made before and interrupted. Any other call of the thread forgets it.
    pub(crate) fn recall(
        &self,
        call: &Call,
        digest: impl FnOnce() -> u64,
    ) -> Option<Result<i64, Errno>> {
        let first = lock(&self.remembered).remove(&call.tid)?;
        let same = (first.nr, first.args, first.instruction_pointer)
            == (call.nr, call.args, call.instruction_pointer);
        (same && first.digest == digest()).then_some(first.result)
    }

    /// Lets a task answer the call, within a time limit if the socket has one, after which it fails with the error that comes
    /// with it. Whatever the task awaits, it may be dropped there.
    ///
    /// A call with a limit is not made again after a signal (signal(7)).
    pub(crate) fn hold(
        self: &Arc<Self>,
        call: &Call,
        limit: Option<(Duration, Errno)>,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        self.hold_with(call, limit, Arc::default(), answer)
    }

    /// The same for a call that moves octets bit by bit: cut short, it returns how many it has moved, if it has.
    pub(crate) fn hold_with(
        self: &Arc<Self>,
        call: &Call,
        limit: Option<(Duration, Errno)>,
        moved: Arc<AtomicUsize>,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let (me, call) = (self.clone(), *call);
        let hides_signals = self.table.threads.waiting.hides_signals();
        let in_time = async move {
            match limit {
                None => answer.await,
                Some((limit, expired)) => tokio::time::timeout(limit, answer)
                    .await
                    .unwrap_or(Err(expired)),
            }
        };
        let mut held = lock(&self.held);
        let task = self.runtime.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = in_time => answer,
                () = waiting::interruption(call.tid), if hides_signals => Ok(Outcome::Interrupted {
                    restarts: limit.is_none(),
                }),
            };
            let cut_short = match &answer {
                Ok(Outcome::Interrupted { .. }) => true,
                Err(error) => limit.is_some_and(|(_, expired)| expired == *error),
                Ok(_) => false,
            };
            match moved.load(Ordering::Relaxed) {
                moved @ 1.. if cut_short => me.finish(&call, Ok(Outcome::Return(moved as i64))),
                _ => me.finish(&call, answer),
            }
        });
        held.insert(call.tid, (call.id, task.abort_handle()));
        drop(held);
        self.sweep_wanted.notify_one();
        Ok(Outcome::Held)
    }

    pub(crate) fn memory<'a>(&'a self, call: &'a Call) -> Memory<'a> {
        Memory::of(&self.listener, call)
    }

    /// A share in what keeps the end of the run waiting, unless the run has ended. Who is to carry what
    /// the program writes takes it before the program can write: a task may begin when all is over.
    pub(crate) fn carrying(&self) -> Option<Share> {
        lock(&self.carrying).clone()
    }

    /// Asks for sweeps as long as there is something to sweep.
    pub(crate) fn want_sweep(&self) {
        self.sweep_wanted.notify_one();
    }

    /// Removes what has lost its last descriptor unseen, now.
    pub(crate) fn sweep(&self) -> Swept {
        self.table.sweep(&self.ends)
    }

    /// Sweeps for ever, while there is something to look after.
    pub(crate) async fn sweep_now_and_then(self: Arc<Self>) {
        loop {
            self.sweep_wanted.notified().await;
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                let Swept { left, .. } = self.sweep();
                let mut held = lock(&self.held);
                held.retain(|_, (id, task)| {
                    let waits = !task.is_finished() && self.listener.waits(*id);
                    if !waits {
                        task.abort();
                    }
                    waits
                });
                if left == 0 && held.is_empty() {
                    break;
                }
            }
        }
    }

    /// Nothing more begins to carry data, and nothing is answered any more.
    pub(crate) fn end(&self) {
        lock(&self.carrying).take();
        for (_, task) in std::mem::take(&mut *lock(&self.held)).into_values() {
            task.abort();
        }
    }
}
