//! Values at many places of a state, watched from event to event.
//!
//! A serializer that goes to the watched places alone, in one way through the state, and compares what it finds there by its
//! canonical bytes: nothing is made into JSON, and what nobody watches is passed over. [`crate::fold::select`] is its
//! sibling for one place, whose value is wanted.

use crate::fold::codec;
use serde::ser::{self, Impossible, Serialize, Serializer};
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
        let _told_elsewhere = look(&self.root, state, &mut self.values);
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

type Looked = Result<(), fmt::Error>;

fn look<T: Serialize + ?Sized>(node: &Node, value: &T, values: &mut Values) -> Looked {
    if let Some(place) = node.place {
        values.bytes.clear();
        codec::encode_into(&mut values.bytes, value).map_err(|_| fmt::Error)?;
        values.set(place, true);
    }
    if node.children.is_empty() { Ok(()) } else { value.serialize(Look { node, values }) }
}

/// Goes on to the children of a node.
struct Look<'w> {
    node: &'w Node,
    values: &'w mut Values,
}

/// The parts of a value, one after the other.
struct Parts<'w> {
    node: &'w Node,
    values: &'w mut Values,
    seen: Vec<bool>,
    /// The next item's place in a list.
    item: usize,
    /// The child that the next value of a map is.
    next: Option<usize>,
}

impl<'w> Look<'w> {
    fn parts(self) -> Parts<'w> {
        Parts { seen: vec![false; self.node.children.len()], node: self.node, values: self.values, item: 0, next: None }
    }

    /// The value has no parts.
    fn plain(self) -> Looked {
        self.values.below_absent(self.node);
        Ok(())
    }

    /// Within a variant of several parts, which in JSON is an object of one key.
    fn variant(self, name: &str) -> Variant<'w> {
        let Look { node, values } = self;
        let found = node.child(name).ok();
        let others = node.children.iter().enumerate().filter(|(at, _)| Some(*at) != found);
        for (_, (_, child)) in others {
            values.absent(child);
        }
        let Some(at) = found else { return Variant::default() };
        let node = &node.children[at].1;
        let whole = node.place.map(|place| (place, Vec::new()));
        Variant { parts: Some(Look { node, values }.parts()), whole }
    }
}

impl Parts<'_> {
    fn child<T: Serialize + ?Sized>(&mut self, at: Option<usize>, value: &T) -> Looked {
        let Some(at) = at else { return Ok(()) };
        self.seen[at] = true;
        look(&self.node.children[at].1, value, self.values)
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        let at = self.node.child(&self.item.to_string()).ok();
        self.item += 1;
        self.child(at, value)
    }

    fn finish(self) -> Looked {
        for ((_, child), seen) in self.node.children.iter().zip(self.seen) {
            if !seen {
                self.values.absent(child);
            }
        }
        Ok(())
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Looked { self.plain() })+
    };
}

impl<'w> Serializer for Look<'w> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = Parts<'w>;
    type SerializeTupleStruct = Parts<'w>;
    type SerializeTupleVariant = Variant<'w>;
    type SerializeMap = Parts<'w>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = Variant<'w>;

    plain! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_str: &str,
        serialize_unit_struct: &'static str,
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Looked {
        let mut parts = self.parts();
        bytes.iter().try_for_each(|byte| parts.item(byte))?;
        parts.finish()
    }

    fn serialize_none(self) -> Looked {
        self.plain()
    }

    fn serialize_unit(self) -> Looked {
        self.plain()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Looked {
        self.plain()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Looked {
        let mut parts = self.parts();
        let at = parts.node.child(variant).ok();
        parts.child(at, value)?;
        parts.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w>, fmt::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'w>, fmt::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, fmt::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<'w>, fmt::Error> {
        Ok(self.variant(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w>, fmt::Error> {
        Ok(self.parts())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, fmt::Error> {
        Ok(self.parts())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<'w>, fmt::Error> {
        Ok(self.variant(variant))
    }

    fn is_human_readable(&self) -> bool {
        // The places are those of the state's JSON.
        true
    }
}

/// The parts of a variant.
#[derive(Default)]
struct Variant<'w> {
    /// `None` where nothing in it is watched.
    parts: Option<Parts<'w>>,
    /// Where all of them together are watched: as which place, and their bytes one after the other.
    whole: Option<(usize, Vec<u8>)>,
}

impl Variant<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, key: Option<&str>, value: &T) -> Looked {
        if let Some((_, bytes)) = &mut self.whole {
            codec::encode_into(bytes, value).map_err(|_| fmt::Error)?;
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        match key {
            None => parts.item(value),
            Some(key) => parts.child(parts.node.child(key).ok(), value),
        }
    }

    fn finish(self) -> Looked {
        let Some(parts) = self.parts else { return Ok(()) };
        if let Some((place, bytes)) = self.whole {
            parts.values.bytes = bytes;
            parts.values.set(place, true);
        }
        parts.finish()
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident,)+) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = fmt::Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
                self.item(value)
            }
            fn end(self) -> Looked {
                self.finish()
            }
        })+
    };
}

items! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Looked {
        let at = self.node.child(key).ok();
        self.child(at, value)
    }

    fn end(self) -> Looked {
        self.finish()
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Looked {
        self.next = match key.serialize(Key(self.node)) {
            Ok(found) => found,
            // As JSON writes keys: numbers and truth values as text.
            Err(fmt::Error) => match serde_json::to_value(key) {
                Ok(serde_json::Value::String(text)) => self.node.child(&text).ok(),
                Ok(other) => self.node.child(&other.to_string()).ok(),
                Err(_) => None,
            },
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        let at = self.next.take();
        self.child(at, value)
    }

    fn end(self) -> Looked {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Variant<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        self.part(None, value)
    }

    fn end(self) -> Looked {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Variant<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Looked {
        self.part(Some(key), value)
    }

    fn end(self) -> Looked {
        self.finish()
    }
}

/// Which child a key is, if it is a text: without a copy of it.
struct Key<'n>(&'n Node);

macro_rules! no_text {
    ($($method:ident($($type:ty),*),)+) => {
        $(fn $method(self, $(_: $type),*) -> Result<Option<usize>, fmt::Error> { Err(fmt::Error) })+
    };
}

impl Serializer for Key<'_> {
    type Ok = Option<usize>;
    type Error = fmt::Error;
    type SerializeSeq = Impossible<Option<usize>, fmt::Error>;
    type SerializeTuple = Impossible<Option<usize>, fmt::Error>;
    type SerializeTupleStruct = Impossible<Option<usize>, fmt::Error>;
    type SerializeTupleVariant = Impossible<Option<usize>, fmt::Error>;
    type SerializeMap = Impossible<Option<usize>, fmt::Error>;
    type SerializeStruct = Impossible<Option<usize>, fmt::Error>;
    type SerializeStructVariant = Impossible<Option<usize>, fmt::Error>;

    fn serialize_str(self, key: &str) -> Result<Option<usize>, fmt::Error> {
        Ok(self.0.child(key).ok())
    }

    no_text! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_f32(f32),
        serialize_f64(f64), serialize_char(char), serialize_bytes(&[u8]), serialize_none(), serialize_unit(),
        serialize_unit_struct(&'static str), serialize_unit_variant(&'static str, u32, &'static str),
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Option<usize>, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Option<usize>, fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Option<usize>, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
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
