//! Encrypted connections.

use std::fs;
use std::io::BufReader;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use lapwing_capture::interfaces;
use lapwing_engine::ServeSettings;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What connections are encrypted with, if they are to be: what the settings name, else what is made and kept in `made_in`.
pub(super) fn settled(settings: &ServeSettings, made_in: Option<&Path>) -> Result<Option<Arc<ServerConfig>>> {
    match (&settings.tls_certificate, &settings.tls_key, made_in) {
        (Some(certificate), Some(key), _) => read(certificate, key).map(Some),
        (None, None, None) => Ok(None),
        (None, None, Some(folder)) => {
            let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
            if !is_good(&certificate) || !key.exists() {
                make(settings.listen, &certificate, &key)?;
            }
            read(&certificate, &key).map(Some)
        }
        _ => bail!("TLS needs both a certificate and its key"),
    }
}

/// How long a certificate is good: what browsers take at most.
const GOOD_FOR: Duration = Duration::from_secs(825 * DAY);

const DAY: u64 = 86_400;

/// Whether there is a certificate that has not run out: it was written when it was made.
fn is_good(certificate: &Path) -> bool {
    let written = fs::metadata(certificate).and_then(|found| found.modified());
    // Where a clock was ahead, it is good for longer.
    written.is_ok_and(|written| written.elapsed().unwrap_or_default() < GOOD_FOR - Duration::from_secs(2 * DAY))
}

/// The addresses that others reach `listen` by.
fn addresses(listen: IpAddr) -> Vec<String> {
    if !listen.is_unspecified() {
        return vec![listen.to_string()];
    }
    let found = interfaces().unwrap_or_default();
    found.iter().flat_map(|interface| &interface.ips).map(ToString::to_string).collect()
}

/// Makes a certificate for this machine, that is good where somebody says so.
fn make(listen: SocketAddr, certificate: &Path, key: &Path) -> Result<()> {
    let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let names = ["localhost", "127.0.0.1", "::1", host.trim()].map(str::to_owned);
    let mut names: Vec<String> = names.into_iter().chain(addresses(listen.ip())).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names).context("a certificate cannot be made")?;
    params.distinguished_name.push(DnType::CommonName, "Lapwing");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    let yesterday = now.saturating_sub(Duration::from_secs(DAY));
    params.not_before = date_time_ymd(1970, 1, 1) + yesterday;
    params.not_after = params.not_before + GOOD_FOR;
    let pair = KeyPair::generate().context("a key cannot be made")?;
    let made = params.self_signed(&pair).context("a certificate cannot be made")?;
    write_private(key, &pair.serialize_pem())?;
    fs::write(certificate, made.pem()).with_context(|| certificate.display().to_string())?;
    eprintln!("lapwing: made a certificate: {}", certificate.display());
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut open = fs::OpenOptions::new();
    let file = open.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let open = |path: &Path| {
        fs::File::open(path).map(BufReader::new).with_context(|| format!("{}: cannot be read", path.display()))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(open(certificate)?).collect();
    let chain = chain.with_context(|| certificate.display().to_string())?;
    if chain.is_empty() {
        bail!("{}: there is no certificate in it", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_reader(open(key)?).with_context(|| key.display().to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit each other", certificate.display(), key.display()))?;
    Ok(Arc::new(config))
}
