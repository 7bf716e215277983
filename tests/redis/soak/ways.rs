//! Faults of the way to a server.

use std::thread::sleep;
use std::time::Duration;

use super::faults::Times;
use crate::processes::now;
use crate::proxy::{Fault, Proxy, Spoiled};

/// A way to a server, past a proxy that can be in the way.
pub(super) struct Way<'a> {
    pub(super) proxy: &'a mut Proxy,
    pub(super) length: Duration,
    pub(super) delay: Duration,
}

impl Way<'_> {
    fn fault(&self, fault: Fault) -> Times {
        let begun = now();
        self.proxy.set(fault);
        sleep(self.length);
        self.proxy.set(Fault::None);
        (begun, now())
    }
}

/// All that is sent is lost; new connections come about, and are no better.
pub(super) fn black_hole(way: &mut Way<'_>) -> Times {
    let begun = now();
    way.proxy.spoil_all(Spoiled::Swallowed);
    sleep(way.length);
    way.proxy.spoil_old(Spoiled::Swallowed);
    (begun, now())
}

pub(super) fn swallowed(way: &mut Way<'_>) -> Times {
    let begun = now();
    way.proxy.spoil_old(Spoiled::Swallowed);
    (begun, begun)
}

pub(super) fn hanging(way: &mut Way<'_>) -> Times {
    let begun = now();
    let hanging = way.proxy.hang();
    sleep(way.length);
    drop(hanging);
    way.proxy.accept();
    (begun, now())
}

pub(super) fn refused(way: &mut Way<'_>) -> Times {
    let begun = now();
    way.proxy.refuse();
    sleep(way.length);
    way.proxy.accept();
    (begun, now())
}

pub(super) fn slow(way: &mut Way<'_>) -> Times {
    way.fault(Fault::Late(way.delay))
}

pub(super) fn too_slow(way: &mut Way<'_>) -> Times {
    way.fault(Fault::Late(Duration::from_millis(400)))
}

pub(super) fn cut(way: &mut Way<'_>) -> Times {
    way.fault(Fault::Close)
}
