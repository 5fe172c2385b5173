//! What HTTP/1 knows of an exchange beyond the common fields, by its OpenTelemetry names.

use crate::parser::Detail;
use crate::status_names::name_in;
use crate::{Exchange, Name, Names, Side, Status, Value};
use std::borrow::Cow;

/// Reason phrases ("HTTP Status Code Registry" of IANA).
pub(crate) const REASONS: &str = include_str!("reasons.txt");

/// The methods of RFC 9110 §9, PATCH (RFC 5789) and QUERY, which OpenTelemetry takes as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD: its response has no body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// OPTIONS.
    Options,
    /// CONNECT: a 2xx response opens a tunnel.
    Connect,
    /// TRACE.
    Trace,
    /// QUERY.
    Query,
    /// Any other, with its name. A method is case-sensitive, so `get` is another.
    Other(Name),
    /// The head was cut before the method ended.
    Unseen,
}

impl Method {
    /// The known method of this name.
    #[inline]
    pub(super) fn known(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Method::Get,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"HEAD" => Method::Head,
            b"DELETE" => Method::Delete,
            b"PATCH" => Method::Patch,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            b"QUERY" => Method::Query,
            _ => return None,
        })
    }

    /// What begins the operation's name: OpenTelemetry calls the span of a method that is not known `HTTP`.
    pub(super) fn operation(self) -> &'static [u8] {
        match self {
            Method::Other(_) | Method::Unseen => b"HTTP",
            known => known.name().as_bytes(),
        }
    }

    /// `http.request.method`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Query => "QUERY",
            Method::Other(_) | Method::Unseen => "_OTHER",
        }
    }
}

/// Length of a `traceparent` (W3C Trace Context §3.2).
pub(super) const TRACEPARENT: usize = 55;

/// What only HTTP knows. The route is not here: it is what follows the method in [`Exchange::operation`].
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The method.
    pub method: Method,
    /// `Host`, or the authority of an absolute target: name and port as sent, in lower case and without user info;
    /// [`Name::EMPTY`] if there was none.
    pub host: Name,
    /// The minor version the request was sent in (RFC 9112 §2.3); none if it was cut.
    pub minor: Option<u8>,
    /// Bytes of the request's content, without chunk framing; none if its framing was cut.
    pub request_size: Option<u64>,
    /// The same of the response; none without a response.
    pub response_size: Option<u64>,
    /// `traceparent`, if there was a well-formed one.
    pub traceparent: Option<[u8; TRACEPARENT]>,
}

impl Detail for Attributes {
    fn each<'a>(
        &self,
        exchange: &Exchange,
        side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
        let mut text = |name, value: &'a str| each(name, Value::Text(Cow::Borrowed(value)));
        text("http.request.method", self.method.name());
        if let Method::Other(original) = self.method
            && original != Name::OTHER
        {
            text("http.request.method_original", names.get(original));
        }
        // A full name table makes the operation `*`, and then there is no route either.
        if let Some((_, route)) = names.get(exchange.operation).split_once(' ') {
            text(if side == Side::Server { "http.route" } else { "url.template" }, route);
        }
        // Required of servers, opt-in for clients. What is read here is clear text, whatever a proxy in front has taken off.
        if side == Side::Server {
            text("url.scheme", "http");
        }
        // One host too many for the service, or for the table: it is not known.
        let host = if self.host == Name::OTHER { "" } else { names.get(self.host) };
        let (address, port) = authority(host);
        if !address.is_empty() {
            text("server.address", address);
        }
        match self.minor {
            Some(0) => text("network.protocol.version", "1.0"),
            Some(_) => text("network.protocol.version", "1.1"),
            None => {}
        }
        let mut number = |name, value| {
            if let Some(value) = value {
                each(name, Value::Number(value));
            }
        };
        number("server.port", port.map(u64::from));
        if let Status::Code(code) = exchange.status {
            number("http.response.status_code", Some(u64::from(code)));
        }
        number("http.request.body.size", self.request_size);
        number("http.response.body.size", self.response_size);
        if let Some(traceparent) = self.traceparent {
            let value = String::from_utf8_lossy(&traceparent).into_owned();
            each("http.request.header.traceparent", Value::Text(Cow::Owned(value)));
        }
    }

    fn status_name(&self, status: Status, _names: &Names) -> Option<&'static str> {
        match status {
            Status::Code(code @ 400..) => name_in(REASONS, &code.to_string()),
            _ => None,
        }
    }

    /// `error.type`: a 5xx, and for everyone but the server also a 4xx, which is the client's fault.
    fn error_type<'a>(&self, status: Status, side: Side, _names: &'a Names) -> Option<Cow<'a, str>> {
        failed(status, side).map(|code| code.to_string().into())
    }
}

fn failed(status: Status, side: Side) -> Option<u16> {
    let from = if side == Side::Server { 500 } else { 400 };
    match status {
        Status::Code(code) if code >= from => Some(code),
        _ => None,
    }
}

/// Name and port of an authority (RFC 3986 §3.2): `example.org:80`, `[::1]:80`, `::1`. The brackets are not part of
/// the name.
fn authority(host: &str) -> (&str, Option<u16>) {
    if let Some(literal) = host.strip_prefix('[') {
        let (address, rest) = literal.split_once(']').unwrap_or((literal, ""));
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match host.split_once(':') {
        Some((address, port)) if !port.contains(':') => (address, port.parse().ok()),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_split_into_name_and_port() {
        for (host, expected) in [
            ("example.org", ("example.org", None)),
            ("example.org:8080", ("example.org", Some(8080))),
            ("[::1]:80", ("::1", Some(80))),
            ("[::1]", ("::1", None)),
            ("::1", ("::1", None)),
            ("example.org:port", ("example.org", None)),
            ("example.org:99999", ("example.org", None)),
            ("", ("", None)),
        ] {
            assert_eq!(authority(host), expected, "{host}");
        }
    }

    #[test]
    fn a_client_error_is_no_error_to_the_server() {
        for (code, server, client) in [(200, false, false), (404, false, true), (503, true, true)] {
            assert_eq!(failed(Status::Code(code), Side::Server).is_some(), server);
            assert_eq!(failed(Status::Code(code), Side::Client).is_some(), client);
            assert_eq!(failed(Status::Code(code), Side::Network).is_some(), client);
        }
        assert_eq!(failed(Status::Code(503), Side::Server), Some(503));
        assert_eq!(failed(Status::Unknown, Side::Client), None);
    }
}
