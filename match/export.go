package match

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"kith/api"
)

// exportGroups is how many groups a file has.
const exportGroups = 250_000

// ExportPrefix begins the names of all files of a domain: the prefix that it wants, and its name.
func ExportPrefix(domain string, to *api.S3ExportingConfig) string {
	if p := strings.Trim(api.Val(to.S3KeyName), "/"); p != "" {
		return p + "/" + domain
	}
	return domain
}

// exportKey begins the names of a job's files.
func (r *record) exportKey(domain string) string {
	return ExportPrefix(domain, r.Exporting) + "/" + r.id
}

// export writes the groups to where the domain wants them. It may be repeated: the files are the same, but for profiles that have gone.
func (j *run) export(ctx context.Context) error {
	if err := j.May(ctx, *j.r.Exporting.S3BucketName, ExportPrefix(j.rec.Name, j.r.Exporting)); err != nil {
		return err
	}
	var keys []string
	for from := int64(0); from == 0 || from < j.r.Found.Groups; from += exportGroups {
		key := fmt.Sprintf("%s/matches-%05d.csv", j.r.exportKey(j.rec.Name), from/exportGroups)
		r, w := io.Pipe()
		go func() {
			w.CloseWithError(j.writeCSV(ctx, w, from, min(from+exportGroups, j.r.Found.Groups)))
		}()
		err := j.Exports.Put(ctx, *j.r.Exporting.S3BucketName, key, r)
		_ = r.Close()
		if err != nil {
			return fmt.Errorf("export matches: %w", err)
		}
		keys = append(keys, key)
	}
	return j.set(ctx, func(r *record) { r.Exported = keys })
}

// writeCSV writes the groups from a rank until another, a row for each profile.
func (j *run) writeCSV(ctx context.Context, w io.Writer, from, until int64) error {
	buffered := bufio.NewWriter(w)
	out := csv.NewWriter(buffered)
	if err := out.Write([]string{"MatchId", "ProfileId", "ConfidenceScore"}); err != nil {
		return err
	}
	for from < until {
		groups, err := j.groupsFrom(ctx, j.rec.Incarnation, j.r, from, int(min(chunkGroups, until-from)))
		if err != nil {
			return err
		}
		if len(groups) == 0 {
			break
		}
		live, err := j.live(ctx, j.rec.Incarnation, groups)
		if err != nil {
			return err
		}
		for _, g := range groups {
			ids := alive(&g, live)
			if len(ids) < 2 {
				continue
			}
			for _, id := range ids {
				if err := out.Write([]string{g.id.String(), id.String(), strconv.FormatFloat(g.score, 'f', -1, 64)}); err != nil {
					return err
				}
			}
		}
		from = groups[len(groups)-1].rank + 1
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}
