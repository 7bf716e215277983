//! Statistics of limiters, scraped over HTTP.

// each proves: stats

#[path = "../../examples/prometheus/exporter.rs"]
mod exporter;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use exporter::{Exporter, scrape};
use trypema::{LocalRateLimiter, RateLimit};

/// Samples by metric and label; panics where the text is not in the format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (metric, kind) = comment.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(metric.ends_with("_total"), kind == "counter", "{line}");
            metric.clone_into(&mut current);
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(
            sample.split_once('{').unwrap().0,
            current,
            "samples of a metric stand together"
        );
        let twice = samples.insert(sample.to_owned(), value.parse().unwrap());
        assert_eq!(twice, None, "{line}");
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn a_scrape_tells_what_every_limiter_has_done() {
    let [plain, quoted] = [(); 2].map(|()| LocalRateLimiter::builder().build().unwrap());
    let limiters = vec![("plain", plain.clone()), ("a \"b\"\n\\c", quoted.clone())];
    let exporter = Exporter::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), limiters).unwrap();

    let rate = RateLimit::per_day(3).unwrap();
    for _ in 0..5 {
        let _ = plain.absolute().inc("alice", &rate, 1);
    }
    let _ = quoted.suppressed().inc("bob", &rate, 1);

    let (status, text) = scrape(exporter.address(), "/metrics").unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
    let samples = samples(&text);
    assert_eq!(samples["trypema_allowed_total{limiter=\"plain\"}"], 3.0);
    assert_eq!(samples["trypema_rejected_total{limiter=\"plain\"}"], 2.0);
    assert_eq!(samples["trypema_keys{limiter=\"plain\"}"], 1.0);
    assert_eq!(samples[r#"trypema_allowed_total{limiter="a \"b\"\n\\c"}"#], 1.0);
    assert_eq!(samples.len(), 2 * plain.stats().iter().count());

    assert_eq!(scrape(exporter.address(), "/").unwrap().0, "HTTP/1.1 404 Not Found");
    exporter.stop().unwrap();
}
