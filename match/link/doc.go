// Package link finds the profiles that seem to be of one person: probabilistic record linkage in the sense of Fellegi and Sunter, learned
// from the domain's own profiles without labels. It is pure: profiles in, groups out; it knows neither store nor service.
//
// # What is compared
//
// A profile becomes a record (feature.go): names without titles, marks and case, transliterated from Cyrillic and Greek, a father's name,
// a generation (Jr) and particles apart (names.go, text.go); the birth date, however it is written (date.go); gender; e-mail addresses without what does not count in
// them; the last nine digits of phone numbers; addresses as street, house number, further lines, city, postal code, state; firm; and the
// account number and custom attributes, if their values could tell persons apart: many differ, and some come again (stats.go). What stands with
// persons of all kinds, as 1900-01-01, noreply@ and the number of the call centre do, is learned from a sample and is no value (habits.go). A field
// of two records agrees in a level (level.go, compare*.go): the same, a typing error apart, forms of one name, exchanged, …, different. What one
// of them lacks says nothing; that they are in letters which can't be compared does. Names that end with numbers which differ, as Guest 12 and Guest 13, are different.
//
// # What it weighs
//
// The weight of a level is log(m/u): how probable it is in records of one person, against those of two (Fellegi, Sunter: A theory for record
// linkage, 1969). Where two have the same, u is how frequent that term is: Smith says less than Quispe (Winkler: Frequency-based
// matching in the Fellegi-Sunter model, 1989; terms.go). Rare terms are as frequent as Good and Turing estimate, and a person's
// term counts once, however many records the person has, which is known when everything has been matched for a first time; so all is done twice.
//
// Fields are not independent, and three things are done about that. The parts of an address are one field, whose patterns are counted where they
// are frequent and put together where not, of what any two parts do together: who moves changes all of them, and a city has few postal codes (emaddress.go). An e-mail address made of the names counts for nothing where
// the names agree. And names that agree do so more often together (em.go: together).
//
// # Three classes
//
// Pairs are of one person, of two people who live together, or of any other two. Who live together share family name, address, phone or e-mail,
// by learned shares, but given names and birth dates no more than strangers do, or a little: twins, fathers and sons. So what a
// household shares is no evidence within it. A pair is in this class only if an address, a phone, an e-mail, an account number or a custom attribute agrees,
// or the family name and the birth date, as twins have; where no address is known, if the family name does, and the city. Neighbours are in
// it, too, but it is not learned of them what a household shares: there are the more of them the more customers there are (household.go).
//
// What people keep is not left to EM alone, which would otherwise take other people in: given names, birth dates, the house as long as the street
// is the same (em.go: lasting). In its first iterations hardly any given name may differ, so that households are found first.
//
// m, the shares and the sizes of the classes are learned by EM (Winkler: Using the EM algorithm for weight computation, 1988; Enamorado, Fifield,
// Imai: Using a probabilistic model to assist merging of large-scale administrative records, 2019), u from pairs by chance. All
// pairs that might be of one person are in the sample, for they share a key, and the others count as two people: so it does not matter by what
// pairs were found, and the prior is that of all pairs there are. What nearly agrees in more pairs by chance than one person's errors can make does so by chance: numbers that were given out
// one after the other are one digit apart (em.go: countChance). Beliefs that count like a few pairs stand in for what is rare. What persons have
// answered is learned from, and obeyed.
//
// # Which pairs
//
// Records are compared that share one of some 25 keys: e-mail, phone, sounds of both names in either order, birth date, street and house number, a name
// with a postal code, … (block.go). How many records may share a key depends on how many pairs its pass may have. Who share it and are
// more are refined by further attributes, by each of the three that divide them best, so that an error in one hides nothing. Where nothing
// divides them, each is compared with some neighbours. Profiles that say the same are one for all of this (same.go). Few profiles are all compared, but learned from are those pairs that share a key.
//
// # Groups
//
// Components are not taken as they are, for one wrong pair would join two people (Hassanzadeh and others: Framework for evaluating clustering
// algorithms in duplicate detection, 2009). Clusters grow from single profiles by the best joint first, and a joint of two clusters is worth what the
// pairs between them say, field by field, in the mean, and never more than their best pair: a weak bridge joins nothing (component.go, cluster.go). A component of
// more than 200 first comes apart at its weakest pairs.
//
// A group's score is the mean probability of its pairs, as the joints that made it have them. Groups of three and more are made by joints of
// 0.9 and more only: who belongs to one less surely than that stays out of it and is in no group, unless with somebody who is in none
// either. So a doubtful profile never lowers a sure group; once that is merged, the next run compares it with the whole. A member that
// also belongs to profiles which the rest of its group surely does not belong to is reported as glued: it seems to be two people.
//
// # Bounds
//
// Records are 100 to 200 bytes, in chunks by the hash of their ids, and what is sorted or joined is in parts (parted.go): outside of the heap, and beyond
// shares of Options.Memory in sealed temporary files. What does not fit is read in order, never at random:
//
//	records     once to sort them; once for all keys of all passes (block.go); for pairs, two chunks at a time (pairs.go); else copied out in one pass (records.pick)
//	keys        part by part; a part that one key makes too large comes apart (entries.go); of a pass its blocks stay, four bytes for each record in one
//	pairs       by the chunks of their records, then by ranges of the first one, so that each part is sorted alone and each pair met once
//	edges       in no order, to find bunches by the roots of their records; then by batches of bunches
//	bunches     batch by batch, with what their pairs say: a batch has so many pairs, whatever component they are of (component.go)
//
// What stays of each profile in any case is a table of what divides blocks, 22 bytes while pairs are looked for, and then eight bytes for its bunch, or four for its person; and four for
// each profile in a group. A block that all profiles share takes eight bytes more for each while it is refined.
//
// Everything is numbered by hashes of ids and summed in that order, so the outcome depends neither on the order of profiles nor on the
// number of workers nor on what was spilled, to the last bit. So several processes can make one search together, and each knows what the others know (team.go).
package link
