//! The table of protocols. A further one is a module and a row here (`docs/adding-a-protocol.md`).

use crate::http1::Routing;
use crate::parser::{Begin, Detail, Parser};
use crate::{Context, Database, Direction, End, Exchange, Name, Names, Piece, Side, State, Status, Transport, Value};
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

        /// The state of a connection of any of them.
        #[derive(Debug)]
        pub(crate) enum Any { $($(#[$doc])* $variant($module::Session),)* }

        impl Any {
            pub(crate) fn new(protocol: Protocol, transport: Transport) -> Self {
                match protocol { $(Protocol::$variant => Any::$variant(Begin::new(transport)),)* }
            }

            pub(crate) fn to_service(
                protocol: Protocol,
                transport: Transport,
                service: &[u8],
                routing: &Arc<Routing>,
                names: &mut Names,
            ) -> Self {
                match protocol {
                    $(Protocol::$variant => Any::$variant(Begin::to_service(transport, service, routing, names)),)*
                }
            }

            pub(crate) fn protocol(&self) -> Protocol {
                match self { $(Any::$variant(_) => Protocol::$variant,)* }
            }
        }

        impl Parser for Any {
            #[inline]
            fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
                match self { $(Any::$variant(session) => session.feed(direction, piece, cx),)* }
            }

            fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
                match self { $(Any::$variant(session) => session.shutdown(direction, time, cx),)* }
            }

            fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
                match self { $(Any::$variant(session) => session.close(end, time, cx),)* }
            }

            #[inline]
            fn state(&self) -> State {
                match self { $(Any::$variant(session) => session.state(),)* }
            }

            fn pending(&self) -> usize {
                match self { $(Any::$variant(session) => session.pending(),)* }
            }

            fn in_step(&self) -> bool {
                match self { $(Any::$variant(session) => session.in_step(),)* }
            }

            fn joined(&mut self) {
                match self { $(Any::$variant(session) => session.joined(),)* }
            }

            fn pairs_by_order(&self) -> bool {
                match self { $(Any::$variant(session) => session.pairs_by_order(),)* }
            }

            #[inline]
            fn deadline(&self) -> Option<u64> {
                match self { $(Any::$variant(session) => session.deadline(),)* }
            }

            fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
                match self { $(Any::$variant(session) => session.tick(now, cx),)* }
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

            pub(crate) fn database(&self) -> Option<Database> {
                match self { $(Attributes::$variant(detail) => detail.database(),)* }
            }

            pub(crate) fn summary(&self) -> Option<Name> {
                match self { $(Attributes::$variant(detail) => detail.summary(),)* }
            }

            pub(crate) fn error_type<'a>(&self, status: Status, side: Side, names: &'a Names) -> Option<Cow<'a, str>> {
                match self { $(Attributes::$variant(detail) => detail.error_type(status, side, names),)* }
            }

            pub(crate) fn status_name(&self, status: Status, names: &Names) -> Option<&'static str> {
                match self { $(Attributes::$variant(detail) => detail.status_name(status, names),)* }
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
