//! TLS with a real RabbitMQ: certificates of every kind, on both sides.

#![cfg(feature = "tls")]

#[allow(
    dead_code,
    unused_imports,
    reason = "other test binaries need more of it"
)]
#[path = "broker/support.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use puka::{
    Client, ClientOptions, ConnectionEvent, Consume, Disconnect, Error, Recovery, TlsFailure,
    TlsOptions,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use support::{Broker, LIMIT, unique};

/// A folder of certificates that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("tls"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A certificate and its key, as `NAME.pem` and `NAME.key`.
    fn write(&self, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) {
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A certificate of this subject, for these names.
fn params(subject: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}

struct Ca(Issuer<'static, KeyPair>);

impl Ca {
    /// One who signs, and the file of it.
    fn new(name: &str, folder: &Folder) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        folder.write(name, &params.self_signed(&key).unwrap(), &key);
        Self(Issuer::new(params, key))
    }

    fn sign(&self, name: &str, params: &CertificateParams, folder: &Folder) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        folder.write(name, &certificate, &key);
    }
}

/// A broker with a TLS listener, whose certificate is `server.pem`.
fn broker(folder: &Folder, more: &[&str], plugins: &str) -> Broker {
    let file = |name: &str| folder.path(name).display().to_string();
    let mut conf = vec![
        "listeners.ssl.1 = 127.0.0.1:{tls_port}".to_owned(),
        format!("ssl_options.cacertfile = {}", file("ca.pem")),
        format!("ssl_options.certfile = {}", file("server.pem")),
        format!("ssl_options.keyfile = {}", file("server.key")),
    ];
    conf.extend(more.iter().map(|&line| line.to_owned()));
    let conf: Vec<&str> = conf.iter().map(String::as_str).collect();
    Broker::start_with(&conf, plugins)
}

fn connect(url: &str, options: ClientOptions) -> puka::Result<Client> {
    let mut client = Client::with_options(url, options)?;
    client.connect().wait(&mut client)?;
    Ok(client)
}

fn with(tls: TlsOptions) -> ClientOptions {
    ClientOptions::new().tls(tls)
}

/// Bodies of every size there and back, by waits and by callbacks.
fn exchange(client: &mut Client) {
    let queue = unique("tls");
    client.queue_declare(&queue).wait(client).unwrap();
    // The last one takes more writes than one turn makes, and a socket that takes them all is not announced again.
    let bodies: Vec<Vec<u8>> = [1, 16_384, 200_000, 15_000_000]
        .into_iter()
        .map(|size: usize| (0..size).map(|index| (index % 251) as u8).collect())
        .collect();
    let publishes: Vec<_> = bodies
        .iter()
        .map(|body| client.basic_publish("", &queue, body.clone()))
        .collect();
    for publish in publishes {
        client.wait_timeout(publish, LIMIT).unwrap().unwrap();
    }
    let consumer = client.basic_consume(Consume::new(&queue).prefetch_count(2));
    for body in &bodies {
        let delivery = client.wait_timeout(consumer, LIMIT).unwrap().unwrap();
        assert!(delivery.body == *body);
        client.basic_reject(delivery, puka::Requeue::No).unwrap();
    }
    for body in &bodies {
        client.basic_publish("", &queue, body.clone());
    }
    let mut left = bodies.len();
    consumer.for_each(client, move |client, _, delivery| {
        if let Ok(delivery) = delivery {
            client.basic_ack(delivery).unwrap();
            left -= 1;
            if left == 0 {
                client.loop_break();
            }
        }
    });
    client.loop_forever().unwrap();
    client.queue_delete(&queue).wait(client).unwrap();
}

fn failure(result: puka::Result<Client>) -> TlsFailure {
    match result.unwrap_err() {
        Error::ConnectionBroken(Disconnect::Tls(failure)) => failure,
        error => panic!("{error}"),
    }
}

/// Who is connected.
fn users(broker: &Broker) -> String {
    broker.eval(
        "[binary_to_list(proplists:get_value(user, I)) || I <- rabbit_networking:connection_info_all()].",
    )
}

/// The broker wants a certificate, and takes its name for the user's.
fn certificates_of_clients(version: &str) {
    let folder = Folder::new();
    let ca = Ca::new("ca", &folder);
    ca.sign(
        "server",
        &params("a server", &["localhost", "127.0.0.1"]),
        &folder,
    );
    ca.sign("known", &params("known", &[]), &folder);
    ca.sign("unknown", &params("unknown", &[]), &folder);
    Ca::new("other", &folder).sign("foreign", &params("known", &[]), &folder);
    let versions = format!("ssl_options.versions.1 = {version}");
    let broker = broker(
        &folder,
        &[
            &versions,
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = EXTERNAL",
        ],
        "rabbitmq_auth_mechanism_ssl",
    );
    broker.eval(
        "rabbit_auth_backend_internal:add_user(<<\"known\">>, <<\"secret\">>, <<\"test\">>), \
         rabbit_auth_backend_internal:set_permissions(<<\"known\">>, <<\"/\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, \
         <<\"test\">>).",
    );
    let tls = |name: &str| {
        let file = |kind| folder.path(&format!("{name}.{kind}"));
        TlsOptions::new()
            .ca_file(folder.path("ca.pem"))
            .client_certificate(file("pem"), file("key"))
    };
    let url = &broker.tls_url;

    // No user in the URL: the certificate says it.
    let mut client = connect(url, with(tls("known"))).unwrap();
    let whose = users(&broker);
    assert!(whose.contains("known"), "{whose}");
    exchange(&mut client);
    client.close().wait(&mut client).unwrap();
    // With a user, or when asked to, it is as said.
    let guest = url.replace("amqps://", "amqps://guest:guest@");
    connect(&guest, with(tls("known"))).unwrap();
    let whose = users(&broker);
    assert!(!whose.contains("known"), "{whose}");
    connect(
        &format!("{guest}?auth_mechanism=external"),
        with(tls("known")),
    )
    .unwrap();

    let error = connect(url, with(tls("unknown"))).unwrap_err();
    assert!(matches!(error, Error::AccessRefused(_)), "{error}");
    assert!(!error.is_connection_broken());
    for options in [
        tls("foreign"),
        TlsOptions::new().ca_file(folder.path("ca.pem")),
    ] {
        let failure = failure(connect(url, with(options)));
        assert!(matches!(failure, TlsFailure::Refused(_)), "{failure}");
    }
}

#[test]
fn certificates_of_clients_in_tls_1_2() {
    certificates_of_clients("tlsv1.2");
}

#[test]
fn certificates_of_clients_in_tls_1_3() {
    certificates_of_clients("tlsv1.3");
}

#[test]
fn certificates_of_the_broker() {
    let folder = Folder::new();
    let ca = Ca::new("ca", &folder);
    let good = params("a server", &["localhost", "127.0.0.1"]);
    ca.sign("server", &good, &folder);
    let broker = broker(&folder, &[], "");
    let url = &broker.tls_url;
    let trusting = || TlsOptions::new().ca_file(folder.path("ca.pem"));
    let renewed = || {
        // Erlang remembers files for two minutes.
        broker.eval("ssl:clear_pem_cache().");
    };

    exchange(&mut connect(url, with(trusting())).unwrap());
    works_in_the_rest_of_the_library(&broker, &folder);
    files_may_be_replaced_at_any_time(&broker, &folder);
    what_does_not_fit_is_named(&broker, &folder);

    // The system does not know this CA.
    assert_eq!(
        failure(connect(url, ClientOptions::new())),
        TlsFailure::UnknownIssuer
    );
    let careless = || TlsOptions::new().dangerous_accept_any_certificate();
    connect(url, with(careless())).unwrap();

    let mut expired = good.clone();
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    ca.sign("server", &expired, &folder);
    renewed();
    assert_eq!(failure(connect(url, with(trusting()))), TlsFailure::Expired);
    connect(url, with(careless())).unwrap();

    ca.sign("server", &params("a server", &["rabbit.example"]), &folder);
    renewed();
    match failure(connect(url, with(trusting()))) {
        TlsFailure::WrongName { wanted, has } => {
            assert_eq!(
                (&*wanted, &has[..]),
                ("127.0.0.1", &["rabbit.example".to_owned()][..])
            );
        }
        failure => panic!("{failure}"),
    }
    connect(url, with(trusting().server_name("rabbit.example"))).unwrap();
    connect(
        &format!("{url}?server_name_indication=rabbit.example"),
        with(trusting()),
    )
    .unwrap();
    connect(url, with(careless())).unwrap();

    let key = KeyPair::generate().unwrap();
    folder.write("server", &good.self_signed(&key).unwrap(), &key);
    renewed();
    assert_eq!(
        failure(connect(url, with(trusting()))),
        TlsFailure::SelfSigned
    );
    connect(
        url,
        with(TlsOptions::new().ca_file(folder.path("server.pem"))),
    )
    .unwrap();

    Ca::new("another", &folder).sign("server", &good, &folder);
    renewed();
    assert_eq!(
        failure(connect(url, with(trusting()))),
        TlsFailure::UnknownIssuer
    );
    connect(
        url,
        with(TlsOptions::new().ca_file(folder.path("another.pem"))),
    )
    .unwrap();
}

/// Streams of the program's own, the keeper, recovery, and the URL's parameters.
fn works_in_the_rest_of_the_library(broker: &Broker, folder: &Folder) {
    let tls = || TlsOptions::new().ca_file(folder.path("ca.pem"));
    let url = &broker.tls_url;
    let file = |path: &Path| path.display().to_string();
    let by_url = format!(
        "{url}?cacertfile={}&heartbeat=1",
        file(&folder.path("ca.pem"))
    );
    let mut client = connect(&by_url, ClientOptions::new().background_heartbeats(true)).unwrap();
    // A busy program: the keeper's heartbeats go through the session.
    let queue = unique("tls");
    client.queue_declare(&queue).wait(&mut client).unwrap();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        std::hint::black_box(queue.len());
    }
    client
        .basic_publish("", &queue, "x")
        .wait(&mut client)
        .unwrap();
    connect(&format!("{url}?verify=verify_none"), ClientOptions::new()).unwrap();

    let address = url.trim_start_matches("amqps://").trim_end_matches('/');
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut over = Client::with_options("amqps://localhost/", with(tls())).unwrap();
    let stream = mio::net::TcpStream::from_std(stream);
    over.connect_over(stream).wait(&mut over).unwrap();
    exchange(&mut over);

    let mut client = connect(url, with(tls()).recovery(Recovery::new())).unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    client.on_connection_event(move |_, event| sender.send(event).unwrap());
    client
        .basic_publish("", &queue, "x")
        .wait(&mut client)
        .unwrap();
    broker.eval("rabbit_networking:close_all_connections(\"a test\").");
    let publish = client.basic_publish("", &queue, "y");
    client.wait(publish).unwrap();
    while !told
        .try_iter()
        .any(|event| matches!(event, ConnectionEvent::Restored(_)))
    {
        client.sleep(Duration::from_millis(10)).unwrap();
    }
    client
        .basic_publish("", &queue, "z")
        .wait(&mut client)
        .unwrap();
}

/// The client is cut off while somebody replaces its files, and finds half of one at its first attempt.
fn files_may_be_replaced_at_any_time(broker: &Broker, folder: &Folder) {
    let good = fs::read(folder.path("ca.pem")).unwrap();
    let file = folder.path("replaced.pem");
    for bad in [None, Some(&good[..0]), Some(&good[..good.len() / 2])] {
        fs::write(&file, &good).unwrap();
        let options = with(TlsOptions::new().ca_file(&file)).recovery(Recovery::new());
        let mut client = connect(&broker.tls_url, options).unwrap();
        match bad {
            None => fs::remove_file(&file).unwrap(),
            Some(bad) => fs::write(&file, bad).unwrap(),
        }
        let (sender, told) = std::sync::mpsc::channel();
        let (path, text) = (file.clone(), good.clone());
        client.on_connection_event(move |_, event| {
            // By then the first attempt has been made.
            if matches!(event, ConnectionEvent::Lost(_)) {
                fs::write(&path, &text).unwrap();
            }
            sender.send(event).unwrap();
        });
        broker.eval("rabbit_networking:close_all_connections(\"a test\").");
        let until = Instant::now() + LIMIT;
        let is_restored = || {
            told.try_iter()
                .any(|event| matches!(event, ConnectionEvent::Restored(_)))
        };
        while !is_restored() {
            assert!(Instant::now() < until, "{bad:?}");
            client.sleep(Duration::from_millis(10)).unwrap();
        }
        client
            .queue_declare(unique("tls"))
            .wait(&mut client)
            .unwrap();
    }
}

fn what_does_not_fit_is_named(broker: &Broker, folder: &Folder) {
    // TLS to the plain port, and the reverse.
    let plain = broker.url.replace("amqp://", "amqps://");
    assert_eq!(
        failure(connect(&plain, ClientOptions::new())),
        TlsFailure::NotTls
    );
    let reverse = broker.tls_url.replace("amqps://", "amqp://");
    let error = connect(&reverse, ClientOptions::new()).unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
    // Files.
    let missing = TlsOptions::new().ca_file("/no/such/file.pem");
    let error = connect(&broker.tls_url, with(missing)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains("/no/such/file.pem")),
        "{error}"
    );
    let key = folder.path("server.key");
    let swapped = TlsOptions::new().client_certificate(&key, &key);
    let error = connect(&broker.tls_url, with(swapped)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(text) if text.contains("server.key")),
        "{error}"
    );
    let shown = format!(
        "{error:?} {:?}",
        TlsOptions::new().client_certificate(&key, &key)
    );
    let secret = fs::read_to_string(&key).unwrap();
    assert!(!shown.contains(secret.lines().nth(1).unwrap()));
}
