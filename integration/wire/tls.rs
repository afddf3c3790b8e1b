//! TLS, with and without client certificates.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use super::client::{Client, said, watch_one};
use super::target::Target;

/// An authority, and files with what it has signed.
struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), &pem).unwrap();
        Authority { dir, issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Certificate and key, in files.
    fn server(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.sign("localhost");
        let paths = (self.dir.path().join("server.pem"), self.dir.path().join("server.key"));
        std::fs::write(&paths.0, certificate).unwrap();
        std::fs::write(&paths.1, key).unwrap();
        paths
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn client_config(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.pem)).domain_name("localhost")
    }

    fn identity(&self) -> Identity {
        let (certificate, key) = self.sign("client");
        Identity::from_pem(certificate, key)
    }
}

fn serve(authority: &Authority, client_ca: Option<&Path>) -> Target {
    let (certificate, key) = authority.server();
    Target::jine_with(|jine| {
        jine.args(["--listen-client-urls", "https://127.0.0.1:0"]);
        jine.arg("--server-cert-file").arg(certificate).arg("--server-key-file").arg(key);
        if let Some(ca) = client_ca {
            jine.arg("--trusted-ca-file").arg(ca).arg("--client-cert-auth");
        }
    })
}

async fn connect(target: &Target, config: ClientTlsConfig) -> Channel {
    let endpoint = Channel::from_shared(format!("https://{}", target.endpoint())).unwrap();
    endpoint.tls_config(config).unwrap().connect_lazy()
}

#[tokio::test]
async fn clients_check_the_server() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let target = serve(&ours, None);
    let mut client = Client::over(connect(&target, ours.client_config()).await);
    assert_eq!(client.put("k", "v").await, 2);
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    client.put("k", "w").await;
    assert_eq!(watch.events(1).await.len(), 1);

    let mut mistrusting = Client::over(connect(&target, other.client_config()).await);
    said(mistrusting.kv.range(super::client::one("k")).await);
    let plain = Channel::from_shared(format!("http://{}", target.endpoint())).unwrap().connect_lazy();
    said(Client::over(plain).kv.range(super::client::one("k")).await);
}

#[tokio::test]
async fn the_server_checks_clients() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let target = serve(&ours, Some(&ours.ca()));
    let trusted = ours.client_config().identity(ours.identity());
    assert_eq!(Client::over(connect(&target, trusted).await).put("k", "v").await, 2);

    for refused in [ours.client_config(), ours.client_config().identity(other.identity())] {
        let mut client = Client::over(connect(&target, refused).await);
        said(client.kv.range(super::client::one("k")).await);
    }
}
