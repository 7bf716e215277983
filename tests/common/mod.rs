//! The parts that the suites share: the contract as a naive model, operations to try on it, and the
//! providers that have to agree with it.
//!
//! Behaviour is written once, over [`Provider`], and a suite is run for every provider. Each test
//! crate uses a part of this.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test crate compiles all of this and uses some of it"
)]

pub(crate) mod admissions;
pub(crate) mod answer;
pub(crate) mod check;
pub(crate) mod draws;
pub(crate) mod line;
pub(crate) mod model;
pub(crate) mod ops;
pub(crate) mod plans;
pub(crate) mod provider;
pub(crate) mod spans;
pub(crate) mod trial;
pub(crate) mod two_windows;
pub(crate) mod until;

pub(crate) use answer::Answer;
pub(crate) use model::Model;
pub(crate) use ops::{Case, Grid};
pub(crate) use provider::{LocalAbsolute, LocalSuppressed, Provider};
