//! The configuration file: every key, its default, its unit and its help, in one place.

use anyhow::Context as _;
use serde::Deserialize;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use steth_verdict::Patterns;
use steth_wire::Protocol;

macro_rules! options {
    ($($(#[doc = $help:literal])+ $section:ident . $key:ident: $type:ty = $default:expr;)*) => {
        /// `(section, key, help)` of every option, in the order of the file.
        const OPTIONS: &[(&str, &str, &str)] =
            &[$((stringify!($section), stringify!($key), concat!($($help, "\n",)+)),)*];

        impl Configuration {
            /// The value of every option, as it stands in the file.
            fn values(&self) -> Vec<String> {
                vec![$(yaml(&self.$section.$key),)*]
            }
        }
        options!(@sections $($section $key $type = $default;)*);
    };
    (@sections $($section:ident $key:ident $type:ty = $default:expr;)*) => {
        $(
            mod $key {
                #[allow(unused_imports)]
                use super::*;
                pub(super) fn default() -> $type { $default }
            }
        )*
    };
}

options! {
    /// Address of /metrics, the health API and the page. Loopback only.
    server.listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7117));
    /// Directory for finished windows, created with mode 0700. Empty: they are kept in memory only, for one hour.
    store.data: PathBuf = PathBuf::new();
    /// Bytes that finished windows may take in that directory; the oldest files are removed first.
    store.bytes: u64 = 256 << 20;
    /// Bytes copied of the head of a response whose end is known from its head; 64 to 1024.
    capture.head: u32 = 1024;
    /// Size of the kernel ring in KiB, a power of two. All of it is resident memory once it was used.
    capture.ring_kib: u32 = 16384;
    /// Protocols to analyse.
    capture.protocols: Vec<String> = Protocol::ALL.iter().map(|p| p.name().to_owned()).collect();
    /// Processes by the path of their executable: regular expressions, found anywhere in it. At least one of `include`, if there
    /// are any, and none of `exclude`. The rows combine: every row must agree. The kernel decides, before a byte is copied.
    selection.executable: Patterns = Patterns::default();
    /// The same by the arguments, joined with spaces; the first 16384 bytes.
    selection.command_line: Patterns = Patterns::default();
    /// The same by the environment with which the process was started: NAME=VALUE, both expressions; the name matches as a
    /// whole, the value anywhere. The first 16384 bytes.
    selection.environment: Patterns = Patterns::default();
    /// Whether unix sockets are observed.
    selection.unix: bool = true;
    /// Whether connections within this host are observed: loopback, and its own addresses.
    selection.local: bool = true;
    /// Connections whose state is kept; beyond it, one that was not used lately is given up and counted.
    limits.connections: usize = 65_536;
    /// Processes that are remembered.
    limits.processes: usize = 16_384;
}

/// All options.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) capture: Capture,
    pub(crate) selection: Selection,
    pub(crate) limits: Limits,
}

macro_rules! section {
    ($name:ident { $($key:ident: $type:ty),* $(,)? }) => {
        /// One section of the file.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name { $(pub(crate) $key: $type,)* }
        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $key::default(),)* }
            }
        }
    };
}
section!(Server { listen: SocketAddr });
section!(Store { data: PathBuf, bytes: u64 });
section!(Capture { head: u32, ring_kib: u32, protocols: Vec<String>, });
section!(Selection { executable: Patterns, command_line: Patterns, environment: Patterns, unix: bool, local: bool });
section!(Limits { connections: usize, processes: usize });

impl Configuration {
    /// Reads a file. Unknown keys and bad values are refused, with the place.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let configuration: Self =
            if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
                Self::default()
            } else {
                serde_saphyr::from_str(text)?
            };
        configuration.check()?;
        Ok(configuration)
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let ring = self.capture.ring_kib;
        anyhow::ensure!(
            ring.is_power_of_two() && (4..=1 << 20).contains(&ring),
            "capture.ring_kib is {ring}; it must be a power of two from 4 to 1048576"
        );
        anyhow::ensure!((64..=1024).contains(&self.capture.head), "capture.head is {}; 64 to 1024", self.capture.head);
        anyhow::ensure!(self.limits.connections > 0, "limits.connections is 0; at least 1");
        anyhow::ensure!(self.limits.processes > 0, "limits.processes is 0; at least 1");
        crate::selection::of(self)?;
        self.protocols().map(drop)
    }

    /// One bit per protocol that is to be analysed.
    pub(crate) fn protocols(&self) -> anyhow::Result<u32> {
        let mut bits = 0;
        for name in &self.capture.protocols {
            let protocol: Protocol = name.parse().map_err(|error| anyhow::anyhow!("capture.protocols: {error}"))?;
            bits |= 1 << protocol as u8;
        }
        Ok(bits)
    }

    /// The whole file with these values, each option under its help.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for ((section, key, help), value) in OPTIONS.iter().zip(self.values()) {
            if *section != current {
                current = section;
                let _ = writeln!(text, "{section}:");
            }
            for line in help.lines() {
                let _ = writeln!(text, "  # {}", line.trim());
            }
            let _ = writeln!(text, "  {key}: {value}");
        }
        text
    }
}

/// JSON is YAML.
fn yaml(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_is_read() {
        let default = Configuration::default();
        assert_eq!(Configuration::parse(&default.print()).unwrap(), default);
        assert_eq!(Configuration::parse("# nothing\n").unwrap(), default);
        let mut other = default.clone();
        other.capture.head = 256;
        assert_eq!(Configuration::parse("capture:\n  head: 256\n").unwrap(), other);
    }

    #[test]
    fn a_wrong_key_or_value_is_named_with_its_line() {
        let error = format!("{:#}", Configuration::parse("capture:\n  hed: 256\n").unwrap_err());
        assert!(error.contains("hed") && error.contains("head") && error.contains('2'), "{error}");
        let error = format!("{:#}", Configuration::parse("limits:\n  connections: many\n").unwrap_err());
        assert!(error.contains('2'), "{error}");
        let error = Configuration::parse("selection:\n  environment: {include: [ENV]}\n").unwrap_err();
        assert!(format!("{error:#}").contains("'ENV' names no variable"), "{error:#}");
        let error = format!("{:#}", Configuration::parse("capture:\n  protocols: [http, gopher]\n").unwrap_err());
        assert!(error.contains("gopher") && error.contains("redis"), "{error}");
    }
}
