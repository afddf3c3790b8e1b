package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// everything is the range of all keys, from and up to the same byte.
const everything = "\x00"

// Watcher is what one watches, and all that was heard, connection by connection.
type Watcher struct {
	Name            string
	Key, End        string
	NoPut, NoDelete bool
	Sessions        []*Session
	// Reached is up to which revision everything was delivered.
	Reached int64
}

// Session is one watcher on one connection.
type Session struct {
	Endpoint string
	// Start is the revision asked for, 0: from now on.
	Start int64
	// Created is the store's revision when the watcher was made; 0 if that was not heard.
	Created int64
	Heard   []Heard
	// Compacted is what a cancellation told.
	Compacted int64
	End       time.Duration
	Error     string `json:",omitempty"`
}

// Heard is one response: events, or progress where there are none.
type Heard struct {
	At       time.Duration
	Revision int64
	Events   []Event `json:",omitempty"`
	Fragment bool    `json:",omitempty"`
}

func (w *Watcher) wants(e Event) bool {
	return contains(w.Key, w.End, e.KV.Key) && !(e.Delete && w.NoDelete) && !(!e.Delete && w.NoPut)
}

// stream is a client's watch stream with its watchers; it is opened again whenever it ends.
type stream struct {
	watchers    []*Watcher
	connections []*connection
	random      *rand.Rand
	record      *Record
	// again is how each session begins: where the one before ended, from now on, or somewhere in the past.
	again begin
	// life is about how long a session lasts if nothing ends it; 0: without end.
	life time.Duration

	mu   sync.Mutex
	send func(*etcdserverpb.WatchRequest) error
}

type begin int

const (
	beginNext begin = iota
	beginNow
	beginPast
)

func (s *stream) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		s.session(ctx, s.connections[i%len(s.connections)])
		sleep(ctx, time.Duration(s.random.IntN(200))*time.Millisecond)
	}
}

// session is all watchers on one connection, until it ends.
func (s *stream) session(ctx context.Context, to *connection) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.life > 0 {
		timer := time.AfterFunc(s.life/2+time.Duration(s.random.Int64N(int64(s.life))), cancel)
		defer timer.Stop()
	}
	sessions := map[int64]*Session{}
	for id, w := range s.watchers {
		sessions[int64(id)] = &Session{Endpoint: to.endpoint, Start: s.start(w)}
	}
	err := s.follow(ctx, to, sessions)
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	for id, session := range sessions {
		session.End = s.record.now()
		session.Error = err.Error()
		w := s.watchers[id]
		if session.Created != 0 || len(session.Heard) > 0 {
			w.Sessions = append(w.Sessions, session)
		}
	}
}

func (s *stream) start(w *Watcher) int64 {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	switch s.again {
	case beginNow:
		return 0
	case beginPast:
		return 1 + s.random.Int64N(w.Reached+1)
	default:
		return w.Reached + 1
	}
}

func (s *stream) follow(ctx context.Context, to *connection, sessions map[int64]*Session) error {
	stream, err := etcdserverpb.NewWatchClient(to.client.ActiveConnection()).Watch(ctx)
	if err != nil {
		return err
	}
	for id, w := range s.watchers {
		if err := stream.Send(create(w, int64(id), sessions[int64(id)].Start)); err != nil {
			return err
		}
	}
	s.setSend(stream.Send)
	defer s.setSend(nil)
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if s.heard(response, sessions) {
			return errCompacted
		}
	}
}

type stringError string

func (e stringError) Error() string { return string(e) }

const errCompacted = stringError("compacted")

func create(w *Watcher, id, start int64) *etcdserverpb.WatchRequest {
	request := &etcdserverpb.WatchCreateRequest{
		Key: []byte(w.Key), RangeEnd: []byte(w.End), StartRevision: start, WatchId: id, PrevKv: true, ProgressNotify: true,
	}
	if w.NoPut {
		request.Filters = append(request.Filters, etcdserverpb.WatchCreateRequest_NOPUT)
	}
	if w.NoDelete {
		request.Filters = append(request.Filters, etcdserverpb.WatchCreateRequest_NODELETE)
	}
	return &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: request}}
}

// heard writes a response down, and says whether the stream has to begin anew.
func (s *stream) heard(r *etcdserverpb.WatchResponse, sessions map[int64]*Session) bool {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	at := s.record.now()
	if r.WatchId == -1 {
		for id, session := range sessions {
			s.progressed(s.watchers[id], session, Heard{At: at, Revision: r.Header.Revision})
		}
		return false
	}
	session, w := sessions[r.WatchId], s.watchers[r.WatchId]
	switch {
	case r.Created:
		session.Created = r.Header.Revision
	case r.Canceled:
		session.Compacted = r.CompactRevision
		w.Reached = max(w.Reached, r.CompactRevision)
		return true
	default:
		heard := Heard{At: at, Revision: r.Header.Revision, Fragment: r.Fragment}
		for _, e := range r.Events {
			heard.Events = append(heard.Events, event(e))
		}
		s.progressed(w, session, heard)
	}
	return false
}

func (s *stream) progressed(w *Watcher, session *Session, heard Heard) {
	session.Heard = append(session.Heard, heard)
	if len(heard.Events) == 0 {
		w.Reached = max(w.Reached, heard.Revision)
	}
	for _, e := range heard.Events {
		w.Reached = max(w.Reached, e.KV.Mod)
	}
}

func event(e *mvccpb.Event) Event {
	out := Event{Delete: e.Type == mvccpb.Event_DELETE, KV: kv(e.Kv)}
	if e.PrevKv != nil {
		previous := kv(e.PrevKv)
		out.Prev = &previous
	}
	return out
}

func (s *stream) setSend(send func(*etcdserverpb.WatchRequest) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send = send
}

// askForProgress does so if the stream is open.
func (s *stream) askForProgress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.send != nil {
		_ = s.send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{
			ProgressRequest: &etcdserverpb.WatchProgressRequest{}}})
	}
}

// keepAsking asks now and then.
func (s *stream) keepAsking(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		sleep(ctx, time.Duration(100+random.IntN(900))*time.Millisecond)
		s.askForProgress()
	}
}

// reached says whether every watcher has all up to a revision.
func (s *stream) reached(revision int64) bool {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	for _, w := range s.watchers {
		if w.Reached < revision {
			return false
		}
	}
	return true
}
