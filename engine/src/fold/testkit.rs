//! For tests of a program's own folds: feature `testkit`, in `[dev-dependencies]`.
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use taffrail::{Decide, Event, Fold, Recorded, Rejection};
//! use taffrail::testkit::{any_chunking, crash_everywhere, given, replay_twice};
//! # #[derive(Serialize, Deserialize)] struct Paid(u32);
//! # impl Event for Paid { const TYPE: &'static str = "acme.paid"; const VERSION: u16 = 1; }
//! # struct Budget;
//! # impl Fold for Budget {
//! #     const NAME: &'static str = "acme.budget"; const VERSION: u32 = 1; type Event = Paid; type State = u32;
//! #     fn apply(spent: &mut u32, paid: &Recorded<Paid>) { *spent += paid.data.0; }
//! # }
//! # impl Decide for Budget {
//! #     type Command = u32;
//! #     fn decide(spent: &u32, amount: u32) -> Result<Vec<Paid>, Rejection> {
//! #         if spent + amount > 100 { Err(Rejection::new("over the budget")) } else { Ok(vec![Paid(amount)]) }
//! #     }
//! # }
//!
//! given::<Budget>(&[Paid(60)]).when(40).then(&[Paid(40)]).then_state(&100);
//! given::<Budget>(&[Paid(60)]).when(41).then_rejected("over the budget");
//!
//! let events = [Paid(1), Paid(2), Paid(3)];
//! any_chunking::<Budget>(&events);
//! replay_twice::<Budget>(&events);
//! assert!(crash_everywhere::<Budget>(&events) > 0);
//! ```
#![allow(clippy::panic, clippy::missing_panics_doc, reason = "an assertion that does not hold panics")]

mod crash;

pub use crash::crash_everywhere;

use crate::Seq;
use crate::fold::codec;
use crate::fold::event::{Event, Recorded};
use crate::fold::fold::{Decide, Fold, Rejection};
use crate::fold::state::{canonical_bytes, state_json};
use crate::fold::state_difference::state_differences;

/// The first event's clock, in nanoseconds since 1970; each following one is a second later.
const FIRST_TIME_NS: i64 = 1_700_000_000_000_000_000;

/// Events that have happened: of a run that was opened just before.
#[track_caller]
pub fn given<F: Fold>(events: &[F::Event]) -> Given<F> {
    let mut state = F::State::default();
    apply::<F>(&mut state, events, 0);
    Given { state, count: events.len() }
}

/// A state before a command.
pub struct Given<F: Fold> {
    state: F::State,
    count: usize,
}

impl<F: Fold> Given<F> {
    /// Checks the state.
    #[track_caller]
    pub fn then_state(&self, wanted: &F::State) -> &Given<F> {
        assert_state::<F>("the state", wanted, &self.state);
        self
    }
}

impl<F: Decide> Given<F> {
    /// A command is given.
    #[must_use]
    pub fn when(self, command: F::Command) -> When<F> {
        let decided = F::decide(&self.state, command);
        When { given: self, decided }
    }
}

/// What was decided.
pub struct When<F: Decide> {
    given: Given<F>,
    decided: Result<Vec<F::Event>, Rejection>,
}

impl<F: Decide> When<F> {
    /// Checks that the command leads to these events, and goes on from the state behind them.
    #[track_caller]
    pub fn then(self, wanted: &[F::Event]) -> Given<F> {
        let Given { mut state, count } = self.given;
        let decided = self.decided.unwrap_or_else(|rejection| panic!("the command was refused: {rejection}"));
        let show =
            |events: &[F::Event]| events.iter().map(|event| state_json(event).to_string()).collect::<Vec<String>>();
        let same = wanted.len() == decided.len()
            && wanted.iter().zip(&decided).all(|(one, other)| encoded(one) == encoded(other));
        assert!(same, "decided {:#?}, wanted {:#?}", show(&decided), show(wanted));
        apply::<F>(&mut state, &decided, count);
        Given { state, count: count + decided.len() }
    }

    /// Checks that the command is refused, with a reason that contains this text.
    #[track_caller]
    pub fn then_rejected(self, reason: &str) {
        match self.decided {
            Ok(events) => panic!("the command was not refused, and led to {} events", events.len()),
            Err(rejection) => assert!(rejection.reason.contains(reason), "refused, but because: {rejection}"),
        }
    }
}

/// Checks that it does not matter where a fold is interrupted: behind every event the state is written, read back, and
/// folded on.
#[track_caller]
pub fn any_chunking<F: Fold>(events: &[F::Event]) {
    let all = given::<F>(events).state;
    let mut stepwise = F::State::default();
    for cut in 0..=events.len() {
        let mut state = given::<F>(&events[..cut]).state;
        apply::<F>(&mut state, &events[cut..], cut);
        assert_state::<F>(&format!("folded in two parts, cut before event {cut}"), &all, &state);
        stepwise = through_bytes::<F>(&stepwise);
        apply::<F>(&mut stepwise, events.get(cut..=cut).unwrap_or_default(), cut);
    }
    assert_state::<F>("folded event by event", &all, &stepwise);
}

/// Checks that two folds over the same events agree, after every event.
#[track_caller]
pub fn replay_twice<F: Fold>(events: &[F::Event]) {
    let (mut one, mut two) = (F::State::default(), F::State::default());
    for place in 0..events.len() {
        apply::<F>(&mut one, &events[place..=place], place);
        apply::<F>(&mut two, &events[place..=place], place);
        assert_state::<F>(&format!("the second fold, after event {place}"), &one, &two);
    }
}

#[track_caller]
fn assert_state<F: Fold>(what: &str, wanted: &F::State, found: &F::State) {
    let bytes = |state: &F::State| canonical_bytes(state).unwrap_or_else(|error| panic!("{what}: {error}"));
    if bytes(wanted) == bytes(found) {
        return;
    }
    let lines = state_differences(&state_json(wanted), &state_json(found));
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    panic!("{what} differs (wanted -> found):\n{}", lines.join("\n"));
}

#[track_caller]
fn encoded<E: Event>(event: &E) -> Vec<u8> {
    codec::encode(event).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn through_bytes<F: Fold>(state: &F::State) -> F::State {
    let bytes = canonical_bytes(state).unwrap_or_else(|error| panic!("{error}"));
    codec::decode_state(&bytes).unwrap_or_else(|why| panic!("the state does not read back: {why}"))
}

/// Applies events as a log would give them: through their bytes, hints left out.
#[track_caller]
fn apply<F: Fold>(state: &mut F::State, events: &[F::Event], before: usize) {
    for (event, place) in events.iter().zip(before as u64..) {
        let data: F::Event = codec::decode_event(&encoded(event))
            .unwrap_or_else(|why| panic!("event {place} does not read back: {why}"));
        if !data.is_hint() {
            let revision = u32::try_from(place + 2).unwrap_or(u32::MAX);
            let time_ns = FIRST_TIME_NS.saturating_add(i64::try_from(place).unwrap_or(0).saturating_mul(1_000_000_000));
            F::apply(state, &Recorded { seq: Seq::after(place + 1), run: Some(Seq::FIRST), revision, time_ns, data });
        }
    }
}
