//! Models of trypema's lock-free core, explored exhaustively by loom.
//!
//! `window` is the library's own source, compiled against [`sync`], which hands out loom's types in
//! place of the real ones and shrinks the sizes, so that rings grow, shrink and wrap within a few
//! operations. What is modelled is therefore what is shipped.
//!
//! # What a model says
//!
//! Each model is named for one invariant and is explored up to a number of *preemptions*: switches
//! away from a thread that could have gone on. Bound 2 is the default and what CI runs: the races
//! that we know of need one or two. `TRYPEMA_LOOM_BOUND=3` runs the long version, and `=none` the
//! unbounded one, where that ends. The explorer prints bound, iterations and time; a model that
//! prints "exhausted" has seen every interleaving within its bound.
//!
//! The explorer starts the threads of a model in every order, which its file gives the reason for.
//! Admissions are judged by the tick that they were counted at; see [`judge`].
//!
//! # What loom does not see
//!
//! Longer histories than a few calls, and now and then a race that its way of searching hides: see
//! [`explore`]. The random interleavings in `random/` are there for those.
//!
//! Loom treats `SeqCst` accesses as `AcqRel` (the core uses none), weak compare-and-swap as the
//! strong one (none either), and runs at most five threads. Reclamation is modelled apart, in
//! `reclaim`, with the real crossbeam-epoch; everywhere else outgrown rings are kept until the
//! execution has ended.
#![cfg(test)]

mod explore;
mod judge;
mod models;
mod scene;
mod sync;

#[cfg(crossbeam_loom)]
mod poison;

#[path = "../../src/redis/net/breaker.rs"]
mod breaker;
#[path = "../../src/redis/generations.rs"]
mod generations;
#[path = "../../src/hybrid/lease.rs"]
mod lease;
#[path = "../../src/wait/queue.rs"]
#[expect(dead_code, reason = "what wakes every line is a loop over what wakes one")]
mod queue;
#[path = "../../src/local/slot_pool.rs"]
#[expect(dead_code, reason = "the count is read by the map alone")]
mod slot_pool;
#[path = "../../src/window/mod.rs"]
#[expect(dead_code, reason = "what reads and reports is tested elsewhere")]
mod window;
