package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"kith/domain"
	"kith/job"
	"kith/store"
)

// Standing is the name of the work that sends letters to queues.
const Standing = "dead-letters"

// Queue is where letters are sent.
type Queue interface {
	// Send sends at most maxBatch messages to the queue at url. It returns those that the queue has not taken, by their index, or an error if
	// nothing is known of any.
	Send(ctx context.Context, url string, batch []Envelope) (failed map[int]error, err error)
}

// Envelope is a message.
type Envelope struct {
	ID     string // of the letter
	Domain string // its domain's name
	Body   string
}

const (
	maxBatch = 10
	// maxMessage is the largest body of a message, and of a batch of them, in bytes: what every SQS-compatible service takes.
	maxMessage = 256 << 10
)

// message is the body of a message, as docs/operations.md documents it.
type message struct {
	Version        int
	DomainName     string
	DeadLetterId   string
	ReceivedAt     string // RFC 3339
	ObjectTypeName string
	Reason         string
	ObjectBytes    int64
	// Object is left out where the message would be too large for a queue; ListDeadLetters has it.
	Object *string `json:",omitzero"`
}

// inQueues escapes the two characters that JSON allows and SQS does not.
var inQueues = strings.NewReplacer("\uFFFE", `\ufffe`, "\uFFFF", `\uffff`)

// body returns the text of a message.
func body(rec *domain.Record, m *meta, object string) (string, error) {
	msg := message{
		Version: 1, DomainName: rec.Name, DeadLetterId: m.id.String(), ReceivedAt: time.UnixMicro(m.id.at()).UTC().Format(time.RFC3339Nano),
		ObjectTypeName: m.Type, Reason: m.Reason, ObjectBytes: m.Bytes, Object: &object,
	}
	b, err := json.Marshal(&msg)
	if text := inQueues.Replace(string(b)); err != nil || len(text) <= maxMessage {
		return text, err
	}
	msg.Object = nil
	b, err = json.Marshal(&msg)
	return inQueues.Replace(string(b)), err
}

// Idle says that there is nothing to be sent in a domain.
func (s *Service) Idle(ctx context.Context, inc store.Incarnation) (bool, error) {
	rec, err := s.Domains.OfIncarnation(ctx, inc)
	if err != nil || rec == nil || rec.DeadLetterQueueURL == "" {
		return true, err
	}
	all, err := s.from(nil)
	if err != nil {
		return false, err
	}
	for _, err := range rows(ctx, s.Store, inc, queueRow, all) {
		return false, err
	}
	return true, nil
}

// SendAll sends what is to be sent in a domain, each letter once while nothing fails. What the queue does not take stays to be sent, and does
// not keep the others from it; the error says that it is to be tried again.
func (s *Service) SendAll(ctx context.Context, t *job.Task) (time.Duration, error) {
	rec, err := s.Domains.OfIncarnation(ctx, t.Incarnation)
	if err != nil {
		return 0, err
	}
	if rec == nil {
		return 0, job.ErrGone
	}
	if rec.DeadLetterQueueURL == "" {
		return 0, nil
	}
	refused, err := s.send(ctx, rec)
	key := "queue of " + rec.Name
	if err != nil && ctx.Err() == nil {
		s.calm.Failing(s.Log, key, "the dead-letter queue of a domain can't be reached; the letters are kept and sent later", "domain", rec.Name, "error", err)
		return 0, err
	}
	if refused > 0 {
		err = fmt.Errorf("the dead-letter queue does not take %d letters", refused)
		s.calm.Failing(s.Log, key, "the dead-letter queue of a domain does not take some letters; they are kept and sent later", "domain", rec.Name, "letters", refused)
		return 0, err
	}
	if err == nil {
		s.calm.Well(s.Log, key)
	}
	return 0, err
}

// send sends what is to be sent, and returns how many letters the queue refused.
func (s *Service) send(ctx context.Context, rec *domain.Record) (refused int64, err error) {
	all, err := s.from(nil)
	if err != nil {
		return 0, err
	}
	for {
		var ids []letterID
		for row, err := range rows(ctx, s.Store, rec.Incarnation, queueRow, all) {
			if err != nil {
				return refused, err
			}
			if ids = append(ids, row.id); len(ids) == 1000 {
				break
			}
		}
		if len(ids) == 0 {
			return refused, nil
		}
		all.from = ids[len(ids)-1].next()
		n, err := s.sendSome(ctx, rec, ids)
		if refused += n; err != nil {
			return refused, err
		}
	}
}

// sendSome sends letters in as few batches as their sizes allow.
func (s *Service) sendSome(ctx context.Context, rec *domain.Record, ids []letterID) (refused int64, err error) {
	var batch []Envelope
	var of []letterID
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n, err := s.sendBatch(ctx, rec, batch, of)
		refused += n
		batch, of, size = batch[:0], of[:0], 0
		return err
	}
	for _, id := range ids {
		text, ok, err := s.letterBody(ctx, rec, id)
		if err != nil {
			return refused, err
		}
		if !ok { // it was removed, and its row goes with it
			continue
		}
		if len(batch) == maxBatch || size+len(text) > maxMessage {
			if err := flush(); err != nil {
				return refused, err
			}
		}
		batch, of, size = append(batch, Envelope{ID: id.String(), Domain: rec.Name, Body: text}), append(of, id), size+len(text)
	}
	return refused, flush()
}

func (s *Service) letterBody(ctx context.Context, rec *domain.Record, id letterID) (text string, ok bool, err error) {
	row, err := s.Store.Get(ctx, store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}, rowKey(metaRow, id))
	if errors.Is(err, store.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	m, err := decodeMeta(id, row.Value)
	if err != nil {
		return "", false, err
	}
	object, ok, err := s.object(ctx, rec.Incarnation, id)
	if err != nil || !ok {
		return "", false, err
	}
	text, err = body(rec, m, object)
	return text, err == nil, err
}

// sendBatch sends a batch and notes what the queue has taken.
func (s *Service) sendBatch(ctx context.Context, rec *domain.Record, batch []Envelope, ids []letterID) (refused int64, err error) {
	failed, err := s.queue().Send(ctx, rec.DeadLetterQueueURL, batch)
	if err != nil {
		s.stats.failed.Add(int64(len(batch)))
		return 0, fmt.Errorf("send dead letters: %w", err)
	}
	for i, id := range ids {
		if failed[i] != nil {
			refused++
			continue
		}
		p := store.Partition{Table: store.Resource, Incarnation: rec.Incarnation, Key: id.partition()}
		if err := s.Store.Write(context.WithoutCancel(ctx), p, []store.Mutation{erasure(queueRow, id, s.Now())}); err != nil {
			return refused, fmt.Errorf("note that a dead letter was sent: %w", err)
		}
		s.stats.sent.Add(1)
	}
	s.stats.failed.Add(refused)
	return refused, nil
}

func (s *Service) queue() Queue {
	s.once.Do(func() {
		if s.Queue == nil {
			s.Queue = &SQS{Endpoint: s.Config.Endpoint}
		}
	})
	return s.Queue
}
