//! The hybrid limiter beside Redis, the in-process limiter and the async peer's hybrid: throughput, latency, what
//! it costs the server, and how much is admitted under overload. Starts a server of its own.

mod rivals;
#[path = "../redis-compare/server.rs"]
#[expect(dead_code, reason = "what only the other bench asks of it")]
mod server;

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use trypema_benches::load::empty_histogram;
use trypema_benches::spread::Spread;

use crate::rivals::{Hybrid, Local, Peer, Redis, Rival, Rule};
use crate::server::{Admin, Server};

#[derive(Parser)]
#[command(about = "The hybrid limiter beside Redis, Local and a peer's hybrid")]
struct Options {
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of a run.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Keys of the uniform workload.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
}

const UNREACHED: f64 = 1e9;
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn main() {
    let options = Options::parse();
    let server = Server::start();
    let mut admin = server.admin();
    let url = server.url();
    show(&format!("load before: {}", load()));
    hot(&options, &server, &mut admin);
    uniform(&options, &url, &mut admin);
    latency(&options, &url, &mut admin);
    overload(&url, &mut admin);
    show(&format!("load after: {}", load()));
}

/// One key for all threads, never used up: decisions per second, and what the server has to do for them.
fn hot(options: &Options, server: &Server, admin: &mut Admin) {
    let url = &server.url();
    let rule = Rule { window: ms(10_000), lease: ms(100), per_second: UNREACHED };
    let (local, redis) = (Local::new(rule), Redis::new(url, rule));
    let (hybrid, peer) = (Hybrid::new(url, rule), Peer::new(url, rule));
    let rivals: [(&str, &dyn Rival); 4] =
        [("local", &local), ("hybrid", &hybrid), ("redis", &redis), ("peer", &peer)];
    let mut rates = vec![Vec::new(); rivals.len()];
    let mut costs = vec![Vec::new(); rivals.len()];
    let (keys, mut connection) = (["hot".to_owned()], server.connection());
    for _ in 0..options.rounds {
        for (at, (_, rival)) in rivals.iter().enumerate() {
            rival.inc("hot");
            admin.begin();
            let calls = calls(*rival, &keys, options);
            rates[at].push(calls as f64 / options.seconds);
            costs[at].push(spent(&mut connection) / calls as f64 * 1e3);
        }
    }
    show("\nhot key, allowed: decisions per second (median, least, most), server us per 1,000");
    for (at, (name, _)) in rivals.iter().enumerate() {
        let cost = median(&costs[at]);
        show(&format!("  {name:<8} {} {cost:>12.2} us", spread(&rates[at], 1e6, "M")));
    }
    show(&format!("  hybrid / local {:.2}", ratio(&rates[1], &rates[0])));
    show(&format!("  server: hybrid / redis {:.5}", median(&costs[1]) / median(&costs[2])));
}

/// Many keys, each as likely as any other, never used up, with leases of a tenth of the window.
fn uniform(options: &Options, url: &str, admin: &mut Admin) {
    let keys = (0..options.keys).map(|key| format!("user:{key:07}")).collect::<Vec<_>>();
    admin.flush();
    let (window, lease) = (ms(60_000), ms(6_000));
    let rule = Rule { window, lease, per_second: 1e6 };
    let (redis, hybrid) = (Redis::new(url, rule), Hybrid::new(url, rule));
    show(&format!("\nuniform, {} keys, window {window:?}, lease {lease:?}", keys.len()));
    // Threads ask as fast as they are answered: the demand of a key, by which it is leased, grows from lease to
    // lease, until nearly all are answered by leases. Then over two leases.
    let whole = |leases: f64| Options { seconds: leases * lease.as_secs_f64(), ..*options };
    let mut measured = Vec::new();
    for leases in [1.0; 8] {
        let (before, begun) = (hybrid.0.stats(), Instant::now());
        let calls = calls(&hybrid, &keys, &whole(leases)) as f64;
        let (after, took) = (hybrid.0.stats(), begun.elapsed().as_secs_f64());
        measured.push(calls / took);
        let asks = (after.asks - before.asks) as f64 / took;
        show(&format!("  hybrid   {:.0}k a second; asks a second {asks:.0}", calls / took / 1e3));
    }
    let redis = (0..options.rounds).map(|_| calls(&redis, &keys, options) as f64 / options.seconds);
    let redis = redis.collect::<Vec<_>>();
    show(&format!("  redis    {}", spread(&redis, 1e3, "k")));
    let steady = median(&measured[measured.len() - 2..]);
    let per_key = steady / keys.len() as f64;
    let ratio = steady / median(&redis);
    show(&format!("  hybrid / redis {ratio:.1}; a key is asked {per_key:.1} times a second"));
}

/// The time of calls that spend, and of those that ask: of new keys, each of which is asked for once.
fn latency(options: &Options, url: &str, admin: &mut Admin) {
    admin.flush();
    let rule = Rule { window: ms(60_000), lease: ms(600), per_second: UNREACHED };
    let (redis, hybrid) = (Redis::new(url, rule), Hybrid::new(url, rule));
    show("\nlatency, us: p50, p99, p99.9");
    for threads in [1, options.threads] {
        let keys = ["hot".to_owned()];
        times(&hybrid, &keys, threads, 10_000);
        let spends = times(&hybrid, &keys, threads, 2_000_000);
        show(&format!("  a spend, {threads} threads            {}", quantiles(&spends)));
    }
    for threads in [1, options.threads, 8] {
        let keys = (0..20_000 * threads).map(|key| format!("{threads}:{key:07}"));
        let keys = keys.collect::<Vec<_>>();
        let asks = times(&hybrid, &keys, threads, 20_000);
        let trips = times(&redis, &keys, threads, 20_000);
        show(&format!("  a call that asks, {threads} threads   {}", quantiles(&asks)));
        show(&format!("  a round trip (redis), {threads}       {}", quantiles(&trips)));
    }
}

/// One key under steady overload by two limiters, as of two processes: admitted in the long run, and the most in a
/// window.
fn overload(url: &str, admin: &mut Admin) {
    show("\noverload of one key by two limiters, window 1 s, 10,000 a second, 15 s");
    for lease in [10, 100, 1_000] {
        admin.flush();
        let rule = Rule { window: ms(1_000), lease: ms(lease), per_second: 1e4 };
        let limiters = [Hybrid::new(url, rule), Hybrid::new(url, rule)];
        let (rate, most) = admitted(&[&limiters[0], &limiters[1]]);
        let room = 1_000.0 / (1_000.0 + lease as f64);
        let share = rate / 1e4 / room;
        show(&format!(
            "  hybrid, lease {lease} ms: {rate:.0}/s, {share:.3} of W/(W+L); most in a window {most}"
        ));
        if lease < 1_000 {
            let limiters = [Peer::new(url, rule), Peer::new(url, rule)];
            let (rate, most) = admitted(&[&limiters[0], &limiters[1]]);
            show(&format!("  peer, sync {lease} ms: {rate:.0}/s; most in a window {most}"));
        }
    }
}

/// Admissions per second after the first window's, which an unused key admits at once, and the most that were
/// certainly made within some second, whatever moment of a call one takes for its admission.
fn admitted(limiters: &[&dyn Rival]) -> (f64, usize) {
    const LENGTH: Duration = Duration::from_secs(15);
    const CAPACITY: usize = 10_000;
    let begun = Instant::now();
    let admissions = thread::scope(|scope| {
        let threads = limiters.iter().map(|limiter| {
            scope.spawn(move || {
                let mut admissions = Vec::new();
                while begun.elapsed() < LENGTH {
                    let before = begun.elapsed();
                    if limiter.inc("overloaded") {
                        admissions.push((before, begun.elapsed()));
                    } else {
                        // Two threads on two cores need not starve the server.
                        thread::yield_now();
                    }
                }
                admissions
            })
        });
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut begins = admissions.iter().map(|(before, _)| *before).collect::<Vec<_>>();
    let mut ends = admissions.iter().map(|(_, after)| *after).collect::<Vec<_>>();
    begins.sort_unstable();
    ends.sort_unstable();
    // In a window that begins at some `before`, those that returned in it, less those that may have been earlier.
    let most = begins.iter().enumerate().map(|(earlier, from)| {
        let returned = ends.partition_point(|after| *after < *from + Duration::from_secs(1));
        returned.saturating_sub(earlier)
    });
    let most = most.max().unwrap_or(0);
    let took =
        ends.last().copied().unwrap_or_default() - begins.first().copied().unwrap_or_default();
    (admissions.len().saturating_sub(CAPACITY) as f64 / took.as_secs_f64(), most)
}

/// Calls within the time, by all threads together.
fn calls(rival: &dyn Rival, keys: &[String], options: &Options) -> usize {
    let (ready, time) = (Barrier::new(options.threads), Duration::from_secs_f64(options.seconds));
    thread::scope(|scope| {
        let threads = (0..options.threads).map(|thread| {
            let ready = &ready;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread as u64);
                ready.wait();
                let (begun, mut calls) = (Instant::now(), 0);
                while begun.elapsed() < time {
                    for _ in 0..64 {
                        assert!(rival.inc(&keys[random.usize(..keys.len())]), "it is allowed");
                    }
                    calls += 64;
                }
                calls
            })
        });
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

/// Each thread goes through its share of the keys, again and again, and times every call.
fn times(rival: &dyn Rival, keys: &[String], threads: usize, calls: usize) -> Histogram<u64> {
    let clock = quanta::Clock::new();
    let mut all = empty_histogram();
    let shares = keys.chunks(keys.len().div_ceil(threads)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let threads = (0..threads).map(|thread| {
            let (share, clock) = (shares[thread % shares.len()], &clock);
            scope.spawn(move || {
                let mut times = empty_histogram();
                for key in share.iter().cycle().take(calls) {
                    let before = clock.raw();
                    assert!(rival.inc(key), "it is allowed");
                    times.saturating_record(clock.delta_as_nanos(before, clock.raw()));
                }
                times
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            all.add(thread.join().expect("no panic")).expect("the same bounds");
        }
    });
    all
}

fn quantiles(times: &Histogram<u64>) -> String {
    let quantile = |q: f64| times.value_at_quantile(q) as f64 / 1e3;
    format!("{:>9.2} {:>9.2} {:>9.2}", quantile(0.5), quantile(0.99), quantile(0.999))
}

fn median(values: &[f64]) -> f64 {
    Spread::of(values.iter().copied()).expect("there were rounds").median
}

fn spread(rates: &[f64], unit: f64, name: &str) -> String {
    let rates = rates.iter().map(|rate| rate / unit);
    format!("{:.3} {name}", Spread::of(rates).expect("there were rounds"))
}

/// The median of the ratios within a round.
fn ratio(these: &[f64], those: &[f64]) -> f64 {
    Spread::of_ratios(these, those).expect("there were rounds").median
}

/// The microseconds that scripts have taken the server since its statistics were reset.
fn spent(connection: &mut redis::Connection) -> f64 {
    let text: String =
        redis::cmd("INFO").arg("commandstats").query(connection).expect("statistics");
    let lines = text.lines().filter(|line| line.starts_with("cmdstat_eval"));
    let fields = lines.flat_map(|line| line.split(','));
    let micros = fields.filter_map(|field| field.strip_prefix("usec="));
    micros.map(|micros| micros.parse::<f64>().expect("a number")).sum()
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

#[expect(clippy::print_stdout, reason = "it is the report")]
fn show(line: &str) {
    println!("{line}");
}
