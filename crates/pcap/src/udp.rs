//! UDP (RFC 768): the datagrams between two ends are one connection, each datagram one chunk.

use crate::field;
use crate::ip::Datagram;
use crate::limits::Limits;
use crate::records::{MOST, Records};
use crate::stats::{Skip, UdpStats};
use crate::table::Table;
use crate::tuple::{Side, Tuple};
use steth_event::{CHUNK_TURN, Chunk, IntoBytes, RECEIVE, SEND};

/// `role_source`: whoever sent first, or what the ports tell.
const BY_REQUEST: u8 = 2;

/// All pairs of ends.
#[derive(Debug)]
pub(crate) struct Udp {
    table: Table<Tuple, Pair>,
}

#[derive(Debug)]
struct Pair {
    id: u64,
    client: Side,
    /// Bytes so far, by sender.
    next: [u64; 2],
    moved: Option<Side>,
}

impl Udp {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { table: Table::new(limits.udp_connections) }
    }

    pub(crate) fn datagram(
        &mut self,
        datagram: &Datagram<'_>,
        time: u64,
        records: &mut Records<'_>,
        stats: &mut UdpStats,
    ) -> Result<(), Skip> {
        const HEADER: u64 = 8;
        let header: [u8; 8] = field::array(&datagram.payload, 0).ok_or(Skip::Truncated)?;
        let port = |at| field::u16(&header, at).unwrap_or(0);
        // 0: longer than 16 bits can say (RFC 2675).
        let length = match u64::from(port(4)) {
            0 => datagram.length,
            length => length,
        };
        if length < HEADER || length > datagram.length {
            return Err(Skip::Malformed);
        }
        let (tuple, side) = Tuple::new(datagram, port(0), port(2));
        let length = length - HEADER;
        stats.datagrams += 1;
        stats.bytes += length;
        if length == 0 {
            stats.empty += 1;
            return Ok(());
        }

        let pair = match self.table.get(&tuple) {
            Some(pair) => pair,
            None => {
                // Who sends first asks, unless the capture began in between and the ports know better.
                let client = tuple.client().unwrap_or(side);
                let id = records.connection();
                stats.connections += 1;
                let mut open = tuple.open(client, 17);
                (open.connection, open.time, open.role_source) = (id, time, BY_REQUEST);
                records.plain(open.as_bytes());
                let pair = Pair { id, client, next: [0; 2], moved: None };
                stats.evicted += u64::from(self.table.insert(tuple, pair).is_some());
                match self.table.get(&tuple) {
                    Some(pair) => pair,
                    None => return Ok(()),
                }
            }
        };
        let data = datagram.payload.get(HEADER as usize..).unwrap_or_default();
        let data = &data[..usize::try_from(length).unwrap_or(usize::MAX).min(data.len()).min(MOST)];
        let chunk = Chunk {
            direction: if side == pair.client { SEND } else { RECEIVE },
            flags: if pair.moved == Some(side) { 0 } else { CHUNK_TURN },
            connection: pair.id,
            time,
            offset: pair.next[side],
            opposite: pair.next[1 - side],
            length: length as u32,
            role_source: BY_REQUEST,
            ..Chunk::default()
        };
        records.chunk(chunk, data);
        stats.not_captured += length - data.len() as u64;
        pair.moved = Some(side);
        pair.next[side] += length;
        Ok(())
    }
}
