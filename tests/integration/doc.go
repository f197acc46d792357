// Package integration tests one node against real processes: what a user is promised, and every fault that one node can have.
package integration
