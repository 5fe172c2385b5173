//! The figures as tables, on the terminal and in the documentation.

use crate::Plan;
use std::fmt::Write as _;

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// Markdown, printed as it comes into being.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
}

impl Report {
    pub(crate) fn begin(plan: &Plan) -> Self {
        let mut report = Self { text: String::new() };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let about = format!(
            "{cpus} CPUs ({}), Linux {}; {} rounds, loads of {} s. Load average at the beginning: {}.",
            processor(),
            kernel(),
            plan.rounds,
            plan.seconds,
            load_average(),
        );
        report.line(&about);
        report
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Begins a table of figures.
    pub(crate) fn section(&mut self, title: &str) {
        self.table(title, &["figure", "unit", "median", "min – max", "target"]);
    }

    /// Begins any table.
    pub(crate) fn table(&mut self, title: &str, columns: &[&str]) {
        self.line(&format!("\n### {title}\n"));
        self.cells(columns);
        self.line(&format!("|{}", "---|".repeat(columns.len())));
    }

    /// One line of any table.
    pub(crate) fn cells<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    /// One figure, measured in each of several rounds.
    pub(crate) fn row(&mut self, name: &str, unit: &str, values: &[f64], target: Option<Target>) {
        let (median, low, high) = spread(values);
        let verdict = |limit, met| format!("{} {}", number(limit), if met { "met" } else { "**missed**" });
        let target = match target {
            Some(Target::AtMost(limit)) => format!("≤ {}", verdict(limit, median <= limit)),
            Some(Target::AtLeast(limit)) => format!("≥ {}", verdict(limit, median >= limit)),
            None => String::new(),
        };
        let range = format!("{} – {}", number(low), number(high));
        self.cells(&[name, unit, &number(median), &range, &target]);
    }

    pub(crate) fn end(&mut self) {
        self.line(&format!("\nLoad average at the end: {}.", load_average()));
    }

    /// Puts the tables between the markers of a documentation page.
    pub(crate) fn write(&self, path: &str) -> anyhow::Result<()> {
        const MARKERS: [&str; 2] = ["<!-- figures -->", "<!-- /figures -->"];
        let page = std::fs::read_to_string(path)?;
        let marker = || anyhow::anyhow!("{path} has no {} … {}", MARKERS[0], MARKERS[1]);
        let (head, rest) = page.split_once(MARKERS[0]).ok_or_else(marker)?;
        let (_, tail) = rest.split_once(MARKERS[1]).ok_or_else(marker)?;
        std::fs::write(path, format!("{head}{}\n{}{}{tail}", MARKERS[0], self.text, MARKERS[1]))?;
        Ok(())
    }
}

/// Median, minimum and maximum; of an even number, the mean of the two in the middle.
pub(crate) fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let [first, .., last] = values[..] else {
        let only = values.first().copied().unwrap_or(f64::NAN);
        return (only, only, only);
    };
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
    (median, first, last)
}

/// Three digits behind the point, none from a hundred on, and thousands set apart.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (n, digit) in digits.chars().enumerate() {
                let left = digits.len() - n;
                if n > 0 && left % 3 == 0 && out != "-" {
                    out.push(',');
                }
                let _ = write!(out, "{digit}");
            }
            out
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn load_average() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

fn kernel() -> String {
    let release = read("/proc/sys/kernel/osrelease");
    release.trim().split('-').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(String::new, |(_, model)| model.to_owned())
}
