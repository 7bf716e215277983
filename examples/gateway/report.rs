//! The results of a run, in tables, and whether the limiter kept its promises.

use std::fmt::{self, Write};
use std::time::Duration;

use trypema::RateLimit;

use crate::clients::Tally;
use crate::history::{Call, History};

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) window: Duration,
    pub(crate) bucket: Duration,
    /// The limiter's clock when the clients began.
    pub(crate) started: Duration,
    /// How long they went on.
    pub(crate) length: Duration,
    pub(crate) rows: Vec<Row>,
}

/// The results of one client.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rate: RateLimit,
    /// The units that its rate allows in a window.
    pub(crate) capacity: u64,
    /// The server's record of it.
    pub(crate) history: History,
    /// Its own account.
    pub(crate) tally: Tally,
}

impl Row {
    /// Whether the client counts the answers that the server counts. A request that failed may or
    /// may not have been decided before it did.
    fn accounts_agree(&self) -> bool {
        let agrees = |recorded: usize, seen: u64| {
            (seen..=seen + self.tally.failed).contains(&(recorded as u64))
        };
        agrees(self.history.admitted(), self.tally.admitted)
            && agrees(self.history.rejected(), self.tally.rejected)
    }
}

impl Report {
    /// The broken promises: a line for each of them and each client.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for row in &self.rows {
            let Row { name, capacity, history, tally, .. } = row;
            let most = history.most_in_any_window(self.window);
            if most as u64 > *capacity {
                found.push(format!(
                    "{name} got {most} in a window of {:?}, with a capacity of {capacity}",
                    self.window
                ));
            }
            let with_room = history.rejected_with_room(*capacity, self.window, self.bucket);
            for (times, what) in [
                (with_room as u64, "was turned away while there was room"),
                (history.told_too_little() as u64, "came back when told to, and in vain"),
                (history.told_too_much() as u64, "was told to wait for longer than it had to"),
                (tally.told_wrong, "got a Retry-After that makes no sense"),
            ] {
                if times > 0 {
                    found.push(format!("{name} {what} ({times}x)"));
                }
            }
            // Without these two, a run in which nothing worked would pass for one without faults.
            if history.calls().is_empty() {
                found.push(format!("{name} never got through"));
            }
            if !row.accounts_agree() {
                found.push(format!("{name} was not answered as the server has it on record"));
            }
        }
        found
    }

    /// How many seconds the run had, the last of which may be a part of one.
    fn seconds(&self) -> u64 {
        self.length.as_secs() + u64::from(self.length.subsec_nanos() > 0)
    }

    /// The second of the run in which a call was made, from 0. The last one also takes what was
    /// still under way when the time was up.
    fn second(&self, call: &Call) -> u64 {
        let second = call.before.saturating_sub(self.started).as_secs();
        second.min(self.seconds().saturating_sub(1))
    }

    fn by_second(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "admitted/rejected, by client and second:\n")?;
        let mut line = String::from("second");
        for row in &self.rows {
            write!(line, "{:>11}", row.name)?;
        }
        writeln!(f, "{line}")?;
        for second in 0..self.seconds() {
            let mut line = format!("{:>6}", second + 1);
            for row in &self.rows {
                let calls = row.history.calls().iter();
                let (admitted, rejected): (Vec<&Call>, Vec<&Call>) = calls
                    .filter(|call| self.second(call) == second)
                    .partition(|call| call.is_admitted());
                let (admitted, rejected) = (admitted.len(), rejected.len());
                write!(line, "{:>11}", format!("{admitted}/{rejected}"))?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }

    fn by_client(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>12} {:>10} {:>10} {:>10}   most admitted in any {:?}",
            "client", "rate", "admitted", "rejected", "capacity", self.window
        )?;
        for row in &self.rows {
            let most = row.history.most_in_any_window(self.window);
            writeln!(
                f,
                "{:<10} {:>12} {:>10} {:>10} {:>10}   {most:>8}{}",
                row.name,
                row.rate,
                row.history.admitted(),
                row.history.rejected(),
                row.capacity,
                if most as u64 > row.capacity { "   TOO MUCH" } else { "" },
            )?;
        }
        Ok(())
    }

    /// The clients' own counts.
    fn by_their_account(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Tally::default();
        self.rows.iter().for_each(|row| all.add(&row.tally));
        let Tally { admitted, rejected, told_never, told_wrong, failed } = all;
        let told = rejected - told_never - told_wrong;
        writeln!(
            f,
            "the clients saw {admitted} times 200, {rejected} times 429, and {failed} failures"
        )?;
        writeln!(f, "of the 429s, {told} said when to come back, {told_never} that it is no use")
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violations = self.violations();
        for violation in &violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        if violations.is_empty() {
            writeln!(f, "no client got more than its capacity in any window")?;
            writeln!(f, "no client was turned away while there was room for it")?;
            writeln!(f, "no client was told to wait for longer, or shorter, than it had to")
        } else {
            writeln!(f, "\nTHIS IS NOT WHAT WAS PROMISED")
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.by_second(f)?;
        writeln!(f)?;
        self.by_client(f)?;
        writeln!(f)?;
        self.by_their_account(f)?;
        self.verdict(f)
    }
}
