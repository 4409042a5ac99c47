//! Values at many places of a state, watched from event to event.
//!
//! Goes to the watched places alone, in one way through the state, and compares what is found there by its canonical bytes:
//! nothing is made into JSON, and what nobody watches is passed over. [`crate::fold::select`] is its sibling for one place,
//! whose value is wanted.

use crate::fold::codec;
use crate::fold::walk::{Look, Looked, Parts, walk};
use serde::Serialize;
use std::fmt;

/// The watched places, as they are reached: by keys of objects and places in lists.
#[derive(Debug, Default)]
struct Node {
    /// The value here is watched, as this place.
    place: Option<usize>,
    /// By key, ascending.
    children: Vec<(String, Node)>,
}

impl Node {
    fn add(&mut self, keys: &[String], place: usize) {
        let Some((key, rest)) = keys.split_first() else {
            self.place = Some(place);
            return;
        };
        let at = match self.child(key) {
            Ok(at) => at,
            Err(at) => {
                self.children.insert(at, (key.clone(), Node::default()));
                at
            }
        };
        self.children[at].1.add(rest, place);
    }

    fn child(&self, key: &str) -> Result<usize, usize> {
        self.children.binary_search_by(|(known, _)| known.as_str().cmp(key))
    }
}

/// Values at some places, as they were when they were looked at last.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    root: Node,
    values: Values,
}

#[derive(Debug, Default)]
struct Values {
    last: Vec<Option<Vec<u8>>>,
    changed: Vec<usize>,
    /// Of the value that is being looked at.
    bytes: Vec<u8>,
}

impl Watch {
    /// Watches the values that these keys lead to, beginning with what they are in this state.
    pub(crate) fn new<S: Serialize>(places: &[Vec<String>], state: &S) -> Watch {
        let mut watch = Watch::default();
        for (place, keys) in places.iter().enumerate() {
            watch.root.add(keys, place);
        }
        watch.values.last.resize(places.len(), None);
        let _as_they_are = watch.changed(state);
        watch
    }

    /// The places whose values are others than when this was asked last, in no order.
    pub(crate) fn changed<S: Serialize>(&mut self, state: &S) -> &[usize] {
        self.values.changed.clear();
        // A state that can not be written has no canonical bytes either, and gets no further than this.
        let _told_elsewhere = look_at(&self.root, state, &mut self.values);
        &self.values.changed
    }
}

impl Values {
    fn set(&mut self, place: usize, is_there: bool) {
        let now = is_there.then_some(&self.bytes);
        if self.last[place].as_ref() != now {
            self.last[place] = now.cloned();
            self.changed.push(place);
        }
    }

    /// Nothing is here, and nothing below.
    fn absent(&mut self, node: &Node) {
        if let Some(place) = node.place {
            self.set(place, false);
        }
        self.below_absent(node);
    }

    fn below_absent(&mut self, node: &Node) {
        for (_, child) in &node.children {
            self.absent(child);
        }
    }
}

fn look_at<T: Serialize + ?Sized>(node: &Node, value: &T, values: &mut Values) -> Looked<()> {
    if let Some(place) = node.place {
        values.bytes.clear();
        codec::encode_into(&mut values.bytes, value).map_err(|_| fmt::Error)?;
        values.set(place, true);
    }
    if node.children.is_empty() { Ok(()) } else { walk(Children { node, values }, value) }
}

/// Goes on to the children of a node.
struct Children<'w> {
    node: &'w Node,
    values: &'w mut Values,
}

impl<'w> Look for Children<'w> {
    type Found = ();
    type Parts = Watched<'w>;
    type Variant = Variant<'w>;

    fn plain(self) -> Looked<()> {
        self.values.below_absent(self.node);
        Ok(())
    }

    fn parts(self) -> Watched<'w> {
        Watched { seen: vec![false; self.node.children.len()], node: self.node, values: self.values, item: 0 }
    }

    fn variant(self, name: &str, _: bool) -> Variant<'w> {
        let Children { node, values } = self;
        let found = node.child(name).ok();
        let others = node.children.iter().enumerate().filter(|(at, _)| Some(*at) != found);
        for (_, (_, child)) in others {
            values.absent(child);
        }
        let Some(at) = found else { return Variant::default() };
        let node = &node.children[at].1;
        let whole = node.place.map(|place| (place, Vec::new()));
        Variant { parts: Some(Children { node, values }.parts()), whole }
    }
}

/// The parts of a value, one after the other.
struct Watched<'w> {
    node: &'w Node,
    values: &'w mut Values,
    seen: Vec<bool>,
    /// The next item's place in a list.
    item: usize,
}

impl Parts for Watched<'_> {
    type Found = ();

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        let place = self.item.to_string();
        self.item += 1;
        self.keyed(&place, value)
    }

    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Looked<()> {
        let Ok(at) = self.node.child(key) else { return Ok(()) };
        self.seen[at] = true;
        look_at(&self.node.children[at].1, value, self.values)
    }

    fn finish(self) -> Looked<()> {
        for ((_, child), seen) in self.node.children.iter().zip(self.seen) {
            if !seen {
                self.values.absent(child);
            }
        }
        Ok(())
    }
}

/// The parts of a variant.
#[derive(Default)]
struct Variant<'w> {
    /// `None` where nothing in it is watched.
    parts: Option<Watched<'w>>,
    /// Where all of them together are watched: as which place, and their bytes one after the other.
    whole: Option<(usize, Vec<u8>)>,
}

impl Variant<'_> {
    fn gather<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        let Some((_, bytes)) = &mut self.whole else { return Ok(()) };
        codec::encode_into(bytes, value).map_err(|_| fmt::Error)
    }
}

impl Parts for Variant<'_> {
    type Found = ();

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        self.gather(value)?;
        self.parts.as_mut().map_or(Ok(()), |parts| parts.item(value))
    }

    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Looked<()> {
        self.gather(value)?;
        self.parts.as_mut().map_or(Ok(()), |parts| parts.keyed(key, value))
    }

    fn finish(self) -> Looked<()> {
        let Some(parts) = self.parts else { return Ok(()) };
        if let Some((place, bytes)) = self.whole {
            parts.values.bytes = bytes;
            parts.values.set(place, true);
        }
        parts.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::state_difference::differences_by_keys;
    use crate::fold::{state_json, value_at};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, Default, serde::Serialize)]
    enum Shape {
        #[default]
        Unit,
        New(u8),
        Two(u8, Option<u8>),
        Named {
            a: u8,
            b: Vec<u8>,
        },
    }

    #[derive(Clone, Debug, Default, serde::Serialize)]
    struct State {
        shapes: Vec<Shape>,
        by_number: BTreeMap<u32, (u8, char)>,
        points: BTreeMap<String, BTreeMap<String, u8>>,
        some: Option<BTreeMap<String, u8>>,
        text: String,
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let named = (any::<u8>(), prop::collection::vec(0_u8..3, 0..3)).prop_map(|(a, b)| Shape::Named { a, b });
        prop_oneof![
            Just(Shape::Unit),
            (0_u8..3).prop_map(Shape::New),
            (0_u8..2, prop::option::of(0_u8..2)).prop_map(|(one, two)| Shape::Two(one, two)),
            named,
        ]
    }

    fn states() -> impl Strategy<Value = State> {
        let keys = || prop::collection::btree_map("a|b|a\\.b", 0_u8..3, 0..3);
        let points = prop::collection::btree_map("a|a\\.b|c", keys(), 0..3);
        let by_number = prop::collection::btree_map(0_u32..12, (0_u8..2, prop::char::range('a', 'b')), 0..3);
        (prop::collection::vec(shapes(), 0..3), by_number, points, prop::option::of(keys()), "[xy]?")
            .prop_map(|(shapes, by_number, points, some, text)| State { shapes, by_number, points, some, text })
    }

    proptest! {
        /// What is watched is told to have changed exactly where it has, by the states' JSON.
        #[test]
        fn fold_watched_places_change_where_their_values_in_json_do(states in prop::collection::vec(states(), 2..9)) {
            let last = state_json(&states[states.len() - 1]);
            let changes = differences_by_keys(&state_json(&states[0]), &last);
            let places: Vec<Vec<String>> = changes.iter().map(|(keys, _)| keys.clone()).collect();
            let lookup = |state: &State, keys: &[String]| {
                let json = state_json(state);
                keys.iter().try_fold(&json, |value, key| match value {
                    serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                    value => value.get(key),
                }).cloned()
            };
            let mut watch = Watch::new(&places, &states[0]);
            for pair in states.windows(2) {
                let mut changed = watch.changed(&pair[1]).to_vec();
                changed.sort_unstable();
                let differs = |keys: &Vec<String>| lookup(&pair[0], keys) != lookup(&pair[1], keys);
                let wanted: Vec<usize> = (0..places.len()).filter(|place| differs(&places[*place])).collect();
                prop_assert_eq!(changed, wanted, "{:?}", places);
            }
            for (keys, change) in &changes {
                prop_assert_eq!(&keys.join("."), &change.path);
                prop_assert!(change.new.is_none() || value_at(&last, &change.path).is_some());
            }
        }
    }
}
