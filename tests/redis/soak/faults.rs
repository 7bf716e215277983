//! The faults, one function each: what happens, and until when.

use std::fmt::{Display, Formatter};
use std::thread::sleep;
use std::time::Duration;

use super::judge::{Cut, Round};
use super::load::HOT;
use super::stage::Stage;
use super::ways::{self, Way};
use super::{TARGETS, Target};
use crate::cluster::eventually;
use crate::processes::now;

/// When a fault began, and when the servers were well again.
pub(super) type Times = (u64, u64);

#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) target: Target,
    happen: fn(&mut Stage) -> Times,
}

const fn kind(name: &'static str, target: Target, happen: fn(&mut Stage) -> Times) -> Kind {
    Kind { name, target, happen }
}

const HANDED_OVER: &str = "a manual failover";
const MOVED: &str = "12 slots moved";

pub(super) const KINDS: &[Kind] = &[
    kind("nothing", Target::Cluster, nothing),
    kind("a node killed, and started again within a second", Target::Cluster, node_killed),
    kind("a node killed, and started again after 3 s", Target::Cluster, node_gone),
    kind("a node frozen for up to 1.5 s", Target::Cluster, node_frozen),
    kind("a node frozen for 3 s", Target::Cluster, node_frozen_long),
    kind(HANDED_OVER, Target::Cluster, cluster_failover),
    kind(MOVED, Target::Cluster, resharded),
    kind("no way to a node for up to 2 s", Target::Cluster, |stage| {
        ways::black_hole(&mut node(stage))
    }),
    kind("old connections swallowed", Target::Cluster, |stage| ways::swallowed(&mut node(stage))),
    kind("connecting hangs", Target::Cluster, |stage| ways::hanging(&mut node(stage))),
    kind("connections refused", Target::Cluster, |stage| ways::refused(&mut node(stage))),
    kind("replies 20 to 150 ms late", Target::Cluster, |stage| ways::slow(&mut node(stage))),
    kind("replies 400 ms late", Target::Cluster, |stage| ways::too_slow(&mut node(stage))),
    kind("connections closed in place of replies", Target::Cluster, |stage| {
        ways::cut(&mut node(stage))
    }),
    kind("the primary killed, and the replica promoted", Target::Sentinel, primary_killed),
    kind("the primary frozen, and the replica promoted", Target::Sentinel, primary_frozen_long),
    kind("the primary frozen for up to 300 ms", Target::Sentinel, primary_frozen),
    kind("a failover asked of the Sentinel", Target::Sentinel, sentinel_failover),
    kind("the Sentinel frozen for 1.2 s", Target::Sentinel, sentinel_frozen),
    kind("no way to the primary for up to 2 s", Target::Sentinel, |stage| {
        ways::black_hole(&mut primary(stage))
    }),
    kind("old connections swallowed", Target::Sentinel, |stage| {
        ways::swallowed(&mut primary(stage))
    }),
    kind("connecting hangs", Target::Sentinel, |stage| ways::hanging(&mut primary(stage))),
    kind("replies 20 to 150 ms late", Target::Sentinel, |stage| ways::slow(&mut primary(stage))),
    kind("replies 400 ms late", Target::Sentinel, |stage| ways::too_slow(&mut primary(stage))),
    kind("the clock steps back by less than a window", Target::Clock, |stage| {
        let by = stage.between(1, 499);
        step(stage, -millis(by))
    }),
    kind("the clock steps back by up to an hour", Target::Clock, |stage| {
        let by = stage.between(500, 3_600_000);
        step(stage, -millis(by))
    }),
    kind("the clock steps forward by up to an hour", Target::Clock, |stage| {
        let by = stage.between(1, 3_600_000);
        step(stage, millis(by))
    }),
    kind("the clock a day ahead, and put right", Target::Clock, day_ahead),
    kind("killed, and started again", Target::Clock, clocked_killed),
];

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {}", self.target, self.name)
    }
}

impl Kind {
    pub(super) fn is(&self, other: &Self) -> bool {
        self.target == other.target && self.name == other.name
    }

    /// Makes it happen, and waits until all servers are well and have been for a while. Then `cuts`, since
    /// the round before, are known, too.
    pub(super) fn round(self, stage: &mut Stage) -> Round {
        let (begun, healed) = (self.happen)(stage);
        stage.until_well();
        // Long enough for a breaker to close, and for windows to pass.
        sleep(Duration::from_millis(1_500));
        stage.until_well();
        let now_seen = stage.look();
        let before = std::mem::replace(&mut stage.seen, now_seen);
        let after = &stage.seen;
        // Each failover counts, also one that no fault of ours has brought about. A replica that takes over
        // may not have all that its primary had acknowledged; one that the primary waits for has. Epochs
        // grow with moved slots, too. A clock that went forward makes units expire.
        let of_cluster = match self.name {
            HANDED_OVER => after.cluster_epoch > before.cluster_epoch + 1,
            MOVED => before.primaries != after.primaries,
            _ => before.cluster_epoch != after.cluster_epoch,
        };
        let of_watched = before.watched_epoch != after.watched_epoch;
        let of_clock = self.name.contains("forward") || self.name.contains("ahead");
        let cuts = TARGETS.into_iter().zip([of_cluster, of_watched, of_clock]);
        let cuts = cuts.filter(|(_, is_lost)| *is_lost).map(|(target, _)| Cut {
            target: target as usize,
            from: if target == Target::Clock { begun } else { before.at },
            to: after.at,
        });
        Round { target: self.target as usize, begun, healed, cuts: cuts.collect() }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

fn nothing(_: &mut Stage) -> Times {
    let begun = now();
    sleep(Duration::from_millis(500));
    (begun, now())
}

fn a_primary(stage: &mut Stage) -> usize {
    let primaries = stage.cluster_primaries();
    primaries[stage.below(primaries.len())]
}

fn node_killed(stage: &mut Stage) -> Times {
    let (node, length) = (a_primary(stage), stage.between(0, 1_000));
    let begun = now();
    stage.cluster.nodes[node].kill();
    sleep(length);
    stage.cluster.nodes[node].restart();
    stage.until_cluster_is_well();
    (begun, now())
}

fn node_gone(stage: &mut Stage) -> Times {
    let node = a_primary(stage);
    let begun = now();
    stage.cluster.nodes[node].kill();
    sleep(Duration::from_secs(3));
    stage.cluster.nodes[node].restart();
    stage.until_cluster_is_well();
    (begun, now())
}

fn freeze_node(stage: &mut Stage, length: Duration) -> Times {
    let node = a_primary(stage);
    let begun = now();
    stage.cluster.nodes[node].pause();
    sleep(length);
    stage.cluster.nodes[node].resume();
    stage.until_cluster_is_well();
    (begun, now())
}

fn node_frozen(stage: &mut Stage) -> Times {
    let length = stage.between(50, 1_500);
    freeze_node(stage, length)
}

fn node_frozen_long(stage: &mut Stage) -> Times {
    freeze_node(stage, Duration::from_secs(3))
}

/// The primary hands over: nothing is lost.
fn cluster_failover(stage: &mut Stage) -> Times {
    let before = stage.cluster_primaries();
    let replica = (0..4).find(|node| !before.contains(node)).expect("one is a replica");
    let begun = now();
    let _: () = stage.cluster.nodes[replica].ask("CLUSTER FAILOVER");
    eventually("the replica takes over", || !stage.cluster.nodes[replica].is_replica());
    stage.until_cluster_is_well();
    (begun, now())
}

/// Slots of keys that all threads ask for, and others.
fn resharded(stage: &mut Stage) -> Times {
    let begun = now();
    for number in 0..12 {
        let slot = if number % 2 == 0 {
            let hot = stage.below(HOT as usize);
            stage.cluster.slot_of(&format!("trypema:a:500.1:hot-{hot}"))
        } else {
            u16::try_from(stage.below(16_384)).unwrap()
        };
        let primaries = stage.cluster_primaries();
        let from = stage.cluster.owner_of(slot);
        let others = primaries.into_iter().filter(|node| *node != from).collect::<Vec<_>>();
        let to = others[stage.below(others.len())];
        let pauses = [0; 2].map(|_| stage.between(0, 60));
        stage.cluster.begin_move(slot, from, to);
        sleep(pauses[0]);
        // Others may come meanwhile.
        while stage.cluster.move_keys(slot, from, to) > 0 {}
        sleep(pauses[1]);
        stage.cluster.end_move(slot, to);
    }
    (begun, now())
}

fn node(stage: &mut Stage) -> Way<'_> {
    let (length, delay) = (stage.between(500, 2_000), stage.between(20, 150));
    let node = a_primary(stage);
    Way { proxy: &mut stage.cluster_proxies[node], length, delay }
}

fn primary(stage: &mut Stage) -> Way<'_> {
    let (length, delay) = (stage.between(500, 2_000), stage.between(20, 150));
    let primary = stage.primary().expect("all is well");
    Way { proxy: &mut stage.watched_proxies[primary], length, delay }
}

fn primary_killed(stage: &mut Stage) -> Times {
    let primary = stage.primary().expect("all is well");
    let begun = now();
    stage.watched.servers[primary].kill();
    let promoted = stage.is_promoted(1 - primary).then(now);
    stage.watched.servers[primary].restart();
    (begun, promoted.unwrap_or_else(|| well_again(stage)))
}

fn primary_frozen_long(stage: &mut Stage) -> Times {
    let primary = stage.primary().expect("all is well");
    let begun = now();
    stage.watched.servers[primary].pause();
    let promoted = stage.is_promoted(1 - primary).then(now);
    stage.watched.servers[primary].resume();
    (begun, promoted.unwrap_or_else(|| well_again(stage)))
}

/// When the servers that the Sentinel watches are well.
fn well_again(stage: &Stage) -> u64 {
    stage.until_watched_is_well();
    now()
}

fn primary_frozen(stage: &mut Stage) -> Times {
    let (primary, length) = (stage.primary().expect("all is well"), stage.between(20, 300));
    let begun = now();
    stage.watched.servers[primary].pause();
    sleep(length);
    stage.watched.servers[primary].resume();
    (begun, now())
}

fn sentinel_failover(stage: &mut Stage) -> Times {
    let primary = stage.primary().expect("all is well");
    let begun = now();
    eventually("the sentinel begins", || {
        stage.watched.sentinel.try_ask::<()>("SENTINEL FAILOVER limits").is_some()
    });
    let promoted = stage.is_promoted(1 - primary).then(now);
    (begun, promoted.unwrap_or_else(|| well_again(stage)))
}

/// After 2 s it would not trust its clock for half a minute.
fn sentinel_frozen(stage: &mut Stage) -> Times {
    let begun = now();
    stage.watched.sentinel.pause();
    sleep(Duration::from_millis(1_200));
    stage.watched.sentinel.resume();
    (begun, now())
}

fn step(stage: &mut Stage, by_ms: i64) -> Times {
    let answer = stage.load.tell(&format!("step {by_ms}"));
    let (begun, done) = answer.trim().split_once(' ').expect("two times");
    (begun.parse().unwrap(), done.parse().unwrap())
}

fn day_ahead(stage: &mut Stage) -> Times {
    let (begun, _) = step(stage, 86_400_000);
    let length = stage.between(100, 1_500);
    sleep(length);
    let (_, healed) = step(stage, -86_400_000);
    (begun, healed)
}

fn clocked_killed(stage: &mut Stage) -> Times {
    let begun = now();
    stage.clocked.kill();
    let length = stage.between(0, 500);
    sleep(length);
    stage.clocked.restart();
    (begun, now())
}
