//! Threads and what belongs to one: the team that stands by while a plan runs, work handed to it, and memory that a thread
//! keeps. It must not know a kernel or a plan.

pub(crate) mod par;
pub(crate) mod scratch;
pub(crate) mod team;
