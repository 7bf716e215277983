//! A router for each process.
//!
//! A forked child has its parent's memory and sockets. If both used one connection, each would read the
//! other's replies; and a lock that another thread of the parent held at the fork is never released in the
//! child. So each call checks the process id, which costs nothing beside a round trip, and a child starts
//! with a new router. The check takes no lock.

use std::process;
use std::sync::Arc;

use once_cell::race::OnceBox;

use crate::redis::net::node::Limits;
use crate::redis::net::url::Deployment;
use crate::redis::net::{Connector, Deadline, Failure};
use crate::redis::request::Request;
use crate::redis::router::{AddressMap, Router};

/// Everything that a router is made from.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) deployment: Deployment,
    pub(crate) limits: Limits,
    pub(crate) connector: Arc<Connector>,
    /// Connects to Sentinels, which have passwords of their own.
    pub(crate) scouts: Arc<Connector>,
    pub(crate) address_map: Option<AddressMap>,
}

pub(crate) struct Routers {
    recipe: Recipe,
    first: OfProcess,
}

struct OfProcess {
    process: u32,
    router: Router,
    /// The router of a child forked off this process.
    forked: OnceBox<OfProcess>,
}

impl Routers {
    pub(crate) fn new(recipe: Recipe) -> Self {
        let first = OfProcess::new(&recipe);
        Self { recipe, first }
    }

    /// See [`Router::ask`].
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_, T>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        self.here().ask(request, deadline)
    }

    /// See [`Router::ask_many`].
    pub(crate) fn ask_many<T: Send>(
        &self,
        requests: &[Request<'_, T>],
        deadline: Deadline,
    ) -> Vec<Result<T, Failure>> {
        self.here().ask_many(requests, deadline)
    }

    /// The router of this process.
    fn here(&self) -> &Router {
        let process = process::id();
        let mut found = &self.first;
        while found.process != process {
            found = found.forked.get_or_init(|| {
                found.router.abandon();
                Box::new(OfProcess::new(&self.recipe))
            });
        }
        &found.router
    }
}

impl OfProcess {
    fn new(recipe: &Recipe) -> Self {
        Self { process: process::id(), router: Router::new(recipe.clone()), forked: OnceBox::new() }
    }
}
