//! The encoding of the log's own record bodies: the bincode 2 `standard()` wire format, written out by hand.
//!
//! Unsigned integers up to 250 are one byte; larger ones are a marker byte (251, 252, 253) and two, four or eight
//! little-endian bytes. Signed integers are zigzag-mapped first. Strings and byte strings are a length and their bytes;
//! options are a byte 0 or 1; fixed arrays are their bytes. Only the shortest form of an integer is accepted.

/// Appends values to a byte vector.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Writer {
        Writer::default()
    }

    /// What has been written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What has been written, leaving an empty writer.
    #[must_use]
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// One byte as it is.
    pub fn byte(&mut self, value: u8) -> &mut Writer {
        self.bytes.push(value);
        self
    }

    /// An unsigned integer.
    #[allow(clippy::cast_possible_truncation, reason = "each arm has checked the range")]
    pub fn unsigned(&mut self, value: u64) -> &mut Writer {
        match value {
            0..=250 => self.bytes.push(value as u8),
            251..=0xFFFF => {
                self.bytes.push(251);
                self.bytes.extend_from_slice(&(value as u16).to_le_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                self.bytes.push(252);
                self.bytes.extend_from_slice(&(value as u32).to_le_bytes());
            }
            _ => {
                self.bytes.push(253);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        self
    }

    /// A signed integer.
    #[allow(clippy::cast_sign_loss, reason = "zigzag maps signed to unsigned on purpose")]
    pub fn signed(&mut self, value: i64) -> &mut Writer {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64)
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Writer {
        self.unsigned(value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    /// A string with its length in bytes.
    pub fn string(&mut self, value: &str) -> &mut Writer {
        self.bytes(value.as_bytes())
    }

    /// A fixed number of bytes.
    pub fn array<const N: usize>(&mut self, value: &[u8; N]) -> &mut Writer {
        self.bytes.extend_from_slice(value);
        self
    }

    /// An optional value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) -> &mut Writer {
        match value {
            None => {
                self.byte(0);
            }
            Some(value) => {
                self.byte(1);
                write(self, value);
            }
        }
        self
    }
}

/// A body that can not be read: what was expected, and where in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What the reader was looking for.
    pub expected: &'static str,
    /// Byte offset in the body.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "expected {} at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for Malformed {}

/// Reads values from hostile bytes. Allocates nothing larger than what is there.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// An error at the present position.
    #[must_use]
    pub fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { expected, at: self.at }
    }

    fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.malformed(expected)) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// One byte as it is.
    ///
    /// # Errors
    /// The body ends here.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1, "a byte")?[0])
    }

    /// An unsigned integer in its shortest form.
    ///
    /// # Errors
    /// The body ends, or the form is longer than needed.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let (value, least) = match self.byte()? {
            251 => (u64::from(u16::from_le_bytes(self.array()?)), 251),
            252 => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            253 => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            254.. => return Err(Malformed { expected: "an integer of at most 64 bits", at: start }),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(Malformed { expected: "an integer in its shortest form", at: start });
        }
        Ok(value)
    }

    /// An unsigned integer that fits in the target.
    ///
    /// # Errors
    /// As [`Reader::unsigned`], or the value is too large.
    pub fn small<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, Malformed> {
        let start = self.at;
        T::try_from(self.unsigned()?).map_err(|_| Malformed { expected, at: start })
    }

    /// A signed integer.
    ///
    /// # Errors
    /// As [`Reader::unsigned`].
    #[allow(clippy::cast_possible_wrap, reason = "zigzag maps unsigned to signed on purpose")]
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let mapped = self.unsigned()?;
        Ok((mapped >> 1) as i64 ^ -((mapped & 1) as i64))
    }

    /// Bytes with their length.
    ///
    /// # Errors
    /// The length reaches behind the end of the body.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len: usize = self.small("a length")?;
        self.take(len, "as many bytes as the length says")
    }

    /// A string with its length in bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`], or the bytes are not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed { expected: "UTF-8", at: start })
    }

    /// A fixed number of bytes.
    ///
    /// # Errors
    /// The body ends before.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N, "a fixed number of bytes")?);
        Ok(value)
    }

    /// A byte 0 or 1.
    ///
    /// # Errors
    /// The body ends here, or the byte is another one.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed { expected: "0 or 1", at: self.at - 1 }),
        }
    }

    /// An optional value.
    ///
    /// # Errors
    /// The marker is neither 0 nor 1, or the value's own.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A count of items of which each takes at least `least_len_bytes`: bounded by what is left, so that it is safe to
    /// reserve for.
    ///
    /// # Errors
    /// More items than the rest of the body can hold.
    pub fn count(&mut self, least_len_bytes: usize) -> Result<usize, Malformed> {
        let start = self.at;
        let count: usize = self.small("a count")?;
        if count > (self.bytes.len() - self.at) / least_len_bytes.max(1) {
            return Err(Malformed { expected: "a count that the body can hold", at: start });
        }
        Ok(count)
    }

    /// Checks that the body has been read to its end.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed("the end of the body")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_take_the_bytes_that_bincode_takes() {
        let encode = |value| {
            let mut writer = Writer::new();
            writer.unsigned(value);
            writer.into_bytes()
        };
        assert_eq!(encode(250), [250]);
        assert_eq!(encode(251), [251, 251, 0]);
        assert_eq!(encode(0x1_0000), [252, 0, 0, 1, 0]);
        assert_eq!(encode(u64::MAX), [253, 255, 255, 255, 255, 255, 255, 255, 255]);
        let mut writer = Writer::new();
        writer.signed(-1).signed(1).signed(i64::MIN);
        assert_eq!(writer.into_bytes(), [1, 2, 253, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn longer_forms_and_lying_lengths_are_refused() {
        assert!(Reader::new(&[251, 250, 0]).unsigned().is_err());
        assert!(Reader::new(&[253, 255, 255, 255, 255, 0, 0, 0, 0]).unsigned().is_err());
        assert!(Reader::new(&[254, 0]).unsigned().is_err());
        assert!(Reader::new(&[253, 255, 255, 255, 255, 255, 255, 255, 255]).bytes().is_err());
        assert!(Reader::new(&[200, 1, 2]).count(1).is_err());
        assert!(Reader::new(&[2]).option(Reader::byte).is_err());
    }

    #[test]
    fn a_count_is_bounded_by_what_is_left_and_a_flag_is_told_where_it_stands() {
        // One byte for the count; three are left, which hold one item of two bytes.
        let count = |count, least| Reader::new(&[count, 7, 7, 7]).count(least);
        assert_eq!([count(1, 2), count(3, 1), count(3, 0)], [Ok(1), Ok(3), Ok(3)]);
        for (number, least) in [(2, 2), (4, 1), (4, 0), (1, 4)] {
            let refused = Malformed { expected: "a count that the body can hold", at: 0 };
            assert_eq!(count(number, least), Err(refused), "{number} of {least} bytes");
        }
        for behind in 1..4 {
            let mut body = vec![0; behind];
            body.push(2);
            let mut reader = Reader::new(&body);
            for _ in 0..behind {
                assert_eq!(reader.flag(), Ok(false));
            }
            assert_eq!(reader.flag(), Err(Malformed { expected: "0 or 1", at: behind }));
        }
    }

    #[test]
    fn a_writer_whose_bytes_were_taken_begins_anew() {
        let mut writer = Writer::new();
        assert_eq!((writer.byte(7).take_bytes(), writer.byte(8).take_bytes()), (vec![7], vec![8]));
        assert_eq!(writer.into_bytes(), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(value: u64, signed: i64, text: String, some: Option<u64>) {
            let mut writer = Writer::new();
            writer.unsigned(value).signed(signed).string(&text).option(some, |w, v| { w.unsigned(v); });
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned().unwrap(), value);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert_eq!(reader.string().unwrap(), text);
            prop_assert_eq!(reader.option(Reader::unsigned).unwrap(), some);
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.bytes().is_ok() && reader.at < bytes.len() {}
        }
    }
}
