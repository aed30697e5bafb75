//! One method for each of AMQP's domains, to read it and to write it. Bits pack here, once.

use bytes::{BufMut, BytesMut};

/// How many arrays may be inside each other, and how many levels of a table are shown.
pub(crate) const MAX_DEPTH: usize = 64;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("it ends too early")]
    Truncated,
    #[error("{0} has bytes left over")]
    TrailingBytes(&'static str),
    #[error("the method {class}.{method} is unknown")]
    UnknownMethod { class: u16, method: u16 },
    #[error("a field table has a value of the unknown type {:?}", char::from(*.0))]
    UnknownFieldType(u8),
    #[error("an array is nested deeper than {} levels", MAX_DEPTH)]
    ArrayTooDeep,
}

/// A value that AMQP has no way to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(
        "a name of {len} bytes is too long: names, routing keys and the like have 255 bytes at most"
    )]
    ShortStrTooLong { len: usize },
    #[error("a value of {len} bytes is too long: strings and tables have 4294967295 bytes at most")]
    TooLong { len: usize },
    #[error("an array is nested deeper than {} levels", MAX_DEPTH)]
    ArrayTooDeep,
    #[error("an opaque value is not one value of a field table")]
    NotOneValue,
    /// RabbitMQ cannot read one, and closes the connection without a reason.
    #[error(
        "a field table holds a number that is not finite (NaN or an infinity), which RabbitMQ cannot read"
    )]
    NotFinite,
    #[error(
        "this takes {len} bytes in a frame, which cannot be split, and the largest frame of this connection is {max}"
    )]
    FrameTooLarge { len: usize, max: usize },
}

/// Reads domains off the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The octet that the last bit was in, and the next bit's place in it.
    bits: Option<(u8, u8)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            bits: None,
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bits = None;
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        self.bits = None;
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn octet(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn short(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn long(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn longlong(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Consecutive bits share an octet, lowest bit first; any other read starts afresh.
    pub(crate) fn bit(&mut self) -> Result<bool, DecodeError> {
        let (octet, place) = match self.bits {
            Some((octet, place)) if place < 8 => (octet, place),
            _ => (self.octet()?, 0),
        };
        self.bits = Some((octet, place + 1));
        Ok(octet >> place & 1 == 1)
    }

    pub(crate) fn timestamp(&mut self) -> Result<u64, DecodeError> {
        self.longlong()
    }

    pub(crate) fn shortstr(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.octet()?;
        self.bytes(len.into())
    }

    pub(crate) fn longstr(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.long()?;
        self.bytes(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)
    }

    /// A table's entries, still encoded: whether they can be understood shows when somebody looks.
    pub(crate) fn table(&mut self) -> Result<&'a [u8], DecodeError> {
        self.longstr()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next octet, which stays.
    #[cfg(any(test, fuzzing, feature = "testing"))]
    pub(crate) fn peek(&self) -> Result<u8, DecodeError> {
        self.rest.first().copied().ok_or(DecodeError::Truncated)
    }

    /// Nothing may be left; `what` is read for the error.
    pub(crate) fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes(what))
        }
    }
}

/// Writes domains behind what is there.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    out: &'b mut BytesMut,
    /// The place of the last bit in the last octet.
    bit: Option<u8>,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(out: &'b mut BytesMut) -> Self {
        Self { out, bit: None }
    }

    pub(crate) fn octet(&mut self, value: u8) -> Result<(), EncodeError> {
        self.bit = None;
        self.out.put_u8(value);
        Ok(())
    }

    pub(crate) fn short(&mut self, value: u16) -> Result<(), EncodeError> {
        self.bit = None;
        self.out.put_u16(value);
        Ok(())
    }

    pub(crate) fn long(&mut self, value: u32) -> Result<(), EncodeError> {
        self.bit = None;
        self.out.put_u32(value);
        Ok(())
    }

    pub(crate) fn longlong(&mut self, value: u64) -> Result<(), EncodeError> {
        self.bit = None;
        self.out.put_u64(value);
        Ok(())
    }

    /// Consecutive bits share an octet, lowest bit first; any other write starts afresh.
    pub(crate) fn bit(&mut self, value: bool) -> Result<(), EncodeError> {
        let place = match self.bit {
            Some(place) if place < 7 => place + 1,
            _ => {
                self.out.put_u8(0);
                0
            }
        };
        self.bit = Some(place);
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(value) << place;
        }
        Ok(())
    }

    pub(crate) fn timestamp(&mut self, value: u64) -> Result<(), EncodeError> {
        self.longlong(value)
    }

    pub(crate) fn shortstr(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        let len = u8::try_from(value.len())
            .map_err(|_| EncodeError::ShortStrTooLong { len: value.len() })?;
        self.octet(len)?;
        self.out.put_slice(value);
        Ok(())
    }

    pub(crate) fn longstr(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        let len =
            u32::try_from(value.len()).map_err(|_| EncodeError::TooLong { len: value.len() })?;
        self.long(len)?;
        self.out.put_slice(value);
        Ok(())
    }

    /// A table's encoded entries.
    pub(crate) fn table(&mut self, entries: &[u8]) -> Result<(), EncodeError> {
        self.longstr(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_bits_share_an_octet() {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        for bit in [true, false, true, false, false, false, false, true, true] {
            writer.bit(bit).unwrap();
        }
        writer.octet(7).unwrap();
        writer.bit(true).unwrap();
        assert_eq!(&out[..], [0b1000_0101, 1, 7, 1]);

        let mut reader = Reader::new(&out);
        let bits: Vec<bool> = (0..9).map(|_| reader.bit().unwrap()).collect();
        assert_eq!(
            bits,
            [true, false, true, false, false, false, false, true, true]
        );
        assert_eq!(reader.octet(), Ok(7));
        assert_eq!(reader.bit(), Ok(true));
        assert_eq!(reader.bit(), Ok(false));
        assert_eq!(reader.finish("it"), Ok(()));
    }

    #[test]
    fn a_name_of_255_bytes_fits_and_one_of_256_is_refused() {
        let mut out = BytesMut::new();
        assert_eq!(Writer::new(&mut out).shortstr(&[b'a'; 255]), Ok(()));
        assert_eq!(Reader::new(&out).shortstr(), Ok(&[b'a'; 255][..]));
        let refused = Writer::new(&mut out).shortstr(&[b'a'; 256]);
        assert_eq!(refused, Err(EncodeError::ShortStrTooLong { len: 256 }));
    }

    #[test]
    fn a_length_beyond_the_bytes_costs_nothing() {
        assert_eq!(
            Reader::new(&[0xff; 7]).longstr(),
            Err(DecodeError::Truncated)
        );
        assert_eq!(
            Reader::new(&[2, b'a']).shortstr(),
            Err(DecodeError::Truncated)
        );
    }
}
