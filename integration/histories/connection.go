package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience is how long a client waits for an answer: longer than jine itself, so that what jine says is heard.
const patience = 9 * time.Second

// connection is a client's to one jine. It never repeats a request by itself, nor goes elsewhere.
type connection struct {
	endpoint string
	client   *clientv3.Client
}

func connect(name, url string) (*connection, error) {
	again := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
		MinConnectTimeout: 2 * time.Second,
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:       []string{url},
		MaxUnaryRetries: 1,
		DialOptions:     []grpc.DialOption{grpc.WithConnectParams(again)},
		Logger:          zap.NewNop(),
	})
	if err != nil {
		return nil, err
	}
	return &connection{name, client}, nil
}

// outcomeOf judges an error. What jine says it has not executed must not be in the log, nor what was never sent.
func outcomeOf(err error) Outcome {
	if err == nil {
		return outcomeOK
	}
	var etcd rpctypes.EtcdError
	if errors.As(rpctypes.Error(err), &etcd) {
		switch etcd {
		case rpctypes.ErrNoLeader, rpctypes.ErrStopped, rpctypes.ErrLeaseNotFound, rpctypes.ErrCompacted,
			rpctypes.ErrFutureRev, rpctypes.ErrLeaseExist:
			return outcomeFailed
		}
		return outcomeUnknown
	}
	s, _ := status.FromError(err)
	if s.Code() == codes.Unavailable && strings.Contains(s.Message(), "Error while dialing") {
		return outcomeFailed
	}
	return outcomeUnknown
}

// run executes the operation and writes down what came of it.
func (c *connection) run(ctx context.Context, record *Record, op *Op) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	op.Endpoint = c.endpoint
	record.addOp(op)
	op.Call = record.now()
	err := c.send(ctx, op)
	op.Return = record.now()
	op.Outcome = outcomeOf(err)
	if err != nil {
		op.Error = err.Error()
	}
}

func (c *connection) send(ctx context.Context, op *Op) error {
	switch op.Way {
	case wayRevoke:
		response, err := c.client.Revoke(ctx, clientv3.LeaseID(op.Lease))
		if err == nil {
			op.Revision, op.Succeeded = response.Header.Revision, true
		}
		return err
	case wayTxn:
		return c.sendTxn(ctx, op)
	case wayCompact:
		response, err := c.client.Compact(ctx, op.Then[0].Revision)
		if err == nil {
			op.Revision, op.Succeeded = response.Header.Revision, true
		}
		return err
	}
	response, err := c.client.Do(ctx, operation(op.Then[0], op.Way == waySerializable))
	if err != nil {
		return err
	}
	op.Succeeded = true
	switch {
	case response.Put() != nil:
		op.Revision = response.Put().Header.Revision
		op.Answers = []Answer{ofPut(response.Put().PrevKv)}
	case response.Del() != nil:
		op.Revision = response.Del().Header.Revision
		op.Answers = []Answer{{kvs(response.Del().PrevKvs), response.Del().Deleted}}
	case response.Get() != nil:
		op.Revision = response.Get().Header.Revision
		op.Answers = []Answer{{kvs(response.Get().Kvs), response.Get().Count}}
	}
	return nil
}

func (c *connection) sendTxn(ctx context.Context, op *Op) error {
	var compares []clientv3.Cmp
	for _, compare := range op.Compares {
		compares = append(compares, comparison(compare))
	}
	response, err := c.client.Txn(ctx).If(compares...).Then(operations(op.Then)...).Else(operations(op.Else)...).Commit()
	if err != nil {
		return err
	}
	op.Revision, op.Succeeded = response.Header.Revision, response.Succeeded
	for _, r := range response.Responses {
		switch r := r.Response.(type) {
		case *etcdserverpb.ResponseOp_ResponsePut:
			op.Answers = append(op.Answers, ofPut(r.ResponsePut.PrevKv))
		case *etcdserverpb.ResponseOp_ResponseDeleteRange:
			op.Answers = append(op.Answers, Answer{kvs(r.ResponseDeleteRange.PrevKvs), r.ResponseDeleteRange.Deleted})
		case *etcdserverpb.ResponseOp_ResponseRange:
			op.Answers = append(op.Answers, Answer{kvs(r.ResponseRange.Kvs), r.ResponseRange.Count})
		}
	}
	return nil
}

func operations(steps []Step) []clientv3.Op {
	var ops []clientv3.Op
	for _, step := range steps {
		ops = append(ops, operation(step, false))
	}
	return ops
}

func operation(step Step, serializable bool) clientv3.Op {
	var options []clientv3.OpOption
	if step.End != "" {
		options = append(options, clientv3.WithRange(step.End))
	}
	switch step.Kind {
	case stepPut:
		return clientv3.OpPut(step.Key, step.Value, clientv3.WithPrevKV(), clientv3.WithLease(clientv3.LeaseID(step.Lease)))
	case stepDelete:
		return clientv3.OpDelete(step.Key, append(options, clientv3.WithPrevKV())...)
	default:
		if step.Revision != 0 {
			options = append(options, clientv3.WithRev(step.Revision))
		}
		if serializable {
			options = append(options, clientv3.WithSerializable())
		}
		return clientv3.OpGet(step.Key, options...)
	}
}

func comparison(c Compare) clientv3.Cmp {
	switch c.Target {
	case targetMod:
		return clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Number)
	case targetVersion:
		return clientv3.Compare(clientv3.Version(c.Key), "=", c.Number)
	case targetCreate:
		return clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Number)
	default:
		return clientv3.Compare(clientv3.Value(c.Key), "=", c.Text)
	}
}

func ofPut(previous *mvccpb.KeyValue) Answer {
	if previous == nil {
		return Answer{}
	}
	return Answer{KVs: []KV{kv(previous)}}
}

func kvs(found []*mvccpb.KeyValue) []KV {
	var all []KV
	for _, one := range found {
		all = append(all, kv(one))
	}
	return all
}

func kv(k *mvccpb.KeyValue) KV {
	return KV{string(k.Key), string(k.Value), k.CreateRevision, k.ModRevision, k.Version, k.Lease}
}
