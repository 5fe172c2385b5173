//! The rows of connections: ports, remote addresses, and a share by chance. The kernel side looks them up; here they are read.

use crate::RuleError;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Entries that a list of ports or networks may have: `bpf/rows.h` has room for four lists of networks.
pub const LIST: usize = 1024;

/// Two lists of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lists<T> {
    /// At least one of these must match, if there are any.
    pub include: Vec<T>,
    /// None of these may match. Beats `include`.
    pub exclude: Vec<T>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { include: Vec::new(), exclude: Vec::new() }
    }
}

/// A port, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first one, 1 to 65535.
    pub first: u16,
    /// The last one, not below the first.
    pub last: u16,
}

/// A network: all addresses that begin like this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// An address in it. An IPv4 address that is mapped into IPv6 is kept as IPv4.
    pub address: IpAddr,
    /// How many bits count: up to 32 for IPv4, 128 for IPv6.
    pub prefix: u8,
}

/// Which connections are observed, whoever has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// By the port of either end.
    pub port: Lists<PortRange>,
    /// By the address of the other end.
    pub remote: Lists<Network>,
    /// Those are observed whose hash, which is the same at both ends, is not above this; `u32::MAX`: all.
    pub sampling: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { port: Lists::default(), remote: Lists::default(), sampling: u32::MAX }
    }
}

impl Connections {
    /// The rows as the configuration has them; `sampling`: a share, above 0 and up to 1.
    ///
    /// # Errors
    /// When a list is too long, or the share is none.
    pub fn new(port: Lists<PortRange>, remote: Lists<Network>, sampling: f64) -> Result<Self, RuleError> {
        for (row, length) in [
            ("port", port.include.len()),
            ("port", port.exclude.len()),
            ("remote", remote.include.len()),
            ("remote", remote.exclude.len()),
        ] {
            if length > LIST {
                return Err(RuleError::TooMany { row, length });
            }
        }
        if !(sampling > 0.0 && sampling <= 1.0) {
            return Err(RuleError::Share(sampling.to_string()));
        }
        // Rounded down by the cast, and never below the smallest share there is: one in 2^32.
        let sampling = (sampling * 4_294_967_296.0 - 1.0).max(0.0) as u32;
        Ok(Self { port, remote, sampling })
    }

    /// The share of connections that is observed, above 0 and up to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        (f64::from(self.sampling) + 1.0) / 4_294_967_296.0
    }

    /// Whether every connection is observed, as far as these rows say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl PortRange {
    fn of(text: &str) -> Option<Self> {
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: port(first)?, last: port(last)? };
        (range.first <= range.last).then_some(range)
    }
}

impl FromStr for PortRange {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::of(text).ok_or_else(|| RuleError::Port(text.to_owned()))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = PortRange;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port or a range of ports, such as 80 or \"8000-8099\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortRange, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PortRange, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PortRange, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self { first, last } if first == last => serializer.serialize_u16(*first),
            range => serializer.collect_str(range),
        }
    }
}

impl Network {
    fn of(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return None;
        }
        // The kernel side looks for a mapped address in the lists of IPv4.
        match address {
            IpAddr::V6(v6) if prefix >= 96 => Some(match v6.to_ipv4_mapped() {
                Some(v4) => Self { address: v4.into(), prefix: prefix - 96 },
                None => Self { address, prefix },
            }),
            _ => Some(Self { address, prefix }),
        }
    }

    /// The address in 16 bytes, as in a record: IPv4 in the first four.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        match self.address {
            IpAddr::V6(v6) => v6.octets(),
            IpAddr::V4(v4) => std::array::from_fn(|n| *v4.octets().get(n).unwrap_or(&0)),
        }
    }

    /// Whether an address is in it; a mapped one is IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let differ = bits(self.address) ^ bits(address);
        self.address.is_ipv4() == address.is_ipv4() && differ.leading_zeros() >= u32::from(self.prefix)
    }
}

impl FromStr for Network {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::of(text).ok_or_else(|| RuleError::Network(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The whole of IPv4.
impl Default for Network {
    fn default() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        for (text, expected) in [
            ("80", Some((80, 80))),
            ("8000-8099", Some((8000, 8099))),
            ("1-65535", Some((1, 65535))),
            ("0", None),
            ("9-8", None),
            ("65536", None),
            ("-1", None),
            ("80-", None),
            ("http", None),
            ("", None),
        ] {
            let range = text.parse::<PortRange>();
            assert_eq!(range.as_ref().ok().map(|r| (r.first, r.last)), expected, "{text}");
            assert!(range.is_err() || range.unwrap().to_string() == text);
        }
    }

    #[test]
    fn networks_and_what_is_in_them() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("0.0.0.0/0", "10.0.0.1", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
        ] {
            let network: Network = text.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {text}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} in {text}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "", "/8", "localhost", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(RuleError::Network(text.to_owned())));
        }
    }

    #[test]
    fn a_share_is_above_nothing_and_not_above_everything() {
        let rows = |share| Connections::new(Lists::default(), Lists::default(), share);
        assert_eq!(rows(1.0).unwrap(), Connections::default());
        for share in [0.5, 0.25, 1e-3, 1e-9] {
            let rows = rows(share).unwrap();
            assert!((rows.share() - share).abs() < 1e-9 && !rows.is_empty(), "{share}");
        }
        for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(rows(share), Err(RuleError::Share(_))), "{share}");
        }
        let long = Lists { include: vec!["80".parse().unwrap(); LIST + 1], exclude: vec![] };
        let error = Connections::new(long, Lists::default(), 1.0).unwrap_err();
        assert_eq!(error, RuleError::TooMany { row: "port", length: LIST + 1 });
    }
}
