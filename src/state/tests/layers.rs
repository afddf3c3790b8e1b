//! Planning on what is in flight gives what planning on what is applied gives.

use proptest::prelude::*;
use std::collections::VecDeque;

use super::super::*;
use super::elsewhere::state_without_values;
use super::random::show;
use super::strategy::requests;
use super::{LIMITS, Machine, all, between, delete, keys, put, range, single};

/// A state that lags behind: what it has not applied is in two layers, as with one group in flight and the next one growing.
struct Lagging {
    state: State,
    in_flight: (Layer, VecDeque<(Entry, Vec<Sequence>)>),
    growing: (Layer, VecDeque<(Entry, Vec<Sequence>)>),
}

impl Lagging {
    fn plan(&self, request: &Request) -> Result<Planned, Error> {
        plan(&View::new(&self.state, &[&self.in_flight.0, &self.growing.0]), request, LIMITS)
    }

    fn absorb(&mut self, entry: &Entry, at: Vec<Sequence>) {
        self.growing.0.absorb(entry);
        self.growing.1.push_back((entry.clone(), at));
    }

    /// The group in flight arrives, and what has gathered is the next.
    fn arrive(&mut self) {
        for (entry, at) in std::mem::take(&mut self.in_flight.1) {
            self.state.apply(&entry, &at);
        }
        self.in_flight = std::mem::take(&mut self.growing);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn planned_on_layers_is_planned_on_the_state(
        requests in requests(40), arrivals in proptest::collection::vec(proptest::bool::weighted(0.2), 40),
    ) {
        let mut machine = Machine::new();
        let mut lagging = Lagging {
            state: state_without_values(),
            in_flight: Default::default(),
            growing: Default::default(),
        };
        for (request, arrive) in requests.iter().zip(arrivals) {
            if arrive {
                lagging.arrive();
            }
            let expected = plan(&View::new(&machine.state, &[]), request, LIMITS);
            let mut planned = lagging.plan(request);
            if matches!(planned, Err(Error::Unsettled)) {
                prop_assert!(lagging.state.revision() < machine.state.revision());
                lagging.arrive();
                lagging.arrive();
                planned = lagging.plan(request);
            }
            prop_assert_eq!(show(&planned), show(&expected));
            let Ok(Planned { entry: Some(entry), .. }) = planned else { continue };
            machine.apply(&entry);
            lagging.absorb(&entry, machine.log.last().unwrap().1.clone());
        }
        lagging.arrive();
        lagging.arrive();
        prop_assert_eq!(lagging.state.fingerprint(), machine.state.fingerprint());
        prop_assert_eq!(lagging.state.range(&range(all())).unwrap().kvs, machine.state.range(&range(all())).unwrap().kvs);
    }
}

fn layer(machine: &Machine, requests: Vec<Request>) -> Layer {
    let mut layer = Layer::default();
    for request in requests {
        let planned = plan(&View::new(&machine.state, &[&layer]), &request, LIMITS).unwrap();
        layer.absorb(&planned.entry.unwrap());
    }
    layer
}

fn txn_range(view: &View, request: RangeRequest) -> Result<RangeResponse, Error> {
    let txn = TxnRequest { success: vec![RequestOp::Range(request)], ..TxnRequest::default() };
    match plan(view, &txn.into(), LIMITS)?.response {
        Response::Txn(mut txn) => match txn.responses.remove(0) {
            ResponseOp::Range(range) => Ok(range),
            other => panic!("a range was answered with {other:?}"),
        },
        other => panic!("a transaction was answered with {other:?}"),
    }
}

#[test]
fn a_view_shows_what_is_planned_over_what_is_applied() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("c", "1");
    machine.put("e", "1");
    let layer = layer(&machine, vec![put("b", "2").into(), delete(single("c")).into(), put("f", "2").into()]);
    let layers = [&layer];
    let view = View::new(&machine.state, &layers);
    assert_eq!(keys(&txn_range(&view, range(all())).unwrap()), ["a", "b", "e", "f"]);
    let limited = txn_range(&view, RangeRequest { limit: 1, ..range(between("b", "f")) }).unwrap();
    assert_eq!((keys(&limited), limited.count, limited.more), (vec!["b".to_owned()], 2, true));
    assert_eq!(machine.keys(range(all())), ["a", "c", "e"]);
}

#[test]
fn a_revision_that_is_planned_but_not_the_last_is_unsettled() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    let layer = layer(&machine, vec![put("b", "2").into(), put("c", "2").into()]);
    let layers = [&layer];
    let view = View::new(&machine.state, &layers);
    let at = |revision| txn_range(&view, RangeRequest { revision: Revision(revision), ..range(all()) });
    assert_eq!(keys(&at(2).unwrap()), ["a"]);
    assert_eq!(at(3).unwrap_err(), Error::Unsettled);
    assert_eq!(keys(&at(4).unwrap()), ["a", "b", "c"]);
    assert_eq!(at(5).unwrap_err(), Error::FutureRevision(Revision(4)));
}

#[test]
fn a_planned_lease_can_be_used_and_a_planned_revoke_takes_planned_keys() {
    let mut machine = Machine::new();
    machine.grant(1);
    machine.run(PutRequest { lease: LeaseId(1), ..put("a", "1") }).unwrap();
    machine.run(PutRequest { lease: LeaseId(1), ..put("z", "1") }).unwrap();
    let planned = vec![
        Request::LeaseGrant { id: LeaseId(2), ttl: 9 },
        PutRequest { lease: LeaseId(1), ..put("m", "1") }.into(),
        PutRequest { lease: LeaseId(2), ..put("a", "1") }.into(),
    ];
    let layer = layer(&machine, planned);
    let layers = [&layer];
    let view = View::new(&machine.state, &layers);
    assert_eq!(view.lease_keys(LeaseId(1)), ["m", "z"]);
    let revoke = plan(&view, &Request::LeaseRevoke { id: LeaseId(1) }, LIMITS).unwrap().entry.unwrap();
    let deletes = [("m", 0), ("z", 1)].map(|(key, sub)| Op::Delete { key: key.into(), sub });
    assert_eq!(revoke.ops, [&deletes[..], &[Op::LeaseRevoke { id: LeaseId(1) }]].concat());
    assert_eq!(revoke.revision, view.revision().next());
}
