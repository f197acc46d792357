// Package state is the state machine of a control-plane shard: what is true of nodes, jobs, actors, names, functions, keys and
// lineage, and how each command changes it.
//
// It is pure. [State.Apply] takes an entry of the shard's log and returns results and changes; time arrives in the entry. There is
// no clock, randomness, goroutine or I/O in here and no result depends on the order of a Go map, so that replicas that apply the
// same log hold the same bytes, as [View.Hash] shows.
//
// # Rules that hold for every command
//
//   - A command is refused whole or applied whole. A refusal changes nothing, and its result has a code and a sentence.
//   - A command that changes something advances the revision by one, and all its changes carry that revision.
//   - A command is applied once, however often it arrives: results are remembered by (client, sequence). A client tells up to
//     which sequence it will not repeat itself; beyond that, each client has a window of results, and the client that was silent
//     longest is forgotten first. A request id below the window is answered FORGOTTEN, never applied.
//   - An entry that holds an unknown command, or has an unknown version, is refused with a [HaltError] before anything of it is
//     applied. The caller must stop applying for good: skipping would make replicas differ.
//   - What a node has to do because of a change is an effect. It waits in the state, and so in snapshots, until the node
//     acknowledges it or dies.
//
// # Records
//
// Records are immutable once they are in the state: a change stores a new one. Together with copy-on-write tables this makes
// [State.View] a matter of nanoseconds, whatever the size, and lets a snapshot be written while Apply goes on.
//
// # Slots
//
// Everything with an id hashes into one of 256 slots ([SlotOf]); a task, the objects that it returns and the actor that it creates share one. Cluster
// tables are in slot 0. A command is refused as WRONG_SHARD if the shard does not own all slots that it touches. Commands about
// actors touch slot 0 beside the actor's own, because they read jobs and nodes and move names; when shards are split, that becomes an exchange of
// effects.
package state
