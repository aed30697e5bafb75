//! What a user may say of TLS. What it comes to, and the reading of the files, is in `transport/tls/`.

use std::path::PathBuf;

/// Options of TLS, for `amqps://` and RabbitMQ's [TLS listeners](https://www.rabbitmq.com/docs/ssl). With an `amqp://` URL,
/// which encrypts nothing, they are an error.
///
/// Without any, the server's certificate must name the host and be signed by somebody whom the system trusts. The files
/// are read each time the client connects. While a lost connection is made again, a file that cannot be read is an attempt
/// that failed, and the next attempt reads it again: files may be replaced at any time.
///
/// ```
/// use puka::TlsOptions;
///
/// let options = TlsOptions::new()
///     .ca_file("/etc/rabbitmq/ca_certificate.pem")
///     .client_certificate("client_certificate.pem", "client_key.pem");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    pub(crate) accept_any_certificate: Option<bool>,
}

impl TlsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A PEM file with the certificates of those who may sign the server's, in place of the system's: with
    /// [`openssl` or tls-gen](https://www.rabbitmq.com/docs/ssl#certificates-and-keys) the one called
    /// `ca_certificate.pem`.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The client's own certificate, for brokers that [ask for
    /// one](https://www.rabbitmq.com/docs/ssl#peer-verification): a PEM file with the certificate, followed by its chain
    /// if it has any, and one with its key (PKCS#8, PKCS#1 or SEC1, not encrypted). Both may be the same file.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.certificate_file = Some(certificate.into());
        self.key_file = Some(key.into());
        self
    }

    /// The name, or the IP address, that the server's certificate must have, and that the server is asked for
    /// ([SNI](https://www.rabbitmq.com/docs/ssl#sni)); the host connected to, if not said.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes every certificate, whoever's it is: whoever sits on the way [reads and writes
    /// everything](https://www.rabbitmq.com/docs/ssl#peer-verification), the password first.
    #[must_use]
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.accept_any_certificate = Some(true);
        self
    }

    /// Whether they say nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where they say nothing, the other ones. A certificate and its key come from one place.
    pub(crate) fn or(self, other: &Self) -> Self {
        let (certificate_file, key_file) = match (self.certificate_file, self.key_file) {
            (None, None) => (other.certificate_file.clone(), other.key_file.clone()),
            own => own,
        };
        Self {
            ca_file: self.ca_file.or_else(|| other.ca_file.clone()),
            certificate_file,
            key_file,
            server_name: self.server_name.or_else(|| other.server_name.clone()),
            accept_any_certificate: self.accept_any_certificate.or(other.accept_any_certificate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_values_win() {
        let other = TlsOptions::new()
            .ca_file("other.ca")
            .client_certificate("other.cert", "other.key")
            .dangerous_accept_any_certificate();
        let own = TlsOptions::new().ca_file("own.ca").server_name("own");
        let both = own.or(&other);
        assert_eq!(both.ca_file, Some("own.ca".into()));
        assert_eq!(both.certificate_file, Some("other.cert".into()));
        assert_eq!(both.key_file, Some("other.key".into()));
        assert_eq!(both.server_name.as_deref(), Some("own"));
        assert_eq!(both.accept_any_certificate, Some(true));

        let own = TlsOptions::new().client_certificate("own.cert", "own.key");
        assert_eq!(own.or(&other).key_file, Some("own.key".into()));
    }
}
