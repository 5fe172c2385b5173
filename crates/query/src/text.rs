//! A text that is looked for, whatever the case.

use serde::Deserialize;

/// A text that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Whatever its case.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// Whether it is somewhere in another text.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.0)
    }

    /// Whether it is in what a request goes by: its server's full name, its operation, and, of what was written down of it
    /// ([`Kept::json`](crate::Kept::json)), the names, namespaces and addresses of both ends and the protocol.
    #[must_use]
    pub fn is_in_request(&self, server: &str, operation: &str, json: &str) -> bool {
        self.is_in(server) || self.is_in(operation) || self.is_in_ends(json)
    }

    fn is_in_ends(&self, json: &str) -> bool {
        // What cannot be read is said to be so when it is shown.
        let Ok(Written { exchange }) = serde_json::from_str::<Written>(&format!("{{{json}}}")) else { return false };
        let ends = [exchange.client, exchange.server];
        let of_end = |end: &End| {
            let End { service, name, namespace, ip } = end;
            [service, name, namespace, ip].into_iter().flatten().any(|text| self.is_in(text))
        };
        ends.iter().flatten().any(of_end) || exchange.protocol.is_some_and(|protocol| self.is_in(&protocol))
    }
}

#[derive(Deserialize)]
struct Written {
    exchange: Exchange,
}

#[derive(Deserialize)]
struct Exchange {
    client: Option<End>,
    server: Option<End>,
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct End {
    service: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    ip: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_by_its_ends_its_operation_and_its_protocol() {
        let json = r#""instants":{},"exchange":{"protocol":"http","client":{"ip":"192.0.2.7","service":"Web\u00c9"},
            "server":{"ip":null,"port":80,"namespace":"shop"},"status":200}"#;
        let is = |text: &str| Text::new(text).is_in_request("shop/cart", "GET /users/{id}", json);
        for text in ["CART", "/users/", "webé", "192.0.2", "HTTP", "shop"] {
            assert!(is(text), "{text}");
        }
        for text in ["instants", "service", "200", "pay"] {
            assert!(!is(text), "{text}");
        }
        assert!(!Text::new("x").is_in_request("", "", "no JSON"));
    }
}
