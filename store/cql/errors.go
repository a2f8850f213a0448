package cql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
)

const (
	// requestTimeout is above the servers' own, so that they tell what happened before we give up.
	requestTimeout = 7 * time.Second
	connectTimeout = 5 * time.Second
	reconnectEvery = 2 * time.Second
	// patience is how long what is repeatable is tried again before the caller hears of it.
	patience = 20 * time.Second
)

// passing says that an error is about the moment, not about the request: it may go when it is sent again. A write that met
// one may have happened.
func passing(err error) bool {
	if e, ok := errors.AsType[gocql.RequestError](err); ok {
		switch e.Code() {
		case gocql.ErrCodeServer, gocql.ErrCodeUnavailable, gocql.ErrCodeOverloaded, gocql.ErrCodeBootstrapping, gocql.ErrCodeWriteTimeout,
			gocql.ErrCodeReadTimeout, gocql.ErrCodeReadFailure, gocql.ErrCodeWriteFailure, gocql.ErrCodeCASWriteUnknown:
			return true
		}
		return false
	}
	for _, known := range []error{
		gocql.ErrTimeoutNoResponse, gocql.ErrConnectionClosed, gocql.ErrNoStreams, gocql.ErrNoConnections, gocql.ErrUnavailable,
		gocql.ErrNoConnectionsStarted, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE,
		context.DeadlineExceeded, // of the driver's own dialing; the caller's is looked at first
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// never says that a conditional batch that met this error was not sent, or not taken up. What a server says once it has begun is
// no proof: a coordinator may find too few replicas, or too many hints, after some of them accepted the batch.
func never(err error) bool {
	e, ok := errors.AsType[gocql.RequestError](err)
	return ok && e.Code() == gocql.ErrCodeBootstrapping || errors.Is(err, gocql.ErrNoConnections) || errors.Is(err, gocql.ErrNoStreams)
}

// loaded says that the cluster asks for less.
func loaded(err error) bool {
	e, ok := errors.AsType[gocql.RequestError](err)
	return ok && (e.Code() == gocql.ErrCodeOverloaded || e.Code() == gocql.ErrCodeWriteTimeout || e.Code() == gocql.ErrCodeReadTimeout) ||
		errors.Is(err, gocql.ErrTimeoutNoResponse)
}

// convert turns a driver's error into one of the contract's.
func convert(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, gocql.ErrNotFound):
		return store.ErrNotFound
	case passing(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return fmt.Errorf("cluster: %w", err)
}

// explain turns the error of opening a cluster into a sentence that says what to do.
func explain(o Options, err error) error {
	hosts := fmt.Sprint(o.Hosts)
	if e, ok := errors.AsType[gocql.RequestError](err); ok {
		switch e.Code() {
		case gocql.ErrCodeCredentials:
			return fmt.Errorf("the cluster at %s refuses the user or the password (%s): give them as KITH_CQL_USER and KITH_CQL_PASSWORD", hosts, e.Message())
		case gocql.ErrCodeUnauthorized:
			return fmt.Errorf("the cluster's user %q lacks a right (%s): grant SELECT and MODIFY on the keyspace %s, and CREATE and ALTER for kith migrate", o.User, e.Message(), o.Keyspace)
		case gocql.ErrCodeUnavailable:
			return fmt.Errorf("the cluster at %s has too few live nodes for a quorum (%s)", hosts, e.Message())
		}
		return fmt.Errorf("the cluster at %s: %s", hosts, e.Message())
	}
	// Where it connects, the driver keeps only the texts of the errors it met.
	text := err.Error()
	if strings.Contains(text, "username") || strings.Contains(text, "assword") || strings.Contains(text, "uthenticat") {
		return fmt.Errorf("the cluster at %s refuses the user or the password: give them as KITH_CQL_USER and KITH_CQL_PASSWORD (%w)", hosts, err)
	}
	if strings.Contains(text, "x509: ") {
		return fmt.Errorf("the cluster at %s has a certificate that is not trusted here: give its authority as ca=FILE in the address (%w)", hosts, err)
	}
	if passing(err) || strings.Contains(text, "unable to create session") || strings.Contains(text, "no connections") {
		return fmt.Errorf("no node of the cluster answers at %s: check the hosts, the port and the network (%w)", hosts, err)
	}
	return fmt.Errorf("the cluster at %s can't be used: %w", hosts, err)
}
