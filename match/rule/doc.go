// Package rule matches profiles by the rules of their domain (RuleBasedMatching): who has the same values of all attributes of a rule is in one
// match, or becomes one person. Behaviour: docs/spec/advanced.md sections 1.6 and 1.7.
//
// Operation: ListRuleBasedMatches. GetSimilarProfiles asks Service.Similar.
//
// # What matches
//
// Of a profile a rule makes tuples: a value for each of its attributes, as they are compared (Matcher). Where a type stands for several
// fields there is a tuple for each combination of them; with ONE_TO_ONE a tuple says which fields it is of. So two profiles satisfy a rule
// if and only if they have a tuple in common, and everything that follows is about equal tuples; see evaluation.
//
// # Rows
//
// All are in table match, the same on every engine, behind the number of a generation, or of a series:
//
//	gen 'd' profile id            "t"               → doc: the tuples of the profile, and when it changes by itself
//	gen 'i' level hash[0]         hash[1:12] id     → empty: the profile holds the tuple
//	gen 'x'                       level hash        → empty: more than MaxHolders hold the tuple, and that has been told
//	series 'g' match id[0]        match id          → level, profile ids
//	series 'p' profile id         level             → match id
//	series 'w'                    time number       → profile ids: whose matches are being written
//
// A tuple is kept as a hash, seeded by the domain's incarnation, which nobody is told: nobody can make two values that only seem to be equal.
// A series lives as long as the rules are on, a generation until all there is is evaluated anew.
//
// # Who writes
//
// The matcher (Service.Match), standing work of each domain, reads the feed and evaluates whom it names: nothing happens inside imports or API
// calls. One node at a time does it, under a lease. Rows of the feed are looked at as soon as they are old enough for their write to have
// happened, and again when they are settled. What an import touched is read from its runs, in order, with a bookmark.
//
//	apply(profiles):
//	    read their docs
//	    put docs: what the profile has, and what it had beside it while some of that has to go;  put holders
//	    delete holders that are no more
//	    evaluate; merge; put matches
//	    put docs: what the profile has alone, or delete them
//
// So every holder is known from a doc. Cut off anywhere, it is done again, because the bookmark moves afterwards. Whoever comes after a
// failure, or from another node, trusts nothing that seems to be there (pass.force): it writes all rows again, and takes all tuples of a doc
// for changed, until it has followed the feed to its end once. Matches are then named as before: who is in which is put before the
// match itself.
//
// When the rules change, or the feed does not reach back to the bookmark, all there is is evaluated (build.go): profiles are read by
// profile.Each and written in large sorted pieces into a new generation, then tuples with several holders are evaluated in their order, then the
// matches that have not been met. Meanwhile the matches of before are told, as far as they have not been replaced, and the rules stand
// still (IN_PROGRESS). Whoever was read in an earlier turn, and then merged into, is read again among the persons: what it was written with before is
// compared then, so that every holder is known from a doc here, too.
//
// Values that expire are announced by no feed. A doc tells when its profile changes by itself, the state when the first one does; then all docs
// are looked at.
//
// # Merging
//
// Matches up to the level for merging are merged (match/merge) after their profiles have been read once more; what that makes is
// evaluated again, until nothing is merged any more. Those that can't be merged, because the person would be too large, stay matches.
package rule
