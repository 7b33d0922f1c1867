//! Captures of what the nodes of a test run send and receive, for tshark to look through
//! (`.ci/run`): in the folder that `SOCKEYE_TEST_CAPTURES` names, if it names one.

use crate::Result;
use sockeye::drivers::Recorder;
use sockeye::link::Link;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where captures go.
const FOLDER: &str = "SOCKEYE_TEST_CAPTURES";
/// Bytes of one capture; bulk transfers say the same over and over.
const CAPTURE_MAX: usize = 4 << 20;

/// `link`, and its packets in a capture where captures are wanted.
///
/// # Errors
/// The capture can't be written.
pub fn recorded(link: impl Link + 'static) -> Result<Box<dyn Link>> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return Ok(Box::new(link));
    };
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{serial}.pcapng", std::process::id());
    let out = Bounded {
        out: File::create(folder.join(name))?,
        room: CAPTURE_MAX,
    };
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let recorder = Recorder::new(out, epoch)?;
    Ok(Box::new(recorder.tap(link, "eth0")))
}

/// A command in the place of `binary` in `dir` that captures what the binary's node does, where
/// captures are wanted.
pub(crate) fn capturing(binary: PathBuf, dir: &Path) -> Result<PathBuf> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return Ok(binary);
    };
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' --pcap '* | *' --pcap='*) exec {binary} \"$@\";; esac\ncase $1 in run|ping|trace|nc|scan) command=$1; shift\n\
         exec {binary} \"$command\" --pcap {folder}/cli-$$.pcapng \"$@\";; esac\nexec {binary} \"$@\"\n",
        binary = binary.display(),
        folder = folder.display(),
    );
    let wrapper = dir.join("capturing");
    std::fs::write(&wrapper, script)?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    Ok(wrapper)
}

/// Takes so many bytes, by whole writes, and lets the rest go.
struct Bounded {
    out: File,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.checked_sub(bytes.len()) {
            Some(room) => {
                self.out.write_all(bytes)?;
                self.room = room;
            }
            None => self.room = 0,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
