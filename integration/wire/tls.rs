//! TLS, with and without client certificates.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use super::client::{Client, said, watch_one};
use super::target::Target;
use crate::support::etcdctl::{etcdctl, etcdctl_ok};
use crate::support::eventually;
use crate::support::jine::{Jine, embedded};

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
        self.sign_as(name, IsCa::NoCa)
    }

    fn sign_as(&self, name: &str, is_ca: IsCa) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = is_ca;
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

/// etcd's words, and the reason, which nobody else tells: a client sees no more than that it does not come through.
#[test]
fn a_client_certificate_that_is_refused_is_told_in_the_log() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (server, key) = ours.server();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let trusted = file("trusted", &(ours.pem.clone() + VERSION_1_CA));
    let mut command = embedded(&dir.path().join("data"));
    command.arg("--server-cert-file").arg(server).arg("--server-key-file").arg(key);
    command.args(["--client-cert-auth", "--trusted-ca-file", &trusted]);
    let mut jine = Jine::start(command);
    let address = format!("https://localhost:{}", jine.address().rsplit_once(':').unwrap().1);
    let put = |certificate: &str, key: &str, limit: &str| {
        let (certificate, key) = (file("cert", certificate), file("key", key));
        let tls = ["--cacert", &trusted, "--cert", &certificate, "--key", &key, "--command-timeout", limit];
        etcdctl(&address, &[&tls[..], &["put", "a", "b"]].concat())
    };
    let (certificate, key) = ours.sign("client");
    assert_eq!(put(&certificate, &key, "60s"), (true, "OK\n".to_owned()));
    assert!(!jine.log().contains("rejected"), "{}", jine.log());
    let authority = ours.sign_as("client", IsCa::Ca(BasicConstraints::Unconstrained));
    let version_1 = (VERSION_1.to_owned(), VERSION_1_KEY.to_owned());
    for ((certificate, key), why) in [
        (other.sign("client"), "UnknownIssuer"),
        (authority, "CaUsedAsEndEntity"),
        (version_1, "UnsupportedCertVersion"),
    ] {
        // Not each rejection has a line.
        eventually(why, || {
            assert!(!put(&certificate, &key, "1s").0, "{why}");
            let log = jine.log();
            let line = log.lines().find(|line| line.contains(why))?;
            for part in ["WARN", "rejected connection on client endpoint", "remote_addr=127.0.0.1:", "\"localhost\""] {
                assert!(line.contains(part), "{part}: {line}");
            }
            Some(())
        });
    }
    assert_eq!(jine.stop("TERM"), Some(0));
}

/// Nobody waits for an answer on it.
#[test]
fn a_handshake_that_is_not_done_does_not_hold_up_the_end() {
    let ours = Authority::new("ours");
    let (server, key) = ours.server();
    let data = tempfile::tempdir().unwrap();
    let mut command = embedded(data.path());
    command.arg("--server-cert-file").arg(server).arg("--server-key-file").arg(key);
    let mut jine = Jine::start(command);
    let address = jine.address();
    let begun = [&b""[..], b"\x16\x03\x01\x02\x00\x01"].map(|bytes| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    });
    // Connections are accepted in their order.
    let localhost = format!("https://localhost:{}", address.rsplit_once(':').unwrap().1);
    etcdctl_ok(&localhost, &["--cacert", ours.ca().to_str().unwrap(), "put", "k", "v"]);
    assert_eq!(jine.stop("TERM"), Some(0));
    assert!(!jine.log().contains("cut off"), "{}", jine.log());
    drop(begun);
}

/// By `openssl x509 -req` without extensions, which is version 1 of X.509.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBFzCBvgIUSkMgo5RW0t9Rm9JUeDohwc+TmOswCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCY2EwIBcNMjYxMTIzMDMzMTMzWhgPMjEyNjEwMzAwMzMxMzNaMA4xDDAK
BgNVBAMMA29sZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPCk0VWO3unRP6Hq
YFefz678tk2gZHQRt3KBflJjl8zCxzn5KREP2cCANYNfBih72n+owi4BfH/C1Nso
zqsefqwwCgYIKoZIzj0EAwIDSAAwRQIhAJ4sGJwuETU/4R15DOT4mvVFKs/vcKaz
JBB7HLMHNnHHAiASvI6emcg1ccAsVzq6yB36fMDET84MnRpirBD7N2UEcg==
-----END CERTIFICATE-----
";

const VERSION_1_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHM/agTZHZy8DW8+K
9zoNO9wasSE7lQdRbBqU8V+MQhyhRANCAATwpNFVjt7p0T+h6mBXn8+u/LZNoGR0
EbdygX5SY5fMwsc5+SkRD9nAgDWDXwYoe9p/qMIuAXx/wtTbKM6rHn6s
-----END PRIVATE KEY-----
";

const VERSION_1_CA: &str = "-----BEGIN CERTIFICATE-----
MIIBcDCCARegAwIBAgIUecHKx2xXVeepn3vLqRSYi3B64S4wCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTIzMDMzMTMzWhgPMjEyNjEwMzAwMzMxMzNa
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+/7kMAF6
c9aAo+vLgEM32bHtQMs/rAke5HNRx+S+QTyU/2FcTk/7gboeq7+fSLVfkuj50gaA
HCgxFSaQgAdq+aNTMFEwHQYDVR0OBBYEFO/jJx48A3pHzsdItkmhPP/WTYhWMB8G
A1UdIwQYMBaAFO/jJx48A3pHzsdItkmhPP/WTYhWMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDRwAwRAIgBKN7byRqqYAAgZo+lWmBNQkNRpE4Zjw6FPbb2ADb
LskCIFwrt4oua2okJbzNvJfGKpJ0iFMia+V8gASuTmjHkkBR
-----END CERTIFICATE-----
";
