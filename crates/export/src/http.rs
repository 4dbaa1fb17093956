//! HTTP POST, and what the answer means for the record.

use std::fs;
use std::io::Read;
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts};

use crate::sink::Outcome;
use crate::{TlsConfig, Url, tls};

/// Bytes of an error's body that are told.
const TOLD: u64 = 300;

/// Longest wait that a receiver may ask for.
const LONGEST_WAIT: u64 = 3_600;

/// A client for one receiver; keeps its connection.
pub(crate) struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// Redirects are not followed: they would carry signature and token elsewhere.
    pub(crate) fn new(url: &Url, tls: &TlsConfig, timeout: Duration) -> Result<Self, String> {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("lapwing/", env!("CARGO_PKG_VERSION")));
        if url.is_https() {
            config = config.tls_config(client_tls(tls)?);
        }
        Ok(Self { agent: config.build().into() })
    }

    /// Sends one body.
    pub(crate) fn post(&self, url: &Url, headers: &[(&str, String)], body: &[u8]) -> Outcome {
        let mut request = self.agent.post(url.expose());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match request.send(body) {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let after = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
                    .map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT)));
                let mut told = Vec::new();
                // An answer that breaks off is still an answer.
                let _ignored = response.body_mut().as_reader().take(TOLD).read_to_end(&mut told);
                judge(status, &String::from_utf8_lossy(&told), after)
            }
            // The address holds a secret with some services.
            Err(error) => Outcome::retry(error.to_string().replace(url.expose(), &url.shown())),
        }
    }
}

/// Only what is wrong with the record itself makes a refusal final. A wrong token, a moved path, a receiver that is
/// overloaded or broken can be mended, and then nothing is to be missing.
fn judge(status: u16, told: &str, after: Option<Duration>) -> Outcome {
    let told: String = told.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let reason = format!("HTTP {status} {}", told.trim()).trim_end().to_owned();
    match status {
        200..=299 => Outcome::Delivered,
        400 | 406 | 411 | 413 | 414 | 415 | 422 | 431 => Outcome::Rejected { reason },
        _ => Outcome::Retry { reason, after },
    }
}

fn client_tls(settings: &TlsConfig) -> Result<ureq::tls::TlsConfig, String> {
    if settings.server_name.is_some() {
        return Err("`tls.server_name` is for syslog and MQTT; for HTTPS the name stands in the address".to_owned());
    }
    let roots: Vec<Certificate<'static>> =
        settings.authorities()?.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let identity = match (settings.identity()?, &settings.key_file) {
        (Some((chain, _)), Some(path)) => {
            let chain: Vec<_> = chain.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let pem = fs::read(path).map_err(|error| failed(&error))?;
            Some(ClientCert::new_with_certs(&chain, PrivateKey::from_pem(&pem).map_err(|error| failed(&error))?))
        }
        _ => None,
    };
    Ok(ureq::tls::TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(tls::provider())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_the_record_is_final() {
        for status in [200, 202, 204] {
            assert_eq!(judge(status, "", None), Outcome::Delivered);
        }
        for status in [400, 413, 422] {
            assert!(matches!(judge(status, "", None), Outcome::Rejected { .. }));
        }
        for status in [301, 401, 403, 404, 408, 429, 500, 503] {
            assert!(matches!(judge(status, "", None), Outcome::Retry { .. }));
        }
    }
}
