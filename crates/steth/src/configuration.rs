//! The configuration file: every key, its default, its unit and its help, in one place.

mod span;

use crate::pipeline::{self, Selected};
use crate::slow::Thresholds;
use anyhow::Context as _;
use serde::Deserialize;
use span::Span;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steth_containers::Endpoint;
use steth_identity::{ServiceRule, ServiceRules};
use steth_verdict::{Lists, Network, Patterns, PortRange};
use steth_wire::Protocol;
use steth_wire::http1::{Routing, Rules};

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
    /// Address of /metrics, the API and the page. Beyond loopback only with `token_file`, `certificate` and `key`.
    server.listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7117));
    /// Further names under which it is asked, without a port: of a reverse proxy, or those in the certificate. Under any other name
    /// nobody is answered, as it may be a stranger's that leads here.
    server.names: Vec<String> = Vec::new();
    /// File with the token that whoever asks has to know: 16 to 1024 characters, mode 0600. Empty: nobody is asked for one.
    server.token_file: PathBuf = PathBuf::new();
    /// Certificates for TLS, a chain in PEM. Empty: no TLS.
    server.certificate: PathBuf = PathBuf::new();
    /// The key of the first of them, in PEM.
    server.key: PathBuf = PathBuf::new();
    /// Listen beyond loopback also without token or TLS. Anyone who reaches the address can then read what is observed here; the
    /// page says so in red.
    server.insecure_listen: bool = false;
    /// Questions that each address may ask a second, on the average of ten seconds; each 20 ms that an answer takes count as one more.
    server.questions_per_second: u32 = 50;
    /// Directory of the store, created with mode 0700: windows of 10 seconds, added up to 1 and 10 minutes, and requests. It belongs to
    /// one agent at a time. Empty: finished windows are kept in memory only, for one hour.
    store.data: PathBuf = PathBuf::new();
    /// Bytes that the store may take, at least 8388608; the files that were begun first are removed first.
    store.bytes: u64 = 256 << 20;
    /// Bytes copied of the head of a response whose end is known from its head; 64 to 1024.
    capture.head: u32 = 1024;
    /// Size of the kernel ring in KiB, a power of two. All of it is resident memory once it was used.
    capture.ring_kib: u32 = 16384;
    /// Protocols to analyse. None ([]): connections are known and counted, and no byte of them is looked at. Read again on SIGHUP.
    capture.protocols: Vec<String> = Protocol::ALL.iter().map(|p| p.name().to_owned()).collect();
    /// Processes by the path of their executable: regular expressions, found anywhere in it. At least one of `include`, if there
    /// are any, and none of `exclude`. The rows combine: every row must agree. The kernel decides, before a byte is copied.
    selection.executable: Patterns = Patterns::default();
    /// The same by the arguments, joined with spaces; the first 16384 bytes.
    selection.command_line: Patterns = Patterns::default();
    /// The same by the environment with which the process was started: NAME=VALUE, both expressions; the name matches as a
    /// whole, the value anywhere. The first 16384 bytes.
    selection.environment: Patterns = Patterns::default();
    /// Processes by the name of their container: regular expressions as above. A process that is in no container has no name, image,
    /// pod, namespace or label: no `include` of these five finds anything of it, and no `exclude`. A container whose name the agent
    /// does not know (yet) is not observed while any of these five is there.
    selection.container: Patterns = Patterns::default();
    /// The same by the container's image.
    selection.image: Patterns = Patterns::default();
    /// The same by the name of its pod.
    selection.pod: Patterns = Patterns::default();
    /// The same by the namespace of its pod.
    selection.namespace: Patterns = Patterns::default();
    /// The same by its labels: KEY=VALUE, as in `environment`.
    selection.label: Patterns = Patterns::default();
    /// Connections by the port of either end: ports and ranges, such as {include: [80, "8000-8099"]}; at most 1024 in a list.
    selection.port: Lists<PortRange> = Lists::default();
    /// Connections by the address of the other end: networks, such as {exclude: ["10.0.0.0/8", "2001:db8::/32"]}; at most 1024.
    selection.remote: Lists<Network> = Lists::default();
    /// Share of connections that is observed, above 0 and up to 1. Both ends of a connection agree about it. What is counted is
    /// what was observed: nothing is scaled up.
    selection.sampling: f64 = 1.0;
    /// Whether unix sockets are observed.
    selection.unix: bool = true;
    /// Whether connections within this host are observed: loopback, and its own addresses.
    selection.local: bool = true;
    /// What services are called, before anything that is found out about them; the first rule that fits counts. Each has a name and
    /// at least one regular expression, found anywhere in its text: executable, command_line, unit, container, image, pod,
    /// namespace. All that it has must be found. At most 64. For example [{name: billing, command_line: "billing\\.jar"}].
    identity.services: Vec<ServiceRule> = Vec::new();
    /// Whether the container runtimes of this host are asked what their containers are called: containerd, CRI-O, Docker, podman.
    identity.containers: bool = true;
    /// Their sockets, as cri:/run/containerd/containerd.sock or docker:/run/docker.sock. None: the usual places are looked at.
    identity.runtimes: Vec<String> = Vec::new();
    /// The Kubernetes cluster that is asked whose an address is: auto (KUBECONFIG, else in a pod its service account, else
    /// ~/.kube/config, where there is one), off, a kubeconfig's path, or the API server's address.
    identity.kubernetes: String = "auto".to_owned();
    /// Only the pods of this node are followed, by its name. Empty: all of the cluster, since remote addresses are theirs.
    identity.node: String = String::new();
    /// Pods that are kept, about 1.2 KiB each; addresses of those beyond have no name.
    identity.pods: usize = 20_000;
    /// Names of addresses for which DNS was not asked: hosts(5), looked at again every ten seconds. Empty: none.
    identity.hosts_file: PathBuf = PathBuf::from("/etc/hosts");
    /// Whether the kernel's connection tracking, where it is loaded, is asked where connections to rewritten addresses lead (NAT, published
    /// ports, services of a cluster). A thread that does nothing else keeps CAP_NET_ADMIN for that.
    identity.conntrack: bool = true;
    /// An HTTP exchange is slow if it takes so long or longer. The slow ones are counted, on the page, in /metrics as
    /// steth_exchanges_slow_total and in the windows' files. What waits by design never is, whatever its protocol:
    /// event streams, BLPOP. A long time (1h) calls nothing slow.
    slow.http: Span = Span::millis(250);
    /// The same of a Redis command.
    slow.redis: Span = Span::millis(10);
    /// The same of a statement to MySQL or MariaDB.
    slow.mysql: Span = Span::millis(100);
    /// The same of a statement to PostgreSQL.
    slow.postgresql: Span = Span::millis(100);
    /// The same of a DNS lookup.
    slow.dns: Span = Span::millis(100);
    /// Templates of HTTP paths, in order; the first that matches is the route, before the built-in ones: {name} stands
    /// for one segment, *rest at the end for any number, all else for itself. A host in front keeps a rule to that host.
    /// At most 64. For example ["/users/me", "/users/{name}/files/*rest", "shop.example/{product}"].
    http.routes: Vec<String> = Vec::new();
    /// Routes that are told apart of one service, each with its method; all others are counted as *. 1 to 4096.
    http.routes_per_service: u32 = Routing::default().routes_per_service;
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
    pub(crate) identity: Identity,
    pub(crate) slow: Slow,
    pub(crate) http: Http,
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
section!(Server {
    listen: SocketAddr,
    names: Vec<String>,
    token_file: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    insecure_listen: bool,
    questions_per_second: u32,
});
section!(Store { data: PathBuf, bytes: u64 });
section!(Capture { head: u32, ring_kib: u32, protocols: Vec<String>, });
section!(Selection {
    executable: Patterns,
    command_line: Patterns,
    environment: Patterns,
    container: Patterns,
    image: Patterns,
    pod: Patterns,
    namespace: Patterns,
    label: Patterns,
    port: Lists<PortRange>,
    remote: Lists<Network>,
    sampling: f64,
    unix: bool,
    local: bool,
});
section!(Identity { services: Vec<ServiceRule>, containers: bool, runtimes: Vec<String>, kubernetes: String, node: String, pods: usize, hosts_file: PathBuf, conntrack: bool });
section!(Slow { http: Span, redis: Span, mysql: Span, postgresql: Span, dns: Span });
section!(Http { routes: Vec<String>, routes_per_service: u32 });
section!(Limits { connections: usize, processes: usize });

impl Configuration {
    /// What the file says, or the defaults if there is none.
    pub(crate) fn read_or_default(path: Option<&Path>) -> anyhow::Result<Self> {
        path.map_or_else(|| Ok(Self::default()), Self::read)
    }

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
        let bytes = self.store.bytes;
        anyhow::ensure!(bytes >= 8 << 20, "store.bytes is {bytes}; at least 8388608 (8 MiB)");
        anyhow::ensure!(self.limits.connections > 0, "limits.connections is 0; at least 1");
        anyhow::ensure!(self.limits.processes > 0, "limits.processes is 0; at least 1");
        crate::selection::of(self)?;
        for protocol in Protocol::ALL {
            let name = protocol.name();
            anyhow::ensure!(
                !self.slow_from(protocol).is_zero(),
                "slow.{name} is 0, so everything would be slow; 1ns or more"
            );
        }
        let routes = self.http.routes_per_service;
        anyhow::ensure!((1..=4096).contains(&routes), "http.routes_per_service is {routes}; 1 to 4096");
        self.rules()?;
        self.services()?;
        self.identity.endpoints()?;
        self.protocols().map(drop)
    }

    fn rules(&self) -> anyhow::Result<Rules> {
        Rules::parse(&self.http.routes).context("http.routes")
    }

    fn services(&self) -> anyhow::Result<ServiceRules> {
        ServiceRules::new(&self.identity.services).context("identity.services")
    }

    fn slow_from(&self, protocol: Protocol) -> Duration {
        let Span(duration) = match protocol {
            Protocol::Http1 => self.slow.http,
            Protocol::Redis => self.slow.redis,
            Protocol::Mysql => self.slow.mysql,
            Protocol::Postgresql => self.slow.postgresql,
            Protocol::Dns => self.slow.dns,
        };
        duration
    }

    /// From how long on an exchange is slow.
    pub(crate) fn thresholds(&self) -> Thresholds {
        Thresholds::new(|protocol| self.slow_from(protocol))
    }

    /// The limits of the pipeline.
    pub(crate) fn pipeline(&self) -> anyhow::Result<pipeline::Limits> {
        let routing = Routing { rules: self.rules()?, routes_per_service: self.http.routes_per_service };
        Ok(pipeline::Limits {
            connections: self.limits.connections,
            processes: self.limits.processes,
            services: self.services()?,
            routing: Arc::new(routing),
            ..pipeline::Limits::default()
        })
    }

    /// The limits of windows.
    pub(crate) fn windows(&self) -> steth_window::Limits {
        let usual = steth_window::Limits::default();
        // A route that has a name keeps it: windows have room for all of them, and for `*` of each method.
        let operations = usual.operations_per_service.max(self.http.routes_per_service as usize + 16);
        steth_window::Limits { operations_per_service: operations, ..usual }
    }

    /// One bit per protocol that is to be analysed.
    pub(crate) fn protocols(&self) -> anyhow::Result<Selected> {
        let mut bits = 0;
        for name in &self.capture.protocols {
            let protocol: Protocol = name.parse().map_err(|error| anyhow::anyhow!("capture.protocols: {error}"))?;
            bits |= 1 << protocol as u8;
        }
        Ok(Selected(bits))
    }

    /// The protocols that are to be analysed, or the one that was asked for.
    pub(crate) fn selected(&self, only: Option<Protocol>) -> anyhow::Result<Selected> {
        only.map_or_else(|| self.protocols(), |protocol| Ok(Selected::only(protocol)))
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

impl Server {
    /// Where to listen, and for whom. Each look at request records is written to standard error.
    pub(crate) fn settings(&self) -> anyhow::Result<steth_server::Settings> {
        let given = |path: &PathBuf| !path.as_os_str().is_empty();
        let token = given(&self.token_file).then(|| steth_server::Token::read(&self.token_file)).transpose()?;
        let tls = match (given(&self.certificate), given(&self.key)) {
            (true, true) => Some(steth_server::Tls::read(&self.certificate, &self.key)?),
            (false, false) => None,
            _ => anyhow::bail!("server.certificate and server.key belong together: give both, or none"),
        };
        Ok(steth_server::Settings {
            listen: self.listen,
            names: self.names.clone(),
            token,
            tls,
            insecure: self.insecure_listen,
            questions_per_second: self.questions_per_second,
            audit: Some(Arc::new(|look: &steth_server::Look| {
                let steth_server::Look { peer, session, filter } = look;
                crate::say::say!("audit: requests were looked at from {peer}, session {session}: {filter}");
            })),
        })
    }
}

impl Identity {
    /// The sockets of container runtimes that are given.
    pub(crate) fn endpoints(&self) -> anyhow::Result<Vec<Endpoint>> {
        self.runtimes.iter().map(|text| text.parse().context("identity.runtimes")).collect()
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
    fn how_long_is_slow_is_said_for_each_protocol() {
        let default = Configuration::default();
        assert!(default.print().contains("  http: \"250ms\"\n"), "{}", default.print());
        let other = Configuration::parse("slow:\n  redis: 1s 500ms\n").unwrap();
        assert_eq!(other.slow_from(Protocol::Redis), Duration::from_millis(1500));
        assert_eq!(other.slow_from(Protocol::Http1), default.slow_from(Protocol::Http1));
        for (text, named) in [("slow:\n  redis: 10\n", "250ms"), ("slow:\n  dns: 0s\n", "slow.dns")] {
            let error = format!("{:#}", Configuration::parse(text).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn rules_for_paths_are_checked_when_they_are_read() {
        let good = "http:\n  routes: [\"/users/{name}\", 'shop.example/*rest']\n  routes_per_service: 4000\n";
        let good = Configuration::parse(good).unwrap();
        assert_eq!(Configuration::parse(&good.print()).unwrap(), good);
        assert_eq!(good.pipeline().unwrap().routing.routes_per_service, 4000);
        assert!(good.windows().operations_per_service > 4000);
        for (text, named) in [
            ("http:\n  routes: [/a, /b/*c/d]\n", r#"http.routes: rule 2 ("/b/*c/d"): *c must come last"#),
            ("http:\n  routes_per_service: 0\n", "1 to 4096"),
        ] {
            let error = format!("{:#}", Configuration::parse(text).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn rules_for_services_are_checked_when_they_are_read() {
        let good = "identity:\n  services: [{name: billing, command_line: 'billing\\.jar', namespace: ^prod$}]\n";
        let good = Configuration::parse(good).unwrap();
        assert_eq!(Configuration::parse(&good.print()).unwrap(), good);
        let error = format!("{:#}", Configuration::parse("identity: {services: [{name: x, unit: (}]}").unwrap_err());
        assert!(error.contains("identity.services: rule 1 ('x'), unit"), "{error}");
    }

    #[test]
    fn rows_of_connections_are_read_and_checked() {
        let text = "selection:\n  port: {include: [80, '8000-8099'], exclude: [8080]}\n  \
                    remote: {exclude: [10.0.0.0/8, '::1', '2001:db8::/32']}\n  sampling: 0.25\n";
        let rows = Configuration::parse(text).unwrap();
        assert_eq!(Configuration::parse(&rows.print()).unwrap(), rows);
        let selection = crate::selection::of(&rows).unwrap();
        assert_eq!(selection.connections.port.include[1].to_string(), "8000-8099");
        assert!((selection.connections.share() - 0.25).abs() < 1e-9);
        let off = Configuration::parse("capture:\n  protocols: []\n").unwrap();
        assert_eq!(crate::selection::of(&off).unwrap().protocols, 0);
        for (text, named) in [
            ("port: {include: [0]}", "'0' is no port"),
            ("port: {include: ['9-8']}", "'9-8' is no port"),
            ("port: {include: [-80]}", "'-80' is no port"),
            ("port: {include: [80.5]}", "a port or a range"),
            ("remote: {include: [10.0.0.0/33]}", "'10.0.0.0/33' is no network"),
            ("remote: {include: [localhost]}", "'localhost' is no network"),
            ("sampling: 0", "selection.sampling is 0"),
            ("sampling: 1.5", "selection.sampling is 1.5"),
            ("label: {include: [app]}", "'app' names no variable or label"),
        ] {
            let error = format!("{:#}", Configuration::parse(&format!("selection: {{{text}}}\n")).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_wrong_key_or_value_is_named_with_its_line() {
        let error = format!("{:#}", Configuration::parse("capture:\n  hed: 256\n").unwrap_err());
        assert!(error.contains("hed") && error.contains("head") && error.contains('2'), "{error}");
        let error = format!("{:#}", Configuration::parse("limits:\n  connections: many\n").unwrap_err());
        assert!(error.contains('2'), "{error}");
        let error = Configuration::parse("selection:\n  environment: {include: [ENV]}\n").unwrap_err();
        assert!(format!("{error:#}").contains("'ENV' names no variable or label"), "{error:#}");
        let error = format!("{:#}", Configuration::parse("capture:\n  protocols: [http, gopher]\n").unwrap_err());
        assert!(error.contains("gopher") && error.contains("redis"), "{error}");
    }
}
