//! The program: everything in one process, the command line, and a demonstration on real traffic.
//!
//! *Reads*: arguments, `AUSPEX_SERVER`, `AUSPEX_TOKEN`, and what [`auspex_chassis`] reads as configuration.
//! *Writes*: standard output, and `.auspex/` when told to keep a mesh of its own (`up`).
//! *Answers*: exit code 0 done, 1 failed, 2 used wrongly or given something invalid, 3 done in part.
//! *Remembers*: nothing.
//! *Invariants*: everything that talks to a mesh does so through its public doors, as any other tool would; nothing but the
//! sample service and the payloads of [`demo`] knows which scenario is played.

pub mod bench;
pub mod cli;
pub mod demo;
pub mod fault;
pub mod services;
