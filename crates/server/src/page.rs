//! The page's files, as they were built (`ui/dist`), embedded.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// Name and content of each, by name.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Names below have the hash of their content in them.
const HASHED: &str = "assets/";
const FOREVER: &str = "public, max-age=31536000, immutable";

fn find(name: &str) -> Option<&'static [u8]> {
    let at = FILES.binary_search_by(|(there, _)| (*there).cmp(name)).ok()?;
    FILES.get(at).map(|(_, content)| *content)
}

/// A file, by its path.
pub(crate) async fn file(uri: Uri) -> Response {
    let name = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let Some(content) = find(name) else { return (StatusCode::NOT_FOUND, "not found\n").into_response() };
    let cached = if name.starts_with(HASHED) { FOREVER } else { "no-cache" };
    ([(header::CONTENT_TYPE, kind(name)), (header::CACHE_CONTROL, cached)], content).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
