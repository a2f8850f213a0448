package deadletter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// SQS is a queue of Amazon SQS, or of what speaks its protocol. Credentials and region come from the usual places of the AWS SDKs:
// environment, shared files, container, machine.
//
// The URL of a queue is what somebody has written into a domain, who need not be the operator. So the endpoint that is made from it must
// speak TLS or be on this machine, and addresses of link-local networks, where clouds keep secrets of machines, are not called. An Endpoint that
// the operator has given is called as it is.
type SQS struct {
	Endpoint string // base URL of the service; "" is made from the queue's URL

	mu   sync.Mutex
	conf *aws.Config
}

// sendFor bounds one call, its retries included.
const sendFor = 30 * time.Second

// Send implements Queue.
func (q *SQS) Send(ctx context.Context, queue string, batch []Envelope) (map[int]error, error) {
	endpoint, region, err := q.place(queue)
	if err != nil {
		return nil, err
	}
	conf, err := q.config(ctx)
	if err != nil {
		return nil, err
	}
	client := sqs.NewFromConfig(*conf, func(o *sqs.Options) {
		o.BaseEndpoint = &endpoint
		if region != "" {
			o.Region = region
		}
		if q.Endpoint == "" {
			o.HTTPClient = guarded
		}
	})
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	in := &sqs.SendMessageBatchInput{QueueUrl: &queue}
	for i, e := range batch {
		entry := types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: &e.Body}
		if strings.HasSuffix(queue, ".fifo") {
			entry.MessageGroupId, entry.MessageDeduplicationId = &e.Domain, &e.ID
		}
		in.Entries = append(in.Entries, entry)
	}
	out, err := client.SendMessageBatch(ctx, in)
	if api, ok := errors.AsType[smithy.APIError](err); ok { // its text may repeat what was sent
		return nil, fmt.Errorf("the queue answers %s", api.ErrorCode())
	}
	if err != nil {
		return nil, err
	}
	return outcome(len(batch), out)
}

// outcome tells which messages were not taken. One that the answer does not speak of was not.
func outcome(n int, out *sqs.SendMessageBatchOutput) (map[int]error, error) {
	failed := map[int]error{}
	for i := range n {
		failed[i] = errors.New("the queue's answer does not speak of it")
	}
	for _, ok := range out.Successful {
		var i int
		if _, err := fmt.Sscan(aws.ToString(ok.Id), &i); err != nil {
			return nil, errors.New("the queue's answer names a message that was not sent")
		}
		delete(failed, i)
	}
	for _, no := range out.Failed {
		var i int
		if _, err := fmt.Sscan(aws.ToString(no.Id), &i); err == nil {
			failed[i] = errors.New(aws.ToString(no.Code))
		}
	}
	return failed, nil
}

// config reads the environment once it can be read.
func (q *SQS) config(ctx context.Context) (*aws.Config, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conf == nil {
		conf, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("AWS configuration: %w", err)
		}
		if conf.Region == "" {
			conf.Region = "us-east-1"
		}
		q.conf = &conf
	}
	return q.conf, nil
}

// place returns the endpoint of a queue's service, and its region if the URL tells.
func (q *SQS) place(queue string) (endpoint, region string, err error) {
	u, err := url.Parse(queue)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", "", errors.New("DeadLetterQueueUrl is no URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/name")
	}
	region = regionOf(u.Hostname())
	if q.Endpoint != "" {
		return q.Endpoint, region, nil
	}
	if u.Scheme == "http" && !onThisMachine(u.Hostname()) {
		return "", "", errors.New("DeadLetterQueueUrl begins with http: customers' data would travel in clear; use https, or name the service with --sqs-endpoint")
	}
	return u.Scheme + "://" + u.Host, region, nil
}

// regionOf reads the region from a host of AWS: sqs.<region>.amazonaws.com, or <region>.queue.amazonaws.com.
func regionOf(host string) string {
	labels := strings.Split(host, ".")
	if len(labels) < 4 || labels[len(labels)-1] != "com" && labels[len(labels)-1] != "cn" && labels[len(labels)-1] != "aws" {
		return ""
	}
	if !strings.Contains(host, ".amazonaws.com") && !strings.HasSuffix(host, ".api.aws") {
		return ""
	}
	if labels[0] == "sqs" || labels[0] == "sqs-fips" {
		return labels[1]
	}
	if labels[1] == "queue" {
		return labels[0]
	}
	return ""
}

func onThisMachine(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// guarded calls no address of a link-local network, whatever a name leads to.
var guarded = &http.Client{
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, Control: notLinkLocal}).DialContext,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func notLinkLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := ap.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return errors.New("the address is one of a link-local network")
	}
	return nil
}
