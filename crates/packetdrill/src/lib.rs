//! A sockeye node under packetdrill: the shared object that the tool loads in place of a kernel.
//!
//! packetdrill plays scripts of packets and socket calls, and checks what the stack under test
//! sends and returns. With `--so_filename` it calls [`packetdrill_interface_init`] and from then on
//! the functions that this fills in, instead of system calls and a network device.
//!
//! - `interface`: the structure of functions, as the tool lays it out;
//! - `world`: the node, its link and its clock, which the tool's own waits move;
//! - `flags`, `sysctls`: how the node is set up, and that it follows the namespace's settings;
//! - `calls`: the socket calls, over `descriptors` and `pointers`;
//! - `preload`: calls that the tool makes past the interface, when this object is preloaded too;
//! - `commands`: what its scripts do in the shell that concerns a node.
//!
//! Time is virtual: it moves when the tool sleeps, waits for a packet or reads the clock, and at
//! each moment only when no thread has anything left to do. So a script ends the same way in every
//! run.

mod calls;
mod commands;
mod descriptors;
mod flags;
mod interface;
mod pointers;
mod preload;
mod sysctls;
mod wire;
mod world;

pub use interface::{Interface, TimeVal, packetdrill_interface_init};
pub use preload::{getpeername, getsockopt, sendfile, system};
