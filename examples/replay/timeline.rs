//! Units over time, of a log whose length is known only at its end.

use std::time::Duration;

/// More columns than a line of text has: they are put together then.
const COLUMNS: usize = 128;

/// Units in columns of the same time each, at most [`COLUMNS`] of them.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    column: Duration,
    units: Vec<u64>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { column: Duration::from_millis(1), units: Vec::new() }
    }

    pub(crate) fn add(&mut self, time: Duration, units: u64) {
        let mut place = (time.as_nanos() / self.column.as_nanos()) as usize;
        while place >= COLUMNS {
            self.halve();
            place /= 2;
        }
        if self.units.len() <= place {
            self.units.resize(place + 1, 0);
        }
        self.units[place] = self.units[place].saturating_add(units);
    }

    /// The same in at most `most` columns that cover a time of `length`, and the time of a column.
    pub(crate) fn columns(&self, length: Duration, most: usize) -> (Vec<u64>, Duration) {
        let mut all = self.clone();
        let needed = |all: &Self| (length.as_nanos() / all.column.as_nanos()) as usize + 1;
        while needed(&all) > most.clamp(1, COLUMNS) {
            all.halve();
        }
        all.units.resize(needed(&all), 0);
        (all.units, all.column)
    }

    /// Two columns become one.
    fn halve(&mut self) {
        let pairs = self.units.chunks(2);
        self.units = pairs
            .map(|pair| pair.iter().fold(0, |sum: u64, &units| sum.saturating_add(units)))
            .collect();
        self.column *= 2;
    }
}

/// Heights as characters, the highest of which stands for `most`. Nothing is a dot.
pub(crate) fn sparkline(heights: &[u64], most: u64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let level = |&height: &u64| match height {
        0 => '·',
        _ => LEVELS[((height as f64 / most.max(1) as f64 * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    heights.iter().map(level).collect()
}
