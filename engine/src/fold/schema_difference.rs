//! What differs between two schemas, for people.

use crate::fold::schema::{Content, Format, Schema, Shape, Variant};
use std::collections::BTreeMap;

/// The differences from `old` to `new`, one line each; empty where the schemas are equal.
#[must_use]
pub fn schema_differences(old: &Schema, new: &Schema) -> Vec<String> {
    let mut lines = Vec::new();
    if old.root() != new.root() {
        lines.push(format!("the type itself: {} -> {}", show(old.root()), show(new.root())));
    }
    for (name, shape) in old.types() {
        match new.shape(name) {
            None => lines.push(format!("- type {name}")),
            Some(other) => shapes(name, shape, other, &mut lines),
        }
    }
    let added = new.types().keys().filter(|name| old.shape(name).is_none());
    lines.extend(added.map(|name| format!("+ type {name}")));
    lines
}

fn shapes(name: &str, old: &Shape, new: &Shape, lines: &mut Vec<String>) {
    match (old, new) {
        (Shape::Struct(old), Shape::Struct(new)) => contents(name, old, new, lines),
        (Shape::Enum(old), Shape::Enum(new)) => variants(name, old, new, lines),
        (Shape::Struct(_), Shape::Enum(_)) => lines.push(format!("{name}: a structure -> an enumeration")),
        (Shape::Enum(_), Shape::Struct(_)) => lines.push(format!("{name}: an enumeration -> a structure")),
    }
}

fn variants(name: &str, old: &[Variant], new: &[Variant], lines: &mut Vec<String>) {
    let by_name = |list: &[Variant]| {
        list.iter().map(|variant| (variant.name.clone(), variant.clone())).collect::<BTreeMap<String, Variant>>()
    };
    let (old, new) = (by_name(old), by_name(new));
    for (variant_name, variant) in &old {
        let path = format!("{name}::{variant_name}");
        match new.get(variant_name) {
            None => lines.push(format!("- {path}")),
            Some(other) => {
                if variant.index != other.index {
                    lines.push(format!("{path}: number {} -> {}", variant.index, other.index));
                }
                contents(&path, &variant.content, &other.content, lines);
            }
        }
    }
    let added = new.keys().filter(|variant| !old.contains_key(*variant));
    lines.extend(added.map(|variant| format!("+ {name}::{variant}")));
}

fn contents(path: &str, old: &Content, new: &Content, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Content::Struct(old_fields), Content::Struct(new_fields)) = (old, new) else {
        lines.push(format!("{path}: {} -> {}", show_content(old), show_content(new)));
        return;
    };
    let before = lines.len();
    for field in old_fields {
        match new_fields.iter().find(|other| other.name == field.name) {
            None => lines.push(format!("- {path}.{}: {}", field.name, show(&field.format))),
            Some(other) if other.format != field.format => {
                lines.push(format!("{path}.{}: {} -> {}", field.name, show(&field.format), show(&other.format)));
            }
            Some(_) => {}
        }
    }
    for field in new_fields {
        if !old_fields.iter().any(|other| other.name == field.name) {
            lines.push(format!("+ {path}.{}: {}", field.name, show(&field.format)));
        }
    }
    if lines.len() == before {
        let order = |fields: &[crate::fold::schema::Field]| {
            fields.iter().map(|field| field.name.as_str()).collect::<Vec<&str>>().join(", ")
        };
        lines.push(format!("{path}: the order of fields: {} -> {}", order(old_fields), order(new_fields)));
    }
}

fn show_content(content: &Content) -> String {
    match content {
        Content::Unit => "nothing".to_owned(),
        Content::Newtype(format) => show(format),
        Content::Tuple(items) => show(&Format::Tuple(items.clone())),
        Content::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{}: {}", field.name, show(&field.format)));
            format!("{{{}}}", fields.collect::<Vec<String>>().join(", "))
        }
    }
}

fn show(format: &Format) -> String {
    match format {
        Format::Named(name) => name.clone(),
        Format::Option(inner) => format!("optional {}", show(inner)),
        Format::Seq(item) => format!("[{}]", show(item)),
        Format::Array(item, count) => format!("[{}; {count}]", show(item)),
        Format::Map(pair) => format!("{{{}: {}}}", show(&pair.0), show(&pair.1)),
        Format::Tuple(items) => format!("({})", items.iter().map(show).collect::<Vec<String>>().join(", ")),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::schema::Field;

    fn of(fields: &[(&str, Format)]) -> Schema {
        let field = |(name, format): &(&str, Format)| Field { name: (*name).to_owned(), format: format.clone() };
        let shape = Shape::Struct(Content::Struct(fields.iter().map(field).collect()));
        Schema::new(Format::Named("Done".into()), &BTreeMap::from([("Done".to_owned(), shape)]))
    }

    #[test]
    fn fields_that_came_went_changed_and_moved_are_named() {
        let old = of(&[("exit", Format::I32), ("host", Format::String)]);
        let new = of(&[("exit", Format::U8), ("ms", Format::Option(Box::new(Format::U64)))]);
        assert_eq!(
            schema_differences(&old, &new),
            ["Done.exit: i32 -> u8", "- Done.host: string", "+ Done.ms: optional u64"]
        );
        let moved = of(&[("host", Format::String), ("exit", Format::I32)]);
        assert_eq!(schema_differences(&old, &moved), ["Done: the order of fields: exit, host -> host, exit"]);
        assert!(schema_differences(&old, &old).is_empty());
    }
}
