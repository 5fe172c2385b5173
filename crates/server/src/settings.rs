//! Where to listen, and for whom.

use crate::access::{Audit, Token};
use crate::tls::Tls;
use std::fmt;
use std::net::SocketAddr;

/// What is enough for some pages that are open and a person who clicks.
const QUESTIONS: u32 = 50;

/// Where to listen, and for whom. From an address alone: on loopback, for everybody on this machine.
#[derive(Clone)]
pub struct Settings {
    /// Where.
    pub listen: SocketAddr,
    /// Further names under which this host is asked, without a port: those of a reverse proxy, or in a certificate.
    pub names: Vec<String>,
    /// What whoever asks has to know.
    pub token: Option<Token>,
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Listen also beyond loopback without the two. Health says so.
    pub insecure: bool,
    /// Questions that each address may ask a second, on the average of ten; one whose answer takes long counts as several.
    pub questions_per_second: u32,
    /// Is told of each look at request records.
    pub audit: Option<Audit>,
}

impl From<SocketAddr> for Settings {
    fn from(listen: SocketAddr) -> Self {
        Self {
            listen,
            names: Vec::new(),
            token: None,
            tls: None,
            insecure: false,
            questions_per_second: QUESTIONS,
            audit: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("listen", &self.listen).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Settings {
    /// Whether others than those of this machine can ask without a token, or listen.
    pub(crate) fn is_insecure(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback() && (self.token.is_none() || self.tls.is_none())
    }
}
