//! The protocols that windows know: one row for each, from which everything behind the parsers takes what it has to know of it.

use crate::classic::{self, Bounds};
use serde::{Serialize, Serializer};

/// Whose names its metrics have: the part of OpenTelemetry's semantic conventions that a protocol belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Convention {
    /// `http.*`.
    Http,
    /// `db.*`.
    Database,
    /// `dns.*`.
    Dns,
}

impl Convention {
    /// The classic buckets of its histograms.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        match self {
            Convention::Http | Convention::Dns => classic::WIDE,
            Convention::Database => classic::DATABASE,
        }
    }
}

macro_rules! protocols {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $convention:ident, $system:literal;)*) => {
        /// The protocols that windows know. The numbers stand in the store's files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Protocol { $($(#[$doc])* $variant = $number,)* }

        impl Protocol {
            /// All of them. A protocol that several systems speak comes once for each.
            pub const ALL: [Protocol; [$($number),*].len()] = [$(Protocol::$variant),*];

            /// As it is written in JSON and in labels.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Protocol::$variant => $name,)* }
            }

            /// Whose names its metrics have.
            #[must_use]
            pub fn convention(self) -> Convention {
                match self { $(Protocol::$variant => Convention::$convention,)* }
            }

            /// `db.system.name`: whose database it is; `None` if it is not a database's protocol.
            #[must_use]
            pub fn system(self) -> Option<&'static str> {
                let system = match self { $(Protocol::$variant => $system,)* };
                (!system.is_empty()).then_some(system)
            }
        }
    };
}

protocols! {
    /// HTTP/1.0 and HTTP/1.1.
    Http = 1, "http", Http, "";
    /// Redis.
    Redis = 2, "redis", Database, "redis";
    /// MySQL.
    Mysql = 3, "mysql", Database, "mysql";
    /// PostgreSQL.
    Postgresql = 4, "postgresql", Database, "postgresql";
    /// DNS.
    Dns = 5, "dns", Dns, "";
    /// MySQL's protocol, spoken by MariaDB.
    Mariadb = 6, "mysql", Database, "mariadb";
}

impl Protocol {
    /// The first of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The first of each name.
    pub fn of_each_name() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|protocol| Self::named(protocol.name()) == Some(*protocol))
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_apart_and_a_name_means_one_convention() {
        let numbers: BTreeSet<u8> = Protocol::ALL.iter().map(|protocol| *protocol as u8).collect();
        assert_eq!(numbers.len(), Protocol::ALL.len());
        for protocol in Protocol::ALL {
            let first = Protocol::named(protocol.name()).expect("it has this name itself");
            assert_eq!(first.convention(), protocol.convention(), "{protocol:?}");
            assert_eq!(protocol.system().is_some(), protocol.convention() == Convention::Database, "{protocol:?}");
        }
        assert_eq!(Protocol::named("gopher"), None);
        let names: Vec<_> = Protocol::of_each_name().map(Protocol::name).collect();
        assert_eq!(names, ["http", "redis", "mysql", "postgresql", "dns"]);
    }
}
