//! rustls's errors in this crate's words: what is wrong, and what to do.

use rustls::{AlertDescription, CertificateError, Error, OtherError};

use super::verify::SelfSigned;
use crate::types::tls_failure::TlsFailure;

pub(super) fn of(error: Error) -> TlsFailure {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::AlertReceived(alert) => TlsFailure::Refused(of_alert(alert)),
        error => TlsFailure::Other(error.to_string()),
    }
}

fn of_certificate(error: CertificateError) -> TlsFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::NotYetValid
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => TlsFailure::WrongName {
            wanted: expected.to_str().into_owned(),
            has: presented.iter().map(|name| plain_name(name)).collect(),
        },
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::BadSignature => TlsFailure::OtherCertificate(
            "a signature does not fit its issuer's key: has the CA been made anew, under its old name?"
                .into(),
        ),
        CertificateError::Other(error) => of_other(&error),
        error => TlsFailure::OtherCertificate(error.to_string()),
    }
}

fn of_other(error: &OtherError) -> TlsFailure {
    if error.0.is::<SelfSigned>() {
        return TlsFailure::SelfSigned;
    }
    let text = match error.0.downcast_ref::<webpki::Error>() {
        Some(webpki::Error::CaUsedAsEndEntity) => {
            "it is the certificate of a CA (basicConstraints says CA:TRUE): have that sign one for the server".into()
        }
        Some(webpki::Error::UnsupportedCertVersion) => {
            "it is an X.509 certificate of version 1 or 2: make one of version 3, with a subjectAltName".into()
        }
        _ => error.0.to_string(),
    };
    TlsFailure::OtherCertificate(text)
}

/// webpki names a name with its kind: `DnsName("localhost")`, `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> String {
    let inner = name
        .strip_suffix(')')
        .and_then(|name| name.split_once('('))
        .map_or(name, |(_, inner)| inner);
    inner.trim_matches('"').to_owned()
}

fn of_alert(alert: AlertDescription) -> String {
    let what = match alert {
        AlertDescription::CertificateRequired => {
            "it wants a client certificate: give it one with client_certificate"
        }
        AlertDescription::HandshakeFailure => {
            "it found no way to agree: it may want a client certificate, or have no TLS version or cipher in common"
        }
        AlertDescription::UnknownCA => {
            "it does not know the issuer of the client certificate: that one's CA must be in the broker's cacertfile"
        }
        AlertDescription::CertificateExpired => {
            "the client certificate has expired, or a clock is wrong"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked => {
            "it does not take the client certificate (or wants one and has none)"
        }
        AlertDescription::ProtocolVersion => "it has no TLS 1.2 or 1.3",
        AlertDescription::UnrecognisedName => {
            "it knows no server of this name: server_name says which to ask for"
        }
        _ => "its log may say why",
    };
    format!("{what} (TLS alert {alert:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_kind() {
        assert_eq!(plain_name("DnsName(\"*.example\")"), "*.example");
        assert_eq!(plain_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(plain_name("DirectoryName"), "DirectoryName");
    }
}
