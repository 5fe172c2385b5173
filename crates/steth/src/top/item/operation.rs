//! What is asked: an operation of a server, a question to the DNS.

use super::{Numbers, curve, durations, failed, named, numbers, parts, rate, side};
use crate::print::{Rounded, clean};
use crate::table::Cell;
use serde::Serialize;
use steth_query::SideName;
use steth_query::tell::{Code, Operation, Question, State};

pub(super) fn cells(of: &Operation) -> Vec<Cell> {
    let signals = of.signals.shown();
    let mut cells = vec![
        named(&of.server_name),
        named(&of.operation),
        named(&of.protocol),
        Cell::from(format!("{:.0}%", of.share * 100.0)),
        rate(signals),
        failed(signals),
    ];
    cells.extend(durations(signals));
    cells.extend(parts(signals));
    cells.extend([side(of.signals.preferred), curve(&of.curve)]);
    cells
}

pub(super) fn says(of: &Operation) -> (State, String) {
    let Some(signals) = of.signals.shown() else { return (State::Idle, String::new()) };
    let mut says = format!(
        "{} in all, {:.0}% of the time of {} for {}.",
        Rounded(signals.time_ns),
        of.share * 100.0,
        clean(&of.server_name),
        clean(&of.protocol)
    );
    if signals.slow > 0 {
        says += &format!(" {} of {} were slow.", signals.slow, signals.count);
    }
    if signals.blocking > 0 {
        says += &format!(" {} waited by design.", signals.blocking);
    }
    if !of.namespace.is_empty() {
        says += &format!(" Database {}.", clean(&of.namespace));
    }
    (State::Healthy, says)
}

/// With `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    server: &'a str,
    server_id: &'a str,
    operation: &'a str,
    protocol: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    side: Option<SideName>,
    /// Of all time that the server took for this protocol, 0 to 1.
    share: f64,
    #[serde(flatten)]
    numbers: Option<Numbers>,
}

pub(super) fn line(of: &Operation) -> Line<'_> {
    Line {
        server: &of.server_name,
        server_id: &of.server,
        operation: &of.operation,
        protocol: &of.protocol,
        namespace: &of.namespace,
        side: of.signals.preferred,
        share: of.share,
        numbers: numbers(&of.signals),
    }
}

pub(super) fn question(question: &Question) -> Vec<Cell> {
    let signals = question.signals.as_ref();
    let mut cells = vec![named(&question.operation), rate(signals), failed(signals)];
    cells.extend(durations(signals));
    cells.push(Cell::from(codes(&question.codes)));
    cells
}

/// `NOERROR 12, NXDOMAIN 3`.
pub(in super::super) fn codes(codes: &[Code]) -> String {
    let codes: Vec<String> = codes.iter().map(|code| format!("{} {}", clean(&code.code), code.count)).collect();
    codes.join(", ")
}

/// With `--json`.
#[derive(Debug, Serialize)]
pub(super) struct QuestionLine<'a> {
    operation: &'a str,
    codes: &'a [Code],
    #[serde(flatten)]
    numbers: Option<Numbers>,
}

pub(super) fn question_line(question: &Question) -> QuestionLine<'_> {
    let numbers = question.signals.as_ref().map(Numbers::from);
    QuestionLine { operation: &question.operation, codes: &question.codes, numbers }
}
