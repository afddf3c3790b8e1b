//! Makes a program that fails smaller, as long as it still fails.

use jine::pb::etcdserverpb::{RequestOp, TxnRequest, request_op::Request};

use super::program::Step;

/// What is smaller than a program, the smallest first: runs of steps left out, then parts of transactions.
pub(crate) fn smaller(program: &[Step]) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    let mut run = program.len() / 2;
    while run > 0 {
        for from in (0..program.len()).step_by(run) {
            let mut less = program.to_vec();
            less.drain(from..(from + run).min(program.len()));
            found.push(less);
        }
        run /= 2;
    }
    for (index, step) in program.iter().enumerate() {
        found.extend(step.simpler().into_iter().map(|step| {
            let mut less = program.to_vec();
            less[index] = step;
            less
        }));
        if let Step::Txn(txn) = step {
            found.extend(smaller_txns(txn).into_iter().map(|txn| {
                let mut less = program.to_vec();
                less[index] = Step::Txn(txn);
                less
            }));
        }
    }
    found
}

fn smaller_txns(txn: &TxnRequest) -> Vec<TxnRequest> {
    let mut found = Vec::new();
    for index in 0..txn.compare.len() {
        let mut less = txn.clone();
        less.compare.remove(index);
        found.push(less);
    }
    for (ops, set) in branches(txn) {
        found.extend(smaller_ops(&ops).into_iter().map(|ops| set(txn, ops)));
    }
    found
}

type Set = fn(&TxnRequest, Vec<RequestOp>) -> TxnRequest;

fn branches(txn: &TxnRequest) -> [(Vec<RequestOp>, Set); 2] {
    let success: Set = |txn, success| TxnRequest { success, ..txn.clone() };
    let failure: Set = |txn, failure| TxnRequest { failure, ..txn.clone() };
    [(txn.success.clone(), success), (txn.failure.clone(), failure)]
}

fn smaller_ops(ops: &[RequestOp]) -> Vec<Vec<RequestOp>> {
    let mut found = Vec::new();
    // Many at once: there are transactions with as many operations as are allowed.
    if ops.len() > 8 {
        found.push(ops[..ops.len() / 2].to_vec());
    }
    for (index, op) in ops.iter().enumerate().take(8) {
        let mut less = ops.to_vec();
        less.remove(index);
        found.push(less);
        if let Some(Request::RequestTxn(nested)) = &op.request {
            found.extend(smaller_txns(nested).into_iter().map(|nested| {
                let mut less = ops.to_vec();
                less[index].request = Some(Request::RequestTxn(nested));
                less
            }));
        }
    }
    found
}
