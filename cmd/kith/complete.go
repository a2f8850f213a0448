package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/domain"
	"kith/schema"
	"kith/store/pebble"
	"kith/upload"
	"kith/upload/table"
)

// Completion asks the server that runs, or else reads the data folder, which it leaves as it is. What goes wrong completes nothing.

// completionTime is how long a key press may be kept waiting.
const completionTime = 2 * time.Second

// mostCompleted is how many words are offered.
const mostCompleted = 100

type completer = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// completing makes a completer of what lists words; files are not among them.
func completing(list func(ctx context.Context, cmd *cobra.Command, args []string) []cobra.Completion) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		cmd.SetContext(ctx)
		var found []cobra.Completion
		for _, c := range list(ctx, cmd, args) {
			if strings.HasPrefix(c, word) && len(found) < mostCompleted {
				found = append(found, c)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// onFolder calls do with a data folder's store, opened for reading, if it is there and no server has it.
func onFolder(cmd *cobra.Command, do func(*domain.Service)) {
	data := flagOrEnv(cmd, "data")
	if isDataFolder(data) != nil {
		return
	}
	s, err := pebble.Open(filepath.Join(data, "store"), pebble.Options{ReadOnly: true})
	if err != nil {
		return
	}
	defer s.Close()
	do(&domain.Service{Store: s, Now: time.Now})
}

// listDomains lists the domains that there are.
func listDomains(ctx context.Context, cmd *cobra.Command, _ []string) (names []cobra.Completion) {
	c, err := running(cmd)
	if err != nil {
		return nil
	}
	if c == nil {
		onFolder(cmd, func(s *domain.Service) {
			all, _ := s.Live(ctx)
			for _, rec := range all {
				names = append(names, rec.Name)
			}
		})
		return names
	}
	for name, err := range eachDomain(ctx, c) {
		if err != nil || len(names) > 10*mostCompleted {
			break
		}
		names = append(names, name)
	}
	return names
}

// listJobWords lists the newest imports of the domain, as the beginnings of their ids, each with its file.
func listJobWords(ctx context.Context, cmd *cobra.Command, args []string) []cobra.Completion {
	if len(args) > 0 {
		return nil
	}
	name, _ := cmd.Flags().GetString("domain")
	words := []cobra.Completion{cobra.CompletionWithDesc("last", "the newest import")}
	add := func(id, status, file string) {
		words = append(words, cobra.CompletionWithDesc(id[:shownID], status+" "+oneLine(file)))
	}
	c, err := running(cmd)
	if err != nil {
		return nil
	}
	if c == nil {
		onFolder(cmd, func(s *domain.Service) {
			jobs := &upload.Service{Store: s.Store, Domains: s}
			list, err := jobs.ListUploadJobs(ctx, &api.ListUploadJobsRequest{DomainName: &name})
			if err != nil {
				return
			}
			for _, j := range list.Items {
				state := string(*j.Status)
				if d, err := jobs.GetUploadJobDetails(ctx, &api.GetUploadJobDetailsRequest{DomainName: &name, JobId: j.JobId}); err == nil {
					state = stateOf(state, d)
				}
				add(*j.JobId, state, *j.DisplayName)
			}
		})
		return words
	}
	for j, err := range jobsOf(ctx, c, name, mostCompleted) {
		if err != nil || len(words) > mostCompleted {
			break
		}
		state := string(j.Status)
		if d, err := detailsOf(ctx, c, name, *j.JobId); err == nil {
			state = stateOf(state, d)
		}
		add(*j.JobId, state, *j.DisplayName)
	}
	return words
}

// listColumns lists the columns of the file that an import is asked for; each ends with the sign that what is completed goes on with.
func listColumns(end string) func(context.Context, *cobra.Command, []string) []cobra.Completion {
	return func(ctx context.Context, _ *cobra.Command, args []string) (names []cobra.Completion) {
		if len(args) == 0 {
			return nil
		}
		f, err := os.Open(args[0])
		if err != nil {
			return nil
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		text, err := table.Open(ctx, f, table.Options{File: onDisk{io.NewSectionReader(f, 0, info.Size())}})
		if err != nil {
			return nil
		}
		defer text.Close()
		header, err := table.NewScanner(text).LikelyHeader(table.Layout{})
		if err != nil {
			return nil
		}
		for _, h := range header {
			if h = schema.ColumnName(h); h != "" {
				names = append(names, h+end)
			}
		}
		return names
	}
}

// onDisk is a file to be read from anywhere.
type onDisk struct{ *io.SectionReader }

// Stream implements table.File.
func (f onDisk) Stream(off int64) io.Reader { return io.NewSectionReader(f, off, f.Size()-off) }

// addCompletion completes the arguments and flags of all commands: domains, jobs, columns, and words that a flag knows.
func addCompletion(cmd *cobra.Command) {
	flag := func(name string, c completer) {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, c)
		}
	}
	words := func(all ...string) completer {
		return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
	}
	flag("domain", completing(listDomains))
	flag("format", words(formats...))
	flag("confidence", words("model", "doc", "observed", "inferred"))
	flag("delimiter", words(",", ";", "tab", "|"))
	if cmd.Name() == "import" {
		flag("key", completing(listColumns("")))
		flag("map", completing(listColumns("=")))
	}
	_, takes, _ := strings.Cut(cmd.Use, " ")
	switch {
	case cmd.ValidArgsFunction != nil: // it completes them itself
	case strings.Trim(takes, "[]") == "JOB":
		cmd.ValidArgsFunction = completing(listJobWords)
	case strings.HasPrefix(takes, "DOMAIN"):
		cmd.ValidArgsFunction = completing(listDomains)
	case !strings.Contains(takes, "FILE") && !strings.Contains(takes, "DIR") && !cmd.HasSubCommands():
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		addCompletion(sub)
	}
}
