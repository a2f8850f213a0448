package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// Confidence is how sure a behaviour is, as docs/spec marks it.
type Confidence string

// The confidences, the surest first.
const (
	Model    Confidence = "model"    // read off the API's model
	Doc      Confidence = "doc"      // in the vendor's documentation
	Observed Confidence = "observed" // seen by third parties against the live service
	Inferred Confidence = "inferred" // documented nowhere; what Kith chose
)

// Confidences are all of them, the surest first.
var Confidences = []Confidence{Model, Doc, Observed, Inferred}

// Check is one behaviour.
type Check struct {
	Operation  string
	Behaviour  string // a sentence about what the server does
	Section    string // of docs/spec, such as "core.md 5.2"
	Confidence Confidence
	run        func(*T)
}

// Outcome is how a check went.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Differs Outcome = "differs"
	Skipped Outcome = "skipped" // an operation it needs is not built
)

// Result is a check that has been made.
type Result struct {
	Operation, Behaviour, Section string
	Confidence                    Confidence
	Outcome                       Outcome
	Differences                   []string `json:",omitempty"` // what was expected and what came
	Reason                        string   `json:",omitempty"` // of a skipped check
	Milliseconds                  int64
}

// Config says what is asked whom.
type Config struct {
	// Options are how the server is reached: endpoint, region, credentials. The HTTP client and the retries are replaced.
	Options customerprofiles.Options
	// HTTP sends everything, uploads included; nil is http.DefaultClient.
	HTTP *http.Client
	// Account is the number of the account in ARNs.
	Account string
	// Operations are those whose checks are made; none is all.
	Operations []string
	// Confidence is the least of the checks that are made; "" is Inferred.
	Confidence Confidence
	// Patience is how long a write may take until reads see it.
	Patience time.Duration
	// Started is told the name of the domain, before it is created; Done each result. Both may be nil.
	Started func(domain string)
	Done    func(Result)
}

// Checks returns the checks that c asks for, by operation. An operation that no check is about is an error.
func Checks(c Config) ([]Check, error) {
	if c.Confidence != "" && !slices.Contains(Confidences, c.Confidence) {
		return nil, fmt.Errorf("there is no confidence %q; there are %v", c.Confidence, Confidences)
	}
	for _, op := range c.Operations {
		if !slices.ContainsFunc(all, func(check Check) bool { return check.Operation == op }) {
			return nil, fmt.Errorf("no check is about an operation %s; --list names all checks", op)
		}
	}
	var chosen []Check
	for _, check := range all {
		if c.wants(check.Confidence) && (len(c.Operations) == 0 || slices.Contains(c.Operations, check.Operation)) {
			chosen = append(chosen, check)
		}
	}
	slices.SortStableFunc(chosen, func(a, b Check) int { return strings.Compare(a.Operation, b.Operation) })
	return chosen, nil
}

// wants says whether a confidence is at least that of c.
func (c *Config) wants(confidence Confidence) bool {
	return slices.Index(Confidences, confidence) <= slices.Index(Confidences, cmp.Or(c.Confidence, Inferred))
}

// all is every check there is, filled by the files of the subjects.
var all = slices.Concat(domainChecks, tagChecks, layoutChecks, domainObjectTypeChecks, uploadChecks, profileChecks, searchChecks, keyChecks,
	mergeChecks, historyChecks, objectTypeChecks, objectChecks, resolutionChecks, ruleChecks, attributeChecks, integrationChecks, matchChecks)

// suite is what the checks of a run share.
type suite struct {
	client *customerprofiles.Client
	http   *http.Client
	config Config
	domain string
	made   []string // domains whose creation was asked for
	watch  *watch
	ready  map[string]bool // fixtures of the domain that exist
}

// Run makes the checks and returns their results. The error says that the checks could not be made at all, that ctx ended, or that a
// domain could not be removed; the results until then are returned with it.
func Run(ctx context.Context, c Config) (results []Result, err error) {
	checks, err := Checks(c)
	if err != nil {
		return nil, err
	}
	web := c.HTTP
	if web == nil {
		web = http.DefaultClient
	}
	s := &suite{config: c, http: web, watch: &watch{next: web}, ready: map[string]bool{}, domain: "kith-conformance-" + random(8)}
	c.Options.HTTPClient = s.watch
	c.Options.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 6 })
	s.client = customerprofiles.New(c.Options)

	if c.Started != nil {
		c.Started(s.domain)
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	if _, err := s.create(ctx, s.domain); err != nil {
		return nil, fmt.Errorf("the domain %s for the checks could not be created: %w", s.domain, err)
	}
	done := func(r Result) {
		results = append(results, r)
		if c.Done != nil {
			c.Done(r)
		}
	}
	for _, check := range checks {
		r := s.check(ctx, check)
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		done(r)
	}
	for _, r := range s.watch.results() {
		if c.wants(r.Confidence) {
			done(r)
		}
	}
	return results, nil
}

// check makes one check.
func (s *suite) check(ctx context.Context, c Check) (r Result) {
	r = Result{Operation: c.Operation, Behaviour: c.Behaviour, Section: c.Section, Confidence: c.Confidence, Outcome: OK}
	t := &T{Client: s.client, ctx: ctx, suite: s, domain: s.domain}
	start := time.Now()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case ended:
			r.Reason = string(p)
		default:
			t.Differs("the check itself failed: %v\n%s", p, debug.Stack())
		}
		r.Milliseconds, r.Differences = time.Since(start).Milliseconds(), t.differences
		switch {
		case len(t.differences) > 0:
			r.Outcome = Differs
		case r.Reason != "":
			r.Outcome = Skipped
		}
	}()
	c.run(t)
	return r
}

// create makes a domain that remove takes away again.
func (s *suite) create(ctx context.Context, name string) (*customerprofiles.CreateDomainOutput, error) {
	in := &customerprofiles.CreateDomainInput{DomainName: &name, DefaultExpirationDays: aws.Int32(30), Tags: map[string]string{"made-by": "kith-conformance"}}
	s.made = append(s.made, name) // before it is asked for: the answer may be lost
	return s.client.CreateDomain(ctx, in)
}

// removal is how long the removal of a domain may take.
const removal = 2 * time.Minute

// remove deletes the domains that were made, also when ctx has ended.
func (s *suite) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removal)
	defer cancel()
	var errs []error
	for _, name := range slices.Backward(s.made) {
		_, err := s.client.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: &name})
		if _, gone := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !gone {
			errs = append(errs, fmt.Errorf("the domain %s could not be removed, do it by DeleteDomain: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// random returns 2·n hex digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// watch sends the requests of the SDK, and sees what every answer must have.
type watch struct {
	next *http.Client

	mu      sync.Mutex
	broken  map[string]int // answers of 5xx, by method, path and status
	unnamed map[string]int // answers without a request id
}

// Do implements customerprofiles.HTTPClient.
func (w *watch) Do(r *http.Request) (*http.Response, error) {
	res, err := w.next.Do(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	kind := fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, res.StatusCode)
	if res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented && res.StatusCode != http.StatusServiceUnavailable {
		count(&w.broken, kind)
	}
	if res.Header.Get("X-Amzn-Requestid") == "" {
		count(&w.unnamed, kind)
	}
	return res, nil
}

func count(m *map[string]int, kind string) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[kind]++
}

// results are what was seen of all answers together.
func (w *watch) results() []Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	result := func(behaviour, section string, confidence Confidence, seen map[string]int) Result {
		r := Result{Operation: "(all)", Behaviour: behaviour, Section: section, Confidence: confidence, Outcome: OK}
		for kind, n := range seen {
			r.Outcome = Differs
			r.Differences = append(r.Differences, fmt.Sprintf("%s, %d times", kind, n))
		}
		slices.Sort(r.Differences)
		return r
	}
	return []Result{
		result("no call is answered with an error of the server", "core.md 6.2", Model, w.broken),
		result("every answer has x-amzn-RequestId", "core.md 6.3", Inferred, w.unnamed),
	}
}
