//! Which publish the broker may have meant when it closed the channel: it names the exchange or the size, not the tag.

use crate::wire::FRAME_OVERHEAD;

/// Whether the broker's text may be about a publish, given as its first two frames. `None`: it names none.
pub(super) fn is_about(text: &str, frames: &[u8]) -> Option<bool> {
    if text.contains("exchange '") {
        let name = match exchange(frames)? {
            b"" => "amq.default".into(),
            name => String::from_utf8_lossy(name),
        };
        return Some(text.contains(&format!("exchange '{name}' in vhost")));
    }
    let (_, rest) = text.split_once("message size ")?;
    let size: u64 = rest.split(' ').next()?.parse().ok()?;
    Some(body_size(frames)? == size)
}

/// The exchange of a publish: behind its frame's head, class and method, and a reserved short.
fn exchange(frames: &[u8]) -> Option<&[u8]> {
    let (&len, rest) = frames.get(13..)?.split_first()?;
    rest.get(..len.into())
}

/// The size of its body: in the next frame, behind head, class and weight.
fn body_size(frames: &[u8]) -> Option<u64> {
    let &[_, _, _, a, b, c, d] = frames.first_chunk::<7>()?;
    let method = u32::from_be_bytes([a, b, c, d]) as usize + FRAME_OVERHEAD;
    let size = frames.get(method + 11..)?.first_chunk()?;
    Some(u64::from_be_bytes(*size))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::channels::PUBLISHER;
    use super::super::publisher::BASIC;
    use super::*;
    use crate::wire::{
        BasicPublish, ContentHeader, FRAME_HEADER, begin_frame, end_frame, write_method,
    };

    /// The first two frames of a publish of five bytes.
    fn frames(exchange: &str) -> BytesMut {
        let mut out = BytesMut::new();
        let method = BasicPublish {
            exchange: exchange.as_bytes(),
            ..Default::default()
        };
        write_method(&mut out, PUBLISHER, &method).unwrap();
        let mark = begin_frame(&mut out, FRAME_HEADER, PUBLISHER);
        ContentHeader {
            class_id: BASIC,
            body_size: 5,
            ..Default::default()
        }
        .encode(&mut out)
        .unwrap();
        end_frame(&mut out, mark);
        out
    }

    #[test]
    fn the_brokers_texts_name_the_exchange_or_the_size() {
        for (text, exchange, about) in [
            ("NOT_FOUND - no exchange 'a' in vhost '/'", "a", Some(true)),
            ("NOT_FOUND - no exchange 'a' in vhost '/'", "b", Some(false)),
            (
                "NOT_FOUND - no exchange 'it's' in vhost '/'",
                "it",
                Some(false),
            ),
            (
                "NOT_FOUND - no exchange 'it's' in vhost '/'",
                "it's",
                Some(true),
            ),
            (
                "ACCESS_REFUSED - cannot publish to internal exchange 'a' in vhost '/'",
                "a",
                Some(true),
            ),
            (
                "ACCESS_REFUSED - access to topic 'k' in exchange 'a' in vhost '/' refused",
                "a",
                Some(true),
            ),
            (
                "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused",
                "",
                Some(true),
            ),
            (
                "PRECONDITION_FAILED - message size 5 is larger than configured max size 4",
                "a",
                Some(true),
            ),
            (
                "PRECONDITION_FAILED - message size 6 larger than max size 4",
                "a",
                Some(false),
            ),
            ("PRECONDITION_FAILED - something else", "a", None),
        ] {
            assert_eq!(
                is_about(text, &frames(exchange)),
                about,
                "{text} {exchange}"
            );
        }
        assert_eq!(is_about("no exchange 'a' in vhost '/'", b"short"), None);
    }
}
