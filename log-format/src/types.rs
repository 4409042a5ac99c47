use crate::kind::Kind;
use crate::wire::{Malformed, Reader, Writer};
use std::cmp::Ordering;

/// How the payloads of a type are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Bytes that only the application understands.
    Bytes,
    /// JSON text.
    Json,
    /// bincode 2, standard configuration; the descriptor tells the shape.
    Bincode,
    /// A codec of a later release: dumped as bytes.
    Other(u8),
}

impl Codec {
    /// The number in the type table.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Codec::Bytes => 0,
            Codec::Json => 1,
            Codec::Bincode => 2,
            Codec::Other(number) => number,
        }
    }

    /// The codec of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Codec {
        match number {
            0 => Codec::Bytes,
            1 => Codec::Json,
            2 => Codec::Bincode,
            other => Codec::Other(other),
        }
    }
}

/// One row of a type table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeEntry {
    /// The type's name: 1 to 64 of `[a-z0-9_.-]`.
    pub name: String,
    /// The variant within the type, where its events have variants: up to 64 of `[A-Za-z0-9_.-]`.
    pub variant: String,
    /// Version of the type.
    pub version: u16,
    /// Encoding of the payloads.
    pub codec: Codec,
    /// Whether events of this kind are hints.
    pub hint: bool,
    /// BLAKE3 of the schema, where the type has one.
    pub fingerprint: Option<[u8; 32]>,
    /// The schema's description. Empty in rows whose fingerprint an earlier row has described.
    pub descriptor: Vec<u8>,
}

impl TypeEntry {
    /// Longest name and longest variant.
    pub const MAX_NAME_LEN_BYTES: usize = 64;
    /// Longest descriptor.
    pub const MAX_DESCRIPTOR_LEN_BYTES: usize = 64 << 10;

    /// A type of JSON events without a schema: what `taffrail log append` writes.
    #[must_use]
    pub fn json(name: &str) -> TypeEntry {
        TypeEntry {
            name: name.to_owned(),
            variant: String::new(),
            version: 1,
            codec: Codec::Json,
            hint: false,
            fingerprint: None,
            descriptor: Vec::new(),
        }
    }

    /// What people call the kind: the name, and the variant behind a point.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.variant.is_empty() { self.name.clone() } else { format!("{}.{}", self.name, self.variant) }
    }

    /// Whether this is what `wanted` names: the full name, the type's name, or the variant.
    #[must_use]
    pub fn is_called(&self, wanted: &str) -> bool {
        wanted == self.name
            || (!self.variant.is_empty()
                && (wanted == self.variant
                    || wanted
                        .strip_prefix(self.name.as_str())
                        .and_then(|rest| rest.strip_prefix('.'))
                        .is_some_and(|rest| rest == self.variant)))
    }

    /// Whether name, variant and descriptor are within their limits.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_.-".contains(&c);
        let name = self.name.as_bytes();
        let variant = self.variant.as_bytes();
        (1..=Self::MAX_NAME_LEN_BYTES).contains(&name.len())
            && name.iter().copied().all(plain)
            && variant.len() <= Self::MAX_NAME_LEN_BYTES
            && variant.iter().all(|c| plain(*c) || c.is_ascii_uppercase())
            && self.descriptor.len() <= Self::MAX_DESCRIPTOR_LEN_BYTES
            && (self.descriptor.is_empty() || self.fingerprint.is_some())
    }

    /// The bytes that the row takes in a body, at most: its lengths, version, codec, hint and fingerprint take 47.
    fn len_bytes_at_most(&self) -> usize {
        self.name.len() + self.variant.len() + self.descriptor.len() + 48
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name).string(&self.variant).unsigned(u64::from(self.version));
        writer.byte(self.codec.number()).byte(u8::from(self.hint));
        writer.option(self.fingerprint, |w, fingerprint| {
            w.array(&fingerprint);
        });
        writer.bytes(&self.descriptor);
    }

    fn read(reader: &mut Reader<'_>) -> Result<TypeEntry, Malformed> {
        let entry = TypeEntry {
            name: reader.string()?.to_owned(),
            variant: reader.string()?.to_owned(),
            version: reader.small("a version of 16 bits")?,
            codec: Codec::from_number(reader.byte()?),
            hint: reader.flag()?,
            fingerprint: reader.option(Reader::array)?,
            descriptor: reader.bytes()?.to_vec(),
        };
        if entry.is_valid() { Ok(entry) } else { Err(reader.malformed("a valid type before here")) }
    }

    fn key(&self) -> (&str, &str, u16) {
        (&self.name, &self.variant, self.version)
    }
}

/// The body of a [`Kind::TYPE_REGISTERED`] event: a new row, and the kind it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRegistered {
    /// The kind that frames of this type will carry.
    pub kind: Kind,
    /// The row.
    pub entry: TypeEntry,
}

impl TypeRegistered {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.unsigned(u64::from(self.kind.get()));
        self.entry.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no such body.
    pub fn decode(bytes: &[u8]) -> Result<TypeRegistered, Malformed> {
        let mut reader = Reader::new(bytes);
        let number = reader.small("a kind of 16 bits")?;
        let kind = Kind::new(number).filter(|kind| !kind.is_reserved()).ok_or(reader.malformed("a user kind"))?;
        let entry = TypeEntry::read(&mut reader)?;
        reader.finish()?;
        Ok(TypeRegistered { kind, entry })
    }
}

/// The types of a log, in the order of their registration: row `i` is kind 16 + `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeTable {
    rows: Vec<TypeEntry>,
    /// Row numbers, ordered by (name, variant, version).
    order: Vec<u16>,
    /// Bytes that the rows take in a body, at most.
    rows_len_bytes: usize,
}

impl TypeTable {
    /// Most rows a table can have.
    pub const MAX_ROWS: usize = 4096;
    /// Most bytes that the rows of a table can take: a segment begins with the whole table in one frame, and ends with it
    /// in the footer, so a larger one could never be rotated.
    pub const MAX_LEN_BYTES: usize = 4 << 20;

    /// A table without rows.
    #[must_use]
    pub fn new() -> TypeTable {
        TypeTable::default()
    }

    /// The rows with their kinds.
    pub fn rows(&self) -> impl Iterator<Item = (Kind, &TypeEntry)> {
        self.rows.iter().enumerate().map(|(row, entry)| (Self::kind_of(row), entry))
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of a kind.
    #[must_use]
    pub fn get(&self, kind: Kind) -> Option<&TypeEntry> {
        let row = kind.get().checked_sub(Kind::FIRST_USER.get())?;
        self.rows.get(usize::from(row))
    }

    /// The kind of a type.
    #[must_use]
    pub fn find(&self, name: &str, variant: &str, version: u16) -> Option<Kind> {
        let position = self.search((name, variant, version)).ok()?;
        self.order.get(position).map(|row| Self::kind_of(usize::from(*row)))
    }

    /// The kind that the next registered type gets; `None` when the table is full.
    #[must_use]
    pub fn next_kind(&self) -> Option<Kind> {
        Self::kind_of_row(self.rows.len())
    }

    /// Adds a registered row.
    ///
    /// # Errors
    /// Hands the row back if its kind is not the next one, its type is there already, it is not valid, or the table would
    /// outgrow [`TypeTable::MAX_LEN_BYTES`].
    pub fn register(&mut self, registered: TypeRegistered) -> Result<(), TypeRegistered> {
        let position = self.search(registered.entry.key());
        let rows_len_bytes = self.rows_len_bytes + registered.entry.len_bytes_at_most();
        let fits = registered.entry.is_valid() && rows_len_bytes <= Self::MAX_LEN_BYTES;
        let (Err(position), true, true) = (position, self.next_kind() == Some(registered.kind), fits) else {
            return Err(registered);
        };
        self.rows_len_bytes = rows_len_bytes;
        self.order.insert(position, registered.kind.get() - Kind::FIRST_USER.get());
        self.rows.push(registered.entry);
        Ok(())
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are no type table.
    pub fn decode(bytes: &[u8]) -> Result<TypeTable, Malformed> {
        let mut reader = Reader::new(bytes);
        let table = TypeTable::read(&mut reader)?;
        reader.finish()?;
        Ok(table)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.unsigned(self.rows.len() as u64);
        self.rows.iter().for_each(|entry| entry.write(writer));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<TypeTable, Malformed> {
        let mut table = TypeTable::new();
        for _ in 0..reader.count(7)? {
            let kind = table.next_kind().ok_or(reader.malformed("at most 4096 types"))?;
            let entry = TypeEntry::read(reader)?;
            let added = table.register(TypeRegistered { kind, entry });
            added.map_err(|_| reader.malformed("each type once, and 4 MiB of them at most"))?;
        }
        Ok(table)
    }

    /// The kind that a row has or will have; `None` where no table reaches.
    #[must_use]
    pub fn kind_of_row(row: usize) -> Option<Kind> {
        (row < Self::MAX_ROWS).then(|| Self::kind_of(row))
    }

    fn kind_of(row: usize) -> Kind {
        let number = u16::try_from(row).unwrap_or(u16::MAX).saturating_add(Kind::FIRST_USER.get());
        Kind::new(number).unwrap_or(Kind::FIRST_USER)
    }

    fn search(&self, key: (&str, &str, u16)) -> Result<usize, usize> {
        self.order.binary_search_by(|row| match self.rows.get(usize::from(*row)) {
            Some(entry) => entry.key().cmp(&key),
            None => Ordering::Less,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, variant: &str) -> TypeEntry {
        TypeEntry { variant: variant.into(), ..TypeEntry::json(name) }
    }

    fn table(rows: &[TypeEntry]) -> TypeTable {
        let mut table = TypeTable::new();
        for entry in rows {
            let kind = table.next_kind().unwrap();
            table.register(TypeRegistered { kind, entry: entry.clone() }).unwrap();
        }
        table
    }

    #[test]
    fn kinds_are_given_in_order_and_found_by_name() {
        let table = table(&[row("z.z", ""), row("acme.job", "Queued"), row("acme.job", "Done")]);
        assert_eq!(table.find("acme.job", "Done", 1).map(Kind::get), Some(18));
        assert_eq!(table.find("acme.job", "Done", 2), None);
        assert_eq!(table.find("acme", "job.Done", 1), None);
        assert_eq!(table.get(Kind::new(17).unwrap()).unwrap().full_name(), "acme.job.Queued");
        assert_eq!(TypeTable::decode(&table.encode()), Ok(table));
    }

    #[test]
    fn a_type_answers_to_its_name_its_variant_and_both() {
        let entry = row("acme.job", "Queued");
        assert!(["acme.job", "Queued", "acme.job.Queued"].iter().all(|name| entry.is_called(name)));
        assert!(!["acme", "job", "acme.job.", "acme.job.Done", ""].iter().any(|name| entry.is_called(name)));
        assert!(!row("deploy.done", "").is_called(""));
    }

    #[test]
    #[cfg_attr(miri, ignore = "megabytes")]
    fn a_table_never_outgrows_a_frame() {
        // Bug: 4,096 rows with descriptors of 64 KiB took 256 MiB, sixteen times what a frame can hold: from then on no
        // segment could be begun or sealed, and the log was stuck.
        let mut table = TypeTable::new();
        let big = |name: String| TypeEntry {
            fingerprint: Some([1; 32]),
            descriptor: vec![7; TypeEntry::MAX_DESCRIPTOR_LEN_BYTES],
            ..TypeEntry::json(&name)
        };
        let mut rows = 0;
        while let Some(kind) = table.next_kind() {
            if table.register(TypeRegistered { kind, entry: big(format!("t{rows}")) }).is_err() {
                break;
            }
            rows += 1;
        }
        let body = table.encode();
        assert_eq!((rows, body.len() <= TypeTable::MAX_LEN_BYTES), (63, true));
        assert_eq!(TypeTable::decode(&body), Ok(table));
    }

    #[test]
    fn a_row_takes_no_more_than_is_reckoned_for_it() {
        let described = |entry, len| TypeEntry { fingerprint: Some([1; 32]), descriptor: vec![7; len], ..entry };
        for (name, variant) in [(1, 0), (64, 0), (1, 64), (64, 64)] {
            let (name, variant) = ("n".repeat(name), "V".repeat(variant));
            for entry in [row(&name, &variant), described(row(&name, &variant), TypeEntry::MAX_DESCRIPTOR_LEN_BYTES)] {
                let mut writer = Writer::new();
                entry.write(&mut writer);
                let (takes, reckoned) = (writer.into_bytes().len(), entry.len_bytes_at_most());
                assert!(takes <= reckoned && reckoned <= takes + 48, "{takes} bytes, and {reckoned} were reckoned");
            }
        }
    }

    #[test]
    fn a_table_counts_its_rows_and_ends_at_its_last_kind() {
        assert_eq!((TypeTable::new().len(), TypeTable::new().is_empty()), (0, true));
        let table = table(&[row("a", ""), row("b", ""), row("b", "C")]);
        assert_eq!((table.len(), table.is_empty(), table.rows().count()), (3, false, 3));
        let kind = |row| TypeTable::kind_of_row(row).map(Kind::get);
        assert_eq!([kind(0), kind(4095), kind(4096)], [Some(16), Some(16 + 4095), None]);
    }

    #[test]
    fn a_row_has_one_encoding_and_none_that_can_not_be_read() {
        // Bug: any byte but zero stood for a hint, so two different bodies were the same table; and a row with a name
        // that no reader accepts could be registered, after which the segment's own table was damage.
        let kind = Kind::FIRST_USER;
        let mut body = TypeRegistered { kind, entry: row("a", "") }.encode();
        assert_eq!(body, [16, 1, b'a', 0, 1, 1, 0, 0, 0]);
        body[6] = 2;
        assert!(TypeRegistered::decode(&body).is_err());
        assert!(TypeTable::new().register(TypeRegistered { kind, entry: row("no spaces", "") }).is_err());
    }

    #[test]
    fn twice_the_same_type_bad_names_and_wrong_kinds_are_refused() {
        let mut table = table(&[row("a", "")]);
        let kind = table.next_kind().unwrap();
        assert!(table.register(TypeRegistered { kind, entry: row("a", "") }).is_err());
        let skipped = Kind::new(kind.get() + 1).unwrap();
        assert!(table.register(TypeRegistered { kind: skipped, entry: row("b", "") }).is_err());
        for bad in ["", "A", "a b", "ä", &"x".repeat(65)] {
            let body = TypeRegistered { kind, entry: row(bad, "") }.encode();
            assert!(TypeRegistered::decode(&body).is_err(), "{bad:?}");
        }
        let body = TypeRegistered { kind: Kind::MARK, entry: row("a", "") }.encode();
        assert!(TypeRegistered::decode(&body).is_err());
    }
}
