//! Encrypted connections.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::server::{Asked, PASSWORD, Reply, Server};

/// Asks over TLS, trusting nothing but this certificate.
fn ask(server: &Server, certificate: &Path, asked: &Asked) -> Reply {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(server.address.ip());
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, server.connect());
    stream.write_all(&asked.bytes(server.address)).expect("the certificate is the one that is trusted");
    Reply::read(&mut BufReader::new(stream)).expect("an answer")
}

/// A certificate for this address and its key, in files.
fn made(folder: &Path, name: &str, address: SocketAddr) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([address.ip().to_string()]).unwrap().self_signed(&key).unwrap();
    let paths = ["certificate", "key"].map(|part| folder.join(format!("{name}-{part}.pem")));
    fs::write(&paths[0], certificate.pem()).unwrap();
    fs::write(&paths[1], key.serialize_pem()).unwrap();
    let [certificate, key] = paths.map(|path| path.to_str().unwrap().to_owned());
    (certificate, key)
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn connections_are_encrypted_with_the_certificate_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = made(folder.path(), "given", LOOPBACK);
    let server = Server::bare(&["--tls-certificate", &certificate, "--tls-key", &key]);
    let account = json!({ "code": server.code, "username": "admin", "password": PASSWORD });
    let made = ask(&server, certificate.as_ref(), &Asked::new("POST", "/auth/setup").json(&account));
    assert_eq!(made.status, 200, "{made:?}");
    let cookies = made.headers("set-cookie");
    assert_eq!(cookies.len(), 2, "of the session, and to refresh it");
    assert!(cookies.iter().all(|cookie| cookie.contains("; Secure") && cookie.contains("; HttpOnly")), "{cookies:?}");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let alerts = ask(&server, certificate.as_ref(), &Asked::new("GET", "/api/v1/alerts").token(&token));
    assert_eq!(alerts.given()["count"], 0);
}

#[test]
fn who_does_not_encrypt_gets_no_answer_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = made(folder.path(), "given", LOOPBACK);
    let server = Server::bare(&["--tls-certificate", &certificate, "--tls-key", &key]);
    for said in [&b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1], &[0; 300]] {
        let mut stream = server.connect();
        stream.write_all(said).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A connection may be reset as well as closed.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert_eq!(ask(&server, certificate.as_ref(), &Asked::new("GET", "/health")).status, 200);
}

#[test]
fn a_certificate_of_its_own_is_made_once_and_its_key_is_for_nobody_else() {
    let server = Server::bare(&["--tls-self-signed"]);
    let find = |name: &str| {
        let found = walk(server.folder()).into_iter().find(|path| path.ends_with(name));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let (certificate, key) = (find("certificate.pem"), find("key.pem"));
    assert_eq!(ask(&server, &certificate, &Asked::new("GET", "/health")).status, 200);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn what_cannot_encrypt_is_said_and_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, _) = made(folder.path(), "one", LOOPBACK);
    let (_, other) = made(folder.path(), "other", LOOPBACK);
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for (arguments, said) in [
        (vec!["--tls-certificate", &certificate, "--tls-key", &other], "do not fit each other"),
        (vec!["--tls-certificate", empty, "--tls-key", &other], "there is no certificate in it"),
        (vec!["--tls-certificate", &certificate, "--tls-key", "/nowhere/key.pem"], "/nowhere/key.pem: cannot be read"),
        (vec!["--tls-certificate", &certificate], "key"),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_lapwing"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(&arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
