//! Finding out a type's schema by watching it being decoded, and proving that its values survive the codec.

use crate::error::Result;
use crate::fold::codec;
use crate::fold::event::Event;
use crate::fold::probe::probes;
use crate::fold::schema::{Content, Field, Format, Schema, Shape, Variant, invalid};
use serde_reflection::{ContainerFormat, Format as Traced, Named, Samples, Tracer, TracerConfig, VariantFormat};
use std::collections::BTreeMap;

/// The schema of an event type, proven on its samples and on made-up values of every variant.
///
/// # Errors
/// `Invalid` (T0505) with what serde, the tracer or the codec could not do.
pub(crate) fn schema_of<E: Event>() -> Result<Schema> {
    let own_samples = E::samples();
    let schema = trace::<E>(&own_samples).map_err(|error| explained::<E>(&error))?;
    for (number, sample) in own_samples.iter().enumerate() {
        let bytes = codec::encode(sample).map_err(|error| invalid(&format!("sample {number}: {error}")))?;
        let what = format!("{} sample {number}", E::TYPE);
        let back: E = codec::decode_event(&bytes).map_err(|why| no_round_trip(&what, &why))?;
        check_again(&what, &bytes, &back)?;
    }
    for (what, bytes) in probes(&schema) {
        // A type may refuse values that were made up for it; what it takes, it has to give back.
        if let Ok(value) = codec::decode_event::<E>(&bytes) {
            check_again(&what, &bytes, &value)?;
        }
    }
    Ok(schema)
}

fn check_again<E: Event>(what: &str, bytes: &[u8], value: &E) -> Result<()> {
    let again = codec::encode(value)?;
    if again == bytes {
        return Ok(());
    }
    Err(no_round_trip(what, &format!("{} bytes were read and {} written again", bytes.len(), again.len())))
}

fn no_round_trip(what: &str, why: &str) -> crate::Error {
    invalid(&format!("{what} does not survive encoding and decoding: {why}")).hint(
        "skip_serializing_if, skip, flatten, untagged and tag do not work with bincode; write fields out, use Option",
    )
}

fn trace<E: Event>(own_samples: &[E]) -> std::result::Result<Schema, serde_reflection::Error> {
    let mut tracer = Tracer::new(TracerConfig::default());
    let mut samples = Samples::new();
    for sample in own_samples {
        tracer.trace_value(&mut samples, sample)?;
    }
    let (root, _values) = tracer.trace_type::<E>(&samples)?;
    let registry = tracer.registry()?;
    let types = registry.iter().map(|(name, shape)| Ok((name.clone(), shape_of(shape)?)));
    Ok(Schema::new(format_of(&root)?, &types.collect::<std::result::Result<BTreeMap<_, _>, _>>()?))
}

fn explained<E: Event>(error: &serde_reflection::Error) -> crate::Error {
    let message = format!("the schema of {} can not be traced: {error}", E::TYPE);
    let hint = match error {
        serde_reflection::Error::NotSupported(_) => {
            "flatten, untagged and tag need a self-describing format: write the fields out"
        }
        serde_reflection::Error::Incompatible(..) => "two nested types may share a name: rename one with serde(rename)",
        _ => "give values that cover every variant of every nested enumeration in Event::samples",
    };
    invalid(&message).hint(hint)
}

type Made<T> = std::result::Result<T, serde_reflection::Error>;

fn format_of(format: &Traced) -> Made<Format> {
    let boxed = |format: &Traced| format_of(format).map(Box::new);
    Ok(match format {
        Traced::Variable(_) => return Err(serde_reflection::Error::UnknownFormat),
        Traced::TypeName(name) => Format::Named(name.clone()),
        Traced::Unit => Format::Unit,
        Traced::Bool => Format::Bool,
        Traced::I8 => Format::I8,
        Traced::I16 => Format::I16,
        Traced::I32 => Format::I32,
        Traced::I64 => Format::I64,
        Traced::I128 => Format::I128,
        Traced::U8 => Format::U8,
        Traced::U16 => Format::U16,
        Traced::U32 => Format::U32,
        Traced::U64 => Format::U64,
        Traced::U128 => Format::U128,
        Traced::F32 => Format::F32,
        Traced::F64 => Format::F64,
        Traced::Char => Format::Char,
        Traced::Str => Format::String,
        Traced::Bytes => Format::Bytes,
        Traced::Option(inner) => Format::Option(boxed(inner)?),
        Traced::Seq(inner) => Format::Seq(boxed(inner)?),
        Traced::Map { key, value } => Format::Map(Box::new((format_of(key)?, format_of(value)?))),
        Traced::Tuple(items) => Format::Tuple(items.iter().map(format_of).collect::<Made<_>>()?),
        Traced::TupleArray { content, size } => Format::Array(boxed(content)?, *size as u64),
    })
}

fn fields_of(fields: &[Named<Traced>]) -> Made<Content> {
    let field = |field: &Named<Traced>| Ok(Field { name: field.name.clone(), format: format_of(&field.value)? });
    fields.iter().map(field).collect::<Made<_>>().map(Content::Struct)
}

fn shape_of(container: &ContainerFormat) -> Made<Shape> {
    Ok(match container {
        ContainerFormat::UnitStruct => Shape::Struct(Content::Unit),
        ContainerFormat::NewTypeStruct(inner) => Shape::Struct(Content::Newtype(format_of(inner)?)),
        ContainerFormat::TupleStruct(items) => {
            Shape::Struct(Content::Tuple(items.iter().map(format_of).collect::<Made<_>>()?))
        }
        ContainerFormat::Struct(fields) => Shape::Struct(fields_of(fields)?),
        ContainerFormat::Enum(variants) => {
            let variant = |(index, variant): (&u32, &Named<VariantFormat>)| {
                Ok(Variant { index: *index, name: variant.name.clone(), content: variant_of(&variant.value)? })
            };
            Shape::Enum(variants.iter().map(variant).collect::<Made<_>>()?)
        }
    })
}

fn variant_of(variant: &VariantFormat) -> Made<Content> {
    Ok(match variant {
        VariantFormat::Variable(_) => return Err(serde_reflection::Error::UnknownFormat),
        VariantFormat::Unit => Content::Unit,
        VariantFormat::NewType(inner) => Content::Newtype(format_of(inner)?),
        VariantFormat::Tuple(items) => Content::Tuple(items.iter().map(format_of).collect::<Made<_>>()?),
        VariantFormat::Struct(fields) => fields_of(fields)?,
    })
}
