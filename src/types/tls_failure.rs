//! What can go wrong with TLS, and what to do about it. What finds it out is in `transport/tls/`.

use crate::types::text::Printable;

/// Why a TLS session could not be set up, or failed.
///
/// RabbitMQ's [guide to troubleshooting TLS](https://www.rabbitmq.com/docs/troubleshooting-ssl) helps with most.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server's certificate was good, once.
    #[error("the server's certificate has expired: renew it (or set this machine's clock right)")]
    Expired,
    /// The server's certificate will be good.
    #[error("the server's certificate is not valid yet: is this machine's clock right?")]
    NotYetValid,
    /// The server's certificate is somebody else's.
    #[error("the server's certificate is not for {wanted:?}, {}: connect to a name that it has, or say which one it \
             should have with server_name", names(.has))]
    WrongName {
        /// The host connected to, or [`server_name`](crate::TlsOptions::server_name).
        wanted: String,
        /// The names in the certificate's subjectAltName; a common name does not count.
        has: Vec<String>,
    },
    /// The server's certificate is signed by itself, so nobody vouches for it.
    #[error("the server's certificate is self-signed: give it as ca_file if it is the right one")]
    SelfSigned,
    /// The server's certificate is signed by somebody whom this machine, or the
    /// [`ca_file`](crate::TlsOptions::ca_file), does not know.
    #[error(
        "nobody trusted has signed the server's certificate: give its issuer's certificate as ca_file (and have \
             the server send the intermediate ones)"
    )]
    UnknownIssuer,
    /// Something else is wrong with the server's certificate.
    #[error("the server's certificate cannot be trusted: {0}")]
    OtherCertificate(String),
    /// The peer does not speak TLS.
    #[error(
        "the peer does not speak TLS: is this the port for plain AMQP (5672), and TLS is on another (5671)?"
    )]
    NotTls,
    /// The peer does not want this session, and said so.
    #[error("the peer refused: {0}")]
    Refused(String),
    /// A file of [`TlsOptions`](crate::TlsOptions) cannot be used, when a lost connection is made again. On the first
    /// connection this is [`Error::InvalidArgument`](crate::Error::InvalidArgument).
    #[error("{0}")]
    File(String),
    /// What has no name here.
    #[error("{0}")]
    Other(String),
}

fn names(has: &[String]) -> String {
    if has.is_empty() {
        return "and has no name at all in its subjectAltName".into();
    }
    format!("but for {}", Printable(&has.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_beside_the_right_ones() {
        let failure = |has: &[&str]| TlsFailure::WrongName {
            wanted: "one.example".into(),
            has: has.iter().map(|&name| name.into()).collect(),
        };
        let text = failure(&["two.example", "::1"]).to_string();
        assert!(
            text.contains("\"one.example\", but for two.example, ::1:"),
            "{text}"
        );
        let text = failure(&[]).to_string();
        assert!(text.contains("no name at all"), "{text}");
        assert!(!failure(&["\u{1b}[2J"]).to_string().contains('\u{1b}'));
    }
}
