//! Real nats-servers: one, or a cluster of three, each on a folder and ports of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::tool;

/// A nats-server process. Killed and its folder removed when dropped.
pub(crate) struct NatsServer {
    folder: TempDir,
    process: Option<Child>,
    port: u16,
    cluster_port: Option<u16>,
    name: String,
    /// What the configuration holds beyond address and store.
    extra: String,
    routes: Vec<u16>,
}

pub(crate) const JETSTREAM: &str = "jetstream {}\n";

impl NatsServer {
    /// One that syncs when it likes.
    pub(crate) async fn start() -> NatsServer {
        NatsServer::start_with(JETSTREAM).await
    }

    /// `extra`: configuration, in which `{folder}` stands for the server's own folder and `jetstream {}` for a store in it.
    pub(crate) async fn start_with(extra: &str) -> NatsServer {
        let mut server = NatsServer::prepare("alone", extra, None);
        server.run().await;
        server
    }

    fn prepare(name: &str, extra: &str, cluster_port: Option<u16>) -> NatsServer {
        NatsServer {
            folder: TempDir::new().expect("a temporary folder"),
            process: None,
            port: 0,
            cluster_port,
            name: name.into(),
            extra: extra.into(),
            routes: Vec::new(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal by name, `STOP` say.
    pub(crate) fn signal(&self, name: &str) {
        super::kill(self.pid(), name);
    }

    /// Starts it again, on the same port and store.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.run().await;
    }

    /// Starts it again with another configuration.
    pub(crate) async fn restart_with(&mut self, extra: &str) {
        self.extra = extra.into();
        self.restart().await;
    }

    async fn run(&mut self) {
        let config = self.folder.path().join("nats.conf");
        fs::write(&config, self.config()).expect("the configuration");
        let log = fs::File::create(self.folder.path().join("log")).expect("the log");
        let process = Command::new(tool("nats-server"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts");
        let ports = self.folder.path().join(format!("nats-server_{}.ports", process.id()));
        self.process = Some(process);
        let ports = self.await_ports(&ports).await;
        self.port = port_of(&ports["nats"][0]);
    }

    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        let extra = self.extra.replace("jetstream {}", &format!("jetstream {{ store_dir: \"{folder}/store\" }}"));
        let extra = extra.replace("{folder}", &folder.to_string());
        let mut config =
            format!("server_name: {}\nlisten: \"127.0.0.1:{port}\"\nports_file_dir: \"{folder}\"\n{extra}", self.name);
        if let Some(port) = self.cluster_port {
            let routes: Vec<String> = self.routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
            config.push_str(&format!(
                "cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{}] }}\n",
                routes.join(", ")
            ));
        }
        config
    }

    async fn await_ports(&mut self, path: &PathBuf) -> Value {
        for _ in 0..1000 {
            if let Some(ports) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                return ports;
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            assert!(ended.is_none(), "nats-server ended: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nats-server did not get ready: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A plain connection, to do to the server what jine does not.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("a connection")
    }

    /// Asks JetStream's API, as an administrator does.
    pub(crate) async fn api(&self, what: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.client().await.request(format!("$JS.API.{what}"), body.into()).await.expect("an answer");
        serde_json::from_slice(&answer.payload).expect("JSON")
    }

    /// What the stream of jine's bucket is.
    pub(crate) async fn stream(&self) -> Value {
        self.api("STREAM.INFO.KV_jine", Value::Null).await
    }

    /// Changes settings of the stream of jine's bucket, as `nats stream edit` does.
    pub(crate) async fn edit(&self, changes: Value) {
        let mut config = self.stream().await["config"].clone();
        for (name, value) in changes.as_object().expect("settings") {
            config[name] = value.clone();
        }
        let answer = self.api("STREAM.UPDATE.KV_jine", config).await;
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// A message in jine's bucket that no jine wrote, as `nats kv put` writes it.
    pub(crate) async fn foreign_put(&self, key: &str, value: &str) {
        let jetstream = async_nats::jetstream::new(self.client().await);
        let subject = format!("$KV.jine.{key}");
        jetstream.publish(subject, value.to_owned().into()).await.expect("sent").await.expect("stored");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn port_of(url: &Value) -> u16 {
    url.as_str().and_then(|url| url.rsplit(':').next()).and_then(|port| port.parse().ok()).expect("a port")
}

/// For what the server does not list with its ports, or others have to know before it starts.
pub(crate) fn free_port() -> u16 {
    free_ports::<1>()[0]
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [0; N].map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

/// Three servers that know each other.
pub(crate) struct NatsCluster {
    pub(crate) servers: Vec<NatsServer>,
}

impl NatsCluster {
    pub(crate) async fn start() -> NatsCluster {
        let mut cluster = NatsCluster::start_two().await;
        cluster.servers[2].run().await;
        cluster.await_leader().await;
        cluster
    }

    /// The third can be started later.
    pub(crate) async fn start_two() -> NatsCluster {
        let ports = free_ports::<3>();
        let mut servers = Vec::new();
        for (name, port) in ["one", "two", "three"].into_iter().zip(ports) {
            let mut server = NatsServer::prepare(name, JETSTREAM, Some(port));
            server.routes = ports.into_iter().filter(|other| *other != port).collect();
            servers.push(server);
        }
        for server in &mut servers[..2] {
            server.run().await;
        }
        NatsCluster { servers }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(NatsServer::url).collect()
    }

    /// The server of a name: a stream's leader, say.
    pub(crate) fn named(&mut self, name: &str) -> &mut NatsServer {
        self.servers.iter_mut().find(|server| server.name == name).expect("a server of that name")
    }

    /// JetStream answers only when the servers have elected a leader and see each other.
    async fn await_leader(&self) {
        let client = self.servers[0].client().await;
        let probe = r#"{"name":"probe","subjects":["probe"],"num_replicas":3}"#;
        for _ in 0..300 {
            let answer = client.request("$JS.API.STREAM.CREATE.probe", probe.into()).await;
            if answer.is_ok_and(|answer| !String::from_utf8_lossy(&answer.payload).contains("\"error\"")) {
                let _ = client.request("$JS.API.STREAM.DELETE.probe", "".into()).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the cluster did not get ready: {}", self.servers[0].log());
    }
}
