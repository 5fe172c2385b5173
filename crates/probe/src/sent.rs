//! What went where from UDP sockets that are not connected: the kernel side's table of it, taken out.

use crate::attach::Probe;
use libbpf_rs::{MapCore, MapFlags};
use steth_event::{Destination, FromBytes, Sent, kind};

/// `max_entries` of `sent_to` in `bpf/state.h`.
pub const SENT_TO: u32 = 8192;
/// Entries that one call of the kernel takes out.
const BATCH: u32 = 1024;
const CONNECTION: usize = size_of::<u64>();
const TO: usize = CONNECTION + size_of::<Destination>();

impl Probe {
    /// Takes out what was sent where since the last call: one record for each socket and destination. What is sent meanwhile is
    /// in this call's records or in the next one's.
    pub fn take_sent(&mut self, mut each: impl FnMut(&Sent)) {
        let Ok(entries) = self.side.sent_to.lookup_and_delete_batch(BATCH, MapFlags::ANY, MapFlags::ANY) else {
            return;
        };
        // Each entry goes as it is read; new ones may come meanwhile.
        for (key, value) in entries.take(2 * SENT_TO as usize) {
            if let Some(sent) = sent(&key, &value) {
                each(&sent);
            }
        }
    }

    /// Datagrams whose destination found no room in that table.
    #[must_use]
    pub fn sent_without_room(&self) -> u64 {
        self.side.control_now().control.sent_to_full
    }
}

/// `struct sent_to` and `struct sent`.
fn sent(key: &[u8], value: &[u8]) -> Option<Sent> {
    let number = |bytes: &[u8], at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let to = Destination::read_from_bytes(key.get(CONNECTION..TO)?).ok()?;
    Some(Sent {
        kind: kind::SENT,
        family: to.family,
        port: to.port,
        address: to.address,
        connection: number(key, 0)?,
        bytes: number(value, 0)?,
        datagrams: number(value, 8)?,
        ..Sent::default()
    })
}
