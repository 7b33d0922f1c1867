//! Captures: a tap that writes what crosses a link to a pcapng file.
//!
//! * [`PcapTap`] wraps a link and changes nothing: packets pass as they are, offloads stay.
//! * [`Recorder`] is the capture that taps write to, one or several.
//! * [`PcapWriter`] is the file format; [`Capture`] an output in memory.
//!
//! What is written is wire packets: a copy of a super-segment is cut and its checksums are filled
//! in, whatever the device would do of that. A sent packet is written when the link has taken it.
//! The same packets at the same times give the same bytes: the timestamp is the node's time and
//! the wall-clock time of its epoch, which the caller gives.
//!
//! A capture that cannot be written ends; the traffic goes on. [`Recorder::flush`] tells.

mod writer;

pub use crate::watched::Direction;
pub use writer::{CaptureInterface, PcapWriter, TEXT_LEN_MAX};

use crate::netem::Fates;
use crate::queue::lock;
use crate::watched::{Watch, Watched};
use sockeye_link::{Batch, Checksum, Instant, Link, Medium, Packet, offload};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes that a [`Capture`] holds at most.
pub const CAPTURE_LEN_MAX: usize = 256 << 20;

/// A capture under way. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Mutex<Recording>>,
}

struct Recording {
    writer: PcapWriter<Box<dyn Write + Send>>,
    epoch: Duration,
    /// Why it ended, until somebody was told.
    error: Option<io::Error>,
    ended: bool,
    lost: u64,
}

impl Recorder {
    /// Begins a capture into `out`, which is best buffered. `epoch` is when the nodes' time began,
    /// since 1970.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: impl Write + Send + 'static, epoch: Duration) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = Box::new(out);
        let recording = Recording {
            writer: PcapWriter::new(out)?,
            epoch,
            error: None,
            ended: false,
            lost: 0,
        };
        Ok(Self {
            shared: Arc::new(Mutex::new(recording)),
        })
    }

    /// `link` with a tap on it, whose packets belong to an interface called `name`.
    pub fn tap<L: Link>(&self, link: L, name: &str) -> PcapTap<L> {
        self.tap_with(link, name, "", None)
    }

    /// As [`tap`](Self::tap), with a description of the interface. `fates` are those of a
    /// [`Netem`](crate::Netem) that `link` is: what they say of a packet becomes its comment.
    pub fn tap_with<L: Link>(
        &self,
        link: L,
        name: &str,
        description: &str,
        fates: Option<Fates>,
    ) -> PcapTap<L> {
        let medium = link.capabilities().medium;
        let interface = self.described(name, description, medium);
        let capturing = Capturing {
            recorder: self.clone(),
            interface,
            fates,
        };
        Watched::new(link, capturing)
    }

    /// Adds an interface; `None` when the capture has ended.
    pub fn interface(&self, name: &str, medium: Medium) -> Option<CaptureInterface> {
        self.described(name, "", medium)
    }

    fn described(&self, name: &str, description: &str, medium: Medium) -> Option<CaptureInterface> {
        let mut recording = lock(&self.shared);
        let result = recording.writer.interface(name, description, medium);
        recording.check(result)
    }

    /// Says what addresses are called, to who reads the capture.
    pub fn names(&self, names: &[(IpAddr, &str)]) {
        let mut recording = lock(&self.shared);
        let result = recording.writer.names(names);
        let _ = recording.check(result);
    }

    /// Writes one packet as it would be on a wire of `medium`.
    pub fn record(
        &self,
        interface: CaptureInterface,
        medium: Medium,
        now: Instant,
        direction: Direction,
        packet: &Packet,
    ) {
        self.record_with(interface, medium, now, direction, packet, None);
    }

    fn record_with(
        &self,
        interface: CaptureInterface,
        medium: Medium,
        now: Instant,
        direction: Direction,
        packet: &Packet,
        fates: Option<&Fates>,
    ) {
        let comment = || fates.and_then(|fates| fates.next(direction)?.comment());
        let mut recording = lock(&self.shared);
        let on_wire =
            packet.meta.gso.is_none() && !matches!(packet.meta.checksum, Checksum::Partial { .. });
        if on_wire {
            return recording.write(interface, now, direction, packet, comment().as_deref());
        }
        let mut wire = Batch::new();
        match offload::to_wire(packet.clone(), medium, &mut wire) {
            Ok(_) => {
                for piece in &wire {
                    recording.write(interface, now, direction, piece, comment().as_deref());
                }
            }
            Err(error) => {
                let comment =
                    format!("as it was handed over, which is not its form on a wire: {error}");
                recording.write(interface, now, direction, packet, Some(&comment));
            }
        }
    }

    /// Whether packets are still written.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        !lock(&self.shared).ended
    }

    /// Packets that were not written since the capture ended.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.shared).lost
    }

    /// Hands all that was written on to the file.
    ///
    /// # Errors
    /// Why the capture ended before, said once.
    pub fn flush(&self) -> io::Result<()> {
        let mut recording = lock(&self.shared);
        let result = recording.writer.flush();
        let _ = recording.check(result);
        recording.error.take().map_or(Ok(()), Err)
    }
}

impl Recording {
    fn write(
        &mut self,
        interface: CaptureInterface,
        now: Instant,
        direction: Direction,
        packet: &Packet,
        comment: Option<&str>,
    ) {
        if self.ended {
            self.lost += 1;
            return;
        }
        let since_1970 = self
            .epoch
            .saturating_add(Duration::from_nanos(now.as_nanos()));
        // Until the year 2554.
        let time = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        let chunks = packet.chunks();
        let result = self
            .writer
            .packet(interface, time, direction, chunks, comment);
        if self.check(result).is_none() {
            self.lost += 1;
        }
    }

    /// Ends the capture on an error: half a block may be in the file, nothing can follow it.
    fn check<T>(&mut self, result: io::Result<T>) -> Option<T> {
        if self.ended {
            return None;
        }
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.error = Some(error);
                self.ended = true;
                None
            }
        }
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("ended", &self.ended)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// A link whose packets are written to a capture.
pub type PcapTap<L> = Watched<L, Capturing>;

/// Writes the packets of one link to a capture.
#[derive(Debug)]
pub struct Capturing {
    recorder: Recorder,
    /// `None` when the capture had ended before the tap was made.
    interface: Option<CaptureInterface>,
    fates: Option<Fates>,
}

impl Watch for Capturing {
    fn on_packet(&mut self, now: Instant, medium: Medium, direction: Direction, packet: &Packet) {
        if let Some(interface) = self.interface {
            let fates = self.fates.as_ref();
            self.recorder
                .record_with(interface, medium, now, direction, packet, fates);
        }
    }
}

/// A file in memory, of [`CAPTURE_LEN_MAX`] bytes at most. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what was written.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }

    /// Looks at what was written, without a copy.
    pub fn with_bytes<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&lock(&self.bytes))
    }
}

impl Write for Capture {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut bytes = lock(&self.bytes);
        if bytes.len().saturating_add(data.len()) > CAPTURE_LEN_MAX {
            let message = format!("a capture in memory holds {CAPTURE_LEN_MAX} bytes at most");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
