//! What every request has to pass and every answer carries.

use crate::access::{Access, Caller, Refusal};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Nothing but our own files, and no script or style inside the page: a name that a stranger chose stays text. The one form
/// is that of the token.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The path at which a token is given for a session.
pub(crate) const SESSION: &str = "/api/v1/session";

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Refuses what is not a question asked of this host by name, by somebody who may, and adds the security headers to every answer.
pub(crate) async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let mut response = match admitted(&access, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => *refusal,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What has its hash in its name says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // No Strict-Transport-Security: it would be for all ports of this host's name, and shut out what else serves http there.
    response
}

fn admitted(access: &Access, request: &Request) -> Result<Caller, Box<Response>> {
    let at_session = request.uri().path() == SESSION;
    let allowed = if at_session { "POST" } else { "GET" };
    if *request.method() != if at_session { Method::POST } else { Method::GET } {
        let text = format!("only {allowed}\n");
        return Err(Box::new((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed)], text).into_response()));
    }
    let refused = |text: &'static str| {
        access.counts.refused_hosts.fetch_add(1, Ordering::Relaxed);
        Box::new((StatusCode::FORBIDDEN, text).into_response())
    };
    // Any other name may be an attacker's whose address now is this host's (DNS rebinding): his page would be of our origin.
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next());
    let target = request.uri().authority().map(|authority| authority.as_str());
    let ours = |host: &str| access.is_ours(host);
    if !(target.is_none_or(ours) && first.is_some_and(ours) && second.is_none()) {
        return Err(refused(
            "the Host header must name this machine: localhost, 127.0.0.1, [::1], or one of server.names\n",
        ));
    }
    if !of_our_page(access, request.headers()) {
        return Err(refused("only pages of this host may ask\n"));
    }
    if at_session {
        return Ok(Caller(String::new()));
    }
    let peer = request.extensions().get::<Peer>().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |peer| peer.0);
    let headers = request.headers();
    let bearer = text(headers, header::AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
    let session = text(headers, header::COOKIE).and_then(|cookies| cookie(cookies, &access.cookie));
    match access.caller(peer.ip(), bearer, session, Instant::now()) {
        Ok(caller) => Ok(caller),
        Err(Refusal::Unknown) if request.uri().path() == "/" => {
            Err(Box::new(login(StatusCode::UNAUTHORIZED, "api/v1/session", "")))
        }
        Err(refusal) => Err(Box::new(denied(refusal))),
    }
}

/// Asks for the token. No script, no style: it is shown before anybody is let in.
fn login(status: StatusCode, action: &str, wrong: &str) -> Response {
    const PAGE: &str = include_str!("page/login.html");
    let page = PAGE.replace("{action}", action).replace("{wrong}", wrong);
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// The same again for a browser that has sent a form with another token; others are told in a line of text.
pub(crate) fn denied_to(refusal: Refusal, headers: &HeaderMap) -> Response {
    let mut denied = denied(refusal);
    if text(headers, HeaderName::from_static("sec-fetch-mode")) == Some("navigate") {
        let wrong = match refusal {
            Refusal::Unknown => "<p role=\"alert\">That is another token.</p>",
            Refusal::TooMany => "<p role=\"alert\">Too many wrong tokens from this address; try again in a minute.</p>",
        };
        let status = denied.status();
        let page = login(status, "session", wrong);
        for (name, value) in page.headers() {
            denied.headers_mut().insert(name, value.clone());
        }
        *denied.body_mut() = page.into_body();
    }
    denied
}

/// Why somebody is not let in.
pub(crate) fn denied(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unknown => {
            let text = "a token is asked for: Authorization: Bearer <token>, or a session (POST api/v1/session)\n";
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response()
        }
        Refusal::TooMany => {
            let text = "too many wrong tokens from this address; try again in a minute\n";
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], text).into_response()
        }
    }
}

/// Whether no page of a stranger sent it. Who is no browser sends neither header.
fn of_our_page(access: &Access, headers: &HeaderMap) -> bool {
    let origin = match headers.get(header::ORIGIN).map(HeaderValue::to_str) {
        None => true,
        Some(Ok(origin)) => origin.split_once("://").is_some_and(|(scheme, host)| {
            // Behind a proxy that speaks TLS the page's scheme is not ours.
            (scheme == "https" || (scheme == "http" && !access.tls)) && access.is_ours(host)
        }),
        Some(Err(_)) => false,
    };
    // A link that leads here is followed; what is embedded elsewhere, or fetched, is not answered.
    let site = text(headers, HeaderName::from_static("sec-fetch-site"));
    let mode = text(headers, HeaderName::from_static("sec-fetch-mode"));
    origin && (matches!(site, None | Some("same-origin" | "none")) || mode == Some("navigate"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The session's cookie among others.
fn cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}
