//! The connection against a scripted peer, in memory.
//!
//! A test is a transcript with three verbs: `send` is what the broker says, `expect` what the client must have written,
//! and `result` what a promise has come to. What the script has not yet expected, the socket has not yet taken.

/// Like `assert!(matches!(..))`, and shows what there was instead.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        match $value {
            $pattern $(if $guard)? => {}
            other => panic!("{other:?} is not {}", stringify!($pattern $(if $guard)?)),
        }
    };
}

mod auto_delete;
mod blame;
mod blocked;
mod broken;
mod calls;
mod cancel;
mod careful;
mod consume;
mod consuming;
mod copied;
mod early;
mod emulated;
mod ends;
mod frames;
mod get;
mod handshake;
mod held_up;
mod innocent;
mod late;
mod prefetch;
mod progress;
mod publish;
mod recovering;
mod recovery;
mod refused;
mod replay;
mod replies;
mod republish;
mod requests;
mod restart;
mod resumed;
mod saved;
mod scale;
mod script;
mod serve;
mod silence;
mod split;
mod unread;
