//! The tables of `benches/results/compare.md`, as far as they are drawn.

use std::error::Error;

/// Millions of calls per second of a rival, by number of threads.
pub(crate) type Speeds = Vec<(String, Vec<f64>)>;

/// The measurements.
#[derive(Debug)]
pub(crate) struct Results {
    /// Numbers of threads, in the order of the columns.
    pub(crate) threads: Vec<u64>,
    /// By workload, in the words of its heading.
    pub(crate) throughput: Vec<(String, Speeds)>,
    /// Bytes per key by rival: of a million keys, with 300 live buckets, in steady use.
    pub(crate) memory: Vec<(String, [f64; 3])>,
}

impl Results {
    /// Reads the report.
    pub(crate) fn read(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut results = Self { threads: Vec::new(), throughput: Vec::new(), memory: Vec::new() };
        let mut section = "";
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
            } else if let Some(title) =
                line.strip_prefix("### ").filter(|_| section == "Throughput")
            {
                let title = title.split(" (").next().unwrap_or(title);
                results.throughput.push((title.to_owned(), Vec::new()));
            } else if let Some(row) = line.strip_prefix("| ") {
                let row = row.strip_suffix('|').unwrap_or(row);
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                match section {
                    "Throughput" => results.throughput_row(&cells)?,
                    "Memory" => results.memory_row(&cells)?,
                    _ => {}
                }
            }
        }
        if results.throughput.is_empty() || results.memory.is_empty() {
            return Err("no tables of throughput and memory in the results".into());
        }
        Ok(results)
    }

    /// `| absolute | 54.51 (52.44–55.22) | 1.00 (1.00–1.00) | ..`, or the heading, `| | 1 thread | × of absolute | ..`.
    fn throughput_row(&mut self, cells: &[&str]) -> Result<(), Box<dyn Error>> {
        let [name, figures @ ..] = cells else { return Ok(()) };
        let figures = figures.iter().step_by(2);
        if figures.clone().any(|cell| cell.ends_with("thread") || cell.ends_with("threads")) {
            self.threads = figures.map(|cell| first_number(cell)).collect::<Result<_, _>>()?;
            return Ok(());
        }
        let Some((_, speeds)) = self.throughput.last_mut() else { return Ok(()) };
        speeds.push((
            (*name).to_owned(),
            figures.map(|cell| first_number(cell)).collect::<Result<_, _>>()?,
        ));
        Ok(())
    }

    /// `| absolute | 125.8 | 118.5 | 4277 | 1222 | 1222 | 1222 |`.
    fn memory_row(&mut self, cells: &[&str]) -> Result<(), Box<dyn Error>> {
        if let [name, distinct, _, live, _, _, steady] = *cells
            && !live.ends_with("buckets")
        {
            let figures = [first_number(distinct)?, first_number(live)?, first_number(steady)?];
            self.memory.push((name.to_owned(), figures));
        }
        Ok(())
    }
}

fn first_number<T: std::str::FromStr>(cell: &str) -> Result<T, String> {
    let word = cell.split(' ').next().unwrap_or(cell);
    word.parse().map_err(|_| format!("{cell:?} does not begin with a number"))
}
