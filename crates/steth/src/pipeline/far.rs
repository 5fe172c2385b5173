//! Who is behind the addresses of ends that no process here has.

use super::parse::Parse;
use super::seen::{Observer, address};
use super::talk::Talk;
use crate::naming::Waiting;
use steth_event::Peer;
use steth_flow::Connection;
use steth_wire::Side;

impl<O: Observer> Parse<O> {
    /// Who has an address, from now on at the latest.
    pub(super) fn told(&mut self, peer: Peer, now: u64) {
        let (address, port, since) = (peer.address.to_canonical(), peer.port, peer.since);
        // Addresses of a namespace are not what far ends are counted under.
        let somebody = peer.who.is_some() && peer.netns == 0;
        self.remotes.tell(peer);
        if somebody && let Some(who) = self.remotes.who(address, port, 0, now) {
            self.observer.learnt(address, port, &|| who.clone(), since);
        }
    }

    /// Who the ends are that no process here is behind. An end keeps the first name that was known for it: an address may be
    /// somebody else's by the time a connection ends.
    #[cold]
    pub(super) fn name_peers(&mut self, connection: &mut Connection<Talk<O::Memo>>, role: Side, pids: [u32; 2]) {
        let (Some(open), Some(exchange)) = (&connection.open, self.out.first()) else { return };
        // A client's port is its own invention.
        let there = |port, server: bool| if server { port } else { 0 };
        let reversed = connection.state.reversed;
        let ends = [
            (&open.local_address, there(open.local_port, role == Side::Server || reversed), role == Side::Network),
            (&open.remote_address, there(open.remote_port, role != Side::Server && !reversed), true),
        ];
        for ((peer, pid), (bytes, port, foreign)) in connection.state.peers.iter_mut().zip(pids).zip(ends) {
            if peer.is_none() && foreign && self.naming.get(pid).is_none() {
                let address = address(open, bytes);
                *peer = address.and_then(|address| self.remotes.who(address, port, open.netns, exchange.start));
            }
        }
    }

    /// Who is behind its far end may have been learnt while it waited.
    pub(super) fn name_far_end(&mut self, waiting: &mut Waiting) {
        let Some(open) = waiting.open.filter(|_| waiting.side != Side::Network) else { return };
        let (pid, beyond, port) = match waiting.side {
            Side::Client => (waiting.server_pid, &mut waiting.server_beyond, open.remote_port),
            _ => (waiting.client_pid, &mut waiting.client_beyond, 0),
        };
        if beyond.is_none() && self.naming.get(pid).is_none() {
            let start = waiting.exchange.start;
            let address = address(&open, &open.remote_address);
            *beyond = address.and_then(|address| self.remotes.who_was(address, port, open.netns, start, self.clock));
        }
    }
}
