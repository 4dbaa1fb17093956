//! Whom sinks trust, and how they show who they are.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::common::{LONG, ids, offer, one_sink, start, until};
use lapwing_export::Exporter;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};

/// A certificate for `localhost`, trusted where its file is named, and its key.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    made: CertifiedKey<rcgen::KeyPair>,
}

impl Identity {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { certificate, key, made }
    }
}

/// A receiver that answers every connection with 200 and tells what came; it may ask for a certificate.
fn receiver(identity: &Identity, asks_for: Option<&Identity>) -> (u16, Receiver<String>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match asks_for {
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.made.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![identity.made.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, came) = channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().map(Result::unwrap) {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let (mut text, mut buffer) = (String::new(), [0; 4_096]);
            // A refused handshake is an error here; an alert ends in `}` in either protocol.
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                if text.ends_with('}') {
                    let _left = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    stream.conn.send_close_notify();
                    let _left = stream.flush();
                }
            }
            if !text.is_empty() && sender.send(text).is_err() {
                return;
            }
        }
    });
    (port, came)
}

fn sink(kind: &str, port: u16, tls: &[(&str, &Path)]) -> String {
    let tls: Vec<String> = tls.iter().map(|(key, path)| format!(r#""{key}": "{}""#, path.display())).collect();
    let tls = format!(r#""tls": {{{}}}"#, tls.join(", "));
    match kind {
        "syslog" => format!(r#""syslog": {{"address": "localhost:{port}", "transport": "tls", {tls}}}"#),
        _ => format!(r#""webhook": {{"url": "https://localhost:{port}/", {tls}}}"#),
    }
}

fn offering(sink: &str, folder: &Path) -> Exporter {
    let exporter = start(&one_sink(sink), folder, |_| {});
    offer(&exporter, &ids("alert", 1));
    exporter
}

#[test]
fn only_a_receiver_whose_certificate_is_trusted_gets_alerts() {
    for kind in ["syslog", "webhook"] {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, another) = (Identity::new(folder.path(), "theirs"), Identity::new(folder.path(), "another"));
        let (port, came) = receiver(&theirs, None);
        let distrusting = offering(&sink(kind, port, &[("ca_file", &another.certificate)]), &folder.path().join("a"));
        until("the certificate is refused", || distrusting.status()[0].failing);
        drop(distrusting);
        assert!(came.try_recv().is_err(), "{kind}");
        let trusting = offering(&sink(kind, port, &[("ca_file", &theirs.certificate)]), &folder.path().join("b"));
        assert!(trusting.flush(LONG), "{kind}: {:?}", trusting.status());
        assert!(came.recv_timeout(LONG).unwrap().contains("alert-0"));
    }
}

#[test]
fn a_receiver_that_asks_who_we_are_is_shown_our_certificate() {
    for kind in ["syslog", "webhook"] {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, ours) = (Identity::new(folder.path(), "theirs"), Identity::new(folder.path(), "ours"));
        let (port, came) = receiver(&theirs, Some(&ours));
        let trusted = ("ca_file", theirs.certificate.as_path());
        let nameless = offering(&sink(kind, port, &[trusted]), &folder.path().join("a"));
        until("we are refused", || nameless.status()[0].failing);
        drop(nameless);
        let known = [trusted, ("certificate_file", &ours.certificate), ("key_file", &ours.key)];
        let known = offering(&sink(kind, port, &known), &folder.path().join("b"));
        assert!(known.flush(LONG), "{kind}: {:?}", known.status());
        assert!(came.recv_timeout(LONG).unwrap().contains("alert-0"));
    }
}
