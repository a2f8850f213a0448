// Package catalog tells what the objects of a type hold: which attributes, which values of one, and the statistics of those that are numbers. It is what
// builders of segments and filters offer.
//
// Operations: ListObjectTypeAttributes, ListObjectTypeAttributeValues, GetObjectTypeAttributeStatistics. Behaviour: docs/spec/core.md 5.7,
// docs/spec/advanced.md 10.3.
//
// An attribute is the path of a scalar in an object's JSON, its names joined by "."; what lies in lists has the path of the list. Attributes of standard
// objects, and of _profile, are those that are folded.
//
// A domain of few rows is read for each call, so that it is as it is at that moment. Of a larger one the answer is what the last pass kept: standing
// work (Keeper) reads all objects once a day, and sooner when somebody asks for it.
//
// # A pass
//
// Bodies are swept partition by partition, and some hundred profiles' heads are read at a time: a body counts while the head of its profile lists it.
// A census takes in what they hold, in bounded memory:
//
//   - names: the first maxNames;
//   - values: of each attribute the newest, valuesSize bytes of them, and less of each if all together are more than censusMemory. A value that is among
//     the newest when the pass ends has been among them since it was met with its last time, so nothing of what is told was lost on the way;
//   - statistics: count, extremes and sum run along, the sum with what rounding takes from it. Deviation and percentiles are made when the numbers come in
//     order of attribute and value: numbersMemory of them are sorted in memory, more in runs that are spilled (blob.Spill) and merged in the end. So the
//     objects are read once, nothing is estimated, and the order in which they come does not matter.
//
// Rows, all Write rows in table resource under the domain's incarnation, JSON behind a version byte:
//
//	partition "catalogue"         "m"           → meta       which types were read, when, and how long it took
//	partition "catalogue/<type>"  "n" + path    → kept       an attribute: its newest time, its statistics
//	                              "v" + path    → []valueAt  its values
//
// Invariants:
//
//  1. The standing work alone writes. Its rows have the time of its pass; when a pass has written, what is older goes.
//  2. The meta row names every type of which there may be rows, so those of a type that is gone are found and removed.
package catalog
