//! Who may ask, under which name, and what is written down of it.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use steth_window::EntityId;
use subtle::ConstantTimeEq as _;

/// Sessions at a time; the oldest goes first.
const MOST_SESSIONS: usize = 64;
/// How long a session lasts.
pub(crate) const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Wrong tokens of one address within a minute; beyond, none of it is looked at.
const MOST_FAILURES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Wrong tokens that are remembered, of all addresses together; the oldest go first.
const MOST_REMEMBERED: usize = 1024;

/// What whoever asks has to know. Shorter than 16 bytes it could be guessed.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No such file, or not for us.
    #[error("cannot read the token's file {0}: {1}")]
    Read(String, #[source] std::io::Error),
    /// Others may read it.
    #[error("others may read the token's file {0}; chmod 600 {0}")]
    Open(String),
    /// Nobody could send it, or anybody could guess it.
    #[error(
        "the token in {0} must be 16 to 1024 visible ASCII characters on one line; \
         for example: head -c 32 /dev/urandom | base64 > {0}"
    )]
    Unusable(String),
}

impl Token {
    /// Reads it from a file of which it is all, and which nobody but its owner may read.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let name = path.display().to_string();
        let failed = |error| TokenError::Read(name.clone(), error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(TokenError::Open(name));
        }
        let mut text = String::new();
        file.by_ref().take(2048).read_to_string(&mut text).map_err(failed)?;
        let text = text.trim_ascii();
        let good = (16..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(Self(text.into())) } else { Err(TokenError::Unusable(name)) }
    }

    /// In a time that does not tell how much of it is right.
    fn is(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }
}

/// One look at request records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// From where.
    pub peer: SocketAddr,
    /// The first digits of the session, `token` for one that came with the request, `open` where nothing is asked for.
    pub session: String,
    /// What was looked for, as it stood in the URL; at most 512 characters, nothing in it that steers a terminal.
    pub filter: String,
}

/// Is told of each look at request records.
pub type Audit = Arc<dyn Fn(&Look) + Send + Sync>;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) String);

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Without a token, or with a wrong one.
    Unknown,
    /// Too many wrong ones.
    TooMany,
}

/// Rules and memory of access.
pub(crate) struct Access {
    /// Further names of this host.
    pub(crate) names: Vec<String>,
    /// It is reached from elsewhere: by its address.
    pub(crate) beyond_loopback: bool,
    /// Over TLS only, so cookies are, too.
    pub(crate) tls: bool,
    /// Reachable from elsewhere without token or TLS, because somebody wanted it so.
    pub(crate) insecure: bool,
    pub(crate) token: Option<Token>,
    pub(crate) audit: Option<Audit>,
    /// The name of the cookie: this agent's own. Browsers do not tell ports of a host apart, and two agents behind `ssh -L` would
    /// end each other's sessions.
    pub(crate) cookie: String,
    memory: Mutex<Memory>,
    pub(crate) counts: Counts,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("names", &self.names).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// How often.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) looks: AtomicU64,
    pub(crate) refused_hosts: AtomicU64,
    pub(crate) refused_tokens: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) sessions_evicted: AtomicU64,
}

#[derive(Default)]
struct Memory {
    sessions: VecDeque<(Instant, [u8; 32])>,
    failures: VecDeque<(Instant, IpAddr)>,
}

impl Access {
    pub(crate) fn new(settings: &crate::Settings) -> Self {
        Self {
            names: settings.names.clone(),
            beyond_loopback: !settings.listen.ip().to_canonical().is_loopback(),
            tls: settings.tls.is_some(),
            insecure: settings.is_insecure(),
            token: settings.token.clone(),
            audit: settings.audit.clone(),
            cookie: cookie(settings.listen),
            memory: Mutex::default(),
            counts: Counts::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever asks, by the token or the session that came with the request.
    pub(crate) fn caller(
        &self,
        peer: IpAddr,
        bearer: Option<&str>,
        session: Option<&str>,
        now: Instant,
    ) -> Result<Caller, Refusal> {
        if self.token.is_none() {
            return Ok(Caller("open".to_owned()));
        }
        if let Some(bearer) = bearer {
            self.check(peer, bearer, now)?;
            return Ok(Caller("token".to_owned()));
        }
        let session = session.and_then(from_hex).ok_or(Refusal::Unknown)?;
        let mut memory = self.memory();
        memory.sessions.retain(|(begun, _)| now.duration_since(*begun) < SESSION);
        // All are compared, so that the time does not tell which was nearly right.
        let known = memory.sessions.iter().fold(0u8, |known, (_, there)| known | there.ct_eq(&session).unwrap_u8());
        if known == 1 { Ok(Caller(hex(&session[..4]))) } else { Err(Refusal::Unknown) }
    }

    /// Whether it is the token.
    fn check(&self, peer: IpAddr, token: &str, now: Instant) -> Result<(), Refusal> {
        let peer = network(peer);
        let mut memory = self.memory();
        memory.failures.retain(|(at, _)| now.duration_since(*at) < MINUTE);
        if memory.failures.iter().filter(|(_, who)| *who == peer).count() >= MOST_FAILURES {
            return Err(Refusal::TooMany);
        }
        if self.token.as_ref().is_some_and(|right| right.is(token.as_bytes())) {
            return Ok(());
        }
        self.counts.refused_tokens.fetch_add(1, Ordering::Relaxed);
        if memory.failures.len() >= MOST_REMEMBERED {
            memory.failures.pop_front();
        }
        memory.failures.push_back((now, peer));
        Err(Refusal::Unknown)
    }

    /// A new session for the token; its cookie's value.
    pub(crate) fn begin(&self, peer: IpAddr, token: &str, now: Instant) -> Result<String, Refusal> {
        self.check(peer, token, now)?;
        let mut id = [0; 32];
        // Without chance there are no sessions.
        let random = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut id));
        random.map_err(|_| Refusal::Unknown)?;
        let mut memory = self.memory();
        memory.sessions.retain(|(begun, _)| now.duration_since(*begun) < SESSION);
        if memory.sessions.len() >= MOST_SESSIONS {
            memory.sessions.pop_front();
            self.counts.sessions_evicted.fetch_add(1, Ordering::Relaxed);
        }
        memory.sessions.push_back((now, id));
        self.counts.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(hex(&id))
    }

    /// Somebody looks at request records.
    pub(crate) fn look(&self, peer: SocketAddr, caller: &Caller, query: &str) {
        self.counts.looks.fetch_add(1, Ordering::Relaxed);
        if let Some(audit) = &self.audit {
            let filter = query.chars().take(512).flat_map(char::escape_debug).collect();
            audit(&Look { peer, session: caller.0.clone(), filter });
        }
    }

    /// Whether a `Host` or the host of an `Origin` names this machine.
    pub(crate) fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let address = name.parse::<IpAddr>().ok();
        name.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.to_canonical().is_loopback())
            // An address cannot be made to lead elsewhere, as a name can.
            || (self.beyond_loopback && address.is_some())
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Of this machine and this address.
fn cookie(listen: SocketAddr) -> String {
    let [host, machine] =
        ["/proc/sys/kernel/hostname", "/etc/machine-id"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let id = EntityId::of(&format!("{}\n{}\n{listen}", host.trim(), machine.trim()));
    format!("steth-{:.8}", id.to_string())
}

/// A `Host` without its port, which may be any: ssh -L and containers change it.
fn name_of(host: &str) -> Option<&str> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let (name, port) = rest.split_once(']')?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name);
    }
    match host.split_once(':') {
        Some((name, port)) => is_port(port).then_some(name),
        None => Some(host),
    }
}

/// An address of IPv6 stands for its network: whoever has one has all of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !0 << 64).into()),
        address => address,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: Option<&str>, listen: &str, names: &[&str]) -> Access {
        let listen: SocketAddr = listen.parse().expect("an address");
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let token = token.map(|token| Token(token.into()));
        Access::new(&crate::Settings { token, names, ..listen.into() })
    }

    #[test]
    fn only_names_of_this_machine_pass() {
        let local = access(None, "127.0.0.1:7117", &["steth.example"]);
        let good = ["localhost", "LOCALHOST:7117", "127.0.0.1", "127.0.0.1:80", "127.8.9.1", "[::1]", "[::1]:7117"];
        for host in good.into_iter().chain(["steth.example", "Steth.Example:443"]) {
            assert!(local.is_ours(host), "{host}");
        }
        let bad = ["", ":7117", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7117", "0.0.0.0"];
        for host in bad.into_iter().chain(["[::1", "[::1]x", "[::]", "10.0.0.1", "localhost:x", "localhost@evil:1"]) {
            assert!(!local.is_ours(host), "{host}");
        }
        let beyond = access(None, "0.0.0.0:7117", &[]);
        assert!(beyond.is_ours("10.0.0.1:7117") && !beyond.is_ours("evil.example"));
    }

    #[test]
    fn a_session_is_had_for_the_token_and_ends() {
        let token = "0123456789abcdef";
        let access = access(Some(token), "127.0.0.1:0", &[]);
        let (peer, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        assert_eq!(access.caller(peer, None, None, now), Err(Refusal::Unknown));
        let session = access.begin(peer, token, now).expect("a session");
        let caller = access.caller(peer, None, Some(&session), now).expect("known");
        assert_eq!(caller.0, session[..8]);
        assert_eq!(access.caller(peer, None, Some(&session), now + SESSION), Err(Refusal::Unknown), "it is over");
        assert_eq!(access.caller(peer, Some(token), None, now), Ok(Caller("token".to_owned())));
        let first = access.begin(peer, token, now).expect("a session");
        (0..MOST_SESSIONS).for_each(|_| drop(access.begin(peer, token, now)));
        assert_eq!(access.caller(peer, None, Some(&first), now), Err(Refusal::Unknown), "the oldest had to go");
    }

    #[test]
    fn who_guesses_is_not_listened_to_any_more() {
        let access = access(Some("0123456789abcdef"), "127.0.0.1:0", &[]);
        let (peer, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 0..MOST_FAILURES {
            assert_eq!(access.begin(peer, "0123456789abcdeg", now), Err(Refusal::Unknown));
        }
        assert_eq!(access.begin(peer, "0123456789abcdef", now), Err(Refusal::TooMany), "even the right one");
        assert_eq!(access.caller(peer, Some("x"), None, now), Err(Refusal::TooMany));
        let other = IpAddr::from([192, 0, 2, 2]);
        assert!(access.begin(other, "0123456789abcdef", now).is_ok(), "others are");
        assert!(access.begin(peer, "0123456789abcdef", now + MINUTE).is_ok());
        for n in 0..=MOST_REMEMBERED as u32 {
            let _ = access.begin(IpAddr::from(n.to_be_bytes()), "x", now);
        }
        assert!(access.memory().failures.len() <= MOST_REMEMBERED);
    }

    #[test]
    fn a_token_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            Token::read(&path)
        };
        assert!(write("0123456789abcdef\n", 0o600).is_ok_and(|token| token.is(b"0123456789abcdef")));
        assert!(write("0123456789abcdef\n", 0o640).unwrap_err().to_string().contains("chmod 600"));
        assert!(write("short", 0o600).unwrap_err().to_string().contains("16 to 1024"));
        assert!(write("0123456789abcdef 0123", 0o600).is_err());
        assert!(Token::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
