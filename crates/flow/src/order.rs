//! The order of one connection's chunks: which is next, what is handed on, and what is declared missing.

use crate::connection::Held;
use crate::{Connection, Content, Counts, Segment, Sink};
use steth_event::{CHUNK_MISSED, CHUNK_TURN, Chunk, LAG_UNKNOWN, RECEIVE, ROLE_CLIENT, ROLE_SERVER, SEND};

#[cfg(test)]
mod tests;

/// Whether no hook ran for these bytes. How far the other direction was when they moved is not known then.
fn was_missed(chunk: &Chunk) -> bool {
    chunk.flags & CHUNK_MISSED != 0
}

/// Whether this chunk is next: its own direction has come this far, and so had the other when it moved.
#[inline]
pub(crate) fn in_order<S>(connection: &Connection<S>, chunk: &Chunk) -> bool {
    let direction = usize::from(chunk.direction & 1);
    connection.streams[direction].reached(chunk.offset)
        && (connection.streams[1 - direction].reached(chunk.opposite) || was_missed(chunk))
}

/// Where among the held chunks the next one is. What was missed goes when nothing else can: of the others each says whether it waits for it.
pub(crate) fn next<S>(connection: &Connection<S>) -> Option<usize> {
    let find = |missed: bool| {
        let is = |held: &Held| was_missed(&held.chunk) == missed && in_order(connection, &held.chunk);
        connection.held.iter().position(is)
    };
    find(false).or_else(|| find(true)).or_else(|| first_of_two(connection))
}

/// Takes a chunk out of the held ones; of what was missed, only as far as it had come when the other direction's next chunk moved.
pub(crate) fn take<S>(connection: &mut Connection<S>, index: usize) -> Option<Held> {
    let chunk = connection.held.get(index)?.chunk;
    let other = 1 - usize::from(chunk.direction & 1);
    let within = |opposite: &u64| (chunk.offset + 1..chunk.offset + u64::from(chunk.length)).contains(opposite);
    let cut = (connection.held.iter().map(|held| &held.chunk))
        .filter(|held| usize::from(held.direction & 1) == other && connection.streams[other].reached(held.offset))
        .map(|held| held.opposite)
        .filter(|opposite| was_missed(&chunk) && within(opposite))
        .min();
    let Some(cut) = cut else {
        let held = connection.held.remove(index)?;
        connection.held_bytes -= held.size();
        return Some(held);
    };
    let length = (cut - chunk.offset) as u32;
    let rest = &mut connection.held.get_mut(index)?.chunk;
    (rest.offset, rest.length, rest.flags) = (cut, rest.length - length, rest.flags & !CHUNK_TURN);
    Some(Held { chunk: Chunk { length, ..chunk }, data: Box::default() })
}

/// Of two chunks that are each next in their direction, and say that the other one had moved before: two threads use the
/// socket, and each looked up where the other direction is after its own call. The request goes first, since the other one
/// may be its response, while no response is in any request.
fn first_of_two<S>(connection: &Connection<S>) -> Option<usize> {
    let find = |direction: u8| {
        let is = |held: &Held| {
            let stream = &connection.streams[usize::from(direction)];
            held.chunk.direction & 1 == direction && stream.reached(held.chunk.offset)
        };
        connection.held.iter().position(is)
    };
    let (sent, received) = (find(SEND)?, find(RECEIVE)?);
    Some(match connection.role {
        ROLE_CLIENT => sent,
        ROLE_SERVER => received,
        _ if connection.held[sent].chunk.time <= connection.held[received].chunk.time => sent,
        _ => received,
    })
}

/// Of held chunks of which none is next, the one before which something is to be declared missing: the oldest that does not say that
/// another held one had moved before it; of those that all say so, the oldest. A send's time may be from before what it answers was taken.
pub(crate) fn to_force<S>(connection: &Connection<S>) -> Option<usize> {
    let held = &connection.held;
    let first = [SEND, RECEIVE].map(|direction| {
        let offsets = held.iter().filter(|held| held.chunk.direction & 1 == direction).map(|held| held.chunk.offset);
        offsets.min().unwrap_or(u64::MAX)
    });
    let waits = |held: &Held| {
        first[usize::from(1 - (held.chunk.direction & 1))] < held.chunk.opposite && !was_missed(&held.chunk)
    };
    (held.iter().enumerate()).min_by_key(|(_, held)| (waits(held), held.chunk.time)).map(|(oldest, _)| oldest)
}

/// What a chunk says of its connection. The sink must know it before the first segment, a hole too.
#[inline]
fn learn<S>(connection: &mut Connection<S>, chunk: &Chunk) {
    if chunk.role != 0 {
        (connection.role, connection.role_source) = (chunk.role, chunk.role_source);
    }
    if chunk.protocol != 0 {
        connection.protocol = chunk.protocol;
    }
}

/// Declares what this chunk shows to be missing. Returns whether the other direction has moved in it, and nothing of the chunk's own is
/// missing: then it begins a turn, though the kernel, which saw nothing of that, does not say so.
pub(crate) fn declare<S>(
    connection: &mut Connection<S>,
    chunk: &Chunk,
    counts: &mut Counts,
    sink: &mut impl Sink<State = S>,
) -> bool {
    learn(connection, chunk);
    let direction = usize::from(chunk.direction & 1);
    // The other direction first: it moved before this chunk did. Only as far as no chunk is held that has the bytes.
    let other = 1 - direction;
    let there = (connection.held.iter())
        .filter(|held| usize::from(held.chunk.direction & 1) == other)
        .map(|held| held.chunk.offset)
        .min()
        .unwrap_or(u64::MAX);
    let moved = !was_missed(chunk) && miss(connection, other, chunk.opposite.min(there), chunk.time, counts, sink);
    let missing = miss(connection, direction, chunk.offset, chunk.time, counts, sink);
    moved && !missing
}

/// Bytes up to `end` will not come. Returns whether there are any.
pub(crate) fn miss<S>(
    connection: &mut Connection<S>,
    direction: usize,
    end: u64,
    time: u64,
    counts: &mut Counts,
    sink: &mut impl Sink<State = S>,
) -> bool {
    let stream = &mut connection.streams[direction];
    if stream.reached(end) {
        return false;
    }
    let (offset, length) = (stream.expected, end - stream.expected);
    stream.expected = end;
    stream.hole = (offset, end);
    counts.holes += 1;
    counts.lost_bytes += length;
    let opposite = connection.streams[1 - direction].expected;
    let segment = Segment { offset, opposite, time, arrival: 0, turn: false, content: Content::Lost(length) };
    sink.segment(connection, direction as u8, &segment);
    true
}

/// The announcement, which comes before every first chunk, was lost, and perhaps more with it: how much cannot be known, so
/// the other direction gets a hole of one byte that says no more than that.
#[cold]
fn unannounced<S>(connection: &mut Connection<S>, other: usize, chunk: &Chunk, sink: &mut impl Sink<State = S>) {
    connection.streams[other].place(chunk.opposite);
    let segment = Segment {
        offset: chunk.opposite.wrapping_sub(1),
        opposite: chunk.offset,
        time: chunk.time,
        arrival: 0,
        turn: false,
        content: Content::Lost(1),
    };
    sink.segment(connection, other as u8, &segment);
}

/// Hands a chunk on. It is next, or what is missing before it has been declared.
#[inline]
pub(crate) fn deliver<S>(
    connection: &mut Connection<S>,
    chunk: &Chunk,
    data: &[u8],
    counts: &mut Counts,
    sink: &mut impl Sink<State = S>,
) {
    let direction = usize::from(chunk.direction & 1);
    learn(connection, chunk);
    if !connection.streams[1 - direction].placed {
        unannounced(connection, 1 - direction, chunk, sink);
    }
    connection.streams[1 - direction].place(chunk.opposite);
    let stream = &mut connection.streams[direction];
    stream.place(chunk.offset);
    // What has been handed on already, or declared lost, is not taken back.
    let late = stream.expected.saturating_sub(chunk.offset).min(chunk.length.into());
    if late > 0 {
        counts.late_bytes += late;
        too_late(connection, chunk, data.get(..late as usize).unwrap_or(data), late, sink);
        if late == u64::from(chunk.length) {
            return;
        }
    }
    // Positions are looked up behind the call: another thread may have moved the other direction in between, and what is
    // handed on only now was then still to come.
    let opposite = chunk.opposite.min(connection.streams[1 - direction].expected);
    let turn = chunk.flags & CHUNK_TURN != 0 || connection.turns[direction] > 0;
    if was_missed(chunk) {
        connection.turns[1 - direction] = 2;
    } else if turn {
        connection.turns[1 - direction] = std::mem::take(&mut connection.turns[direction]).saturating_sub(1);
    }
    let stream = &mut connection.streams[direction];
    let offset = chunk.offset + late;
    stream.expected = chunk.offset + u64::from(chunk.length);
    let data = data.get(late as usize..).unwrap_or_default();
    let arrival = match chunk.lag_us {
        LAG_UNKNOWN => 0,
        lag if chunk.direction == RECEIVE => chunk.time.saturating_sub(u64::from(lag) * 1000),
        _ => 0,
    };
    let mut segment = Segment {
        offset,
        opposite,
        time: chunk.time,
        arrival,
        turn: turn && late == 0,
        content: Content::Captured(data),
    };
    if !data.is_empty() {
        sink.segment(connection, chunk.direction & 1, &segment);
        segment.turn = false;
    }
    let skipped = u64::from(chunk.length) - late - data.len() as u64;
    if skipped > 0 {
        segment.offset += data.len() as u64;
        segment.content = Content::Skipped(skipped);
        sink.segment(connection, chunk.direction & 1, &segment);
    }
    end_stream(connection, direction, sink);
}

/// The first `late` bytes of a chunk lie behind what has been handed on. Of those that were given up as lost, or were never
/// expected, the sink is told.
#[cold]
fn too_late<S>(connection: &mut Connection<S>, chunk: &Chunk, data: &[u8], late: u64, sink: &mut impl Sink<State = S>) {
    let stream = &mut connection.streams[usize::from(chunk.direction & 1)];
    if !stream.gave_up(chunk.offset, chunk.offset + late) || data.is_empty() {
        return;
    }
    let segment = Segment {
        offset: chunk.offset,
        opposite: chunk.opposite,
        time: chunk.time,
        arrival: 0,
        turn: chunk.flags & CHUNK_TURN != 0,
        content: Content::Captured(data),
    };
    sink.late(connection, chunk.direction & 1, &segment);
}

/// Tells the sink of an end that has been reached.
#[inline]
pub(crate) fn end_stream<S>(connection: &mut Connection<S>, direction: usize, sink: &mut impl Sink<State = S>) {
    let stream = &mut connection.streams[direction];
    let Some((offset, time)) = stream.end else { return };
    if !stream.ended && stream.reached(offset) {
        stream.ended = true;
        // Received bytes may be read long after the FIN came in.
        let time = time.max(connection.last);
        sink.shutdown(connection, direction as u8, time);
    }
}
