//! The world around the client: messages, outages and time, all of it chosen by proptest.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use trypema::{Clock, ManualClock, TrypemaError};

use crate::client::{Client, Message, Next, Permit};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A message of tenant 0 or 1 that takes one of so many parts of what the rate allows.
    Submit(u8, u8),
    /// So many hundredths of a second.
    Pass(u16),
    /// One of the deliveries under way ends, well or not.
    End { which: u8, well: bool },
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..=1_u8, 1..=6_u8).prop_map(|(tenant, parts)| Event::Submit(tenant, parts)),
        3 => (0..=1_200_u16).prop_map(Event::Pass),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, well)| Event::End { which, well }),
    ];
    proptest::collection::vec(event, 1..60)
}

/// Units that a tenant took, and when.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) tenant: String,
    pub(crate) units: u64,
    pub(crate) at: Duration,
}

pub(crate) struct World<'a> {
    pub(crate) client: Client<'a>,
    pub(crate) clock: &'a ManualClock,
    /// The rate's capacity in a window, to choose sizes of messages by.
    pub(crate) capacity: u64,
    /// Messages that ask again, and when.
    waiting: Vec<(Duration, Message)>,
    under_way: Vec<Permit>,
    pub(crate) given_up: u32,
}

impl<'a> World<'a> {
    pub(crate) fn new(client: Client<'a>, clock: &'a ManualClock, capacity: u64) -> Self {
        let (waiting, under_way) = (Vec::new(), Vec::new());
        Self { client, clock, capacity, waiting, under_way, given_up: 0 }
    }

    /// Lets it all happen. Returns what was taken and not given back.
    pub(crate) fn run(&mut self, events: &[Event]) -> Result<Vec<Taken>, TestCaseError> {
        let mut ended = Vec::new();
        for event in events {
            match *event {
                Event::Submit(tenant, parts) => {
                    // Sums of them are to stay far from what a window can hold.
                    let units = (self.capacity.min(1 << 30) / u64::from(parts)).max(1);
                    let (tenant, submitted) = (format!("tenant:{tenant}"), self.clock.now());
                    self.ask(Message { tenant, units, submitted, asked: 0 })?;
                }
                Event::Pass(hundredths) => {
                    let then = self.clock.now() + Duration::from_millis(10) * hundredths.into();
                    self.pass_until(then)?;
                }
                Event::End { which, well } if !self.under_way.is_empty() => {
                    let permit = self.under_way.remove(usize::from(which) % self.under_way.len());
                    let back = if well { 0 } else { self.client.failed(&permit).map_err(fail)? };
                    ended.push(taken(&permit, back));
                }
                Event::End { .. } => {}
            }
        }
        ended.extend(self.under_way.iter().map(|permit| taken(permit, 0)));
        Ok(ended)
    }

    fn pass_until(&mut self, then: Duration) -> Result<(), TestCaseError> {
        while let Some(first) = (0..self.waiting.len()).min_by_key(|at| self.waiting[*at].0)
            && self.waiting[first].0 <= then
        {
            let (due, message) = self.waiting.remove(first);
            self.clock.set(due);
            self.ask(message)?;
        }
        self.clock.set(then);
        Ok(())
    }

    /// Checks on the way that the client keeps its own promises, whatever it is answered.
    fn ask(&mut self, message: Message) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        prop_assert!(message.asked <= self.client.retries, "asks too often: {:?}", message);
        prop_assert!(now <= message.submitted + self.client.patience, "too late: {:?}", message);
        match self.client.next(message).map_err(fail)? {
            Next::Send(permit) => self.under_way.push(permit),
            Next::AskAgain(message, wait) => {
                prop_assert!(!wait.is_zero(), "asks again at once: {:?}", message);
                self.waiting.push((now + wait, message));
            }
            Next::GiveUp => self.given_up += 1,
        }
        Ok(())
    }
}

fn taken(permit: &Permit, given_back: u64) -> Taken {
    let Permit { message: Message { tenant, units, .. }, admitted } = permit;
    Taken { tenant: tenant.clone(), units: units.saturating_sub(given_back), at: *admitted }
}

fn fail(error: TrypemaError) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
