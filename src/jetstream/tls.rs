//! TLS towards NATS.

use std::path::Path;
use std::sync::Arc;

use async_nats::ConnectOptions;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::options::Tls;
use crate::store::log::LogError;

pub(super) fn apply(mut connect: ConnectOptions, tls: &Tls) -> Result<ConnectOptions, LogError> {
    if tls.required || tls.first {
        connect = connect.require_tls(true);
    }
    if tls.first {
        connect = connect.tls_first();
    }
    if tls.skip_verify {
        return Ok(connect.tls_client_config(unverified(tls)?));
    }
    if let Some(ca) = &tls.ca {
        readable(ca)?;
        connect = connect.add_root_certificates(ca.clone());
    }
    if let Some((cert, key)) = &tls.identity {
        readable(cert)?;
        readable(key)?;
        connect = connect.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(connect)
}

fn readable(path: &Path) -> Result<(), LogError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> LogError {
    LogError::Refused(format!("cannot use {}: {why}", path.display()))
}

/// A configuration that believes any server: what `--skip-verify` asks for.
fn unverified(tls: &Tls) -> Result<ClientConfig, LogError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refused = |error: rustls::Error| LogError::Refused(format!("TLS towards NATS: {error}"));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)));
    let Some((cert, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let certs = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let certs = certs.map_err(|error| unusable(cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    builder.with_client_auth_cert(certs, key).map_err(refused)
}

#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
