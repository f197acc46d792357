//go:build !linux

package segment

import "errors"

func runRole(string) error { return errors.New("tests with two processes are for Linux") }
