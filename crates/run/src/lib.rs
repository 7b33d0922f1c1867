//! Runs a program that nobody changed with every internet socket it opens living on a node.
//!
//! [`Runner`] starts the program under a seccomp filter whose user notifications this crate answers: socket, bind, connect,
//! accept and the other control calls go to the node ([`Backend`]), and what the program holds are real descriptors, ends of
//! AF_UNIX sockets, over which data moves by ordinary reads and writes. Nothing needs root.
//!
//! Where things are: the filter (`filter`, over the assembler `bpf`); starting the program and being it (`child`, `mirror`);
//! the thread that takes calls (`notify`) and what it shares with the tasks (`supervisor`); which descriptors are ours
//! (`descriptors`) and how they are made (`ends`); the program's memory (`memory`, `address`); the calls themselves, a family a
//! file (`calls`); carrying streams (`relay`); what a machine allows ([`doctor`]).
//!
//! The node is `sockeye::Node` (`node` says how it answers the calls). Not here: the virtual network it is attached to.

mod address;
pub mod backend;
mod bpf;
mod buffers;
mod calls;
mod child;
mod descriptors;
pub mod doctor;
mod ends;
mod filter;
mod memory;
mod mirror;
mod node;
mod notify;
mod relay;
mod runner;
mod supervisor;
mod sys;
pub mod user;

pub use backend::{Backend, NodeSocket};
pub use child::StartError;
pub use mirror::Exit;
pub use runner::{Options, Runner, Running};
