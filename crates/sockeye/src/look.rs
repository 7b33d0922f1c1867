//! How long a thread that waits looks for its wake-up before it sleeps.
//!
//! Where the other thread has a core of its own and answers soon, sleeping and being woken costs more
//! than all else. So a thread looks for as long as its last waits promise to last, but never longer
//! than two threads take to be woken one by the other: what a look in vain costs is no more than what
//! one that is not can save. Who waits longer looks half as long next time, and soon not at all: a
//! thread with little to do uses no core.
//!
//! Less than that would not do. When one of two that talk to each other has fallen asleep, the other
//! has to look until it is awake, or they sleep in turns from then on. What counts as a wait ends with
//! the wake-up, not when the thread runs again: else each would find its waits too long.

// None of this orders anything: whatever is read here changes how long a look is, and nothing else.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest look.
const LONGEST: Duration = Duration::from_micros(100);
/// What is shorter is not worth two readings of the clock.
const SHORTEST: Duration = Duration::from_micros(4);
/// Looks between two readings of the clock.
const LOOKS: u32 = 32;
/// No core.
const NOWHERE: u32 = u32::MAX;

/// Of one thread. Others write the stamp alone.
#[derive(Debug)]
pub(crate) struct Look {
    epoch: Instant,
    /// The plan: nanoseconds of the next look, and of being woken.
    next: AtomicU32,
    waking: AtomicU32,
    /// Nanoseconds from the epoch to the last wake-up from sleep.
    woken_at: AtomicU64,
    /// The core that it came from.
    woken_on: AtomicU32,
}

/// A wait that has come to sleeping.
pub(crate) struct Sleep {
    begun: Instant,
    core: u32,
}

impl Sleep {
    /// Of a wait that began at `begun`.
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            begun,
            core: this_core(),
        }
    }
}

fn this_core() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(NOWHERE)
}

fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

impl Look {
    /// That of a thread whose first wait begins with sleep.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            next: AtomicU32::new(0),
            waking: AtomicU32::new(0),
            woken_at: AtomicU64::new(0),
            woken_on: AtomicU32::new(NOWHERE),
        }
    }

    /// Who wakes the thread from its sleep says when, and where it runs itself.
    pub(crate) fn stamp(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.woken_at.store(now, Ordering::Relaxed);
        self.woken_on.store(this_core(), Ordering::Relaxed);
    }

    /// Looks until `found`, as long as it is worth it and `deadline` has not come. True when it was
    /// found.
    pub(crate) fn look(
        &self,
        begun: Instant,
        deadline: Option<Instant>,
        found: impl Fn() -> bool,
    ) -> bool {
        let plan = self.plan();
        if plan.next.is_zero() {
            return false;
        }
        let left = deadline.map_or(plan.next, |at| at.saturating_duration_since(begun));
        let most = plan.next.min(left);
        loop {
            for _ in 0..LOOKS {
                if found() {
                    self.set(plan.after(Wait::Found(begun.elapsed())));
                    return true;
                }
                std::hint::spin_loop();
            }
            if begun.elapsed() >= most {
                return false;
            }
        }
    }

    /// The thread has slept, and runs again: `woken`, or because its deadline has come.
    pub(crate) fn slept(&self, sleep: &Sleep, woken: bool, has_cores: bool) {
        let now = Instant::now();
        let at = self.epoch + Duration::from_nanos(self.woken_at.load(Ordering::Relaxed));
        // An older stamp is of another sleep: this one had ended before it began.
        let at = at.clamp(sleep.begun, now);
        let same_core = self.woken_on.load(Ordering::Relaxed) == sleep.core;
        self.set(self.plan().after(match woken {
            false => Wait::InVain,
            true if same_core || !has_cores => Wait::Alone,
            true => Wait::Slept {
                waited: at - sleep.begun,
                waking: now - at,
            },
        }));
    }

    fn plan(&self) -> Plan {
        let load = |nanos: &AtomicU32| Duration::from_nanos(nanos.load(Ordering::Relaxed).into());
        Plan {
            next: load(&self.next),
            waking: load(&self.waking),
        }
    }

    fn set(&self, plan: Plan) {
        self.next.store(nanos(plan.next), Ordering::Relaxed);
        self.waking.store(nanos(plan.waking), Ordering::Relaxed);
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The look found the wake-up after so long.
    Found(Duration),
    /// The wake-up came after `waited`, and the thread ran again `waking` later.
    Slept { waited: Duration, waking: Duration },
    /// The thread that woke this one needs its core: it could not run while this one looks.
    Alone,
    /// The deadline came, and nobody.
    InVain,
}

/// What a thread has learnt from its waits.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// How long the next look is.
    next: Duration,
    /// From a wake-up to the thread's running, on average.
    waking: Duration,
}

impl Plan {
    fn after(self, wait: Wait) -> Self {
        let mut plan = self;
        let waited = match wait {
            Wait::Found(waited) => Some(waited),
            Wait::Slept { waited, waking } => {
                let waking = waking.min(LONGEST);
                plan.waking = match self.waking.is_zero() {
                    true => waking,
                    false => self.waking - self.waking / 8 + waking / 8,
                };
                Some(waited)
            }
            Wait::InVain => None,
            Wait::Alone => {
                plan.next = Duration::ZERO;
                return plan;
            }
        };
        let worth = (2 * plan.waking).min(LONGEST);
        plan.next = match waited {
            // It becomes shorter little by little, so that one that comes sooner than the others does not
            // end it.
            Some(waited) if waited <= worth => {
                let shorter = self.next - self.next / 8;
                (2 * waited).max(shorter).max(SHORTEST).min(worth)
            }
            _ => match self.next / 2 {
                half if half < SHORTEST => Duration::ZERO,
                half => half,
            },
        };
        plan
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// A thread that takes `waking` to be woken, and the time for which it looked in vain.
    struct Thread {
        plan: Plan,
        waking: Duration,
        in_vain: Duration,
        sleeps: usize,
    }

    impl Thread {
        fn new(waking: Duration) -> Self {
            Self {
                plan: Plan::default(),
                waking,
                in_vain: Duration::ZERO,
                sleeps: 0,
            }
        }

        /// It waits, and is woken `waited` later; how much later it runs.
        fn wait(&mut self, waited: Duration) -> Duration {
            if waited <= self.plan.next {
                self.plan = self.plan.after(Wait::Found(waited));
                return Duration::ZERO;
            }
            self.in_vain += self.plan.next;
            self.sleeps += 1;
            let waking = self.waking;
            self.plan = self.plan.after(Wait::Slept { waited, waking });
            waking
        }
    }

    /// Both answer within a microsecond, once they are awake.
    fn talk(two: &mut [Thread; 2], times: usize) {
        // How long the one that waits has waited already when the other runs.
        let mut late = us(1);
        for turn in 0..times {
            late = us(1) + two[turn % 2].wait(late);
        }
    }

    #[test]
    fn two_that_answer_each_other_stop_to_sleep_however_long_being_woken_takes() {
        for waking in [us(2), us(8), us(35), us(45), us(90)] {
            let mut two = [Thread::new(waking), Thread::new(waking)];
            talk(&mut two, 8);
            let slept = |two: &[Thread; 2]| two.each_ref().map(|thread| thread.sleeps);
            let before = slept(&two);
            talk(&mut two, 1000);
            assert_eq!(slept(&two), before, "{waking:?}");
            // Somebody else has had one's core for a while: they find each other again.
            two[0].wait(us(3000));
            let late = two[1].wait(us(3000) + waking);
            two[0].wait(us(1) + late);
            talk(&mut two, 8);
            let before = slept(&two);
            talk(&mut two, 1000);
            assert_eq!(slept(&two), before, "{waking:?}");
        }
    }

    #[test]
    fn who_waits_long_soon_does_not_look_at_all() {
        let mut thread = Thread::new(us(40));
        for _ in 0..4 {
            thread.wait(us(30));
        }
        assert_eq!(thread.plan.next, us(60));
        thread.in_vain = Duration::ZERO;
        for _ in 0..1000 {
            thread.wait(us(1000));
        }
        assert_eq!(thread.plan.next, Duration::ZERO);
        assert!(thread.in_vain < us(2 * 60));
        // Nor does one whose waits end with a deadline, be it near.
        for _ in 0..4 {
            thread.wait(us(30));
        }
        for _ in 0..4 {
            thread.plan = thread.plan.after(Wait::InVain);
        }
        assert_eq!(thread.plan.next, Duration::ZERO);
    }

    #[test]
    fn a_look_is_never_longer_than_being_woken_is_worth() {
        let mut thread = Thread::new(us(5));
        thread.wait(us(3));
        assert_eq!(thread.plan.next, us(6));
        thread.wait(us(10));
        assert_eq!(thread.plan.next, us(10));
        thread.wait(us(11));
        assert_eq!(thread.plan.next, us(5));
        // What keeps the thread from its core for long is no reason to look longer.
        let mut thread = Thread::new(us(5000));
        thread.wait(us(99));
        assert_eq!(thread.plan.next, LONGEST);
        thread.wait(us(101));
        assert_eq!(thread.plan.next, LONGEST / 2);
    }

    #[test]
    fn who_shares_its_core_with_the_other_does_not_look() {
        let mut thread = Thread::new(us(5));
        thread.wait(us(3));
        thread.plan = thread.plan.after(Wait::Alone);
        assert_eq!(thread.plan.next, Duration::ZERO);
    }

    #[test]
    fn a_look_ends_with_the_deadline() {
        let look = Look::new();
        let found = std::cell::Cell::new(0);
        let ask = |answer: bool| {
            found.set(found.get() + 1);
            answer
        };
        let begun = Instant::now();
        assert!(
            !look.look(begun, None, || ask(true)),
            "the first wait sleeps"
        );
        assert_eq!(found.get(), 0);
        look.set(Plan {
            next: Duration::from_secs(3600),
            waking: us(50),
        });
        assert!(!look.look(begun, Some(begun), || ask(false)));
        assert_eq!(found.get(), LOOKS);
        assert!(look.look(begun, None, || ask(true)));
    }
}
