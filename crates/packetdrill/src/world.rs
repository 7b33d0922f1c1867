//! The world of a script: one node with one link, a clock, and the descriptors.

use crate::descriptors::{Descriptors, Object, error};
use crate::flags::Flags;
use crate::interface::UserData;
use crate::sysctls::Follower;
use crate::wire::Wire;
use libc::c_int;
use sockeye::{IpNet, LinkConfig, ManualClock, Node, Socket};
use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

/// What the tool's clock shows when the node's stands at zero: 2020-09-13, so that nothing that
/// looks at the date thinks itself in 1970.
const EPOCH: Duration = Duration::from_secs(1_600_000_000);

/// What a reading of the clock costs. The tool spins on it through the last 20 µs of a wait.
const READING: Duration = Duration::from_micros(1);

/// How long the script waits until the other thread has noted what its call returned, in real time.
const RETURN_MAX: Duration = Duration::from_millis(200);
/// How often it looks whether that thread is done.
const NOTING: Duration = Duration::from_micros(100);

static WORLD: OnceLock<World> = OnceLock::new();

thread_local! {
    /// When this thread's last call returned, until the thread has read the clock.
    static RETURNED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) clock: ManualClock,
    pub(crate) wire: Wire,
    descriptors: Mutex<Descriptors>,
    follower: Mutex<Option<Follower>>,
    /// The thread that plays the script. The tool has a second one, for calls that block.
    main: ThreadId,
    /// The second thread, when a call of its has returned that the tool may not have noted.
    returning: Mutex<Option<libc::pid_t>>,
}

impl World {
    /// Makes the one world of the process; with flags that make none, ends it.
    pub(crate) fn install(flags: &str) -> &'static Self {
        WORLD.get_or_init(|| {
            let made = Flags::parse(flags).and_then(|flags| {
                Self::new(flags).map_err(|error| format!("no node could be made: {error}"))
            });
            made.unwrap_or_else(|error| die(&format!("--so_flags: {error}")))
        })
    }

    /// The one that was made, if any was.
    pub(crate) fn installed() -> Option<&'static Self> {
        WORLD.get()
    }

    /// What a call of the tool works on.
    pub(crate) fn of<'a>(userdata: UserData) -> &'a Self {
        // SAFETY: the tool passes what `packetdrill_interface_init` put into the structure: a
        // world in a static, never dropped, and only ever shared.
        unsafe { &*userdata.cast_const().cast::<Self>() }
    }

    fn new(flags: Flags) -> io::Result<Self> {
        let clock = ManualClock::new();
        let wire = Wire::new(flags.mtu, flags.gso);
        let mut link = LinkConfig::new().detect_duplicates(false);
        // Its neighbour discovery would get into the script's way.
        link.link_local = false;
        link.addresses = flags.addresses;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&flags.seed.to_le_bytes());
        let node = Node::builder()
            .config(flags.config)
            .seed(seed)
            .clock(clock.clone())
            .link("tun0", Box::new(wire.clone()), link)
            .build()?;
        let interfaces = node.interfaces()?;
        let tun = interfaces.iter().find(|interface| interface.name == "tun0");
        let tun = tun.map(|tun| tun.id).ok_or_else(|| error(libc::ENODEV))?;
        // Everybody else is a neighbour on the link.
        for everywhere in ["0.0.0.0/0", "::/0"] {
            if let Ok(everywhere) = everywhere.parse::<IpNet>() {
                node.add_route(everywhere, None, tun, 0)?;
            }
        }
        Ok(Self {
            node,
            clock,
            wire,
            descriptors: Mutex::default(),
            follower: Mutex::new(flags.follow.map(Follower::new)),
            main: std::thread::current().id(),
            returning: Mutex::default(),
        })
    }

    pub(crate) fn descriptors(&self) -> MutexGuard<'_, Descriptors> {
        lock(&self.descriptors)
    }

    /// What a number names.
    pub(crate) fn object(&self, fd: c_int) -> io::Result<Object> {
        self.descriptors().get(fd)
    }

    /// The socket of a number.
    pub(crate) fn socket(&self, fd: c_int) -> io::Result<Arc<Socket>> {
        match self.object(fd)? {
            Object::Socket(socket) => Ok(socket),
            Object::Epoll(_) | Object::Pipe(_) => Err(error(libc::ENOTSOCK)),
        }
    }

    /// Takes over what the script has changed of the namespace's settings.
    fn follow(&self) -> io::Result<()> {
        let mut follower = lock(&self.follower);
        let Some(follower) = &mut *follower else {
            return Ok(());
        };
        let mut config = self.node.config()?;
        if follower.follow(&mut config) {
            self.node.set_config(config)?;
        }
        Ok(())
    }

    /// What the tool's clock shows.
    ///
    /// A thread that comes back from a call reads when it came back, however much time has been
    /// made to pass by the other before it got to run.
    pub(crate) fn read_clock(&self) -> Duration {
        let now = RETURNED.take().unwrap_or_else(|| {
            let now = self.clock.now();
            self.clock.advance(READING);
            now
        });
        EPOCH + now
    }

    /// Before the script lets time pass: that a call has returned on the other thread is to be known
    /// to the tool, as it would be on a real clock. It is when that thread sleeps again.
    pub(crate) fn let_others_return(&self) {
        self.clock.settle();
        if let Some(thread) = lock(&self.returning).take() {
            let tries = RETURN_MAX.as_micros() / NOTING.as_micros();
            for _ in 0..tries {
                if sleeps(thread) {
                    break;
                }
                std::thread::sleep(NOTING);
            }
        }
    }

    /// A moment of the node on the tool's clock.
    pub(crate) fn shown(&self, at: Duration) -> Duration {
        EPOCH + at
    }
}

/// Runs one call of the tool on the world that it was given, and says how it ended as C does.
pub(crate) fn call<T: From<i8>>(
    userdata: UserData,
    work: impl FnOnce(&World) -> io::Result<T>,
) -> T {
    let world = World::of(userdata);
    enter(world, |world| world.follow().and_then(|()| work(world)))
}

/// See [`call`]; without a look at the namespace's settings.
pub(crate) fn enter<T: From<i8>>(world: &World, work: impl FnOnce(&World) -> io::Result<T>) -> T {
    // What the call does before it waits and after it was woken belongs to one moment.
    let held = world.clock.hold();
    let is_main = std::thread::current().id() == world.main;
    // Nobody is left to move the clock while the script itself waits in a call.
    let driving = is_main.then(|| world.clock.drive());
    let done = work(world);
    if !is_main {
        RETURNED.set(Some(world.clock.now()));
        // SAFETY: no pointer is passed.
        *lock(&world.returning) = Some(unsafe { libc::gettid() });
    }
    drop(driving);
    drop(held);
    done.unwrap_or_else(|error| {
        // SAFETY: the place of the calling thread's errno, which libc keeps.
        unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EIO) };
        T::from(-1)
    })
}

/// Whether a thread of the process waits for something (proc_pid_stat(5)).
fn sleeps(thread: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // The name before the state may hold anything, spaces and parentheses too.
    stat.is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, state)| state.starts_with(" S"))
    })
}

/// Ends the run as the tool ends it when a script fails.
pub(crate) fn die(why: &str) -> ! {
    eprintln!("sockeye: {why}");
    std::process::exit(1);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
