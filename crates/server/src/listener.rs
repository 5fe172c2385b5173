//! The thread that serves, and its limits.

use crate::access::Access;
use crate::api;
use crate::guard::Peer;
use crate::routes::{App, router};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::tls::Tls;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// For the head of a request to come, and for the next one on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// A connection is not kept longer than this, so that slow readers cannot use up all connections.
const LIFETIME: Duration = Duration::from_secs(60);
/// For answers under way when the server stops or a connection's time is up.
const GRACE: Duration = Duration::from_secs(1);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Anyone who reaches the port may read what it shows.
    #[error(
        "refusing to listen on {0}: anything else than loopback (127.0.0.1, [::1]) needs a token and TLS: server.token_file, \
         server.certificate and server.key. To look from another machine without: ssh -L {port}:127.0.0.1:{port} <host>",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// The address is in use, or not of this machine.
    #[error("cannot listen on {address}: {source}; choose another address, port 0 takes any free port")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No thread or no event loop.
    #[error("cannot start the server's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// The HTTP server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl Server {
    /// Takes an address, without serving yet: what fails here a person can mend at once.
    pub fn bind(settings: impl Into<Settings>) -> Result<Self, ServerError> {
        let mut settings = settings.into();
        let listen = settings.listen;
        if settings.is_insecure() && !settings.insecure {
            return Err(ServerError::NotLoopback(listen));
        }
        let failed = |source| ServerError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        settings.listen = address;
        Ok(Self { listener, address, settings })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from a thread of its own, with the privileges of the calling one, until [`Handle::stop`].
    pub fn serve(self, shared: Arc<Shared>) -> Result<Handle, ServerError> {
        let Self { listener, address, settings } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("steth-answer")
            .max_blocking_threads(api::THREADS)
            .build()
            .map_err(ServerError::Thread)?;
        let (stop, stopped) = watch::channel(());
        let (finish, finished) = mpsc::sync_channel(1);
        let serve = move || {
            runtime.block_on(serve(listener, &settings, shared, stopped));
            // An answer that is being made may take its time; nobody waits for it any more.
            runtime.shutdown_background();
            // Nobody listens any more if the handle gave up waiting.
            let _ = finish.send(());
        };
        std::thread::Builder::new().name("steth-server".to_owned()).spawn(serve).map_err(ServerError::Thread)?;
        Ok(Handle { address, stop: Some(stop), finished })
    }

    /// Binds and serves.
    pub fn start(settings: impl Into<Settings>, shared: Arc<Shared>) -> Result<Handle, ServerError> {
        Self::bind(settings)?.serve(shared)
    }
}

/// A running server. Dropping it stops it too.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: Option<watch::Sender<()>>,
    finished: mpsc::Receiver<()>,
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, lets answers under way finish for a second, and returns after two at the latest.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if self.stop.take().is_some() {
            let _ = self.finished.recv_timeout(2 * GRACE);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shut_down();
    }
}

async fn serve(listener: TcpListener, settings: &Settings, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let app = Arc::new(App::new(shared, Access::new(settings), settings.questions_per_second));
    let router = router(app.clone());
    let tls = settings.tls.as_ref().map(|Tls(config)| TlsAcceptor::from(config.clone()));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let place = async {
            let place = places.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, peer)) => Some((place, stream, peer)),
                // Out of file descriptors, most likely: trying again at once would only burn the CPU.
                Err(_) => {
                    sleep(Duration::from_millis(100)).await;
                    None
                }
            }
        };
        tokio::select! {
            // The sender is dropped, never used: an error is the signal.
            _ = stopped.changed() => break,
            _ = second.tick() => app.absorb(),
            accepted = place => if let Some((place, stream, peer)) = accepted {
                let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => connection(stream, peer, router, stopped).await,
                        // Who does not finish the handshake is not waited for.
                        Some(tls) => if let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                            connection(stream, peer, router, stopped).await;
                        }
                    }
                    drop(place);
                });
            },
        }
    }
    drop(listener);
    // All places are free again once every connection has ended.
    let _ = timeout(GRACE, places.acquire_many(MAX_CONNECTIONS as u32)).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(LIFETIME) => {}
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}
