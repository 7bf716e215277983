//! The clients of a run, and their limits.

use std::time::Duration;

/// The parts of a run.
pub(crate) struct Settings {
    /// The sliding window of all limits: a whole number of buckets.
    pub(crate) window: Duration,
    pub(crate) bucket: Duration,
    /// How long the clients keep asking.
    pub(crate) length: Duration,
    pub(crate) clients: Vec<Client>,
    /// The rate of clients without one of their own.
    pub(crate) default_rate: &'static str,
}

/// One client of the run: its limit as an operator would write it in a configuration file, and
/// how it behaves.
pub(crate) struct Client {
    /// Its name, sent in `X-Client`; without one it is known by its address.
    pub(crate) name: Option<&'static str>,
    /// Its own rate; without one it gets the default.
    pub(crate) rate: Option<&'static str>,
    pub(crate) appetite: Appetite,
    /// Connections that it uses at the same time, each from a thread of its own.
    pub(crate) connections: usize,
}

/// When a client asks again. Every appetite has a pause in it, so that all of them together stay
/// at a couple of thousand requests a second: this shows a limiter, it is no load test.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Appetite {
    /// At a steady pace, whatever the answer.
    Every(Duration),
    /// As fast as the pause allows, deaf to every 429.
    Hammer { pause: Duration },
    /// As fast as the pause allows, but after a 429 not before the time that it told.
    Polite { pause: Duration },
    /// Nothing for a while, then many at once.
    Bursts { size: u32, idle: Duration },
}

impl Settings {
    /// A window that is short enough for several of them to pass in a run of some seconds.
    pub(crate) fn standard(length: Duration) -> Self {
        let ms = Duration::from_millis;
        let client = |name, rate, appetite| Client { name, rate, appetite, connections: 1 };
        Self {
            window: ms(1_000),
            bucket: ms(20),
            length,
            default_rate: "10/second",
            clients: vec![
                // A quarter of what it may: it never hears a no.
                client(Some("patient"), Some("20/second"), Appetite::Every(ms(200))),
                // Just what it may. A unit counts for up to a bucket longer than the window, so
                // that one who sits exactly on the limit is now and then a bucket too early.
                client(Some("steady"), Some("1200/minute"), Appetite::Every(ms(50))),
                client(
                    Some("bursty"),
                    Some("30 per second"),
                    Appetite::Bursts { size: 45, idle: ms(1_300) },
                ),
                client(Some("polite"), Some("25/s"), Appetite::Polite { pause: ms(2) }),
                // Several connections at once: the limit is the client's, not a connection's.
                Client {
                    connections: 3,
                    ..client(Some("greedy"), Some("20/second"), Appetite::Hammer { pause: ms(2) })
                },
                // Half a request in a window of one second is no request: this one is never
                // admitted, and told so, rather than told to come back.
                client(Some("blocked"), Some("30/minute"), Appetite::Every(ms(250))),
                // A stranger without a name, limited by address and by the default rate.
                client(None, None, Appetite::Hammer { pause: ms(20) }),
            ],
        }
    }
}
