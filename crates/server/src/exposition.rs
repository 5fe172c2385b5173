//! Writes the Prometheus text format 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The one that a scraper asks for. Prometheus lists what it accepts with weights; whoever names OpenMetrics gets it.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
    /// Without quantiles: count and sum.
    Summary,
}

/// A text being written.
#[derive(Debug)]
pub(crate) struct Exposition {
    text: String,
    format: Format,
}

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        Self { text: String::with_capacity(64 * 1024), format }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Begins a family. All its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Type, help: &str) {
        // OpenMetrics names a counter without its suffix here and with it in the samples.
        let name = match (self.format, kind) {
            (Format::OpenMetrics, Type::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
            Type::Summary => "summary",
        };
        let _ = write!(self.text, "# HELP {name} ");
        escape(&mut self.text, help, self.format == Format::OpenMetrics);
        let _ = write!(self.text, "\n# TYPE {name} {kind}\n");
    }

    /// One sample.
    pub(crate) fn sample(&mut self, name: &str, labels: &Labels, value: f64) {
        self.start(name, "", &labels.0, None);
        let _ = writeln!(self.text, "{value}");
    }

    /// A histogram. `counts` are per bucket, with one more than `bounds` (nanoseconds) at the end.
    pub(crate) fn histogram(&mut self, name: &str, labels: &str, bounds: &[u64], counts: &[u64], sum: f64) {
        let mut total = 0;
        for (at, count) in counts.iter().enumerate() {
            total += count;
            self.start(name, "_bucket", labels, Some(bounds.get(at).copied()));
            let _ = writeln!(self.text, "{total}");
        }
        self.summary(name, labels, total, sum);
    }

    /// How many there were and their sum.
    pub(crate) fn summary(&mut self, name: &str, labels: &str, count: u64, sum: f64) {
        self.start(name, "_sum", labels, None);
        let _ = writeln!(self.text, "{sum}");
        self.start(name, "_count", labels, None);
        let _ = writeln!(self.text, "{count}");
    }

    /// Name and labels of a sample, with an `le` label if asked for: `Some(None)` is infinity.
    fn start(&mut self, name: &str, suffix: &str, labels: &str, le: Option<Option<u64>>) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        if !labels.is_empty() || le.is_some() {
            self.text.push('{');
            self.text.push_str(labels);
            if let Some(bound) = le {
                let comma = if labels.is_empty() { "" } else { "," };
                let _ = match bound {
                    // `{:?}` writes 1.0 and not 1: OpenMetrics wants the point, and both formats the same series.
                    Some(nanos) => write!(self.text, "{comma}le=\"{:?}\"", nanos as f64 / 1e9),
                    None => write!(self.text, "{comma}le=\"+Inf\""),
                };
            }
            self.text.push('}');
        }
        self.text.push(' ');
    }

    /// The finished text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Labels as they are written between the braces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels(String);

impl Labels {
    /// Adds a label; an empty value is the same as no label and is left out.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            if !self.0.is_empty() {
                self.0.push(',');
            }
            self.0.push_str(name);
            self.0.push_str("=\"");
            escape(&mut self.0, value, true);
            self.0.push('"');
        }
        self
    }

    /// Adds what another has; the two have no name in common.
    pub(crate) fn append(&mut self, other: &Self) {
        if !self.0.is_empty() && !other.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            // Legal, but a scraper that splits lines on them would be misled.
            '\r' | '\u{2028}' | '\u{2029}' => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_empty_ones_left_out() {
        let mut labels = Labels::default();
        labels.add("a", "say \"hi\"\\\n").add("b", "").add("c", "ü");
        assert_eq!(labels.as_str(), r#"a="say \"hi\"\\\n",c="ü""#);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let mut out = Exposition::new(Format::Prometheus);
        out.family("x_seconds", Type::Histogram, "X.");
        out.histogram("x_seconds", "", &[5_000_000, 1_000_000_000], &[1, 2, 3], 4.5);
        let expected = "# HELP x_seconds X.\n# TYPE x_seconds histogram\nx_seconds_bucket{le=\"0.005\"} 1\n\
            x_seconds_bucket{le=\"1.0\"} 3\nx_seconds_bucket{le=\"+Inf\"} 6\nx_seconds_sum 4.5\nx_seconds_count 6\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn openmetrics_names_counters_without_suffix_and_ends() {
        let mut out = Exposition::new(Format::accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1"));
        out.family("x_total", Type::Counter, "Say \"x\".");
        out.sample("x_total", &Labels::default(), 1.0);
        assert_eq!(out.finish(), "# HELP x Say \\\"x\\\".\n# TYPE x counter\nx_total 1\n# EOF\n");
    }
}
