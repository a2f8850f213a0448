// Package queue sends dead letters from a whole node to a real server that speaks the protocol of SQS. It needs Java, and what `make queue`
// fetches; else its tests are skipped.
package queue
