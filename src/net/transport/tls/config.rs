//! What to trust and to show: the files of [`TlsOptions`], read.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, RootCertStore};
use rustls_native_certs::CertificateResult;

use super::pem;
use super::verify::Verifier;
use crate::types::tls_options::TlsOptions;

/// Made once, and shared by sessions.
#[derive(Clone)]
pub(crate) struct TlsConfig {
    pub(super) config: Arc<ClientConfig>,
    /// In place of the host's.
    pub(super) server_name: Option<String>,
}

/// Not what is in it: a key is.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier(options, &provider)?));
        let config = match identity(options)? {
            Some((chain, key, files)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| identity_error(&files, &error))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: options.server_name.clone(),
        })
    }
}

fn verifier(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<Verifier, String> {
    if options.accept_any_certificate == Some(true) {
        return Ok(Verifier::none(provider));
    }
    match &options.ca_file {
        Some(path) => {
            let trusted = certificates(path)?;
            let mut roots = RootCertStore::empty();
            for certificate in &trusted {
                roots.add(certificate.clone()).map_err(|error| {
                    format!(
                        "{}: a certificate in it cannot be trusted: {error}",
                        path.display()
                    )
                })?;
            }
            Verifier::new(roots, trusted, provider)
        }
        None => {
            let roots = system_roots(rustls_native_certs::load_native_certs())?;
            Verifier::new(roots, Vec::new(), provider)
        }
    }
}

fn system_roots(found: CertificateResult) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let mut text =
        "this system trusts nobody: install its package of CA certificates, or give a ca_file"
            .to_owned();
    for error in found.errors {
        text += &format!("; {error}");
    }
    Err(text)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, String);

/// The client's certificate with its chain, its key, and where they are from.
fn identity(options: &TlsOptions) -> Result<Option<Identity>, String> {
    let (certificate, key) = match (&options.certificate_file, &options.key_file) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        // One file may hold both.
        (Some(both), None) => (both, both),
        (None, Some(key)) => {
            let key = key.display();
            return Err(format!("{key}: this key has no client certificate with it"));
        }
    };
    let files = format!("{}, {}", certificate.display(), key.display());
    Ok(Some((certificates(certificate)?, private_key(key)?, files)))
}

fn identity_error(files: &str, error: &Error) -> String {
    match error {
        Error::InconsistentKeys(_) => {
            format!("{files}: the key does not match the certificate")
        }
        error => format!("{files}: this client certificate cannot be used: {error}"),
    }
}

/// The PEM blocks of a file.
fn read(path: &Path) -> Result<String, String> {
    let file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    pem::blocks(&file).map_err(|error| not_pem(path, &error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let blocks = read(path)?;
    if blocks.contains("-----BEGIN TRUSTED CERTIFICATE-----") {
        return Err(format!(
            "{path}: a certificate in it is in a form of OpenSSL's own (TRUSTED CERTIFICATE): convert it with openssl \
             x509 -in {path} -out ...",
            path = path.display()
        ));
    }
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(blocks.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(format!(
            "{}: no certificate in it (PEM, -----BEGIN CERTIFICATE-----)",
            path.display()
        ));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let blocks = read(path)?;
    let has = |mark: &str| blocks.contains(mark);
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "{path}: the key is encrypted: decrypt it with openssl pkey -in {path} -out ...",
            path = path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(blocks.as_bytes()).map_err(|error| match error {
        PemError::NoItemsFound => format!(
            "{}: no private key in it (PEM: PKCS#8, PKCS#1 or SEC1)",
            path.display()
        ),
        error => not_pem(path, &error.to_string()),
    })
}

fn not_pem(path: &Path, error: &str) -> String {
    format!(
        "{}: not a PEM file as it should be: {error}",
        path.display()
    )
}
