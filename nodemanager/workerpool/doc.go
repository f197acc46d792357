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
// # Zygotes
//
// Workers of an interpreted language are forked from a zygote (Spec.Fork): one process for a job's workers with the same program, arguments, directory and
// environment, which has imported what all of them need, and so forks in milliseconds. It is started with the first of them; it takes over the role
// "zygote" (package takeover), and then its role connection carries messages of four bytes of length, big-endian, and so many bytes of JSON:
//
//	pool → zygote   {"op":"fork","worker","proof","mark"}   with three descriptors: the worker's role connection, output and error
//	zygote → pool   {"op":"forked","worker","pid"}          or {"op":"failed","worker","error","threads"}
//	zygote → pool   {"op":"exited","pid","status"}          status as wait(2) has it; the process stays a zombie
//	pool → zygote   {"op":"reap","pid"}
//
// The child leads a group of its own, asks for a parent-death signal, checks that its parent lives, drops the zygote's descriptors, writes mark over the zygote's own
// (guard.EnvMark), and takes over its role with the proof. A zygote is single-threaded, which it checks before each fork, since a lock that another thread holds would
// stay locked in the child: when it is not, the pool starts workers by exec. It reaps no worker before the pool says so, so that no signal of the pool can reach another process
// that was given the same number. When a zygote dies its workers die with it; this process inherits them, as their subreaper, and reaps them; the next worker gets a new zygote,
// after a pause if zygotes die one after the other.
//
// # Locks
//
// Pool.mu guards the pool's tables and is never held across a call out. Process.mu orders a worker's reaping and the signals to it.
// children.mu orders forks, reaping and the killing of orphans, so that a process is never mistaken for another; it is held across a fork, and across the short write that has a zygote
// reap. guardLink.mu is held across a short write to the guard and its fork, zygote.writeMu across one to a zygote; zygote.mu guards its tables. Pool.mu comes before zygote.mu, and Process.mu and
// guardLink.mu before children.mu, which comes before zygote.writeMu and zygote.mu; nothing else nests.
package workerpool
