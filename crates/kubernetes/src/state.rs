//! How it stands with the API server, and with each resource.

use crate::resource::RESOURCES;
use std::sync::{Mutex, PoisonError};

/// Whether there is a cluster, and how well it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No cluster is to be found here: no service account, no kubeconfig. Nothing is asked.
    Absent,
    /// There is a configuration that cannot be used; why, and the fix. Nothing is asked.
    Unusable(String),
    /// Not every resource has been listed yet.
    Starting,
    /// All resources that may be read are followed; those that may not are in [`crate::Directory::resources`].
    Following,
    /// At least one resource that was known is out of date: the API server does not answer.
    Stale,
    /// Stopped.
    Stopped,
}

/// How it stands with one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Following {
    /// Has not been listed yet.
    Starting,
    /// Listed and watched.
    Current,
    /// Was listed; cannot be read at the moment.
    Stale,
    /// Access is denied (401, 403), or the server does not have the resource (404). What was known before is kept. Tried again every
    /// few minutes, on 401 sooner.
    Denied,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceState {
    /// Its name in the API, as in a ClusterRole.
    pub resource: &'static str,
    /// How it stands.
    pub following: Following,
    /// The last failure; `None` after success.
    pub error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct States {
    whole: Mutex<State>,
    resources: Mutex<Vec<ResourceState>>,
}

impl Default for States {
    fn default() -> Self {
        let starting = |name| ResourceState { resource: name, following: Following::Starting, error: None };
        let resources = RESOURCES.iter().map(|resource| starting(resource.name)).collect();
        Self { whole: Mutex::new(State::Starting), resources: Mutex::new(resources) }
    }
}

impl States {
    /// Absent, unusable or stopped.
    pub(crate) fn settle(&self, state: State) {
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn state(&self) -> State {
        let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if whole != State::Starting {
            return whole;
        }
        let resources = self.resources();
        let any = |following| resources.iter().any(|resource| resource.following == following);
        if any(Following::Starting) {
            State::Starting
        } else if any(Following::Stale) {
            State::Stale
        } else {
            State::Following
        }
    }

    pub(crate) fn resources(&self) -> Vec<ResourceState> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut ResourceState)) {
        let mut all = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resource) = all.iter_mut().find(|resource| resource.resource == name) {
            change(resource);
        }
    }

    pub(crate) fn current(&self, name: &str) {
        self.change(name, |resource| (resource.following, resource.error) = (Following::Current, None));
    }

    pub(crate) fn failed(&self, name: &str, denied: bool, error: String) {
        self.change(name, |resource| {
            resource.following = match resource.following {
                _ if denied => Following::Denied,
                Following::Current | Following::Stale => Following::Stale,
                Following::Starting => Following::Starting,
                Following::Denied => Following::Denied,
            };
            resource.error = Some(error);
        });
    }
}
