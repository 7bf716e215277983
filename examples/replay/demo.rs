//! A made-up log: an hour of a service with many small clients, a few big ones, and one that goes astray.

use trypema::{Random, SeededRandom};

/// Lines as in a file, the same every time.
pub(crate) fn log() -> String {
    const SECONDS: u64 = 3_600;
    let chance = SeededRandom::new(5);
    let below = |limit: u64| (chance.draw() * limit as f64) as u64;
    let mut log = String::from("time,key,count\n");
    for second in 0..SECONDS {
        let mut calls = Vec::new();
        // Busier towards the middle of the hour.
        for _ in 0..2 + second.min(SECONDS - second) / 300 {
            // Few users do much, many do little.
            let user = below(20) * below(20);
            calls.push((below(1_000), format!("user:{user},1")));
        }
        if second % 10 == 0 {
            calls.push((0, "batch:nightly,25".to_owned()));
        }
        // A loop without a pause, for two minutes.
        if (2_400..2_520).contains(&second) {
            calls.extend((0..15).map(|call| (call * 66, "user:astray,1".to_owned())));
        }
        calls.sort_unstable();
        for (ms, call) in calls {
            log.push_str(&format!("{second}.{ms:03},{call}\n"));
        }
    }
    log
}
