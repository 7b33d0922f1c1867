//! Runs a program that nobody changed with every internet socket it opens living on a node.
//!
//! [`Runner`] starts the program under a seccomp filter whose user notifications this crate answers: socket, bind, connect,
//! accept and the other control calls go to the node ([`Backend`]), and what the program holds are real descriptors, ends of
//! AF_UNIX sockets, over which data moves by ordinary reads and writes. Nothing needs root.
//!
//! Where things are: the filter (`filter`, over the assembler `bpf`); starting the program and being it (`child`, `mirror`);
//! the thread that takes calls (`notify`) and what it shares with the tasks (`supervisor`); how callers wait (`waiting`); which descriptors are ours
//! (`descriptors`, `threads`) and how they are made (`ends`; AF_UNIX sockets: `names`, and `bridge` to those of a node); the program's memory (`memory`, `address`); the calls, a family a
//! file (`calls`); carrying streams (`relay`); netlink, as far as it tells of the network (`netlink`), and /proc/net (`view`, over the system calls of `mounts`); what a machine allows ([`doctor`]).
//!
//! # What a descriptor cannot show
//!
//! | the program | sees | a kernel socket shows |
//! |---|---|---|
//! | reads after an error other than a reset | `ECONNRESET`; `SO_ERROR` tells the truth | the error |
//! | writes first after a reset | `EPIPE` and SIGPIPE | `ECONNRESET` |
//! | plainly receives on a UDP socket after an ICMP error | nothing; calls with an address, and `SO_ERROR`, tell it | the error |
//! | plainly sends on a UDP socket without a peer | success | `EDESTADDRREQ` |
//! | polls with `SO_RCVLOWAT` | readable from the first octet | from the low-water mark |
//! | closes with a lingering time | no waiting | waiting |
//! | polls while urgent data has come, and nothing else | `POLLPRI` and `POLLIN`, until a read has found nothing | `POLLPRI` |
//! | asks `SIOCOUTQ` | what the supervisor has not taken, in the kernel's measure | what the peer has not acknowledged |
//! | connects the same descriptor again after a failure | dups of it stay with the old file | one socket |
//! | has a socket with messages (SCTP, DCCP) | a descriptor from 960 on, whose reads and writes are asked for | the lowest free one |
//! | reads from a dup of it below that, of an SCTP message less than all | the rest is lost; its end and its failure look alike | the rest is read next |
//! | does not read an SCTP socket | the peer's window closes late: what was read ahead counts for nothing | it closes by the receive buffer |
//! | is interrupted in any socket call by a handler without `SA_RESTART` | `EINTR` | only of calls that wait |
//!
//! A program of an ordinary user that forbids inspection (`PR_SET_DUMPABLE` 0, a binary that cannot be read) has no internet
//! sockets; nor has one that needs a seccomp listener of its own, since there can be one alone.
//!
//! The node is `sockeye::Node` (`node` says how it answers the calls). The virtual network it is attached to is [`user`].

mod address;
pub mod backend;
mod bpf;
mod bridge;
mod buffers;
mod calls;
mod child;
mod descriptors;
pub mod doctor;
mod ends;
mod filter;
mod leftovers;
mod memory;
mod mirror;
mod mounts;
mod names;
mod netlink;
mod node;
mod notify;
mod relay;
mod runner;
mod supervisor;
mod sys;
mod threads;
pub mod user;
mod view;
mod waiting;

pub use backend::{Backend, NodeSocket};
pub use child::StartError;
pub use leftovers::end_leftovers;
pub use mirror::Exit;
pub use runner::{Options, Runner, Running};
pub use waiting::Waiting;
