package deadletter

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func TestPlaceOfQueues(t *testing.T) {
	for _, c := range []struct{ given, queue, endpoint, region string }{
		{"", "https://sqs.eu-west-1.amazonaws.com/123456789012/name", "https://sqs.eu-west-1.amazonaws.com", "eu-west-1"},
		{"", "https://sqs.cn-north-1.amazonaws.com.cn/1/name", "https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"", "https://eu-west-1.queue.amazonaws.com/1/name", "https://eu-west-1.queue.amazonaws.com", "eu-west-1"},
		{"", "https://sqs.eu-west-1.api.aws/1/name", "https://sqs.eu-west-1.api.aws", "eu-west-1"},
		{"", "https://queue.example.com:9324/1/name", "https://queue.example.com:9324", ""},
		{"", "http://127.0.0.1:9324/1/name", "http://127.0.0.1:9324", ""},
		{"", "http://localhost:9324/1/name", "http://localhost:9324", ""},
		{"http://elasticmq:9324", "http://elasticmq:9324/1/name", "http://elasticmq:9324", ""},
		{"http://elasticmq:9324", "https://sqs.eu-west-1.amazonaws.com/1/name", "http://elasticmq:9324", "eu-west-1"},
		{"", "http://queue.example.com/1/name", "", ""},
		{"", "https://user:secret@queue.example.com/1/name", "", ""},
		{"", "ftp://queue.example.com/1/name", "", ""},
		{"", "name", "", ""},
		{"", "https:///name", "", ""},
	} {
		endpoint, region, err := (&SQS{Endpoint: c.given}).place(c.queue)
		if endpoint != c.endpoint || region != c.region || (err == nil) != (c.endpoint != "") {
			t.Errorf("%s with %q: %s in %q, %v", c.queue, c.given, endpoint, region, err)
		}
	}
}

func TestAddressesThatAreNotCalled(t *testing.T) {
	for address, ok := range map[string]bool{
		"169.254.169.254:80": false, "[fe80::1]:443": false, "[::ffff:169.254.1.1]:80": false, "0.0.0.0:80": false, "224.0.0.1:80": false,
		"127.0.0.1:80": true, "10.0.0.7:443": true, "[2001:db8::1]:443": true,
	} {
		if err := notLinkLocal("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// sqsServer answers SendMessageBatch as SQS does.
func sqsServer(t *testing.T, answer func(ids, bodies []string, w http.ResponseWriter)) string {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var in struct {
			QueueUrl string
			Entries  []struct{ Id, MessageBody, MessageGroupId, MessageDeduplicationId string }
		}
		if err := json.Unmarshal(b, &in); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessageBatch" || !strings.HasSuffix(in.QueueUrl, "/1/name.fifo") {
			t.Errorf("%s %s: %v", r.Header, b, err)
		}
		var ids, bodies []string
		for _, e := range in.Entries {
			ids, bodies = append(ids, e.Id), append(bodies, e.MessageBody)
			if e.MessageGroupId != "shop" || e.MessageDeduplicationId != "id "+e.MessageBody {
				t.Errorf("%+v", e)
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		answer(ids, bodies, w)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/1/name.fifo"
}

// What the service says of each message is understood, and what it does not speak of was not taken.
func TestAnswersOfSQS(t *testing.T) {
	batch := []Envelope{{ID: "id a", Domain: "shop", Body: "a"}, {ID: "id b", Domain: "shop", Body: "b"}, {ID: "id c", Domain: "shop", Body: "c"}}
	for _, c := range []struct {
		name   string
		answer func(ids, bodies []string, w http.ResponseWriter)
		failed string
		err    string
	}{
		{"all", func(ids, _ []string, w http.ResponseWriter) {
			fmt.Fprintf(w, `{"Successful":[{"Id":%q,"MessageId":"m"},{"Id":%q,"MessageId":"m"},{"Id":%q,"MessageId":"m"}]}`, ids[2], ids[1], ids[0])
		}, "map[]", ""},
		{"one fails", func(ids, _ []string, w http.ResponseWriter) {
			fmt.Fprintf(w, `{"Successful":[{"Id":%q,"MessageId":"m"},{"Id":%q,"MessageId":"m"}],"Failed":[{"Id":%q,"SenderFault":true,"Code":"Bad"}]}`, ids[0], ids[2], ids[1])
		}, "map[1:Bad]", ""},
		{"silent", func(ids, _ []string, w http.ResponseWriter) { fmt.Fprint(w, `{}`) },
			"map[0:the queue's answer does not speak of it 1:the queue's answer does not speak of it 2:the queue's answer does not speak of it]", ""},
		{"a stranger", func(ids, _ []string, w http.ResponseWriter) {
			fmt.Fprint(w, `{"Successful":[{"Id":"x","MessageId":"m"}]}`)
		}, "", "names a message"},
		{"no such queue", func(_, bodies []string, w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no queue for %s"}`, bodies[0])
		}, "", "QueueDoesNotExist"},
		{"an outage", func(_, _ []string, w http.ResponseWriter) { w.WriteHeader(503) }, "", "answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			failed, err := (&SQS{}).Send(context.Background(), sqsServer(t, c.answer), batch)
			if c.err == "" && (err != nil || fmt.Sprint(failed) != c.failed) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, %v", failed, err)
			}
			if err != nil && strings.Contains(err.Error(), "no queue for") {
				t.Errorf("the error repeats what the queue says: %v", err)
			}
		})
	}
}
