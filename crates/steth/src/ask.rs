//! Asks a running agent over its API.

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// For the whole answer. The agent makes it in milliseconds; what takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer. The agent's own bounds keep it far below.
const LONGEST: u64 = 64 << 20;

/// Where the agent is, and how its certificate is checked.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Connect {
    /// Where the agent is: its address, or a proxy's with the path below which it serves the agent
    #[arg(long, value_name = "URL", default_value = Place::USUAL)]
    pub(crate) connect: Place,
    /// Of https: file with the certificates to trust (PEM), instead of the system's
    #[arg(long, value_name = "FILE", env = "STETH_CA")]
    pub(crate) ca: Option<PathBuf>,
}

/// The address, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Place {
    /// As an option's default.
    pub(crate) const USUAL: &str = "http://127.0.0.1:7117";

    fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some(_) => return Err(format!("like {} or https://HOST:7117", Self::USUAL)),
            None => ("http", text),
        };
        let rest = rest.trim_end_matches('/');
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let of_path = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
        if host.is_empty() || !host.chars().all(of_host) || !path.chars().all(of_path) {
            return Err(format!("like {}, localhost:7117 or https://proxy.example/steth", Self::USUAL));
        }
        Ok(Self(format!("{scheme}://{rest}")))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A conversation with one agent.
pub(crate) struct Agent {
    place: Place,
    client: ureq::Agent,
    /// Of the environment, where the agent asks for one.
    token: Option<String>,
}

/// In this variable stands the token of an agent that asks for one.
const TOKEN: &str = "STETH_TOKEN";

impl Agent {
    pub(crate) fn at(Connect { connect: place, ca }: &Connect) -> anyhow::Result<Self> {
        // A proxy of the environment leads out of this machine.
        let configuration = ureq::Agent::config_builder().proxy(None).max_redirects(0).http_status_as_error(false);
        let mut configuration = configuration.timeout_global(Some(PATIENCE)).user_agent("steth");
        if place.is_tls() {
            let roots = RootCerts::new_with_certs(&trusted(ca.as_deref())?);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider);
            configuration = configuration.tls_config(tls.build());
        }
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Ok(Self { place: place.clone(), client: configuration.build().into(), token })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The body of its answer to GET.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        let place = &self.place;
        let unanswered = || {
            format!("no agent answers at {place}; start one with `sudo steth run`, or say with --connect where it is")
        };
        let untrusted = || {
            format!(
                "the certificate of {place} is not to be trusted; give its authority, or the certificate itself if it signs \
                 itself and nothing else (CA:FALSE), with --ca FILE or STETH_CA"
            )
        };
        let mut request = self.client.get(format!("{place}{path}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let called = request.call();
        let mut response = match called {
            Err(error) if is_of_certificate(&error) => return Err(anyhow::Error::new(error).context(untrusted())),
            called => called.with_context(unanswered)?,
        };
        let status = response.status();
        let body = response.body_mut().with_config().limit(LONGEST).read_to_string().with_context(unanswered)?;
        let reason = body.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200);
        anyhow::ensure!(status != 401, "{place} asks for a token: put it into the environment as {TOKEN}");
        anyhow::ensure!(
            status.is_success(),
            "{place}{path} answers {status}: {}; is it an agent of this version?",
            reason.collect::<String>()
        );
        Ok(body)
    }

    /// The same, understood.
    pub(crate) fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text = self.text(path)?;
        serde_json::from_str(&text)
            .with_context(|| format!("{}{path} is not what this version understands", self.place))
    }
}

/// Whose certificates are trusted.
fn trusted(ca: Option<&Path>) -> anyhow::Result<Vec<Certificate<'static>>> {
    let owned = |der: &[u8]| Certificate::from_der(der).to_owned();
    if let Some(path) = ca {
        let named = || format!("cannot read certificates (PEM) from {}", path.display());
        let text = std::fs::read(path).with_context(named)?;
        let items = ureq::tls::parse_pem(&text).collect::<Result<Vec<_>, _>>().with_context(named)?;
        let certificates = items.into_iter().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = certificates.collect();
        anyhow::ensure!(!certificates.is_empty(), "{}: there is none in it", named());
        return Ok(certificates);
    }
    let found = rustls_native_certs::load_native_certs();
    anyhow::ensure!(!found.certs.is_empty(), "this system has no certificates to trust; give some with --ca FILE");
    Ok(found.certs.iter().map(|certificate| owned(certificate)).collect())
}

fn is_of_certificate(error: &ureq::Error) -> bool {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text += &next.to_string();
        cause = next.source();
    }
    text.contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_of_http() {
        for (text, url) in [
            (Place::USUAL, "http://127.0.0.1:7117"),
            ("localhost:7118/", "http://localhost:7118"),
            ("http://[::1]:7117", "http://[::1]:7117"),
            ("https://host.example:7117", "https://host.example:7117"),
            ("https://proxy.example/tools/steth/", "https://proxy.example/tools/steth"),
        ] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(url.to_owned()));
        }
        for bad in
            ["", "http://", "http://a/b?c", "http://user@host", "ftp://host", "a b", "https:///x", "http://a/b#c"]
        {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn below_a_path_everything_is_asked_below_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let proxy = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut line).expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
            std::io::Write::write_all(&mut stream, answer).expect("answered");
            line
        });
        let connect = format!("http://{address}/tools/steth/").parse().expect("a place");
        let agent = Agent::at(&Connect { connect, ca: None }).expect("a client");
        assert_eq!(agent.text("/api/v1/map?last=1h").expect("an answer"), "hi");
        assert_eq!(proxy.join().expect("no panic"), "GET /tools/steth/api/v1/map?last=1h HTTP/1.1\r\n");
    }

    #[test]
    fn where_nobody_listens_the_error_says_what_to_do() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let connect = listener.local_addr().expect("bound").to_string().parse().expect("a place");
        drop(listener);
        let agent = Agent::at(&Connect { connect, ca: None }).expect("it need not be there yet");
        let error = format!("{:#}", agent.text("/api/v1/map").unwrap_err());
        assert!(error.contains("no agent answers at") && error.contains("sudo steth run"), "{error}");
        assert!(error.to_lowercase().contains("refused"), "{error}");
    }
}
