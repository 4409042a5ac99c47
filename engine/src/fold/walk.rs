//! Going through the parts of a value as its JSON has them, for what looks at some of them: nothing is made of the rest.
//!
//! serde's data model has some thirty forms, and JSON five. Here the ones become the others, once for all that look:
//! [`crate::fold::select`] at one place, [`crate::fold::watch`] at many.

use crate::fold::key_text::write_key;
use serde::ser::{self, Serialize, Serializer};
use std::fmt;

pub(super) type Looked<T> = Result<T, fmt::Error>;

/// Looks at one value.
pub(super) trait Look: Sized {
    /// What it comes to.
    type Found;
    /// Looks at the parts of a list or an object.
    type Parts: Parts<Found = Self::Found>;
    /// Looks at the parts of a variant that has several.
    type Variant: Parts<Found = Self::Found>;

    /// The value has no parts.
    fn plain(self) -> Looked<Self::Found>;

    /// The value is a list or an object.
    fn parts(self) -> Self::Parts;

    /// The value is a variant with several parts: in JSON, an object of one key, with a list or an object.
    fn variant(self, name: &str, is_list: bool) -> Self::Variant;
}

/// Looks at the parts of a value, one after the other.
pub(super) trait Parts {
    /// What they come to.
    type Found;

    /// The next one of a list.
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()>;

    /// One of an object.
    fn keyed<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Looked<()>;

    /// There are no more.
    fn finish(self) -> Looked<Self::Found>;
}

/// Goes through a value.
///
/// # Errors
/// Where the value can not be written at all, and what those that look say.
pub(super) fn walk<L: Look, T: Serialize + ?Sized>(look: L, value: &T) -> Looked<L::Found> {
    value.serialize(Walk(look))
}

struct Walk<L>(L);

/// On the way through the parts.
struct Walking<P> {
    parts: P,
    /// The key of a map whose value is next.
    key: String,
}

impl<P: Parts> Walking<P> {
    fn through(parts: P) -> Looked<Walking<P>> {
        Ok(Walking { parts, key: String::new() })
    }
}

macro_rules! plain {
    ($($method:ident($($type:ty),*),)+) => {
        $(fn $method(self, $(_: $type),*) -> Looked<L::Found> { self.0.plain() })+
    };
}

macro_rules! through {
    ($($method:ident($($type:ty),*) -> $form:ident,)+) => {
        $(fn $method(self, $(_: $type),*) -> Looked<Self::$form> { Walking::through(self.0.parts()) })+
    };
}

impl<L: Look> Serializer for Walk<L> {
    type Ok = L::Found;
    type Error = fmt::Error;
    type SerializeSeq = Walking<L::Parts>;
    type SerializeTuple = Walking<L::Parts>;
    type SerializeTupleStruct = Walking<L::Parts>;
    type SerializeTupleVariant = Walking<L::Variant>;
    type SerializeMap = Walking<L::Parts>;
    type SerializeStruct = Walking<L::Parts>;
    type SerializeStructVariant = Walking<L::Variant>;

    plain! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_f32(f32), serialize_f64(f64), serialize_char(char), serialize_str(&str),
        serialize_none(), serialize_unit(), serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    through! {
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct(&'static str, usize) -> SerializeStruct,
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Looked<L::Found> {
        let mut parts = self.0.parts();
        bytes.iter().try_for_each(|byte| parts.item(byte))?;
        parts.finish()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Looked<L::Found> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Looked<L::Found> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Looked<L::Found> {
        let mut parts = self.0.parts();
        parts.keyed(variant, value)?;
        parts.finish()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Looked<Walking<L::Variant>> {
        Walking::through(self.0.variant(variant, true))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Looked<Walking<L::Variant>> {
        Walking::through(self.0.variant(variant, false))
    }

    fn is_human_readable(&self) -> bool {
        // The places are those of the state's JSON.
        true
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident,)+) => {
        $(impl<P: Parts> ser::$trait for Walking<P> {
            type Ok = P::Found;
            type Error = fmt::Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
                self.parts.item(value)
            }
            fn end(self) -> Looked<P::Found> {
                self.parts.finish()
            }
        })+
    };
}

items! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! fields {
    ($($trait:ident,)+) => {
        $(impl<P: Parts> ser::$trait for Walking<P> {
            type Ok = P::Found;
            type Error = fmt::Error;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Looked<()> {
                self.parts.keyed(key, value)
            }
            fn end(self) -> Looked<P::Found> {
                self.parts.finish()
            }
        })+
    };
}

fields! { SerializeStruct, SerializeStructVariant, }

impl<P: Parts> ser::SerializeMap for Walking<P> {
    type Ok = P::Found;
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Looked<()> {
        write_key(&mut self.key, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked<()> {
        self.parts.keyed(&self.key, value)
    }

    fn end(self) -> Looked<P::Found> {
        self.parts.finish()
    }
}
