//! The async handle (feature `tokio`): append returns a future, follow yields events as they become durable.
//!
//! The engine itself stays synchronous. The handle owns one thread, which appends what has gathered as one group and ticks
//! the interval policy; following reads on tokio's blocking threads.

use crate::{AppendError, Appended, Batch, Error, ErrorKind, Follow, Journal, Query, Reader, Record, Result};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

type Answer = std::result::Result<Appended, AppendError>;

#[derive(Debug)]
enum Request {
    Append(Batch, oneshot::Sender<Answer>),
    Sync(oneshot::Sender<Result<u64>>),
    Close(oneshot::Sender<Result<()>>),
}

/// A journal behind a thread of its own, for async code. Cloning is cheap; the store is closed when the last clone is
/// dropped, or by [`AsyncJournal::close`].
#[derive(Clone, Debug)]
pub struct AsyncJournal {
    requests: Sender<Request>,
}

/// How often an interval policy is looked at, at least.
const TICK: Duration = Duration::from_millis(5);

impl AsyncJournal {
    /// Moves a journal behind a thread.
    ///
    /// # Errors
    /// `Io` where the thread can not be made.
    pub fn new(journal: Journal) -> Result<AsyncJournal> {
        let (requests, receiver) = channel();
        let builder = std::thread::Builder::new().name("taffrail-journal".to_owned());
        builder
            .spawn(move || serve(journal, &receiver))
            .map_err(|error| Error::io("cannot start the journal's thread", error))?;
        Ok(AsyncJournal { requests })
    }

    /// Appends a batch; resolves when it is as durable as the policy promises. Batches that are submitted while another
    /// group is being synced share the next sync. Dropping the future does not take the batch back.
    ///
    /// # Errors
    /// As [`Journal::append`]; `Poisoned` after [`AsyncJournal::close`]. The batch comes back.
    pub async fn append(&self, batch: Batch) -> Answer {
        let (answer, answered) = oneshot::channel();
        if let Err(unsent) = self.requests.send(Request::Append(batch, answer)) {
            let batch = if let Request::Append(batch, _) = unsent.0 { batch } else { Batch::new() };
            return Err(AppendError { error: closed(), batch });
        }
        answered.await.unwrap_or_else(|_| Err(AppendError { error: closed(), batch: Batch::new() }))
    }

    /// Makes everything durable that has been appended, and resolves to the highest durable seq.
    ///
    /// # Errors
    /// As [`Journal::sync`].
    pub async fn sync(&self) -> Result<u64> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Sync(answer)).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Closes the journal; appends that were submitted before are done first.
    ///
    /// # Errors
    /// As [`Journal::close`].
    pub async fn close(self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Close(answer)).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Poisoned, "T0310", "the journal has been closed")
}

/// The thread: takes what has gathered, appends it as one group, answers.
fn serve(journal: Journal, requests: &Receiver<Request>) {
    loop {
        let first = match requests.recv_timeout(TICK) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                // A failure poisons the journal, and the next append tells of it.
                let _told_by_the_next_append = journal.tick();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut waiting = VecDeque::new();
        let mut next = Some(first);
        let mut last = None;
        while let Some(request) = next.take() {
            match request {
                Request::Append(batch, answer) => waiting.push_back((journal.submit(batch), answer)),
                other => {
                    last = Some(other);
                    break;
                }
            }
            next = requests.try_recv().ok();
        }
        for (ticket, answer) in waiting {
            // Whoever dropped the future does not want the answer.
            let _unwanted = answer.send(ticket.wait());
        }
        match last {
            Some(Request::Sync(answer)) => drop(answer.send(journal.sync())),
            Some(Request::Close(answer)) => {
                drop(answer.send(journal.close()));
                return refuse(requests);
            }
            Some(Request::Append(..)) | None => {}
        }
    }
}

/// What the thread of a closed journal does until the last clone of its handle is gone: whoever still appends gets the
/// batch back. Ending the thread instead would drop what is in the queue at that moment, batch and all.
fn refuse(requests: &Receiver<Request>) {
    while let Ok(request) = requests.recv() {
        match request {
            Request::Append(batch, answer) => drop(answer.send(Err(AppendError { error: closed(), batch }))),
            Request::Sync(answer) => drop(answer.send(Err(closed()))),
            Request::Close(answer) => drop(answer.send(Err(closed()))),
        }
    }
}

/// Follows a log from async code: yields events as they become durable, those of other processes too.
#[derive(Debug)]
pub struct AsyncFollow {
    follow: Option<Follow>,
    ready: VecDeque<Record<'static>>,
    failed: Option<Error>,
    pause: Duration,
}

impl AsyncFollow {
    /// Most events that are read ahead.
    const MOST_READY: usize = 256;
    const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
    const LONGEST_PAUSE: Duration = Duration::from_millis(20);

    /// Follows from the query's first seq on.
    ///
    /// # Errors
    /// As [`Follow::new`].
    pub fn new(reader: Reader, query: Query) -> Result<AsyncFollow> {
        let follow = Some(Follow::new(reader, query)?);
        Ok(AsyncFollow { follow, ready: VecDeque::new(), failed: None, pause: Self::SHORTEST_PAUSE })
    }

    /// The next event; waits until there is one. `None` when the query's end has been reached.
    ///
    /// # Errors
    /// As reading. After an error the follower stays at it.
    pub async fn next(&mut self) -> Result<Option<Record<'static>>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            let Some(follow) = self.follow.take() else { return Err(closed()) };
            if follow.is_finished() {
                self.follow = Some(follow);
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || read_ahead(follow)).await;
            let (follow, ready, failed) = read.map_err(|_| closed())?;
            let finished = follow.is_finished();
            (self.follow, self.ready, self.failed) = (Some(follow), ready, failed);
            if !self.ready.is_empty() || finished || self.failed.is_some() {
                self.pause = Self::SHORTEST_PAUSE;
                continue;
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
        }
    }
}

fn read_ahead(mut follow: Follow) -> (Follow, VecDeque<Record<'static>>, Option<Error>) {
    let mut ready = VecDeque::new();
    while ready.len() < AsyncFollow::MOST_READY {
        match follow.next() {
            Ok(Some(record)) => ready.push_back(record.into_owned()),
            Ok(None) => break,
            Err(error) => return (follow, ready, Some(error)),
        }
    }
    (follow, ready, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::SimDisk;
    use crate::{Expect, SyncPolicy, TypeEntry};
    use std::sync::Arc;

    fn batch(run: &str) -> Batch {
        let mut batch = Batch::new();
        let run = batch.run_or_create(run, Expect::Any);
        batch.event(Some(run), &Arc::new(TypeEntry::json("step.done")), b"{}");
        batch
    }

    #[tokio::test]
    async fn appends_resolve_when_durable_and_a_follower_elsewhere_sees_them() {
        let sim = SimDisk::new(21);
        let journal = Journal::options().create(true).open_on(Arc::new(sim.process(1))).unwrap();
        let handle = AsyncJournal::new(journal).unwrap();
        let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
        let mut follow = AsyncFollow::new(reader, Query::all()).unwrap();
        let appending = tokio::spawn(async move {
            let tasks: Vec<_> = (0..64)
                .map(|number| {
                    let handle = handle.clone();
                    tokio::spawn(async move { handle.append(batch(&format!("run-{}", number % 3))).await })
                })
                .collect();
            for task in tasks {
                let appended = task.await.unwrap().unwrap();
                assert!(appended.durable >= appended.last.get());
            }
            handle.close().await.unwrap();
        });
        // One registration, three openings, 64 events.
        for seq in 1..=68 {
            assert_eq!(follow.next().await.unwrap().unwrap().seq.get(), seq);
        }
        appending.await.unwrap();
    }

    #[tokio::test]
    async fn the_interval_policy_is_ticked_without_an_append_and_closing_ends_the_handle() {
        let sim = SimDisk::new(22);
        let policy = SyncPolicy::Interval(Duration::from_nanos(1));
        let journal = Journal::options().create(true).sync(policy).open_on(Arc::new(sim.process(1))).unwrap();
        let handle = AsyncJournal::new(journal).unwrap();
        let last = handle.append(batch("a")).await.unwrap().last.get();
        let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
        let mut follow = AsyncFollow::new(reader, Query::all()).unwrap();
        for seq in 1..=last {
            assert_eq!(follow.next().await.unwrap().unwrap().seq.get(), seq);
        }
        let other = handle.clone();
        handle.close().await.unwrap();
        let refused = other.append(batch("a")).await.unwrap_err();
        assert_eq!((refused.error.kind(), refused.batch.len()), (ErrorKind::Poisoned, 1));
    }

    // The bug: the thread answered a close and then ended, and an append that came between the two lay in a queue that
    // was dropped with it. The append failed as it should, but its batch was gone, although the handle promises it back.
    // A close that is known while the thread still runs is that moment, held.
    #[test]
    fn a_batch_that_comes_after_the_close_is_handed_back_whenever_it_comes() {
        let (requests, receiver) = channel();
        let (closing, closed) = oneshot::channel();
        let (appending, mut appended) = oneshot::channel();
        requests.send(Request::Close(closing)).unwrap();
        requests.send(Request::Append(batch("a"), appending)).unwrap();
        drop(requests);
        let sim = SimDisk::new(23);
        serve(Journal::options().create(true).open_on(Arc::new(sim.process(1))).unwrap(), &receiver);
        closed.blocking_recv().unwrap().unwrap();
        let refused = appended.try_recv().expect("an answer").unwrap_err();
        assert_eq!((refused.error.kind(), refused.batch.len()), (ErrorKind::Poisoned, 1));
    }
}
