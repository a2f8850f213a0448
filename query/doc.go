// Package query finds customers by what a person types into a box, beyond the API's exact keys: beginnings of words, parts of phone
// numbers, names with up to two typos, several words at once, ranked. It is an addition for consoles and the command line, off until
// PutQuerySettings turns it on for a domain, for it costs disk and processor time.
//
// Operations: QueryProfiles, GetQuerySettings, PutQuerySettings.
//
// # Rows
//
// Everything is in rows of table query, the same on every engine. A generation (4 bytes, big-endian) begins each partition:
//
//	gen '1' profile id (16)           "f"                               → what the profile was indexed with (doc)
//	gen kind bucket [0 shard]         term 0 companion 0 profile id     → signature (8), digit before a part of a phone number
//	gen '2' hash (2)                  hash (4) term                     → empty: a name without up to two of its letters
//
// A kind is 'n' (words of names), 'e' (e-mail addresses), 'a' (account numbers), 'p' (ends of phone numbers), 'c' (words of cities,
// postal codes). The bucket is the first two characters of the term, three digits of a phone number; places have 16 shards, for whole
// countries live in one city. So the terms of a bucket are in order, a beginning of a word is a range, and no partition grows much
// beyond a percent or two of the domain.
//
// A phone number has a row for each of its ends with an even number of digits, four at least. A part of a number is the beginning of an
// end; where that end has an odd number of digits the row of the next shorter one stands for it, which keeps the digit before.
//
// The companion is the beginning of the person's other name: of a last name the first, else the last. So "maria wong" is a range of few
// rows, however many have either name. The signature says, with some error, how the profile's terms begin: most candidates that other
// words exclude are left out without being read.
//
// A posting is a hint, as elsewhere in this project: the person it leads to, read now, confirms that it matches and how. What is
// deleted, has expired or was merged away is not shown, however late the index is.
//
// # Who writes
//
// The indexer, standing work of each domain (Indexer), reads the feed and indexes again whom it names: nothing happens inside imports or
// API calls. One node at a time does it, under a lease. What an import touched is read from its runs, in order, with a bookmark.
//
//	apply(profiles):
//	    read what they were indexed with
//	    put docs: the new one, and the old one beside it while some of its terms have to go;  put names' letters;  put postings
//	    delete postings that are no more; of names that nobody has now, their letters
//	    put docs: the new one alone, or delete them
//
// So every posting is known from a doc, and is found when the profile changes or goes. Cut off anywhere, it is done again, because the
// bookmark moves afterwards; and whoever comes after a failure, or from another node, writes anew what seems to be there already
// (pass.force). An indexer that lost its lease in the middle of a write may leave a posting too many, or, if it stood still for all the
// length of its lease, take one too many away: the next generation mends that.
//
// A generation is built by a pass over all profiles (profile.Each), in pieces, the feed between them. The first one is searched while it
// grows; later ones take the place of the old when they are complete. There is a new one when the index is turned on, when the feed does
// not reach back to the bookmark, and once a week if profiles have expired meanwhile, of which no feed tells.
package query
