// Package suggest proposes how the columns of a table of customers become attributes, and which column tells customers apart, by the names of the
// columns and by what is in them. It says why. It is pure: whoever has a file gives it the header and rows of it.
//
// A suggestion is always one that CreateUploadJob accepts.
package suggest
