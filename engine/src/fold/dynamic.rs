//! Payloads as JSON through their schema alone: how the stock binary shows the events of programs it does not know.

use crate::error::{Error, Result};
use crate::fold::budget::{Budget, MAX_EMPTY_ELEMENTS};
use crate::fold::schema::{Content, Format, Schema, Shape};
use crate::{ErrorKind, TypeTable};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

impl Schema {
    /// A payload as JSON, in the form that `serde_json` gives the value itself: variants as `"Name"` or `{"Name": ...}`.
    /// Byte strings become hexadecimal text, integers beyond 64 bits and floats that JSON has no number for become text,
    /// keys of maps that are no text become their JSON.
    ///
    /// # Errors
    /// `Incompatible` (T0501): the bytes are no such value. Hostile bytes are met with bounds on depth and size.
    pub fn decode(&self, payload: &[u8]) -> Result<Value> {
        let budget = Budget::for_bytes(payload.len());
        let left_values = payload.len() as u64 * 8 + MAX_EMPTY_ELEMENTS;
        let mut decoder = Decoder { schema: self, rest: payload, budget: &budget, left_values };
        let decoded = decoder.value(self.root());
        let left = decoder.rest.len();
        let refused = |why: String| {
            let at = payload.len() - left;
            let message = format!("the payload does not fit its schema: {why}, at byte {at} of {}", payload.len());
            Error::new(ErrorKind::Incompatible, "T0501", message)
        };
        match decoded {
            Ok(value) if left == 0 => Ok(value),
            Ok(_) => Err(refused(format!("{left} bytes are left over"))),
            Err(why) => Err(refused(why)),
        }
    }
}

/// The schemas of a log's types, by fingerprint.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    known: BTreeMap<[u8; 32], Schema>,
}

impl Schemas {
    /// Those of a type table; rows without a readable description are passed over.
    #[must_use]
    pub fn of(types: &TypeTable) -> Schemas {
        let described = types.rows().filter(|(_, entry)| !entry.descriptor.is_empty());
        let known = described.filter_map(|(_, entry)| {
            let fingerprint = entry.fingerprint?;
            // A description that is not what its fingerprint says would show payloads as something else.
            let is_true = *blake3::hash(&entry.descriptor).as_bytes() == fingerprint;
            is_true.then(|| Schema::from_text(&entry.descriptor).ok()).flatten().map(|schema| (fingerprint, schema))
        });
        Schemas { known: known.collect() }
    }

    /// The schema of a fingerprint.
    #[must_use]
    pub fn get(&self, fingerprint: &[u8; 32]) -> Option<&Schema> {
        self.known.get(fingerprint)
    }
}

struct Decoder<'a> {
    schema: &'a Schema,
    rest: &'a [u8],
    budget: &'a Budget,
    /// How many values may still be shown: a schema can name types so that few bytes become very many.
    left_values: u64,
}

type Decoded<T> = std::result::Result<T, String>;

impl<'a> Decoder<'a> {
    fn take(&mut self, count: usize) -> Decoded<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(format!("{count} bytes are due and {} are left", self.rest.len()));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// An integer of at most so many bytes.
    fn unsigned(&mut self, most_len_bytes: u32) -> Decoded<u128> {
        let marker = self.array::<1>()?[0];
        let (value, len_bytes) = match marker {
            251 => (u128::from(u16::from_le_bytes(self.array()?)), 2),
            252 => (u128::from(u32::from_le_bytes(self.array()?)), 4),
            253 => (u128::from(u64::from_le_bytes(self.array()?)), 8),
            254 => (u128::from_le_bytes(self.array()?), 16),
            255 => return Err("no integer begins with 255".to_owned()),
            small => (u128::from(small), 1),
        };
        if len_bytes > most_len_bytes {
            return Err(format!("an integer of {len_bytes} bytes where {most_len_bytes} are the most"));
        }
        Ok(value)
    }

    fn signed(&mut self, most_len_bytes: u32) -> Decoded<i128> {
        let mapped = self.unsigned(most_len_bytes)?;
        Ok((mapped >> 1).cast_signed() ^ -((mapped & 1).cast_signed()))
    }

    fn bytes(&mut self) -> Decoded<&'a [u8]> {
        let len = usize::try_from(self.unsigned(8)?).map_err(|_| "a length beyond the address space".to_owned())?;
        self.take(len)
    }

    fn value(&mut self, format: &Format) -> Decoded<Value> {
        let left = self.left_values.checked_sub(1);
        self.left_values = left.ok_or_else(|| "it has too many values to be shown".to_owned())?;
        Ok(match format {
            Format::Unit => Value::Null,
            Format::Bool => match self.array::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(format!("{other} where 0 or 1 is due")),
            },
            Format::I8 => i8::from_le_bytes(self.array()?).into(),
            Format::U8 => self.array::<1>()?[0].into(),
            Format::I16 => number(self.signed(2)?),
            Format::I32 => number(self.signed(4)?),
            Format::I64 => number(self.signed(8)?),
            Format::I128 => number(self.signed(16)?),
            Format::U16 => unsigned_number(self.unsigned(2)?),
            Format::U32 => unsigned_number(self.unsigned(4)?),
            Format::U64 => unsigned_number(self.unsigned(8)?),
            Format::U128 => unsigned_number(self.unsigned(16)?),
            Format::F32 => float(f64::from(f32::from_le_bytes(self.array()?))),
            Format::F64 => float(f64::from_le_bytes(self.array()?)),
            Format::Char => self.character()?.to_string().into(),
            Format::String => text(self.bytes()?)?.into(),
            Format::Bytes => crate::fold::state::hex(self.bytes()?).into(),
            _ => self.compound(format)?,
        })
    }

    fn compound(&mut self, format: &Format) -> Decoded<Value> {
        self.budget.enter()?;
        let value = match format {
            Format::Option(inner) => match self.array::<1>()? {
                [0] => Value::Null,
                [1] => self.value(inner)?,
                [other] => return Err(format!("{other} where 0 or 1 is due")),
            },
            Format::Seq(item) => {
                let count = self.unsigned(8)?;
                self.items(item, count)?
            }
            Format::Array(item, count) => self.items(item, u128::from(*count))?,
            Format::Tuple(items) => self.all(items)?,
            Format::Map(pair) => {
                let mut map = Map::new();
                for _ in 0..self.unsigned(8)? {
                    self.budget.take_element()?;
                    let key = match self.value(&pair.0)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    map.insert(key, self.value(&pair.1)?);
                }
                Value::Object(map)
            }
            Format::Named(name) => self.named(name)?,
            _ => return Err("a plain value where a compound one is due".to_owned()),
        };
        self.budget.leave();
        Ok(value)
    }

    fn items(&mut self, item: &Format, count: u128) -> Decoded<Value> {
        let mut items = Vec::new();
        for _ in 0..count {
            self.budget.take_element()?;
            items.push(self.value(item)?);
        }
        Ok(Value::Array(items))
    }

    fn all(&mut self, formats: &[Format]) -> Decoded<Value> {
        formats.iter().map(|format| self.value(format)).collect::<Decoded<Vec<Value>>>().map(Value::Array)
    }

    fn named(&mut self, name: &str) -> Decoded<Value> {
        let schema = self.schema;
        match schema.shape(name) {
            Some(Shape::Struct(content)) => self.content(content),
            Some(Shape::Enum(variants)) => {
                let index = self.unsigned(4)?;
                let Some(variant) = variants.iter().find(|variant| u128::from(variant.index) == index) else {
                    return Err(format!("{name} has no variant {index}"));
                };
                if variant.content == Content::Unit {
                    return Ok(variant.name.clone().into());
                }
                let inner = self.content(&variant.content)?;
                Ok(Value::Object(Map::from_iter([(variant.name.clone(), inner)])))
            }
            None => Err(format!("the schema does not describe {name:?}")),
        }
    }

    fn content(&mut self, content: &Content) -> Decoded<Value> {
        match content {
            Content::Unit => Ok(Value::Null),
            Content::Newtype(format) => self.value(format),
            Content::Tuple(formats) => self.all(formats),
            Content::Struct(fields) => {
                let fields = fields.iter().map(|field| Ok((field.name.clone(), self.value(&field.format)?)));
                fields.collect::<Decoded<Map<String, Value>>>().map(Value::Object)
            }
        }
    }

    fn character(&mut self) -> Decoded<char> {
        let first = self.rest.first().copied().unwrap_or(0);
        let len = match first {
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        text(self.take(len)?)?.chars().next().ok_or_else(|| "a character is due".to_owned())
    }
}

fn text(bytes: &[u8]) -> Decoded<&str> {
    std::str::from_utf8(bytes).map_err(|_| "text that is no UTF-8".to_owned())
}

fn number(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from)
}

fn unsigned_number(value: u128) -> Value {
    u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from)
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}
