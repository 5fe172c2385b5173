//! The client of the API server, made anew when the server does not know us any more.

use crate::access::{Access, AccessError, told};
use kube_client::Client;
use kube_client::client::ClientBuilder;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tokio::time::Instant;

/// How the API server is reached now.
pub(crate) struct Connection<'a> {
    access: &'a Access,
    client: RefCell<Client>,
    made: Cell<Instant>,
}

/// All resources are refused at once: one of them renews for all.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

impl<'a> Connection<'a> {
    /// `None` where there is no cluster.
    pub(crate) async fn find(access: &'a Access) -> Result<Option<Self>, AccessError> {
        let client = client(access).await?;
        let connection = |client| Self { access, client: RefCell::new(client), made: Cell::new(Instant::now()) };
        Ok(client.map(connection))
    }

    pub(crate) fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// Reads the configuration again: kube's client reads a token again after a minute, and one that was replaced may not be good for so
    /// long. A configuration that cannot be used now leaves everything as it was.
    pub(crate) async fn renew(&self) {
        if self.made.get().elapsed() < AT_MOST_EVERY {
            return;
        }
        self.made.set(Instant::now());
        if let Ok(Some(client)) = client(self.access).await {
            *self.client.borrow_mut() = client;
        }
    }
}

async fn client(access: &Access) -> Result<Option<Client>, AccessError> {
    let Some(config) = access.find().await? else { return Ok(None) };
    let builder = ClientBuilder::try_from(config).map_err(|e| AccessError::Client(told(&e)))?;
    Ok(Some(builder.build()))
}
