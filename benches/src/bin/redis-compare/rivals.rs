//! The rivals behind one interface: one caller, one connection.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManagerConfig;
use redis::{Cmd, Connection, Pipeline, Script, cmd};
use tokio::runtime::Runtime;
use trypema::{Clock, RateLimit, RedisRateLimiter};
use trypema_2::RateLimiterBuilder as _;
use trypema_2::redis::{RedisKey, RedisRateLimiterProvider};
use trypema_benches::rule::Rule;

use crate::server::Server;

/// How many calls are sent at once before anything is timed.
const CHUNK: usize = 500;
/// For a machine that is busy: nobody's deadline is to be measured.
const DEADLINE: Duration = Duration::from_secs(20);

/// A generic cell rate algorithm as it is usually written: one value, the theoretical arrival time in
/// microseconds, read, judged by the server's clock and set with the time that it matters for.
/// Answers 0, or how long to wait; a single number, as the cheapest reply. With `'list'` it answers with
/// the units left as well, as many such scripts do.
const GCRA: &str = "
local count, interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local next_arrival = arrival + count * interval
local early = next_arrival - tolerance - now
if early > 0 then
  if ARGV[4] then return { math.ceil(early), math.floor((tolerance - (arrival - now)) / interval) } end
  return math.ceil(early)
end
redis.call('SET', KEYS[1], next_arrival, 'PX', math.ceil((next_arrival - now) / 1000))
if ARGV[4] then return { 0, math.floor(-early / interval) } end
return 0
";

pub(crate) trait Rival {
    /// The command that the server counts its calls as.
    fn command(&self) -> &'static str {
        "evalsha"
    }

    /// Whether it is admitted.
    fn inc(&mut self, key: &str, rule: Rule) -> bool;

    /// One unit for each key, many in one go.
    fn preload(&mut self, keys: &[String], rule: Rule);
}

pub(crate) fn limiter(url: String, rule: Rule, denial_cache: Duration) -> RedisRateLimiter {
    let builder = RedisRateLimiter::builder(url).window(rule.window).bucket(rule.bucket);
    let builder = builder.denial_cache(denial_cache).deadline(DEADLINE);
    builder.build().expect("valid settings")
}

/// The same, with a time of our own for the server's.
pub(crate) fn told(url: String, rule: Rule, clock: impl Clock + 'static) -> RedisRateLimiter {
    let builder = RedisRateLimiter::builder(url).window(rule.window).bucket(rule.bucket);
    let builder = builder.denial_cache(Duration::ZERO).deadline(DEADLINE).server_time(clock);
    builder.build().expect("valid settings")
}

pub(crate) fn rate(rule: Rule) -> RateLimit {
    RateLimit::per_second(rule.per_second()).expect("a valid rate")
}

pub(crate) struct Absolute(pub(crate) RedisRateLimiter);

impl Rival for Absolute {
    fn inc(&mut self, key: &str, rule: Rule) -> bool {
        self.0.absolute().inc(key, &rate(rule), 1).expect("an answer").is_allowed()
    }

    fn preload(&mut self, keys: &[String], rule: Rule) {
        let rate = rate(rule);
        for chunk in keys.chunks(CHUNK) {
            let calls: Vec<_> = chunk.iter().map(|key| (key.as_str(), &rate, 1)).collect();
            for answer in self.0.absolute().inc_many(&calls) {
                assert!(answer.expect("an answer").is_allowed());
            }
        }
    }
}

/// A script over a plain connection.
pub(crate) struct Plain {
    connection: Connection,
    hash: String,
}

impl Plain {
    fn new(server: &Server, text: &str) -> Self {
        let mut connection = server.connection();
        let hash = Script::new(text).prepare_invoke().load(&mut connection).expect("a script");
        Self { connection, hash }
    }
}

pub(crate) struct Gcra {
    plain: Plain,
    list: bool,
}

impl Gcra {
    pub(crate) fn new(server: &Server, list: bool) -> Self {
        Self { plain: Plain::new(server, GCRA), list }
    }

    fn ask(&self, key: &str, rule: Rule) -> Cmd {
        let window = rule.window.as_micros() as u64;
        let mut ask = cmd("EVALSHA");
        ask.arg(&self.plain.hash).arg(1).arg(format!("gcra:{key}"));
        ask.arg(1).arg(window / u64::from(rule.capacity)).arg(window);
        if self.list {
            ask.arg("list");
        }
        ask
    }
}

impl Rival for Gcra {
    fn inc(&mut self, key: &str, rule: Rule) -> bool {
        let (ask, connection) = (self.ask(key, rule), &mut self.plain.connection);
        if self.list {
            let (wait, _left): (u64, u64) = ask.query(connection).expect("an answer");
            return wait == 0;
        }
        ask.query::<u64>(connection).expect("an answer") == 0
    }

    fn preload(&mut self, keys: &[String], rule: Rule) {
        for chunk in keys.chunks(CHUNK) {
            let mut asks = Pipeline::new();
            for key in chunk {
                asks.add_command(self.ask(key, rule));
            }
            asks.exec(&mut self.plain.connection).expect("answers");
        }
    }
}

/// The cheapest script that there is, told as much as ours is.
pub(crate) struct Bare(Plain);

impl Bare {
    pub(crate) fn new(server: &Server) -> Self {
        Self(Plain::new(server, "return 1"))
    }
}

impl Rival for Bare {
    fn inc(&mut self, key: &str, rule: Rule) -> bool {
        let mut ask = cmd("EVALSHA");
        ask.arg(&self.0.hash).arg(1).arg(format!("bare:{key}")).arg(1).arg(rule.capacity);
        ask.query::<u64>(&mut self.0.connection).expect("an answer") == 1
    }

    fn preload(&mut self, _: &[String], _: Rule) {}
}

pub(crate) struct Ping(pub(crate) Connection);

impl Rival for Ping {
    fn command(&self) -> &'static str {
        "ping"
    }

    fn inc(&mut self, _: &str, _: Rule) -> bool {
        cmd("PING").exec(&mut self.0).is_ok()
    }

    fn preload(&mut self, _: &[String], _: Rule) {}
}

/// The peer of the same name, on a runtime of this thread alone, which suits a single caller best.
pub(crate) struct Peer {
    runtime: Runtime,
    provider: Arc<RedisRateLimiterProvider>,
}

impl Peer {
    pub(crate) fn new(server: &Server, rule: Rule) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = redis::Client::open(server.url()).expect("a URL");
        // As patient as ours is told to be: half a second is soon over for many calls at once.
        let patient = ConnectionManagerConfig::new().set_response_timeout(Some(DEADLINE));
        let provider = runtime.block_on(async {
            let connection = client.get_connection_manager_with_config(patient).await;
            let connection = connection.expect("a connection");
            RedisRateLimiterProvider::builder(connection)
                .window_size(trypema_2::WindowSize::seconds_or_panic(rule.window.as_secs()))
                .bucket_size(trypema_2::BucketSize::milliseconds_or_panic(
                    rule.bucket.as_millis() as u64
                ))
                .disable_cleanup()
                .build()
                .expect("valid settings")
        });
        Self { runtime, provider }
    }

    async fn ask(provider: &RedisRateLimiterProvider, key: &str, rule: Rule) -> bool {
        let key = RedisKey::try_from(key).expect("a valid key");
        let rate = trypema_2::RateLimit::per_second_or_panic(rule.per_second());
        let answer = provider.absolute().inc(&key, &rate, 1).await.expect("an answer");
        matches!(answer, trypema_2::RateLimitDecision::Allowed)
    }
}

impl Rival for Peer {
    fn inc(&mut self, key: &str, rule: Rule) -> bool {
        self.runtime.block_on(Self::ask(&self.provider, key, rule))
    }

    fn preload(&mut self, keys: &[String], rule: Rule) {
        self.runtime.block_on(async {
            for chunk in keys.chunks(CHUNK) {
                let mut asks = tokio::task::JoinSet::new();
                for key in chunk {
                    let (provider, key) = (Arc::clone(&self.provider), key.clone());
                    asks.spawn(async move { Self::ask(&provider, &key, rule).await });
                }
                assert!(asks.join_all().await.into_iter().all(|allowed| allowed));
            }
        });
    }
}
