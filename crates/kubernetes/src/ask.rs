//! Requests and answers, with a limit on everything that a server decides.

use crate::access::told;
use crate::limits::Limits;
use crate::object::Status;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube_client::Client;
use kube_client::client::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// 410: the version or the continue token is too old.
    Gone,
    /// 401: perhaps only until the token has been renewed.
    Unauthorized(String),
    /// 403.
    Denied(String),
    /// 404.
    Missing(String),
    /// A page beyond [`Limits::page`].
    TooLarge,
    /// Any other failure, and when to come back if the server said so.
    Failed(String, Option<Duration>),
}

impl Trouble {
    fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into(), None)
    }
}

/// Asks, and waits for the head of a good answer.
pub(crate) async fn get(client: &Client, uri: &str, accept: &str, limits: &Limits) -> Result<Response<Body>, Trouble> {
    // Later servers compress even watches if they may.
    let request = Request::get(uri).header(header::ACCEPT, accept).header(header::ACCEPT_ENCODING, "identity");
    let request = request.body(Body::empty()).map_err(|e| Trouble::failed(told(&e)))?;
    let answer = match timeout(limits.answer, client.send(request)).await {
        Err(_) => return Err(Trouble::failed(format!("no answer within {:?}", limits.answer))),
        Ok(Err(e)) => return Err(Trouble::failed(explained(told(&e)))),
        Ok(Ok(answer)) => answer,
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let asked = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    // The reason is in the body; what is longer than this is none.
    let body = whole(answer, 64 << 10, limits.answer).await.unwrap_or_default();
    let reason = serde_json::from_slice::<Status>(&body).ok().and_then(|status| status.message).unwrap_or_default();
    let text = format!("{status}: {}", reason.chars().take(300).collect::<String>());
    Err(match status {
        StatusCode::GONE => Trouble::Gone,
        StatusCode::UNAUTHORIZED => Trouble::Unauthorized(text),
        StatusCode::FORBIDDEN => Trouble::Denied(text),
        StatusCode::NOT_FOUND => Trouble::Missing(text),
        _ => Trouble::Failed(text, asked.map(Duration::from_secs)),
    })
}

/// The same, with the fix where it is known.
fn explained(failure: String) -> String {
    // As rustls says it.
    if !failure.contains("invalid peer certificate") {
        return failure;
    }
    format!(
        "{failure}; the API server's certificate is not one that the configured authority has signed: compare ca.crt of the service account, \
         or certificate-authority of the kubeconfig, with the cluster's"
    )
}

/// The whole body, if it is no larger than `limit` and each piece comes within `patience`.
pub(crate) async fn whole(answer: Response<Body>, limit: usize, patience: Duration) -> Result<Vec<u8>, Trouble> {
    let (mut body, mut read) = (answer.into_body(), Vec::new());
    loop {
        match timeout(patience, body.frame()).await {
            Err(_) => return Err(Trouble::failed(format!("the answer stopped for {patience:?}"))),
            Ok(None) => return Ok(read),
            Ok(Some(Err(e))) => return Err(Trouble::failed(told(&e))),
            Ok(Some(Ok(frame))) => {
                let Some(data) = frame.data_ref() else { continue };
                if read.len() + data.len() > limit {
                    return Err(Trouble::TooLarge);
                }
                read.extend_from_slice(data);
            }
        }
    }
}

/// What a watch brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line beyond [`Limits::line`], which was not kept.
    TooLong,
    /// The stream ended between two lines, as it does when its time is over, or within one: what of it came is worth nothing.
    End,
}

/// The lines of a watch.
pub(crate) struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// Of `buffer`, how far it is known to hold no end of a line.
    searched: usize,
    skipping: bool,
    ends: Instant,
    limit: usize,
    silence: Duration,
    answer: Duration,
}

impl Lines {
    /// `open_for`: what the server was asked for; one that keeps a watch much longer does not, it hangs.
    pub(crate) fn new(answer: Response<Body>, limits: &Limits, open_for: Duration) -> Self {
        Self {
            body: answer.into_body(),
            buffer: Vec::new(),
            searched: 0,
            skipping: false,
            ends: Instant::now() + open_for + limits.answer,
            limit: limits.line,
            silence: limits.silence,
            answer: limits.answer,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Line, Trouble> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    return Ok(Line::TooLong);
                }
                if !line.is_empty() {
                    return Ok(Line::Whole(line));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit {
                self.skipping = true;
            }
            if self.skipping {
                self.buffer = Vec::new();
                self.searched = 0;
            }
            // Between lines silence is usual; within one it is not.
            let within = self.skipping || !self.buffer.is_empty();
            let patience = if within { self.answer } else { self.silence };
            match timeout_at(self.ends.min(Instant::now() + patience), self.body.frame()).await {
                Err(_) => return Err(Trouble::failed("the watch hung")),
                Ok(None) => return Ok(Line::End),
                Ok(Some(Err(e))) => return Err(Trouble::failed(told(&e))),
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }
}
