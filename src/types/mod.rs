//! Plain data: what a user says, and what comes back. It imports nothing but `wire/`.

pub(crate) mod client_options;
pub(crate) mod error;
pub(crate) mod ids;
pub(crate) mod message;
pub(crate) mod recovery;
pub(crate) mod reply;
pub(crate) mod requests;
pub(crate) mod results;
pub(crate) mod text;
pub(crate) mod tls_failure;
pub(crate) mod tls_options;
pub(crate) mod url;
