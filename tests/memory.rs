//! G5, the part about memory: nothing grows with time on a key in steady use, and what a burst has
//! taken is given back.
//!
//! Counted twice: as the limiter estimates it, and as the allocator sees it. The allocator counts
//! all of this process, hence a single test, so that no other allocates meanwhile.
#![expect(clippy::unwrap_used, reason = "a setting that is refused fails the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit};

/// The system's allocator, with a count of the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BUCKET: Duration = Duration::from_millis(10);
/// In a window.
const BUCKETS: u32 = 100;

/// The memory that a limiter holds: by its own estimate, and by the allocator.
#[derive(Debug, Clone, Copy)]
struct Memory {
    estimated: usize,
    in_use: usize,
}

struct Scene {
    limiter: LocalRateLimiter,
    clock: ManualClock,
    rate: RateLimit,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(BUCKET * BUCKETS)
            .bucket(BUCKET)
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { limiter, clock, rate: RateLimit::per_second(1_000.0).unwrap() }
    }

    /// A unit of each strategy in every `nth` of so many buckets, as the calm use of a key.
    fn use_calmly(&self, key: &str, buckets: u32, nth: u32) {
        for _ in (0..buckets).step_by(nth as usize) {
            assert!(self.limiter.absolute().inc(key, &self.rate, 1).is_allowed());
            assert!(self.limiter.suppressed().inc(key, &self.rate, 1).is_allowed());
            self.clock.advance(BUCKET * nth);
        }
    }

    /// Outgrown rings go when no thread can be reading them any more: after some more pins, as
    /// use of any key with a ring makes them.
    fn memory(&self) -> Memory {
        Memory {
            estimated: self.limiter.stats().memory_bytes,
            in_use: IN_USE.load(Ordering::Relaxed),
        }
    }
}

// proves: G5
#[test]
fn memory_does_not_grow_with_time_and_shrinks_after_a_burst() {
    // A key in every bucket, and one in every thirtieth, for a million buckets.
    let scene = Scene::new();
    for (key, nth) in [("busy", 1), ("calm", 30)] {
        scene.use_calmly(key, 10_000, nth);
        let (early, mut peak) = (scene.memory(), 0);
        for _ in 0..100 {
            scene.use_calmly(key, 10_000, nth);
            peak = peak.max(scene.memory().in_use);
        }
        let late = scene.memory();
        assert_eq!(late.estimated, early.estimated, "{key}: estimated");
        // A ring or two may be on its way to the allocator.
        assert!(late.in_use <= early.in_use + 4_096, "{key}: {early:?}, then {late:?}");
        assert!(peak <= early.in_use + 16_384, "{key}: {early:?}, and {peak} at most");
        scene.limiter.clear();
    }

    // A burst of a hundred live buckets on each of many keys, then light use.
    let scene = Scene::new();
    let keys = (0..100).map(|key| format!("key {key}")).collect::<Vec<_>>();
    let use_all = |rounds: u32, pause: u32| {
        for _ in 0..rounds {
            for key in &keys {
                assert!(scene.limiter.absolute().inc(key, &scene.rate, 1).is_allowed());
                assert!(scene.limiter.suppressed().inc(key, &scene.rate, 1).is_allowed());
            }
            scene.clock.advance(BUCKET * pause);
        }
    };
    use_all(1, 1);
    let before = scene.memory();
    use_all(BUCKETS, 1);
    let burst = scene.memory();
    // A unit per window: at most two marks are live.
    use_all(1_000, BUCKETS);
    let after = scene.memory();
    // 101 marks of 8 bytes, in each strategy of 100 keys.
    let marks = 101 * 8 * 2 * keys.len();
    assert!(burst.estimated >= before.estimated + marks, "{before:?}, {burst:?}");
    assert!(burst.in_use >= before.in_use + marks, "{before:?}, {burst:?}");
    // The smallest ring is kept.
    let kept = marks / 4;
    assert!(after.estimated <= before.estimated + kept, "{before:?}, {burst:?}, {after:?}");
    assert!(after.in_use <= before.in_use + kept, "{before:?}, {burst:?}, {after:?}");

    // And all of it is given back with the limiter; the reclamation scheme keeps a few kilobytes.
    drop(scene.limiter);
    let rest = IN_USE.load(Ordering::Relaxed);
    assert!(rest <= before.in_use, "{before:?}, {rest} in use after the limiter was dropped");
}
