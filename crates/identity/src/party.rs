//! One end of an exchange, as far as it is on this host.

use crate::service::named;
use crate::service_rules::ServiceRules;
use std::ops::Deref;
use std::sync::Arc;
use steth_event::{Container, LookUp, Process};

/// A process, the container that it is in, and what the two are called together.
#[derive(Debug)]
pub struct Party {
    process: Process,
    container: Option<Arc<Container>>,
    service: Box<str>,
}

impl Party {
    pub(crate) fn new(process: Process, container: Option<Arc<Container>>, rules: &ServiceRules) -> Self {
        let service = rules.name(&process, container.as_deref()).map(Into::into);
        let service = service.unwrap_or_else(|| named(&process, container.as_deref()).into());
        Self { process, container, service }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What its runtime knows of its container. `None` outside of containers, and while nothing is known.
    #[must_use]
    pub fn container(&self) -> Option<&Container> {
        self.container.as_deref()
    }

    /// `service.name`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// `service.namespace`: the namespace of its pod.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let pod = self.container.as_ref()?.pod.as_ref()?;
        (!pod.namespace.is_empty()).then_some(&*pod.namespace)
    }

    /// Whether more will be known of it in a moment.
    #[must_use]
    pub fn under_way(&self) -> bool {
        self.process.look_up == LookUp::UnderWay || self.container_under_way()
    }

    /// Whether more will be known of its container.
    #[must_use]
    pub fn container_under_way(&self) -> bool {
        self.container.as_ref().is_some_and(|container| container.look_up == LookUp::UnderWay)
    }
}

impl Deref for Party {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}
