// Package index has the rules of the key index: which keys a profile has, which index rows it must have, and what they look like. It is
// pure but for claims.
//
// Table key_index, partition = key name 0x01 index value:
//
//	profile id (16 bytes) + class (1 byte) → empty    Write rows
//
// A row belongs to a profile, not to a source, and is a hint: a reader believes it when the person confirms the key (Confirms). Its class
// says who is responsible for it:
//
//	'i'  what contributions of imports yield; put and deleted only by the holder of the domain's turn
//	'a'  what the head yields: values, objects, keys added by hand; put and deleted by whoever swaps the head, and put by the job that
//	     makes an attribute a key. Full names that show without a write of the profile, by a merge, an unmerge, an undo or an expiry,
//	     are of this class, too: whoever does that puts them, and the sweep of the index deletes them
//
// Neither class counts on the other, so an import and an API write of one profile need not know of each other. The rows that a profile
// must have, but for full names, are a pure function of what its partition holds (RequiredByImports, RequiredByAPI). Who changes that puts
// what is missing first and deletes what is in excess last: a row too many is a hint that nobody confirms, and the sweep removes it; a
// row too few would be a lost customer.
//
// A phone number's key depends on the country that it was written in, so that is kept with the value (fold.Value.Country, noted by ReadIn once, when the value is
// written), never looked up: the domain's setting may change without the rows.
//
// Keys are those of one contribution, or of one object: a key of several fields needs all of them from there. Only the full name is
// that of the fold; each writer adds that of the fold it has seen, and no identity rests on it.
package index
