//! What one request does to the connection costs nobody else his result: a refusal is of the request that it names, and
//! an error that ends the connection is of the request that was made for it.

use puka::{Error, Reply};

use super::super::actor::{Asked, Kind};

/// Whether the broker's words are of this request: its method, its code, its name.
pub(super) fn is_of(asked: &Asked, reply: &Reply) -> bool {
    let is_method = reply
        .method()
        .is_none_or(|method| asked.methods.contains(&method));
    is_method && asked.refusals.contains(&reply.code) && names_it(asked, &reply.text)
}

/// Whether a text that names a queue or an exchange names one of the request's.
fn names_it(asked: &Asked, text: &str) -> bool {
    // A text of 255 bytes is cut.
    if text.ends_with("...") {
        return true;
    }
    let Some(name) = ["queue '", "exchange '"].iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        Some(rest.split_once('\'')?.0)
    }) else {
        return true;
    };
    let is_made = |name: &str| name.is_empty() || name.starts_with("amq.gen-");
    asked
        .names
        .iter()
        .any(|its| its == name || is_made(its) && is_made(name))
}

/// Whether an error ends a connection, as far as it is the broker's word.
pub(super) fn ends_the_connection(code: u16) -> bool {
    !matches!(code, 311..=313 | 403..=406)
}

/// Whether it may suffer when another request ends the connection: what cannot be done twice, or where nothing is done
/// twice.
pub(super) fn may_suffer(asked: &Asked, recovers: bool, is_closing: bool) -> bool {
    let own = asked.is_deadly;
    let is_of_connection = matches!(asked.kind, Kind::Connect | Kind::Close | Kind::UpdateSecret);
    !recovers || is_closing || own || !asked.is_repeatable || is_of_connection
}

/// The cause that is inside.
pub(super) fn cause(error: &Error) -> &Error {
    match error {
        Error::NotSent(cause) | Error::OutcomeUnknown(cause) => cause,
        error => error,
    }
}
