//! The guide: from choosing a limiter to running one in production.
//!
//! | page | answers |
//! |---|---|
//! | [choosing] | is it the right crate, which provider and strategy, how to make keys |
//! | [windows] | how a rate is judged, what a decision says, bursts, memory |
//! | [cookbook] | logins, several limits, failures only, bans, shadow mode, calendar quotas, proxies, pools, fork |
//! | [testing] | time, chance, decisions and errors in tests of your own |
//! | [operations] | the checklist before production, every error and its answer, numbers to watch |
//! | [redis] | one limit for several processes: outages, topologies, cost |
//! | [hybrid] | the same by leases: how they work, what they cost, settings |
//! | [redis_faults] | each fault of Redis, and the answer that a caller gets; written by a test |
//! | [redis_servers] | the servers and versions that all tests were run over |
//! | [soak] | half an hour of faults in random order, and what calls met meanwhile; written by a test |
//! | [guarantees] | the promises, and the models, tests and seeded bugs behind each |
//! | [speed] | how fast it is, beside others, and where it is behind |
//! | [comparison] | governor, leaky-bucket, tower_governor, the async peer, Bucket4j |
//! | [migrating] | from governor, call by call |
//! | [faq] | questions |
//!
//! The same pages are in the repository, under `docs/`. They are compiled into the documentation alone.

// In the pages, links to other pages are by reference, and each page defines its references for those who read
// it as a file. In CommonMark the first definition of a reference counts: `links.md` comes first here, and leads
// to modules instead. `tests/links.rs` compares the two.
macro_rules! page {
    ($name:ident, $file:literal $(, $picture:literal)*) => {
        #[doc = include_str!("links.md")]
        #[doc = include_str!(concat!("../../docs/", $file))]
        $(
            #[doc = concat!("<div id=\"", $picture, "\">\n")]
            #[doc = include_str!(concat!("../../docs/images/", $picture))]
            #[doc = "</div>\n"]
        )*
        pub mod $name {}
    };
}

page!(choosing, "choosing.md", "spike.svg");
page!(windows, "windows.md", "overshoot.svg");
page!(cookbook, "cookbook.md");
page!(testing, "testing.md");
page!(operations, "operations.md");
#[cfg(any(feature = "redis", not(doctest)))]
page!(redis, "redis.md");
#[cfg(any(feature = "redis", not(doctest)))]
page!(hybrid, "hybrid.md");
page!(redis_faults, "redis-faults.md");
page!(redis_servers, "redis-servers.md");
page!(soak, "soak.md");
page!(guarantees, "guarantees.md");
page!(speed, "speed.md", "throughput.svg", "memory.svg");
page!(comparison, "comparison.md");
page!(migrating, "migrating.md");
page!(faq, "faq.md");
