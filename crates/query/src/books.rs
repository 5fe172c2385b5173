//! The kernel's books in the form in which they are shown.

use crate::signals::{Quantiles, SideName};
use serde::{Deserialize, Serialize};
use steth_window::EdgeTotals;
use utoipa::ToSchema;

/// What one end's kernel says of connections. Segments are those of TCP; of UDP, datagrams; on unix sockets, calls. What one
/// end alone can know (`retransmitted_segments` and what follows) is of what this end has sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs)] // the fields are documented in docs/l4.md, one by one
pub struct Books {
    pub open: u64,
    pub opened: u64,
    pub closed: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    pub segments_to_server: u64,
    pub segments_to_client: u64,
    pub retransmitted_segments: u64,
    pub retransmitted_bytes: u64,
    pub lost_segments: u64,
    pub reordered: u64,
    pub duplicate_segments: u64,
    pub busy_us: u64,
    pub receive_window_us: u64,
    pub send_buffer_us: u64,
    pub refused: u64,
    pub connect_timed_out: u64,
    pub unreachable: u64,
    pub abandoned: u64,
    pub failed_otherwise: u64,
    pub resets_by_client: u64,
    pub resets_by_server: u64,
    pub timed_out: u64,
    /// Smoothed round-trip times.
    pub rtt: Option<Quantiles>,
    /// The least round-trip time, nanoseconds.
    pub rtt_min_ns: Option<u64>,
    /// From SYN to establishment, as the client saw it.
    pub connect: Option<Quantiles>,
    /// From establishment to the return of `accept()`, as the server saw it.
    pub accept_wait: Option<Quantiles>,
}

impl From<&EdgeTotals> for Books {
    fn from(totals: &EdgeTotals) -> Self {
        let sums = totals.sums;
        Self {
            open: totals.open,
            opened: sums.opened,
            closed: sums.closed,
            bytes_to_server: sums.bytes_to_server,
            bytes_to_client: sums.bytes_to_client,
            segments_to_server: sums.segments_to_server,
            segments_to_client: sums.segments_to_client,
            retransmitted_segments: sums.retransmitted_segments,
            retransmitted_bytes: sums.retransmitted_bytes,
            lost_segments: sums.lost_segments,
            reordered: sums.reordered,
            duplicate_segments: sums.duplicate_segments,
            busy_us: sums.busy_us,
            receive_window_us: sums.receive_window_us,
            send_buffer_us: sums.send_buffer_us,
            refused: sums.refused,
            connect_timed_out: sums.connect_timed_out,
            unreachable: sums.unreachable,
            abandoned: sums.abandoned,
            failed_otherwise: sums.failed_otherwise,
            resets_by_client: sums.resets_by_client,
            resets_by_server: sums.resets_by_server,
            timed_out: sums.timed_out,
            rtt: Quantiles::of(&totals.rtt),
            rtt_min_ns: totals.rtt_min_ns,
            connect: Quantiles::of(&totals.connect),
            accept_wait: Quantiles::of(&totals.accept_wait),
        }
    }
}

impl Books {
    /// Connections that could not be made, whatever the cause. Who hung up while connecting (`abandoned`) did not fail.
    #[must_use]
    pub fn failed_connects(&self) -> u64 {
        self.refused + self.connect_timed_out + self.unreachable + self.failed_otherwise
    }
}

/// What each end's kernel says of the same connections. The sides are never summed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BooksBySide {
    /// The one to show where one number is wanted: the client's if it is watched, since failed connects are in its books only.
    pub preferred: Option<SideName>,
    /// The client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Books>,
    /// The server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Books>,
}

impl BooksBySide {
    /// What the preferred side says; `None` if there is nothing at all.
    #[must_use]
    pub fn shown(&self) -> Option<&Books> {
        self.client.as_ref().or(self.server.as_ref())
    }
}
