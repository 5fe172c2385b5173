//! Follows one resource: lists it, watches it from there, and lists it again where the watch cannot go on.

use crate::ask::{self, Line, Lines, Trouble};
use crate::backoff::{Backoff, spread};
use crate::cluster::Table;
use crate::connection::Connection;
use crate::directory::Directory;
use crate::id::Uid;
use crate::intern::Interner;
use crate::limits::{Counters, Limits};
use crate::object::{self, Bare, Event, EventType, Page};
use crate::read::{self, Unusable};
use crate::resource::Resource;
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use serde::Deserialize;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Follows `resource` for as long as it is polled.
pub(crate) struct Follower<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) connection: &'a Connection<'a>,
    pub(crate) directory: &'a Directory,
    pub(crate) interner: &'a RefCell<Interner>,
    pub(crate) limits: &'a Limits,
    /// `fieldSelector=…`, or nothing.
    pub(crate) selector: String,
    /// Which of the resource's paths answers.
    pub(crate) path: usize,
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Identity of an object that was applied, and the version behind which a watch goes on.
struct Applied {
    uid: Uid,
    version: Option<String>,
}

impl Follower<'_> {
    /// Objects after which the others get their turn: all resources share a thread.
    const BURST: usize = 64;
    /// Objects of one list; a server that goes on and on is broken.
    const LONGEST_LIST: usize = 2_000_000;

    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.limits.pause);
        loop {
            let mut version = match self.list().await {
                Ok(version) => version,
                Err(trouble) => {
                    self.renew_after(&trouble).await;
                    self.rest(&trouble, &mut backoff).await;
                    continue;
                }
            };
            // Until only a new list tells.
            while let Some(pause) = self.watch_once(&mut version, &mut backoff).await {
                tokio::time::sleep(pause).await;
            }
            // Also a server that forgets at once is not asked for everything at once again.
            tokio::time::sleep(backoff.next(None)).await;
        }
    }

    /// One watch, and how long to wait before the next; `None` when it cannot go on from `version`.
    async fn watch_once(&mut self, version: &mut String, backoff: &mut Backoff) -> Option<Duration> {
        let begun = Instant::now();
        let mut missed = false;
        let outcome = self.watch(version, &mut missed).await;
        let lasted = begun.elapsed();
        if lasted >= self.limits.pause.1 {
            backoff.reset();
        }
        match outcome {
            Ok(()) if missed => None,
            Ok(()) if lasted >= self.limits.pause.0 => {
                backoff.reset();
                Some(Duration::ZERO)
            }
            // One that ends at once, again and again, is a failure in disguise.
            Ok(()) => Some(backoff.next(None)),
            Err(Trouble::Gone) => {
                self.count(|counters| counters.gone += 1);
                None
            }
            Err(trouble) => {
                self.renew_after(&trouble).await;
                let pause = self.pause_after(&trouble, backoff);
                if missed {
                    tokio::time::sleep(pause).await;
                    return None;
                }
                // What was applied was applied: it goes on behind that.
                Some(pause)
            }
        }
    }

    /// Who is not known any more may have another token by now.
    async fn renew_after(&self, trouble: &Trouble) {
        if let Trouble::Unauthorized(_) = trouble {
            self.connection.renew().await;
        }
    }

    async fn rest(&self, trouble: &Trouble, backoff: &mut Backoff) {
        tokio::time::sleep(self.pause_after(trouble, backoff)).await;
    }

    /// Notes the failure and says how long to wait.
    fn pause_after(&self, trouble: &Trouble, backoff: &mut Backoff) -> Duration {
        self.count(|counters| counters.failures += 1);
        let (denied, text, asked) = match trouble {
            Trouble::Denied(text) | Trouble::Missing(text) | Trouble::Unauthorized(text) => (true, text.clone(), None),
            Trouble::Gone => (false, "410: the version is too old".into(), None),
            Trouble::TooLarge => (false, "a single object is larger than the limit of a page".into(), None),
            Trouble::Failed(text, asked) => (false, text.clone(), *asked),
        };
        self.directory.states().failed(self.resource.name, denied, text);
        match trouble {
            Trouble::Denied(_) | Trouble::Missing(_) => spread(self.limits.pause_denied),
            _ => backoff.next(asked),
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.directory.write().counters);
    }

    fn uri(&self, query: &str) -> String {
        let and = if self.selector.is_empty() { "" } else { "&" };
        format!("{}?{query}{and}{}", self.resource.paths[self.path], self.selector)
    }

    /// Lists everything, and only then removes what is not there any more. The version to watch from.
    async fn list(&mut self) -> Result<String, Trouble> {
        let mut listed: HashSet<Uid, RandomState> = HashSet::default();
        let (mut items, mut read, mut at) = (self.limits.items.max(1), 0, None::<String>);
        loop {
            let from = at.as_deref().map(|token| format!("&continue={}", escaped(token))).unwrap_or_default();
            let page = match self.page(&format!("limit={items}{from}")).await {
                Ok(page) => page,
                Err(Trouble::TooLarge) if items > 1 => {
                    self.count(|counters| counters.oversized += 1);
                    items /= 2;
                    continue;
                }
                Err(Trouble::Missing(text)) if at.is_none() => {
                    self.path = (self.path + 1) % self.resource.paths.len();
                    if self.path == 0 {
                        return Err(Trouble::Missing(text));
                    }
                    continue;
                }
                // The token expired: what was read so far is right, but there is no end to this list.
                Err(Trouble::Gone) => {
                    self.count(|counters| counters.gone += 1);
                    return Err(Trouble::Gone);
                }
                Err(trouble) => return Err(trouble),
            };
            let parsed: Page<'_> =
                serde_json::from_slice(&page).map_err(|e| Trouble::Failed(format!("not a list: {e}"), None))?;
            for (n, item) in parsed.items.iter().flatten().enumerate() {
                match self.apply(item.get()) {
                    Ok(applied) => _ = listed.insert(applied.uid),
                    Err(Unusable) => self.count(|counters| counters.unusable += 1),
                }
                if n % Self::BURST == Self::BURST - 1 {
                    tokio::task::yield_now().await;
                }
            }
            read += parsed.items.as_ref().map_or(0, Vec::len).max(1);
            let next = parsed.metadata.r#continue.filter(|token| !token.is_empty());
            if next.is_some() && (read > Self::LONGEST_LIST || next == at) {
                return Err(Trouble::Failed("the list has no end".into(), None));
            }
            at = next;
            if at.is_none() {
                let version = parsed.metadata.resource_version.filter(|version| !version.is_empty());
                let version = version.ok_or_else(|| Trouble::Failed("a list without a version".into(), None))?;
                self.remove_what_is_not_in(&listed).await;
                self.count(|counters| counters.lists += 1);
                self.directory.states().current(self.resource.name);
                return Ok(version);
            }
        }
    }

    async fn page(&self, query: &str) -> Result<Vec<u8>, Trouble> {
        let uri = self.uri(query);
        let answer = ask::get(&self.connection.client(), &uri, self.resource.accept(true), self.limits).await?;
        ask::whole(answer, self.limits.page, self.limits.answer).await
    }

    async fn remove_what_is_not_in(&self, listed: &HashSet<Uid, RandomState>) {
        let present = self.directory.write().present(self.resource.table, self.resource.name);
        for (n, uid) in present.iter().filter(|uid| !listed.contains(*uid)).enumerate() {
            if self.directory.write().remove(self.resource.table, *uid, now()) {
                self.directory.changed();
            }
            if n % Self::BURST == Self::BURST - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Watches from `version` on, which it moves along, until the server ends it. `missed`: something came that could not be
    /// read, so that only a new list tells.
    async fn watch(&mut self, version: &mut String, missed: &mut bool) -> Result<(), Trouble> {
        let open_for = spread(self.limits.watch).max(Duration::from_secs(1));
        let from = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            open_for.as_secs(),
            escaped(version)
        );
        let uri = self.uri(&from);
        let answer = match ask::get(&self.connection.client(), &uri, self.resource.accept(false), self.limits).await {
            // It was there when it was listed: perhaps it has moved.
            Err(Trouble::Missing(_)) => return Err(Trouble::Gone),
            other => other?,
        };
        self.directory.states().current(self.resource.name);
        self.count(|counters| counters.watches += 1);
        let mut lines = Lines::new(answer, self.limits, open_for);
        let mut since = 0;
        loop {
            let line = match lines.next().await? {
                Line::Whole(line) => line,
                Line::TooLong => {
                    *missed = true;
                    self.count(|counters| counters.oversized += 1);
                    continue;
                }
                Line::End => return Ok(()),
            };
            let event: Event<'_> = serde_json::from_slice(&line).map_err(|e| {
                *missed = true;
                self.count(|counters| counters.unusable += 1);
                Trouble::Failed(format!("not an event of a watch: {e}"), None)
            })?;
            match event.r#type {
                EventType::Error => {
                    let status: Option<object::Status> = serde_json::from_str(event.object.get()).ok();
                    let (code, text) = status.map_or((None, None), |status| (status.code, status.message));
                    if code == Some(410) {
                        return Err(Trouble::Gone);
                    }
                    return Err(Trouble::Failed(text.unwrap_or_else(|| "an error without a message".into()), None));
                }
                EventType::Bookmark => self.count(|counters| counters.bookmarks += 1),
                EventType::Added | EventType::Modified | EventType::Deleted | EventType::Unknown => {}
            }
            let applied = match event.r#type {
                EventType::Added | EventType::Modified => self.apply(event.object.get()),
                EventType::Deleted => self.removed(event.object.get()),
                EventType::Bookmark | EventType::Error => Err(Unusable),
                EventType::Unknown => {
                    *missed = true;
                    Err(Unusable)
                }
            };
            let reached = match applied {
                Ok(applied) => applied.version,
                Err(Unusable) => {
                    if event.r#type != EventType::Bookmark {
                        self.count(|counters| counters.unusable += 1);
                    }
                    let bare: Option<Bare> = serde_json::from_str(event.object.get()).ok();
                    bare.and_then(|bare| bare.metadata.resource_version)
                }
            };
            if let Some(reached) = reached.filter(|version| !version.is_empty()) {
                *version = reached;
            }
            since += 1;
            if since % Self::BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unusable> {
        serde_json::from_str(json).map_err(|_| Unusable)
    }

    /// Reads an object, and puts it into its table. The lock is held for the latter only.
    fn apply(&self, json: &str) -> Result<Applied, Unusable> {
        let (interner, now) = (&mut *self.interner.borrow_mut(), now());
        let (metadata, changed) = match self.resource.table {
            Table::Pods => {
                let object: object::Pod = Self::read(json)?;
                let read = read::pod(&object, interner)?;
                (object.metadata, self.directory.write().pod(read, now))
            }
            Table::Services => {
                let object: object::Service = Self::read(json)?;
                let service = read::service(&object, interner)?;
                let created = read::time(object.metadata.creation_timestamp.as_deref());
                (object.metadata, self.directory.write().service(service, created, now))
            }
            Table::Nodes => {
                let object: object::Node = Self::read(json)?;
                let node = read::node(&object, interner)?;
                let created = read::time(object.metadata.creation_timestamp.as_deref());
                (object.metadata, self.directory.write().node(node, created, now))
            }
            Table::Slices => {
                let object: object::EndpointSlice = Self::read(json)?;
                let uid = read::uid(&object.metadata)?;
                let changed = match read::slice(&object, interner)? {
                    Some(slice) => self.directory.write().slice(uid, slice),
                    None => self.directory.write().remove(Table::Slices, uid, now),
                };
                (object.metadata, changed)
            }
            Table::Owners => {
                let object: object::MetadataOnly = Self::read(json)?;
                let (uid, controller) = (read::uid(&object.metadata)?, read::controller(&object.metadata, interner));
                (object.metadata, self.directory.write().owner(uid, controller, self.resource.name))
            }
        };
        self.applied(&metadata, changed)
    }

    fn removed(&self, json: &str) -> Result<Applied, Unusable> {
        let object: object::MetadataOnly = Self::read(json)?;
        let uid = read::uid(&object.metadata)?;
        let changed = self.directory.write().remove(self.resource.table, uid, now());
        self.applied(&object.metadata, changed)
    }

    fn applied(&self, metadata: &object::Metadata, changed: bool) -> Result<Applied, Unusable> {
        self.count(|counters| counters.events += 1);
        if changed {
            self.directory.changed();
        }
        Ok(Applied { uid: read::uid(metadata)?, version: metadata.resource_version.clone() })
    }
}

/// As a value in a query.
fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
