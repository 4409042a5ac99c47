//! The value at a path of a state, without making JSON of the rest of it.
//!
//! A serializer that goes down the path and passes over everything else: asking for one field of a large state after every
//! event costs the way to it. [`crate::fold::value_at`] does the same on JSON, and is what this one is tested against.

use crate::fold::state_difference::is_start;
use serde::ser::{self, Serialize, Serializer};
use serde_json::Value;

/// What [`crate::fold::value_at`] finds in a state's JSON; `None` where there is nothing, and where the state can not be
/// shown as JSON.
pub(crate) fn select<S: Serialize + ?Sized>(state: &S, path: &str) -> Option<Value> {
    if path.is_empty() {
        return serde_json::to_value(state).ok();
    }
    state.serialize(Select { path }).ok().flatten()
}

/// Goes down a path that is not empty.
#[derive(Clone, Copy)]
struct Select<'p> {
    path: &'p str,
}

/// What a path leads to within one part after the other.
struct Parts<'p> {
    path: &'p str,
    found: Option<Value>,
    /// Length of the key that led to it: of several that fit, the longest counts.
    key_len_bytes: usize,
    /// The next item's place in a list.
    place: usize,
    /// The key of a map whose value is next.
    key: Option<String>,
}

impl<'p> Select<'p> {
    fn parts(self) -> Parts<'p> {
        Parts { path: self.path, found: None, key_len_bytes: 0, place: 0, key: None }
    }
}

type Selected = Result<Option<Value>, serde_json::Error>;

impl Parts<'_> {
    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        if is_start(self.path, key) && (self.found.is_none() || key.len() > self.key_len_bytes) {
            let found = select(value, self.path[key.len()..].trim_start_matches('.'));
            if found.is_some() {
                (self.found, self.key_len_bytes) = (found, key.len());
            }
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) {
        let (place, rest) = self.path.split_once('.').unwrap_or((self.path, ""));
        if place.parse() == Ok(self.place) {
            self.found = select(value, rest);
        }
        self.place += 1;
    }
}

macro_rules! nothing {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Selected { Ok(None) })+
    };
}

impl<'p> Serializer for Select<'p> {
    type Ok = Option<Value>;
    type Error = serde_json::Error;
    type SerializeSeq = Parts<'p>;
    type SerializeTuple = Parts<'p>;
    type SerializeTupleStruct = Parts<'p>;
    type SerializeTupleVariant = Variant<'p>;
    type SerializeMap = Parts<'p>;
    type SerializeStruct = Parts<'p>;
    type SerializeStructVariant = Variant<'p>;

    nothing! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_str: &str,
        serialize_unit_struct: &'static str,
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Selected {
        let mut parts = self.parts();
        bytes.iter().for_each(|byte| parts.item(byte));
        Ok(parts.found)
    }

    fn serialize_none(self) -> Selected {
        Ok(None)
    }

    fn serialize_unit(self) -> Selected {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Selected {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Selected {
        Ok(None)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Selected {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Selected {
        let mut parts = self.parts();
        parts.keyed(variant, value);
        Ok(parts.found)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'p>, Self::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'p>, Self::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'p>, Self::Error> {
        Ok(self.parts())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<'p>, Self::Error> {
        Ok(Variant::of(self.path, variant, Value::Array(Vec::new())))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'p>, Self::Error> {
        Ok(self.parts())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'p>, Self::Error> {
        Ok(self.parts())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<'p>, Self::Error> {
        Ok(Variant::of(self.path, variant, Value::Object(serde_json::Map::new())))
    }
}

/// A variant with several parts: in JSON, an object of one key.
enum Variant<'p> {
    /// The path leads into it.
    Into(Parts<'p>),
    /// The path ends at it: its parts as a list, or as an object.
    Whole(Value),
    /// The path leads elsewhere.
    Elsewhere,
}

impl<'p> Variant<'p> {
    fn of(path: &'p str, variant: &str, empty: Value) -> Variant<'p> {
        if !is_start(path, variant) {
            return Variant::Elsewhere;
        }
        match path[variant.len()..].trim_start_matches('.') {
            "" => Variant::Whole(empty),
            path => Variant::Into(Select { path }.parts()),
        }
    }

    fn found(self) -> Option<Value> {
        match self {
            Variant::Into(parts) => parts.found,
            Variant::Whole(value) => Some(value),
            Variant::Elsewhere => None,
        }
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident,)+) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = Option<Value>;
            type Error = serde_json::Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
                self.item(value);
                Ok(())
            }
            fn end(self) -> Selected {
                Ok(self.found)
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
    type Ok = Option<Value>;
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        self.keyed(key, value);
        Ok(())
    }

    fn end(self) -> Selected {
        Ok(self.found)
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = Option<Value>;
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Self::Error> {
        // As JSON writes keys: text as it is, numbers and truth values as text.
        self.key = Some(match serde_json::to_value(key)? {
            Value::String(text) => text,
            other => other.to_string(),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        if let Some(key) = self.key.take() {
            self.keyed(&key, value);
        }
        Ok(())
    }

    fn end(self) -> Selected {
        Ok(self.found)
    }
}

impl ser::SerializeTupleVariant for Variant<'_> {
    type Ok = Option<Value>;
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        match self {
            Variant::Into(parts) => parts.item(value),
            Variant::Whole(Value::Array(items)) => items.push(serde_json::to_value(value)?),
            Variant::Whole(_) | Variant::Elsewhere => {}
        }
        Ok(())
    }

    fn end(self) -> Selected {
        Ok(self.found())
    }
}

impl ser::SerializeStructVariant for Variant<'_> {
    type Ok = Option<Value>;
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        match self {
            Variant::Into(parts) => parts.keyed(key, value),
            Variant::Whole(Value::Object(fields)) => {
                fields.insert(key.to_owned(), serde_json::to_value(value)?);
            }
            Variant::Whole(_) | Variant::Elsewhere => {}
        }
        Ok(())
    }

    fn end(self) -> Selected {
        Ok(self.found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{state_json, value_at};
    use std::collections::BTreeMap;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        New(u8),
        Two(u8, Option<&'static str>),
        Named { a: u8, b: Vec<u8> },
        Empty {},
    }

    #[derive(serde::Serialize)]
    struct New(BTreeMap<&'static str, u8>);

    #[derive(serde::Serialize)]
    struct Everything {
        shapes: Vec<Shape>,
        by_number: BTreeMap<u32, (u8, char)>,
        points: BTreeMap<&'static str, BTreeMap<&'static str, u8>>,
        new: New,
        some: Option<New>,
        none: Option<u8>,
        unit: (),
        json: crate::run::Json,
    }

    fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| paths(value, &below(key), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(place, value)| paths(value, &below(&place.to_string()), found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_path_leads_where_it_leads_in_the_states_json() {
        let new = || New([("x", 1), ("y", 2)].into());
        let state = Everything {
            shapes: vec![
                Shape::Unit,
                Shape::New(1),
                Shape::Two(2, Some("s")),
                Shape::Named { a: 3, b: vec![4, 5] },
                Shape::Empty {},
            ],
            by_number: [(7, (1, 'c'))].into(),
            points: [("a", [("b.c", 1)].into()), ("a.b", [("c", 2), ("d", 3)].into())].into(),
            new: new(),
            some: Some(new()),
            none: None,
            unit: (),
            json: crate::run::Json::of(&serde_json::json!({"lines": [1, {"deep": null}]})),
        };
        let json = state_json(&state);
        let mut all = Vec::new();
        paths(&json, "", &mut all);
        assert!(all.len() > 30, "{all:?}");
        let elsewhere =
            ["shapes.9", "shapes.x", "points.a.b.x", "none.x", "unit.0", "x", "shapes.3.Named.c", "json.lines.1.x"];
        for path in all.iter().map(String::as_str).chain(elsewhere) {
            assert_eq!(select(&state, path).as_ref(), value_at(&json, path), "{path}");
        }
    }
}
