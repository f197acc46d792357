package workerpool

import "time"

// bucket is a token bucket. It is pure: time comes with each call and never runs backwards.
type bucket struct {
	perSecond, burst int64
	tokens           int64
	filled           time.Time // up to when tokens are counted
}

func newBucket(perSecond, burst int64, now time.Time) bucket {
	return bucket{perSecond: perSecond, burst: burst, tokens: burst, filled: now}
}

// dry reports whether there is nothing to take.
func (b *bucket) dry(now time.Time) bool {
	b.fill(now)
	return b.tokens <= 0
}

// take takes n tokens if there is at least one: a single line may overdraw, so that a line longer than the burst passes.
func (b *bucket) take(n int64, now time.Time) bool {
	if b.dry(now) {
		return false
	}
	b.tokens -= n
	return true
}

// fill adds what has come since the last time, in whole tokens.
func (b *bucket) fill(now time.Time) {
	earned := now.Sub(b.filled).Seconds() * float64(b.perSecond)
	switch {
	case earned >= float64(b.burst-b.tokens): // Compared before it is converted: a long time may earn more than an integer holds.
		b.tokens, b.filled = b.burst, now
	case earned >= 1:
		b.tokens, b.filled = b.tokens+int64(earned), now
	}
}
