//! What a session needs, and how it stands.

use crate::{Domains, Exchange, Names, Statements};
use steth_ledger::{Exchanges, Lost};

/// What a session needs from outside while it is fed.
#[derive(Debug)]
pub struct Context<'a> {
    /// Interned strings.
    pub names: &'a mut Names,
    /// Digests of SQL texts seen before.
    pub statements: &'a mut Statements,
    /// Names of DNS lookups, and the addresses that they found.
    pub domains: &'a mut Domains,
    /// Where finished exchanges go.
    pub out: &'a mut Vec<Exchange>,
    /// The ledger's account of this protocol. `reported` is counted here too, by [`Context::report`].
    pub count: &'a mut Exchanges,
}

impl Context<'_> {
    /// An exchange is complete. One whose response passed unread, so that no byte of it tells the end, ends no earlier than
    /// it starts.
    #[inline]
    pub fn report(&mut self, mut exchange: Exchange) {
        exchange.end = exchange.end.max(exchange.start);
        self.count.reported += 1;
        self.out.push(exchange);
    }
    /// An exchange whose request was seen will not be reported.
    #[inline]
    pub fn lose(&mut self, reason: Lost) {
        self.count.lose(reason, 1);
    }
}

/// Whether a session still wants bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Parsing,
    /// The connection carries something else by agreement from here on (HTTP 101, CONNECT, PSYNC): L4 only.
    Opaque,
    /// Several messages in a row made no sense: this is not the protocol.
    Misinferred,
}
