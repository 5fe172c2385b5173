//! The table of protocols. A further one is a module and a row here (`docs/adding-a-protocol.md`).

use crate::http1::Routing;
use crate::parser::{Detail, Parser};
use crate::{Context, Direction, End, Exchange, Name, Names, Piece, Side, State, Status, Transport, Value};
use crate::{dns, http1, mysql, postgresql, redis};
use std::borrow::Cow;
use std::sync::Arc;

macro_rules! protocols {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $module:ident;)*) => {
        /// A protocol that steth understands, with the number that the kernel side uses too (`enum steth_protocol` in
        /// `bpf/event.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Protocol { $($(#[$doc])* $variant = $number,)* }

        impl Protocol {
            /// All of them.
            pub const ALL: [Protocol; [$($number),*].len()] = [$(Protocol::$variant),*];

            /// As it is written in JSON, in options and in labels.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Protocol::$variant => $name,)* }
            }
        }

        /// One connection's protocol state.
        #[derive(Debug)]
        pub enum Session { $($(#[$doc])* $variant($module::Session),)* }

        impl Session {
            /// A session for a connection of this protocol. Only DNS travels in datagrams.
            #[must_use]
            pub fn new(protocol: Protocol, transport: Transport) -> Self {
                match protocol { $(Protocol::$variant => Session::$variant(Parser::new(transport)),)* }
            }

            /// The same of a connection to a service, which is known by these bytes: it has its share of `names`.
            #[must_use]
            pub fn to_service(
                protocol: Protocol,
                transport: Transport,
                service: &[u8],
                routing: &Arc<Routing>,
                names: &mut Names,
            ) -> Self {
                match protocol {
                    $(Protocol::$variant => {
                        Session::$variant(Parser::to_service(transport, service, routing, names))
                    })*
                }
            }

            /// The protocol.
            #[must_use]
            pub fn protocol(&self) -> Protocol {
                match self { $(Session::$variant(_) => Protocol::$variant,)* }
            }

            /// The next piece of one direction. The caller feeds pieces in causal order: a response never before the request
            /// it answers.
            #[inline]
            pub fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
                match self { $(Session::$variant(session) => session.feed(direction, piece, cx),)* }
            }

            /// One direction has ended in order: no byte will follow. (A close-delimited body ends here.)
            pub fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
                match self { $(Session::$variant(session) => session.shutdown(direction, time, cx),)* }
            }

            /// The connection is gone. Whatever is outstanding becomes a record, or a counted loss. Idempotent.
            pub fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
                match self { $(Session::$variant(session) => session.close(end, time, cx),)* }
            }

            /// When it is to be told the time, should nothing happen before.
            #[inline]
            #[must_use]
            pub fn deadline(&self) -> Option<u64> {
                match self { $(Session::$variant(session) => session.deadline(),)* }
            }

            /// Time has come this far.
            pub fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
                match self { $(Session::$variant(session) => session.tick(now, cx),)* }
            }

            /// Whether it still wants bytes.
            #[must_use]
            pub fn state(&self) -> State {
                match self { $(Session::$variant(session) => session.state(),)* }
            }

            /// Requests that wait for their response.
            #[must_use]
            pub fn pending(&self) -> usize {
                match self { $(Session::$variant(session) => session.pending(),)* }
            }
        }

        /// What the protocol knows beyond the common fields, as OpenTelemetry attributes.
        #[derive(Clone, Copy, Debug)]
        pub enum Attributes { $($(#[$doc])* $variant($module::Attributes),)* }

        impl Attributes {
            pub(crate) fn protocol(&self) -> Protocol {
                match self { $(Attributes::$variant(_) => Protocol::$variant,)* }
            }

            pub(crate) fn reversed(&self) -> bool {
                match self { $(Attributes::$variant(detail) => detail.reversed(),)* }
            }

            pub(crate) fn summary(&self) -> Option<Name> {
                match self { $(Attributes::$variant(detail) => detail.summary(),)* }
            }

            pub(crate) fn error_type<'a>(&self, status: Status, side: Side, names: &'a Names) -> Option<Cow<'a, str>> {
                match self { $(Attributes::$variant(detail) => detail.error_type(status, side, names),)* }
            }

            pub(crate) fn each<'a>(
                &self,
                exchange: &Exchange,
                side: Side,
                names: &'a Names,
                each: &mut dyn FnMut(&'static str, Value<'a>),
            ) {
                match self { $(Attributes::$variant(detail) => detail.each(exchange, side, names, each),)* }
            }
        }
    };
}

protocols! {
    /// HTTP/1.0 and HTTP/1.1.
    Http1 = 1, "http", http1;
    /// Redis: RESP2, RESP3 and inline commands.
    Redis = 2, "redis", redis;
    /// MySQL and MariaDB.
    Mysql = 3, "mysql", mysql;
    /// PostgreSQL, protocol 3.
    Postgresql = 4, "postgresql", postgresql;
    /// DNS over UDP and TCP.
    Dns = 5, "dns", dns;
}

impl Protocol {
    /// The protocol with this number; `None` for 0 (not known) and numbers this version does not know.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| *p as u8 == number)
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|p| p.name()).collect();
            format!("unknown protocol {name:?}; known: {}", known.join(", "))
        })
    }
}
