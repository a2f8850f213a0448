package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"

	"kith/internal/people"
)

// labelled is a file of which it is known who is who.
type labelled struct {
	name, path, truth string
	peer              string // what splink_peer.py calls its settings for such a file
	must              string
}

// matching measures identity resolution beside Splink: how right it is on labelled files, and how fast on generated ones. Everything goes
// through the API: the file as `kith import` maps it without a flag, one job, and GetMatches. Who is who is not imported.
func (b *bench) matching() error {
	sets, err := b.labelled()
	if err != nil {
		return err
	}
	python, err := b.splink()
	if err != nil {
		return err
	}
	for _, set := range sets {
		ours, err := b.match(set)
		if err != nil {
			return fmt.Errorf("%s: %w", set.name, err)
		}
		theirs := &measured{}
		if python != "" {
			if theirs, err = b.matchPeer(python, set); err != nil {
				return fmt.Errorf("%s: %w", set.name, err)
			}
		}
		b.add("F1 at 0.9, "+set.name, fmt.Sprintf("%.4f (P %.4f, R %.4f)", ours.At.F1, ours.At.Precision, ours.At.Recall),
			fmt.Sprintf("%.4f (P %.4f, R %.4f), best %.4f", theirs.Clusters.F1, theirs.Clusters.Precision, theirs.Clusters.Recall, max(theirs.Best.F1, theirs.Clusters.F1)), "", set.must)
		b.add("  right of the pairs that are given 0–0.1, …, 0.9–1", reliability(ours.Bins), reliability(theirs.Bins), "", "")
	}
	return b.matchSpeed(python)
}

func reliability(bins []bin) string {
	var out []string
	for _, b := range bins {
		if b.Pairs == 0 {
			out = append(out, "–")
			continue
		}
		out = append(out, fmt.Sprintf("%.2f (%d)", b.Right, b.Pairs))
	}
	return strings.Join(out, " ")
}

// matchSpeed takes one job from its start to COMPLETED, and Splink from its file to clusters.
func (b *bench) matchSpeed(python string) error {
	for i, text := range strings.Split(b.matchRows, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n == 0 {
			continue
		}
		set, err := b.generate(labelled{name: fmt.Sprintf("%d customers, a fifth of them again", n), peer: "people"}, people.Options{Records: n, Repeats: 0.2, Seed: 1})
		if err != nil {
			return err
		}
		ours, err := b.match(set)
		if err != nil {
			return err
		}
		per := fmt.Sprintf("%.1f s (%.1f µs each), %d MB, F1 %.3f (P %.3f, R %.3f)", ours.Seconds, 1e6*ours.Seconds/float64(n), ours.PeakMB, ours.At.F1, ours.At.Precision, ours.At.Recall)
		if n > b.peerRows || python == "" {
			b.add("matching "+set.name, per, "", "", "")
			continue
		}
		theirs, err := b.matchPeer(python, set)
		if err != nil {
			return err
		}
		must := ""
		if i > 0 {
			must = "5 ×"
		}
		b.add("matching "+set.name, per, fmt.Sprintf("%.1f s, %d MB, F1 %.3f", theirs.Seconds, theirs.PeakMB, theirs.Clusters.F1), fmt.Sprintf("%.1f ×", theirs.Seconds/ours.Seconds), must)
	}
	return nil
}

// labelled returns the sets: those of a folder, if there is one, and two that are generated.
func (b *bench) labelled() (sets []labelled, err error) {
	for _, of := range []struct {
		labelled
		file, without string
	}{
		{labelled{name: "febrl1", peer: "febrl", must: "0.995"}, "febrl1.csv", "soc_sec_id"},
		{labelled{name: "febrl1 with soc_sec_id", peer: "febrl-ssn", must: "1.000"}, "febrl1.csv", ""},
		{labelled{name: "febrl3", peer: "febrl", must: "0.996"}, "febrl3.csv", "soc_sec_id"},
		{labelled{name: "febrl3 with soc_sec_id", peer: "febrl-ssn", must: "0.9998"}, "febrl3.csv", ""},
		{labelled{name: "fake_1000", peer: "fake", must: "ahead"}, "fake_1000.csv", "cluster"},
	} {
		from := filepath.Join(b.sets, of.file)
		if _, err := os.Stat(from); b.sets == "" || err != nil {
			fmt.Fprintf(os.Stderr, "%s is not measured: -sets names no folder with %s\n", of.name, of.file)
			continue
		}
		set, err := b.prepare(of.labelled, from, of.without)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	for _, households := range []bool{false, true} {
		set := labelled{name: "people of six countries", peer: "people", must: "ahead"}
		if households {
			set = labelled{name: "households and twins", peer: "people", must: "ahead, P 0.98"}
		}
		if set, err = b.generate(set, people.Options{Records: 20_000, Repeats: 0.3, Seed: 1, Households: households}); err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

func (b *bench) generate(set labelled, o people.Options) (labelled, error) {
	set.path = filepath.Join(b.dir, fmt.Sprintf("people-%d-%t.csv", o.Records, o.Households))
	set.truth = set.path + ".truth"
	return set, once(set.path, func(to *os.File) error {
		who, err := os.Create(set.truth)
		if err != nil {
			return err
		}
		return errors.Join(people.Write(to, who, o), who.Close())
	})
}

// prepare writes a public file anew: who is who goes into a file of its own, and records get numbers that say nothing of it.
func (b *bench) prepare(set labelled, from, without string) (labelled, error) {
	text, err := os.ReadFile(from)
	if err != nil {
		return set, err
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.TrimLeadingSpace = true
	rows, err := in.ReadAll()
	if err != nil {
		return set, err
	}
	var file, truth bytes.Buffer
	out := csv.NewWriter(&file)
	header := rows[0]
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	person, drop := slices.Index(header, "cluster"), slices.Index(header, without)
	numbers := rand.New(rand.NewPCG(1, 2)).Perm(len(rows))
	for i, row := range rows {
		if i > 0 {
			who := ""
			if person >= 0 {
				who = row[person]
			} else {
				who = strings.Split(row[0], "-")[1] // rec-1496-dup-0
			}
			row[0] = strconv.Itoa(100_000 + numbers[i])
			fmt.Fprintf(&truth, "%s,%s\n", row[0], who)
		}
		if drop >= 0 {
			row = slices.Delete(slices.Clone(row), drop, drop+1)
		}
		if err := out.Write(row); err != nil {
			return set, err
		}
	}
	out.Flush()
	set.path = filepath.Join(b.dir, strings.ReplaceAll(set.name, " ", "-")+".csv")
	set.truth = set.path + ".truth"
	return set, errors.Join(os.WriteFile(set.path, file.Bytes(), 0o600), os.WriteFile(set.truth, truth.Bytes(), 0o600))
}

// measured is how right and how fast a matcher is.
type measured struct {
	At, Best, Clusters quality
	Bins               []bin
	Seconds            float64
	PeakMB             int64 `json:"peak_mb"`
}

type quality struct{ Precision, Recall, F1 float64 }

type bin struct {
	Pairs       int
	Mean, Right float64
}

// UnmarshalJSON reads [pairs, mean, right].
func (b *bin) UnmarshalJSON(text []byte) error {
	var of [3]*float64
	if err := json.Unmarshal(text, &of); err != nil {
		return err
	}
	if of[1] != nil {
		b.Pairs, b.Mean, b.Right = int(*of[0]), *of[1], *of[2]
	}
	return nil
}

func readTruth(path string) (person map[string]string, pairs int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	person = map[string]string{}
	size := map[string]int{}
	for line := range strings.Lines(string(text)) {
		record, who, _ := strings.Cut(strings.TrimSpace(line), ",")
		person[record] = who
		pairs += size[who]
		size[who]++
	}
	return person, pairs, nil
}

// match imports a set, runs a job, and reads its matches. A pair is two customers of a group whose score is 0.9 at least.
func (b *bench) match(set labelled) (*measured, error) {
	person, truePairs, err := readTruth(set.truth)
	if err != nil {
		return nil, err
	}
	s, err := b.serve()
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }()
	if _, err := s.importFile(set.path); err != nil {
		return nil, err
	}
	ctx, domain := context.Background(), aws.String("customers")
	if _, err := s.UpdateDomain(ctx, &customerprofiles.UpdateDomainInput{DomainName: domain, Matching: &types.MatchingRequest{Enabled: aws.Bool(true)}}); err != nil {
		return nil, err
	}
	watch := s.watchMemory()
	start := time.Now()
	if err := s.matchNow(ctx, *domain); err != nil {
		return nil, err
	}
	m := &measured{Seconds: time.Since(start).Seconds(), PeakMB: watch().all >> 20}
	var groups []types.MatchItem
	for in := (&customerprofiles.GetMatchesInput{DomainName: domain, MaxResults: aws.Int32(100)}); ; {
		out, err := s.GetMatches(ctx, in)
		if err != nil {
			return nil, err
		}
		groups = append(groups, out.Matches...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	record, err := s.records(ctx, groups)
	if err != nil {
		return nil, err
	}
	m.Bins = make([]bin, 10)
	var found, right int
	for _, g := range groups {
		score := *g.ConfidenceScore
		at := &m.Bins[min(9, int(score*10))]
		for i, a := range g.ProfileIds {
			for _, other := range g.ProfileIds[:i] {
				same := person[record[a]] == person[record[other]]
				at.Pairs++
				at.Mean += score
				if same {
					at.Right++
				}
				if score >= 0.9 {
					found++
					if same {
						right++
					}
				}
			}
		}
	}
	for i := range m.Bins {
		if n := float64(m.Bins[i].Pairs); n > 0 {
			m.Bins[i].Mean, m.Bins[i].Right = m.Bins[i].Mean/n, m.Bins[i].Right/n
		}
	}
	m.At = quality{float64(right) / float64(max(1, found)), float64(right) / float64(truePairs), 2 * float64(right) / float64(max(1, found+truePairs))}
	return m, nil
}

// matchNow runs a job.
func (s *served) matchNow(ctx context.Context, domain string) error {
	target := s.endpoint + "/kith/domains/" + domain + "/identity-resolution-jobs"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	creds, err := s.Options().Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte("{}"))
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var started struct{ JobId string }
	if err := json.NewDecoder(res.Body).Decode(&started); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("start a job: %w: %s", err, res.Status)
	}
	for {
		job, err := s.GetIdentityResolutionJob(ctx, &customerprofiles.GetIdentityResolutionJobInput{DomainName: &domain, JobId: &started.JobId})
		switch {
		case err != nil:
			return err
		case job.Status == types.IdentityResolutionJobStatusCompleted:
			return nil
		case job.Status == types.IdentityResolutionJobStatusFailed || job.Status == types.IdentityResolutionJobStatusPartialSuccess:
			return fmt.Errorf("the job ended %s: %s", job.Status, aws.ToString(job.Message))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// records returns the records of the file that profiles are.
func (s *served) records(ctx context.Context, groups []types.MatchItem) (map[string]string, error) {
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ProfileIds...)
	}
	record := map[string]string{}
	for part := range slices.Chunk(ids, 20) {
		out, err := s.BatchGetProfile(ctx, &customerprofiles.BatchGetProfileInput{DomainName: aws.String("customers"), ProfileIds: part})
		if err != nil {
			return nil, err
		}
		for _, p := range out.Profiles {
			record[*p.ProfileId] = aws.ToString(p.AccountNumber)
		}
	}
	if len(record) != len(ids) {
		return nil, fmt.Errorf("%d of %d matched profiles were read", len(record), len(ids))
	}
	return record, nil
}

// splink returns a Python that has it. It is installed beside the bench's other files, or wherever -splink says; "": nothing is compared.
func (b *bench) splink() (string, error) {
	switch b.python {
	case "":
	case "none":
		return "", nil
	default:
		return b.python, nil
	}
	env := filepath.Join(b.dir, "splink")
	for _, c := range [][]string{{"python3", "-m", "venv", env}, {filepath.Join(env, "bin", "pip"), "install", "--quiet", "--requirement", "test/bench/peer/requirements.txt"}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("install Splink: %w: %s", err, out)
		}
	}
	return filepath.Join(env, "bin", "python"), nil
}

func (b *bench) matchPeer(python string, set labelled) (*measured, error) {
	cmd := exec.Command(python, "test/bench/peer/splink_peer.py", set.peer, set.path, set.truth)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	m := &measured{}
	if err := cmp.Or(err, json.Unmarshal([]byte(lines[len(lines)-1]), m)); err != nil {
		return nil, fmt.Errorf("Splink: %w: %s", err, failed.String())
	}
	return m, nil
}
