//! Asks a running agent over its API.

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::time::Duration;

/// For the whole answer. The agent makes it in milliseconds; what takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer. The agent's own bounds keep it far below.
const LONGEST: u64 = 64 << 20;

/// Where the agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Place {
    /// As an option's default.
    pub(crate) const USUAL: &str = "http://127.0.0.1:7117";
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err(
                "the agent speaks http only, on loopback; to another machine: ssh -L 7117:127.0.0.1:7117 HOST".into()
            );
        }
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(good) {
            return Err(format!("like {} or localhost:7117", Self::USUAL));
        }
        Ok(Self(format!("http://{host}")))
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
    pub(crate) fn at(place: &Place) -> Self {
        // A proxy of the environment leads out of this machine.
        let configuration = ureq::Agent::config_builder().proxy(None).max_redirects(0).http_status_as_error(false);
        let client = configuration.timeout_global(Some(PATIENCE)).user_agent("steth").build().into();
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Self { place: place.clone(), client, token }
    }

    /// The body of its answer to GET.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        let place = &self.place;
        let unanswered = || {
            format!("no agent answers at {place}; start one with `sudo steth run`, or say with --connect where it is")
        };
        let mut request = self.client.get(format!("{place}{path}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().with_context(unanswered)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_of_http() {
        for (text, url) in [
            (Place::USUAL, "http://127.0.0.1:7117"),
            ("localhost:7118/", "http://localhost:7118"),
            ("http://[::1]:7117", "http://[::1]:7117"),
        ] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(url.to_owned()));
        }
        assert!("https://host".parse::<Place>().unwrap_err().contains("ssh -L"));
        for bad in ["", "http://", "http://a/b", "http://user@host", "ftp://host", "a b"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn where_nobody_listens_the_error_says_what_to_do() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let place: Place = listener.local_addr().expect("bound").to_string().parse().expect("a place");
        drop(listener);
        let error = format!("{:#}", Agent::at(&place).text("/api/v1/map").unwrap_err());
        assert!(error.contains("no agent answers at") && error.contains("sudo steth run"), "{error}");
        assert!(error.to_lowercase().contains("refused"), "{error}");
    }
}
