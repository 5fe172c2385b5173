//! The protocols, by the numbers that the kernel side uses too (`enum steth_protocol` in `bpf/event.h`).

/// A protocol that steth understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1 = 1,
    /// Redis: RESP2, RESP3 and inline commands.
    Redis = 2,
    /// MySQL and MariaDB.
    Mysql = 3,
    /// PostgreSQL, protocol 3.
    Postgresql = 4,
    /// DNS over UDP and TCP.
    Dns = 5,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 5] =
        [Protocol::Http1, Protocol::Redis, Protocol::Mysql, Protocol::Postgresql, Protocol::Dns];

    /// The protocol with this number; `None` for 0 (not known) and numbers this version does not know.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| *p as u8 == number)
    }

    /// As it is written in JSON, in options and in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "http",
            Protocol::Redis => "redis",
            Protocol::Mysql => "mysql",
            Protocol::Postgresql => "postgresql",
            Protocol::Dns => "dns",
        }
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
