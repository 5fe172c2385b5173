//! Whose: where a way down into the numbers has led.

use super::view::View;
use crate::print::clean;
use steth_query::ask::Of;
use steth_query::tell::Edge;
use steth_window::{EntityId, Protocol};

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) id: EntityId,
    /// With its namespace.
    name: String,
}

impl Who {
    fn new(id: &str, name: &str) -> Option<Self> {
        Some(Self { id: EntityId::from_hex(id)?, name: clean(name) })
    }
}

/// Whose numbers are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everybody's.
    #[default]
    All,
    /// Somebody's.
    Entity(Who),
    /// What one asks of another at one port, over one protocol if it is read.
    Edge { client: Who, server: Who, port: u16, protocol: Option<Protocol> },
    /// One operation, of one server or of all.
    Operation { server: Option<Who>, operation: String },
}

impl Scope {
    pub(super) fn entity(id: &str, name: String) -> Option<Self> {
        Some(Scope::Entity(Who::new(id, &name)?))
    }

    pub(super) fn edge(edge: &Edge) -> Option<Self> {
        let client = Who::new(&edge.client, &edge.client_name)?;
        let server = Who::new(&edge.server, &edge.server_name)?;
        let protocol = match edge.protocol.as_deref() {
            Some(name) => Some(Protocol::named(name)?),
            None => None,
        };
        Some(Scope::Edge { client, server, port: edge.port, protocol })
    }

    pub(super) fn operation(server: Option<(&str, &str)>, operation: &str) -> Option<Self> {
        let server = match server {
            Some((id, name)) => Some(Who::new(id, name)?),
            None => None,
        };
        Some(Scope::Operation { server, operation: operation.to_owned() })
    }

    /// Whether a view can show just that.
    pub(super) fn fits(&self, view: View) -> bool {
        match self {
            Scope::All | Scope::Entity(_) => true,
            Scope::Edge { .. } => view != View::Services,
            Scope::Operation { .. } => matches!(view, View::Edges | View::Operations | View::Requests),
        }
    }

    /// The same for the agent. Requests are found by their server only, connections have no protocol.
    pub(super) fn of(&self, view: View) -> Of {
        match self {
            Scope::All => Of::default(),
            Scope::Entity(who) if matches!(view, View::Operations | View::Requests) => {
                Of { server: Some(who.id), ..Of::default() }
            }
            Scope::Entity(who) => Of { entity: Some(who.id), ..Of::default() },
            Scope::Edge { server, .. } if view == View::Requests => Of { server: Some(server.id), ..Of::default() },
            Scope::Edge { client, server, port, protocol } => Of {
                client: Some(client.id),
                server: Some(server.id),
                port: (*port != 0).then_some(*port),
                protocol: protocol.filter(|_| view != View::Connections),
                ..Of::default()
            },
            Scope::Operation { server, operation } => Of {
                server: server.as_ref().map(|server| server.id),
                operation: Some(operation.clone()),
                ..Of::default()
            },
        }
    }

    /// The same in words, as a view shows it. Empty is everybody.
    pub(super) fn words(&self, view: View) -> String {
        match self {
            Scope::All => String::new(),
            Scope::Entity(who) if matches!(view, View::Operations | View::Requests) => format!("asked of {}", who.name),
            Scope::Entity(who) => format!("of {}", who.name),
            Scope::Edge { server, .. } if view == View::Requests => format!("asked of {}", server.name),
            Scope::Edge { client, server, port, .. } => {
                let suffix = format!(":{port}");
                let port = if *port == 0 || server.name.ends_with(&suffix) { "" } else { &suffix };
                format!("of {} -> {}{port}", client.name, server.name)
            }
            Scope::Operation { server: Some(server), operation } => {
                format!("of {} {}", server.name, clean(operation))
            }
            Scope::Operation { server: None, operation } => format!("of {}", clean(operation)),
        }
    }
}
