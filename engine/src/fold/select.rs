//! The value at a path of a state, without making JSON of the rest of it.
//!
//! Goes down the path and passes over everything else: asking for one field of a large state after every event costs the way
//! to it. [`crate::fold::value_at`] does the same on JSON, and is what this one is tested against.

use crate::fold::state_difference::is_start;
use crate::fold::walk::{Look, Looked, Parts, walk};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// What [`crate::fold::value_at`] finds in a state's JSON; `None` where there is nothing, and where the state can not be
/// shown as JSON.
pub(crate) fn select<S: Serialize + ?Sized>(state: &S, path: &str) -> Option<Value> {
    if path.is_empty() {
        return serde_json::to_value(state).ok();
    }
    walk(Select { path }, state).ok().flatten()
}

/// Goes down a path that is not empty.
struct Select<'p> {
    path: &'p str,
}

impl<'p> Look for Select<'p> {
    type Found = Option<Value>;
    type Parts = Selected<'p>;
    type Variant = Variant<'p>;

    fn plain(self) -> Looked<Option<Value>> {
        Ok(None)
    }

    fn parts(self) -> Selected<'p> {
        Selected { path: self.path, found: None, key_len_bytes: 0, place: 0 }
    }

    fn variant(self, name: &str, is_list: bool) -> Variant<'p> {
        if !is_start(self.path, name) {
            return Variant::Elsewhere;
        }
        match self.path[name.len()..].trim_start_matches('.') {
            "" if is_list => Variant::Whole(Value::Array(Vec::new())),
            "" => Variant::Whole(Value::Object(serde_json::Map::new())),
            path => Variant::Into(Select { path }.parts()),
        }
    }
}

/// What a path leads to within one part after the other.
struct Selected<'p> {
    path: &'p str,
    found: Option<Value>,
    /// Length of the key that led to it: of several that fit, the longest counts.
    key_len_bytes: usize,
    /// The next item's place in a list.
    place: usize,
}

impl Parts for Selected<'_> {
    type Found = Option<Value>;

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        let (place, rest) = self.path.split_once('.').unwrap_or((self.path, ""));
        if place.parse() == Ok(self.place) {
            self.found = select(value, rest);
        }
        self.place += 1;
        Ok(())
    }

    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Looked<()> {
        if is_start(self.path, key) && (self.found.is_none() || key.len() > self.key_len_bytes) {
            let found = select(value, self.path[key.len()..].trim_start_matches('.'));
            if found.is_some() {
                (self.found, self.key_len_bytes) = (found, key.len());
            }
        }
        Ok(())
    }

    fn finish(self) -> Looked<Option<Value>> {
        Ok(self.found)
    }
}

/// A variant with several parts.
enum Variant<'p> {
    /// The path leads into it.
    Into(Selected<'p>),
    /// The path ends at it: its parts as a list, or as an object.
    Whole(Value),
    /// The path leads elsewhere.
    Elsewhere,
}

impl Parts for Variant<'_> {
    type Found = Option<Value>;

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        match self {
            Variant::Into(parts) => parts.item(value)?,
            Variant::Whole(Value::Array(items)) => items.push(json(value)?),
            Variant::Whole(_) | Variant::Elsewhere => {}
        }
        Ok(())
    }

    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Looked<()> {
        match self {
            Variant::Into(parts) => parts.keyed(key, value)?,
            Variant::Whole(Value::Object(fields)) => {
                fields.insert(key.to_owned(), json(value)?);
            }
            Variant::Whole(_) | Variant::Elsewhere => {}
        }
        Ok(())
    }

    fn finish(self) -> Looked<Option<Value>> {
        Ok(match self {
            Variant::Into(parts) => parts.found,
            Variant::Whole(value) => Some(value),
            Variant::Elsewhere => None,
        })
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> Looked<Value> {
    serde_json::to_value(value).map_err(|_| fmt::Error)
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
