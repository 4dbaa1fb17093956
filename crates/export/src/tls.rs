//! TLS for every sink: whom to trust, and who we are. rustls with ring; nothing can be switched off.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to trust, and who we are. `mqtt`, `syslog` and `webhook` have this table too; `mqtt` speaks TLS when it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities that are trusted. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The name that the receiver's certificate must bear. Default: the host of the address.
    pub server_name: Option<String>,
    /// Our own certificate (PEM), where the receiver asks for one.
    pub certificate_file: Option<PathBuf>,
    /// The key (PEM) of our own certificate.
    pub key_file: Option<PathBuf>,
}

/// Where systems keep the authorities they trust: Debian and Alpine, Fedora, SUSE, FreeBSD.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// A certificate chain with its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl TlsConfig {
    /// The trusted authorities. `SSL_CERT_FILE` names others than the system's, as for other programs.
    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let named = self.ca_file.clone().or_else(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from));
        let path = match named {
            Some(path) => path,
            None => SYSTEM_AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or(
                "this system keeps no list of trusted authorities where it is looked for; install `ca-certificates` or name \
                 a `tls.ca_file`",
            )?,
        };
        certificates(&path)
    }

    /// Our own certificate and key.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, String> {
        match (&self.certificate_file, &self.key_file) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let shown = key.display();
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{shown}: {error}"))?;
                Ok(Some((certificates(certificate)?, key)))
            }
            _ => Err("`tls.certificate_file` and `tls.key_file` belong together; give both".to_owned()),
        }
    }

    /// For sinks that speak TLS over a TCP stream of their own, to this host.
    pub(crate) fn client(&self, host: &str) -> Result<TlsClient, String> {
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(self.authorities()?);
        if taken == 0 {
            return Err("the list of trusted authorities holds no usable certificate".to_owned());
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match self.identity()? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?,
            None => builder.with_no_client_auth(),
        };
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name that a certificate can bear"))?;
        Ok(TlsClient { config: Arc::new(config), name })
    }
}

/// Speaks TLS to one host.
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    /// The name that the receiver's certificate must bear.
    name: ServerName<'static>,
}

impl TlsClient {
    /// TLS over this stream; the handshake comes with the first bytes.
    pub(crate) fn over(&self, stream: TcpStream) -> io::Result<TlsStream> {
        let connection =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

/// A stream that is encrypted, its receiver's identity checked.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// The algorithms of every TLS connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&error))?;
    if certificates.is_empty() {
        return Err(failed(&"holds no certificate in PEM form"));
    }
    Ok(certificates)
}
