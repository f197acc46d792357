// Package primes is a library of remote functions.
package primes

import "cmp"

// Count returns the number of primes below a number.
//
//mobula:remote
func Count(below int) int {
	count := 0
	for n := 2; n < below; n++ {
		if isPrime(n) {
			count++
		}
	}
	return count
}

// Largest returns the largest of some values: a generic function, with the two forms that can run remotely.
//
//mobula:remote
//mobula:instantiate Largest[int]
//mobula:instantiate Largest[string]
func Largest[T cmp.Ordered](first T, others []T) T {
	for _, x := range others {
		first = max(first, x)
	}
	return first
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}
