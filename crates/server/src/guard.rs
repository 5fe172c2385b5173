//! What every request has to pass and every answer carries.

use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Nothing but our own files, and no script or style inside the page: a name that a stranger chose stays text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses what is not a plain question asked of this host by name, and adds the security headers to every answer.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some((StatusCode::METHOD_NOT_ALLOWED, text)) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], text).into_response()
        }
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    if request.method() != Method::GET {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET\n"));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next());
    let target = request.uri().authority().map(|authority| authority.as_str());
    let named = target.is_none_or(is_loopback) && first.is_some_and(is_loopback) && second.is_none();
    (!named)
        .then_some((StatusCode::FORBIDDEN, "the Host header must name this machine: localhost, 127.0.0.1 or [::1]\n"))
}

/// Whether a `Host` names this machine. Any other name may be an attacker's whose address now is 127.0.0.1 (DNS
/// rebinding): his page would be of the same origin as ours. The port may be any: ssh -L and containers change it.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || is_port(port) => name,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_pass() {
        let good = ["localhost", "LOCALHOST:7117", "127.0.0.1", "127.0.0.1:80", "127.8.9.1", "[::1]", "[::1]:7117"];
        for host in good {
            assert!(is_loopback(host), "{host}");
        }
        let bad = ["", ":7117", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7117", "0.0.0.0"];
        for host in bad.into_iter().chain(["[::1", "[::1]x", "[::]", "10.0.0.1", "localhost:x", "localhost@evil:1"]) {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
