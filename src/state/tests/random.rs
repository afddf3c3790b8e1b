//! Random programs: the state machine and the naive model agree on every answer, event and total.

use proptest::prelude::*;

use super::super::*;
use super::elsewhere::state_without_values;
use super::model::Model;
use super::strategy::{Step, key_range, program, range_request};
use super::{LIMITS, all, range};
use crate::state::fingerprint::hash_key;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_programs_do_what_the_model_does(steps in program(40), elsewhere: bool) {
        let in_memory = State::new(Revision::FIRST, Revision::ZERO);
        let (mut state, mut model) = (if elsewhere { state_without_values() } else { in_memory }, Model::new());
        let mut next = 1;
        for step in &steps {
            match step {
                Step::Write(request) => write(&mut state, &mut model, request, &mut next)?,
                Step::Read(request) => prop_assert_eq!(show(&state.range(request)), show(&model.range(request))),
                Step::Events(start) => check_events(&state, &model, *start)?,
            }
            check_totals(&state, &model)?;
        }
        for revision in model.compacted.max(1)..=model.revision() {
            let request = RangeRequest { revision: Revision(revision), ..range(all()) };
            prop_assert_eq!(show(&state.range(&request)), show(&model.range(&request)));
        }
        check_events(&state, &model, model.compacted)?;
    }

    #[test]
    fn a_range_in_chunks_is_the_range(
        steps in program(40), keys in key_range(), revision in 1..20i64, max_keys in 1..4usize, max_bytes in 1..8u64,
    ) {
        let (mut state, mut model, mut next) = (State::new(Revision::FIRST, Revision::ZERO), Model::new(), 1);
        for step in &steps {
            if let Step::Write(request) = step {
                write(&mut state, &mut model, request, &mut next)?;
            }
        }
        let request = RangeRequest { revision: Revision(revision), ..range(keys.clone()) };
        let whole = state.range(&request);
        prop_assert_eq!(in_chunks(&state, &request, max_keys, max_bytes), whole.map(|whole| whole.kvs));
    }

    #[test]
    fn an_answer_counts_all_keys_and_returns_some(steps in program(40), request in range_request()) {
        let (mut state, mut model, mut next) = (State::new(Revision::FIRST, Revision::ZERO), Model::new(), 1);
        for step in &steps {
            if let Step::Write(request) = step {
                write(&mut state, &mut model, request, &mut next)?;
            }
        }
        let Ok(response) = state.range(&request) else { return Ok(()) };
        prop_assert_eq!(response.count, state.count(&request.range, request.revision, None).unwrap());
        prop_assert!(response.kvs.len() as i64 <= response.count);
        prop_assert!(request.limit <= 0 || response.kvs.len() as i64 <= request.limit);
    }
}

fn in_chunks(
    state: &State,
    request: &RangeRequest,
    max_keys: usize,
    max_bytes: u64,
) -> Result<Vec<std::sync::Arc<KeyValue>>, Error> {
    let mut kvs: Vec<std::sync::Arc<KeyValue>> = Vec::new();
    loop {
        let after = kvs.last().map(|kv| kv.key.clone());
        let left = state.count(&request.range, request.revision, after.as_deref())?;
        let chunk = state.range_chunk(&request.range, request.revision, after.as_deref(), max_keys, max_bytes)?;
        assert!(chunk.kvs.len() <= max_keys && chunk.more == (chunk.kvs.len() < left as usize));
        kvs.extend(chunk.kvs);
        if !chunk.more {
            return Ok(kvs);
        }
    }
}

/// Every op takes one, two or three messages.
pub(super) fn places(entry: &Entry, next: &mut u64) -> Vec<Sequence> {
    let place = |op: &Op| {
        let at = Sequence(*next);
        *next += messages(op, at);
        at
    };
    entry.ops.iter().map(place).collect()
}

/// How many messages an op that begins there takes.
pub(super) fn messages(op: &Op, at: Sequence) -> u64 {
    if matches!(op, Op::Put { .. }) { 1 + at.0 % 3 } else { 1 }
}

fn write(state: &mut State, model: &mut Model, request: &Request, next: &mut u64) -> Result<(), TestCaseError> {
    let before = state.revision();
    let planned = plan(&View::new(state, &[]), request, LIMITS);
    let expected = model.request(request);
    prop_assert_eq!(show(&planned.as_ref().map(|planned| &planned.response)), show(&expected.as_ref()));
    prop_assert_eq!(state.revision(), before, "planning has an effect");
    let Ok(Planned { entry: Some(entry), .. }) = planned else { return Ok(()) };
    let at = places(&entry, next);
    let applied = state.apply(&entry, &at);
    let events = applied.events.iter().map(|events| {
        let events: Vec<_> = events.events.iter().map(|event| Event::clone(event)).collect();
        (state.revision().0, events)
    });
    let made = if state.revision() == before { Vec::new() } else { model.events_from(state.revision().0) };
    prop_assert_eq!(show(&events.collect::<Vec<_>>()), show(&made));
    Ok(())
}

/// Everything but where it stands in the log.
pub(super) fn show(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    let mut parts = text.split("sequence: Sequence(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| shown + "_" + part.split_once(')').unwrap_or_default().1)
}

fn check_events(state: &State, model: &Model, start: i64) -> Result<(), TestCaseError> {
    let events = state.events_from(Revision(start), usize::MAX);
    if start < model.compacted {
        prop_assert_eq!(events, Err(Error::Compacted(Revision(model.compacted))));
        return Ok(());
    }
    let flat = |events: &RevisionEvents| {
        (events.revision.0, events.events.iter().map(|event| Event::clone(event)).collect::<Vec<_>>())
    };
    let events: Vec<_> = events.unwrap().iter().map(|events| flat(events)).collect();
    prop_assert_eq!(show(&events), show(&model.events_from(start)));
    Ok(())
}

/// What is kept up to date write by write is what counting afresh comes to.
pub(super) fn check_totals(state: &State, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.revision().0, model.revision());
    prop_assert_eq!(state.compacted().0, model.compacted);
    let leases: Vec<_> = state.leases().map(|(id, lease)| (id.0, lease.ttl)).collect();
    prop_assert_eq!(leases, model.leases.clone().into_iter().collect::<Vec<_>>());
    for (id, lease) in state.leases() {
        prop_assert_eq!(lease.keys.iter().cloned().collect::<Vec<_>>(), model.lease_keys(id.0));
    }
    prop_assert_eq!(state.alarms(), &model.alarms);
    let mut fingerprint = Fingerprint::default();
    model.now().values().for_each(|kv| fingerprint.add_key(hash_key(&kv.key), kv.mod_revision));
    model.leases.keys().for_each(|id| fingerprint.add_lease(LeaseId(*id)));
    prop_assert_eq!(state.fingerprint(), fingerprint);
    let held: u64 = state.index.values().flat_map(|history| history.versions()).map(|kv| kv.size()).sum();
    prop_assert_eq!(state.live_bytes(), held);
    prop_assert_eq!(state.held(), state.index.values().map(|history| history.versions().count() as u64).sum::<u64>());
    Ok(())
}
