//! TLS: whom to trust, what to show, and what each fault is called.

use rustls::version::{TLS12, TLS13};

use super::pki::{Ca, Identity, Pki, Server, params};
use super::*;
use crate::net::transport::TlsConfig;
use crate::types::tls_failure::TlsFailure;
use crate::types::tls_options::TlsOptions;

/// The failure of a connection, which both sides must come to the end of.
fn failure(server: Server, options: &TlsOptions) -> TlsFailure {
    let server = server.start(|mut stream| echo(&mut stream));
    let mut client = server.connect(options).unwrap();
    let error = client.exchange(b"hello", 5).unwrap_err();
    drop(client);
    server.peer.join().unwrap();
    match error {
        Disconnect::Tls(failure) => failure,
        error => panic!("{error:?}"),
    }
}

fn succeeds(server: Server, options: &TlsOptions) {
    let server = server.start(|mut stream| echo(&mut stream));
    let mut client = server.connect(options).unwrap();
    client.exchange(b"hello", 5).unwrap();
    assert_eq!(client.received, b"hello"[..]);
    client.transport.goodbye();
    drop(client);
    server.peer.join().unwrap();
}

#[test]
fn each_fault_of_a_certificate_has_its_name() {
    let pki = Pki::new();
    let names = ["localhost"];
    let sign = |edit: fn(&mut rcgen::CertificateParams)| {
        let mut params = params("a server", &names);
        edit(&mut params);
        pki.server_with(pki.ca.sign(&params))
    };
    let check = |server| failure(server, &pki.options());

    let expired = sign(|params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    assert_eq!(check(expired), TlsFailure::Expired);
    let future = sign(|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    assert_eq!(check(future), TlsFailure::NotYetValid);

    let other = params("a server", &["one.example", "10.0.0.1"]);
    let has = vec!["one.example".into(), "10.0.0.1".into()];
    let wanted = "localhost".into();
    assert_eq!(
        check(pki.server_with(pki.ca.sign(&other))),
        TlsFailure::WrongName { wanted, has }
    );

    let other = Ca::new("another CA").sign(&params("a server", &names));
    assert_eq!(check(pki.server_with(other)), TlsFailure::UnknownIssuer);

    let renewed = Ca::new("a CA").sign(&params("a server", &names));
    let text = check(pki.server_with(renewed)).to_string();
    assert!(text.contains("under its old name"), "{text}");

    let own = Identity::self_signed(&params("a server", &names));
    assert_eq!(check(pki.server_with(own)), TlsFailure::SelfSigned);
    // As `openssl req -x509` makes them.
    let mut own = params("a server", &names);
    own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = Identity::self_signed(&own);
    let file = pki.folder.write("own.pem", &own.certificate.pem());
    let key = rcgen::KeyPair::from_pem(&own.key.serialize_pem()).unwrap();
    let certificate = own.certificate.clone();
    assert_eq!(check(pki.server_with(own)), TlsFailure::SelfSigned);

    // To trust it does not help, so that is not what is said then.
    let own = Identity { certificate, key };
    let failure = failure(pki.server_with(own), &TlsOptions::new().ca_file(file));
    assert!(
        matches!(failure, TlsFailure::OtherCertificate(_)),
        "{failure}"
    );
}

#[test]
fn a_self_signed_certificate_can_be_trusted() {
    let pki = Pki::new();
    let own = Identity::self_signed(&params("a server", &["localhost"]));
    let file = pki.folder.write("own.pem", &own.certificate.pem());
    succeeds(pki.server_with(own), &TlsOptions::new().ca_file(file));
}

#[test]
fn any_certificate_is_accepted_if_the_user_says_so() {
    let pki = Pki::new();
    for version in [&TLS12, &TLS13] {
        let own = Identity::self_signed(&params("a server", &["one.example"]));
        let options = TlsOptions::new().dangerous_accept_any_certificate();
        succeeds(pki.server_with(own).only(version), &options);
    }
}

#[test]
fn the_server_may_have_another_name_or_an_address() {
    let pki = Pki::new();
    for name in ["one.example", "127.0.0.1", "::1"] {
        let server = pki.server_with(pki.ca.sign(&params("a server", &[name])));
        succeeds(server, &pki.options().server_name(name));
    }
    let failure = failure(pki.server(), &pki.options().server_name("127.0.0.2"));
    assert!(matches!(failure, TlsFailure::WrongName { .. }), "{failure}");

    let server = pki.server().start(|_| ());
    let options = pki.options().server_name("no name!");
    let error = server.connect(&options).err().unwrap();
    assert!(error.to_string().contains("\"no name!\""), "{error}");
    server.peer.join().unwrap();
}

#[test]
fn a_client_certificate_is_shown() {
    let pki = Pki::new();
    for version in [&TLS12, &TLS13] {
        let options = pki.with_client_certificate(&pki.ca, pki.options());
        succeeds(
            pki.server().wants_client_of(&pki.ca).only(version),
            &options,
        );
    }
}

#[test]
fn a_missing_or_unknown_client_certificate_is_refused() {
    let pki = Pki::new();
    for version in [&TLS12, &TLS13] {
        let server = pki.server().wants_client_of(&pki.ca).only(version);
        let failure_of_none = failure(server, &pki.options());
        let text = failure_of_none.to_string();
        assert!(matches!(failure_of_none, TlsFailure::Refused(_)), "{text}");
        assert!(text.contains("client certificate"), "{text}");

        let options = pki.with_client_certificate(&Ca::new("another CA"), pki.options());
        let server = pki.server().wants_client_of(&pki.ca).only(version);
        let failure_of_other = failure(server, &options);
        let text = failure_of_other.to_string();
        assert!(matches!(failure_of_other, TlsFailure::Refused(_)), "{text}");
        assert!(text.contains("issuer of the client certificate"), "{text}");
    }
}

/// An editor's byte-order mark before the first certificate, no line break behind it, and a server that is signed by each.
#[test]
fn no_certificate_of_a_file_is_lost() {
    let pki = Pki::new();
    let others = [Ca::new("another CA"), Ca::new("a third CA")];
    let [second, third] = others.each_ref().map(|ca| ca.certificate.pem());
    let first = pki.ca.certificate.pem();
    let joined = format!("\u{feff}{}{}{third}", first.trim_end(), second.trim_end());
    let file = pki.folder.write("joined.pem", &joined);
    let trusting = TlsOptions::new().ca_file(file);
    succeeds(pki.server(), &trusting);
    for ca in &others {
        let identity = ca.sign(&params("a server", &["localhost"]));
        succeeds(pki.server_with(identity), &trusting);
    }
    let commented = pki
        .folder
        .write("commented.pem", &format!("my CA: {first}"));
    let error = TlsConfig::new(&TlsOptions::new().ca_file(commented)).unwrap_err();
    assert!(
        error.contains("commented.pem") && error.contains("line 1"),
        "{error}"
    );
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let identity = pki.ca.sign(&params("a client", &[]));
    let key = pki.folder.write(
        "key.pem",
        &format!("\u{feff}{}", identity.key.serialize_pem() + &key),
    );
    let certificate = pki.folder.write(
        "cert.pem",
        &format!("\u{feff}{}", identity.certificate.pem()),
    );
    let options = pki.options().client_certificate(certificate, key);
    succeeds(pki.server().wants_client_of(&pki.ca), &options);
}

#[test]
fn a_file_that_is_not_right_is_named() {
    let pki = Pki::new();
    let identity = pki.ca.sign(&params("a client", &[]));
    let folder = &pki.folder;
    let certificate = folder.write("cert.pem", &identity.certificate.pem());
    let key = folder.write("key.pem", &identity.key.serialize_pem());
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let other_key = folder.write("other_key.pem", &other_key);
    let empty = folder.write("empty.pem", "");
    let broken = folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = folder.write("encrypted.pem", encrypted);
    let missing = folder.write("gone.pem", "");
    std::fs::remove_file(&missing).unwrap();

    let client = |certificate, key| pki.options().client_certificate(certificate, key);
    for (options, file, what) in [
        (
            TlsOptions::new().ca_file(&missing),
            "gone.pem",
            "No such file",
        ),
        (
            TlsOptions::new().ca_file(&empty),
            "empty.pem",
            "no certificate in it",
        ),
        (
            TlsOptions::new().ca_file(&broken),
            "broken.pem",
            "not a PEM file",
        ),
        (
            TlsOptions::new().ca_file(&key),
            "key.pem",
            "no certificate in it",
        ),
        (client(&missing, &key), "gone.pem", "No such file"),
        (client(&empty, &key), "empty.pem", "no certificate in it"),
        (client(&certificate, &missing), "gone.pem", "No such file"),
        (
            client(&certificate, &certificate),
            "cert.pem",
            "no private key in it",
        ),
        (
            client(&certificate, &encrypted),
            "encrypted.pem",
            "encrypted",
        ),
        (
            client(&certificate, &other_key),
            "other_key.pem",
            "does not match",
        ),
    ] {
        let error = TlsConfig::new(&options).unwrap_err();
        assert!(error.contains(file) && error.contains(what), "{error}");
    }
    let mut half = pki.options();
    half.key_file = Some(key.clone());
    assert!(
        TlsConfig::new(&half)
            .unwrap_err()
            .contains("no client certificate")
    );
    assert!(TlsConfig::new(&client(&certificate, &key)).is_ok());

    let both = identity.certificate.pem() + &identity.key.serialize_pem();
    let mut one = pki.options();
    one.certificate_file = Some(folder.write("both.pem", &both));
    assert!(TlsConfig::new(&one).is_ok());
}
