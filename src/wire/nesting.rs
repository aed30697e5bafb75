//! Encoded values and tables, read over without making anything of them: where each ends, and whether they may be nested
//! as they are.

#[cfg(any(test, fuzzing, feature = "testing"))]
use super::codec::MAX_DEPTH;
use super::codec::{DecodeError, Reader};

/// Whether these are a table's entries, all the way down.
#[cfg(any(test, fuzzing, feature = "testing"))]
pub(crate) fn check_table(entries: &[u8]) -> Result<(), DecodeError> {
    let mut tables = vec![Reader::new(entries)];
    while let Some(mut reader) = tables.pop() {
        while !reader.is_empty() {
            reader.shortstr()?;
            check_value(&mut reader, 1, &mut tables)?;
        }
    }
    Ok(())
}

#[cfg(any(test, fuzzing, feature = "testing"))]
fn check_value<'a>(
    reader: &mut Reader<'a>,
    depth: usize,
    tables: &mut Vec<Reader<'a>>,
) -> Result<(), DecodeError> {
    match reader.peek()? {
        b'F' => {
            reader.octet()?;
            tables.push(Reader::new(reader.longstr()?));
            Ok(())
        }
        b'A' => {
            reader.octet()?;
            let mut items = Reader::new(reader.longstr()?);
            if depth >= MAX_DEPTH && !items.is_empty() {
                return Err(DecodeError::ArrayTooDeep);
            }
            while !items.is_empty() {
                check_value(&mut items, depth + 1, tables)?;
            }
            Ok(())
        }
        _ => skip_value(reader),
    }
}

pub(super) fn skip_value(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let len = match reader.octet()? {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' | b'F' | b'A' => return reader.longstr().map(|_| ()),
        other => return Err(DecodeError::UnknownFieldType(other)),
    };
    reader.bytes(len).map(|_| ())
}
