//! Statistics, as a recorder of the `metrics` facade gets them.

// each proves: stats

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use trypema::{LocalRateLimiter, RateLimit, publish_metrics};

/// Keeps what it is told, by name and label.
#[derive(Default)]
struct Kept {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

fn named(key: &Key) -> String {
    let labels: Vec<_> =
        key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.counters.lock().unwrap();
        Counter::from_arc(Arc::clone(counters.entry(named(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut gauges = self.gauges.lock().unwrap();
        Gauge::from_arc(Arc::clone(gauges.entry(named(key)).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Kept {
    fn counter(&self, name: &str) -> Option<u64> {
        self.counters.lock().unwrap().get(name).map(|value| value.load(Ordering::Relaxed))
    }

    fn gauge(&self, name: &str) -> Option<f64> {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(name).map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)))
    }
}

#[test]
fn what_was_counted_is_published_when_asked_for() {
    let kept = Kept::default();
    with_local_recorder(&kept, || {
        let limiter = LocalRateLimiter::builder().build().unwrap();
        let rate = RateLimit::per_minute(2).unwrap();
        for key in ["alice", "alice", "alice", "bob"] {
            let _ = limiter.absolute().inc(key, &rate, 1);
        }
        assert!(kept.counters.lock().unwrap().is_empty(), "nothing by itself");

        publish_metrics("logins", limiter.stats().iter());
        assert_eq!(kept.counter("trypema_allowed_total{limiter=logins}"), Some(3));
        assert_eq!(kept.counter("trypema_rejected_total{limiter=logins}"), Some(1));
        assert_eq!(kept.counter("trypema_turned_away_total{limiter=logins}"), Some(0));
        assert_eq!(kept.gauge("trypema_keys{limiter=logins}"), Some(2.0));
        assert!(kept.gauge("trypema_memory_bytes{limiter=logins}").unwrap() > 0.0);

        // Gauges fall, counters stay; another limiter has a label of its own.
        limiter.clear();
        let other = LocalRateLimiter::builder().build().unwrap();
        publish_metrics("other", other.stats().iter());
        publish_metrics("logins", limiter.stats().iter());
        assert_eq!(kept.gauge("trypema_keys{limiter=logins}"), Some(0.0));
        assert_eq!(kept.counter("trypema_allowed_total{limiter=logins}"), Some(3));
        assert_eq!(kept.counter("trypema_allowed_total{limiter=other}"), Some(0));
    });
}

#[test]
fn no_field_is_left_out() {
    let kept = Kept::default();
    let limiter = LocalRateLimiter::builder().build().unwrap();
    let stats = limiter.stats();
    with_local_recorder(&kept, || publish_metrics("all", stats.iter()));
    let published = kept.counters.lock().unwrap().len() + kept.gauges.lock().unwrap().len();
    assert_eq!(published, stats.iter().count());
}

/// Without a recorder it is lost, and no more.
#[test]
fn nobody_has_to_listen() {
    publish_metrics("nobody", LocalRateLimiter::builder().build().unwrap().stats().iter());
}
