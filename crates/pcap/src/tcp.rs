//! TCP segments to connections (RFC 9293, section 3.1 for the header).

use crate::connection::{Connection, Cx, Segment};
use crate::field;
use crate::ip::Datagram;
use crate::limits::Limits;
use crate::records::Records;
use crate::stats::{Skip, TcpStats};
use crate::table::Table;
use crate::tuple::{Side, Tuple};
use std::borrow::Cow;

/// After this time the same four numbers are another connection, SYN or not: twice Linux's TIME_WAIT.
const LINGER: u64 = 120_000_000_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// All connections.
#[derive(Debug)]
pub(crate) struct Tcp<'a> {
    table: Table<Tuple, Connection<'a>>,
    held: usize,
}

impl<'a> Tcp<'a> {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { table: Table::new(limits.connections), held: 0 }
    }

    pub(crate) fn segment(
        &mut self,
        datagram: Datagram<'a>,
        time: u64,
        records: &mut Records<'_>,
        stats: &mut TcpStats,
        limits: &Limits,
    ) -> Result<(), Skip> {
        let (tuple, side, segment) = parse(datagram, time)?;
        stats.segments += 1;
        stats.bytes += segment.length;
        let mut cx = Cx { tuple, records, stats, limits, held: &mut self.held };
        let connection = match self.table.get(&tuple) {
            Some(connection) => {
                let another = if segment.syn && !segment.rst {
                    !connection.owns_syn(side, &segment)
                } else {
                    joinable(&segment) && connection.closed.is_some_and(|at| time.saturating_sub(at) > LINGER)
                };
                if another {
                    connection.close(0, time, &mut cx);
                    *connection = Connection::default();
                }
                connection
            }
            None if joinable(&segment) => {
                if let Some((tuple, mut evicted)) = self.table.insert(tuple, Connection::default())
                    && evicted.closed.is_none()
                {
                    cx.stats.evicted += 1;
                    evicted.flush(time, &mut Cx { tuple, ..cx });
                }
                match self.table.get(&tuple) {
                    Some(connection) => connection,
                    None => return Ok(()),
                }
            }
            None => {
                cx.stats.unattached += 1;
                cx.stats.out_of_window += segment.length;
                return Ok(());
            }
        };
        let mut cx = Cx { tuple, records, stats, limits, held: &mut self.held };
        connection.take(side, segment, &mut cx);
        Ok(())
    }

    /// The file has ended: what waits, waits in vain.
    pub(crate) fn finish(&mut self, time: u64, records: &mut Records<'_>, stats: &mut TcpStats, limits: &Limits) {
        for (tuple, connection) in self.table.values() {
            if connection.closed.is_none() {
                connection.flush(time, &mut Cx { tuple: *tuple, records, stats, limits, held: &mut self.held });
            }
        }
    }
}

/// A connection begins with it, or can be joined at it.
fn joinable(segment: &Segment<'_>) -> bool {
    !segment.rst && (segment.syn || (segment.ack && segment.length > 0))
}

fn parse<'a>(datagram: Datagram<'a>, time: u64) -> Result<(Tuple, Side, Segment<'a>), Skip> {
    let fixed: [u8; 14] = field::array(&datagram.payload, 0).ok_or(Skip::Truncated)?;
    let header = usize::from(fixed[12] >> 4) * 4;
    if header < 20 {
        return Err(Skip::Malformed);
    }
    let length = datagram.length.checked_sub(header as u64).ok_or(Skip::Malformed)?;
    let port = |at| field::u16(&fixed, at).unwrap_or(0);
    let (tuple, side) = Tuple::new(&datagram, port(0), port(2));
    let data = match datagram.payload {
        Cow::Borrowed(payload) => Cow::Borrowed(payload.get(header..).unwrap_or_default()),
        Cow::Owned(mut payload) => {
            payload.drain(..header.min(payload.len()));
            Cow::Owned(payload)
        }
    };
    let has = |flag| fixed[13] & flag != 0;
    let segment = Segment {
        sequence: field::u32(&fixed, 4).unwrap_or(0),
        acknowledged: field::u32(&fixed, 8).unwrap_or(0),
        syn: has(SYN),
        ack: has(ACK),
        fin: has(FIN),
        rst: has(RST),
        data,
        length,
        time,
    };
    Ok((tuple, side, segment))
}
