//! Reads values from the bytes that bincode writes: any type that serde can read.
//!
//! One layer, made for what it is asked millions of times: small events from a slice. What the bytes say is never believed:
//! texts are borrowed from what is there, nothing is allocated for by a length that was read, and a [`Budget`] bounds nesting
//! and elements that take no bytes.

use crate::fold::budget::Budget;
use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::fmt;

/// Why bytes are no such value. Boxed, since it is handed up through every level, nearly always not there.
#[derive(Debug)]
pub(super) struct Flaw(Box<Why>);

#[derive(Debug)]
enum Why {
    /// So many bytes more are needed.
    Short(usize),
    Other(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Why::Short(additional) => write!(formatter, "the bytes end where {additional} more are needed"),
            Why::Other(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for Flaw {}

impl serde::de::Error for Flaw {
    #[cold]
    fn custom<T: fmt::Display>(why: T) -> Flaw {
        Flaw(Box::new(Why::Other(why.to_string())))
    }
}

type Read<T> = Result<T, Flaw>;

/// The bytes that are left, and what may still be made of them.
#[derive(Debug)]
pub(super) struct Decoder<'de> {
    rest: &'de [u8],
    budget: Budget,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Decoder<'de> {
        Decoder { rest: bytes, budget: Budget::for_bytes(bytes.len()) }
    }

    /// How many bytes have not been read.
    pub(super) fn left_len_bytes(&self) -> usize {
        self.rest.len()
    }

    #[cold]
    fn short(&self, wanted: usize) -> Flaw {
        Flaw(Box::new(Why::Short(wanted.saturating_sub(self.rest.len()))))
    }

    #[inline]
    fn take(&mut self, count: usize) -> Read<&'de [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else { return Err(self.short(count)) };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else { return Err(self.short(N)) };
        self.rest = rest;
        Ok(*taken)
    }

    /// An integer of its type's length at most.
    #[inline]
    fn unsigned<T: From<u8> + TryFrom<u128>>(&mut self) -> Read<T> {
        match self.rest.split_first() {
            Some((small, rest)) if *small <= 250 => {
                self.rest = rest;
                Ok(T::from(*small))
            }
            _ => self.long_unsigned(),
        }
    }

    fn long_unsigned<T: TryFrom<u128>>(&mut self) -> Read<T> {
        let (value, len_bytes) = match self.array::<1>()? {
            [251] => (u128::from(u16::from_le_bytes(self.array()?)), 2),
            [252] => (u128::from(u32::from_le_bytes(self.array()?)), 4),
            [253] => (u128::from(u64::from_le_bytes(self.array()?)), 8),
            [254] => (u128::from_le_bytes(self.array()?), 16),
            [255] => return Err(Flaw::custom("no integer begins with 255")),
            [small] => (u128::from(small), 1),
        };
        let most = size_of::<T>();
        let too_long = || Flaw::custom(format_args!("an integer of {len_bytes} bytes where {most} are the most"));
        T::try_from(value).ok().filter(|_| len_bytes <= most).ok_or_else(too_long)
    }

    #[inline]
    fn len(&mut self) -> Read<usize> {
        let len = self.unsigned::<u64>()?;
        usize::try_from(len).map_err(|_| Flaw::custom("a length beyond the address space"))
    }

    #[inline]
    fn text(&mut self) -> Read<&'de str> {
        let len = self.len()?;
        std::str::from_utf8(self.take(len)?).map_err(Flaw::custom)
    }

    fn character(&mut self) -> Read<char> {
        let len = match self.rest.first() {
            None | Some(0..=0x7F) => 1,
            Some(0xC2..=0xDF) => 2,
            Some(0xE0..=0xEF) => 3,
            Some(0xF0..=0xF4) => 4,
            Some(other) => return Err(Flaw::custom(format_args!("no character begins with {other}"))),
        };
        let text = std::str::from_utf8(self.take(len)?).map_err(Flaw::custom)?;
        text.chars().next().ok_or_else(|| Flaw::custom("no character"))
    }

    /// What has an inside is read one level down.
    #[inline]
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.budget.enter().map_err(Flaw::custom)?;
        let value = read(self);
        self.budget.leave();
        value
    }

    #[inline]
    fn fields<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Parts::<false> { decoder: self, left: len })
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident |$decoder:ident| $read:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            let $decoder = &mut *self;
            visitor.$visit($read)
        }
    )*};
}

/// Integers with a sign are written as their distance from zero, twice, and one less for those below it.
macro_rules! signed {
    ($decoder:ident, $unsigned:ty) => {{
        let mapped = $decoder.unsigned::<$unsigned>()?;
        (mapped >> 1).cast_signed() ^ -((mapped & 1).cast_signed())
    }};
}

macro_rules! untold {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
            Err(Flaw::custom("the bytes do not tell what they are of"))
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Flaw;

    numbers! {
        deserialize_i8 visit_i8 |decoder| i8::from_le_bytes(decoder.array()?);
        deserialize_i16 visit_i16 |decoder| signed!(decoder, u16);
        deserialize_i32 visit_i32 |decoder| signed!(decoder, u32);
        deserialize_i64 visit_i64 |decoder| signed!(decoder, u64);
        deserialize_i128 visit_i128 |decoder| signed!(decoder, u128);
        deserialize_u8 visit_u8 |decoder| u8::from_le_bytes(decoder.array()?);
        deserialize_u16 visit_u16 |decoder| decoder.unsigned()?;
        deserialize_u32 visit_u32 |decoder| decoder.unsigned()?;
        deserialize_u64 visit_u64 |decoder| decoder.unsigned()?;
        deserialize_u128 visit_u128 |decoder| decoder.unsigned()?;
        deserialize_f32 visit_f32 |decoder| f32::from_le_bytes(decoder.array()?);
        deserialize_f64 visit_f64 |decoder| f64::from_le_bytes(decoder.array()?);
        deserialize_char visit_char |decoder| decoder.character()?;
        deserialize_str visit_borrowed_str |decoder| decoder.text()?;
        deserialize_string visit_string |decoder| decoder.text()?.to_owned();
    }

    untold! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.array()? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            [other] => Err(Flaw::custom(format_args!("{other} where 0 or 1 is due"))),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let len = self.len()?;
        visitor.visit_borrowed_bytes(self.take(len)?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let len = self.len()?;
        visitor.visit_byte_buf(self.take(len)?.to_vec())
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.array()? {
            [0] => visitor.visit_none(),
            [1] => self.nested(|decoder| visitor.visit_some(decoder)),
            [other] => Err(Flaw::custom(format_args!("{other} where 0 or 1 is due"))),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.len()?;
        self.nested(|decoder| visitor.visit_seq(Parts::<true> { decoder, left }))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Read<V::Value> {
        self.nested(|decoder| decoder.fields(len, visitor))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Read<V::Value> {
        self.nested(|decoder| decoder.fields(len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.len()?;
        self.nested(|decoder| visitor.visit_map(Parts::<true> { decoder, left }))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.nested(|decoder| decoder.fields(fields.len(), visitor))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.nested(|decoder| visitor.visit_enum(decoder))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of a value, one after the other: elements that were counted in the bytes (`COUNTED`), or fields, which the type
/// counts.
struct Parts<'a, 'de, const COUNTED: bool> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl<'de, const COUNTED: bool> Parts<'_, 'de, COUNTED> {
    #[inline]
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<Option<S::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        if COUNTED {
            self.decoder.budget.take_element().map_err(Flaw::custom)?;
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    /// No more than there are bytes: the number was read from them, and memory may be asked for by it.
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.decoder.rest.len()))
    }
}

impl<'de, const COUNTED: bool> SeqAccess<'de> for Parts<'_, 'de, COUNTED> {
    type Error = Flaw;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<Option<S::Value>> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de, const COUNTED: bool> MapAccess<'de> for Parts<'_, 'de, COUNTED> {
    type Error = Flaw;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<S::Value> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> EnumAccess<'de> for &mut Decoder<'de> {
    type Error = Flaw;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<(S::Value, Self)> {
        let variant: U32Deserializer<Flaw> = self.unsigned::<u32>()?.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Decoder<'de> {
    type Error = Flaw;

    #[inline]
    fn unit_variant(self) -> Read<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<S::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Read<V::Value> {
        self.fields(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Read<V::Value> {
        self.fields(fields.len(), visitor)
    }
}
