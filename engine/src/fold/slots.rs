//! The states of all runs, while a fold is at work.

use crate::Seq;
use crate::fold::fold::Fold;
use crate::fold::slot::Slot;
use std::collections::BTreeMap;

/// By run. Events that follow one another are often of one run, which then is not looked up again.
pub(super) struct Slots<F: Fold> {
    /// Where in `kept` a run's slot stands.
    places: BTreeMap<Option<Seq>, usize>,
    /// Boxed, since they are large and there may be very many.
    kept: Vec<Box<Slot<F>>>,
    /// The run that was asked for last, and its place.
    last: Option<(Option<Seq>, usize)>,
}

impl<F: Fold> Default for Slots<F> {
    fn default() -> Slots<F> {
        Slots { places: BTreeMap::new(), kept: Vec::new(), last: None }
    }
}

impl<F: Fold> Slots<F> {
    /// The slot of a run, which is made where there is none.
    pub(super) fn of(&mut self, run: Option<Seq>) -> &mut Slot<F> {
        let place = match self.last {
            Some((last, place)) if last == run => place,
            _ => {
                let place = *self.places.entry(run).or_insert(self.kept.len());
                if place == self.kept.len() {
                    self.kept.push(Box::default());
                }
                self.last = Some((run, place));
                place
            }
        };
        &mut self.kept[place]
    }

    pub(super) fn get(&self, run: Option<Seq>) -> Option<&Slot<F>> {
        self.places.get(&run).map(|place| &*self.kept[*place])
    }

    pub(super) fn insert(&mut self, run: Option<Seq>, slot: Slot<F>) {
        *self.of(run) = slot;
    }

    /// All of them, by run, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<Seq>, &Slot<F>)> {
        self.places.iter().map(|(run, place)| (*run, &*self.kept[*place]))
    }

    /// All of them, by run, ascending.
    pub(super) fn into_all(mut self) -> impl Iterator<Item = (Option<Seq>, Slot<F>)> {
        self.places.into_iter().map(move |(run, place)| (run, std::mem::take(&mut *self.kept[place])))
    }
}
