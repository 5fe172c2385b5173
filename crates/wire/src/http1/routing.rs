//! From a request's target to its route: the user's rules, the built-in templates, and the service's share of names.

use super::route::Route;
use super::rules::{Candidates, Rules};
use crate::{Name, Names, Share, ShareOf};
use std::sync::Arc;

/// How targets become routes. The same for all services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The user's rules: they win.
    pub rules: Rules,
    /// Most routes of one service, each method's of its own; all others are `*`.
    pub routes_per_service: u32,
}

impl Default for Routing {
    fn default() -> Self {
        Self { rules: Rules::default(), routes_per_service: 500 }
    }
}

/// Hosts and unknown methods of one service that are told apart. They are made by clients.
const CLIENT_WORDS: u32 = 200;

/// The routing of one connection.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routing: Option<Arc<Routing>>,
    share: Share,
    pub(super) clients: Share,
    /// Rules that match the path of the request in progress, of which the host decides.
    candidates: Candidates,
    /// The route of the request before: a connection mostly asks for the same over and over.
    last: Name,
}

impl Routes {
    pub(super) fn new(routing: &Arc<Routing>, service: &[u8], names: &mut Names) -> Self {
        Self {
            share: names.share(ShareOf::Routes, service, routing.routes_per_service),
            clients: names.share(ShareOf::Clients, service, CLIENT_WORDS),
            routing: Some(routing.clone()),
            ..Self::default()
        }
    }

    /// The operation of a request of which the host is not known yet. `target` is what follows the authority.
    pub(super) fn operation(&mut self, method: &[u8], target: Option<&[u8]>, whole: bool, names: &mut Names) -> Name {
        self.candidates = Candidates::default();
        if let (Some(target), Some(routing)) = (target, &self.routing)
            && !routing.rules.is_empty()
        {
            let candidates = routing.rules.candidates(target, whole);
            if routing.rules.ask_for_host(candidates) {
                self.candidates = candidates;
            }
            if let Some(template) = routing.rules.choose(candidates, "") {
                return Self::named(&mut self.last, self.share, method, &Route::given(method, template), names);
            }
        }
        Self::named(&mut self.last, self.share, method, &Route::operation(method, target, whole), names)
    }

    /// The operation, if the host changes it.
    #[inline]
    pub(super) fn with_host(&mut self, method: &[u8], host: Name, names: &mut Names) -> Option<Name> {
        if self.candidates.is_empty() {
            return None;
        }
        let candidates = std::mem::take(&mut self.candidates);
        let template = self.routing.as_ref()?.rules.choose(candidates, names.get(host))?;
        let route = Route::given(method, template);
        Some(Self::named(&mut self.last, self.share, method, &route, names))
    }

    fn named(last: &mut Name, share: Share, method: &[u8], route: &Route, names: &mut Names) -> Name {
        let route = route.as_bytes();
        if names.is(*last, route) {
            return *last;
        }
        *last = names
            .intern_within(share, route)
            .unwrap_or_else(|| names.intern(Route::operation(method, Some(b"*"), true).as_bytes()));
        *last
    }
}
