//! PEM files as people have them, put into the form that rustls reads.
//!
//! rustls takes a block only where its marker begins a line and ends it, and passes over all else without a word. But
//! editors put a byte-order mark first, `cat` joins a file without a last line break to the next, and a secret that went
//! through an environment variable is one long line. Here no block is passed over: it is read, or the error says which
//! line is in the way.

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The blocks of a file, each marker on a line of its own.
///
/// # Errors
/// Which line cannot be understood, and why.
pub(super) fn blocks(file: &[u8]) -> Result<String, String> {
    let text = decode(file);
    let mut blocks = String::with_capacity(text.len());
    let mut open: Option<&str> = None;
    for (index, line) in text.split('\n').enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", index + 1);
        let mut rest = trim(line);
        while !rest.is_empty() {
            let Some(label) = open else {
                match rest.find(BEGIN) {
                    Some(0) => {}
                    _ if rest.contains(END) => {
                        return Err(wrong("it ends what has not begun"));
                    }
                    None => break, // A comment.
                    Some(_) => {
                        return Err(wrong("there is text before -----BEGIN on the same line"));
                    }
                }
                let (label, behind) = rest[BEGIN.len()..]
                    .split_once(DASHES)
                    .ok_or_else(|| wrong("a marker does not end"))?;
                // What it was called long ago.
                let label = label.strip_prefix("X509 ").unwrap_or(label);
                push_line(&mut blocks, &[BEGIN, label, DASHES]);
                open = Some(label);
                rest = trim(behind);
                continue;
            };
            let end = rest.find(END).unwrap_or(rest.len());
            if rest[..end].contains(BEGIN) {
                return Err(wrong("a block begins before the last one has ended"));
            }
            if end > 0 {
                push_line(&mut blocks, &[trim(&rest[..end])]);
            }
            let Some(marker) = rest[end..].strip_prefix(END) else {
                break;
            };
            let (ended, behind) = marker
                .split_once(DASHES)
                .ok_or_else(|| wrong("a marker does not end"))?;
            if ended.strip_prefix("X509 ").unwrap_or(ended) != label {
                return Err(wrong("a block ends as another one than it began"));
            }
            push_line(&mut blocks, &[END, label, DASHES]);
            open = None;
            rest = trim(behind);
        }
    }
    match open {
        Some(_) => Err("it ends in the middle of a block".into()),
        None => Ok(blocks),
    }
}

/// UTF-8, or UTF-16 where its byte-order mark says so.
fn decode(file: &[u8]) -> String {
    let units = |big: bool| {
        let pairs = file[2..].chunks_exact(2);
        let units = pairs.map(move |pair| match big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        });
        char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    let text: String = match file {
        [0xfe, 0xff, ..] => units(true),
        [0xff, 0xfe, ..] => units(false),
        _ => String::from_utf8_lossy(file).into_owned(),
    };
    // Old Macs end a line so.
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Without blanks, and without byte-order marks: where files were joined, they are in the middle.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn push_line(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN A-----\nMII=\n-----END A-----\n";
    const TWO: &str =
        "-----BEGIN A-----\nMII=\n-----END A-----\n-----BEGIN B C-----\nxy\n-----END B C-----\n";

    #[test]
    fn every_block_is_found_whatever_is_around_it() {
        for (file, expected) in [
            ("", ""),
            ("only a comment", ""),
            (ONE, ONE),
            (TWO, TWO),
            ("\u{feff}-----BEGIN A-----\nMII=\n-----END A-----", ONE),
            (
                "# a comment\r\n  -----BEGIN A-----  \r\n\tMII=\r\n-----END A-----\r\nmore",
                ONE,
            ),
            ("-----BEGIN A-----\rMII=\r-----END A-----\r", ONE),
            ("-----BEGIN A-----MII=-----END A-----", ONE),
            ("-----BEGIN A----- MII= -----END A----- the end", ONE),
            ("-----BEGIN X509 A-----\nMII=\n-----END X509 A-----\n", ONE),
            (
                "-----BEGIN A-----\nMII=\n-----END A----------BEGIN B C-----\nxy\n-----END B C-----",
                TWO,
            ),
            (
                "\u{feff}-----BEGIN A-----\nMII=\n-----END A-----\u{feff}-----BEGIN B C-----\nxy\n-----END B C-----",
                TWO,
            ),
        ] {
            let found = blocks(file.as_bytes()).unwrap();
            assert_eq!(found, expected, "{file:?}");
            for big in [true, false] {
                let marked = format!("\u{feff}{file}");
                let utf16 = marked.encode_utf16().flat_map(|unit| match big {
                    true => unit.to_be_bytes(),
                    false => unit.to_le_bytes(),
                });
                let utf16: Vec<u8> = utf16.collect();
                assert_eq!(blocks(&utf16).unwrap(), found, "{file:?}");
            }
        }
    }

    #[test]
    fn what_would_lose_a_block_is_an_error_with_its_line() {
        for (file, wrong) in [
            (
                "x\nmy CA: -----BEGIN A-----\nMII=\n-----END A-----",
                "line 2: there is text before",
            ),
            ("#-----BEGIN A-----", "line 1: there is text before"),
            ("-----BEGIN A----", "line 1: a marker does not end"),
            ("-----BEGIN A-----\nMII=", "it ends in the middle"),
            (
                "-----BEGIN A-----\nMII=\n-----END B-----",
                "line 3: a block ends as another",
            ),
            (
                "-----BEGIN A-----\nMII=\n-----BEGIN A-----",
                "line 3: a block begins before",
            ),
            (
                "-----END A----------BEGIN A-----\n-----END A-----",
                "line 1: it ends what has not begun",
            ),
            (
                "----BEGIN A-----\nMII=\n-----END A-----",
                "line 3: it ends what has not begun",
            ),
        ] {
            let error = blocks(file.as_bytes()).unwrap_err();
            assert!(error.starts_with(wrong), "{file:?}: {error}");
        }
    }

    #[test]
    fn no_file_is_too_strange() {
        for length in 0..ONE.len() {
            let _ = blocks(&ONE.as_bytes()[..length]);
            let mut odd = vec![0xfe, 0xff];
            odd.extend(&ONE.as_bytes()[..length]);
            let _ = blocks(&odd);
            let _ = blocks(&odd[1..]);
        }
    }
}
