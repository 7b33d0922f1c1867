//! Running a program: the threads, the start, the end.

use crate::backend::{Backend, Errno};
use crate::bridge::Bridge;
use crate::child::{self, Child, StartError};
use crate::descriptors::lock;
use crate::ends::Ends;
use crate::filter;
use crate::mirror::{self, Exit};
use crate::names::Names;
use crate::notify;
use crate::relay::lane::Joints;
use crate::supervisor::Supervisor;
use crate::sys::Listener;
use crate::view::{Mount, View};
use crate::waiting::Waiting;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How a program is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long what the program wrote may take, after its end, to be handed to the node.
    pub flush_timeout: Duration,
    /// Whether signals to this process are the program's, and its stops ours.
    pub mirror_signals: bool,
    /// How the program's threads wait for the answers to their calls.
    pub waiting: Waiting,
    /// Whether the data of a TCP connection within the run goes from end to end past the node's packets, unless somebody wants
    /// to see them.
    pub join: bool,
    /// Whether /proc/net shows the program the node: in a mount namespace of its own, whose other mounts are ours; an ordinary
    /// user's program is in a user namespace as well, in which it is who it was, but files of others seem to be nobody's.
    pub proc_net: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_timeout: Duration::from_secs(5),
            mirror_signals: true,
            waiting: Waiting::best(),
            join: true,
            proc_net: false,
        }
    }
}

/// Runs programs whose internet sockets live on a node.
pub struct Runner<B> {
    backend: B,
    options: Options,
}

impl<B: Backend> Runner<B> {
    /// A runner for one program on this node.
    pub fn new(backend: B, options: Options) -> Self {
        Self { backend, options }
    }

    /// Starts a program: its name, looked for along `PATH`, and its arguments, the first of which is the name again.
    ///
    /// The program inherits environment, working directory and descriptors, save internet sockets, which are listed in
    /// [`Running::withheld`]. It is killed if this process is killed.
    ///
    /// # Errors
    /// There is no such program, it does not run, or the machine does not allow it to be supervised.
    pub fn spawn(self, argv: &[OsString]) -> Result<Running, StartError> {
        let Self { backend, options } = self;
        let system = |step| move |reason: io::Error| StartError::System { step, reason };
        if options.mirror_signals {
            mirror::begin();
        }
        // Orphans of the program become our children: what Yama calls a descendant stays one.
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))
            .map_err(|error| system("become a subreaper")(error.into()))?;
        let (view, mount) = view_of(&backend, &options)?;
        let ends = Ends::new().map_err(|error| system("make a socket")(error.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system("make an event loop"))?;
        let (stopped, stop) = io::pipe().map_err(system("make a pipe"))?;
        let (ending, ended) = watch::channel(false);
        let (carrying, carried) = mpsc::channel(1);
        let handle = runtime.handle().clone();
        let (started, start) = std_mpsc::channel();
        let argv = argv.to_vec();
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let build = move |listener, threads| {
            let mut made =
                Supervisor::new(backend, listener, threads, ends, handle, ended, carrying);
            made.joints = options.join.then(Joints::default);
            made
        };
        // This thread starts the program because the program is to die with it, and it lives as long as the run.
        let notify = thread::Builder::new()
            .name("sockeye-notify".into())
            .spawn(
                move || match child::start(&argv, filter::program(), options.waiting, mount) {
                    Ok(Child {
                        pid,
                        listener,
                        threads,
                        withheld,
                    }) => {
                        let supervisor = Arc::new(build(Listener::new(listener), threads));
                        let told = started.send(Ok((
                            pid,
                            withheld,
                            supervisor.clone() as Arc<dyn Ending>,
                        )));
                        if told.is_ok() {
                            supervisor
                                .runtime
                                .spawn(supervisor.clone().sweep_now_and_then());
                            notify::serve(&supervisor, &stopped.into());
                        }
                    }
                    Err(error) => drop(started.send(Err(error))),
                },
            )
            .map_err(system("start a thread"))?;
        let outcome = start.recv().unwrap_or_else(|_| {
            Err(StartError::System {
                step: "start a thread",
                reason: io::Error::other("it ended at once"),
            })
        });
        let (pid, withheld, supervisor) = outcome?;
        raise_descriptor_limit();
        let relay = thread::Builder::new()
            .name("sockeye-relay".into())
            .spawn(move || {
                // An end without a word is an end as well.
                let _ = runtime.block_on(finished);
                runtime.shutdown_background();
            })
            .map_err(system("start a thread"))?;
        if options.mirror_signals {
            mirror::program_is(pid);
        }
        Ok(Running {
            pid,
            withheld,
            options,
            supervisor,
            ending,
            carried,
            finish: Some(finish),
            stop: Some(stop.into()),
            threads: Some((notify, relay)),
            sharing: Mutex::default(),
            _view: view,
        })
    }
}

/// What /proc/net is to show, if the options want it, and how it gets there.
fn view_of<B: Backend>(
    backend: &B,
    options: &Options,
) -> Result<(Option<View>, Option<Mount>), StartError> {
    if !options.proc_net {
        return Ok((None, None));
    }
    let system = |step| move |reason: io::Error| StartError::System { step, reason };
    let node = backend.node();
    let node = node.ok_or_else(|| io::Error::other("what runs the program is no node"));
    let view = node.and_then(|node| View::new(node.clone()));
    let view = view.map_err(system("write files for /proc/net"))?;
    let link = view.link().map_err(system("name files for /proc/net"))?;
    Ok((Some(view), Some(Mount::new(link))))
}

/// What the end of a run needs of the supervisor, whatever its backend.
trait Ending: Send + Sync {
    fn end(&self);
    fn clear(&self);
    fn names(&self) -> &Names;
    fn runtime(&self) -> &tokio::runtime::Handle;
}

/// The supervisor, for those who live as long as a socket of the node.
pub(crate) struct Shared(Arc<dyn Ending>);

impl Shared {
    pub(crate) fn names(&self) -> &Names {
        self.0.names()
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        self.0.runtime()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<B: Backend> Ending for Supervisor<B> {
    fn end(&self) {
        Self::end(self);
    }

    fn clear(&self) {
        self.table.clear();
    }

    fn names(&self) -> &Names {
        &self.ends.names
    }

    fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }
}

/// A program that runs.
#[must_use = "the program is served until this is dropped"]
pub struct Running {
    pid: i32,
    withheld: Vec<RawFd>,
    options: Options,
    supervisor: Arc<dyn Ending>,
    ending: watch::Sender<bool>,
    carried: mpsc::Receiver<()>,
    finish: Option<tokio::sync::oneshot::Sender<()>>,
    stop: Option<OwnedFd>,
    threads: Option<(JoinHandle<()>, JoinHandle<()>)>,
    /// Nodes that share the run's names.
    sharing: Mutex<Vec<sockeye::Node>>,
    /// What /proc/net shows, for as long as the program runs.
    _view: Option<View>,
}

impl Running {
    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// An AF_UNIX socket of the kernel's whose abstract names are the run's: under them this process and the program meet.
    ///
    /// # Errors
    /// The machine allows no network namespace of one's own (see `sockeye doctor`), or `ESOCKTNOSUPPORT`.
    pub fn unix_socket(&self, ty: i32) -> Result<OwnedFd, Errno> {
        let names = self.supervisor.names();
        match names.socket(ty, false) {
            Some(made) => made,
            None => Err(names.refusal().unwrap_or(Errno::PERM)),
        }
    }

    /// Shares the abstract names of the run with a node, from now on: connections and sequenced packets of
    /// [`sockeye::unix`] on the node and of the program meet under one name. What names the node's sockets have already stays
    /// theirs.
    ///
    /// # Errors
    /// As for [`unix_socket`](Self::unix_socket).
    pub fn share_names_with(&self, node: &sockeye::Node) -> Result<(), Errno> {
        if let Some(refusal) = self.supervisor.names().refusal() {
            return Err(refusal);
        }
        let run = Arc::new(Shared(self.supervisor.clone()));
        node.share_names(Some(Arc::new(Bridge { run })));
        lock(&self.sharing).push(node.clone());
        Ok(())
    }

    /// Internet sockets of this process that the program would have inherited, and did not: through them it would have reached
    /// the host's network.
    #[must_use]
    pub fn withheld(&self) -> &[RawFd] {
        &self.withheld
    }

    /// Waits until the program has ended and all that it wrote has been handed to the node, and says how it ended. Processes
    /// that it left behind keep running, without a network.
    ///
    /// Reaps every child of this process meanwhile: the program's orphans are among them.
    ///
    /// # Errors
    /// The program cannot be waited for, because somebody else has.
    pub fn wait(mut self) -> Result<Exit, Errno> {
        let exit = mirror::wait(self.pid)?;
        self.ending.send_replace(true);
        self.supervisor.end();
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
        {
            let flushed = async { while self.carried.recv().await.is_some() {} };
            let flushed = runtime.block_on(async {
                tokio::time::timeout(self.options.flush_timeout, flushed).await
            });
            if flushed.is_err() {
                tracing::warn!(timeout = ?self.options.flush_timeout, "data that the program wrote was not delivered in time");
            }
        }
        Ok(exit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for node in lock(&self.sharing).drain(..) {
            node.share_names(None);
        }
        self.supervisor.end();
        drop(self.stop.take());
        drop(self.finish.take());
        let Some((notify, relay)) = self.threads.take() else {
            return;
        };
        let _ = relay.join();
        self.supervisor.clear();
        // The notify thread may sit in the kernel until an orphan makes its next call; it holds nothing that matters.
        drop(notify);
    }
}

/// Every connection of the program takes a descriptor of ours. The program keeps the limit it had.
fn raise_descriptor_limit() {
    let Rlimit {
        current: _,
        maximum,
    } = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
