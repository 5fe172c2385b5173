//! What goes to the writer, and its thread.

use crate::status::count;
use crate::store::Shared;
use crate::writer::Writer;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use steth_query::Range;
use steth_samples::Kept;
use steth_window::Window;

/// Windows that may wait for the writer: a minute of them. Others are dropped and counted.
const WAITING: usize = 8;

pub(crate) const MS: u64 = 1_000_000;

pub(crate) enum Message {
    Window(Arc<Window>),
    Samples(Arc<Vec<Kept>>, u64),
    Reached(u64),
}

/// Takes windows and hands them to the writer's thread. It never waits, unless it is asked to.
pub struct Feed {
    shared: Arc<Shared>,
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl Feed {
    pub(crate) fn start(writer: Writer) -> io::Result<Self> {
        let (queue, messages) = sync_channel(WAITING);
        let shared = writer.shared().clone();
        let thread = thread::Builder::new().name("steth-store".to_owned()).spawn(move || write(writer, &messages))?;
        Ok(Self { shared, queue, thread })
    }

    /// A window that is over. Without room for it, or without a writer, it is dropped, counted, and its time declared missing.
    pub fn window(&self, window: Arc<Window>) {
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.queue.try_send(Message::Window(window))
        {
            self.dropped(&message);
        }
    }

    /// The same, but it waits for room: for windows of a recording, which can wait.
    pub fn window_in_time(&self, window: Arc<Window>) {
        if let Err(refused) = self.queue.send(Message::Window(window)) {
            self.dropped(&refused.0);
        }
    }

    fn dropped(&self, message: &Message) {
        if let Message::Window(window) = message {
            count(&self.shared.counters.dropped, 1);
            self.shared.unkept_window(window.sequence);
            let range = Range { from_ms: window.start / MS, to_ms: window.end / MS };
            self.shared.miss(range, "too many windows waited for the disk");
        }
    }

    /// All that happened until then was handed over; nanoseconds since 1970. Where there is no window, there was nothing. Once a second
    /// is enough; without room it is left out, since the next one says more.
    pub fn reached(&self, until: u64) {
        let _ = self.queue.try_send(Message::Reached(until / MS));
    }

    /// The requests that are kept one by one, all that there are, and above which number none had to go for want of room
    /// ([`Samples::forgotten`](steth_samples::Samples::forgotten)). Without room they are left out, and come with the next ones.
    pub fn samples(&self, samples: Arc<Vec<Kept>>, forgotten: u64) {
        let _ = self.queue.try_send(Message::Samples(samples, forgotten));
    }

    /// The last windows, the last requests, and the time until which that is all: waits until all of it is written.
    pub fn close(self, samples: Option<(Arc<Vec<Kept>>, u64)>, reached: Option<u64>) {
        let Self { queue, thread, .. } = self;
        if let Some((samples, forgotten)) = samples {
            let _ = queue.send(Message::Samples(samples, forgotten));
        }
        if let Some(reached) = reached {
            let _ = queue.send(Message::Reached(reached / MS));
        }
        drop(queue);
        let _ = thread.join();
    }
}

fn write(mut writer: Writer, messages: &Receiver<Message>) {
    writer.begin();
    while let Ok(message) = messages.recv() {
        writer.take(message);
    }
    writer.end();
}
