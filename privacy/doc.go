// Package privacy tells everything that is known of one person, and forgets it, with proof.
//
// Operations (additions): ExportPerson, ForgetPerson. What is kept where and how long: docs/privacy.md.
//
// A person is a main profile with all profiles that were merged into it. Besides them it is in dead letters and in rejected rows of imports, which
// belong to no profile: they are looked through for the keys of the person. A dead letter is read by its object type, as a put would; where that
// can't be, and in rejected rows, a field that holds a key of six characters at least counts, because a shorter one would be found by chance.
// Uploaded files are sealed and are not looked through; both operations name the jobs that have one.
//
// The package keeps no rows. Forgetting is a deletion that anybody may repeat; its statement says what was there before and that a look
// afterwards found nothing, and names nobody: profile ids, counts and times.
package privacy
