//! The keys of maps as JSON writes them: texts as they are, numbers and truth values as text.

use serde::ser::{Impossible, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// Makes a buffer hold a key. Keys are texts nearly always, and then this allocates nothing but the buffer's room.
///
/// # Errors
/// A key that JSON has no form for.
pub(super) fn write_key<T: Serialize + ?Sized>(buffer: &mut String, key: &T) -> Result<(), fmt::Error> {
    buffer.clear();
    if key.serialize(Key(buffer)).is_ok() {
        return Ok(());
    }
    match serde_json::to_value(key).map_err(|_| fmt::Error)? {
        Value::String(text) => *buffer = text,
        other => *buffer = other.to_string(),
    }
    Ok(())
}

/// Takes a text, and nothing else.
struct Key<'b>(&'b mut String);

type Nothing = Impossible<(), fmt::Error>;

macro_rules! no_text {
    ($($method:ident($($type:ty),*) -> $made:ty,)+) => {
        $(fn $method(self, $(_: $type),*) -> Result<$made, fmt::Error> { Err(fmt::Error) })+
    };
}

impl Serializer for Key<'_> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Nothing;
    type SerializeTuple = Nothing;
    type SerializeTupleStruct = Nothing;
    type SerializeTupleVariant = Nothing;
    type SerializeMap = Nothing;
    type SerializeStruct = Nothing;
    type SerializeStructVariant = Nothing;

    fn serialize_str(self, key: &str) -> Result<(), fmt::Error> {
        self.0.push_str(key);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    no_text! {
        serialize_bool(bool) -> (), serialize_i8(i8) -> (), serialize_i16(i16) -> (), serialize_i32(i32) -> (),
        serialize_i64(i64) -> (), serialize_u8(u8) -> (), serialize_u16(u16) -> (), serialize_u32(u32) -> (),
        serialize_u64(u64) -> (), serialize_f32(f32) -> (), serialize_f64(f64) -> (), serialize_char(char) -> (),
        serialize_bytes(&[u8]) -> (), serialize_none() -> (), serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (), serialize_unit_variant(&'static str, u32, &'static str) -> (),
        serialize_seq(Option<usize>) -> Nothing, serialize_tuple(usize) -> Nothing,
        serialize_tuple_struct(&'static str, usize) -> Nothing,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Nothing,
        serialize_map(Option<usize>) -> Nothing, serialize_struct(&'static str, usize) -> Nothing,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Nothing,
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }
}
