//! What the broker's text says of a publish that it refused: which publishes the text may be about.

use std::cmp::Ordering;

use bytes::BytesMut;

use crate::connection::publish::line::body_size;
use crate::connection::publish::mark::footer;
use crate::types::ids::PromiseNumber;
use crate::wire::{
    Arena, BasicPublish, ContentHeader, FRAME_OVERHEAD, FieldValue, FrameHead, Method, Properties,
};

/// RabbitMQ cuts a text at this many bytes, and ends it so.
const CUT: usize = 252;
const ELLIPSIS: &str = "...";

/// What the broker's text says of the refused publish. Each excludes only what it surely is not: the broker may choose
/// other words, and cut them; and what a user has named something may look like any of its words. So only what stands in
/// front of the first name says what a text is about.
#[derive(Debug)]
pub(crate) enum Clue<'a> {
    /// It begins with the name of its exchange.
    Exchange(Quote<'a>),
    /// Its exchange is named somewhere in this.
    AnyExchange(&'a str),
    Size(u64),
    /// It has this property, with a value that this begins with.
    Expiration(Quote<'a>),
    UserId(Quote<'a>),
    /// It has this header.
    Header(&'a str),
    None,
}

/// A text from behind a quotation mark on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quote<'a> {
    text: &'a str,
    is_cut: bool,
}

impl Quote<'_> {
    /// Whether what is quoted may be this, of which no more than the beginning may be known.
    fn may_be(self, value: &str, is_whole: bool) -> bool {
        let end = if is_whole { "'" } else { "" };
        let quoted = format!("{value}{end}");
        self.text.starts_with(&quoted) || self.is_cut && quoted.starts_with(self.text)
    }

    /// Whether it is this value, of a property that the broker would always refuse; `marks` as many quotation marks are in
    /// the text if none is in a value: then it is nothing else.
    fn says(self, value: &str, marks: usize) -> Fit {
        if !value.is_ascii() {
            // How the broker shows it is not certain.
            return Fit::May;
        }
        if !self.may_be(value, true) {
            return Fit::No;
        }
        let is_certain = !self.is_cut && self.text.matches('\'').count() == marks;
        if is_certain { Fit::Would } else { Fit::May }
    }
}

/// Whether the text may be about a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    No,
    May,
    /// And the broker would refuse it for the same reason whenever it came to it.
    Would,
}

impl From<bool> for Fit {
    fn from(may: bool) -> Self {
        if may { Self::May } else { Self::No }
    }
}

impl<'a> Clue<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let is_cut = text.len() >= CUT || text.ends_with(ELLIPSIS);
        let text = text.strip_suffix(ELLIPSIS).unwrap_or(text);
        // RabbitMQ begins with the name of its code.
        let is_code = |code: &str| {
            code.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        let said = text.split_once(" - ").filter(|(code, _)| is_code(code));
        let text = said.map_or(text, |(_, text)| text);
        if let Some(rest) = text.strip_prefix("message size ") {
            let size = rest.split(' ').next().and_then(|size| size.parse().ok());
            return size.filter(|_| !is_cut).map_or(Self::None, Self::Size);
        }
        let Some((about, quoted)) = text.split_once(['\'', '"']) else {
            return Self::None;
        };
        let quote = Quote {
            text: quoted,
            is_cut,
        };
        match about {
            "invalid expiration " => Self::Expiration(quote),
            "user_id property set to " => Self::UserId(quote),
            _ if about.ends_with("unacceptable_type_in_header,") => quoted
                .split_once('"')
                .map_or(Self::None, |(name, _)| Self::Header(name)),
            _ if about.ends_with("exchange ") => Self::Exchange(quote),
            // Behind a routing key, which may be anything; the exchange may be cut off.
            _ if about.ends_with("topic ") && !is_cut => Self::AnyExchange(quoted),
            _ => Self::None,
        }
    }

    /// Whether it may be about a publish, given as its first two frames.
    pub(crate) fn fits(&self, frames: &[u8]) -> Fit {
        self.fits_if_readable(frames).unwrap_or(Fit::May)
    }

    fn fits_if_readable(&self, frames: &[u8]) -> Option<Fit> {
        let (publish, header) = read(frames)?;
        self.fits_publish(&publish, header)
    }

    /// Whether it may be about the message that stands in for a confirm. They are all alike, but for a number.
    pub(crate) fn fits_footer(&self) -> Fit {
        let (publish, header) = footer(PromiseNumber(0));
        let mut out = BytesMut::new();
        let encoded = header.encode(&mut out);
        let fit = encoded
            .ok()
            .and_then(|()| self.fits_publish(&publish, &out));
        fit.unwrap_or(Fit::May)
    }

    fn fits_publish(&self, publish: &BasicPublish<'_>, header: &[u8]) -> Option<Fit> {
        Some(match *self {
            Self::Exchange(quote) => names(publish.exchange)
                .any(|(name, is_whole)| quote.may_be(&name, is_whole))
                .into(),
            Self::AnyExchange(text) => names(publish.exchange)
                .any(|(name, is_whole)| {
                    let end = if is_whole { "'" } else { "" };
                    text.contains(&format!("exchange '{name}{end}"))
                })
                .into(),
            // The limit is the same for all of a channel's life.
            Self::Size(size) => match body_size(header)?.cmp(&size) {
                Ordering::Less => Fit::No,
                Ordering::Equal => Fit::Would,
                // It would have been refused before.
                Ordering::Greater => Fit::May,
            },
            Self::Expiration(quote) => match properties(header)?.expiration() {
                None => Fit::No,
                // There is nothing wrong with it, as far as is known here.
                Some(value) if value.parse::<u64>().is_ok() => quote.says(value, 1).min(Fit::May),
                Some(value) => quote.says(value, 1),
            },
            Self::UserId(quote) => match properties(header)?.user_id() {
                None => Fit::No,
                Some(value) => quote.says(value, 3),
            },
            Self::Header(name) => match properties(header)?.headers.get(name) {
                None => Fit::No,
                Some(FieldValue::Array(_)) => Fit::May,
                Some(_) => Fit::Would,
            },
            Self::None => Fit::May,
        })
    }
}

/// How a text may name an exchange, and whether that is the whole name. Of a name that is not ASCII only the beginning
/// counts: how the rest is shown is not certain.
fn names(exchange: &[u8]) -> impl Iterator<Item = (String, bool)> {
    let ascii = exchange.iter().take_while(|byte| byte.is_ascii()).count();
    let is_whole = ascii == exchange.len();
    let name = String::from_utf8_lossy(&exchange[..ascii]).into_owned();
    let default = exchange.is_empty().then(|| "amq.default".to_owned());
    [Some(name), default]
        .into_iter()
        .flatten()
        .map(move |name| (name, is_whole))
}

/// The method of a publish, and the payload of its header.
fn read(frames: &[u8]) -> Option<(BasicPublish<'_>, &[u8])> {
    let payload = |frames: &'_ [u8]| {
        let head = FrameHead::read(frames, usize::MAX).ok()??;
        Some(head.size)
    };
    let size = payload(frames)?;
    let method = frames.get(FrameHead::LEN..FrameHead::LEN + size)?;
    let Ok(Method::BasicPublish(publish)) = Method::decode(method) else {
        return None;
    };
    let rest = frames.get(size + FRAME_OVERHEAD..)?;
    let size = payload(rest)?;
    Some((publish, rest.get(FrameHead::LEN..FrameHead::LEN + size)?))
}

fn properties(header: &[u8]) -> Option<Properties> {
    let header = ContentHeader::decode(header, &mut Arena::default()).ok()?;
    Some(header.properties)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::connection::channel::PUBLISHER;
    use crate::types::message::Message;
    use crate::wire::{CLASS_BASIC, FRAME_HEADER, begin_frame, end_frame, write_method};

    /// The first two frames of a publish of five bytes.
    fn frames_of(exchange: &str, message: Message) -> BytesMut {
        let mut out = BytesMut::new();
        let method = BasicPublish {
            exchange: exchange.as_bytes(),
            ..Default::default()
        };
        write_method(&mut out, PUBLISHER.0, &method).unwrap();
        let mark = begin_frame(&mut out, FRAME_HEADER, PUBLISHER.0);
        ContentHeader {
            class_id: CLASS_BASIC,
            body_size: 5,
            properties: message.properties,
        }
        .encode(&mut out)
        .unwrap();
        end_frame(&mut out, mark);
        out
    }

    fn fits(text: &str, exchange: &str) -> bool {
        Clue::of(text).fits(&frames_of(exchange, Message::default())) != Fit::No
    }

    #[test]
    fn the_brokers_texts_name_the_exchange_or_the_size() {
        for (text, exchange, about) in [
            ("NOT_FOUND - no exchange 'a' in vhost '/'", "a", true),
            ("NOT_FOUND - no exchange 'a' in vhost '/'", "b", false),
            ("NOT_FOUND - no exchange 'it's' in vhost '/'", "it's", true),
            (
                "ACCESS_REFUSED - cannot publish to internal exchange 'a' in vhost '/'",
                "a",
                true,
            ),
            (
                "ACCESS_REFUSED - access to topic 'k' in exchange 'a' in vhost '/' refused",
                "a",
                true,
            ),
            (
                "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused",
                "",
                true,
            ),
            (
                "ACCESS_REFUSED - access to exchange '' in vhost '/' refused",
                "",
                true,
            ),
            (
                "PRECONDITION_FAILED - message size 5 is larger than configured max size 4",
                "a",
                true,
            ),
            (
                "PRECONDITION_FAILED - message size 6 larger than max size 4",
                "a",
                false,
            ),
            ("PRECONDITION_FAILED - something else", "a", true),
            // How a broker shows a name that is not ASCII is not certain.
            ("NOT_FOUND - no exchange 'x-Ã¶' in vhost '/'", "x-ö", true),
            ("NOT_FOUND - no exchange 'y' in vhost '/'", "x-ö", false),
        ] {
            assert_eq!(fits(text, exchange), about, "{text} {exchange}");
        }
        let fit = Clue::of("no exchange 'a' in vhost '/'").fits(b"short");
        assert_eq!(fit, Fit::May);
    }

    /// RabbitMQ's text, cut as it cuts it.
    fn cut(text: &str) -> String {
        if text.len() > 255 {
            format!("{}...", &text[..252])
        } else {
            text.into()
        }
    }

    #[test]
    fn a_text_that_is_cut_fits_every_name_with_that_beginning() {
        for len in [200, 218, 219, 226, 227, 228, 229, 230, 240, 254] {
            let stem = "e".repeat(len - 1);
            let refused = format!("{stem}1");
            let text = cut(&format!("NOT_FOUND - no exchange '{refused}' in vhost '/'"));
            assert!(fits(&text, &refused), "{len}: {text}");
            for other in ["e", "another"] {
                assert!(!fits(&text, other), "{len}: {text}");
            }
            // Only what shows tells one from the other.
            assert_eq!(fits(&text, &format!("{stem}2")), !text.contains(&refused));
            let ends = text.contains(&format!("{refused}'"));
            assert_eq!(fits(&text, &format!("{refused}2")), !ends);
        }
    }

    #[test]
    fn behind_a_routing_key_the_exchange_may_be_cut_off() {
        let key = format!("{}exchange 'b' in vhost '/'", "k".repeat(200));
        let text = format!("ACCESS_REFUSED - access to topic '{key}' in exchange 'a' in vhost '/'");
        assert!(fits(&cut(&text), "a"));
    }

    #[test]
    fn properties_that_the_broker_looks_at_tell_those_that_have_them() {
        let expiration = |value: &str| Message::new("").expiration(value);
        let user_id = |value: &str| Message::new("").user_id(value);
        let header = |name: &str, value: FieldValue| Message::new("").header(name, value);
        let long = "PRECONDITION_FAILED - invalid expiration 'sssss...";
        let invalid = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer";
        let another =
            "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was 'b'";
        let cc =
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}";
        let new = "PRECONDITION_FAILED - invalid expiration, of late";
        for (text, message, fit) in [
            (invalid, expiration("soon"), Fit::Would),
            (invalid, expiration("later"), Fit::No),
            (invalid, expiration("5"), Fit::No),
            (invalid, expiration("sö"), Fit::May),
            (invalid, Message::new("").message_id("soon"), Fit::No),
            (long, expiration("sssssssss"), Fit::May),
            (long, Message::new(""), Fit::No),
            (new, expiration("5"), Fit::May),
            (another, user_id("a"), Fit::Would),
            (another, user_id("b"), Fit::No),
            (another, Message::new("").message_id("a"), Fit::No),
            (cc, header("CC", "a".into()), Fit::Would),
            (cc, header("BCC", "a".into()), Fit::No),
            (cc, Message::new(""), Fit::No),
        ] {
            let found = Clue::of(text).fits(&frames_of("a", message.clone()));
            assert_eq!(found, fit, "{text} {message:?}");
        }
    }

    #[test]
    fn nothing_that_a_user_has_named_tells_what_a_text_is_about() {
        let none = "access to topic 'k' in exchange 'message size 5 is' in vhost '/' refused";
        for (text, exchange, about) in [
            (
                "no exchange 'invalid expiration' in vhost '/'",
                "invalid expiration",
                true,
            ),
            (
                "no exchange 'user_id property' in vhost '/'",
                "user_id property",
                true,
            ),
            (
                "no exchange 'message size 4 ' in vhost '/'",
                "message size 4 ",
                true,
            ),
            (
                "no exchange 'it - message size 4 is' in vhost '/'",
                "it - message size 4 is",
                true,
            ),
            (
                "no exchange 'a' in exchange 'b' in vhost '/'",
                "a' in exchange 'b",
                true,
            ),
            ("no exchange 'a' in exchange 'b' in vhost '/'", "b", false),
            (
                "no exchange 'a' in vhost 'exchange 'b'' refused",
                "b",
                false,
            ),
            (none, "message size 5 is", true),
            ("no queue 'exchange 'a''", "b", true),
        ] {
            assert_eq!(fits(text, exchange), about, "{text} {exchange}");
            let coded = format!("NOT_FOUND - {text}");
            assert_eq!(fits(&coded, exchange), about, "{coded} {exchange}");
        }
        // The second is the user that is logged in; the first has named another so that it looks like it.
        let odd = "guest' but authenticated user was 'x";
        let text = format!("user_id property set to '{odd}' but authenticated user was 'guest'");
        for value in [odd, "guest"] {
            let message = Message::new("").user_id(value);
            let fit = Clue::of(&text).fits(&frames_of("a", message));
            assert_eq!(fit, Fit::May, "{value}");
        }
        let odd = format!("5': {}", "x".repeat(230));
        let text = cut(&format!("invalid expiration '{odd}': no_integer"));
        for (value, fit) in [(&*odd, Fit::May), ("5", Fit::May), ("6", Fit::No)] {
            let message = Message::new("").expiration(value);
            let message = frames_of("a", message);
            assert_eq!(Clue::of(&text).fits(&message), fit, "{value}");
        }
    }

    #[test]
    fn a_size_tells_those_of_that_size() {
        let fit = |size: u32| {
            let text = format!("PRECONDITION_FAILED - message size {size} larger than max size 1");
            Clue::of(&text).fits(&frames_of("a", Message::default()))
        };
        assert_eq!([fit(4), fit(5), fit(6)], [Fit::May, Fit::Would, Fit::No]);
    }
}
