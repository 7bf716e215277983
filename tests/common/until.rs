//! Waiting for what another thread is about to do, without counting on when it does.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than any machine takes that is not stuck. Nothing is ever waited for *this* long by a
/// test that passes.
pub(crate) const FOREVER: Duration = Duration::from_secs(60);

/// Looks until `holds` does. A test that waits in vain fails, and says for what.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < FOREVER, "in vain: until {what}");
        thread::yield_now();
    }
}

/// Whether a wait with [`FOREVER`] for a timeout was admitted because it was woken. One that was
/// forgotten looks a last time when its timeout ends, and may be admitted then.
pub(crate) fn was_woken(wait: &Result<trypema::Admitted, trypema::TrypemaError>) -> bool {
    wait.as_ref().is_ok_and(|admitted| admitted.waited < FOREVER)
}
