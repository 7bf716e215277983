//! The two algorithms that most rate limiters use, in their textbook form, with time in microseconds.

/// Counts from one fixed moment to the next, and begins anew.
#[derive(Debug)]
pub(crate) struct FixedWindow {
    capacity: u64,
    length: u64,
    /// The number of the window that is counted in, and the count.
    current: u64,
    used: u64,
}

impl FixedWindow {
    pub(crate) fn new(capacity: u64, length: u64) -> Self {
        Self { capacity, length, current: 0, used: 0 }
    }

    pub(crate) fn admits(&mut self, now: u64) -> bool {
        let window = now / self.length;
        if window != self.current {
            (self.current, self.used) = (window, 0);
        }
        let fits = self.used < self.capacity;
        self.used += u64::from(fits);
        fits
    }
}

/// The generic cell rate algorithm: a token bucket that keeps one time instead of a count. The bucket
/// holds the whole capacity, as it does by default in crates that have one.
#[derive(Debug)]
pub(crate) struct Gcra {
    /// Between two units at the allowed rate.
    interval: u64,
    /// How far the arrival time may run ahead of now.
    tolerance: u64,
    /// The theoretical arrival time: when the bucket will be full again.
    arrival: u64,
}

impl Gcra {
    pub(crate) fn new(capacity: u64, length: u64) -> Self {
        Self { interval: length / capacity, tolerance: length, arrival: 0 }
    }

    pub(crate) fn admits(&mut self, now: u64) -> bool {
        let next = self.arrival.max(now) + self.interval;
        let fits = next <= now + self.tolerance;
        if fits {
            self.arrival = next;
        }
        fits
    }
}
