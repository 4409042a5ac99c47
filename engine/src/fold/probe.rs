//! Made-up payloads of a schema: for each variant one with as little as possible in it, and one with something in every
//! place. A type that does not give them back as it got them loses data with this codec.

use crate::fold::schema::{Content, Format, Schema, Shape};
use taffrail_log_format::wire::Writer;

/// How far down values are made up.
const MAX_DEPTH: u32 = 24;
/// Most values in one payload.
const MAX_VALUES: u32 = 10_000;

/// Names and bytes of made-up payloads.
pub(crate) fn probes(schema: &Schema) -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    for full in [false, true] {
        let kind = if full { "with every option" } else { "without options" };
        let mut add = |name: &str, write: &dyn Fn(&mut Maker<'_>) -> Option<()>| {
            let mut maker = Maker { schema, full, left: MAX_VALUES, writer: Writer::new() };
            if write(&mut maker).is_some() {
                made.push((format!("{name} {kind}"), maker.writer.into_bytes()));
            }
        };
        match schema.root() {
            Format::Named(name) => match schema.shape(name) {
                Some(Shape::Enum(variants)) => {
                    for variant in variants {
                        add(&format!("{name}::{}", variant.name), &|maker| {
                            maker.writer.unsigned(u64::from(variant.index));
                            maker.content(&variant.content, 0)
                        });
                    }
                }
                _ => add(name, &|maker| maker.format(schema.root(), 0)),
            },
            _ => add("the value", &|maker| maker.format(schema.root(), 0)),
        }
    }
    made
}

struct Maker<'s> {
    schema: &'s Schema,
    full: bool,
    left: u32,
    writer: Writer,
}

impl Maker<'_> {
    /// Writes a value; `None` where the type has no end.
    fn format(&mut self, format: &Format, depth: u32) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let deeper = (depth < MAX_DEPTH).then_some(depth + 1)?;
        // Far down nothing optional is written any more, so that recursive types come to an end.
        let full = self.full && depth < MAX_DEPTH / 2;
        match format {
            Format::Unit => {}
            Format::Bool | Format::I8 | Format::U8 => {
                self.writer.byte(1);
            }
            Format::I16 | Format::I32 | Format::I64 | Format::I128 => {
                self.writer.signed(1);
            }
            Format::U16 | Format::U32 | Format::U64 | Format::U128 => {
                self.writer.unsigned(1);
            }
            Format::F32 => {
                self.writer.array(&1.0_f32.to_le_bytes());
            }
            Format::F64 => {
                self.writer.array(&1.0_f64.to_le_bytes());
            }
            Format::Char => {
                self.writer.byte(b'a');
            }
            Format::String | Format::Bytes => {
                self.writer.string(if full { "a" } else { "" });
            }
            Format::Option(inner) => {
                self.writer.byte(u8::from(full));
                if full {
                    self.format(inner, deeper)?;
                }
            }
            Format::Seq(item) => {
                self.writer.unsigned(u64::from(full));
                if full {
                    self.format(item, deeper)?;
                }
            }
            Format::Map(pair) => {
                self.writer.unsigned(u64::from(full));
                if full {
                    self.format(&pair.0, deeper)?;
                    self.format(&pair.1, deeper)?;
                }
            }
            Format::Tuple(items) => self.all(items.iter(), deeper)?,
            Format::Array(item, count) => self.all((0..*count).map(|_| &**item), deeper)?,
            Format::Named(name) => match self.schema.shape(name)? {
                Shape::Struct(content) => self.content(content, deeper)?,
                Shape::Enum(variants) => {
                    let variant = if full { variants.last()? } else { variants.first()? };
                    self.writer.unsigned(u64::from(variant.index));
                    self.content(&variant.content, deeper)?;
                }
            },
        }
        Some(())
    }

    fn all<'f>(&mut self, mut formats: impl Iterator<Item = &'f Format>, depth: u32) -> Option<()> {
        formats.try_for_each(|format| self.format(format, depth))
    }

    fn content(&mut self, content: &Content, depth: u32) -> Option<()> {
        self.all(crate::fold::schema::formats(content).into_iter(), depth)
    }
}
