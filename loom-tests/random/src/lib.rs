//! Random interleavings of trypema's lock-free core, with stale reads, checked for
//! linearizability.
//!
//! `window` is the library's own source, compiled against [`sync`], in which every access to an atomic
//! is a point where another thread may go on, a load may see an older value than the last, and a
//! ring's memory is handed out again as soon as nobody may read it. The loom models next door see
//! *every* interleaving of a few calls; here longer histories are drawn at random: more threads,
//! more calls, rings that grow and shrink, ticks and counts that wrap, clocks that disagree, keys
//! that are forgotten and begun afresh. Each has found what the other missed.
//!
//! ```text
//! cargo test --profile loom -p trypema-random-tests                            # what CI runs
//! TRYPEMA_RANDOM_RUNS=300000 cargo test --profile loom -p trypema-random-tests # the long run
//! cargo test --profile loom -p trypema-random-tests --features real-sizes      # as many marks as shipped
//! TRYPEMA_RANDOM_SEED=17 cargo test --profile loom -p trypema-random-tests rings -- --nocapture
//! ```
//!
//! A seed decides all there is in a run, so the same seeds make the same runs on any machine. A run
//! that fails names its seed; the third command repeats that one, and prints every write and
//! every call. `TRYPEMA_RANDOM_FROM` is the first seed, 1 unless set; `TRYPEMA_RANDOM_RUNS` is how many
//! each family runs. With `TRYPEMA_RANDOM_FAIL_FAST` the first check that fails ends the others.
//!
//! # What a run is
//!
//! A family of runs (see [`families`]) is named for the part of the protocol that it is about; a seed draws the
//! shape of one run from it: layout, span, limit, threads, what each calls. Calls of the set-up come
//! first, one after the other, then threads race, and at the end the usage is read at every tick
//! until all has left the window: a unit that was lost or counted twice shows there.
//!
//! Where a race takes several threads that each sleep at one particular place, a script says in
//! which order they run, and every combination of places is run: see [`sleepers`].
//!
//! # What is checked
//!
//! 1. No panic, no assertion of the library, no access to freed memory or to memory whose making
//!    was not published, no call that never ends.
//! 2. No overshoot, by the ticks that admissions say they were counted at ([`judge`]).
//! 3. Linearizability ([`linear`]): there is an order of all calls, agreeing with what happened
//!    before what, in which a sequential model ([`model`]) gives the very same answers. This covers
//!    spurious rejections, what a rejection says of the wait, units given back, idleness.
//!
//! # What it does not see
//!
//! - Loads see any value that coherence and what happened before allow, but a store is never
//!   reordered behind a later load of the same thread in a way that shows values from the future
//!   (no load buffering), and there are no fences. What uses fences is left to loom.
//! - Reclamation is idealised: see [`sync::epoch`].
//! - A random search proves nothing by finding nothing. It shows its worth on bugs that are put in
//!   on purpose: see `loom-tests/src/bin/seeded-bugs`.
#![cfg(test)]

mod act;
mod facts;
mod families;
mod family;
mod fast_path;
mod judge;
mod linear;
mod memory;
mod model;
mod parts;
mod run;
mod size;
mod sleepers;
mod sync;

#[path = "../../../src/window/mod.rs"]
#[expect(dead_code, reason = "what clears a whole map is tested with that")]
mod window;
// `policy` is pure arithmetic and is checked here because here it is checked soonest.
#[path = "../../../src/decision.rs"]
#[expect(dead_code, reason = "what limiters put into a decision is tested with them")]
mod decision;
#[path = "../../../src/error.rs"]
mod error;
#[path = "../../../src/policy/mod.rs"]
#[expect(dead_code, reason = "leased units, which only limiters over Redis have")]
mod policy;
pub use decision::{Admitted, Bucket, RateLimitDecision};
pub use error::TrypemaError;

#[path = "../../../src/local/slot_pool.rs"]
#[expect(dead_code, reason = "how many are used is asked by the map alone")]
mod slot_pool;
