package workerpool

import "time"

// crashLoop slows down a job whose workers crash one after the other. It is pure: time comes with each call.
type crashLoop struct {
	crashes   int       // in a row
	notBefore time.Time // when the next worker may start
}

// crashed counts a worker that crashed at the given age. A worker that had lived well begins a new row.
func (c *crashLoop) crashed(now time.Time, age, healthyAfter time.Duration, backoff func(int) time.Duration) {
	if age >= healthyAfter {
		c.crashes = 0
	}
	c.crashes++
	c.notBefore = now.Add(backoff(c.crashes))
}

// wait returns how long the next start must wait.
func (c *crashLoop) wait(now time.Time) time.Duration {
	return max(0, c.notBefore.Sub(now))
}
