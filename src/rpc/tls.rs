//! TLS towards clients.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Files in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcTls {
    /// The chain, our own certificate first.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Whom client certificates are trusted from. As in etcd, a client must have one if this is given.
    pub client_ca: Option<PathBuf>,
    /// Clients must have a certificate; needs `client_ca`.
    pub client_cert_auth: bool,
}

/// Offered to the client, in this order.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Reads the files.
pub(super) fn server_config(tls: &RpcTls) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| bad_file(path, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| bad_file(path, e))?)
        }
        None if tls.client_cert_auth => {
            let why = "client certificates are demanded, but no CA is given to check them with";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| bad_file(&tls.key, e))?;
    let mut config = builder.with_single_cert(certificates(&tls.cert)?, key).map_err(|e| bad_file(&tls.cert, e))?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|e| bad_file(path, e))?;
    if all.is_empty() { Err(bad_file(path, "no certificate in it")) } else { Ok(all) }
}

fn bad_file(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}
