//! Connections to servers: blocking, and each call with one deadline for all that it waits for.

pub(crate) mod address;
mod breaker;
pub(crate) mod connect;
mod connection;
pub(crate) mod deadline;
pub(crate) mod failure;
pub(crate) mod guard;
pub(crate) mod needs;
pub(crate) mod node;
pub(crate) mod pool;
mod resolve;
mod socket;
pub(crate) mod tls;
pub(crate) mod url;

pub(crate) use address::Address;
pub(crate) use connect::{Connector, Role};
pub(crate) use deadline::Deadline;
pub(crate) use failure::Failure;
pub(crate) use node::Node;
