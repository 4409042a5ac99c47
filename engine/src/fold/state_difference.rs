//! What differs between two states, field by field.

use serde_json::Value;
use std::fmt;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where it is: keys and list places, joined by points; empty for the state itself.
    pub path: String,
    /// What was there; `None` where it is new. For keys in another order: the list of keys.
    pub old: Option<Value>,
    /// What is there now; `None` where it is gone.
    pub new: Option<Value>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (None, Some(new)) => write!(formatter, "+{} {new}", self.path),
            (Some(old), None) => write!(formatter, "-{} (was {old})", self.path),
            (old, new) => {
                let show = |value: &Option<Value>| value.as_ref().map_or_else(String::new, Value::to_string);
                write!(formatter, " {} {} -> {}", self.path, show(old), show(new))
            }
        }
    }
}

/// Every field that differs, in the order of the states. An object or a list that is new or gone as a whole is one change.
/// Where two objects hold the same under keys in another order, that order is the change: it means that the state's
/// encoding depends on something else than the events.
#[must_use]
pub fn state_differences(old: &Value, new: &Value) -> Vec<FieldChange> {
    differences_by_keys(old, new).into_iter().map(|(_, change)| change).collect()
}

/// The same, each with the keys and list places that lead to it: its path alone does not tell where a key ends that holds points.
pub(crate) fn differences_by_keys(old: &Value, new: &Value) -> Vec<(Vec<String>, FieldChange)> {
    let mut changes = Vec::new();
    compare(&mut Vec::new(), old, new, &mut changes);
    changes
}

fn compare(keys: &mut Vec<String>, old: &Value, new: &Value, changes: &mut Vec<(Vec<String>, FieldChange)>) {
    let add = |keys: &[String], key: Option<&str>, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<_>| {
        let keys: Vec<String> = keys.iter().cloned().chain(key.map(str::to_owned)).collect();
        let change = FieldChange { path: keys.join("."), old: old.cloned(), new: new.cloned() };
        changes.push((keys, change));
    };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let before = changes.len();
            for (key, value) in old {
                match new.get(key) {
                    Some(other) if is_plain(value) && value == other => {}
                    Some(other) => below(keys, key, value, other, changes),
                    None => add(keys, Some(key), Some(value), None, changes),
                }
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                add(keys, Some(key), None, Some(value), changes);
            }
            let order = |map: &serde_json::Map<String, Value>| Value::from_iter(map.keys().cloned());
            if changes.len() == before && !old.keys().eq(new.keys()) {
                add(keys, None, Some(&order(old)), Some(&order(new)), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (place, (value, other)) in old.iter().zip(new).enumerate() {
                below(keys, &place.to_string(), value, other, changes);
            }
            for (place, value) in old.iter().enumerate().skip(new.len()) {
                add(keys, Some(&place.to_string()), Some(value), None, changes);
            }
            for (place, value) in new.iter().enumerate().skip(old.len()) {
                add(keys, Some(&place.to_string()), None, Some(value), changes);
            }
        }
        _ if old == new => {}
        _ => add(keys, None, Some(old), Some(new), changes),
    }
}

fn below(keys: &mut Vec<String>, key: &str, old: &Value, new: &Value, changes: &mut Vec<(Vec<String>, FieldChange)>) {
    keys.push(key.to_owned());
    compare(keys, old, new, changes);
    keys.pop();
}

/// Whether a value has no parts, whose keys might stand in another order.
fn is_plain(value: &Value) -> bool {
    !(value.is_object() || value.is_array())
}

/// The value at a path; `None` where there is none.
#[must_use]
pub fn value_at<'v>(state: &'v Value, path: &str) -> Option<&'v Value> {
    if path.is_empty() {
        return Some(state);
    }
    match state {
        // A key may itself hold points: the longest key that fits leads on.
        Value::Object(map) => {
            let mut fitting: Vec<&String> = map.keys().filter(|key| is_start(path, key)).collect();
            fitting.sort_by_key(|key| std::cmp::Reverse(key.len()));
            fitting.into_iter().find_map(|key| value_at(map.get(key)?, path[key.len()..].trim_start_matches('.')))
        }
        Value::Array(items) => {
            let (place, rest) = path.split_once('.').unwrap_or((path, ""));
            value_at(items.get(place.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}

/// Whether a path is another one, or leads through it.
pub(crate) fn is_start(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| start.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_change_is_named_once_and_at_its_deepest_place() {
        let old = json!({"a": {"x": 1, "y": [1, 2]}, "gone": {"z": 1}, "same": null});
        let new = json!({"a": {"x": 2, "y": [1, 3, 4]}, "same": null, "came": {"k": []}});
        let lines: Vec<String> = state_differences(&old, &new).iter().map(FieldChange::to_string).collect();
        assert_eq!(lines, [" a.x 1 -> 2", " a.y.1 2 -> 3", "+a.y.2 4", "-gone (was {\"z\":1})", "+came {\"k\":[]}"]);
        assert!(state_differences(&old, &old).is_empty());
    }

    #[test]
    fn keys_in_another_order_are_a_change() {
        let (old, new) = (json!({"m": {"a": 1, "b": 2}}), json!({"m": {"b": 2, "a": 1}}));
        assert_eq!(state_differences(&old, &new)[0].to_string(), " m [\"a\",\"b\"] -> [\"b\",\"a\"]");
    }

    #[test]
    fn values_are_found_under_keys_with_points() {
        let state = json!({"steps": {"a.b": {"ms": 7}, "a": [1, {"c": 2}]}});
        assert_eq!(value_at(&state, "steps.a.b.ms"), Some(&json!(7)));
        assert_eq!(value_at(&state, "steps.a.1.c"), Some(&json!(2)));
        assert_eq!(value_at(&state, "steps.a.9"), None);
        assert!(is_start("steps.a", "steps") && !is_start("steps", "step"));
    }
}
