//! A session for a token: `POST /api/v1/session`.

use crate::access::SESSION;
use crate::guard::{Peer, denied_to};
use crate::routes::App;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// Longest body, bytes: a token, in a form.
pub(crate) const LONGEST: usize = 4096;

/// `token=…`, as a form sends it. The cookie is for this host's own pages only, and for no script.
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let access = &app.access;
    let token = form_urlencoded::parse(&body).find(|(name, _)| name == "token").map(|(_, token)| token);
    match access.begin(peer.ip(), token.as_deref().unwrap_or_default().trim(), Instant::now()) {
        Ok(session) => {
            let secure = if access.tls { "; Secure" } else { "" };
            let seconds = SESSION.as_secs();
            let name = &access.cookie;
            let cookie = format!("{name}={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
            // From api/v1/session to the page, whatever stands in front of both.
            let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, "../../".to_owned())];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(refusal) => denied_to(refusal, &headers),
    }
}
