//! TLS towards clients.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

/// Files in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcTls {
    /// The chain, our own certificate first. Read again when it changes, as the key is.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate that it has signed.
    pub client_ca: Option<PathBuf>,
}

/// What the files say, ready for clients.
#[derive(Clone, Debug)]
pub struct ServerTls(pub(super) Arc<ServerConfig>);

impl ServerTls {
    /// Reads the files. The error names the one that is wrong.
    pub fn read(files: &RpcTls) -> io::Result<Self> {
        server_config(files).map(ServerTls)
    }
}

/// Offered to the client, in this order.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the cryptographic library can sign with; etcd's could do with P-521 as well.
const KEYS: &str = "a key of RSA, Ed25519, or ECDSA on P-256 or P-384 is needed";

fn server_config(tls: &RpcTls) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| bad_file(path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            builder.with_client_cert_verifier(verifier.build().map_err(|e| bad_file(path, e))?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Reloaded::new(tls, provider)?));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// The certificate as it stands in its files: renewed ones are used without a restart.
#[derive(Debug)]
struct Reloaded {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    certified: Arc<CertifiedKey>,
    written: [Option<SystemTime>; 2],
    checked: Instant,
}

/// Files are looked at this often at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Reloaded {
    fn new(tls: &RpcTls, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let written = [written(&tls.cert), written(&tls.key)];
        let certified = Arc::new(certified(&tls.cert, &tls.key, &provider)?);
        let current = Mutex::new(Current { certified, written, checked: Instant::now() });
        Ok(Reloaded { cert: tls.cert.clone(), key: tls.key.clone(), provider, current })
    }

    /// Goes on with the old one if the new one is no good: the two files may not be in place yet.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.checked.elapsed() >= CHECK_INTERVAL {
            current.checked = Instant::now();
            let written = [written(&self.cert), written(&self.key)];
            if written != current.written {
                match certified(&self.cert, &self.key, &self.provider) {
                    Ok(certified) => {
                        tracing::info!(cert = %self.cert.display(), "the certificate was renewed");
                        (current.certified, current.written) = (Arc::new(certified), written);
                    }
                    Err(error) => tracing::warn!(%error, "the certificate has changed, but cannot be used"),
                }
            }
        }
        current.certified.clone()
    }
}

impl ResolvesServerCert for Reloaded {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// A certificate and the key that belongs to it.
fn certified(cert: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| bad_file(key, e))?;
    let usable = provider.key_provider.load_private_key(secret.clone_key());
    usable.map_err(|e| bad_file(key, format!("{e}; {KEYS}")))?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|e| bad_file(cert, e))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|e| bad_file(path, e))?;
    if all.is_empty() { Err(bad_file(path, "no certificate in it")) } else { Ok(all) }
}

fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn bad_file(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(tls: &RpcTls, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&tls.cert, made.cert.pem()).unwrap();
        std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn files(dir: &Path) -> RpcTls {
        RpcTls { cert: dir.join("cert.pem"), key: dir.join("key.pem"), client_ca: None }
    }

    fn look_again(reloaded: &Reloaded) {
        let mut current = reloaded.current.lock().unwrap();
        current.checked -= CHECK_INTERVAL;
        current.written = [None, None];
    }

    #[test]
    fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let tls = files(dir.path());
        let first = write_pair(&tls, "first");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let reloaded = Reloaded::new(&tls, provider).unwrap();
        assert_eq!(reloaded.current().cert[0].as_ref(), first);

        let second = write_pair(&tls, "second");
        look_again(&reloaded);
        assert_eq!(reloaded.current().cert[0].as_ref(), second);

        std::fs::write(&tls.key, "half a key").unwrap();
        look_again(&reloaded);
        assert_eq!(reloaded.current().cert[0].as_ref(), second);
    }

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tls = files(dir.path());
        let error = server_config(&tls).unwrap_err().to_string();
        assert!(error.contains("cert.pem"), "{error}");
        write_pair(&tls, "a");
        std::fs::write(&tls.key, "no key").unwrap();
        let error = server_config(&tls).unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
        std::fs::write(&tls.key, ON_P_521).unwrap();
        let error = server_config(&tls).unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("P-256 or P-384"), "{error}");
    }

    /// Of the kind that etcd's --auto-tls makes.
    const ON_P_521: &str = "-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIBe/W3w88mSZUZduzn
VzpeEGRHr2FuKztMTOLXmvwOTp4YbZn56xQk2eKhiASf7YgF2AYPwHeTrk/mhTKT
xGy3AIuhgYkDgYYABAGRhm4MuCCoZShKtZyur924kcf+5t/ukn4V/r/Fg4ZcCSmZ
9R46xaQaZ2EVNY7J5jYzXRJpAF04v/p2mcOHndcG5wDl4uqOpqSZcpURaeIA6Tdm
fszJXVqhEdeQ1DkTU6Hw4NnNLruk4e3ZjIi0P7cmhWJ2Q6boKCh1wh6iqTb9J8zV
2A==
-----END PRIVATE KEY-----
";
}
