// Package workerpool starts worker processes, watches them and ends them. It decides nothing: the scheduler says which worker to start or stop, the
// pool carries it out and reports what became of it.
//
// # What the pool promises
//
//   - Every process that Start returned yields at most one Ready event and exactly one Exited event, in that order, with the reason as a sentence.
//   - A worker inherits standard input (empty), output, error and its role descriptor, and nothing else.
//   - No worker outlives the pool, nor the process that holds the pool, whatever signal ends that; nor do the subprocesses of workers. After
//     Close there is no process, zombie, goroutine or descriptor left of it.
//   - A worker that prints without end costs bounded memory and disk, and never blocks anyone else.
//
// # How
//
// All forks come from one goroutine locked to its thread for the pool's life: the parent-death signal is sent when the *thread* that forked ends.
// Each worker leads a process group. Its end is awaited without reaping it, so that its number, and thus its group's number, cannot be taken by another
// process until the group has been killed. In a node process of its own (Config.OwnProcess) the pool also adopts orphans, as their subreaper, and
// keeps a guard process (package guard) for the case that the node is killed.
//
// # Locks
//
// Pool.mu guards the pool's tables and is never held across a call out. Process.mu orders a worker's reaping and the signals to it.
// children.mu orders forks, reaping and the killing of orphans, so that a process is never mistaken for another; it is held across a fork.
// guardLink.mu is held across a short write to the guard and its fork. Process.mu and guardLink.mu come before children.mu; nothing else nests.
package workerpool
