//! The shape of a type's payloads: what is needed to read them without the program that wrote them.

use crate::error::{Error, Result};
use crate::{ErrorKind, TypeEntry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a value is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Nothing.
    Unit,
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    I8,
    /// A zigzag integer.
    I16,
    /// A zigzag integer.
    I32,
    /// A zigzag integer.
    I64,
    /// A zigzag integer.
    I128,
    /// One byte.
    U8,
    /// An integer.
    U16,
    /// An integer.
    U32,
    /// An integer.
    U64,
    /// An integer.
    U128,
    /// Four bytes.
    F32,
    /// Eight bytes.
    F64,
    /// A character in UTF-8.
    Char,
    /// A length and UTF-8.
    String,
    /// A length and bytes.
    Bytes,
    /// A type of its own name.
    Named(String),
    /// A byte 0, or a byte 1 and a value.
    Option(Box<Format>),
    /// A count and values.
    Seq(Box<Format>),
    /// A count, and keys and values in turn.
    Map(Box<(Format, Format)>),
    /// Values.
    Tuple(Vec<Format>),
    /// As many values as it says.
    Array(Box<Format>, u64),
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: Format,
}

/// What a type, or a variant of an enumeration, holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Nothing.
    Unit,
    /// One value without a name.
    Newtype(Format),
    /// Several values without names.
    Tuple(Vec<Format>),
    /// Named values.
    Struct(Vec<Field>),
}

/// A variant of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its number in the payload.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// A named type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A structure.
    Struct(Content),
    /// An enumeration: the variants, by index.
    Enum(Vec<Variant>),
}

/// The schema of a type: its own format, and the named types that it reaches.
///
/// Its canonical text is JSON without white space, with the types by name: equal schemas have equal texts, and the
/// fingerprint is the text's BLAKE3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    schema: Version,
    root: Format,
    types: BTreeMap<String, Shape>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "taffrail.schema/1")]
    One,
}

impl Schema {
    /// A schema of these types, of which those that the root does not reach are left out.
    pub(crate) fn new(root: Format, types: &BTreeMap<String, Shape>) -> Schema {
        let mut reached = BTreeMap::new();
        let mut open = names_in(&root);
        while let Some(name) = open.pop() {
            if let Some(shape) = types.get(&name).filter(|_| !reached.contains_key(&name)) {
                for content in contents(shape) {
                    formats(content).into_iter().for_each(|format| open.extend(names_in(format)));
                }
                reached.insert(name, shape.clone());
            }
        }
        Schema { schema: Version::One, root, types: reached }
    }

    /// The format of the type itself.
    #[must_use]
    pub fn root(&self) -> &Format {
        &self.root
    }

    /// A named type.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.types.get(name)
    }

    /// All named types, by name.
    pub(crate) fn types(&self) -> &BTreeMap<String, Shape> {
        &self.types
    }

    /// The canonical text.
    ///
    /// # Errors
    /// `Invalid` (T0505) where it is longer than a type table takes.
    pub fn to_text(&self) -> Result<String> {
        let text = serde_json::to_string(self).map_err(|error| invalid(&error.to_string()))?;
        if text.len() > TypeEntry::MAX_DESCRIPTOR_LEN_BYTES {
            let most = TypeEntry::MAX_DESCRIPTOR_LEN_BYTES;
            return Err(invalid(&format!("its description takes {} bytes; {most} are the most", text.len())));
        }
        Ok(text)
    }

    /// Reads a description from a type table.
    ///
    /// # Errors
    /// `Incompatible` (T0505): no such description, or one that names types that it does not describe.
    pub fn from_text(text: &[u8]) -> Result<Schema> {
        let unreadable = |why: &str| {
            Error::new(ErrorKind::Incompatible, "T0505", format!("the schema's description is unreadable: {why}"))
        };
        let schema: Schema = serde_json::from_slice(text).map_err(|error| unreadable(&error.to_string()))?;
        let mut named = names_in(&schema.root);
        for content in schema.types.values().flat_map(contents) {
            formats(content).into_iter().for_each(|format| named.extend(names_in(format)));
        }
        match named.iter().find(|name| !schema.types.contains_key(*name)) {
            Some(name) => Err(unreadable(&format!("it does not describe {name:?}"))),
            None => Ok(schema),
        }
    }

    /// BLAKE3 of the canonical text.
    ///
    /// # Errors
    /// As [`Schema::to_text`].
    pub fn fingerprint(&self) -> Result<[u8; 32]> {
        Ok(*blake3::hash(self.to_text()?.as_bytes()).as_bytes())
    }

    /// Whether values can be so deep, or have so many elements without bytes, that decoding refuses them: then what is
    /// written has to be read back first.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.format_is_unbounded(&self.root, 0)
    }

    fn format_is_unbounded(&self, format: &Format, depth: u32) -> bool {
        if depth > crate::fold::budget::MAX_DEPTH / 2 {
            return true;
        }
        let below = |format: &Format| self.format_is_unbounded(format, depth + 1);
        match format {
            Format::Seq(item) => !self.takes_bytes(item, 0) || below(item),
            Format::Map(pair) => {
                !(self.takes_bytes(&pair.0, 0) || self.takes_bytes(&pair.1, 0)) || below(&pair.0) || below(&pair.1)
            }
            Format::Option(inner) | Format::Array(inner, _) => below(inner),
            Format::Tuple(items) => items.iter().any(below),
            Format::Named(name) => self
                .types
                .get(name)
                .is_none_or(|shape| contents(shape).into_iter().any(|content| formats(content).into_iter().any(below))),
            _ => false,
        }
    }

    /// Whether every value of a format takes at least one byte.
    fn takes_bytes(&self, format: &Format, depth: u32) -> bool {
        let takes = |format: &Format| depth < 32 && self.takes_bytes(format, depth + 1);
        match format {
            Format::Unit => false,
            Format::Tuple(items) => items.iter().any(takes),
            Format::Array(item, count) => *count > 0 && takes(item),
            Format::Named(name) => match self.types.get(name) {
                Some(Shape::Struct(content)) => formats(content).into_iter().any(takes),
                Some(Shape::Enum(_)) => true,
                None => false,
            },
            _ => true,
        }
    }
}

/// The formats directly in a content.
pub(crate) fn formats(content: &Content) -> Vec<&Format> {
    match content {
        Content::Unit => Vec::new(),
        Content::Newtype(format) => vec![format],
        Content::Tuple(formats) => formats.iter().collect(),
        Content::Struct(fields) => fields.iter().map(|field| &field.format).collect(),
    }
}

/// The contents of a shape: one, or one for each variant.
pub(crate) fn contents(shape: &Shape) -> Vec<&Content> {
    match shape {
        Shape::Struct(content) => vec![content],
        Shape::Enum(variants) => variants.iter().map(|variant| &variant.content).collect(),
    }
}

fn names_in(format: &Format) -> Vec<String> {
    match format {
        Format::Named(name) => vec![name.clone()],
        Format::Option(inner) | Format::Seq(inner) | Format::Array(inner, _) => names_in(inner),
        Format::Map(pair) => [names_in(&pair.0), names_in(&pair.1)].concat(),
        Format::Tuple(items) => items.iter().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "T0505", format!("the type can not be registered: {why}"))
}
