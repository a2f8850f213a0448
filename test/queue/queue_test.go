package queue

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/blob/disk"
	"kith/deadletter"
	"kith/job"
	"kith/node"
	"kith/store/mem"
	"kith/test/cluster"
)

// server is an SQS-compatible server with a client for it.
type server struct {
	*cluster.Process
	t      *testing.T
	client *sqs.Client
	url    string
}

func startServer(t *testing.T) *server {
	if err := cluster.HasElasticMQ(); err != nil {
		t.Skipf("no SQS-compatible server to send to: `make queue` fetches ElasticMQ; it needs Java 17 and Maven (%v)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: "http://" + l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Process, err = cluster.ElasticMQ(t.Context(), t.TempDir(), strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Fatal(err)
	}
	s.client = sqs.New(sqs.Options{BaseEndpoint: &s.url, Region: "elasticmq", Credentials: credentials.NewStaticCredentialsProvider("x", "x", "")})
	s.start()
	t.Cleanup(s.Kill)
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_REGION", "elasticmq")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	return s
}

func (s *server) start() {
	s.t.Helper()
	if err := s.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// queue makes a queue and returns its URL.
func (s *server) queue(name string) string {
	s.t.Helper()
	in := &sqs.CreateQueueInput{QueueName: &name}
	if strings.HasSuffix(name, ".fifo") {
		in.Attributes = map[string]string{"FifoQueue": "true"}
	}
	out, err := s.client.CreateQueue(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.QueueUrl
}

// message is what docs/operations.md says of a message.
type message struct {
	Version                                                      int
	DomainName, DeadLetterId, ReceivedAt, ObjectTypeName, Reason string
	ObjectBytes                                                  int
	Object                                                       *string
}

// receive takes messages from a queue until it has seen n different letters.
func (s *server) receive(url string, seen map[string]message, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for len(seen) < n {
		out, err := s.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			s.t.Fatalf("%d of %d letters have come: %v", len(seen), n, err)
		}
		var done []types.DeleteMessageBatchRequestEntry
		for i, m := range out.Messages {
			var msg message
			if err := json.Unmarshal([]byte(*m.Body), &msg, json.RejectUnknownMembers(true)); err != nil {
				s.t.Fatalf("%s: %v", *m.Body, err)
			}
			seen[msg.DeadLetterId] = msg
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if done != nil {
			if _, err := s.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: done}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// startNode runs a node whose work that failed is tried again soon, with a domain for each queue.
func startNode(t *testing.T) *node.Node {
	st := mem.New()
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(node.Config{Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: "test", Job: &job.Runner{Backoff: time.Millisecond, Poll: 10 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

func makeDomain(t *testing.T, n *node.Node, name, queue string) {
	t.Helper()
	if _, err := n.Domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: &name, DefaultExpirationDays: api.Ptr(int32(30)), DeadLetterQueueUrl: &queue}); err != nil {
		t.Fatal(err)
	}
}

func keep(t *testing.T, n *node.Node, name string, objects ...string) {
	t.Helper()
	rec, err := n.Domains.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := n.Letters.Keep(t.Context(), rec, deadletter.Letter{ObjectType: "contact", Reason: "No profile has its keys.", Object: o}); err != nil {
			t.Fatal(err)
		}
	}
}

func checkObjects(t *testing.T, seen map[string]message, name string, want ...string) {
	t.Helper()
	var got []string
	for _, m := range seen {
		if m.Version != 1 || m.DomainName != name || m.ObjectTypeName != "contact" || m.Reason != "No profile has its keys." {
			t.Errorf("a message says %+v", m)
		}
		if _, err := time.Parse(time.RFC3339Nano, m.ReceivedAt); err != nil {
			t.Error(err)
		}
		if m.Object == nil {
			got = append(got, fmt.Sprintf("none of %d bytes", m.ObjectBytes))
			continue
		}
		if len(*m.Object) != m.ObjectBytes {
			t.Errorf("an object of %d bytes is said to have %d", len(*m.Object), m.ObjectBytes)
		}
		got = append(got, *m.Object)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the queue got %.200q, want %.200q", got, want)
	}
}

// Letters arrive, in a standard and in a FIFO queue, whatever is in them; also those kept while the server was dead.
func TestLettersArrive(t *testing.T) {
	s := startServer(t)
	n := startNode(t)
	standard, fifo := s.queue("letters"), s.queue("letters.fifo")
	makeDomain(t, n, "standard", standard)
	makeDomain(t, n, "fifo", fifo)

	var objects []string
	for i := range 35 {
		objects = append(objects, fmt.Sprintf(`{"n":%d,"text":"&<>\"\\ \u0001 \ufffe 😀 שלום"}`, i))
	}
	large := `{"text":"` + strings.Repeat("x", 200<<10) + `"}`
	quotes := `{"text":"` + strings.Repeat(`\"`, 100<<10) + `"}`
	for _, name := range []string{"standard", "fifo"} {
		keep(t, n, name, objects...)
		keep(t, n, name, large, quotes, "\uFFFE\uFFFF\x7f\u0085")
	}
	want := append(slices.Clone(objects), large, fmt.Sprintf("none of %d bytes", len(quotes)), "\uFFFE\uFFFF\x7f\u0085")
	for name, url := range map[string]string{"standard": standard, "fifo": fifo} {
		seen := map[string]message{}
		s.receive(url, seen, len(want))
		checkObjects(t, seen, name, want...)
	}

	// The server dies; what comes meanwhile waits, and whoever puts it does not. It comes back without its queue, and later with it.
	s.Kill()
	keep(t, n, "standard", "while it was dead")
	waitFor(t, func() bool { _, _, _, failed := n.Letters.Stats(); return failed > 0 })
	s.start()
	keep(t, n, "standard", "while it had no queue")
	_, _, _, before := n.Letters.Stats()
	waitFor(t, func() bool { _, _, _, failed := n.Letters.Stats(); return failed > before })
	s.queue("letters")
	seen := map[string]message{}
	s.receive(standard, seen, 2)
	checkObjects(t, seen, "standard", "while it was dead", "while it had no queue")
}

// An endpoint that the operator names is used in the place of that of the queues' URLs.
func TestEndpointOfTheOperator(t *testing.T) {
	s := startServer(t)
	url := s.queue("letters")
	q := &deadletter.SQS{Endpoint: s.url}
	elsewhere := "https://sqs.elasticmq.amazonaws.com" + strings.TrimPrefix(url, s.url)
	failed, err := q.Send(t.Context(), elsewhere, []deadletter.Envelope{{ID: "1", Body: `{"DeadLetterId":"1"}`}})
	if err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	s.receive(url, map[string]message{}, 1)
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("it never happened")
		}
	}
}
