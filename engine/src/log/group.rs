//! Group commit: whoever comes first leads, takes what has gathered, and answers everybody.

use crate::ErrorKind;
use crate::error::{Error, Result};
use crate::log::batch::{AppendError, Appended, Batch};
use crate::log::journal::Journal;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most bytes of one group. The model checker gets there with small batches.
const MOST_LEN_BYTES: u64 = if cfg!(all(test, shuttle)) { 4 << 10 } else { Batch::MAX_LEN_BYTES };

type Answer = std::result::Result<Appended, AppendError>;

/// What a waiter is told.
#[derive(Debug)]
enum Call {
    /// Not answered yet.
    Idle,
    /// Not answered yet, and somebody sleeps until it is.
    Asleep,
    /// Nobody leads: look at the queue.
    Wake,
    /// The answer, and the batch: who has filled it also frees it, since to free what another thread has allocated has the two wait
    /// for each other.
    Done(Result<Appended>, Batch),
    /// The answer has been taken.
    Taken,
}

#[derive(Debug)]
struct Slot {
    call: Mutex<Call>,
    called: Condvar,
}

impl Slot {
    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, result: Result<Appended>, batch: Batch) {
        let before = std::mem::replace(&mut *self.call(), Call::Done(result, batch));
        // Waking is a system call, also where nobody sleeps.
        if matches!(before, Call::Asleep) {
            self.called.notify_one();
        }
    }
}

/// A batch in the queue.
#[derive(Debug)]
pub(crate) struct Pending {
    batch: Batch,
    slot: Arc<Slot>,
}

impl Pending {
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Gives the waiter its answer.
    pub(crate) fn answer(mut self, result: Result<Appended>) {
        let batch = std::mem::take(&mut self.batch);
        self.slot.answer(result, batch);
    }
}

impl Drop for Pending {
    /// Where the leader has panicked, the waiters would sleep for ever.
    fn drop(&mut self) {
        let is_open = matches!(*self.slot.call(), Call::Idle | Call::Asleep | Call::Wake);
        if is_open {
            let batch = std::mem::take(&mut self.batch);
            self.slot.answer(Err(lost()), batch);
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    pending: VecDeque<Pending>,
    /// Whether some thread is appending a group.
    led: bool,
}

/// The queue of a journal.
#[derive(Debug, Default)]
pub(crate) struct Group {
    queue: Mutex<Queue>,
}

impl Group {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(batch: Batch) -> (Pending, Arc<Slot>) {
        let slot = Arc::new(Slot { call: Mutex::new(Call::Idle), called: Condvar::new() });
        (Pending { batch, slot: Arc::clone(&slot) }, slot)
    }

    pub(crate) fn push(&self, batch: Batch) -> PendingSlot {
        let (pending, slot) = Group::slot(batch);
        self.queue().pending.push_back(pending);
        PendingSlot(slot)
    }

    /// Whether so many wait behind a group of so many batches that they need not wait for more: two thirds of them, and not few.
    pub(crate) fn is_worth_a_sync(&self, len: usize) -> bool {
        let waiting = self.queue().pending.len();
        waiting >= 16 && waiting * 3 >= len * 2
    }

    /// Whether nobody waits behind the group that is being appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue().pending.is_empty()
    }

    /// Becomes the leader if there is none: returns what has gathered, at most [`MOST_LEN_BYTES`] of it.
    fn take_lead(&self) -> Option<Vec<Pending>> {
        let mut queue = self.queue();
        if queue.led || queue.pending.is_empty() {
            return None;
        }
        queue.led = true;
        let mut len = 0;
        let mut taken = Vec::with_capacity(queue.pending.len());
        while let Some(next) = queue.pending.front() {
            len += next.batch.len_bytes();
            if len > MOST_LEN_BYTES && !taken.is_empty() {
                break;
            }
            taken.extend(queue.pending.pop_front());
        }
        Some(taken)
    }

    /// Becomes the leader if there is none and nobody waits: for an append that does not go through the queue.
    pub(crate) fn lead_alone(&self) -> Option<Lead<'_>> {
        let mut queue = self.queue();
        if queue.led || !queue.pending.is_empty() {
            return None;
        }
        queue.led = true;
        Some(Lead(self))
    }

    /// Gives the lead up; the first who waits may take it. Those before it, whose tickets nobody waits for yet, are told to
    /// look at the queue before they fall asleep.
    fn leave_lead(&self) {
        let mut asleep = None;
        let mut queue = self.queue();
        queue.led = false;
        for next in &queue.pending {
            if matches!(std::mem::replace(&mut *next.slot.call(), Call::Wake), Call::Asleep) {
                asleep = Some(Arc::clone(&next.slot));
                break;
            }
        }
        // Who is woken goes for the queue at once.
        drop(queue);
        if let Some(slot) = asleep {
            slot.called.notify_one();
        }
    }
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct PendingSlot(Arc<Slot>);

/// Ends the lead even if appending panics: then those who wait can go on, and see the error.
#[derive(Debug)]
pub(crate) struct Lead<'a>(&'a Group);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.leave_lead();
    }
}

/// A submitted batch. It is appended when somebody waits for it or for a batch behind it; dropping the ticket does not take
/// it back.
#[derive(Debug)]
#[must_use = "a submitted batch is appended when somebody waits"]
pub struct Ticket<'a> {
    journal: &'a Journal,
    slot: PendingSlot,
}

impl<'a> Ticket<'a> {
    pub(crate) fn new(journal: &'a Journal, slot: PendingSlot) -> Ticket<'a> {
        Ticket { journal, slot }
    }

    /// Waits until the batch is as durable as the policy promises.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn wait(self) -> Answer {
        let slot = self.slot.0;
        loop {
            let mut call = slot.call();
            match std::mem::replace(&mut *call, Call::Taken) {
                Call::Done(result, batch) => {
                    drop(call);
                    return result.map_err(|error| AppendError { error, batch });
                }
                Call::Taken => return Err(AppendError { error: lost(), batch: Batch::new() }),
                Call::Idle | Call::Asleep | Call::Wake => *call = Call::Idle,
            }
            drop(call);
            if let Some(pending) = self.journal.group().take_lead() {
                self.journal.lead(Lead(self.journal.group()), pending);
                continue;
            }
            let mut call = slot.call();
            if matches!(*call, Call::Idle) {
                *call = Call::Asleep;
            }
            while matches!(*call, Call::Asleep) {
                call = slot.called.wait(call).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Poisoned, "T0310", "the batch's answer was lost in a panic of another thread")
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_panics_answers_those_who_wait() {
        // The batches that a leader had taken were dropped with its stack, and their waiters slept for ever.
        let group = Group::default();
        let slot = group.push(Batch::new()).0;
        *slot.call() = Call::Asleep;
        drop(group.take_lead());
        group.leave_lead();
        let call = slot.call();
        assert!(matches!(&*call, Call::Done(result, _) if result.as_ref().is_err_and(|error| error.code() == "T0310")));
    }
}
