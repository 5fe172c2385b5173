//! Where clients' connections really lead, as the kernel's connection tracking says, as records.

use super::cluster::Cluster;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};
use steth_conntrack::{Answer, Asked, Conntrack, Counters, Place, Question, Tuple};
use steth_event::{
    IntoBytes as _, Open, ROLE_CLIENT, ROLE_SERVER, TRANSLATION_ASKED, TRANSLATION_NONE, TRANSLATION_REFUSED,
    TRANSLATION_TO, Translation, kind,
};
use steth_probe::privileges::{self, Capabilities, Capability};

/// Asks of connections as they are announced.
pub(crate) struct Translations {
    conntrack: Conntrack,
}

impl Translations {
    /// Starts to ask, while this thread has all its privileges: those that ask keep one. `None` without that one.
    pub(crate) fn start() -> Option<Self> {
        if !Capabilities::held().has(Capability::NetAdmin) {
            return None;
        }
        // Where packets of containers are rewritten, too, if the agent is in one and sees the processes of its host.
        let host = File::open("/proc/1/ns/net").ok().filter(|host| {
            let inode = |file: std::io::Result<std::fs::Metadata>| file.map(|file| file.ino()).ok();
            inode(host.metadata()) != inode(std::fs::metadata("/proc/self/ns/net"))
        });
        let places = [Some(Place::Here), host.map(Place::At)];
        // Nothing else of what they could do is of any use to them.
        let prepare = || privileges::keep_only(&[Capability::NetAdmin]);
        match Conntrack::start(places.into_iter().flatten(), prepare) {
            Ok(conntrack) => {
                if let Some(error) = conntrack.barred() {
                    crate::say::say!(
                        "addresses that the host rewrites stay as clients know them: its network namespace cannot be entered ({error}); \
                        CAP_SYS_ADMIN, or running in the host's network, helps"
                    );
                }
                Some(Self { conntrack })
            }
            Err(error) => {
                crate::say::say!("connection tracking is not asked: {error}");
                None
            }
        }
    }

    /// A connection is about to be handed on.
    #[inline]
    pub(super) fn connection(&mut self, open: &Open, each: &mut impl FnMut(&[u8])) {
        if open.role == ROLE_SERVER || open.peer_tgid != 0 {
            return;
        }
        let Some(question) = question(open) else { return };
        let state = match self.conntrack.ask(question) {
            Asked::Needless => return,
            Asked::UnderWay => TRANSLATION_ASKED,
            Asked::Refused => TRANSLATION_REFUSED,
        };
        let connection = open.connection;
        each(Translation { kind: kind::TRANSLATION, state, connection, ..Translation::default() }.as_bytes());
    }

    /// Hands on what was answered, waiting so long in all for what is still being asked. Who is behind an address comes before the record that
    /// leads there.
    pub(super) fn turn(&mut self, patience: Duration, cluster: &mut Option<Cluster>, each: &mut impl FnMut(&[u8])) {
        let until = Instant::now() + patience;
        while let Some((question, answer)) = self.conntrack.answer(until.saturating_duration_since(Instant::now())) {
            if let (Answer::Rewritten { server, .. }, Some(cluster)) = (answer, cluster.as_mut()) {
                let transport = match question.tuple.transport {
                    steth_conntrack::Transport::Tcp => steth_kubernetes::Transport::Tcp,
                    steth_conntrack::Transport::Udp => steth_kubernetes::Transport::Udp,
                };
                cluster.remote(server.ip(), Some(server.port()), transport, each);
            }
            each(record(question.connection, answer).as_bytes());
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.conntrack.counters()
    }
}

/// What to ask of this connection, if it is a client's to somebody.
fn question(open: &Open) -> Option<Question> {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let transport = match open.transport {
        // An older one may be a server's, whose port is not listened on any more.
        TCP if open.role == ROLE_CLIENT => steth_conntrack::Transport::Tcp,
        // One that is connected. Who asks has the higher port, as far as can be told.
        UDP if open.remote_port != 0 && open.local_port >= open.remote_port => steth_conntrack::Transport::Udp,
        _ => return None,
    };
    let end = |bytes, port| Some(SocketAddr::new(crate::pipeline::address(open, bytes)?, port));
    let tuple = Tuple {
        transport,
        client: end(&open.local_address, open.local_port)?,
        server: end(&open.remote_address, open.remote_port)?,
    };
    // Of an older one neither time is known.
    let established = open.transport == UDP || open.established != 0 || open.connect_started == 0;
    Some(Question { connection: open.connection, netns: open.netns, tuple, established })
}

fn record(connection: u64, answer: Answer) -> Translation {
    let none = Translation { kind: kind::TRANSLATION, state: TRANSLATION_NONE, connection, ..Translation::default() };
    let Answer::Rewritten { server, client } = answer else { return none };
    Translation {
        state: TRANSLATION_TO,
        family: if server.is_ipv4() { 2 } else { 10 },
        port: server.port(),
        client_port: client.port(),
        address: octets(server.ip()),
        client_address: octets(client.ip()),
        ..none
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(role: u8, transport: u8, ports: (u16, u16)) -> Open {
        let mut open = Open { family: 2, transport, role, netns: 9, connection: 3, established: 1, ..Open::default() };
        (open.local_port, open.remote_port) = ports;
        open.local_address[..4].copy_from_slice(&[10, 0, 0, 1]);
        open.remote_address[..4].copy_from_slice(&[10, 96, 0, 1]);
        open
    }

    #[test]
    fn clients_are_asked_about_and_nobody_else() {
        let asked =
            |open: &Open| question(open).map(|question| (question.tuple.server.to_string(), question.established));
        let there = |established| Some(("10.96.0.1:80".to_owned(), established));
        let client = open(ROLE_CLIENT, 6, (40_000, 80));
        assert_eq!(asked(&client), there(true));
        assert_eq!(asked(&Open { established: 0, connect_started: 5, ..client }), there(false), "it has failed");
        assert_eq!(asked(&Open { established: 0, ..client }), there(true), "it was there before the agent");
        let mut mapped = Open { family: 10, ..client };
        mapped.local_address = "::ffff:10.0.0.1".parse::<std::net::Ipv6Addr>().expect("one").octets();
        mapped.remote_address = "::ffff:10.96.0.1".parse::<std::net::Ipv6Addr>().expect("one").octets();
        assert_eq!(asked(&mapped), there(true), "IPv4 mapped into IPv6 is IPv4");
        assert_eq!(asked(&open(0, 17, (40_000, 80))), there(true), "UDP, connected");
        for other in [
            open(ROLE_SERVER, 6, (80, 40_000)),
            open(0, 6, (40_000, 80)),
            open(0, 17, (53, 40_000)),
            open(0, 17, (40_000, 0)),
            Open { family: 1, transport: 0, ..client },
        ] {
            assert_eq!(asked(&other), None, "{other:?}");
        }
    }

    #[test]
    fn an_answer_is_a_record_of_its_family() {
        let (server, client) = (SocketAddr::from(([10, 1, 1, 1], 8080)), SocketAddr::from(([10, 0, 0, 1], 40_000)));
        let told = record(3, Answer::Rewritten { server, client });
        assert_eq!((told.state, told.family, told.port, told.client_port), (TRANSLATION_TO, 2, 8080, 40_000));
        assert_eq!((&told.address[..5], &told.client_address[..5]), (&[10, 1, 1, 1, 0][..], &[10, 0, 0, 1, 0][..]));
        for answer in [Answer::AsItIs, Answer::Untracked, Answer::Failed] {
            assert_eq!((record(3, answer).state, record(3, answer).connection), (TRANSLATION_NONE, 3));
        }
    }
}
