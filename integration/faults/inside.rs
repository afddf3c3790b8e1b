//! Kills inside what is much and still one: in the middle of its messages, by construction. A proxy stops at one of them, and only then a
//! process is killed.

use super::atomic::{KEYS, LEASED, count, fill, one_event_each};
use crate::support::client::{until, until_ok};
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;
use crate::support::proxy::{Proxy, Stop};

/// Both take three messages.
const STOPS: [Stop; 3] = [Stop::After(1), Stop::After(2), Stop::Committed];

struct Setup {
    server: NatsServer,
    proxy: Proxy,
    jine: Jine,
}

impl Setup {
    async fn new() -> Setup {
        let server = NatsServer::start().await;
        let proxy = Proxy::start(server.port()).await;
        let jine = Jine::start(external(&proxy.url()));
        Setup { server, proxy, jine }
    }

    /// What was on its way is lost with its sender.
    fn kill_jine(&mut self) {
        self.jine.stop("KILL");
        self.proxy.cut();
        self.jine = Jine::start(external(&self.proxy.url()));
    }

    async fn kill_nats_server(&mut self) {
        self.server.kill();
        self.proxy.cut();
        self.server.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_inside_a_delete_of_ten_thousand_keys_leaves_it_whole_or_undone() {
    let mut setup = Setup::new().await;
    let mut before = 0;
    for stop in STOPS {
        for kills_jine in [true, false] {
            let client = setup.jine.client();
            if until_ok("a count", || async { Ok(count(&client).await) }).await.0 == 0 {
                before = fill(&client, KEYS, 0).await;
            }
            let stopped = setup.proxy.stop_at(stop);
            let deleting = tokio::spawn(async move { client.delete_all().await });
            stopped.await.unwrap();
            if kills_jine {
                setup.kill_jine()
            } else {
                setup.kill_nats_server().await
            }
            let acknowledged = deleting.await.unwrap().is_ok();
            let client = setup.jine.client();
            let seen = count(&client).await;
            if kills_jine && stop != Stop::Committed {
                // Without its end the server takes nothing of it.
                assert_eq!(seen, (KEYS as i64, before), "{stop:?}");
            } else {
                assert!(
                    seen == (0, before + 1) || !acknowledged && seen == (KEYS as i64, before),
                    "{stop:?}: {seen:?}"
                );
            }
            let how = if kills_jine { "jine" } else { "nats-server" };
            say!(
                "{how} killed inside a delete, {stop:?}: {} of {KEYS} keys are left, acknowledged: {acknowledged}",
                seen.0
            );
            if seen.0 == 0 {
                one_event_each(&client, KEYS, before + 1).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_inside_the_expiry_of_five_thousand_keys_leaves_it_whole_or_undone() {
    let mut setup = Setup::new().await;
    for stop in STOPS {
        for kills_jine in [true, false] {
            let client = setup.jine.client();
            let lease = client.grant(3).await.unwrap();
            let before = fill(&client, LEASED, lease).await;
            // The next batch is the expiry: nobody writes.
            setup.proxy.stop_at(stop).await.unwrap();
            if kills_jine {
                setup.kill_jine()
            } else {
                setup.kill_nats_server().await
            }
            let client = setup.jine.client();
            let seen = count(&client).await;
            if kills_jine && stop != Stop::Committed {
                assert_eq!(seen, (LEASED as i64, before), "{stop:?}");
            } else {
                assert!(seen == (0, before + 1) || seen == (LEASED as i64, before), "{stop:?}: {seen:?}");
            }
            let how = if kills_jine { "jine" } else { "nats-server" };
            say!("{how} killed inside an expiry, {stop:?}: {} of {LEASED} keys are left", seen.0);
            // It gets its whole time again.
            until("the expiry", || async { count(&client).await.0 == 0 }).await;
            assert_eq!(count(&client).await, (0, before + 1));
            one_event_each(&client, LEASED, before + 1).await;
            assert_eq!(client.time_to_live(lease).await.unwrap(), -1);
        }
    }
}
